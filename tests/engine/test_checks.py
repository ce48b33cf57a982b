"""The sanity checks on small targets, healthy and sick, each recorded in a real session."""

import json
import math
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from convdebug.checks import CHECKS, known_checks, run_checks
from convdebug.checks.order import reading_order
from convdebug.checks.overfit_20 import Attempt
from convdebug.config import RunConfig
from convdebug.errors import TargetError, UserError
from convdebug.target import Target
from convdebug_sessions import Diagnosis, Recorder, Session

CLASSES, FEATURES = 4, 8


def blobs(count=256, seed=0, scale=1.0, shift=0.0):
    """Four clouds of points, easy to tell apart."""
    generator = torch.Generator().manual_seed(seed)
    centres = 2.0 * torch.randn(CLASSES, FEATURES, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(count) % CLASSES
    points = centres[labels] + 0.5 * torch.randn(count, FEATURES, generator=generator)
    points = (points - points.mean(0)) / points.std(0)
    return TensorDataset(points * scale + shift, labels)


def net(*more: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), *more, nn.Linear(32, CLASSES))


def target(**changes) -> Target:
    settings = {
        "make_model": net,
        "train_data": blobs(),
        "val_data": blobs(64, seed=5),
        "loss": nn.CrossEntropyLoss(),
        "make_optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        "batch_size": 32,
        "num_classes": CLASSES,
    }
    return Target(**(settings | changes))


def checked(tmp_path, made: Target, *only: str, budget_s: float = 20.0):
    with Recorder.create(tmp_path / "check.convdebug", overwrite=True) as recorder:
        return run_checks(made, recorder, only=only or None, budget_s=budget_s)


def one(tmp_path, made: Target, check: str, **more):
    return checked(tmp_path, made, check, **more).checks[0]


def rules_of(result) -> list[str]:
    return [diagnosis.rule for diagnosis in result.diagnoses]


def test_a_healthy_target_passes_every_check_and_each_is_a_run_of_its_own(tmp_path):
    report = checked(tmp_path, target(make_model=lambda: net(nn.Dropout(0.1))))
    assert [check.status for check in report.checks] == ["pass"] * len(CHECKS)
    assert report.verdict == "pass"
    with Session.open(tmp_path / "check.convdebug") as session:
        runs = [run for run in session.runs if run.kind == "check"]
        assert [run.name for run in runs] == [check.id for check in CHECKS]
        assert all(run.status == "finished" for run in runs)
        events = session.events(0, kinds={"check"})
        assert [event.data["id"] for event in events] == [check.id for check in CHECKS]
        assert session.events(0, kinds={"progress"})
        assert "train/loss" in session.series_names(runs[[check.id for check in CHECKS].index("overfit-20")].id)


def test_the_report_is_the_json_that_the_interface_promises(tmp_path):
    document = json.loads(json.dumps(checked(tmp_path, target(), "initial-loss").as_json(), allow_nan=False))
    assert set(document) == {"target", "session", "verdict", "checks", "diagnoses"}
    wanted = {"id", "status", "summary", "measured", "expected", "diagnoses", "seconds"}
    assert wanted <= set(document["checks"][0])


def test_every_check_of_the_list_can_be_described_and_loaded():
    for check in CHECKS:
        assert set(check.as_json()) == {"id", "title", "asks", "why", "source"}
        assert callable(check.run)
        assert check.asks.endswith("?")


def test_an_unknown_check_is_named_with_the_nearest_one(tmp_path):
    with pytest.raises(UserError, match="nearest: overfit-20"):
        known_checks("data,overfit20")
    with pytest.raises(UserError, match="no check 'lr'"):
        checked(tmp_path, target(), "lr")


def test_fail_and_warn_always_carry_a_diagnosis_and_it_is_kept_as_an_opinion(tmp_path):
    sick = target(make_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1e6))
    report = checked(tmp_path, sick)
    assert report.verdict == "fail"
    for check in report.checks:
        worst = {d.severity for d in check.diagnoses}
        assert (check.status == "fail") == ("error" in worst)
    with Session.open(tmp_path / "check.convdebug") as session:
        kept = [diagnosis.rule for diagnosis in session.diagnoses(0)]
    assert "learning-rate-too-high" in kept


