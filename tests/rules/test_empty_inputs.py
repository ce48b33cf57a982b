"""Inputs that are one and the same number: said of data, and not of what stands beside them."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import convdebug
from convdebug.rules import diagnose
from convdebug_sessions import Session


class Pair(nn.Module):
    """Given two tensors, of which it uses the second."""

    def __init__(self, used=lambda first, second: second):
        super().__init__()
        self.body, self.used = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)), used

    def forward(self, first, second):
        return self.body(self.used(first, second))


class Reader(nn.Module):
    """Tokens, and a state to begin with."""

    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(8, 16, batch_first=True), nn.Linear(16, 3)

    def forward(self, tokens, state):
        return self.head(self.rnn(F.one_hot(tokens, 8).float(), state)[0][:, -1])


def net(features=8):
    return nn.Sequential(nn.Linear(features, 16), nn.ReLU(), nn.Linear(16, 3))


def found(path, model, inputs, steps=40):
    """What is said after some steps; `inputs` makes what the model is given of the step."""
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), 0.02)
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for step in range(steps):
            given = inputs(step)
            loss = F.cross_entropy(model(*given), torch.randint(0, 3, (len(given[0]),)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)
    with Session.open(path) as session:
        return diagnose(session)


def rules(diagnoses):
    return {each.rule: each.caused_by for each in diagnoses}


@pytest.mark.parametrize(("value", "text"), [(0.0, "is 0,"), (0.5, "is 0.50,"), (-1.0, "is -1.00,")])
def test_inputs_that_are_one_number_everywhere_come_first(tmp_path, value, text):
    first, *others = found(tmp_path / "run.convdebug", net(), lambda step: (torch.full((16, 8), value),))
    assert (first.rule, first.severity, first.first_step) == ("input-ignored", "error", 0)
    assert text in first.message
    assert {each.caused_by for each in others if each.severity != "info"} <= {"input-ignored"}


def test_two_inputs_that_are_both_empty_are_too(tmp_path):
    said = found(tmp_path / "run.convdebug", Pair(), lambda step: (torch.ones(16, 8), torch.zeros(16, 8)))
    assert said[0].rule == "input-ignored"


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (net, lambda step: (torch.zeros(16, 8) if step != 30 else torch.randn(16, 8),)),
        (net, lambda step: (torch.full((16, 8), float(step)),)),
        (lambda: net(1), lambda step: (torch.ones(16, 1),)),
        (Pair, lambda step: (torch.ones(16, 8), torch.randn(16, 8))),
        (Reader, lambda step: (torch.randint(0, 8, (16, 5)), torch.zeros(1, 16, 16))),
    ],
    ids=["one batch is not", "another number each time", "one number an example", "a mask", "a first state"],
)
def test_what_is_seen_now_and_then_or_beside_is_seen(tmp_path, model, inputs):
    assert "input-ignored" not in rules(found(tmp_path / "run.convdebug", model(), inputs))


def test_three_batches_are_too_few(tmp_path):
    few, enough = (
        found(tmp_path / f"{steps}.convdebug", net(), lambda step: (torch.zeros(16, 8),), steps) for steps in (3, 4)
    )
    assert "input-ignored" not in rules(few)
    assert "input-ignored" in rules(enough)


INFINITE = [float("inf")] * 6
NOTHING = [0.0] * 6
TOLD = {
    "alike": (NOTHING, NOTHING, {}, True),
    "up to 1": (NOTHING, [*NOTHING[1:], 1.0], {}, False),
    "from -1 on": ([*NOTHING[1:], -1.0], NOTHING, {}, False),
    "infinite": (INFINITE, INFINITE, {}, False),
    "a mask beside words": (NOTHING, NOTHING, {"layers": [{"name": "words", "kind": "Embedding"}]}, False),
    "another's answer": (NOTHING, NOTHING, {"fed_by": "Generator"}, False),
}


@pytest.mark.parametrize("name", TOLD)
def test_the_numbers_of_data_alone_count_and_all_of_them(written, name):
    low, high, info, told = TOLD[name]
    path = written({"input/min": low, "input/max": high}, info={"data": {"input_shape": [8]}, **info})
    with Session.open(path) as session:
        assert ("input-ignored" in rules(diagnose(session))) is told


def test_dead_units_and_missing_gradients_come_of_empty_inputs(tmp_path):
    """A network without biases, and layers behind a detach."""

    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(8, 16, bias=False), nn.Linear(16, 3, bias=False)

        def forward(self, rows):
            return self.second(torch.relu(self.first(rows)).detach())

    said = rules(found(tmp_path / "run.convdebug", Cut(), lambda step: (torch.zeros(16, 8),)))
    assert said.pop("input-ignored") is None
    assert {"dead-relu", "constant-output", "no-gradient"} <= set(said)
    assert said.pop("frozen-parameters") == "no-gradient"
    assert set(said.values()) == {"input-ignored"}
