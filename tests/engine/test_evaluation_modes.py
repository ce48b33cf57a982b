"""Training and evaluation are told apart by what is done, not by the mode that the model was left in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import convdebug
from convdebug.rules import diagnose
from convdebug_sessions import Session

x = torch.randn(300, 6, generator=torch.Generator().manual_seed(0))
y = (x[:, 0] > 0).long()
EPOCHS, STEPS = 4, 10


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))


def never(model: nn.Sequential) -> None:
    pass


def training(model: nn.Sequential) -> None:
    model.train()


def but_norm(model: nn.Sequential) -> None:
    model.train()
    model[1].eval()


def frozen_norm(model: nn.Sequential) -> None:
    but_norm(model)
    model[1].requires_grad_(False)


MODES: dict[str, tuple[bool, Callable[[nn.Sequential], None], str | None]] = {
    "evaluation mode from the beginning": (True, never, "warning"),
    "evaluation mode left behind by the evaluation": (False, never, "warning"),
    "only batch norm in evaluation mode": (False, but_norm, "info"),
    "only frozen batch norm in evaluation mode": (False, frozen_norm, None),
    "modes as they should be": (False, training, None),
}


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("case", MODES)
def test_evaluations_are_found_in_whatever_mode_the_model_is_trained(
    case: str, gradients: bool, tmp_path: Path
) -> None:
    at_first, before_epoch, severity = MODES[case]
    model = network()
    model.train(not at_first)
    before_epoch(model)
    train = DataLoader(TensorDataset(x[:200], y[:200]), batch_size=20)
    held_out = DataLoader(TensorDataset(x[200:], y[200:]), batch_size=25)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    applied, found = [], []

    def evaluate() -> float:
        model.eval()
        with torch.set_grad_enabled(gradients):
            return sum(F.cross_entropy(model(a), b).item() for a, b in held_out) / len(held_out)

    with convdebug.watch(model, optimizer, session=tmp_path / "s.convdebug", every=1) as watched:
        for _ in range(EPOCHS):
            before_epoch(model)
            for a, b in train:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(a), b)
                loss.backward()
                optimizer.step()
                watched.step()
                applied.append(loss.item())
            found.append(evaluate())
    with Session.open(tmp_path / "s.convdebug") as session:
        assert not session.events(kinds=["instrument-failed"])
        assert session.series("train/loss")[1] == pytest.approx(applied)
        steps, values = session.series("val/loss")
        assert steps.tolist() == [STEPS * (epoch + 1) - 1 for epoch in range(EPOCHS)]
        assert values == pytest.approx(found)
        said = {each.severity for each in diagnose(session) if each.rule == "eval-mode-while-training"}
        assert said == ({severity} if severity else set())


def test_the_parts_of_a_loss_in_evaluation_mode_are_no_evaluation(tmp_path: Path) -> None:
    model = network().eval()
    labelled = DataLoader(TensorDataset(x[:100], y[:100]), batch_size=20)
    others = DataLoader(TensorDataset(x[100:200], y[100:200]), batch_size=20)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with convdebug.watch(model, optimizer, session=tmp_path / "s.convdebug") as watched:
        for a, b in labelled:
            first = F.cross_entropy(model(a), b)
            a, b = next(iter(others))
            second = F.cross_entropy(model(a), b)
            optimizer.zero_grad()
            (first + second).backward()
            optimizer.step()
            watched.step()
    with Session.open(tmp_path / "s.convdebug") as session:
        assert "val/loss" not in session.series_names()