def test_what_two_checks_found_is_named_once_in_the_report(tmp_path):
    report = checked(tmp_path, target(make_model=Detached), "parameters", "overfit-20")
    by_check = [(found.rule, found.layer) for check in report.checks for found in check.diagnoses]
    assert by_check.count(("no-gradient", "first")) == 2
    assert [(found["rule"], found["layer"]) for found in report.diagnoses].count(("no-gradient", "first")) == 1


def test_layers_in_a_plain_list_are_found_among_the_parameters(tmp_path):
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers, self.head = [nn.Linear(FEATURES, 32)], nn.Linear(32, CLASSES)

        def forward(self, points):
            return self.head(torch.relu(self.layers[0](points)))

    result = one(tmp_path, target(make_model=Listed), "parameters")
    assert result.status == "fail"
    assert rules_of(result) == ["parameters-not-in-optimizer"]
    assert result.diagnoses[0].layers == ("layers.0",)


def test_a_check_that_raises_is_an_error_and_what_needs_it_is_skipped(tmp_path):
    report = checked(tmp_path, target(make_model=lambda: nn.Linear(FEATURES + 1, CLASSES)))
    assert [check.status for check in report.checks] == ["error"] + ["skip"] * (len(CHECKS) - 1)
    assert "mat1 and mat2" in report.checks[0].summary
    assert "data" in report.checks[1].summary


def test_a_target_that_cannot_be_built_is_passed_on(tmp_path):
    def broken():
        raise ValueError("no weights")

    with pytest.raises(TargetError):
        checked(tmp_path, target(make_model=broken), "data")


def test_checks_leave_random_state_and_the_users_data_as_they_were(tmp_path):
    made = target()
    before = made.train_data.tensors[0].clone()
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    checked(tmp_path, made, budget_s=5.0)
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert torch.equal(torch.get_rng_state(), states[2])
    assert torch.equal(made.train_data.tensors[0], before)


def test_an_interrupted_check_leaves_a_stopped_run(tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    path = tmp_path / "check.convdebug"
    with Recorder.create(path) as recorder, pytest.raises(KeyboardInterrupt):
        run_checks(target(), recorder, only=["overfit-20"], on_progress=interrupt)
    with Session.open(path) as session:
        assert session.runs[0].status == "stopped"


# data


def test_data_counts_every_example_and_class(tmp_path):
    result = one(tmp_path, target(), "data")
    assert result.measured["train"]["examined"] == 256
    assert result.measured["val"]["examined"] == 64
    assert result.measured["outputs"] == CLASSES
    assert "4 classes of 64 to 64" in result.summary


def test_data_measures_channels_like_numpy(tmp_path):
    pictures = torch.rand(40, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 2, 3]).view(
        3, 1, 1
    )
    made = target(
        train_data=TensorDataset(pictures, torch.arange(40) % CLASSES),
        val_data=None,
        make_model=lambda: nn.Sequential(nn.Flatten(), nn.Linear(108, CLASSES)),
    )
    measured = one(tmp_path, made, "data").measured["train"]
    assert measured["mean"] == pytest.approx(pictures.numpy().mean(axis=(0, 2, 3)), abs=1e-5)
    assert measured["std"] == pytest.approx(pictures.numpy().std(axis=(0, 2, 3)), abs=1e-5)
    with Session.open(tmp_path / "check.convdebug") as session:
        shown = session.read(session.blobs("network-input", session.runs[0].id)[0])
    assert np.array_equal(shown, pictures[:16].numpy()) or shown.shape == (16, 3, 6, 6)


def test_data_finds_a_label_without_an_output(tmp_path):
    points, labels = blobs().tensors
    result = one(tmp_path, target(train_data=TensorDataset(points, labels + 1), val_data=None), "data")
    assert result.status == "fail"
    assert rules_of(result) == ["label-out-of-range"]


