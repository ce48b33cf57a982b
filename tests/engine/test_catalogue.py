"""The catalogue: complete tables, and what holds for every entry of a kind."""

import gzip
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from convdebug.catalogue import (
    ACTIVATIONS,
    DATASETS,
    FAMILIES,
    INITIALIZERS,
    MODELS,
    OPTIMIZERS,
    SCHEDULES,
    TABLES,
    build,
    describe_catalogue,
)
from convdebug.catalogue.experiments import EXPERIMENTS, experiment
from convdebug.config import RunConfig, settings_schema
from convdebug.errors import UserError
from convdebug.target import Target

ENTRIES = [(family, entry) for family, table in FAMILIES.items() for entry in table.values()]
ROOM = Path(build.__file__).parent
SHAPE_AND_CLASSES = {"shapes10": ((3, 32, 32), 10), "gaussian": ((500,), 10), "mnist": ((1, 28, 28), 10)}


@pytest.fixture(scope="module")
def mnist_folder(tmp_path_factory):
    """A folder with 60 made-up digits in MNIST's own files, gzipped."""
    root = tmp_path_factory.mktemp("data")
    place = root / "MNIST" / "raw"
    place.mkdir(parents=True)
    for split in ("train", "t10k"):
        write_idx(place / f"{split}-images-idx3-ubyte.gz", np.random.default_rng(0).integers(0, 256, (60, 28, 28)))
        write_idx(place / f"{split}-labels-idx1-ubyte.gz", np.arange(60) % 10)
    return str(root)


def write_idx(path, values):
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
    path.write_bytes(gzip.compress(head + values.astype(np.uint8).tobytes()))


def built(**settings):
    return Target.from_config(RunConfig.of({"data.limit": 40, "data.batch_size": 20, "data.val_limit": 20, **settings}))


def first_loss(target, seed=0):
    model = target.build(seed)
    inputs, labels = next(target.batches("train", seed))
    with torch.no_grad():
        return float(target.loss(model(inputs), labels))


@pytest.mark.parametrize(("family", "entry"), ENTRIES, ids=lambda each: getattr(each, "name", each))
def test_every_entry_says_what_it_is_and_its_function_is_there(family, entry):
    assert callable(entry.load())
    assert entry.description
    assert set(entry.settings) <= set(settings_schema())


def test_every_public_function_of_a_list_is_in_the_list():
    for family in ("preprocessing", "augmentation", "activations", "initializers", "optimizers", "schedules"):
        written = set(re.findall(r"^def ([a-z]\w*)\(", (ROOM / f"{family}.py").read_text(), re.MULTILINE))
        listed = {entry.function.partition(":")[2] for entry in FAMILIES[family].values()}
        aids = {"layers", "fan_in", "mean_picture", "channel_moments", "principal_axes"}
        assert written - listed - aids == set(), family


@pytest.mark.parametrize("folder", ["models", "datasets"])
def test_every_file_of_a_folder_is_in_the_list(folder):
    aids = {"__init__", "parts", "pictures", "files", "torchvision_models"}
    written = {path.stem for path in (ROOM / folder).glob("*.py")} - aids
    assert written == {entry.function.partition(":")[0].partition(".")[2] for entry in FAMILIES[folder].values()}


def test_the_catalogue_describes_itself_as_plain_data():
    described = describe_catalogue()
    assert [entry["name"] for entry in described["datasets"]] == list(DATASETS)
    assert described["models"][-1]["name"] == "torchvision:NAME"


def test_every_chooser_has_its_default_in_its_table():
    flat = RunConfig().flat()
    assert all(flat[key] in table for key, table in TABLES.items())


@pytest.mark.parametrize("initializer", INITIALIZERS)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_starts_from_every_initializer_alike_for_the_same_seed(model, initializer):
    data = {} if model not in ("two-layer", "ten-layer") else {"data.name": "gaussian"}
    settings = {"model.name": model, "model.init": initializer, "model.width": 0.25, "model.hidden": 40, **data}
    losses = [first_loss(built(**settings), seed=3) for _ in range(2)]
    assert losses[0] == losses[1]
    assert math.isfinite(losses[0])


@pytest.mark.parametrize("data", SHAPE_AND_CLASSES)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_takes_every_shape_of_data_or_says_why_not(model, data, mnist_folder):
    shape, classes = SHAPE_AND_CLASSES[data]
    target = built(**{"data.name": data, "model.name": model, "model.width": 0.25, "data.root": mnist_folder})
    if data == "gaussian" and model not in ("two-layer", "ten-layer", "lenet-300-100"):
        with pytest.raises(UserError, match=f"model {model} needs pictures"):
            target.build()
        return
    inputs, labels = next(target.batches("train"))
    assert inputs.shape == (20, *shape)
    assert (labels.dtype, inputs.dtype) == (torch.int64, torch.float32)
    assert target.build()(inputs).shape == (20, classes)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("model", ["two-layer", "vgg-bn", "resnet20", "convnetjs"])
