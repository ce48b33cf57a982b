"""Functional dropout that drops in evaluation mode is told; what goes by the mode, or is meant, is not."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.functional import dropout

import convdebug
from convdebug.rules import diagnose
from convdebug_sessions import Session


class Dropping(nn.Module):
    def __init__(self, drop):
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 3)
        self.module, self.drop = nn.Dropout(0.3), drop
        layer = nn.TransformerEncoderLayer(8, 2, 16, 0.2, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def forward(self, inputs):
        hidden = self.module(self.encoder(torch.relu(self.first(inputs))[:, None])[:, 0])
        return self.last(self.drop(self, hidden))


def said(path, model, before_evaluation=lambda model: model.eval()):
    """What is said of the mode of validations, with its severity."""
    own = F.dropout
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for step in range(12):
            model.train()
            loss = F.cross_entropy(model(torch.randn(16, 4)), torch.randint(0, 3, (16,)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)
            if step % 4 == 3:
                before_evaluation(model)
                with torch.no_grad():
                    F.cross_entropy(model(torch.randn(16, 4)), torch.randint(0, 3, (16,)))
                copy.deepcopy(model)
    assert F.dropout is own
    assert dropout is own
    with Session.open(path) as session:
        assert session.events(kinds=["instrument-failed"]) == []
        return [each.severity for each in diagnose(session) if each.rule == "train-mode-while-validating"]


@pytest.mark.parametrize(
    "drop", [lambda model, hidden: F.dropout(hidden, 0.4), lambda model, hidden: dropout(hidden, p=0.4)]
)
def test_functional_dropout_that_is_not_told_of_the_mode_is_told(tmp_path, drop):
    assert said(tmp_path / "s.convdebug", Dropping(drop)) == ["warning"]


@pytest.mark.parametrize(
    "drop",
    [
        lambda model, hidden: hidden,
        lambda model, hidden: F.dropout(hidden, 0.4, model.training),
        lambda model, hidden: F.dropout(hidden, 0.0),
    ],
)
def test_dropout_that_goes_by_the_mode_is_not(tmp_path, drop):
    assert said(tmp_path / "s.convdebug", Dropping(drop)) == []


def test_dropout_modules_that_are_left_on_are_meant(tmp_path):
    def uncertain(model):
        model.eval()
        model.module.train()

    assert said(tmp_path / "s.convdebug", Dropping(lambda model, hidden: hidden), uncertain) == []


def test_after_an_evaluation_that_raised_the_dropout_of_training_is_not_told(tmp_path):
    model = Dropping(lambda model, hidden: F.dropout(hidden, 0.4, model.training))
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    with convdebug.watch(model, optimizer, session=tmp_path / "s.convdebug", every=1) as watched:
        for _ in range(4):
            with torch.no_grad(), pytest.raises(RuntimeError):
                model.eval()(torch.randn(16, 5))
            loss = F.cross_entropy(model.train()(torch.randn(16, 4)), torch.randint(0, 3, (16,)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)
    with Session.open(tmp_path / "s.convdebug") as session:
        assert session.events(kinds=["dropping-while-evaluating", "instrument-failed"]) == []
