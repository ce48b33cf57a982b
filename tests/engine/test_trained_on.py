"""Whether a watch sees that an evaluation is of examples that were trained on, and is silent where that is meant."""

from __future__ import annotations

import copy
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

import convdebug
from convdebug.instruments import INSTRUMENTS, evaluated, trained_on
from convdebug.instruments.evaluated import is_looked_at
from convdebug.instruments.fingerprints import VALUES, Fingerprints, keys_in
from convdebug.instruments.readback import Readback
from convdebug.instruments.trained_on import TrainedOn, Training
from convdebug.rules import diagnose
from convdebug_sessions import Session

RULE = "train-val-overlap"
generator = torch.Generator().manual_seed(0)
x = torch.randn(600, 6, generator=generator)
y = (x[:, 0] > 0).long()
TRAIN, VAL = slice(0, 300), slice(300, 600)
LEAKING = torch.cat([x[VAL][:140], x[TRAIN][:60]])  # a third of them is of the training data
LEAKING_Y = (LEAKING[:, 0] > 0).long()

Evaluate = Callable[[nn.Module], Any]
Batches = Callable[[], Iterator[tuple[Tensor, Tensor]]]


def classifier(inputs: int = 6) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(inputs, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def indexed(inputs: Tensor = x[TRAIN], labels: Tensor = y[TRAIN], size: int = 30) -> Batches:
    """Batches without a loader, each a copy: nothing tells of which tensor it was a part."""

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for chosen in torch.randperm(len(inputs)).split(size):
            yield inputs[chosen], labels[chosen]

    return batches


def loader(*tensors: Tensor, size: int = 30, shuffle: bool = False) -> DataLoader[Any]:
    return DataLoader(TensorDataset(*tensors), batch_size=size, shuffle=shuffle)


def accuracy(model: nn.Module, batches: Any) -> float:
    with torch.no_grad():
        right = [(model(inputs).argmax(1) == labels).float().mean() for inputs, labels in batches]
    return float(torch.stack(right).mean())


def evaluated_with(model: nn.Module, evaluate: Evaluate) -> Any:
    model.eval()
    with torch.no_grad():
        found = evaluate(model)
    model.train()
    return found


def train(
    path: Path,
    batches: Any,
    evaluate: Evaluate,
    model: nn.Module | None = None,
    epochs: int = 6,
    told: bool = False,
    every_step: bool = False,
    **settings: Any,
) -> nn.Module:
    """Trains, evaluated after each epoch or step; every step is measured unless something else is said."""
    model = classifier() if model is None else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with convdebug.watch(model, optimizer, session=path, **{"every": 1, **settings}) as watched:
        for _ in range(epochs):
            for inputs, labels in batches():
                optimizer.zero_grad()
                F.cross_entropy(model(inputs), labels).backward()
                optimizer.step()
                watched.step()
                if every_step:
                    evaluated_with(model, evaluate)
            found = evaluated_with(model, evaluate)
            if told:
                watched.validation(loss=float(found))
    return model


def said(path: Path) -> list[str]:
    """What the rule says; the instrument has not failed."""
    with Session.open(path) as session:
        assert not session.events(kinds=["instrument-failed"])
        return [each.message for each in diagnose(session) if each.rule == RULE]


def seen(path: Path) -> list[Any]:
    with Session.open(path) as session:
        return [event.data for event in session.events(kinds=["seen-in-training"])]


# sick


@pytest.mark.parametrize("fetched", ["indexed", "by a loader"])
@pytest.mark.parametrize("validated", ["at once", "by views", "by a loader"])
def test_validation_that_shares_examples_with_the_training_is_told_with_its_counts(fetched, validated, tmp_path):
    batches = indexed() if fetched == "indexed" else loader(x[TRAIN], y[TRAIN], shuffle=True).__iter__
    held_out = loader(LEAKING, LEAKING_Y, size=40)

    def evaluate(model: nn.Module) -> Any:
        parts = {"at once": [LEAKING], "by views": LEAKING.split(40), "by a loader": (each for each, _ in held_out)}
        return [model(part) for part in parts[validated]]

    train(tmp_path / "s", batches, evaluate)
    (message,) = said(tmp_path / "s")
    assert "Of 200 examples that were looked at in the evaluation before step 60" in message
    assert "at least 60 (30.0%) had been trained on" in message


@pytest.mark.parametrize("fetched", ["indexed", "by a loader"])
def test_a_loader_of_validation_that_was_given_the_training_examples_is_told(fetched, tmp_path):
    batches = indexed() if fetched == "indexed" else loader(x[TRAIN], y[TRAIN], shuffle=True).__iter__
    held_out = loader(x[TRAIN].clone(), y[TRAIN])
    train(tmp_path / "s", batches, lambda model: accuracy(model, held_out))
    assert "at least 300 (100.0%)" in said(tmp_path / "s")[0]


def test_where_the_loop_says_that_it_validates_all_examples_may_be_of_the_training_data(tmp_path):
    batches = indexed()
    train(tmp_path / "s", batches, lambda model: model(x[TRAIN]).mean(), told=True)
    assert said(tmp_path / "s")
    train(tmp_path / "t", batches, lambda model: model(x[TRAIN]).mean())
    assert not said(tmp_path / "t")


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.words, self.head = nn.Embedding(50, 8), nn.Linear(8, 2)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.words(words).mean(1))


