"""Values that are no numbers: the check names where they come from, and none passes on them."""

import itertools
import math

import pytest
import torch
from torch import nn

from convdebug.checks import run_checks
from convdebug.target import Target
from convdebug_sessions import Recorder
from tests.rules.ill_targets import (
    CLASSES,
    Through,
    adam_without_eps,
    distance_to_itself,
    labels_with_a_gap,
    pictures,
    plain,
    small_net,
    target,
    two_way,
)

JUDGE_VALUES = {
    "initial-loss", "regularization-raises-loss", "activations-at-init", "gradient-check", "parameters",
    "input-independence", "batch-mixing", "train-eval", "overfit-20", "lr-sweep", "short-run", "determinism",
    "throughput",
}  # fmt: skip


def checked(tmp_path, made: Target, *only: str, budget_s: float = 20.0):
    with Recorder.create(tmp_path / "check.convdebug", overwrite=True) as recorder:
        return run_checks(made, recorder, only=only or None, budget_s=budget_s)


def rules_of(result) -> list[str]:
    return [diagnosis.rule for diagnosis in result.diagnoses]


def logarithm_of_relu() -> Target:
    def model() -> nn.Module:
        log = Through(lambda x: x.log() - x.log())
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), log, nn.Flatten(), nn.Linear(144, CLASSES))

    return target(make_model=model)


def probabilities_of_nan() -> Target:
    return target(make_model=lambda: nn.Sequential(small_net(), Through(lambda x: (x * 0 - 1).log()), nn.Softmax(1)))


def weight_of_nan() -> Target:
    def model() -> nn.Module:
        net = small_net()
        net[2].weight.data[0, 0, 0, 0] = math.nan  # type: ignore[index]
        return net

    return target(make_model=model)


def loss_of(extra) -> Target:
    return target(loss=lambda scores, labels: nn.functional.cross_entropy(scores, labels) + extra(scores.sum() * 0))


def loss_of_nan() -> Target:
    return loss_of(lambda zero: (zero - 1).log())


def loss_of_infinity() -> Target:
    return loss_of(lambda zero: 1 / zero)


