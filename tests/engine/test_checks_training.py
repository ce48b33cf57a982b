"""The checks that train a little, or look at the data twice: healthy and sick targets, each in a real session."""

import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from convdebug.checks import run_checks
from convdebug.checks.fingerprint import fingerprint
from convdebug.checks.workers import identical_workers
from convdebug.target import Target
from convdebug_sessions import Recorder, Session

CLASSES, FEATURES = 4, 8


def blobs(count=256, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = 2.0 * torch.randn(CLASSES, FEATURES, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(count) % CLASSES
    points = centres[labels] + 0.5 * torch.randn(count, FEATURES, generator=generator)
    return TensorDataset((points - points.mean(0)) / points.std(0), labels)


def net(*more):
    return nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), *more, nn.Linear(32, CLASSES))


def target(**changes):
    settings = {
        "make_model": net,
        "train_data": blobs(),
        "val_data": blobs(64, seed=5),
        "make_optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        "batch_size": 32,
        "num_classes": CLASSES,
    }
    return Target(**(settings | changes))


def one(tmp_path, made, check, budget_s=10.0):
    with Recorder.create(tmp_path / "check.convdebug", overwrite=True) as recorder:
        return run_checks(made, recorder, only=[check], budget_s=budget_s).checks[0]


def rules_of(result):
    return [diagnosis.rule for diagnosis in result.diagnoses]


# short-run


def test_a_short_run_of_a_healthy_target_passes_with_its_numbers_and_its_curve(tmp_path):
    result = one(tmp_path, target(), "short-run")
    assert result.status == "pass"
    assert result.measured["loss"] == "falls"
    assert result.measured["last_loss"] < 0.3 * result.measured["first_loss"]
    assert 1e-4 < result.measured["update_ratio"] < 0.1
    with Session.open(tmp_path / "check.convdebug") as session:
        trial = session.run(result.measured["run"])
        assert (trial.kind, trial.parent) == ("trial", result.run)
        assert {"train/loss", "val/loss", "update/0.weight/ratio"} <= set(session.series_names(trial.id))


def test_a_short_run_asks_every_rule_and_names_the_cause_first(tmp_path):
    sick = target(make_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1e6))
    result = one(tmp_path, sick, "short-run")
    assert result.status == "fail"
    assert rules_of(result)[0] == "learning-rate-too-high"
    assert "loss-diverged" in rules_of(result)


def test_a_short_run_ends_with_its_time(tmp_path):
    class Slow(Dataset):
        def __len__(self):
            return 64

        def __getitem__(self, index):
            time.sleep(0.002)
            return torch.randn(FEATURES), index % CLASSES

    result = one(tmp_path, target(train_data=Slow(), val_data=None), "short-run", budget_s=1.0)
    assert 10 <= result.measured["steps"] < 300


# determinism


def test_the_same_seed_gives_the_same_steps_even_with_dropout(tmp_path):
    result = one(tmp_path, target(make_model=lambda: net(nn.Dropout(0.5))), "determinism")
    assert (result.status, list(result.diagnoses)) == ("pass", [])
    assert result.measured["losses"] == result.measured["losses_again"]
    assert "twice, to the last bit" in result.summary


class Unseeded(nn.Module):
    """Adds noise from a generator of its own."""

    source = np.random.default_rng()

    def forward(self, inputs):
        return inputs + float(self.source.normal()) * 1e-3


def test_what_differs_first_is_named_with_its_step(tmp_path):
    result = one(tmp_path, target(make_model=lambda: net(Unseeded())), "determinism")
    assert result.status == "pass"
    assert [(each.rule, each.severity) for each in result.diagnoses] == [("not-deterministic", "info")]
    assert result.measured["first_difference"] == "the output of 2"
    assert result.measured["at_step"] == 0


def test_weights_that_are_drawn_anew_are_what_differs_first(tmp_path):
    def drawn():
        model = net()
        nn.init.constant_(model[0].bias, float(np.random.default_rng().normal()))
        return model

    assert one(tmp_path, target(make_model=drawn), "determinism").measured["first_difference"] == "the initial weights"