WORDS = torch.randint(0, 50, (600, 12), generator=generator)


def test_sentences_of_words_are_known_again(tmp_path):
    leaking = torch.cat([WORDS[VAL][:100], WORDS[TRAIN][:50]])
    batches = loader(WORDS[TRAIN], y[TRAIN], shuffle=True)
    train(tmp_path / "s", batches.__iter__, lambda model: model(leaking), Words())
    assert "at least 50 " in said(tmp_path / "s")[0]


def test_the_last_micro_batch_before_an_update_is_known_again(tmp_path):
    model, path = classifier(), tmp_path / "s"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for _ in range(8):
            for place, (inputs, labels) in enumerate(indexed()()):
                F.cross_entropy(model(inputs), labels).backward()
                if place % 2:
                    optimizer.step()
                    optimizer.zero_grad()
                    watched.step()
            evaluated_with(model, lambda model: model(LEAKING))
    assert said(path)


def test_what_was_measured_now_and_then_is_a_lower_bound(tmp_path):
    train(tmp_path / "s", indexed(), lambda model: model(LEAKING), epochs=8, every=4)
    kept = [event["training"]["kept"] for event in seen(tmp_path / "s")]
    trained = [event["parts"][0]["trained"] for event in seen(tmp_path / "s")]
    assert 0 < kept[0] < 150 < kept[-1] < 300
    assert 0 < trained[0] < trained[-1] < 60
    assert f"at least {trained[-1]} " in said(tmp_path / "s")[0]


def test_numbers_that_arrive_late_from_a_device_are_counted_too(tmp_path, monkeypatch):
    class Late:
        def query(self) -> bool:
            return False

        def synchronize(self) -> None: ...

    late = lambda: Readback(lambda values: (values.clone(), Late()))  # noqa: E731
    monkeypatch.setattr(sys.modules["convdebug.watch"], "Readback", late)
    train(tmp_path / "s", indexed(), lambda model: [model(part) for part in LEAKING.split(40)])
    assert "at least 60 " in said(tmp_path / "s")[0]
    assert len(seen(tmp_path / "s")) == 6


# healthy


def clean(model: nn.Module) -> Any:
    return model(x[VAL])


@pytest.mark.parametrize("fetched", ["indexed", "by a loader"])
def test_clean_validation_is_looked_at_and_found_clean(fetched, tmp_path):
    batches = indexed() if fetched == "indexed" else loader(x[TRAIN], y[TRAIN], shuffle=True).__iter__
    held_out = loader(x[VAL], y[VAL])
    train(tmp_path / "s", batches, lambda model: accuracy(model, held_out))
    assert not said(tmp_path / "s")
    assert [part["different"] for part in seen(tmp_path / "s")[-1]["parts"]] == [300]
    assert [part["trained"] for part in seen(tmp_path / "s")[-1]["parts"]] == [0]


