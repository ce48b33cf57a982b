"""Examples that leak into each other are seen while training; what belongs together is left alone."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import convdebug
from convdebug.rules import diagnose
from convdebug_sessions import Session


class Attentive(nn.Module):
    """Attends along the sequence, or along the batch where the layer takes the first axis for time."""

    def __init__(self, batch_first):
        super().__init__()
        self.embed, self.drop = nn.Linear(4, 16), nn.Dropout(0.2)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=batch_first)
        self.head = nn.Linear(16, 3)

    def forward(self, inputs):
        hidden = self.drop(self.embed(inputs))
        return self.head((hidden + self.attention(hidden, hidden, hidden)[0]).mean(1))


class Reshaped(nn.Module):
    """A picture net whose head is given rows that a reshape has made of several examples."""

    def __init__(self, right):
        super().__init__()
        self.conv, self.norm, self.head, self.right = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(16, 3), right

    def forward(self, pictures):
        hidden = F.max_pool2d(torch.relu(self.norm(self.conv(pictures))), 2)
        rows = hidden.flatten(1) if self.right else hidden.permute(1, 0, 2, 3).reshape(len(pictures), -1)
        return self.head(rows)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.LSTM(4, 8), nn.Linear(8, 3)

    def forward(self, series):
        return self.head(self.layer(series)[0][-1])


def told(path, model, shape, labels=None, fixed=False, steps=20, **options):
    """The events of mixed examples, and whether the rule speaks of an error."""
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    labels = torch.arange(24) % 3 if labels is None else labels
    inputs = torch.randn(shape)
    with convdebug.watch(model, optimizer, session=path, **options) as watched:
        for _ in range(steps):
            inputs = inputs if fixed else torch.randn(shape)
            loss = F.cross_entropy(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)
    with Session.open(path) as session:
        assert session.events(kinds=["instrument-failed"]) == []
        found = [each.severity for each in diagnose(session) if each.rule == "batch-mixing"]
        return session.events(kinds=["batch-mixing"]), found


@pytest.mark.parametrize("options", [{"every": 1}, {}], ids=["each step", "within the budget"])
def test_attention_along_the_batch_is_seen_while_training(tmp_path, options):
    events, found = told(tmp_path / "s.convdebug", Attentive(batch_first=False), (24, 6, 4), **options)
    assert found == ["error"]
    assert events[0].data["module"] == "attention"


def test_a_reshape_that_mixes_examples_is_seen_while_training(tmp_path):
    events, found = told(tmp_path / "s.convdebug", Reshaped(right=False), (24, 1, 6, 6))
    assert found == ["error"]
    assert events[0].data["module"] == "head"


@pytest.mark.parametrize(
    ("model", "shape"),
    [(Attentive(batch_first=True), (24, 6, 4)), (Reshaped(right=True), (24, 1, 6, 6))],
    ids=["attention along the sequence", "batch norm"],
)
def test_a_network_that_keeps_its_examples_apart_is_left_alone(tmp_path, model, shape):
    assert told(tmp_path / "s.convdebug", model, shape, every=1) == ([], [])


@pytest.mark.parametrize("length", [24, 12])
def test_the_first_axis_may_be_time(tmp_path, length):
    assert told(tmp_path / "s.convdebug", Recurrent(), (length, 24, 4), every=1) == ([], [])


class Graph(nn.Module):
    """Each node looks at all others."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, nodes):
        return self.head((nodes + nodes.mean(0)).flatten(1)[:, :4])


@pytest.mark.parametrize(
    ("shape", "fixed"), [((24, 2, 4), True), ((24, 4), False)], ids=["again and again", "a row each"]
)
def test_nodes_of_one_graph_belong_together(tmp_path, shape, fixed):
    assert told(tmp_path / "s.convdebug", Graph(), shape, fixed=fixed, every=1) == ([], [])


def test_what_the_user_has_hooks_on_is_not_called_again(tmp_path):
    model, calls = Attentive(batch_first=False), []
    model.embed.register_forward_hook(lambda module, inputs, output: calls.append(len(output)))
    assert told(tmp_path / "s.convdebug", model, (24, 6, 4), every=1) == ([], [])
    assert set(calls) <= {24, 8}


def test_a_model_that_moves_its_own_weights_keeps_them(tmp_path):
    class Averaged(nn.Module):
        def __init__(self):
            super().__init__()
            self.online, self.average = nn.Linear(16, 3), nn.Linear(16, 3).requires_grad_(False)

        def forward(self, inputs):
            with torch.no_grad():
                self.average.weight.mul_(0.9).add_(self.online.weight, alpha=0.1)
            rows = inputs.flatten(1)
            return self.online(rows) + self.average(rows)

    def moved(path):
        torch.manual_seed(2)
        model = Averaged()
        if path is not None:
            assert told(path, model, (24, 4, 4), every=1)[1] == []
            return model.average.weight.detach().clone()
        torch.manual_seed(0)
        optimizer, labels = torch.optim.SGD(model.parameters(), 0.05), torch.arange(24) % 3
        torch.randn(24, 4, 4)
        for _ in range(20):
            loss = F.cross_entropy(model(torch.randn(24, 4, 4)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return model.average.weight.detach().clone()

    assert torch.equal(moved(tmp_path / "s.convdebug"), moved(None))


def test_scores_of_all_pairs_are_made_of_all_examples(tmp_path):
    class Pairs(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = nn.Linear(4, 8), nn.Linear(4, 8)

        def forward(self, inputs):
            return self.one(inputs) @ self.other(inputs).T

    assert told(tmp_path / "s.convdebug", Pairs(), (24, 4), torch.arange(24), every=1) == ([], [])


def test_looking_at_it_changes_nothing(tmp_path):
    def weights(watched):
        torch.manual_seed(1)
        model = Attentive(batch_first=False)
        if watched:
            told(tmp_path / "s.convdebug", model, (24, 6, 4), every=1)
        else:
            torch.manual_seed(0)
            optimizer, labels = torch.optim.SGD(model.parameters(), 0.05), torch.arange(24) % 3
            torch.randn(24, 6, 4)
            for _ in range(20):
                loss = F.cross_entropy(model(torch.randn(24, 6, 4)), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return torch.cat([each.detach().reshape(-1) for each in model.parameters()])

    assert torch.equal(weights(True), weights(False))


def test_a_generator_of_the_models_own_draws_on_as_if_nobody_had_looked(tmp_path):
    class Noisy(Attentive):
        def __init__(self):
            super().__init__(batch_first=True)
            self.source = torch.Generator().manual_seed(3)

        def forward(self, inputs):
            return super().forward(inputs + 0.1 * torch.randn(inputs.shape, generator=self.source))

    model, drawn = Noisy(), torch.Generator().manual_seed(3)
    assert told(tmp_path / "s.convdebug", model, (24, 6, 4), every=1) == ([], [])
    for _ in range(20):
        torch.randn(24, 6, 4, generator=drawn)
    assert torch.equal(model.source.get_state(), drawn.get_state())
