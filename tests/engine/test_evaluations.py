"""What is found in evaluations that a loop makes by itself, between the steps of a watched training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader, TensorDataset

import convdebug
from convdebug.instruments.accuracy import share_right
from convdebug.instruments.findings import Mean
from convdebug.instruments.losses import listen, stop_listening
from convdebug_sessions import Session

x = torch.randn(120, 6, generator=torch.Generator().manual_seed(0))
y = (x[:, 0] > 0).long()
HELD_OUT = TensorDataset(x[60:], y[60:])


def found(
    tmp_path: Path, model: nn.Module, loss_of: Callable[[Any], Tensor], evaluate: Callable[[], None]
) -> dict[str, list[float]]:
    """Trains for four steps with one evaluation in the middle; the `val` series of the session, as lists."""
    train = DataLoader(TensorDataset(x[:60], y[:60]), batch_size=30)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "s.convdebug"
    with convdebug.watch(model, optimizer, session=path) as watched:
        for epoch in range(2):
            model.train()
            for batch in train:
                optimizer.zero_grad()
                loss_of(batch).backward()
                optimizer.step()
                watched.step()
            if epoch == 0:
                model.eval()
                with torch.no_grad():
                    evaluate()
    with Session.open(path) as session:
        assert not session.events(kinds=["instrument-failed"])
        names = [name for name in session.series_names() if name.startswith("val")]
        return {name: session.series(name)[1].tolist() for name in names}


def classifier() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def cross_entropy_of(model: nn.Module) -> Callable[[Any], Tensor]:
    return lambda batch: F.cross_entropy(model(batch[0]), batch[1])


class AnswersWithLoss(nn.Module):
    """A loss that no function of torch computes, or one that does, inside `forward`."""

    def __init__(self, by_hand: bool) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer, self.by_hand = nn.Linear(6, 2), by_hand

    def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        scores = self.layer(inputs)
        loss = F.cross_entropy(scores, labels)
        if self.by_hand:
            loss = -F.logsigmoid(scores[:, 0]).mean()
        return {"scores": scores, "loss": loss}


class LossAlone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(6, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        return -F.logsigmoid(self.layer(inputs)).mean()


@pytest.mark.parametrize("parts", [1, 3])
def test_a_loss_that_the_model_itself_answers_is_found_in_an_evaluation(parts: int, tmp_path: Path) -> None:
    model, told = LossAlone(), []

    def evaluate() -> None:
        for inputs in (x[60:100], x[100:]):
            told.append(model(inputs).item())

    series = found(tmp_path, model, lambda batch: model(batch[0]) / parts, evaluate)
    assert series == {"val/loss": [pytest.approx((told[0] * 40 + told[1] * 20) / 60)]}


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_loss_inside_the_forward_pass_is_counted_from_the_first_batch_on(by_hand: bool, tmp_path: Path) -> None:
    model = AnswersWithLoss(by_hand)
    losses, right = [], 0

    def evaluate() -> None:
        nonlocal right
        for inputs, labels in DataLoader(HELD_OUT, batch_size=20):
            answer = model(inputs=inputs, labels=labels)
            losses.append(answer["loss"].item())
            right += int((answer["scores"].argmax(-1) == labels).sum())

    series = found(tmp_path, model, lambda batch: model(*batch)["loss"], evaluate)
    assert series["val/accuracy"] == [pytest.approx(right / 60)]
    if not by_hand:
        assert series["val/loss"] == [pytest.approx(sum(losses) / 3)]
        assert set(series) == {"val/loss", "val/accuracy"}


def _evaluated_twice_a_batch(net: nn.Module) -> tuple[float, float]:
    loss = right = 0.0
    for inputs, labels in DataLoader(HELD_OUT, batch_size=20):
        loss += F.cross_entropy(net(inputs), labels, reduction="sum").item()
        right += (net(inputs).argmax(1) == labels).sum().item()
    return loss / 60, right / 60


def _evaluated_at_once(net: nn.Module) -> tuple[float, float]:
    loss = F.cross_entropy(net(x[60:]), y[60:]).item()
    return loss, (net(x[60:]).argmax(1) == y[60:]).float().mean().item()


def test_answers_that_are_put_together_before_the_loss_are_an_evaluation(tmp_path: Path) -> None:
    model, told = classifier(), []

    def evaluate() -> None:
        scores = torch.cat([model(part) for part in x[60:].split(25)])
        told.append(F.cross_entropy(scores, y[60:]).item())
        told.append((scores.argmax(1) == y[60:]).float().mean().item())

    series = found(tmp_path, model, cross_entropy_of(model), evaluate)
    assert [series["val/loss"], series["val/accuracy"]] == [[pytest.approx(each)] for each in told]


@pytest.mark.parametrize("evaluated", [_evaluated_twice_a_batch, _evaluated_at_once])
def test_a_copy_of_the_model_is_not_mixed_into_its_evaluation(
    evaluated: Callable[[nn.Module], tuple[float, float]], tmp_path: Path
) -> None:
    model = classifier()
    average, told = copy.deepcopy(model).eval(), []

    def evaluate() -> None:
        told.append(evaluated(model))
        assert evaluated(average) != told[0]

    series = found(tmp_path, model, cross_entropy_of(model), evaluate)
    assert series["val/loss"] == [pytest.approx(told[0][0])]
    assert series["val/accuracy"] == [pytest.approx(told[0][1])]


def test_a_pass_over_the_training_data_is_no_evaluation(tmp_path: Path) -> None:
    model = classifier()
    train = DataLoader(TensorDataset(x[:60], y[:60]), batch_size=30)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "s.convdebug"
    with convdebug.watch(model, optimizer, session=path) as watched:
        for inputs, labels in train:
            optimizer.zero_grad()
            F.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
            watched.step()
        with torch.no_grad():
            for inputs, labels in train:
                F.cross_entropy(model(inputs), labels)
    with Session.open(path) as session:
        assert not [name for name in session.series_names() if name.startswith("val")]


def test_every_evaluation_by_a_loader_is_heard_where_training_batches_come_from_none(tmp_path: Path) -> None:
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path, told = tmp_path / "s.convdebug", []
    with convdebug.watch(model, optimizer, session=path) as watched:
        for _ in range(3):
            model.train()
            for chosen in torch.randperm(60).split(20):
                optimizer.zero_grad()
                F.cross_entropy(model(x[chosen]), y[chosen]).backward()
                optimizer.step()
                watched.step()
            model.eval()
            with torch.no_grad():
                told.append(gathered_loss(model, DataLoader(HELD_OUT, batch_size=60)))
    with Session.open(path) as session:
        assert session.series("val/loss")[1].tolist() == pytest.approx(told)


def test_recomputing_the_statistics_of_batch_norm_is_no_evaluation(tmp_path: Path) -> None:
    model = classifier()

    def evaluate() -> None:
        update_bn(DataLoader(HELD_OUT, batch_size=20), model)

    assert found(tmp_path, model, cross_entropy_of(model), evaluate) == {}
    with Session.open(tmp_path / "s.convdebug") as session:
        assert not [name for name in session.series_names() if name.startswith("evaluation/")]


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 3)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([[-1.0], [1.0], [0.0]]))
            self.layer.bias.zero_()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs.unsqueeze(-1)).transpose(1, 2)


def sentences() -> Iterator[tuple[Tensor, Tensor]]:
    """Two batches of which different shares are padded."""
    labels = (x > 0).long()
    for part, length in ((slice(60, 80), 2), (slice(80, 120), 5)):
        tags = labels[part].clone()
        tags[:, length:] = -1
        yield x[part], tags


@pytest.mark.parametrize("ignored", [-100, 2])
def test_ignored_labels_count_neither_as_right_nor_as_wrong(ignored: int, tmp_path: Path) -> None:
    model = Tagger()
    criterion = nn.CrossEntropyLoss(ignore_index=ignored)
    right = known = 0

    def evaluate() -> None:
        nonlocal right, known
        for inputs, tags in sentences():
            tags = torch.where(tags < 0, ignored, tags)
            scores = model(inputs)
            criterion(scores, tags)
            kept = tags != ignored
            right += int((scores.argmax(1)[kept] == tags[kept]).sum())
            known += int(kept.sum())

    series = found(tmp_path, model, lambda batch: criterion(model(batch[0]), (batch[0] > 0).long()), evaluate)
    assert right > known / 2
    assert series["val/accuracy"] == [pytest.approx(right / known)]


@pytest.mark.parametrize(("ignored", "share"), [(-100, 2 / 3), (0, 1.0), (1, 0.5)])
def test_the_share_of_right_answers_knows_what_its_loss_ignores(ignored: int, share: float) -> None:
    scores, labels = torch.eye(3), torch.tensor([0, 1, 0])
    listener = lambda *told: None  # noqa: E731
    listen(listener)
    try:
        F.cross_entropy(scores, labels, ignore_index=ignored)
        assert share_right("cross_entropy", scores, labels) == pytest.approx(share)
        F.cross_entropy(scores, labels)
    finally:
        stop_listening(listener)


def test_a_mean_is_weighted_by_what_was_counted_also_where_the_counts_stay_on_a_device() -> None:
    numbers, tensors = Mean(), Mean()
    assert not tensors.filled
    for right, known in ((3, 4), (0, 0), (1, 6)):
        numbers.add_sum(right, known)
        tensors.add_sum(torch.tensor(float(right)), torch.tensor(float(known)))
    assert numbers.value() == pytest.approx(0.4)
    assert float(tensors.value()) == pytest.approx(0.4)
    nothing = Mean()
    nothing.add_sum(torch.tensor(0.0), torch.tensor(0.0))
    assert float(nothing.value()) == 0


def gathered_loss(model: nn.Module, batches: Any) -> float:
    """Every answer kept, and one loss of them all at the end."""
    gathered = [(model(inputs), labels) for inputs, labels in batches]
    scores, labels = (torch.cat(parts) for parts in zip(*gathered, strict=True))
    return F.cross_entropy(scores, labels).item()


@pytest.mark.parametrize("held_out", [True, False])
@pytest.mark.parametrize("by_loader", [True, False])
def test_answers_gathered_over_the_training_data_and_judged_at_once_are_no_validation(tmp_path, by_loader, held_out):
    model, validation = classifier(), TensorDataset(x[60:100].clone(), y[60:100].clone())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    splits: list[Any] = [TensorDataset(x[:60], y[:60]), validation]
    if by_loader:
        splits = [DataLoader(data, batch_size=20) for data in splits]
    else:
        splits = [list(zip(*(each.split(20) for each in data.tensors), strict=True)) for data in splits]
    train, wanted, path = splits[0], [], tmp_path / "s.convdebug"
    with convdebug.watch(model, optimizer, session=path) as watched:
        for _ in range(2):
            model.train()
            for inputs, labels in train:
                optimizer.zero_grad()
                F.cross_entropy(model(inputs), labels).backward()
                optimizer.step()
                watched.step()
            model.eval()
            with torch.no_grad():
                gathered_loss(model, train)
                wanted += [gathered_loss(model, splits[1])] if held_out else []
    with Session.open(path) as session:
        assert not session.events(kinds=["instrument-failed"])
        names = [name for name in session.series_names() if name == "val/loss"]
        assert [value for name in names for value in session.series(name)[1]] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("ignored", [-100, 1])
def test_labels_that_the_loss_ignores_do_not_count_where_the_loop_compares_all_of_them(tmp_path, ignored):
    """Answers of 0 throughout, all labels that count are 0; the others are compared too, and masked afterwards."""
    model = nn.Linear(6, 2)
    torch.nn.init.zeros_(model.weight)
    model.bias.data = torch.tensor([9.0, 0.0])
    labels = torch.zeros(60, dtype=torch.long)
    padded = torch.where(torch.arange(60) % 3 == 0, ignored, labels)

    def loss_of(batch):
        return F.cross_entropy(model(batch[0]), torch.zeros(30, dtype=torch.long), ignore_index=ignored)

    def evaluate():
        for inputs, wanted in DataLoader(TensorDataset(x[60:], padded), batch_size=30):
            answer = model(inputs).argmax(1)
            assert (answer == wanted)[wanted != ignored].all()

    assert found(tmp_path, model, loss_of, evaluate)["val/accuracy"] == [1.0]


class TwoHeads(nn.Module):
    """Answers with classes and with a number."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.classes, self.number = nn.Linear(6, 2), nn.Linear(6, 1)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.classes(inputs), self.number(inputs).squeeze(1)