def by_second_loader(model: nn.Module) -> Any:
    accuracy(model, loader(x[TRAIN].clone(), y[TRAIN]))
    return accuracy(model, loader(x[VAL], y[VAL]))


def by_subset(model: nn.Module) -> Any:
    """A part of the training data, of the same dataset as that which is trained on."""
    accuracy(model, DataLoader(Subset(TensorDataset(x, y), range(100)), batch_size=20))
    return accuracy(model, DataLoader(Subset(TensorDataset(x, y), range(300, 400)), batch_size=20))


class Splits(Dataset[tuple[Tensor, Tensor]]):
    """One dataset, which gives one split after the other."""

    split = TRAIN

    def __len__(self) -> int:
        return 300

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        return x[self.split][place].clone(), y[self.split][place]


def by_one_dataset(model: nn.Module) -> Any:
    splits = Splits()
    for splits.split in (TRAIN, VAL):
        accuracy(model, DataLoader(splits, batch_size=50))


def by_copies(model: nn.Module) -> Any:
    """Both splits in small copies, as a function that draws batches gives them."""
    for split in (x[TRAIN], x[VAL]):
        for chosen in torch.randperm(300, generator=generator)[:160].split(16):
            model(split[chosen])


def by_both_tensors(model: nn.Module) -> Any:
    return model(x[TRAIN]), model(x[VAL])


@pytest.mark.parametrize("evaluate", [by_second_loader, by_subset, by_one_dataset, by_copies, by_both_tensors])
@pytest.mark.parametrize("fetched", ["indexed", "by a loader"])
def test_the_accuracy_of_training_beside_a_clean_validation_is_healthy(evaluate, fetched, tmp_path):
    batches = indexed() if fetched == "indexed" else loader(x[TRAIN], y[TRAIN], shuffle=True).__iter__
    train(tmp_path / "s", batches, evaluate)
    assert sum(part["trained"] for event in seen(tmp_path / "s") for part in event["parts"]) > 100
    assert not said(tmp_path / "s")


@pytest.mark.parametrize("part", [slice(0, 300), slice(40, 160)])
@pytest.mark.parametrize("copied", [True, False])
def test_training_data_alone_are_evaluated_on_purpose(part, copied, tmp_path):
    def evaluate(model: nn.Module) -> Any:
        chosen = torch.randperm(300, generator=generator)
        return [model(x[chosen[at]]) for at in chosen[part].split(20)] if copied else model(x[part])

    train(tmp_path / "s", indexed(), evaluate)
    assert seen(tmp_path / "s")
    assert not said(tmp_path / "s")


@pytest.mark.parametrize("inputs", [x, WORDS])
@pytest.mark.parametrize("fetched", ["indexed", "by a loader"])
def test_the_batch_that_was_just_trained_on_is_no_validation(inputs, fetched, tmp_path):
    batches = indexed(inputs[TRAIN]) if fetched == "indexed" else loader(inputs[TRAIN], y[TRAIN]).__iter__
    model = classifier() if inputs is x else Words()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with convdebug.watch(model, optimizer, session=tmp_path / "s", every=1) as watched:
        for _ in range(4):
            for given, labels in batches():
                optimizer.zero_grad()
                F.cross_entropy(model(given), labels).backward()
                optimizer.step()
                watched.step()
                evaluated_with(model, lambda model, given=given: model(given))
    assert not seen(tmp_path / "s")
    assert not said(tmp_path / "s")


def test_a_full_batch_and_its_own_tensor_are_the_training_data(tmp_path):
    train(tmp_path / "s", lambda: iter([(x[TRAIN], y[TRAIN])]), lambda model: model(x[TRAIN]), epochs=20)
    assert not seen(tmp_path / "s")


def test_a_full_batch_beside_clean_validation_at_every_step(tmp_path):
    inputs, labels = x[TRAIN].clone(), y[TRAIN]
    train(tmp_path / "s", lambda: iter([(inputs, labels)]), clean, epochs=40)
    assert len(seen(tmp_path / "s")) == 10  # the first eight, then powers of two
    assert not said(tmp_path / "s")


XOR = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


