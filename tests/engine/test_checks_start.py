"""The checks of how a training starts: regularization, activations through depth, and whether the inputs matter."""

import math

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from convdebug.checks import run_checks
from convdebug.checks.input_independence import with_blank_inputs
from convdebug.config import RunConfig
from convdebug.target import Target
from convdebug_sessions import Recorder, Session

CLASSES, FEATURES = 4, 8


def points(count=128):
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randn(count, FEATURES, generator=generator), torch.arange(count) % CLASSES)


def net(*more):
    return nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), *more, nn.Linear(32, CLASSES))


def sgd(parameters, **more):
    return torch.optim.SGD(parameters, lr=0.1, **more)


def check(tmp_path, id, make_model=net, make_optimizer=sgd, data=None, budget_s=20.0, **changes):
    made = Target(
        make_model=make_model, train_data=points() if data is None else data, make_optimizer=make_optimizer,
        **({"batch_size": 32} | changes),
    )  # fmt: skip
    return checked(tmp_path, id, made, budget_s)


def checked(tmp_path, id, made, budget_s=20.0):
    with Recorder.create(tmp_path / "check.convdebug", overwrite=True) as recorder:
        return run_checks(made, recorder, only=[id], budget_s=budget_s).checks[0]


def configured(tmp_path, id, **settings):
    small = {"data.limit": 200, "data.val_limit": 50, "data.batch_size": 64, "train.device": "cpu"}
    return checked(tmp_path, id, Target.from_config(RunConfig.of(small | settings)))


def found(result):
    return [(each.rule, each.severity) for each in result.diagnoses]


class Through(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


# regularization-raises-loss


def test_weight_decay_raises_the_loss_by_half_the_squares(tmp_path):
    result = check(tmp_path, "regularization-raises-loss", make_optimizer=lambda p: sgd(p, weight_decay=0.01))
    assert result.status == "pass"
    with torch.random.fork_rng():
        model = Target(make_model=net, train_data=points(), make_optimizer=sgd).build(0)
    squares = sum(float(each.detach().square().sum()) for each in model.parameters())
    assert result.measured["penalty at its own"] == pytest.approx(0.5 * 0.01 * squares, rel=1e-5)
    assert result.measured["losses"] == sorted(result.measured["losses"])


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.Adam, torch.optim.RMSprop])
def test_the_decay_of_any_optimizer_of_torch_is_seen_at_work(tmp_path, optimizer):
    result = check(tmp_path, "regularization-raises-loss", make_optimizer=lambda p: optimizer(p, lr=1e-2))
    assert result.status == "pass"
    assert "the target's own is 0" in result.summary or optimizer is torch.optim.AdamW


class Forgetful(torch.optim.SGD):
    """Takes a weight decay and does not use it."""

    def step(self, closure=None):
        kept = [group["weight_decay"] for group in self.param_groups]
        for group in self.param_groups:
            group["weight_decay"] = 0.0
        super().step(closure)
        for group, value in zip(self.param_groups, kept, strict=True):
            group["weight_decay"] = value


def test_a_decay_that_the_optimizer_ignores_warns(tmp_path):
    result = check(tmp_path, "regularization-raises-loss", make_optimizer=lambda p: Forgetful(p, 0.1, weight_decay=0.1))
    assert found(result) == [("regularization-without-effect", "warning")]


@pytest.mark.parametrize("factor", [-1e-3, 0.0])
def test_a_penalty_that_does_not_raise_the_loss_warns(tmp_path, factor):
    def penalty(model):
        return factor * sum(each.square().sum() for each in model.parameters())

    result = check(tmp_path, "regularization-raises-loss", penalty=penalty)
    assert found(result) == [("regularization-without-effect", "warning")]


def test_a_penalty_that_pulls_passes(tmp_path):
    def penalty(model):
        return 1e-3 * sum(each.abs().sum() for each in model.parameters())

    assert check(tmp_path, "regularization-raises-loss", penalty=penalty).status == "pass"


def test_the_l2_of_a_configured_run_is_raised_in_the_loss_itself(tmp_path):
    settings = {"model.name": "two-layer", "regularization.l2": 1e-3, "optimizer.name": "sgd"}
    result = configured(tmp_path, "regularization-raises-loss", **settings)
    assert result.status == "pass"
    assert "L2 in the loss" in result.summary
    assert result.measured["with the strongest"] > 1.2 * result.measured["without"]


def test_what_cannot_be_regularized_skips_with_its_reason(tmp_path):
    result = check(tmp_path, "regularization-raises-loss", make_optimizer=lambda p: torch.optim.LBFGS(p))
    assert result.status == "skip"
    assert "LBFGS has no weight decay" in result.summary


# activations-at-init: the lecture's ten layers, narrower

TEN = {"model.name": "ten-layer", "model.hidden": 64, "data.preprocessing": "normalize"}


