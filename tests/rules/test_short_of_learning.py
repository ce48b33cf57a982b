"""What keeps a network from learning, or from learning well, told by what little there is to see of it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convdebug.rules import diagnose
from convdebug.watch import watch
from convdebug_sessions import Recorder, Session

from .conftest import write_run


def labels_of(inputs):
    return inputs[:, :1] - 2 * inputs[:, 1:2] * inputs[:, 2:3]


def net(*layers, last=None):
    torch.manual_seed(2)
    body = layers or (nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
    model = nn.Sequential(*body, *([last] if last is not None else []))
    for layer in model:
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    return model


def trained(path, model, *, steps=200, loss_of="mse_loss", batch=32, optimizer=None, labels=labels_of, **how):
    """The diagnoses of a run in their order, by rule; everything is measured at each step."""
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9, **how) if optimizer is None else optimizer
    with watch(model, optimizer, session=path, every=1) as watched:
        for _ in range(steps):
            inputs = torch.randn(batch, 8)
            function = getattr(F, loss_of) if isinstance(loss_of, str) else loss_of
            loss = function(model(inputs), labels(inputs))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)
    with Session.open(path) as session:
        return {each.rule: each for each in diagnose(session)}


def classes_of(inputs):
    return (inputs[:, 0] > 0).long() + 2 * (inputs[:, 1] > 0).long()


# what answering with the mean label gives


def test_a_regression_on_labels_of_other_examples_is_no_better_than_the_mean_label(tmp_path):
    shuffled = {"labels": lambda inputs: labels_of(inputs).tanh()[torch.randperm(32)]}
    found = trained(tmp_path / "s.convdebug", net(), **shuffled)
    assert found["loss-not-decreasing"].severity == "warning"
    assert "mean label" in found["loss-not-decreasing"].message


def test_a_regression_that_learns_is_not(tmp_path):
    assert "loss-not-decreasing" not in trained(tmp_path / "s.convdebug", net())


def test_labels_far_from_zero_are_learned_first_by_their_mean(tmp_path):
    found = trained(tmp_path / "s.convdebug", net(), labels=lambda inputs: 10 + labels_of(inputs), steps=120)
    assert {"loss-not-decreasing", "loss-plateau", "constant-output"}.isdisjoint(found)


def test_the_guess_is_that_of_the_loss_function(tmp_path):
    def recorded(loss):
        path = tmp_path / f"{loss}.convdebug"
        trained(path, net(), loss_of=loss, labels=lambda inputs: 3 + torch.randn(len(inputs), 1), steps=60)
        with Session.open(path) as session:
            return session.series(f"guess/{loss}")[1].mean()

    assert recorded("mse_loss") == pytest.approx(1.0, abs=0.1)
    assert recorded("l1_loss") == pytest.approx((2 / torch.pi) ** 0.5, abs=0.1)


def test_a_run_of_few_examples_that_ends_at_chance_has_learned_nothing(tmp_path):
    def said(name, batch, steps):
        shuffled = {"loss_of": "cross_entropy", "labels": lambda inputs: classes_of(inputs)[torch.randperm(batch)]}
        layers = (nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
        return trained(tmp_path / f"{name}.convdebug", net(*layers), batch=batch, steps=steps, **shuffled)

    assert said("few", 16, 200)["loss-not-decreasing"].severity == "error"
    assert "loss-not-decreasing" not in said("fewer", 8, 200)
    assert "loss-not-decreasing" not in said("short", 32, 120)


# outputs and labels


def test_an_activation_that_cannot_give_the_labels_is_named(tmp_path):
    found = trained(
        tmp_path / "s.convdebug", net(last=nn.Tanh()), labels=lambda inputs: 5 * labels_of(inputs), steps=120
    )
    assert found["loss-plateau"].severity == "warning"
    assert "Tanh" in found["loss-plateau"].message


def test_an_activation_that_can_is_not(tmp_path):
    found = trained(tmp_path / "s.convdebug", net(last=nn.Tanh()), labels=lambda inputs: labels_of(inputs).tanh())
    assert "loss-plateau" not in found


def test_answers_that_do_not_reach_the_labels_are_told(tmp_path):
    class Held(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = net()

        def forward(self, inputs):
            return self.body(inputs).clamp(-1, 1)

    found = trained(tmp_path / "s.convdebug", Held(), labels=lambda inputs: 8 + labels_of(inputs).tanh(), steps=240)
    assert "do not reach" in found["loss-plateau"].message


# gradients


class Rounding(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(8, 32), nn.Linear(32, 32), nn.Linear(32, 4)

    def forward(self, inputs):
        return self.head(torch.round(4 * torch.tanh(self.second(torch.tanh(self.first(inputs))))))


def test_a_step_function_cuts_the_first_layers_off_however_well_the_head_learns(tmp_path):
    found = trained(tmp_path / "s.convdebug", Rounding(), loss_of="cross_entropy", labels=classes_of, weight_decay=1e-4)
    assert found["vanishing-gradient"].layers == ("first", "second")
    assert "from head on" in found["vanishing-gradient"].message


def test_updates_of_weight_decay_alone_are_no_low_rate(tmp_path):
    last = nn.Softmax(dim=1)
    model = net(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1), last)
    found = trained(tmp_path / "s.convdebug", model, weight_decay=1e-5)
    assert "constant-output" in found
    assert "learning-rate-too-low" not in found


def test_where_no_weight_moves_that_is_why_nothing_is_learned(tmp_path):
    class Late(torch.optim.SGD):
        def step(self, closure=None):
            for group in self.param_groups:
                for each in group["params"]:
                    each.grad = torch.zeros_like(each)
            return super().step(closure)

    model = net()
    found = trained(tmp_path / "s.convdebug", model, optimizer=Late(model.parameters(), 0.1))
    assert found["loss-not-decreasing"].caused_by == "frozen-parameters"
    assert next(iter(found)) == "frozen-parameters"


# how it began


def test_a_layer_that_began_with_one_constant_is_worth_knowing(tmp_path):
    model = net()
    nn.init.constant_(model[2].weight, 0.02)
    found = trained(tmp_path / "s.convdebug", model, steps=40)
    assert (found["symmetric-weights"].severity, found["symmetric-weights"].layers) == ("info", ("2",))


def test_a_last_layer_may_begin_at_zero(tmp_path):
    model = net(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
    nn.init.zeros_(model[2].weight)
    found = trained(tmp_path / "s.convdebug", model, loss_of="cross_entropy", labels=classes_of, steps=40)
    assert "symmetric-weights" not in found


# the optimizer


def test_an_optimizer_that_was_told_to_climb_is_named_and_no_rate(tmp_path):
    model = net(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
    found = trained(tmp_path / "s.convdebug", model, loss_of="cross_entropy", labels=classes_of, maximize=True)
    assert "maximize=True" in found["loss-diverged"].message
    assert "learning-rate-too-high" not in found


def test_a_reward_that_rises_as_it_should_is_no_divergence(tmp_path):
    model = net(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))

    def reward(scores, labels):
        return (scores.softmax(1).gather(1, labels[:, None])).mean() ** 2 * 100

    found = trained(tmp_path / "s.convdebug", model, loss_of=reward, labels=classes_of, maximize=True)
    assert {"loss-diverged", "learning-rate-too-high"}.isdisjoint(found)


def run_with_momentum(path, momentum, loss):
    optimizer = {"name": "SGD", "lr": 0.01, "momentum": momentum}
    with Recorder.create(path) as recorder:
        write_run(recorder, {"train/loss": loss}, info={"optimizer": optimizer})
    with Session.open(path) as session:
        return {each.rule: each for each in diagnose(session)}


def test_a_loss_that_a_momentum_close_to_one_carries_up_again_is_told(tmp_path):
    there_and_back = [2.3 - 0.02 * step if step < 80 else 0.7 + 0.01 * (step - 80) for step in range(200)]
    found = run_with_momentum(tmp_path / "close.convdebug", 0.999, there_and_back)
    assert "0.999" in found["loss-oscillating"].message
    assert "loss-oscillating" not in run_with_momentum(tmp_path / "usual.convdebug", 0.9, there_and_back)
    falling = [2.3 - 0.01 * step for step in range(200)]
    assert "loss-oscillating" not in run_with_momentum(tmp_path / "falls.convdebug", 0.999, falling)


def test_a_penalty_by_hand_is_told_beside_an_optimizers_decay(tmp_path):
    model = net(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 4))

    def with_penalty(scores, labels):
        return F.cross_entropy(scores, labels) + 5.0 * sum(each.square().sum() for each in model.parameters())

    optimizer = torch.optim.Adam(model.parameters(), 3e-3, weight_decay=1e-4)
    found = trained(tmp_path / "s.convdebug", model, loss_of=with_penalty, labels=classes_of, optimizer=optimizer)
    assert "regularization-dominates" in found


def test_hardly_anything_is_left_by_a_dropout_of_nearly_all(tmp_path):
    model = net(nn.Linear(8, 64), nn.ReLU(), nn.Dropout(0.97), nn.Linear(64, 4))
    found = trained(tmp_path / "s.convdebug", model, loss_of="cross_entropy", labels=classes_of)
    assert found["excessive-dropout"].layer == "2"


# inputs


def test_inputs_far_from_zero_are_why_a_usual_rate_is_too_high(tmp_path):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    path = tmp_path / "s.convdebug"
    with watch(model, optimizer, session=path, every=1) as watched:
        for _ in range(100):
            inputs = torch.randn(32, 8)
            loss = F.cross_entropy(model(inputs + 25), classes_of(inputs))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)
    with Session.open(path) as session:
        found = diagnose(session)
    assert found[0].rule == "inputs-not-centered"
    assert {each.rule: each.caused_by for each in found}["learning-rate-too-high"] == "inputs-not-centered"


# the loss


def test_a_mean_that_is_divided_once_more_is_told_with_its_divisor(tmp_path):
    layers = (nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))

    def divided(by):
        function = lambda scores, labels: F.cross_entropy(scores, labels) / by  # noqa: E731
        path = tmp_path / f"{by}.convdebug"
        return trained(path, net(*layers), loss_of=function, labels=classes_of, steps=60)

    found = divided(4096)
    assert found["initial-loss-off"].severity == "warning"
    assert "divided by 4096" in found["initial-loss-off"].message
    assert "initial-loss-off" not in divided(32)
