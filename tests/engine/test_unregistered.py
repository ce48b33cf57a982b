"""Tensors that a model trains with and does not know of: found in plain attributes, and nothing else is."""

import pytest
import torch
from torch import nn

import convdebug
from convdebug.instruments.unregistered import hidden_tensors, leaves_of
from convdebug.rules import diagnose
from convdebug_sessions import Session


class Listed(nn.Module):
    """A layer in a list, one in a dict, a scale of its own, and a head that is registered."""

    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(4, 8)]
        self.named = {"middle": nn.Linear(8, 8)}
        self.scale = torch.ones(8, requires_grad=True)
        self.head = nn.Linear(8, 2)

    def hidden(self):
        return [*self.layers[0].parameters(), *self.named["middle"].parameters(), self.scale]

    def forward(self, inputs):
        return self.head(self.scale * torch.relu(self.named["middle"](torch.relu(self.layers[0](inputs)))))


def said(path, model, *, held=None, after=lambda: None, loss_of=lambda outputs: outputs.square().mean(), **options):
    """The tensors that are called unregistered, and what is said of the model."""
    optimizer = torch.optim.SGD(model.parameters() if held is None else held, 0.1)
    with convdebug.watch(model, optimizer, session=path, **options) as watched:
        for _ in range(20):
            optimizer.zero_grad()
            loss = loss_of(model(torch.randn(16, 4)))
            loss.backward()
            optimizer.step()
            after()
            watched.step(loss)
    with Session.open(path) as session:
        assert session.events(kinds=["instrument-failed"]) == []
        events = session.events(kinds=["unregistered"])
        rules = [(each.rule, each.severity) for each in diagnose(session)]
    return [name for event in events for name in event.data["tensors"]], rules


@pytest.mark.parametrize("options", [{"every": 1}, {}], ids=["each step", "within the budget"])
def test_layers_in_plain_containers_are_told_by_name(tmp_path, options):
    names, rules = said(tmp_path / "s.convdebug", Listed(), **options)
    expected = ["layers.0.weight", "layers.0.bias", "named.middle.weight", "named.middle.bias", "scale"]
    assert names == expected
    assert rules[0] == ("parameters-not-in-optimizer", "error")


def test_what_an_optimizer_holds_or_a_loop_moves_by_hand_is_in_somebodys_care(tmp_path):
    model = Listed()
    everything = [*model.parameters(), *model.hidden()]
    assert said(tmp_path / "held.convdebug", model, held=everything, every=1)[0] == []
    other = Listed()
    kept = torch.optim.Adam(other.hidden(), 1e-3)
    assert said(tmp_path / "another.convdebug", other, every=1)[0] == []
    assert kept.param_groups

    def by_hand():
        for tensor in third.hidden():
            tensor.data -= 0.1 * tensor.grad
            tensor.grad = None

    third = Listed()
    assert said(tmp_path / "hand.convdebug", third, after=by_hand, every=1)[0] == []


def test_frozen_teachers_kept_inputs_and_other_models_are_not_told(tmp_path):
    class Student(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)
            self.teacher = [nn.Linear(4, 2).requires_grad_(False)]
            self.average = [nn.Linear(4, 2)]

        def forward(self, inputs):
            self.seen = inputs.clone().requires_grad_()
            with torch.no_grad():
                self.average[0](inputs)
            return self.layer(self.seen) - self.teacher[0](self.seen)

    judge = nn.Linear(2, 1)
    names, _ = said(tmp_path / "s.convdebug", Student(), loss_of=lambda outputs: judge(outputs).mean(), every=1)
    assert names == []


def test_leaves_are_those_that_a_backward_pass_fills():
    model = Listed()
    loss = model(torch.randn(3, 4)).sum()
    leaves = {id(each) for each in leaves_of(loss)}
    loss.backward()
    filled = {id(each) for each in [*model.parameters(), *model.hidden()] if each.grad is not None}
    assert leaves == filled
    assert {id(each) for each in hidden_tensors(model).values()} == {id(each) for each in model.hidden()}
