"""The checks of what a model is made of, on tiny healthy and sick ones: parameters, batch mixing, the two modes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import TensorDataset

from convdebug.checks import run_checks
from convdebug.target import Target
from convdebug_sessions import Recorder, Session

CLASSES, FEATURES = 4, 8


def points(count=64):
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randn(count, FEATURES, generator=generator), torch.arange(count) % CLASSES)


def net(*more):
    return nn.Sequential(nn.Linear(FEATURES, 16), nn.ReLU(), *more, nn.Linear(16, CLASSES))


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def check(tmp_path, id, make_model=net, data=None, make_optimizer=sgd, **changes):
    made = Target(
        make_model=make_model, train_data=points() if data is None else data, make_optimizer=make_optimizer,
        **({"batch_size": 16} | changes),
    )  # fmt: skip
    with Recorder.create(tmp_path / "check.convdebug", overwrite=True) as recorder:
        return run_checks(made, recorder, only=[id], budget_s=20.0).checks[0]


def found(result):
    return [(each.rule, each.severity) for each in result.diagnoses]


class Through(nn.Module):
    """A function as a module."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


# parameters


def test_parameters_of_a_healthy_network_are_all_moved(tmp_path):
    result = check(tmp_path, "parameters", lambda: net(nn.BatchNorm1d(16)))
    assert result.status == "pass"
    assert result.measured == result.expected | {"parameters": 6, "trainable": 6}


def test_a_head_replaced_after_the_optimizer_was_made_is_in_no_optimizer(tmp_path):
    def late(parameters):
        return torch.optim.SGD(parameters[:2], lr=0.1)

    result = check(tmp_path, "parameters", make_optimizer=late)
    assert found(result) == [("parameters-not-in-optimizer", "error")]
    assert result.diagnoses[0].layers == ("2.weight", "2.bias")


def test_a_layer_that_is_cut_off_receives_no_gradient(tmp_path):
    result = check(tmp_path, "parameters", lambda: net(Through(torch.Tensor.detach)))
    assert found(result) == [("no-gradient", "error")]
    assert result.diagnoses[0].layer == "0"


def test_a_bias_that_nobody_uses_is_a_warning_only(tmp_path):
    def model():
        made = net()
        made.register_parameter("scale", nn.Parameter(torch.ones(1)))
        return made

    assert found(check(tmp_path, "parameters", model)) == [("no-gradient", "warning")]


def test_layers_silenced_by_a_zero_behind_them_do_not_change(tmp_path):
    result = check(tmp_path, "parameters", lambda: net(Through(lambda x: 0 * x)))
    assert found(result) == [("frozen-parameters", "warning")]
    assert "0.weight" in result.diagnoses[0].layers


def test_a_frozen_backbone_is_healthy_whether_the_optimizer_holds_it_or_not(tmp_path):
    def model():
        made = net()
        made[0].requires_grad_(False)
        return made

    assert check(tmp_path, "parameters", model).status == "pass"
    only = check(
        tmp_path, "parameters", model,
        make_optimizer=lambda parameters: sgd([each for each in parameters if each.requires_grad]),
    )  # fmt: skip
    assert only.status == "pass"


def test_a_zero_last_layer_is_healthy(tmp_path):
    def model():
        made = net()
        nn.init.zeros_(made[-1].weight)
        return made

    assert check(tmp_path, "parameters", model).status == "pass"


def test_a_bias_before_batch_norm_which_has_nothing_to_learn_is_healthy(tmp_path):
    def model():
        return nn.Sequential(nn.Linear(FEATURES, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, CLASSES))

    assert check(tmp_path, "parameters", model, make_optimizer=lambda p: torch.optim.SGD(p, lr=1e-3)).status == "pass"


def test_a_model_without_anything_to_train_fails(tmp_path):
    result = check(tmp_path, "parameters", lambda: net().requires_grad_(False), loss=lambda a, b: Leaf.apply(a, b))
    assert result.status == "fail"


class Leaf(torch.autograd.Function):
    """A loss that has a gradient to give, though nobody wants it."""

    @staticmethod
    def forward(context, scores, labels):
        return F.cross_entropy(scores, labels).requires_grad_()


