"""Watching changes nothing: the same weights to the bit, whatever the model holds and moves beside them."""

from __future__ import annotations

import functools
import itertools
import math
import random
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vmap
from torch.nn.utils import parametrizations, parametrize

from convdebug import watch
from convdebug.instruments import kept as kept_module
from convdebug.instruments import probe
from convdebug.instruments.kept import Kept, Unrepeatable, same_bits
from convdebug.instruments.origin.isolation import isolated
from convdebug.instruments.probe import unnoticed
from convdebug_sessions import Session

STEPS = 20
INPUTS = torch.randn(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 3


class Noise(nn.Module):
    """A parametrization that draws whenever the weight is read."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight + 0.01 * torch.randn_like(weight)


def plain() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))


def with_spectral_norm() -> nn.Module:
    model = plain()
    parametrizations.spectral_norm(model[1])
    return model


def with_noisy_weights() -> nn.Module:
    model = plain()
    parametrize.register_parametrization(model[1], "weight", Noise())
    return model


def trained(make: Callable[[], nn.Module], session: Path | None, steps: int = STEPS) -> list[Tensor]:
    """What a training leaves: weights, buffers, and the next random number."""
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=session, every=1) if session else nullcontext() as watched:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(INPUTS), LABELS)
            loss.backward()
            optimizer.step()
            if watched:
                watched.step(loss)
    return [*(each.detach().clone() for each in model.state_dict().values()), torch.rand(1)]


def same(ones: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))


@pytest.mark.parametrize("make", [with_spectral_norm, with_noisy_weights])
def test_a_weight_that_is_computed_when_it_is_read_is_not_read(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    assert same(trained(make, tmp_path / "run.convdebug"), trained(make, None))


class Holding(nn.Module):
    """A network whose answer hangs on state that each pass moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.net = plain()

    def moved(self) -> float:
        return 0.0

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * (1 + 0.01 * self.moved())


class NumpyGenerator(Holding):
    def __init__(self) -> None:
        super().__init__()
        self.drawn = np.random.default_rng(1)

    def moved(self) -> float:
        return float(self.drawn.uniform())


class LegacyNumpy(NumpyGenerator):
    def __init__(self) -> None:
        super().__init__()
        self.drawn = np.random.RandomState(1)  # type: ignore[assignment]


class BoundDraw(Holding):
    def __init__(self) -> None:
        super().__init__()
        self.draw = random.Random(1).random

    def moved(self) -> float:
        return self.draw()


class PythonRandom(Holding):
    def __init__(self) -> None:
        super().__init__()
        self.drawn = {"first": [random.Random(2)]}

    def moved(self) -> float:
        return self.drawn["first"][0].gauss(0, 1)


class TorchGenerator(Holding):
    def __init__(self) -> None:
        super().__init__()
        self.drawn = (torch.Generator().manual_seed(1),)

    def moved(self) -> float:
        return float(torch.rand(1, generator=self.drawn[0]))


class ForgottenBuffer(Holding):
    def __init__(self) -> None:
        super().__init__()
        self.seen = torch.zeros(3)

    def moved(self) -> float:
        self.seen[0] += 1
        return float(self.seen[0])


class SwappedData(ForgottenBuffer):
    def moved(self) -> float:
        self.seen.data = self.seen.data + 1
        return float(self.seen[0])


class AnArray(Holding):
    def __init__(self) -> None:
        super().__init__()
        self.seen = np.zeros(3)

    def moved(self) -> float:
        self.seen[0] += 1
        return float(self.seen[0])


class Meter:
    def __init__(self) -> None:
        self.number = 0
        self.history: list[float] = []

    def add(self, value: float) -> float:
        self.number += 1
        self.history.append(value)
        return self.number + len(self.history)


class ItsMeter(Holding):
    def __init__(self) -> None:
        super().__init__()
        self.meter = Meter()

    def moved(self) -> float:
        return self.meter.add(1.0)


class Slotted:
    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


class ItsSlots(Holding):
    def __init__(self) -> None:
        super().__init__()
        self.meter = Slotted()

    def moved(self) -> float:
        self.meter.number += 1
        return self.meter.number


class Containers(Holding):
    def __init__(self) -> None:
        super().__init__()
        self.last: deque[int] = deque([0], maxlen=3)
        self.counts: Counter[str] = Counter()
        self.order: OrderedDict[int, int] = OrderedDict()
        self.known = {0}
        self.raw = bytearray(2)

    def moved(self) -> float:
        number = len(self.known)
        self.known.add(number)
        self.last.append(number)
        self.counts["passes"] += 1
        self.order[-number] = number
        self.raw[0] += 1
        return sum(self.last) + self.counts["passes"] + len(self.order) + self.raw[0]


class OnTheClass(Holding):
    passes = 0
    history: list[int] = []  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        OnTheClass.passes = 0
        self.history.clear()

    def moved(self) -> float:
        type(self).passes += 1
        self.history.append(1)
        return self.passes + len(self.history)


class InAList(Holding):
    """A layer that the model does not know of moves its averages and is itself moved."""

    def __init__(self) -> None:
        super().__init__()
        self.others = [nn.BatchNorm1d(1), nn.Linear(1, 1)]

    def moved(self) -> float:
        self.others[0](torch.arange(4.0)[:, None])
        with torch.no_grad():
            self.others[1].weight.mul_(0.9)
        return float(self.others[0].running_mean + self.others[1].weight.detach())  # type: ignore[operator]


class MovesAWeight(Holding):
    def moved(self) -> float:
        self.net[3].weight.data = self.net[3].weight.data * 0.99
        self.net[1].bias.data.add_(0.01)
        return 0.0


class MovesItLater(Holding):
    """It leaves the weights alone in evaluation mode and at first."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0

    def moved(self) -> float:
        self.passes += 1
        if self.passes > 4:
            self.net[1].bias.data.add_(0.01)
        return 0.0


class HeldAverage(Holding):
    """Moves an average of its own weights, now and then, in a method that is wrapped by torch."""

    def __init__(self) -> None:
        super().__init__()
        self.average, self.passes = nn.Linear(8, 3).requires_grad_(False), 0

    @torch.no_grad()
    def follow(self) -> None:
        self.passes += 1
        if self.passes > 3:
            self.average.weight += 0.1 * self.net[3].weight

    def moved(self) -> float:
        self.follow()
        return float(self.average.weight.sum())


GENERATOR = torch.Generator()
DRAWN = np.random.default_rng(1)
SHUFFLED = random.Random(1)
PASSES = 0


def draw() -> float:
    global PASSES
    PASSES += 1
    drawn = float(torch.rand(1, generator=GENERATOR)) + DRAWN.random() + SHUFFLED.random()
    return drawn + 0.1 * PASSES


class Outside(Holding):
    def __init__(self) -> None:
        global DRAWN, PASSES
        super().__init__()
        GENERATOR.manual_seed(1)
        DRAWN, PASSES = np.random.default_rng(1), 0
        SHUFFLED.seed(1)

    def moved(self) -> float:
        return draw()


def counting() -> Callable[[], int]:
    number = 0

    def counted() -> int:
        nonlocal number
        number += 1
        return number

    return counted


class InAClosure(Holding):
    def __init__(self) -> None:
        super().__init__()
        self.counted = functools.partial(counting())

    def moved(self) -> float:
        return self.counted()


class ADefault(Holding):
    def __init__(self) -> None:
        super().__init__()
        ADefault.moved.__defaults__[0].clear()  # type: ignore[index]

    def moved(self, calls: list[int] = []) -> float:  # noqa: B006
        calls.append(1)
        return len(calls)


def with_a_hook() -> nn.Module:
    model, counted = plain(), counting()
    model.register_forward_hook(lambda _model, _inputs, output: output * (1 + 0.01 * counted()))
    return model


def with_dropout(layer: nn.Module) -> nn.Module:
    """An instrument asks once more what it costs."""
    return nn.Sequential(nn.Dropout(0.6), layer)


class Helper:
    @staticmethod
    def passed() -> float:
        global PASSES
        PASSES += 1
        return PASSES

    @classmethod
    def passed_as_well(cls) -> float:
        return cls.passed()


class CountsPasses(Holding):
    def __init__(self) -> None:
        global PASSES
        super().__init__()
        PASSES = another_module.passes = 0


class NamesAClass(CountsPasses):
    def moved(self) -> float:
        return Helper.passed() if len(self.net) == 1 else Helper.passed_as_well()


class Made:
    def __init__(self) -> None:
        self.number = Helper.passed()


class MakesAnObject(CountsPasses):
    def moved(self) -> float:
        return Made().number


class OwnFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * Helper.passed()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient


class CallsItsFunction(CountsPasses):
    def forward(self, x: Tensor) -> Tensor:
        return OwnFunction.apply(self.net(x))  # type: ignore[no-any-return, no-untyped-call]


another_module = ModuleType("another_module")
exec("passes = 0\ndef passed():\n    global passes\n    passes += 1\n    return passes\n", vars(another_module))
sys.modules["another_module"] = another_module


class ImportsInside(CountsPasses):
    def moved(self) -> float:
        import another_module

        another_module.passes += 1
        return float(another_module.passes)


class ImportsAFunction(CountsPasses):
    def moved(self) -> float:
        from another_module import passed

        return float(passed())


MOVING = [
    *(NumpyGenerator, LegacyNumpy, BoundDraw, PythonRandom, TorchGenerator, ForgottenBuffer, SwappedData, AnArray),
    *(
        HeldAverage,
        ItsMeter,
        ItsSlots,
        Containers,
        OnTheClass,
        InAList,
        MovesAWeight,
        MovesItLater,
        Outside,
        InAClosure,
        ADefault,
    ),
    *(NamesAClass, MakesAnObject, CallsItsFunction, ImportsInside, ImportsAFunction),
    with_a_hook,
]


@pytest.mark.parametrize("make", MOVING)
def test_what_a_pass_moves_is_put_back_after_ours(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    path = tmp_path / "run.convdebug"
    assert same(trained(lambda: with_dropout(make()), path), trained(lambda: with_dropout(make()), None))
    with Session.open(path) as session:
        assert session.series("dropout/evaluation_loss")[0].size > 2
        assert not session.events(kinds=["instrument-failed", "note"])


@pytest.mark.parametrize("around", [unnoticed, isolated])
@pytest.mark.parametrize("make", MOVING)
def test_the_answers_are_those_of_a_model_that_was_left_alone(
    make: Callable[[], nn.Module], around: Callable[[nn.Module], AbstractContextManager[None]]
) -> None:
    def answers(between: Callable[[nn.Module], None]) -> list[Tensor]:
        torch.manual_seed(0)
        model = make()
        found = []
        for _ in range(8):
            between(model)
            found.append(model(INPUTS))
        return found

    def run_twice(model: nn.Module) -> None:
        with around(model):
            model(INPUTS)
            model(INPUTS)

    assert same(answers(run_twice), answers(lambda _model: None))


class OfAFile(Holding):
    """Its numbers, what is no number among them, lie in a file that only may be read."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        np.array([1.0, np.nan, -0.0, 2.0], dtype="float32").tofile(file)
        mapped = np.memmap(file, dtype="float32", mode="r")
        self.table = torch.from_numpy(mapped)
        self.array = self.table.numpy()
        self.scale = nn.Parameter(self.table[2:])
        self.register_buffer("shift", torch.from_numpy(mapped)[:2])

    def moved(self) -> float:
        return float(self.table[0] + self.array[0] + self.shift[0] + self.scale[1].detach())


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("around", [unnoticed, isolated])
def test_what_is_as_it_was_is_not_written_to(
    around: Callable[[nn.Module], AbstractContextManager[None]], tmp_path: Path
) -> None:
    model = OfAFile(tmp_path / "table")
    for _ in range(3):
        with around(model):
            model(INPUTS)
    assert model.table[1].isnan()


NUMBERS = [
    torch.tensor([1.0, math.nan, 0.0]),
    torch.tensor([1 + 2j, 0j]),
    torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).t(),
    torch.tensor([1.0, 2.0], dtype=torch.bfloat16),
    torch.tensor([True, False]),
    torch.tensor([1, 2]),
    np.array([1.0, math.nan]),
    np.array([1 + 2j]),
    np.array([{}, None]),
    np.array([(1, 2.0)], dtype=[("one", "i4"), ("other", "f8")]),
]