def test_data_finds_values_that_are_not_finite(tmp_path):
    points, labels = blobs().tensors
    points = points.clone()
    points[7, 3] = math.nan
    result = one(tmp_path, target(train_data=TensorDataset(points, labels)), "data")
    assert "non-finite-inputs" in rules_of(result)
    assert result.status == "fail"


def test_data_warns_of_raw_pixels_that_ruin_the_first_loss(tmp_path):
    result = one(tmp_path, target(train_data=blobs(scale=80.0, shift=128.0)), "data")
    assert {"inputs-not-scaled", "inputs-not-centered"} <= set(rules_of(result))
    assert result.status == "warn"


def test_data_warns_of_a_rare_class(tmp_path):
    points, labels = blobs(800).tensors
    kept = (labels != 2) | (torch.arange(800) < 20)
    result = one(tmp_path, target(train_data=TensorDataset(points[kept], labels[kept])), "data")
    assert rules_of(result) == ["class-imbalance"]


def yes_or_no(yes, no=0.0, share=0.5, **changes) -> Target:
    points, _ = blobs(800).tensors
    labels = torch.where(torch.arange(800) % 100 < 100 * share, yes, no).unsqueeze(1)
    settings = {"loss": nn.BCEWithLogitsLoss(), "num_classes": None, "val_data": None} | changes
    return target(
        train_data=TensorDataset(points, labels),
        make_model=lambda: nn.Sequential(nn.Linear(FEATURES, 8), nn.ReLU(), nn.Linear(8, 1)),
        **settings,
    )


def test_data_counts_answers_yes_and_no_as_classes(tmp_path):
    result = one(tmp_path, yes_or_no(1.0, share=0.02), "data")
    assert rules_of(result) == ["class-imbalance"]
    assert "2 classes of 16 to 784" in result.summary
    assert rules_of(one(tmp_path, yes_or_no(1.0, share=0.3), "data")) == []


def test_data_only_mentions_imbalance_where_the_loss_has_weights(tmp_path):
    weighted = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([49.0]))
    result = one(tmp_path, yes_or_no(1.0, share=0.02, loss=weighted), "data")
    assert [(each.rule, each.severity) for each in result.diagnoses] == [("class-imbalance", "info")]