def test_a_group_at_rate_zero_and_steps_lost_in_rounding_are_told_apart(tmp_path):
    def groups(parameters):
        return torch.optim.SGD([{"params": parameters[:2], "lr": 0.0}, {"params": parameters[2:]}], lr=0.1)

    assert found(check(tmp_path, "parameters", make_optimizer=groups)) == [("learning-rate-zero", "error")]
    tiny = check(tmp_path, "parameters", make_optimizer=lambda p: torch.optim.SGD(p, lr=1e-12))
    assert found(tiny) == [("frozen-parameters", "warning")]
    assert "rounding" in tiny.diagnoses[0].message


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.LBFGS, torch.optim.RMSprop])
def test_parameters_are_followed_through_any_optimizer(tmp_path, optimizer):
    assert check(tmp_path, "parameters", make_optimizer=lambda p: optimizer(p, lr=1e-2)).status == "pass"


def test_a_train_step_that_clears_its_gradients_hides_nothing(tmp_path):
    def step(model, batch, loss, optimizer):
        value = loss(model(batch[0]), batch[1])
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return value

    assert check(tmp_path, "parameters", train_step=step).status == "pass"


# batch-mixing


@pytest.mark.parametrize(
    "layer",
    [
        Through(lambda x: F.softmax(x, dim=0)),
        Through(lambda x: x.reshape(x.shape[1], x.shape[0]).t()),
        Through(lambda x: x - x.mean(0)),
        Through(lambda x: x.cumsum(0)),
        Through(lambda x: F.batch_norm(x, None, None, training=True)),
    ],
    ids=["softmax over the batch", "view", "mean over the batch", "cumsum over the batch", "batch statistics"],
)
def test_what_mixes_the_examples_of_a_batch_fails_and_is_placed(tmp_path, layer):
    result = check(tmp_path, "batch-mixing", lambda: net(layer))
    assert found(result) == [("batch-mixing", "error")]
    assert result.diagnoses[0].layer == "2"


@pytest.mark.parametrize(
    "layer",
    [nn.BatchNorm1d(16), nn.BatchNorm1d(16, track_running_stats=False), nn.LayerNorm(16), nn.Dropout(0.5)],
    ids=["batch norm", "batch norm without running statistics", "layer norm", "dropout"],
)
def test_normalization_and_dropout_do_not_count_as_mixing(tmp_path, layer):
    result = check(tmp_path, "batch-mixing", lambda: net(layer))
    assert result.status == "pass"
    assert result.measured["change_by_others"] < 1e-6


def test_a_leak_that_no_gradient_shows_is_found_by_exchanging_the_others(tmp_path):
    result = check(tmp_path, "batch-mixing", lambda: net(Through(lambda x: x + x.detach().mean(0))))
    assert found(result) == [("batch-mixing", "error")]
    assert result.measured["gradient_of_others"] < 1e-6


def test_mixing_behind_a_zero_layer_is_seen_all_the_same(tmp_path):
    def model():
        made = net(Through(lambda x: F.softmax(x, dim=0)))
        nn.init.zeros_(made[-1].weight)
        return made

    assert found(check(tmp_path, "batch-mixing", model)) == [("batch-mixing", "error")]


