"""The first non-finite value is traced to the operator that made it, and the training never notices."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from convdebug.instruments.origin.backward import operator_of
from convdebug.instruments.origin.isolation import isolated
from convdebug.instruments.origin.statistics import State, described, state_of
from convdebug.instruments.readback import Readback
from convdebug.watch import watch
from convdebug_sessions import Session

INF, NAN = float("inf"), float("nan")


class Apply(nn.Module):
    """A module that applies a function: what people write between layers."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def net(function: Callable[[Tensor], Tensor]) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.3), nn.BatchNorm1d(8), Apply(function), nn.Linear(8, 4))


class Between(nn.Module):
    """A division between two layers, in the forward of the model itself."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> dict[str, Any]:
        hidden = self.a(x)
        hidden = hidden / (hidden.sum(1, keepdim=True) * 0)
        return {"count": 3, "scores": (self.b(hidden),)}


class Attention(nn.Module):
    """Row 2 of the batch is masked altogether; every row is masked in part, which is fine."""

    def __init__(self, whole: bool = True) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(6, 6), nn.Linear(6, 4)
        self.attend = nn.MultiheadAttention(6, 2, batch_first=True)
        self.whole = whole

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x)[:, None].expand(-1, 3, -1)
        padding = torch.zeros(len(x), 3, dtype=torch.bool)
        padding[:, 2] = True
        padding[2] = self.whole
        return self.head(self.attend(tokens, tokens, tokens, key_padding_mask=padding)[0].mean(1))


class Shared(nn.Module):
    """One module used twice: only its second use overflows; written in place."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.grow = nn.Linear(6, 8), nn.Linear(8, 4), Apply(lambda x: x.mul(60).exp_())

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.grow(self.grow(self.a(x).clamp(-0.1, 0.1))))


class Checkpointed(nn.Module):
    """Part of the forward is done again in the backward pass."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.a, self.b, self.reentrant = nn.Linear(6, 8), nn.Linear(8, 4), reentrant

    def forward(self, x: Tensor) -> Tensor:
        hidden = checkpoint(lambda each: (self.a(each) * 0).sqrt(), x.requires_grad_(), use_reentrant=self.reentrant)
        return self.b(hidden)


class Counting(nn.Module):
    """Works otherwise at its fourth call, and keeps what it saw: run again, it must not count."""

    def __init__(self, function: Callable[[Tensor], Tensor] = torch.log) -> None:
        super().__init__()
        self.a, self.b, self.function = nn.Linear(6, 8), nn.Linear(8, 4), function
        self.calls, self.seen = 0, []

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen.append(len(x))
        hidden = self.a(x)
        return self.b(self.function(hidden) if self.calls == 4 else hidden)


def entropy(output: Any, labels: Tensor) -> Tensor:
    return F.cross_entropy(output["scores"][0] if isinstance(output, dict) else output, labels)


def by_hand(output: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy as people write it: the logarithm of a probability that is 0."""
    return -(torch.log(torch.softmax(output * 1000, 1)) * F.one_hot(labels, 4)).sum(1).mean()


def row_3(value: float, step: int = 2) -> Callable[[int, Tensor], Tensor]:
    return lambda now, each: each.float().index_fill(0, torch.tensor([3]), value) if now == step else each.float()


@dataclass(frozen=True)
class Case:
    """A sick training of six steps, and what is to be said of it."""

    model: Callable[[], nn.Module] = lambda: net(torch.relu)
    expected: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    loss: Callable[[Any, Tensor], Tensor] = entropy
    inputs: Callable[[int, Tensor], Tensor] = lambda step, x: x
    labels: Callable[[int, Tensor], Tensor] = lambda step, y: y
    optimizer: Callable[[Any], torch.optim.Optimizer] = lambda parameters: torch.optim.SGD(parameters, lr=0.1)
    batch: int = 8
    autocast: torch.dtype | None = None
    scaler: float | None = None
    micro_batches: int = 1
    every: int | None = None