@pytest.mark.parametrize(("weight", "alone"), [(1.0, False), (0.3, False), (1.0, True)])
def test_of_several_losses_an_evaluation_adds_up_what_the_training_adds_up(tmp_path, weight, alone):
    """Where the training weighs them, or the evaluation computes one of them alone, it is said to be a part."""
    model, means = TwoHeads(), []

    def parts(batch):
        classes, number = model(batch[0])
        return F.cross_entropy(classes, batch[1]), F.mse_loss(number, batch[0][:, 1])

    def evaluate():
        for batch in DataLoader(HELD_OUT, batch_size=30):
            first, second = parts(batch) if not alone else (F.cross_entropy(model(batch[0])[0], batch[1]), 0.0)
            means.append(float(first + second))

    def total(batch):
        first, second = parts(batch)
        return first + weight * second

    series = found(tmp_path, model, total, evaluate)
    with Session.open(tmp_path / "s.convdebug") as session:
        said = session.run().info.get("evaluated_loss")
    if weight == 1.0 and not alone:
        assert said is None
        assert series["val/loss"] == [pytest.approx(sum(means) / len(means))]
    else:
        assert said == "part"


@pytest.mark.parametrize(
    "what", ["a metric", "an evaluation with gradients", "a share of the sum", "sums over the batch"]
)
def test_only_functions_that_the_training_adds_up_are_parts_of_its_loss(tmp_path, what):
    """And those that are summed over the batch are not added: their mean is of another size."""
    model, means = TwoHeads(), []
    reduction = "sum" if what == "sums over the batch" else "mean"

    def parts(batch):
        classes, number = model(batch[0])
        return (
            F.cross_entropy(classes, batch[1], reduction=reduction),
            F.mse_loss(number, batch[0][:, 1], reduction=reduction),
        )

    def total(batch):
        if what == "an evaluation with gradients":
            first = F.cross_entropy(model(batch[0])[0], batch[1])
            F.mse_loss(model(x[60:90])[1], x[60:90, 1])
            return first
        first, second = parts(batch)
        return {"a metric": first, "a share of the sum": (first + second) / 4}.get(what, first + second)

    def evaluate():
        for batch in DataLoader(HELD_OUT, batch_size=30):
            first, second = parts(batch)
            means.append(float(first if what in ("a metric", "an evaluation with gradients") else first + second))

    series = found(tmp_path, model, total, evaluate)
    with Session.open(tmp_path / "s.convdebug") as session:
        said = session.run().info.get("evaluated_loss")
    assert said == ("part" if reduction == "sum" else None)
    if reduction == "mean" and what == "a share of the sum":
        assert series["val/loss"] == [pytest.approx(sum(means) / len(means))]
