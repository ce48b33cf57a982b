"""Weights that stand still are told apart: tied by their zeros, cut off from the loss, or left alone by the loop."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import convdebug
from convdebug.rules import diagnose
from convdebug_sessions import Session

PATTERNS = torch.randn(10, 6, 8, generator=torch.Generator().manual_seed(5))


class Reader(nn.Module):
    """Attends from a token that begins at zero to the rows of a picture, whose places begin at zero too."""

    def __init__(self, way=lambda model, rows: rows):
        super().__init__()
        self.token, self.places = nn.Parameter(torch.zeros(1, 1, 16)), nn.Parameter(torch.zeros(6, 16))
        self.rows, self.body, self.head = nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 10)
        self.way = way

    def forward(self, pictures):
        rows = self.way(self, self.rows(pictures) + self.places)
        shares = torch.softmax(rows @ self.token.transpose(1, 2) + 1, 1)
        return self.head(torch.relu(self.body((rows * shares).sum(1))))


def batches(count):
    for _ in range(count):
        labels = torch.randint(0, 10, (32,))
        yield torch.randn(32, 6, 8) + PATTERNS[labels], labels


def update(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def found(path, model, step=update, held=None, before=lambda number, optimizer: None):
    """What is said of the model trained; everything is measured at each step."""
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(list(model.parameters()) if held is None else held, 2e-3)
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for number, (inputs, labels) in enumerate(batches(60)):
            before(number, optimizer)
            loss = F.cross_entropy(model(inputs), labels)
            step(optimizer, loss)
            watched.step(loss)
    with Session.open(path) as session:
        return diagnose(session)


def zeroed_too_early(optimizer, loss):
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()


def zeroed_with_zeros_too_early(optimizer, loss):
    loss.backward()
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()


@pytest.mark.parametrize("step", [zeroed_too_early, zeroed_with_zeros_too_early, lambda _, loss: loss.backward()])
def test_zeros_that_no_update_moves_are_not_called_symmetric(tmp_path, step):
    model = Reader()
    nn.init.zeros_(model.head.weight)
    said = [each.rule for each in found(tmp_path / "s.convdebug", model, step)]
    assert "symmetric-weights" not in said
    assert {"frozen-parameters", "optimizer-not-stepping"} & set(said)


def test_zeros_that_receive_no_gradient_are_not_called_symmetric(tmp_path):
    def uniform(model, rows):
        with torch.no_grad():
            return model.rows.weight.new_ones(()) * rows

    said = [each.rule for each in found(tmp_path / "s.convdebug", Reader(uniform))]
    assert "symmetric-weights" not in said
    assert said[0] == "no-gradient"


def test_layers_of_zeros_are_symmetric_though_their_head_is_not(tmp_path):
    model = Reader()
    for layer in (model.rows, model.body):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    first = found(tmp_path / "s.convdebug", model)[0]
    assert first.rule == "symmetric-weights"
    assert set(first.layers) == {"rows", "body"}


def test_a_network_of_zeros_without_biases_is_symmetric_though_nothing_moves(tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 16, bias=False), nn.ReLU(), nn.Linear(16, 10, bias=False))
    for layer in (model[1], model[3]):
        nn.init.zeros_(layer.weight)
    assert "symmetric-weights" in [each.rule for each in found(tmp_path / "s.convdebug", model)]


def test_an_input_that_is_overwritten_comes_before_the_gradients_that_it_then_lacks(tmp_path):
    model = Reader(lambda model, rows: torch.zeros_like(rows) + model.places)
    nn.init.normal_(model.places)
    said = found(tmp_path / "s.convdebug", model)
    assert [each.rule for each in said[:2]] == ["constant-output", "no-gradient"]
    assert said[1].caused_by == "constant-output"


def test_a_bias_beside_weights_that_are_used_alone_is_left_out_on_purpose(tmp_path):
    class Cosines(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.classes = nn.Linear(48, 32), nn.Linear(32, 10)

        def forward(self, pictures):
            hidden = F.normalize(torch.relu(self.body(pictures.flatten(1))))
            return 6 * F.linear(hidden, F.normalize(self.classes.weight))

    said = found(tmp_path / "s.convdebug", Cosines())
    assert [each.rule for each in said if each.severity != "info"] == []


def thawing(model, then):
    """All but the head is frozen, and thawed at step 20, when `then` is told of it."""
    resting = [parameter for name, parameter in model.named_parameters() if "head" not in name]
    for parameter in resting:
        parameter.requires_grad_(False)

    def before(number, optimizer):
        if number == 20:
            for parameter in resting:
                parameter.requires_grad_(True)
            then(optimizer, resting)

    return before


def test_layers_that_were_thawed_and_that_the_optimizer_was_not_given_are_missed(tmp_path):
    model = Reader()
    before = thawing(model, lambda optimizer, resting: None)
    first = found(tmp_path / "s.convdebug", model, held=model.head.parameters(), before=before)[0]
    assert (first.rule, first.severity) == ("parameters-not-in-optimizer", "error")
    assert set(first.layers) >= {"rows", "body"}
    assert 20 <= first.first_step <= 32


def test_a_bias_thawed_and_not_given_does_not_hide_a_layer_that_was_never_given(tmp_path):
    model = Reader()
    model.rows.bias.requires_grad_(False)

    def before(number, optimizer):
        model.rows.bias.requires_grad_(number >= 20)

    held = [*model.head.parameters(), *model.rows.parameters(), model.token, model.places]
    held = [each for each in held if each is not model.rows.bias]
    first = found(tmp_path / "s.convdebug", model, held=held, before=before)[0]
    assert (first.rule, first.severity) == ("parameters-not-in-optimizer", "error")
    assert "body" in first.layers


def by_another(optimizer, resting):
    """By an optimizer of their own, which the watch was not given and whose gradients nobody needs to zero."""
    other = torch.optim.Rprop(resting, 1e-3)
    optimizer.register_step_post_hook(lambda *_: other.step())


@pytest.mark.parametrize(
    "then",
    [lambda optimizer, resting: optimizer.add_param_group({"params": resting}), by_another],
    ids=["added", "by another"],
)
def test_layers_that_were_thawed_and_are_trained_are_not_missed(tmp_path, then):
    model = Reader()
    before = thawing(model, then)
    said = found(tmp_path / "s.convdebug", model, held=model.head.parameters(), before=before)
    assert [each.rule for each in said if each.severity != "info"] == []