def test_a_fingerprint_sees_the_last_bit_and_nothing_else():
    table = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    other = table.clone()
    assert fingerprint(table) == fingerprint(other) == fingerprint(table.t().contiguous().t())
    other[2, 4] = torch.nextafter(other[2, 4], torch.tensor(9.0))
    assert fingerprint(table) != fingerprint(other)
    assert fingerprint({"a": [table]}) == fingerprint(({"b": table},)) != fingerprint([other])
    assert fingerprint("text") == 0


# throughput


def test_throughput_says_where_the_time_goes(tmp_path):
    result = one(tmp_path, target(), "throughput")
    assert result.status == "pass"
    assert set(result.measured["milliseconds"]) == {"data", "transfer", "forward", "backward", "optimizer"}
    assert sum(result.measured["milliseconds"].values()) == pytest.approx(result.measured["step_ms"])


def test_a_slow_data_set_is_what_the_step_waits_for(tmp_path):
    class Slow(Dataset):
        def __len__(self):
            return 64

        def __getitem__(self, index):
            time.sleep(0.001)
            return torch.zeros(FEATURES), index % CLASSES

    result = one(tmp_path, target(train_data=Slow()), "throughput", budget_s=0.5)
    assert result.status == "warn"
    assert rules_of(result) == ["data-bound"]
    assert result.measured["waiting_for_data"] > 0.5


def test_a_step_of_ones_own_is_timed_as_a_whole(tmp_path):
    def step(model, batch, loss, optimizer):
        optimizer.zero_grad()
        value = loss(model(batch[0]), batch[1])
        value.backward()
        optimizer.step()
        return value.detach()

    result = one(tmp_path, target(train_step=step), "throughput")
    assert set(result.measured["milliseconds"]) == {"data", "transfer", "step"}


# data


def test_inputs_that_come_back_with_another_label_are_counted(tmp_path):
    points, labels = blobs().tensors
    both = TensorDataset(points.repeat(2, 1), torch.cat([labels, (labels + 1) % CLASSES]))
    result = one(tmp_path, target(train_data=both), "data")
    found = {diagnosis.rule: diagnosis for diagnosis in result.diagnoses}
    assert found["labels-unrelated-to-inputs"].evidence["contradictions"] == 256
    assert found["duplicate-examples"].severity == "info"
    assert result.status == "warn"


def test_the_images_kept_are_those_of_a_training_batch_with_its_augmentation(tmp_path):
    class Brightened(Dataset):
        def __len__(self):
            return 32

        def __getitem__(self, index):
            return torch.full((1, 4, 4), 5.0) + torch.rand(()), index % CLASSES

    made = target(
        train_data=Brightened(), val_data=None, make_model=lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
    )
    one(tmp_path, made, "data")
    with Session.open(tmp_path / "check.convdebug") as session:
        blob = session.blobs("network-input", session.runs[0].id)[0]
        shown = session.read(blob)
    assert shown.shape == (16, 1, 4, 4)
    assert len(np.unique(shown)) > 10
    assert set(blob.names) <= {"0", "1", "2", "3"}


class Jittered(Dataset):
    """Noise from torch's generator, which workers get with different seeds, or from one of its own."""

    def __init__(self, own):
        self.generator = torch.Generator().manual_seed(0) if own else None

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return torch.randn(FEATURES, generator=self.generator), index % CLASSES


def reseeded(_worker):
    torch.utils.data.get_worker_info().dataset.generator = None


@pytest.mark.parametrize(
    ("data", "workers", "identical"),
    [
        (Jittered(own=True), 2, True),
        (Jittered(own=True), 1, None),
        (Jittered(own=False), 2, False),
        (blobs(), 2, None),
        (DataLoader(Jittered(own=True), batch_size=4, num_workers=2, worker_init_fn=reseeded), 0, False),
    ],
)
def test_workers_of_one_mind_are_found_by_two_draws_of_each(data, workers, identical):
    assert identical_workers(target(train_data=data, val_data=None, num_workers=workers)) is identical