@pytest.mark.parametrize("numbers", NUMBERS, ids=[str(place) for place in range(len(NUMBERS))])
def test_numbers_of_every_kind_are_put_back(numbers: Tensor | np.ndarray) -> None:
    model = plain()
    model.held = numbers.clone() if isinstance(numbers, Tensor) else numbers.copy()  # type: ignore[assignment]
    with unnoticed(model):
        if isinstance(numbers, np.ndarray):
            model.held[...] = model.held[::-1].copy() if numbers.dtype.names is None else np.zeros(1, numbers.dtype)
        elif numbers.dtype == torch.bool:
            model.held.logical_not_()  # type: ignore[operator]
        else:
            model.held.mul_(-1)  # type: ignore[operator]
    if isinstance(numbers, np.ndarray):
        assert np.array_equal(model.held, numbers, equal_nan=numbers.dtype.kind == "f")
    else:
        assert same_bits(model.held, numbers)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc])
def test_sparse_numbers_are_put_back(layout: torch.layout) -> None:
    model, dense = plain(), torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    model.held = dense.to_sparse(layout=layout)  # type: ignore[assignment]
    for _ in range(2):
        with unnoticed(model):
            model.held.mul_(-1)  # type: ignore[operator]
            assert torch.equal(model.held.to_dense(), -dense)  # type: ignore[operator]
        assert torch.equal(model.held.to_dense(), dense)  # type: ignore[operator]


