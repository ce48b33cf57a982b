"""Targets: from configs and from the user's files, batches in a fixed order, regularization off, clear errors."""

import itertools
import math
import random
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, WeightedRandomSampler

from convdebug.batches import batch_sizes, split_batch, to_device
from convdebug.config import RunConfig
from convdebug.errors import TargetError, UserError
from convdebug.instruments.opening import describe_loss
from convdebug.learner import Learner
from convdebug.target import Target, load_target

TARGET_FILE = """
import torch
from torch import nn
from convdebug.target import Target

def make_target():
    data = torch.utils.data.TensorDataset(torch.randn(40, 6), torch.arange(40) % 4)
    return Target(
        make_model=lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)),
        train_data=data, val_data=None, loss=nn.CrossEntropyLoss(),
        make_optimizer=lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9), batch_size=8,
    )

def make_number():
    return 3

def make_error():
    return {}["missing"]

instead = make_target()
"""


def small(**changes):
    return RunConfig.of(
        {"data.name": "gaussian", "model.name": "two-layer", "data.batch_size": 100, "train.seed": 1, **changes}
    )


def user_target(**changes):
    given = {
        "make_model": lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4)),
        "train_data": TensorDataset(torch.randn(50, 6), torch.arange(50) % 4),
        "make_optimizer": lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=1e-3),
        "batch_size": 8,
    }
    return Target(**{**given, **changes})


def orders(batches):
    return [labels.tolist() for _, labels in batches]


def numbered(count):
    return TensorDataset(torch.arange(count).float().unsqueeze(1), torch.arange(count))


def test_a_config_gives_a_target_that_learns():
    target = Target.from_config(small(**{"optimizer.lr": 0.05}))
    model = target.build(0)
    optimizer = target.optimizer(model)
    losses = []
    for epoch in range(6):
        for inputs, labels in target.batches("train", 0, epoch):
            total, loss, penalty = target.total_loss(model, model(inputs), labels)
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            assert penalty is None
            losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_the_same_seed_builds_the_same_weights_and_random_states_are_left_alone():
    target = Target.from_config(small())
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    one, other, different = target.build(7), target.build(7), target.build(8)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not torch.equal(next(one.parameters()), next(different.parameters()))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    assert (before[2] == np.random.get_state()[1]).all()


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", ["pictures", "dataset", "loader", "weighted loader", "stream"])
def test_an_epoch_entered_in_the_middle_goes_on_with_the_same_batches(kind, workers):
    if kind == "pictures":
        changes = {"data.name": "shapes10", "data.limit": 50, "data.augmentation": "crop+flip", "data.batch_size": 8}
        target = Target.from_config(small(**changes, **{"data.workers": workers}))
    else:
        target = user_target(train_data=training_data(kind, workers), num_workers=workers)
    whole = list(target.batches("train", 3, 1))
    rest = list(target.batches("train", 3, 1, start=2))
    assert len(whole) == 7
    assert len(rest) == 5
    for (inputs, labels), (again, labels_again) in zip(whole[2:], rest, strict=True):
        assert torch.equal(inputs, again)
        assert torch.equal(labels, labels_again)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(numbered(50))


def training_data(kind, workers):
    if kind == "dataset":
        return numbered(50)
    if kind == "loader":
        return DataLoader(numbered(50), batch_size=8, shuffle=True, num_workers=workers)
    if kind == "weighted loader":
        sampler = WeightedRandomSampler(torch.ones(50), 50)
        return DataLoader(numbered(50), batch_size=8, sampler=sampler, num_workers=workers)
    return Stream()


def test_epochs_and_seeds_differ_in_order_and_every_example_comes_once():
    target = user_target(train_data=numbered(50))
    first, second, other = (orders(target.batches("train", seed, epoch)) for seed, epoch in [(0, 0), (0, 1), (1, 0)])
    assert first != second
    assert first != other
    assert sorted(itertools.chain(*first)) == list(range(50))


