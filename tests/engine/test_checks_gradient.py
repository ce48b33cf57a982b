"""The gradient check: wrong backwards are caught, kinks and noise are not, in whatever precision the model takes."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import TensorDataset

from convdebug.checks import run_checks
from convdebug.checks.numerical import Differences
from convdebug.target import Target
from convdebug_sessions import Recorder, Session

CLASSES, SIDE = 4, 8


def pictures(count=64):
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randn(count, 3, SIDE, SIDE, generator=generator), torch.arange(count) % CLASSES)


def check(tmp_path, make_model, data=None, loss=None, budget_s=20.0, **changes):
    made = Target(
        make_model=make_model,
        train_data=pictures() if data is None else data,
        loss=loss or nn.CrossEntropyLoss(),
        make_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        batch_size=16,
        **changes,
    )
    with Recorder.create(tmp_path / "check.convdebug", overwrite=True) as recorder:
        return run_checks(made, recorder, only=["gradient-check"], budget_s=budget_s).checks[0]


class TwiceAsSteep(torch.autograd.Function):
    """x², whose backward forgets the 2."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(context, gradient):
        return gradient * context.saved_tensors[0]


class Rounded(torch.autograd.Function):
    """A straight-through estimator."""

    @staticmethod
    def forward(context, x):
        return (4 * x).round() / 4

    @staticmethod
    def backward(context, gradient):
        return gradient


class Applied(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def convnet(*middle, activation=nn.ReLU):
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), activation(), *middle, nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(32, CLASSES),
    )  # fmt: skip


def test_a_custom_function_with_a_wrong_factor_fails_and_is_placed(tmp_path):
    result = check(tmp_path, lambda: convnet(Applied(TwiceAsSteep.apply)))
    assert result.status == "fail"
    [found] = result.diagnoses
    assert found.rule == "wrong-gradient"
    assert found.layers == ("0.weight", "0.bias")
    assert "from 4.weight on they are right" in found.message
    assert found.evidence["analytic"] / found.evidence["numeric"] == pytest.approx(0.5, rel=1e-3)


def test_relu_max_pooling_batch_norm_and_dropout_pass_with_a_small_error(tmp_path):
    result = check(tmp_path, lambda: convnet(nn.BatchNorm2d(6), nn.Dropout2d(0.5)))
    assert result.status == "pass"
    assert result.measured["error"] < 1e-3
    assert result.measured["parameters"] == 8
    assert result.measured["precision"] == "float64"


def test_inputs_full_of_zeros_and_ties_pass(tmp_path):
    black = torch.zeros(64, 3, SIDE, SIDE)
    black[:, :, :3] = 1.0
    result = check(tmp_path, convnet, TensorDataset(black, torch.arange(64) % CLASSES))
    assert result.status == "pass"


@pytest.mark.parametrize("activation", [nn.Tanh, nn.LeakyReLU, nn.Hardtanh, nn.SELU, nn.PReLU])
def test_every_activation_of_torch_passes(tmp_path, activation):
    assert check(tmp_path, lambda: convnet(activation=activation)).status == "pass"


def test_a_straight_through_estimator_is_left_out_and_not_called_wrong(tmp_path):
    result = check(tmp_path, lambda: convnet(Applied(Rounded.apply)))
    assert result.status == "pass"
    assert result.measured["flat"] > 0
    by_detach = check(tmp_path, lambda: convnet(Applied(lambda x: x + (x.round() - x).detach())))
    assert by_detach.status == "pass"
    assert by_detach.measured["flat"] == 0


def test_a_gradient_that_is_stopped_on_purpose_is_not_called_wrong(tmp_path):
    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.gate = convnet(), nn.Linear(3 * SIDE * SIDE, CLASSES)

        def forward(self, x):
            scores = self.net(x)
            return scores * torch.sigmoid(self.gate(x.flatten(1))) + scores.detach() ** 2

    assert check(tmp_path, Weighted).status == "pass"


def test_spectral_norm_which_changes_with_every_pass_is_held_still(tmp_path):
    def model():
        net = convnet()
        nn.utils.parametrizations.spectral_norm(net[0])
        return net

    assert check(tmp_path, model).status == "pass"