def test_every_activation_fits_and_leaves_what_it_is_given_alone(model, activation):
    target = built(**{"model.name": model, "model.activation": activation, "model.width": 0.25})
    net = target.build()
    inputs, labels = next(target.batches("train"))
    kept = inputs.clone()
    target.loss(net(inputs), labels).backward()
    assert torch.equal(inputs, kept)
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert not any(getattr(module, "inplace", False) for module in net.modules())


def test_maxout_doubles_the_parameters_before_it():
    relu, maxout = (
        built(**{"model.name": "two-layer", "model.activation": name}).build().fc1 for name in ("relu", "maxout")
    )
    assert maxout.weight.numel() == 2 * relu.weight.numel()


@pytest.mark.parametrize("where", ["none", "before", "after"])
def test_batch_norm_stands_where_it_is_wanted(where):
    names = list(dict(built(**{"model.name": "vgg", "model.batch_norm": where}).build().named_children()))
    expected = {"none": [], "before": ["conv1_1_norm", "conv1_1_relu"], "after": ["conv1_1_relu", "conv1_1_norm"]}
    assert [name for name in names if name.startswith("conv1_1_")] == (expected[where] or ["conv1_1_relu"])


@pytest.mark.parametrize(
    ("model", "count", "data"),
    [("lenet-300-100", 266_610, "mnist"), ("lenet5", 431_080, "mnist"), ("resnet20", 269_722, "shapes10"),
     ("3c3d", 895_210, "shapes10"), ("two-layer", 154_160, "shapes10")],
)  # fmt: skip
def test_models_have_the_parameters_of_their_papers(model, count, data, mnist_folder):
    net = built(**{"model.name": model, "data.name": data, "data.root": mnist_folder}).build()
    assert sum(parameter.numel() for parameter in net.parameters()) == count


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss_at_its_own_settings(optimizer):
    target = built(**{"data.name": "gaussian", "model.name": "two-layer", "optimizer.name": optimizer})
    model = target.build()
    stepper = target.optimizer(model)
    inputs, labels = target.training_data_sample(40)

    def closure():
        stepper.zero_grad()
        loss = target.loss(model(inputs), labels)
        loss.backward()
        return loss

    losses = [float(stepper.step(closure).detach()) for _ in range(30)]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_stays_between_zero_and_its_rate(schedule):
    rates = run_schedule(schedule, steps=40)
    assert len(rates) == 41
    assert all(0 <= rate <= 0.1 + 1e-9 for rate in rates)


def run_schedule(name, steps, **settings):
    config = RunConfig.of({"schedule.name": name, "train.steps": steps, "optimizer.lr": 0.1, **settings})
    optimizer = build.optimizer([torch.nn.Parameter(torch.zeros(1))], config.optimizer)
    scheduler = build.scheduler(optimizer, config, steps_per_epoch=10)
    rates = []
    for _ in range(steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if scheduler is not None and len(rates) <= steps:
            scheduler.step(*([1.0] if name == "plateau" else []))
    return rates


def test_schedules_follow_the_lectures_formulas():
    epochs = torch.arange(41) / 10
    exponential = run_schedule("exponential", 40, **{"schedule.k": 0.3})
    assert exponential == pytest.approx((0.1 * torch.exp(-0.3 * epochs)).tolist(), rel=1e-4)
    one_over_t = run_schedule("one-over-t", 40, **{"schedule.k": 0.3})
    assert one_over_t == pytest.approx((0.1 / (1 + 0.3 * epochs)).tolist(), rel=1e-4)
    step = run_schedule("step", 40, **{"schedule.every": 2, "schedule.factor": 0.5})
    assert step == pytest.approx([0.1] * 20 + [0.05] * 20 + [0.025])


def test_cosines_end_where_they_should():
    assert run_schedule("cosine", 40, **{"schedule.final": 0.1})[-1] == pytest.approx(0.01)
    assert run_schedule("warmup-cosine", 40)[0] < 0.03
    assert max(run_schedule("one-cycle", 40)) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("each", EXPERIMENTS, ids=lambda each: each.name)
def test_every_experiment_is_a_valid_config(each):
    config = each.config(**{"train.steps": 3})
    assert config.train.steps == 3
    assert each.title
    assert each.description


def test_an_unknown_experiment_names_the_nearest():
    with pytest.raises(UserError, match=r"nearest: lr-too-low"):
        experiment("lr-to-low")


def test_a_torchvision_model_takes_the_datas_channels_and_classes(mnist_folder):
    target = built(**{"model.name": "torchvision:squeezenet1_1", "data.name": "mnist", "data.root": mnist_folder})
    inputs, _ = next(target.batches("train"))
    assert target.build()(inputs).shape == (20, 10)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model.name": "torchvision:resnet81"}, r"nearest: resnet18"),
        ({"model.name": "torchvision:resnet18", "regularization.dropout": 0.5}, "has no dropout"),
        ({"model.name": "torchvision:alexnet"}, "cannot take inputs of 3×32×32"),
        ({"model.name": "torchvision:squeezenet1_1", "model.activation": "maxout"}, "maxout"),
    ],
)
def test_a_torchvision_model_that_does_not_fit_is_named(settings, said):
    with pytest.raises(UserError, match=said):
        built(**settings).build()