def test_validation_comes_in_order():
    target = user_target(val_data=numbered(20))
    assert list(itertools.chain(*orders(target.batches("val")))) == list(range(20))


def test_batches_leave_the_random_state_alone():
    target = user_target(train_data=numbered(50), num_workers=0)
    before = torch.get_rng_state()
    list(target.batches("train", 0, 0))
    assert torch.equal(before, torch.get_rng_state())


def test_an_unshuffled_loader_stays_unshuffled():
    target = user_target(train_data=DataLoader(numbered(20), batch_size=5), batch_size=0)
    assert target.batch_size == 5
    assert list(itertools.chain(*orders(target.batches("train", 0, 0)))) == list(range(20))


def test_a_batch_size_may_change_between_two_calls():
    target = user_target(train_data=DataLoader(numbered(20), batch_size=5, shuffle=True))
    assert [len(labels) for labels in orders(target.batches("train", 0, 0, batch_size=8))] == [8, 8, 4]


@pytest.mark.parametrize(
    ("total", "size", "expected"),
    [(10, 4, [4, 4, 2]), (9, 4, [4, 4]), (8, 4, [4, 4]), (1, 4, [1]), (3, 1, [1, 1, 1]), (3, 10, [3]), (0, 4, [])],
)
def test_a_last_batch_of_one_is_left_out(total, size, expected):
    assert batch_sizes(total, size) == expected


def test_a_pair_of_tensors_is_data():
    target = user_target(train_data=(torch.randn(20, 6), torch.arange(20) % 4))
    inputs, labels = next(target.batches("train"))
    assert (inputs.shape, labels.shape) == ((8, 6), (8,))


def test_batches_are_split_into_inputs_and_labels():
    one, two, labels = torch.ones(2), torch.zeros(2), torch.arange(2)
    assert split_batch((one, labels)) == (one, labels)
    assert split_batch([one, two, labels]) == ((one, two), labels)
    assert split_batch({"image": one, "label": labels}) == (one, labels)
    assert split_batch({"input_ids": one, "mask": two, "labels": labels}) == ({"input_ids": one, "mask": two}, labels)
    assert split_batch(one) == (one, None)


def test_a_batch_moves_whole():
    moved = to_device({"a": torch.ones(1), "b": (torch.ones(1), "text")}, "meta")
    assert moved["a"].device.type == moved["b"][0].device.type == "meta"
    assert moved["b"][1] == "text"


def test_a_training_sample_is_the_first_examples_or_drawn_by_seed():
    target = user_target(train_data=numbered(50))
    assert target.training_data_sample(20)[1].tolist() == list(range(20))
    drawn = target.training_data_sample(20, seed=1)[1].tolist()
    assert drawn != list(range(20))
    assert drawn == target.training_data_sample(20, seed=1)[1].tolist()


def test_the_penalty_is_half_lambda_times_the_squared_weights():
    target = Target.from_config(small(**{"regularization.l2": 0.5}))
    model = target.build(0)
    inputs, labels = next(target.batches("train"))
    total, loss, penalty = target.total_loss(model, model(inputs), labels)
    squares = sum(float(p.detach().square().sum()) for name, p in model.named_parameters() if name.endswith("weight"))
    total, loss, penalty = total.detach(), loss.detach(), penalty.detach()
    assert float(penalty) == pytest.approx(0.25 * squares, rel=1e-5)
    assert float(total) == pytest.approx(float(loss) + float(penalty))


def test_a_config_is_trained_without_its_regularization():
    strong = {
        "regularization.l2": 0.5,
        "regularization.dropout": 0.5,
        "optimizer.weight_decay": 0.1,
        "data.name": "shapes10",
        "data.limit": 20,
        "data.augmentation": "flip",
    }
    plain = Target.from_config(small(**strong)).without_regularization()
    assert plain.penalty is None
    assert plain.kept == ()
    assert plain.train_data.augment is None
    assert not any(isinstance(module, nn.Dropout) for module in plain.build().modules())
    assert plain.optimizer(plain.build()).param_groups[0]["weight_decay"] == 0