@pytest.mark.parametrize(
    ("activation", "init", "std", "status", "rules"),
    [
        ("tanh", "gaussian", 0.01, "fail", [("vanishing-activations", "error")]),
        ("tanh", "gaussian", 1.0, "warn", [("saturated-units", "warning")]),
        ("tanh", "xavier", None, "pass", []),
        ("relu", "he", None, "pass", []),
        ("relu", "xavier", None, "pass", [("vanishing-activations", "info")]),
        ("relu", "gaussian", 0.5, "fail", [("exploding-activations", "error")]),
    ],
)
def test_the_ten_layers_of_the_lecture_are_judged_as_the_lecture_does(tmp_path, activation, init, std, status, rules):
    settings = TEN | {"model.activation": activation, "model.init": init} | ({"model.init_std": std} if std else {})
    result = configured(tmp_path, "activations-at-init", **settings)
    assert (result.status, found(result)) == (status, rules)
    assert len(result.measured["deviations"]) == 10


def test_activations_of_the_check_are_series_of_its_own_run(tmp_path):
    result = check(tmp_path, "activations-at-init")
    assert result.status == "pass"
    with Session.open(tmp_path / "check.convdebug") as session:
        assert session.runs[0].status == "finished"
        steps, deviations = session.series("activation/1/std", 1)
        assert len(steps) == 6
        assert deviations[0] == pytest.approx(result.measured["first deviation"], abs=0.5)
        assert session.events(1, kinds={"chart"})[-1].data["names"] == [each["name"] for each in layers(session)]


def layers(session):
    return session.run(1).info["layers"]


def test_the_weights_stand_still_while_the_activations_are_measured(tmp_path):
    seen = []

    class Noted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def forward(self, x):
            seen.append(float(self.net[0].weight.detach().sum()))
            return self.net(x)

    check(tmp_path, "activations-at-init", Noted)
    assert len(set(seen)) == 1


def test_dead_units_are_named(tmp_path):
    def dead():
        made = net()
        nn.init.constant_(made[0].bias, -20.0)
        return made

    result = check(tmp_path, "activations-at-init", dead)
    assert result.status == "fail"
    assert ("dead-relu", "error") in found(result)


def test_equal_units_are_symmetric_and_a_zero_last_layer_is_not(tmp_path):
    def constant():
        made = net()
        nn.init.constant_(made[0].weight, 0.1)
        nn.init.zeros_(made[0].bias)
        nn.init.constant_(made[-1].weight, 0.1)
        return made

    def zero_head():
        made = net()
        nn.init.zeros_(made[-1].weight)
        return made

    assert ("symmetric-weights", "error") in found(check(tmp_path, "activations-at-init", constant))
    assert found(check(tmp_path, "activations-at-init", zero_head)) == []


# input-independence


def test_a_network_that_uses_its_inputs_beats_one_that_sees_nothing(tmp_path):
    result = check(tmp_path, "input-independence")
    assert result.status == "pass"
    assert result.measured["real"] < 0.9 * result.measured["blank"]
    assert result.measured["blank"] == pytest.approx(math.log(CLASSES), abs=0.2)
    with Session.open(tmp_path / "check.convdebug") as session:
        chart = session.events(1, kinds={"chart"})[-1].data
    assert [line["name"] for line in chart["lines"]] == ["blank inputs", "real inputs"]


@pytest.mark.parametrize(
    "function",
    [lambda x: torch.zeros_like(x), lambda x: x * 1e-8, lambda x: x[:1].expand_as(x)],
    ids=["overwritten", "scaled to nothing", "the same for all"],
)
def test_a_network_that_does_not_get_its_inputs_fails(tmp_path, function):
    result = check(tmp_path, "input-independence", lambda: nn.Sequential(Through(function), net()))
    assert found(result) == [("input-ignored", "error")]


def test_a_rate_that_learns_nothing_is_not_blamed_on_the_inputs(tmp_path):
    result = check(tmp_path, "input-independence", make_optimizer=lambda p: torch.optim.SGD(p, lr=1e-8))
    assert result.status == "pass"
    assert "Adam" in result.measured["optimizer"]


def test_where_neither_learns_it_skips_with_its_reason(tmp_path):
    def step(model, batch, loss, optimizer):
        return loss(model(batch[0]), batch[1]).detach()

    result = check(tmp_path, "input-independence", train_step=step)
    assert result.status == "skip"
    assert "neither real nor blank inputs" in result.summary


def test_numbers_to_be_predicted_need_no_classes(tmp_path):
    inputs = points().tensors[0]
    data = TensorDataset(inputs, inputs[:, :1].abs())
    result = check(tmp_path, "input-independence", lambda: nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1)),
                   data=data, loss=nn.MSELoss())  # fmt: skip
    assert result.status == "pass"


def test_blank_inputs_keep_labels_tokens_and_masks_in_range():
    batch = {"tokens": torch.tensor([[3, 4], [5, 6]]), "mask": torch.tensor([[True, False], [True, True]]),
             "pixels": torch.ones(2, 3), "labels": torch.tensor([0, 1])}  # fmt: skip
    blank = with_blank_inputs(batch)
    assert blank["tokens"].tolist() == [[3, 4], [3, 4]]
    assert blank["mask"].tolist() == [[True, False], [True, False]]
    assert not blank["pixels"].any()
    assert blank["labels"] is batch["labels"]