IN_APPLY = {"direction": "forward", "module": "3", "type": "Apply", "part": "model"}
BACK_IN_APPLY = {**IN_APPLY, "direction": "backward"}
IN_LOSS = {"direction": "forward", "part": "loss", "module": None}
CASES: dict[str, Case] = {
    "root of a negative number": Case(lambda: net(torch.sqrt), {**IN_APPLY, "operator": "sqrt"}),
    "logarithm of zero": Case(lambda: net(lambda x: torch.relu(x).log()), {**IN_APPLY, "operator": "log"}),
    "exp that overflows, and infinity minus itself": Case(
        lambda: net(lambda x: (x * 1e4).exp() - (x * 1e4).exp()), {**IN_APPLY, "operator": "exp"}
    ),
    "division between modules, dict output": Case(Between, {"direction": "forward", "module": "", "operator": "div"}),
    "a row that is masked altogether": Case(
        Attention, {"direction": "forward", "module": "attend", "operator": "softmax", "rows": [2]}
    ),
    "shared module in place": Case(Shared, {"direction": "forward", "module": "grow", "operator": "exp"}),
    "deviation of one example": Case(
        lambda: nn.Sequential(nn.Linear(6, 8), Apply(lambda x: x - x.var(0)), nn.Linear(8, 4)),
        {"direction": "forward", "module": "1", "operator": "var"},
        batch=1,
    ),
    "float16 overflows": Case(
        lambda: net(lambda x: F.linear(x.float() * 1e6, torch.eye(8))),
        {**IN_APPLY, "operator": "to_copy"},
        autocast=torch.float16,
    ),
    "float64": Case(
        lambda: net(torch.sqrt).double(), {**IN_APPLY, "operator": "sqrt"}, inputs=lambda step, x: x.double()
    ),
    "compiled": Case(
        lambda: torch.compile(net(torch.sqrt), backend="eager"),  # type: ignore[arg-type, return-value]
        {**IN_APPLY, "operator": "sqrt", "compiled": True},
    ),
    "recurrent": Case(
        lambda: nn.Sequential(nn.Linear(6, 8), nn.LSTM(8, 4), Apply(lambda each: each[0].log())),
        {"direction": "forward", "module": "2", "operator": "log"},
    ),
    "otherwise at the fourth call": Case(
        Counting, {"direction": "forward", "part": "model", "module": None, "operator": "log"}, step=3
    ),
    "root of zero, going back": Case(lambda: net(lambda x: (x * 0).sqrt()), {**BACK_IN_APPLY, "operator": "sqrt"}),
    "logarithm behind where, going back": Case(
        lambda: net(lambda x: torch.where(x > 0, (x * (x > 0)).log(), x)), {**BACK_IN_APPLY, "operator": "log"}
    ),
    "acos at one, going back": Case(
        lambda: net(lambda x: torch.acos(torch.tanh(x * 1000))), {**BACK_IN_APPLY, "operator": "acos"}
    ),
    "root of zero, at the fourth call alone": Case(
        lambda: Counting(lambda x: (x * 0).sqrt()),
        {"direction": "backward", "part": "outside", "operator": None},
        step=3,
    ),
    "going back from a loss by hand": Case(
        lambda: net(lambda x: (x * 0).sqrt()),
        {**BACK_IN_APPLY, "operator": "sqrt"},
        loss=lambda output, labels: (output.sum(1) - labels).pow(2).mean(),
    ),
    "checkpointed": Case(lambda: Checkpointed(False), {"direction": "backward", "module": "", "operator": "sqrt"}),
    "checkpointed by reentrance": Case(
        lambda: Checkpointed(True), {"direction": "backward", "part": "model", "module": None, "operator": None}
    ),
    "weights behind a parametrization": Case(
        lambda: nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Linear(6, 8)), Apply(lambda x: (x * 0).sqrt()), nn.Linear(8, 4)
        ),
        {"direction": "backward", "module": "1", "operator": "sqrt"},
    ),
    "root of zero in the loss": Case(
        loss=lambda output, labels: entropy(output, labels) + ((output * 0) ** 2).sum().sqrt(),
        expected={"direction": "backward", "part": "loss", "operator": "sqrt"},
    ),
    "logarithm of zero in the loss": Case(loss=by_hand, expected={**IN_LOSS, "operator": "log"}),
    "all labels ignored": Case(
        labels=lambda step, y: y * 0 - 100 if step == 2 else y,
        expected={**IN_LOSS, "operator": "cross_entropy"},
        step=2,
    ),
    "NaN in the inputs": Case(inputs=row_3(NAN), expected={"direction": "inputs", "rows": [3]}, step=2),
    "infinity in the inputs": Case(inputs=row_3(INF), expected={"direction": "inputs", "rows": [3]}, step=2),
    "an infinity that reaches a batch norm as one": Case(
        lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4)),
        {"direction": "inputs", "rows": [3]},
        step=2,
        inputs=lambda step, x: x.index_put((torch.tensor(3), torch.tensor(0)), torch.tensor(INF)) if step == 2 else x,
    ),
    "NaN in the labels": Case(
        loss=lambda output, labels: F.mse_loss(output[:, 0], labels),
        labels=row_3(NAN),
        expected={"direction": "labels", "rows": [3]},
        step=2,
    ),
    "NaN in the labels of a loss by hand": Case(
        loss=lambda output, labels: ((output[:, 0] - labels) ** 2).mean(),
        labels=row_3(NAN),
        expected={"direction": "labels"},
        step=2,
    ),
    "Adam without eps": Case(
        lambda: net(lambda x: x * 0),
        {"direction": "update", "operator": "Adam", "module": "0"},
        step=1,
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-3, eps=0.0),
    ),
    "half precision under Adam": Case(
        lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)).half(),
        {"direction": "update", "operator": "Adam"},
        step=1,
        inputs=lambda step, x: x.half(),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
    ),
    "micro-batches": Case(inputs=row_3(NAN), expected={"direction": "inputs", "rows": [3]}, step=2, micro_batches=3),
    "a bad gradient seen by the norms alone": Case(
        lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4), Apply(lambda x: (x * 0).sqrt())),
        {"direction": "backward", "module": "3", "operator": "sqrt"},
        every=1,
    ),
}
HEALTHY: dict[str, Case] = {
    "plain": Case(),
    "masked in part": Case(lambda: Attention(whole=False)),
    "NaN that where throws away": Case(lambda: net(lambda x: torch.where(x > 1e9, x.detach().log(), x))),
    "a scaler that overflows at first": Case(autocast=torch.float16, scaler=2.0**40),
    "bfloat16": Case(autocast=torch.bfloat16),
    "micro-batches": Case(micro_batches=3),
    "L-BFGS": Case(optimizer=lambda parameters: torch.optim.LBFGS(parameters, lr=0.1, max_iter=3)),
}