@pytest.mark.filterwarnings("ignore:Sparse")
def test_a_sparse_table_counts_as_the_numbers_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    model = plain()
    model.table = torch.eye(20).to_sparse()  # type: ignore[assignment]
    monkeypatch.setattr(kept_module, "MOST_NUMBERS", 60)
    Kept(model)
    model.table = torch.eye(21).to_sparse()  # type: ignore[assignment]
    with pytest.raises(Unrepeatable, match="`table`"):
        Kept(model)


def count() -> Iterator[int]:
    yield from itertools.count()


class CannotBePutBack(Holding):
    def __init__(self, moves: Iterator[int]) -> None:
        super().__init__()
        self.moves = moves

    def moved(self) -> float:
        return next(self.moves)


@pytest.mark.parametrize("moves", [itertools.count, count])
def test_a_model_that_draws_on_an_iterator_is_not_run_once_more(moves: Callable[[], Iterator[int]], tmp_path) -> None:
    path = tmp_path / "run.convdebug"
    watched = trained(lambda: with_dropout(CannotBePutBack(moves())), path)
    assert same(watched, trained(lambda: with_dropout(CannotBePutBack(moves())), None))
    with Session.open(path) as session:
        (note,) = session.events(kinds=["note"])
        assert "`moves` is an iterator" in note.data["text"]
        assert not session.events(kinds=["instrument-failed"])
        assert "dropout/evaluation_loss" not in session.series_names()
        assert session.series("train/loss")[0].size == STEPS