@pytest.mark.parametrize("kinds", [4, 60, 400])
@pytest.mark.parametrize("told", [True, False])
def test_data_of_few_different_examples_meet_each_other_by_chance(kinds, told, tmp_path):
    """Yes and no, a table of categories, constant pictures."""
    table = torch.randn(kinds, 6, generator=generator)
    inputs = table[torch.randint(0, kinds, (900,), generator=generator)]
    labels = (inputs[:, 0] > 0).long()
    train(
        tmp_path / "s",
        indexed(inputs[:600], labels[:600], size=60),
        lambda model: model(inputs[600:]).mean(),
        told=told,
    )
    assert seen(tmp_path / "s")[-1]["parts"][0]["trained"] > min(3, kinds - 1)
    assert not said(tmp_path / "s")


def test_exclusive_or_is_tested_on_what_it_is_trained_on(tmp_path):
    model = classifier(2)
    train(tmp_path / "s", lambda: iter([(XOR, torch.tensor([0, 1, 1, 0]))]), lambda m: m(XOR.clone()).mean(), model,
          epochs=40, told=True)  # fmt: skip
    assert not said(tmp_path / "s")


def test_random_augmentation_gives_examples_that_nobody_knows_again(tmp_path):
    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for inputs, labels in indexed()():
            yield inputs + 0.1 * torch.randn_like(inputs), labels

    train(tmp_path / "s", batches, lambda model: model(LEAKING))
    assert seen(tmp_path / "s")[-1]["parts"][0]["trained"] == 0
    assert not said(tmp_path / "s")


def test_cross_validation_with_one_model_was_clean_at_first(tmp_path):
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    folds = torch.arange(600).chunk(4)
    with convdebug.watch(model, optimizer, session=tmp_path / "s", every=1) as watched:
        for fold in range(4):
            for layer in model.children():
                if hasattr(layer, "reset_parameters"):
                    layer.reset_parameters()
            rest = torch.cat([each for place, each in enumerate(folds) if place != fold])
            held_out = loader(x[folds[fold]], y[folds[fold]])
            for _ in range(3):
                for inputs, labels in loader(x[rest], y[rest], shuffle=True):
                    optimizer.zero_grad()
                    F.cross_entropy(model(inputs), labels).backward()
                    optimizer.step()
                    watched.step()
                evaluated_with(model, lambda model, held_out=held_out: accuracy(model, held_out))
    assert seen(tmp_path / "s")[-1]["parts"][0]["trained"] == 150
    assert not said(tmp_path / "s")


def test_predictions_for_a_whole_grid_of_which_some_points_were_trained_on(tmp_path):
    grid = torch.cartesian_prod(torch.linspace(-1, 1, 30), torch.linspace(-1, 1, 30))
    known = torch.randperm(900, generator=generator)[:200]
    train(tmp_path / "s", indexed(grid[known], (grid[known, 0] > 0).long()), lambda m: m(grid), classifier(2))
    assert seen(tmp_path / "s")[-1]["parts"][0]["trained"] == 200
    assert not said(tmp_path / "s")


def test_an_average_of_the_weights_and_a_teacher_are_evaluated_on_clean_data(tmp_path):
    model = classifier()
    average = torch.optim.swa_utils.AveragedModel(model)
    teacher = copy.deepcopy(model).eval()

    def evaluate(model: nn.Module) -> Any:
        average.update_parameters(model)
        return teacher(x[VAL]), average.eval()(x[VAL]), model(x[VAL])

    train(tmp_path / "s", indexed(), evaluate, model)
    assert not said(tmp_path / "s")


def test_labels_that_the_model_gives_itself_before_each_step_are_no_validation(tmp_path):
    """In training mode and without gradients, as a target of reinforcement learning is computed too."""
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with convdebug.watch(model, optimizer, session=tmp_path / "s", every=1) as watched:
        for step in range(80):
            chosen = torch.randperm(300)[:60]
            with torch.no_grad():
                labels = model(x[torch.cat([chosen[:30], chosen[:30] + 300])]).argmax(1)[:30]
            optimizer.zero_grad()
            F.cross_entropy(model(x[chosen[:30] + 300 * (step % 2)]), labels).backward()
            optimizer.step()
            watched.step()
    assert not seen(tmp_path / "s")