def test_data_says_that_all_labels_are_the_same(tmp_path):
    points, labels = blobs().tensors
    result = one(tmp_path, target(train_data=TensorDataset(points, labels // 10)), "data")
    assert rules_of(result) == ["class-imbalance"]
    assert "All 256 training examples have the label 0" in result.diagnoses[0].message


def test_data_lets_be_labels_that_the_loss_does_not_look_at(tmp_path):
    points, labels = blobs().tensors
    alike = TensorDataset(points, torch.zeros_like(labels))
    made = target(train_data=alike, loss=lambda scores, _: (scores**2).mean(), num_classes=None, val_data=None)
    assert rules_of(one(tmp_path, made, "data")) == []


@pytest.mark.parametrize(("yes", "no"), [(255.0, 0.0), (1.0, -1.0)])
def test_data_finds_labels_that_are_no_shares(tmp_path, yes, no):
    assert "label-out-of-range" in rules_of(one(tmp_path, yes_or_no(yes, no), "data"))
    masked = nn.BCEWithLogitsLoss(reduction="none")
    assert rules_of(one(tmp_path, yes_or_no(yes, no, loss=lambda *given: masked(*given).mean()), "data")) == []


def test_data_warns_when_validation_examples_were_trained_on(tmp_path):
    points, labels = blobs().tensors
    result = one(tmp_path, target(val_data=TensorDataset(points[:20], labels[:20])), "data")
    assert rules_of(result) == ["train-val-overlap"]
    assert result.diagnoses[0].evidence["shared"] == 20


# initial-loss


def test_initial_loss_of_tiny_weights_is_the_logarithm_of_the_number_of_classes(tmp_path):
    def tiny():
        model = net()
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=1e-4)
        return model

    result = one(tmp_path, target(make_model=tiny), "initial-loss")
    assert result.status == "pass"
    assert result.measured["loss"] == pytest.approx(math.log(CLASSES), abs=1e-4)


def test_initial_loss_of_huge_weights_fails(tmp_path):
    def huge():
        model = net()
        nn.init.normal_(model[-1].weight, std=20.0)
        return model

    result = one(tmp_path, target(make_model=huge), "initial-loss")
    assert result.status == "fail"
    assert rules_of(result) == ["initial-loss-off"]


def test_initial_loss_that_is_summed_names_its_cause_first(tmp_path):
    result = one(tmp_path, target(loss=nn.CrossEntropyLoss(reduction="sum")), "initial-loss")
    assert rules_of(result)[0] == "loss-summed-over-batch"


def test_initial_loss_sees_a_second_softmax(tmp_path):
    made = target(make_model=lambda: nn.Sequential(net(), nn.Softmax(dim=1)))
    assert "double-softmax" in rules_of(one(tmp_path, made, "initial-loss"))


def test_initial_loss_sees_raw_scores_where_log_probabilities_belong(tmp_path):
    assert "loss-expects-log-probabilities" in rules_of(one(tmp_path, target(loss=nn.NLLLoss()), "initial-loss"))


def test_initial_loss_sees_shapes_that_broadcast(tmp_path):
    points, _ = blobs().tensors
    made = target(
        train_data=TensorDataset(points, points.sum(1)), val_data=None, num_classes=None,
        make_model=lambda: nn.Linear(FEATURES, 1), loss=lambda output, label: ((output - label) ** 2).mean(),
    )  # fmt: skip
    result = one(tmp_path, made, "initial-loss")
    assert "loss-shape-broadcast" in rules_of(result)
    assert "one and the same answer" in result.summary


# overfit-20


class Counted(Dataset):
    """Notes which of its examples are asked for."""

    def __init__(self) -> None:
        self.points, self.labels = blobs().tensors
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int):
        self.asked.append(int(index))
        return self.points[index], self.labels[index]


class Remembering(nn.Module):
    """Keeps every batch that it is given in training mode."""

    seen: list[torch.Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.net = net(nn.Dropout(0.5))
        self.noise: list[float] = []

    def forward(self, inputs):
        if self.training:
            Remembering.seen.append(inputs.clone())
        return self.net(inputs)


def test_overfit_20_feeds_the_first_20_examples_whole_and_again_and_again(tmp_path):
    Remembering.seen = []
    data = Counted()
    result = one(tmp_path, target(make_model=Remembering, train_data=data), "overfit-20")
    assert result.status == "pass"
    assert set(data.asked) <= set(range(20))
    trained = [batch for batch in Remembering.seen if len(batch) == 20]
    assert len(trained) > result.measured["steps"]
    assert all(torch.equal(batch, data.points[:20]) for batch in trained)


def test_overfit_20_ends_below_a_hundredth_with_every_example_right(tmp_path):
    result = one(tmp_path, target(make_model=lambda: net(nn.BatchNorm1d(32), nn.Dropout(0.5))), "overfit-20")
    assert result.status == "pass"
    assert result.measured["cost"] < 0.01
    assert result.measured["accuracy"] == 1.0
    with Session.open(tmp_path / "check.convdebug") as session:
        _, costs = session.series("train/loss", session.runs[0].id)
    assert costs[-1] == pytest.approx(result.measured["cost"], rel=1e-5)


def test_overfit_20_blames_the_rate_where_another_rate_learns(tmp_path):
    high = target(make_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1e6))
    low = target(make_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1e-8))
    assert rules_of(one(tmp_path, high, "overfit-20")) == ["learning-rate-too-high"]
    result = one(tmp_path, low, "overfit-20")
    assert rules_of(result) == ["learning-rate-too-low"]
    assert result.status == "warn"


def test_overfit_20_of_zero_weights_names_symmetry_as_the_cause(tmp_path):
    def zero():
        model = net()
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
        return model

    result = one(tmp_path, target(make_model=zero), "overfit-20")
    assert result.status == "fail"
    assert rules_of(result)[0] == "symmetric-weights"
    assert result.diagnoses[-1].caused_by == "symmetric-weights"