def train(case: Case, path: Path | None) -> tuple[nn.Module, dict[str, Any]]:
    """Six steps; the model and everything that must be the same with and without watching."""
    torch.manual_seed(0)
    model = case.model()
    optimizer = case.optimizer(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=case.scaler or 1.0, enabled=case.scaler is not None)
    if path is None:
        steps(case, model, optimizer, scaler, None)
    else:
        with watch(model, optimizer, session=path, every=case.every) as watched:
            steps(case, model, optimizer, scaler, watched)
    state = {name: each.clone() for name, each in model.state_dict().items()}
    return model, {**state, "random": torch.get_rng_state(), "numpy": torch.tensor(np.random.get_state()[1][:5])}


def steps(case: Case, model: nn.Module, optimizer: torch.optim.Optimizer, scaler: Any, watched: Any) -> None:
    def backward(step: int) -> Tensor:
        inputs, labels = case.inputs(step, torch.randn(case.batch, 6)), case.labels(step, torch.arange(case.batch) % 4)
        with torch.autocast("cpu", dtype=case.autocast or torch.bfloat16, enabled=case.autocast is not None):
            loss = case.loss(model(inputs), labels)
        scaler.scale(loss).backward()
        return loss

    for step in range(6):
        optimizer.zero_grad()
        if isinstance(optimizer, torch.optim.LBFGS):
            loss = optimizer.step(lambda: backward(step))  # type: ignore[arg-type, return-value]  # noqa: B023
        else:
            for _ in range(case.micro_batches):
                loss = backward(step)
            scaler.step(optimizer)
            scaler.update()
        if watched is not None:
            watched.step(loss)


def events_of(path: Path) -> list[Any]:
    with Session.open(path) as session:
        assert session.events(kinds=["instrument-failed"]) == []
        return session.events(kinds=["non-finite"])


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    for name, value in one.items():
        assert np.array_equal(value.numpy(), other[name].numpy(), equal_nan=value.is_floating_point()), name