class Remembers(Holding):
    @functools.cache  # noqa: B019
    def scaled(self, factor: int) -> Tensor:
        return self.net[1].bias * factor

    @functools.lru_cache  # noqa: B019
    def never_called(self) -> float:
        return 0.0

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * self.scaled(2).sum()


class HoldsWhatRemembers(Holding):
    def __init__(self) -> None:
        super().__init__()
        self.moved = functools.lru_cache(lambda: 1.0)  # type: ignore[method-assign]


@pytest.mark.parametrize("make", [Remembers, HoldsWhatRemembers])
def test_a_model_that_remembers_what_it_computed_is_not_run_once_more(make: Callable[[], nn.Module]) -> None:
    model = make()
    with pytest.raises(Unrepeatable, match="remembers its results"), unnoticed(model):
        raise AssertionError("it was run")
    model(INPUTS).sum().backward()


class HasAnUnusedCache(Holding):
    @functools.cache  # noqa: B019
    def never_called(self) -> float:
        return 0.0


def test_a_cache_that_no_pass_fills_is_no_obstacle() -> None:
    Kept(HasAnUnusedCache())


class AddsInPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = plain()

    def forward(self, x: Tensor) -> Tensor:
        x = x.clone()
        x += 1
        x[0] = 0
        return self.net(x)


class AddsToAWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net, self.scales = plain(), nn.ParameterList([torch.ones(1)])

    def forward(self, x: Tensor) -> Tensor:
        self.scales[0] += 1
        return self.net(x)


def test_weights_are_copied_where_code_that_names_them_writes_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[nn.Module] = []
    copies_of = probe._copies_of

    def listened(kept: Kept) -> list[tuple[nn.Parameter, Tensor, Tensor]]:
        copied.append(kept.modules[0])
        return copies_of(kept)

    monkeypatch.setattr(probe, "_copies_of", listened)
    adds, moves = AddsInPlace(), AddsToAWeight()
    for _ in range(3):
        for model in (adds, moves):
            with unnoticed(model):
                model(INPUTS)
    assert copied.count(adds) == 1  # at first, to see whether any moves
    assert copied.count(moves) == 3
    assert moves.scales[0] == 1


class DividesByNothing(CannotBePutBack):
    """At its fifth pass."""

    def moved(self) -> float:
        number = next(self.moves)
        return math.inf * 0 if number == 4 else number


def test_a_bad_value_is_told_where_the_step_must_not_be_done_again(tmp_path: Path) -> None:
    def train(session: Path | None) -> list[Tensor]:
        torch.manual_seed(0)
        model = DividesByNothing(itertools.count())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with watch(model, optimizer, session=session, every=1) if session else nullcontext() as watched:
            for _ in range(8):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(INPUTS), LABELS)
                loss.backward()
                if loss.isfinite():
                    optimizer.step()
                if watched:
                    watched.step(loss)
        return [each.detach().clone() for each in model.parameters()]

    path = tmp_path / "run.convdebug"
    assert same(train(path), train(None))
    with Session.open(path) as session:
        (found,) = session.events(kinds=["non-finite"])
        assert found.step == 4
        assert "`moves` is an iterator" in found.data["note"]
        assert not session.events(kinds=["instrument-failed"])


