"""Inputs on a large scale: no matter where the first weights do not see it."""

import numpy as np
import pytest
import torch
from torch import nn

from convdebug.checks import run_checks
from convdebug.rules import diagnose
from convdebug.target import Target
from convdebug.train import Plan, train
from convdebug_sessions import Recorder, Session


class Scaled(nn.Module):
    """Scales its inputs itself."""

    def __init__(self):
        super().__init__()
        self.inner = body()

    def forward(self, pictures):
        return self.inner((pictures - 128) / 58)


def body():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4))


MODELS = {
    "plain": body,
    "batch norm first": lambda: nn.Sequential(nn.BatchNorm2d(3), *body()),
    "instance norm first": lambda: nn.Sequential(nn.InstanceNorm2d(3), *body()),
    "scaled inside": Scaled,
}


def said(path, model, checked):
    generator = torch.Generator().manual_seed(0)
    bytes_ = (torch.randn(64, 3, 6, 6, generator=generator) * 58 + 128).clamp(0, 255)
    target = Target(
        make_model=MODELS[model],
        train_data=(bytes_, torch.arange(64) % 4),
        make_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1e-3),
        loss=nn.CrossEntropyLoss(),
        batch_size=16,
        num_classes=4,
    )
    with Recorder.create(path) as recorder:
        if checked:
            result = run_checks(target, recorder, only=["data"])
            return {each.rule for each in result.checks[0].diagnoses if each.rule.startswith("inputs-")}
        train(target, recorder, Plan(steps=8, device="cpu"))
    with Session.open(path) as session:
        return {each.rule for each in diagnose(session) if each.rule.startswith("inputs-")}


@pytest.mark.parametrize("checked", [True, False], ids=["by the check", "while training"])
@pytest.mark.parametrize("model", MODELS)
def test_bytes_matter_only_where_the_first_weights_see_them(tmp_path, model, checked):
    expected = {"inputs-not-scaled", "inputs-not-centered"} if model == "plain" else set()
    assert said(tmp_path / "run.convdebug", model, checked) == expected


@pytest.mark.parametrize(("end", "severity"), [(0.01, "info"), (0.5, "warning")])
def test_a_coordinate_from_0_to_pi_is_an_info_where_nearly_all_was_learned(written, end, severity):
    given = {"input/mean": 1.57, "input/std": 0.91, "input/min": 0.01, "input/max": 3.13}
    loss = {"train/loss": np.geomspace(1.0, end, 200)}
    with Session.open(written(loss, {name: np.full(200, value) for name, value in given.items()})) as session:
        (found,) = [each for each in diagnose(session) if each.rule == "inputs-not-centered"]
    assert found.severity == severity
