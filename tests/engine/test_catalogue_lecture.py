"""The lecture's numbers, repeated by the catalogue's experiments."""

import itertools
import math

import pytest
import torch
from torch import nn

from convdebug.catalogue import initializers
from convdebug.catalogue.experiments import experiment
from convdebug.config import RunConfig
from convdebug.settings import ModelConfig
from convdebug.target import Target


def target_of(name, **changes):
    return Target.from_config(experiment(name).config(**changes))


def deviations(name, seed=0):
    """The standard deviation of every hidden layer's activations on all 1000 inputs."""
    target = target_of(name)
    model = target.build(seed)
    inputs, _ = target.training_data_sample(1000)
    found = []
    with torch.no_grad():
        for layer_name, layer in model.named_children():
            inputs = layer(inputs)
            if layer_name.endswith(("_tanh", "_relu")):
                found.append(float(inputs.std()))
    return found


def test_small_weights_make_tanh_activations_vanish():
    found = deviations("ten-layer-tanh-small")
    expected = [0.2131, 0.0476, 0.0106, 0.00238, 0.00053, 0.00012, 2.6e-5, 6e-6]
    assert found[:6] == pytest.approx(expected[:6], rel=0.05)
    assert found[6:8] == pytest.approx(expected[6:], rel=0.10)
    assert found[9] < 1e-6


def test_large_weights_saturate_every_tanh_layer():
    assert deviations("ten-layer-tanh-large") == pytest.approx([0.98] * 10, abs=0.01)


def test_xavier_keeps_tanh_layers_alive():
    expected = [0.627, 0.486, 0.407, 0.357, 0.321, 0.294, 0.273, 0.255, 0.240, 0.227]
    assert deviations("ten-layer-tanh-xavier") == pytest.approx(expected, rel=0.05)


def test_xavier_breaks_with_relu():
    several = torch.tensor([deviations("ten-layer-relu-xavier", seed) for seed in range(4)]).mean(0).tolist()
    assert several[:5] == pytest.approx([0.584, 0.412, 0.290, 0.203, 0.141], rel=0.08)
    assert several[9] == pytest.approx(0.025, rel=0.2)


def test_he_keeps_relu_layers_alive():
    assert all(0.65 < found < 0.95 for found in deviations("ten-layer-relu-he"))


def test_large_tanh_weights_make_gradients_explode_toward_the_input():
    target = target_of("ten-layer-tanh-large")
    model = target.build(0)
    inputs, labels = target.training_data_sample(1000)
    target.loss(model(inputs), labels).backward()
    norms = [float(layer.weight.grad.norm()) for name, layer in model.named_children() if name.startswith("fc") and
             isinstance(layer, nn.Linear)]  # fmt: skip
    growth = [near / far for near, far in itertools.pairwise(norms[1:9])]
    assert 2.5 < math.prod(growth) ** (1 / len(growth)) < 4.5


EMBEDDED = {"data.name": "shapes10", "data.limit": 500, "data.val_limit": 100}


def initial_loss(name):
    target = target_of(name, **EMBEDDED)
    model = target.build(0)
    inputs, labels = target.training_data_sample(500)
    with torch.no_grad():
        return float(target.total_loss(model, model(inputs), labels)[0])


def test_the_first_loss_is_what_chance_gives():
    assert initial_loss("initial-loss") == pytest.approx(2.3026, abs=5e-4)


def test_the_first_loss_rises_with_regularization():
    assert initial_loss("initial-loss-regularized") == pytest.approx(3.07, abs=0.01)


def train(target, steps):
    model = target.build(0)
    optimizer = target.optimizer(model)
    losses = []
    for epoch in range(steps):
        for inputs, labels in target.batches("train", 0, epoch):
            total, loss, _ = target.total_loss(model, model(inputs), labels)
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    return model, losses


@pytest.mark.data
def test_twenty_real_examples_are_learned_by_heart_as_in_the_lecture(data_root):
    target = target_of("overfit-20", **{"data.root": str(data_root)})
    model, losses = train(target, 200)
    inputs, labels = target.training_data_sample(20)
    assert losses[:2] == pytest.approx([2.3026, 2.3023], abs=3e-4)
    assert losses[-1] < 0.005
    assert (model(inputs).argmax(1) == labels).all()


def test_zero_weights_leave_only_the_last_biases_to_learn():
    target = target_of("zero-init", **EMBEDDED, **{"data.batch_size": 100})
    model, _ = train(target, 1)
    assert not any(parameter.any() for name, parameter in model.named_parameters() if name != "output.bias")
    assert model.output.bias.any()


def test_a_rate_of_a_million_ends_in_nan():
    _, losses = train(target_of("lr-too-high", **EMBEDDED), 1)
    assert math.isnan(losses[-1])


def conv_net():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 5))


SAMPLE = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 5 + 2


def outputs_of_layers(net):
    found, inputs = [], SAMPLE
    with torch.no_grad():
        for layer in net:
            inputs = layer(inputs)
            if isinstance(layer, nn.Linear | nn.Conv2d):
                found.append(inputs)
    return found


def test_lsuv_gives_every_layer_variance_one_on_training_inputs():
    net = conv_net()
    initializers.lsuv(net, ModelConfig(), lambda: SAMPLE)
    assert [float(outputs.var()) for outputs in outputs_of_layers(net)] == pytest.approx([1] * 3, rel=1e-3)


def test_data_dependent_weights_give_every_unit_mean_zero_and_deviation_one():
    net = conv_net()
    initializers.data_dependent(net, ModelConfig(), lambda: SAMPLE)
    for outputs in outputs_of_layers(net):
        by_unit = outputs.transpose(0, 1).flatten(1)
        assert by_unit.mean(1).abs().max() < 1e-4
        assert torch.allclose(by_unit.std(1), torch.ones(len(by_unit)), atol=1e-3)


@pytest.mark.parametrize(("name", "gain"), [("xavier", 1.0), ("he", 2.0), ("random_walk", 2.1)])
def test_normal_weights_have_the_variance_of_their_formula(name, gain):
    layer = nn.Linear(400, 400)
    getattr(initializers, name)(nn.Sequential(layer), RunConfig().model, lambda: SAMPLE)
    assert float(layer.weight.detach().var()) * 400 == pytest.approx(gain, rel=0.06)
    assert not layer.bias.any()
