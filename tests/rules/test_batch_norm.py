"""Batch norm that is given few examples at once, or one alone."""

import contextlib

import torch
from torch import nn

from convdebug.errors import TargetError
from convdebug.rules import diagnose
from convdebug.target import Target
from convdebug.train import Plan, train
from convdebug_sessions import Recorder, Session


def of_a_target(path, batch_size, parts=1):
    """The rules that speak of a training whose `train_step` cuts each batch into parts."""

    def train_step(model, batch, loss, optimizer):
        optimizer.zero_grad()
        for inputs, labels in zip(*(each.chunk(parts) for each in batch), strict=True):
            found = loss(model(inputs), labels) / parts
            found.backward()
        optimizer.step()
        return found * parts

    target = Target(
        make_model=lambda: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)),
        train_data=(torch.randn(64, 4), torch.arange(64) % 3),
        make_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.01),
        loss=nn.CrossEntropyLoss(),
        batch_size=batch_size,
        train_step=train_step,
    )
    with Recorder.create(path) as recorder, contextlib.suppress(TargetError):
        train(target, recorder, Plan(steps=12, device="cpu"))
    with Session.open(path) as session:
        return [each for each in diagnose(session) if each.rule == "batch-norm-small-batch"]


def test_the_pieces_of_a_batch_are_what_batch_norm_sees(tmp_path):
    assert of_a_target(tmp_path / "whole.convdebug", 16) == []
    (found,) = of_a_target(tmp_path / "pieces.convdebug", 16, parts=8)
    assert found.severity == "warning"
    assert "Batches have 2 examples" in found.message


def test_a_single_example_is_named_where_torch_raises(tmp_path):
    (found,) = of_a_target(tmp_path / "one.convdebug", 16, parts=16)
    assert found.severity == "error"
    assert "1 × 8" in found.message
    assert "drop_last" in found.remedies[0].text