class Detached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(FEATURES, 32), nn.Linear(32, CLASSES)

    def forward(self, inputs):
        return self.last(0 * self.first(inputs).detach())


def test_overfit_20_names_the_layer_that_no_gradient_reaches(tmp_path):
    result = one(tmp_path, target(make_model=Detached), "overfit-20", budget_s=8.0)
    assert result.status == "fail"
    assert result.diagnoses[0].rule == "no-gradient"
    assert result.diagnoses[0].layer == "first"


def test_overfit_20_works_on_numbers_instead_of_classes(tmp_path):
    points, _ = blobs().tensors
    made = target(
        train_data=TensorDataset(points, points[:, :1]), val_data=None, num_classes=None,
        make_model=lambda: nn.Linear(FEATURES, 1), loss=nn.MSELoss(),
    )  # fmt: skip
    result = one(tmp_path, made, "overfit-20")
    assert result.status == "pass"
    assert result.measured["accuracy"] is None


# lr-sweep as a check


@pytest.mark.parametrize(
    ("rate", "status", "rule"), [(1e5, "fail", "learning-rate-too-high"), (1e-9, "warn", "learning-rate-too-low")]
)
def test_lr_sweep_judges_the_targets_own_rate(tmp_path, rate, status, rule):
    made = target(make_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=rate))
    result = one(tmp_path, made, "lr-sweep")
    assert result.status == status
    assert rules_of(result) == [rule]
    assert any(trial["lr"] == rate for trial in result.measured["trials"])


def test_lr_sweep_where_nothing_learns_says_that_the_rate_is_not_what_is_wrong(tmp_path):
    noise = TensorDataset(torch.zeros(64, FEATURES), torch.arange(64) % CLASSES)
    result = one(tmp_path, target(train_data=noise, val_data=None), "lr-sweep")
    assert rules_of(result) == ["loss-not-decreasing"]


# order


def test_a_cause_found_by_one_check_explains_what_another_saw():
    off = Diagnosis("initial-loss-off", "error", "off", "", 2)
    raw = Diagnosis("inputs-not-scaled", "warning", "raw", "", 1)
    rare = Diagnosis("class-imbalance", "warning", "rare", "", 1)
    ordered = reading_order([rare, off, raw])
    assert [each.rule for each in ordered] == ["inputs-not-scaled", "initial-loss-off", "class-imbalance"]
    assert ordered[1].caused_by == "inputs-not-scaled"


# the lecture's own numbers


@pytest.mark.data
def test_the_two_layer_net_on_cifar10_starts_at_2_3026_and_learns_20_pictures(tmp_path, data_root):
    changes = ["data.name=cifar10", f"data.root={data_root}", "data.limit=500", "data.val_limit=100",
               "model.name=two-layer", "model.init=gaussian", "model.init_std=1e-4"]  # fmt: skip
    made = Target.from_config(RunConfig.load(None, changes))
    report = checked(tmp_path, made, "initial-loss", "overfit-20")
    assert report.checks[0].measured["loss"] == pytest.approx(2.3026, abs=5e-5)
    assert report.checks[1].measured["cost"] < 0.01
    assert report.checks[1].measured["accuracy"] == 1.0


def test_a_cost_that_still_falls_when_the_time_is_up_is_no_standstill():
    falling = Attempt("own SGD", 0.1, costs=[2.3 * 0.9**step for step in range(30)], accuracies=[1.0] * 30)
    assert not falling.on_its_way
    falling.time_up = True
    assert falling.on_its_way
    falling.costs[-10:] = [falling.costs[-11]] * 10
    assert not falling.on_its_way


def test_the_first_losses_are_drawn_against_fresh_starts_and_held_against_chance(tmp_path):
    one(tmp_path, target(), "initial-loss")
    with Session.open(tmp_path / "check.convdebug") as session:
        chart = session.events(0, kinds={"chart"})[-1].data
    assert chart["x_label"] == "fresh start"
    assert chart["names"] == [str(number) for number in range(1, 11)]
    assert chart["level"] == pytest.approx(math.log(CLASSES))