def test_a_users_target_is_trained_without_dropout_and_weight_decay():
    plain = user_target().without_regularization()
    model = plain.build().train()
    inputs = torch.randn(4, 6)
    assert torch.equal(model(inputs), model(inputs))
    assert plain.optimizer(model).param_groups[0]["weight_decay"] == 0
    assert plain.kept == ()


class Noisy(Dataset):
    def __len__(self):
        return 50

    def __getitem__(self, index):
        return torch.randn(6), index % 4


class FunctionalDropout(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, inputs):
        return self.layer(nn.functional.dropout(inputs, 0.5, self.training))


def test_what_cannot_be_turned_off_is_said():
    assert "data set" in user_target(train_data=Noisy()).without_regularization().kept[0]
    assert "forward" in user_target(make_model=FunctionalDropout).without_regularization().kept[0]


def test_optimizers_are_overridden():
    target = user_target()
    model = target.build()
    assert target.optimizer(model, lr=0.5).param_groups[0]["lr"] == 0.5
    assert isinstance(target.optimizer(model, name="adam", lr=0.1), torch.optim.Adam)
    built_in = Target.from_config(small(**{"optimizer.momentum": 0.8}))
    group = built_in.optimizer(built_in.build(), lr=0.5).param_groups[0]
    assert (group["lr"], group["momentum"]) == (0.5, 0.8)


def test_classes_are_counted_by_the_scores():
    assert user_target().complete().num_classes == 4
    assert user_target(loss=nn.functional.cross_entropy).complete().expected_initial_loss == pytest.approx(math.log(4))
    regression = user_target(train_data=(torch.randn(20, 6), torch.randn(20, 4)), loss=nn.MSELoss()).complete()
    assert (regression.num_classes, regression.expected_initial_loss) == (None, None)


def test_a_partial_of_a_loss_function_is_known_by_what_it_was_made_of():
    summed = partial(nn.functional.cross_entropy, reduction="sum")
    assert describe_loss(summed) == {"name": "cross_entropy", "reduction": "sum"}
    target = user_target(loss=summed).complete()
    assert target.expected_initial_loss == pytest.approx(math.log(4))
    scores, labels = torch.zeros(8, 4), torch.zeros(8, dtype=torch.int64)
    assert float(target.data_loss(scores, labels)) == pytest.approx(8 * math.log(4))


def test_a_target_is_loaded_from_a_file(tmp_path):
    (tmp_path / "mine.py").write_text(TARGET_FILE)
    for name in ("make_target", "instead"):
        target = load_target(f"{tmp_path}/mine.py:{name}")
        assert (target.num_classes, target.name) == (4, f"{tmp_path}/mine.py:{name}")