class Tokens(nn.Module):
    """A transformer over tokens, with the batch first or (wrongly) taken for time."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first, dropout=0.0)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, tokens):
        return self.head(self.encoder(self.embedding(tokens)).mean(1))


def test_whole_number_inputs_are_judged_by_exchanging_the_others(tmp_path):
    tokens = torch.randint(0, 20, (64, 5), generator=torch.Generator().manual_seed(0))
    data = TensorDataset(tokens, torch.arange(64) % CLASSES)
    healthy = check(tmp_path, "batch-mixing", lambda: Tokens(True), data)
    assert healthy.status == "pass"
    sick = check(tmp_path, "batch-mixing", lambda: Tokens(False), data)
    assert found(sick) == [("batch-mixing", "error")]
    assert sick.diagnoses[0].layer == "encoder.self_attn"


def test_outputs_that_belong_to_no_single_example_skip_with_their_reason(tmp_path):
    def loss(scores, labels):
        return F.cross_entropy(scores, torch.arange(len(scores)))

    pairs = check(tmp_path, "batch-mixing", lambda: nn.Sequential(net(), Through(lambda x: x @ x.t())), loss=loss)
    assert pairs.status == "skip"
    assert "on purpose" in pairs.summary
    alone = check(tmp_path, "batch-mixing", lambda: nn.Sequential(net(), Through(torch.mean)), loss=lambda a, b: a)
    assert alone.status == "skip"


# train-eval


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.BatchNorm1d(16)], ids=["dropout", "batch norm"])
def test_layers_with_two_modes_that_work_pass(tmp_path, layer):
    result = check(tmp_path, "train-eval", lambda: net(layer))
    assert result.status == "pass"
    assert result.measured["evaluation twice"] == 0
    assert result.measured["training against evaluation"] > 1e-3


def test_a_network_with_one_mode_only_skips(tmp_path):
    assert check(tmp_path, "train-eval").status == "skip"
    assert check(tmp_path, "train-eval", lambda: net(nn.Dropout(0.0))).status == "skip"


def test_dropout_that_stays_on_in_evaluation_is_named_with_its_module(tmp_path):
    result = check(tmp_path, "train-eval", lambda: net(Through(lambda x: F.dropout(x, 0.5))))
    assert found(result) == [("train-mode-while-validating", "warning")]
    assert result.diagnoses[0].layer == "2"


def test_attention_that_drops_in_evaluation_is_found(tmp_path):
    def attention(x):
        heads = x.view(len(x), 1, 4, 4)
        return F.scaled_dot_product_attention(heads, heads, heads, dropout_p=0.5).flatten(1)

    result = check(tmp_path, "train-eval", lambda: net(Through(attention)))
    assert found(result) == [("train-mode-while-validating", "warning")]


def test_batch_statistics_that_are_updated_in_evaluation_are_found(tmp_path):
    class Careless(nn.BatchNorm1d):
        def forward(self, x):
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, training=True)

    result = check(tmp_path, "train-eval", lambda: net(Careless(16)))
    assert ("train-mode-while-validating", "warning") in found(result)


def test_a_network_that_samples_in_evaluation_is_told_and_passes(tmp_path):
    result = check(tmp_path, "train-eval", lambda: net(Through(lambda x: x + torch.randn_like(x))))
    assert found(result) == [("train-mode-while-validating", "info")]
    assert result.status == "pass"


class Held(nn.Module):
    """Keeps a part of itself in evaluation mode whatever train() says."""

    def __init__(self, layer) -> None:
        super().__init__()
        self.layer, self.net = layer, net()

    def train(self, mode=True):
        super().train(mode)
        self.layer.eval()
        return self

    def forward(self, x):
        return self.net(self.layer(x))


def test_dropout_that_sleeps_in_training_warns_and_frozen_batch_norm_does_not(tmp_path):
    asleep = check(tmp_path, "train-eval", lambda: Held(nn.Dropout(0.5)))
    assert found(asleep) == [("eval-mode-while-training", "warning")]
    frozen = check(tmp_path, "train-eval", lambda: Held(nn.BatchNorm1d(FEATURES)))
    assert found(frozen) == [("eval-mode-while-training", "info")]


def test_dropout_that_forward_never_calls_warns(tmp_path):
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.dropout = net(), nn.Dropout(0.5)

        def forward(self, x):
            return self.net(x)

    assert found(check(tmp_path, "train-eval", Unused)) == [("eval-mode-while-training", "warning")]


@pytest.mark.parametrize("id", ["parameters", "batch-mixing", "train-eval"])
def test_each_of_them_draws_a_chart_with_a_value_for_every_name(tmp_path, id):
    check(tmp_path, id, lambda: net(nn.Dropout(0.5)))
    with Session.open(tmp_path / "check.convdebug") as session:
        chart = session.events(1, kinds={"chart"})[-1].data
    assert len(chart["names"]) == len(chart["lines"][0]["y"]) > 1