def test_whole_number_inputs_pass(tmp_path):
    tokens = torch.randint(0, 20, (64, 5), generator=torch.Generator().manual_seed(0))
    result = check(
        tmp_path,
        lambda: nn.Sequential(nn.Embedding(20, 6), nn.Flatten(), nn.Linear(30, CLASSES)),
        TensorDataset(tokens, torch.arange(64) % CLASSES),
    )
    assert result.status == "pass"
    assert result.measured["parameters"] == 3


class OnlySingle(nn.Module):
    """Insists on float32, as some kernels do."""

    def __init__(self, function=None) -> None:
        super().__init__()
        self.net = convnet(*([Applied(function)] if function else []))

    def forward(self, x):
        if x.dtype != torch.float32:
            raise RuntimeError("this kernel takes float32")
        return self.net(x)


def test_a_model_that_refuses_double_precision_is_judged_in_single_with_wider_bounds(tmp_path):
    result = check(tmp_path, OnlySingle)
    assert result.status == "pass"
    assert result.measured["precision"] == "float32"
    assert "this kernel takes float32" in result.summary
    sick = check(tmp_path, lambda: OnlySingle(TwiceAsSteep.apply))
    assert [each.rule for each in sick.diagnoses] == ["wrong-gradient"]


def test_values_overwritten_behind_the_back_of_autograd_are_found(tmp_path):
    class Overwritten(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(3 * SIDE * SIDE, 16), nn.Linear(16, CLASSES)

        def forward(self, x):
            hidden = torch.tanh(self.first(x.flatten(1)))
            scores = self.last(hidden)
            hidden.untyped_storage().copy_((3 * hidden).untyped_storage())
            return scores

    result = check(tmp_path, Overwritten)
    assert result.status == "fail"


def test_a_loss_with_class_weights_and_one_for_numbers_are_judged_too(tmp_path):
    assert check(tmp_path, convnet, loss=nn.CrossEntropyLoss(weight=torch.rand(CLASSES))).status == "pass"
    inputs = pictures().tensors[0]
    numbers = TensorDataset(inputs, inputs.mean((1, 2, 3)))
    result = check(tmp_path, lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 1), nn.Flatten(0)), numbers, F.mse_loss)
    assert result.status == "pass"


def test_a_loss_that_is_never_the_same_twice_skips_with_its_reason(tmp_path):
    source = torch.Generator()

    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = convnet()

        def forward(self, x):
            return self.net(x + torch.randn(x.shape, generator=source, dtype=x.dtype))

    result = check(tmp_path, Noisy)
    assert result.status == "skip"
    assert "it cannot be differentiated" in result.summary


def test_what_was_not_reached_in_the_time_is_said(tmp_path):
    def deep():
        return nn.Sequential(*[nn.Conv2d(3, 3, 3, padding=1) for _ in range(40)], nn.Flatten(), nn.Linear(192, CLASSES))

    ticks = iter(range(10**6))
    made = check(tmp_path, deep, pictures(), lambda scores, labels: F.cross_entropy(scores, labels) + 0 * next(ticks))
    assert made.status == "pass"
    assert made.measured["parameters"] == 82


def test_weights_are_as_the_model_made_them_after_each_entry():
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    before = weight.clone()
    entry = Differences("weight", weight, 2 * weight, lambda: float((weight**2).sum())).entry(3, 30.0)
    assert entry.verdict == "right"
    assert entry.numeric == pytest.approx(8.0)
    assert torch.equal(weight, before)


def test_a_kink_is_told_from_a_mistake():
    weight = torch.zeros(1, dtype=torch.float64)
    kink = Differences("weight", weight, torch.zeros(1), lambda: max(0.0, float(weight))).entry(0, 0.0)
    assert kink.verdict == "kink"
    mistake = Differences("weight", weight, torch.ones(1), lambda: math.sin(3 * float(weight))).entry(0, 0.0)
    assert mistake.verdict == "wrong"


def test_the_session_keeps_every_parameter_and_the_chart(tmp_path):
    check(tmp_path, convnet)
    with Session.open(tmp_path / "check.convdebug") as session:
        [event] = session.events(1, kinds={"gradient-check"})
        [chart] = session.events(1, kinds={"chart"})
    assert [each["name"] for each in event.data["parameters"]] == chart.data["names"]
    assert chart.data["level"] == 1e-2