def test_a_target_is_loaded_from_a_module(tmp_path, monkeypatch):
    (tmp_path / "package_of_mine").mkdir()
    (tmp_path / "package_of_mine" / "targets.py").write_text(TARGET_FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_target("package_of_mine.targets:make_target").num_classes == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "neither"),
        ("{}/mine.py:", "neither"),
        ("{}/mien.py:make_target", r"mien.py does not exist \(nearest: mine.py\)"),
        ("{}/mine.py:make_tarlet", r"no function 'make_tarlet' \(nearest: make_target\)"),
        ("{}/mine.py:make_number", "returned int, not a convdebug.Target"),
        ("no_such_module_anywhere:f", "does not exist"),
    ],
)
def test_a_target_that_is_not_there_is_named_in_one_line(tmp_path, text, said):
    (tmp_path / "mine.py").write_text(TARGET_FILE)
    with pytest.raises(UserError, match=said) as caught:
        load_target(text.format(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [TARGET_FILE, "1/0", "def broken(:\n", "import no_such_module_anywhere"])
def test_what_the_users_code_raises_is_kept_as_the_cause(tmp_path, content):
    (tmp_path / "sick.py").write_text(content)
    with pytest.raises(TargetError) as caught:
        load_target(f"{tmp_path}/sick.py:make_error")
    assert isinstance(caught.value.__cause__, KeyError | ZeroDivisionError | SyntaxError | ModuleNotFoundError)


def test_a_model_that_raises_is_the_users_error():
    def make_model():
        raise ValueError("no such layer")

    with pytest.raises(TargetError, match="make_model of target raised ValueError: no such layer"):
        user_target(make_model=make_model).build()
    with pytest.raises(TargetError, match="the model of target raised"):
        user_target(make_model=lambda: nn.Linear(7, 4)).complete()


def test_a_module_in_place_of_a_function_is_named():
    with pytest.raises(UserError, match="make_model of a Target must be a function, not Linear"):
        user_target(make_model=nn.Linear(6, 4))
    with pytest.raises(UserError, match=r"returned int, not a torch\.nn\.Module"):
        user_target(make_model=lambda: 3).build()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"batch_size": -1}, "batch_size of a Target is -1"),
        ({"batch_size": "16"}, "batch_size of a Target is '16'"),
        ({"train_data": None}, "train_data of a Target must be a Dataset of .*, not NoneType"),
        ({"train_data": "photos"}, "train_data of a Target must be a Dataset of .*, not str"),
        ({"train_data": (torch.randn(0, 6), torch.zeros(0))}, "train_data of a Target holds no example"),
        ({"val_data": (torch.randn(0, 6), torch.zeros(0))}, "val_data of a Target holds no example"),
    ],
)
def test_a_target_that_cannot_be_trained_is_said_when_it_is_made(given, words):
    with pytest.raises(UserError, match=words):
        user_target(**given)


def test_what_is_no_optimizer_and_no_scheduler_is_named():
    target = user_target(make_optimizer=lambda parameters: None, make_scheduler=lambda optimizer: 3)
    with pytest.raises(UserError, match="make_optimizer of target returned NoneType"):
        target.optimizer(target.build())
    with pytest.raises(UserError, match="make_scheduler of target returned int"):
        target.scheduler(torch.optim.SGD(target.build().parameters(), lr=0.1))


def test_an_iterable_that_gives_nothing_is_said_in_one_line():
    class Nothing(IterableDataset):
        def __iter__(self):
            return iter(())

    with pytest.raises(UserError, match="the training data of target gave no batch"):
        user_target(train_data=Nothing()).complete()


def test_a_train_step_that_returns_no_loss_is_named():
    target = user_target(train_step=lambda model, batch, loss, optimizer: None)
    model = target.build()
    learner = Learner(target, model, target.optimizer(model), torch.device("cpu"))
    with pytest.raises(UserError, match="train_step of target returned None, not its loss"):
        learner.step(next(target.batches("train")))


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ({"loss": torch.ones(()), "scores": torch.ones(3)}, r"a dict \(loss, scores\)"),
        ((torch.ones(()), torch.ones(3)), "a tuple of 2"),
        (torch.ones(32), r"a tensor of shape \(32,\)"),
        ("0.3", "a value of type str"),
    ],
    ids=["dict", "tuple", "tensor", "str"],
)
def test_what_a_train_step_returned_instead_of_its_loss_is_named_with_what_it_must_return(returned, words):
    target = user_target(train_step=lambda model, batch, loss, optimizer: returned)
    model = target.build()
    learner = Learner(target, model, target.optimizer(model), torch.device("cpu"))
    with pytest.raises(UserError, match=f"train_step of target returned {words}, not its loss: it must return one num"):
        learner.step(next(target.batches("train")))


@pytest.mark.parametrize("returned", [0.25, np.float32(0.25), torch.tensor([0.25]), torch.tensor(0.25)])
def test_a_train_step_may_return_its_loss_as_a_number_or_a_tensor_of_one_element(returned):
    target = user_target(train_step=lambda model, batch, loss, optimizer: returned)
    model = target.build()
    learner = Learner(target, model, target.optimizer(model), torch.device("cpu"))
    learner.step(next(target.batches("train")))
    assert learner.loss.shape == ()
    assert float(learner.loss) == 0.25