def test_more_numbers_than_are_to_be_copied_are_left_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_module, "MOST_NUMBERS", 2)
    with pytest.raises(Unrepeatable, match="`seen`"):
        Kept(ForgottenBuffer())


HELD = [
    ([Meter() for _ in range(1001)], "`held` holds more than 1000 objects"),
    ([[Meter()] * 2 for _ in range(1001)], "`held` holds more than 1000 objects"),
    ([[{"n": 0} for _ in range(900)] for _ in range(6)], "more than 5000 objects"),
    ({n: torch.zeros(1) for n in range(1001)}, "`held` holds more than 1000 tensors"),
]


@pytest.mark.parametrize(("held", "why"), HELD, ids=["objects", "lists", "dicts", "tensors"])
def test_a_model_that_holds_more_than_is_looked_into_is_not_run_once_more(held: object, why: str) -> None:
    model = plain()
    model.held = held  # type: ignore[assignment]
    with pytest.raises(Unrepeatable, match=why), unnoticed(model):
        raise AssertionError("it was run")


@pytest.mark.parametrize("held", [1, "one", (1, "one"), np.float64(1), torch.float32], ids=str)
def test_however_much_does_not_change_may_be_held(held: object) -> None:
    model = plain()
    model.held = [held] * 100_000  # type: ignore[assignment]
    with unnoticed(model):
        model.held.append(held)  # type: ignore[operator, union-attr]
    assert len(model.held) == 100_000  # type: ignore[arg-type]


def test_a_deep_network_is_not_too_many_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_module, "MOST_PARTS", 250)
    Kept(nn.Sequential(*(nn.Conv2d(1, 1, 1) for _ in range(200))))


def test_what_the_training_gave_is_not_written_to_by_a_pass_of_ours(tmp_path: Path) -> None:
    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = plain()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x.mul_(0.9))

    assert same(
        trained(lambda: with_dropout(Halves()), tmp_path / "run.convdebug"),
        trained(lambda: with_dropout(Halves()), None),
    )


def test_weights_that_are_remembered_while_the_user_lets_torch_are_not_ours(tmp_path: Path) -> None:
    model = with_spectral_norm()
    with parametrize.cached(), torch.autocast("cpu", torch.bfloat16):
        with unnoticed(model):
            model(INPUTS)
        model(INPUTS).sum().backward()
    assert all(each.grad is not None for each in model.parameters())


class PerSample(nn.Module):
    """Its own loss module, as a script may have one."""

    def forward(self, scores: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(scores, label)


def of_samples(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    def loss(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        return PerSample()(functional_call(model, weights, (image[None],)), label[None])

    each = vmap(grad(loss), in_dims=(None, 0, 0))(weights, INPUTS, LABELS)
    return {name: gradient.mean(0) for name, gradient in each.items()}


def of_models(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    def loss(weights: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(functional_call(model, weights, (INPUTS,)), LABELS)

    two = {name: torch.stack([weight, weight + 0.1]) for name, weight in weights.items()}
    return {name: gradient.mean(0) for name, gradient in vmap(grad(loss))(two).items()}


def of_all(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return grad(lambda weights: F.cross_entropy(functional_call(model, weights, (INPUTS,)), LABELS))(weights)


def by_jacrev(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return jacrev(lambda weights: F.cross_entropy(functional_call(model, weights, (INPUTS,)), LABELS))(weights)


@pytest.mark.parametrize("gradients", [of_samples, of_models, of_all, by_jacrev])
def test_a_training_on_gradients_of_functions_is_recorded_and_left_alone(
    gradients: Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]], tmp_path: Path
) -> None:
    def train(session: Path | None) -> list[Tensor]:
        torch.manual_seed(0)
        model = plain()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with watch(model, optimizer, session=session, every=1) if session else nullcontext() as watched:
            for _ in range(8):
                found = gradients(model, {name: each.detach() for name, each in model.named_parameters()})
                for name, each in model.named_parameters():
                    each.grad = found[name]
                optimizer.step()
                if watched:
                    watched.step()
        return [*(each.detach().clone() for each in model.parameters()), torch.rand(1)]

    path = tmp_path / "run.convdebug"
    assert same(train(path), train(None))
    with Session.open(path) as session:
        assert session.run().steps == 8
        assert session.series("update/1.weight/ratio")[0].size == 8
        assert not session.events(kinds=["instrument-failed"])