def test_validation_with_recorded_gradients_is_not_taken_for_training(tmp_path):
    """The forward pass of the validation comes first after a step, and its gradients are never used."""
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with convdebug.watch(model, optimizer, session=tmp_path / "s", every=1) as watched:
        for _ in range(6):
            for inputs, labels in indexed()():
                F.cross_entropy(model(x[VAL]), y[VAL])
                optimizer.zero_grad()
                F.cross_entropy(model(inputs), labels).backward()
                optimizer.step()
                watched.step()
            evaluated_with(model, clean)
    assert seen(tmp_path / "s")[-1]["parts"][0]["trained"] == 0
    assert not said(tmp_path / "s")


def test_attacks_on_the_validation_examples_are_not_taken_for_training(tmp_path):
    """Their gradients come from backward passes too, and no update uses them."""

    def evaluate(model: nn.Module) -> Any:
        with torch.enable_grad():
            for part, labels in zip(x[VAL].split(50), y[VAL].split(50), strict=True):
                given = part.clone().requires_grad_()
                F.cross_entropy(model(given), labels).backward()
        return model(x[VAL])

    train(tmp_path / "s", indexed(), evaluate)
    assert seen(tmp_path / "s")[-1]["parts"][0]["trained"] == 0
    assert not said(tmp_path / "s")


@pytest.mark.parametrize("examples", [slice(0, 300), slice(200, 500)])
def test_what_a_trained_teacher_answers_for_its_student_is_no_validation(examples, tmp_path):
    """By a loader of their own, of which some or all were trained on."""
    teacher = classifier()
    optimizer = torch.optim.SGD(teacher.parameters(), lr=0.05)
    with convdebug.watch(teacher, optimizer, session=tmp_path / "s", every=1) as watched:
        for _ in range(2):
            for inputs, labels in indexed()():
                optimizer.zero_grad()
                F.cross_entropy(teacher(inputs), labels).backward()
                optimizer.step()
                watched.step()
        teacher.eval()
        student = classifier()
        for _ in range(3):
            for inputs, labels in loader(x[examples], y[examples], shuffle=True):
                with torch.no_grad():
                    shares = teacher(inputs).softmax(1)
                (F.cross_entropy(student(inputs), labels) + F.cross_entropy(student(inputs), shares)).backward()
    assert not said(tmp_path / "s")


def test_an_evaluation_through_a_function_call_is_as_clean(tmp_path):
    def evaluate(model: nn.Module) -> Any:
        return torch.func.functional_call(model, dict(model.named_parameters()), (x[VAL],))

    train(tmp_path / "s", indexed(), evaluate)
    assert not said(tmp_path / "s")


# what it costs and leaves alone


def by_hand(parts: list[Tensor]) -> list[int]:
    """The same fingerprints, number by number."""
    found = []
    for place in range(len(parts[0])):
        total = 0
        for number, part in enumerate(parts):
            values = part[place].to(torch.float32).reshape(-1)
            source = np.random.default_rng((11, number, len(values)))
            if len(values) > VALUES:
                values = values[torch.from_numpy(np.sort(source.choice(len(values), VALUES, replace=False)))]
            factors = source.integers(2**62, size=len(values)).tolist()
            total += sum(a * b for a, b in zip(values.view(torch.int32).tolist(), factors, strict=True))
        found.append((total >> 44) % 2**20 * 2**20 + (total >> 24) % 2**20)
    return found


@pytest.mark.parametrize("shape", [(5, 3), (300, 3, 30, 20), (70, 7)])
def test_fingerprints_are_those_computed_by_hand_whatever_batch_and_memory_they_come_from(shape):
    parts = [torch.randn(shape, generator=generator), torch.randint(0, 9, shape[:1], generator=generator)]
    prints = keys_in(Fingerprints().of(parts).reshape(-1).to(torch.float32).numpy())
    assert prints[:5] == by_hand([part[:5] for part in parts])
    assert len(set(prints)) == len(prints)
    backwards = [part.flip(0)[1:] for part in parts]
    if len(shape) == 4:
        backwards[0] = backwards[0].to(memory_format=torch.channels_last)
    again = keys_in(Fingerprints().of(backwards).reshape(-1).to(torch.float32).numpy())
    assert again[::-1] == prints[:-1]