@pytest.mark.filterwarnings("ignore:var")
@pytest.mark.parametrize("name", CASES)
def test_the_producer_is_named_and_the_training_is_the_same(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    _, bare = train(case, None)
    _, seen = train(case, tmp_path / "run.convdebug")
    assert_same(bare, seen)
    events = events_of(tmp_path / "run.convdebug")
    assert [event.step for event in events[:1]] == [case.step]
    found = events[0].data
    assert {key: found[key] for key in case.expected} == case.expected
    if found["operator"] and found["direction"] in ("forward", "backward"):
        assert found["inputs"]
    if found["module"] is not None and found["direction"] in ("forward", "backward"):
        assert found["code"] is None or "test_origin.py:" in found["code"] or name == "a row that is masked altogether"


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_training_gives_no_event_and_is_the_same(name: str, tmp_path: Path) -> None:
    case = HEALTHY[name]
    _, bare = train(case, None)
    _, seen = train(case, tmp_path / "run.convdebug")
    assert_same(bare, seen)
    assert events_of(tmp_path / "run.convdebug") == []


def test_what_a_module_counts_and_appends_is_not_counted_twice(tmp_path: Path) -> None:
    model, _ = train(CASES["otherwise at the fourth call"], tmp_path / "run.convdebug")
    assert isinstance(model, Counting)
    assert (model.calls, len(model.seen)) == (6, 6)


def test_only_the_first_is_told_and_not_what_follows_from_it(tmp_path: Path) -> None:
    train(CASES["NaN in the inputs"], tmp_path / "run.convdebug")
    assert len(events_of(tmp_path / "run.convdebug")) == 1


def test_inputs_changed_in_place_after_the_forward_are_said(tmp_path: Path) -> None:
    model = nn.Sequential(Apply(lambda x: x * 2 + 1), net(torch.sqrt))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug") as watched:
        inputs = torch.randn(8, 6)
        loss = entropy(model(inputs), torch.arange(8) % 4)
        inputs.zero_()
        loss.backward()
        optimizer.step()
        watched.step(loss)
    assert events_of(tmp_path / "run.convdebug")[0].data["inputs_changed"]


def test_a_model_whose_parts_are_called_one_by_one_gives_the_operator_alone(tmp_path: Path) -> None:
    model = net(torch.log)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug") as watched:
        hidden = torch.randn(8, 6)
        for layer in model:  # type: ignore[attr-defined]
            hidden = layer(hidden)
        loss = entropy(hidden, torch.arange(8) % 4)
        loss.backward()
        optimizer.step()
        watched.step(loss)
    found = events_of(tmp_path / "run.convdebug")[0].data
    assert (found["operator"], found["module"]) == ("log", None)


class Late:
    """A copy to the host that arrives when it is told to."""

    def __init__(self) -> None:
        self.here = False

    def query(self) -> bool:
        return self.here

    def synchronize(self) -> None:
        self.here = True


@pytest.mark.parametrize(("here", "direction", "operator"), [(False, "unknown", None), (True, "forward", "sqrt")])
def test_a_device_that_runs_behind_is_judged_in_time_or_claims_no_producer(
    here: bool, direction: str, operator: str | None, tmp_path: Path
) -> None:
    model = net(torch.sqrt)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug") as watched:
        arrivals: list[Late] = []

        def start(values: Tensor) -> tuple[Tensor, Late]:
            arrivals.append(Late())
            return values.clone(), arrivals[-1]

        watched._scene.readback._start = Readback(start)._start
        watched._origin._on_host = False
        watched._origin._reads_at_once = lambda root: False  # type: ignore[method-assign]
        for _ in range(3):
            loss = entropy(model(torch.randn(8, 6)), torch.arange(8) % 4)
            optimizer.zero_grad()
            loss.backward()
            for arrival in arrivals:
                arrival.here = here
            optimizer.step()
            watched.step(loss.detach())
    found = events_of(tmp_path / "run.convdebug")
    assert [(each.step, each.data["direction"], each.data["operator"]) for each in found] == [(0, direction, operator)]
    assert ("producer is unknown" in found[0].data["note"]) is not here


def test_the_examples_of_the_batch_are_numbered_as_in_the_data_set(tmp_path: Path) -> None:
    model = net(torch.relu)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug") as watched:
        watched.examples = lambda: range(100, 108)
        loss = entropy(model(row_3(NAN, 0)(0, torch.randn(8, 6))), torch.arange(8) % 4)
        loss.backward()
        optimizer.step()
        watched.step(loss)
    assert events_of(tmp_path / "run.convdebug")[0].data["examples"] == [103]


def test_isolated_modules_work_on_copies() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3))
    model[1].weight = nn.Parameter(torch.ones(3, 3))
    before = {name: (each, each.clone(), each._version) for name, each in model.state_dict(keep_vars=True).items()}
    with isolated(model):
        model(torch.randn(4, 3))
        with torch.no_grad():
            model[1].weight.fill_(7.0)
        model[0].extra = 1
    for name, each in model.state_dict(keep_vars=True).items():
        assert each is before[name][0]
        assert torch.equal(each, before[name][1])
        assert each._version == before[name][2]
    assert not hasattr(model[0], "extra")


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ([1.0, 2.0], State()),
        ([NAN, 1.0], State(nan=True)),
        ([INF, NAN, -INF], State(True, True, True)),
        ([-INF, 0.0], State(below=True)),
        ([], State()),
    ],
)
def test_the_state_of_a_tensor_tells_nan_and_both_infinities_apart(values: list[float], state: State) -> None:
    assert state_of(torch.tensor(values)) == state


def test_statistics_are_of_the_finite_values() -> None:
    facts = described(torch.tensor([[0.0, 2.0], [NAN, INF]]), "x")
    assert facts["mean"] == 1.0
    assert (facts["zeros"], facts["nan"], facts["inf"], facts["size"]) == (1, 1, 1, 4)


def test_operators_are_named_as_people_write_them() -> None:
    x = torch.ones(2, requires_grad=True)
    assert [operator_of(node.grad_fn) for node in (x.sqrt(), x / x, x.log_softmax(0))] == ["sqrt", "div", "log_softmax"]