@pytest.mark.parametrize(
    ("made", "layer"),
    [
        (logarithm_of_relu, "2"),
        (probabilities_of_nan, "1"),
        (weight_of_nan, "2"),
        (loss_of_nan, None),
        (loss_of_infinity, None),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_where_nothing_is_a_number_the_origin_comes_first_and_no_check_of_values_passes(tmp_path, made, layer):
    report = checked(tmp_path, made())
    assert report.diagnoses[0]["rule"] == "non-finite-activation"
    assert report.diagnoses[0]["layer"] == layer
    assert {each["rule"] for each in report.diagnoses} == {"non-finite-activation", "loss-diverged"}
    assert report.verdict == "fail"
    passed = {check.id for check in report.checks if check.status not in ("fail", "skip")}
    of_the_loss = {"batch-mixing", "train-eval"} if layer is None else set()  # these see the output alone
    assert passed & JUDGE_VALUES <= of_the_loss
    assert all(check.summary for check in report.checks)


@pytest.mark.parametrize("check", sorted(JUDGE_VALUES - {"short-run"}))
def test_a_check_alone_names_the_module_that_makes_nan(tmp_path, check):
    (result,) = checked(tmp_path, logarithm_of_relu(), check, budget_s=5).checks
    assert result.status == "fail"
    assert rules_of(result)[0] == "non-finite-activation"
    assert result.diagnoses[0].layer == "2"


@pytest.mark.parametrize(
    "check", ["activations-at-init", "gradient-check", "parameters", "overfit-20", "lr-sweep", "determinism"]
)
def test_a_gradient_of_nan_is_named_though_the_loss_is_a_number(tmp_path, check):
    (result,) = checked(tmp_path, distance_to_itself(), check, budget_s=5).checks
    assert result.status == "fail"
    assert rules_of(result)[0] == "non-finite-gradient"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_inputs_that_are_no_numbers_are_a_matter_of_the_data_alone(tmp_path, value):
    inputs, labels = pictures()
    inputs[77, 0, 3, 3] = value
    report = checked(tmp_path, target((inputs, labels)), budget_s=10)
    assert [each["rule"] for each in report.diagnoses] == ["non-finite-inputs"]
    assert {check.status for check in report.checks[1:]} == {"skip"}


def test_labels_that_are_no_numbers_are_found_in_the_data_before_anything_is_trained(tmp_path):
    result = checked(tmp_path, labels_with_a_gap(), "data", budget_s=5).checks[0]
    assert rules_of(result) == ["non-finite-labels"]
    assert result.diagnoses[0].evidence["examples"] == 1


def test_labels_that_the_loss_leaves_out_may_be_nan(tmp_path):
    inputs, labels = pictures()
    answers = labels.float().unsqueeze(1) / 5 - 1
    answers[::7] = math.nan

    def loss(scores, wanted):
        known = ~wanted.isnan()
        return (scores[known] - wanted[known]).square().mean()

    made = target((inputs, answers), make_model=two_way, loss=loss, num_classes=None)
    assert checked(tmp_path, made, "data", budget_s=5).checks[0].status == "pass"


class Late(nn.Module):
    """Makes NaN from its 26th batch on."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.tail, self.batches = small_net(), Through(self.turn), 0

    def turn(self, scores):
        self.batches += self.training
        return (scores * 0 - 1).log() if self.training and self.batches > 26 else scores

    def forward(self, inputs):
        return self.tail(self.net(inputs))


@pytest.mark.parametrize("check", ["input-independence", "overfit-20", "lr-sweep", "short-run"])
def test_nan_that_comes_after_some_steps_is_traced_to_its_module(tmp_path, check):
    (result,) = checked(tmp_path, target(make_model=Late), check, budget_s=10).checks
    assert result.status == "fail"
    assert rules_of(result)[0] == "non-finite-activation"
    assert result.diagnoses[0].layer == "tail"
    assert result.diagnoses[0].first_step == 26


def test_nan_of_a_rate_that_is_far_too_high_is_that_rates_doing(tmp_path):
    report = checked(tmp_path, target(make_optimizer=lambda parameters: plain(parameters, 1e6)), budget_s=10)
    assert report.diagnoses[0]["rule"] == "learning-rate-too-high"
    assert {each["rule"] for each in report.diagnoses if each["caused_by"] is None} == {"learning-rate-too-high"}


def test_nan_of_an_optimizer_without_eps_is_not_blamed_on_the_rate(tmp_path):
    report = checked(tmp_path, adam_without_eps(), "parameters", "overfit-20", "lr-sweep", "short-run")
    assert report.diagnoses[0]["rule"] == "non-finite-update"
    assert {each["rule"] for each in report.diagnoses} == {"non-finite-update", "loss-diverged"}


class NanInEvaluation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net, self.tail = small_net(), Through(lambda x: x if self.training else (x * 0 - 1).log())

    def forward(self, inputs):
        return self.tail(self.net(inputs))


@pytest.mark.parametrize("check", ["batch-mixing", "train-eval", "short-run"])
def test_nan_of_evaluation_mode_alone_is_named_with_its_module(tmp_path, check):
    made = target(make_model=NanInEvaluation, val_data=pictures(1))
    (result,) = checked(tmp_path, made, check, budget_s=10).checks
    assert result.status == "fail"
    assert rules_of(result) == ["non-finite-activation"]
    assert result.diagnoses[0].layer == "tail"


def test_a_network_that_gives_nan_for_blank_inputs_alone_is_not_said_to_ignore_them(tmp_path):
    def whitened(inputs):
        return (inputs - inputs.mean((1, 2, 3), True)) / inputs.std((1, 2, 3), keepdim=True)

    made = target(make_model=lambda: nn.Sequential(Through(whitened), small_net()))
    (result,) = checked(tmp_path, made, "input-independence").checks
    assert result.status == "pass"
    assert math.isfinite(result.measured["blank"])


def test_a_network_that_is_defined_for_positive_inputs_alone_does_not_mix_its_batch(tmp_path):
    inputs, labels = pictures()
    inputs = (inputs - inputs.min()) / (inputs.max() - inputs.min())
    made = target((inputs, labels), make_model=lambda: nn.Sequential(Through(torch.sqrt), small_net()))
    (result,) = checked(tmp_path, made, "batch-mixing").checks
    assert result.status == "pass"
    assert result.measured["change_by_others"] < 1e-6


def test_weight_decay_that_overshoots_is_not_said_to_have_no_effect(tmp_path):
    made = target(make_optimizer=lambda parameters: plain(parameters, 1e6))
    assert checked(tmp_path, made, "regularization-raises-loss").checks[0].status == "pass"


def test_a_scaler_that_looks_for_its_scale_fails_no_check_of_parameters(tmp_path):
    count = itertools.count()

    def step(model, batch, loss_of, optimizer):
        optimizer.zero_grad()
        loss = loss_of(model(batch[0]), batch[1])
        loss.backward()
        if next(count) < 2:
            model[0].weight.grad[0] = math.inf
        else:
            optimizer.step()
        return loss

    assert checked(tmp_path, target(train_step=step), "parameters").checks[0].status == "pass"


def test_an_infinite_gradient_is_not_blamed_on_the_rate(tmp_path):
    def step(model, batch, loss_of, optimizer):
        optimizer.zero_grad()
        loss = loss_of(model(batch[0]), batch[1])
        loss.backward()
        model[0].weight.grad[0] = math.inf
        optimizer.step()
        return loss

    for result in checked(tmp_path, target(train_step=step), "parameters", "short-run").checks:
        assert rules_of(result)[0] == "non-finite-gradient"
        assert "learning-rate-too-high" not in rules_of(result)