def ended(path: Path, kinds: list[Any], monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The weights, buffers and random state at the end of a training in which dropout draws."""
    torch.manual_seed(3)
    monkeypatch.setattr(sys.modules["convdebug.watch"], "INSTRUMENTS", kinds)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 2))
    train(path, indexed(), lambda model: model(LEAKING), model)
    return [*model.state_dict().values(), torch.get_rng_state()]


def test_weights_and_random_state_are_bit_for_bit_the_same_with_and_without_it(tmp_path, monkeypatch):
    without = ended(tmp_path / "a", [kind for kind in INSTRUMENTS if kind is not TrainedOn], monkeypatch)
    with_it = ended(tmp_path / "b", INSTRUMENTS, monkeypatch)
    assert not seen(tmp_path / "a")
    assert seen(tmp_path / "b")
    assert all(torch.equal(one, other) for one, other in zip(without, with_it, strict=True))


def test_where_it_fails_the_evaluation_is_heard_all_the_same(tmp_path, monkeypatch):
    def fails(*_: Any) -> Any:
        raise RuntimeError("no fingerprints")

    def evaluate(model: nn.Module) -> Any:
        monkeypatch.setattr(Fingerprints, "of", fails)
        return F.cross_entropy(model(x[VAL]), y[VAL])

    train(tmp_path / "s", indexed(), evaluate)
    with Session.open(tmp_path / "s") as session:
        failed = [event.data["instrument"] for event in session.events(kinds=["instrument-failed"])]
        assert failed == ["trained-on"]
        assert len(session.series("val/loss")[1]) == 6


def test_only_so_many_training_examples_are_kept(monkeypatch):
    monkeypatch.setattr(trained_on, "MOST_KEPT", 50)
    training = Training()
    for start in range(0, 1000, 20):
        training.take(list(range(start, start + 20)), whole=True)
    assert training.as_data()["kept"] < 50 + 20
    training.take(list(range(20)), whole=True)
    assert training.as_data()["known"] == 20


def test_pairs_are_counted_until_examples_come_again():
    training = Training()
    for epoch in range(3):
        for start in range(0, 100, 10):
            training.take(list(range(start, start + 10)), whole=True)
        data = training.as_data()
        assert (data["kept"], data["seen"], data["pairs"]) == (100, 100, 0)
        assert data["known"] == 100 * epoch


@pytest.mark.parametrize("batches", [10, 100, 1000, 10_000])
def test_a_long_evaluation_is_looked_at_all_along_and_ever_more_rarely(batches):
    looked_at = [place for place in range(batches) if is_looked_at(place)]
    assert looked_at[:10] == list(range(10))
    assert len(looked_at) <= 16 + 8 * max(0, batches.bit_length() - 4)
    assert all(after - before <= max(1, before / 7) for before, after in itertools.pairwise(looked_at))


def test_an_evaluation_of_many_single_batches_keeps_few_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluated, "MOST_PARTS", 20)
    train(tmp_path / "s", indexed(), lambda model: [model(x[VAL][torch.arange(8)]) for _ in range(200)], epochs=2)
    parts = seen(tmp_path / "s")[-1]["parts"]
    assert len(parts) == 20
    assert {part["looked_at"] for part in parts} == {8}


class Pictures(Dataset[tuple[Tensor, int]]):
    def __len__(self) -> int:
        return 5000

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return torch.full((1, 4, 4), float(place)), place % 2


def test_few_examples_of_a_large_batch_are_looked_at(tmp_path):
    held_out = DataLoader(Pictures(), batch_size=2500)
    model = nn.Sequential(nn.Flatten(), classifier(16))
    train(tmp_path / "s", indexed(torch.randn(300, 1, 4, 4)), lambda model: accuracy(model, held_out), model, epochs=1)
    (part,) = seen(tmp_path / "s")[0]["parts"]
    assert part["given"] == 5000
    assert 1000 < part["looked_at"] <= 1024 + 512
