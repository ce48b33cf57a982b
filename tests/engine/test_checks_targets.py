"""Targets of every kind through all checks and the sweep: a healthy one passes or skips with its reason."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from convdebug.checks import run_checks
from convdebug.search.sweep import lr_sweep
from convdebug.target import Target
from convdebug_sessions import Recorder

CLASSES, FEATURES, COUNT = 3, 6, 120


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


INPUTS = numbers(COUNT, FEATURES)
LABELS = torch.arange(COUNT) % CLASSES
INPUTS[torch.arange(COUNT), LABELS] += 3.0
INPUTS = (INPUTS - INPUTS.mean(0)) / INPUTS.std(0)


def net(outputs=CLASSES, *more):
    return nn.Sequential(nn.Linear(FEATURES, 24), nn.ReLU(), nn.Linear(24, outputs), *more)


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-2)


def target(**changes):
    settings = {
        "make_model": net,
        "train_data": TensorDataset(INPUTS, LABELS),
        "make_optimizer": adam,
        "batch_size": 24,
    }
    return Target(**(settings | changes)).complete()


# the kinds


def a_pair_of_tensors():
    return target(train_data=(INPUTS, LABELS), val_data=(INPUTS[:30] + 0.01, LABELS[:30]))


def a_data_loader():
    return target(train_data=DataLoader(TensorDataset(INPUTS, LABELS), batch_size=20, shuffle=True), batch_size=0)


def a_data_loader_with_a_sampler():
    sampler = torch.utils.data.WeightedRandomSampler([1.0] * COUNT, COUNT, generator=torch.Generator().manual_seed(0))
    return target(train_data=DataLoader(TensorDataset(INPUTS, LABELS), 24, sampler=sampler), batch_size=0)


class Rows(Dataset):
    """Examples as mappings."""

    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        return {"x": INPUTS[index], "extra": INPUTS[index, :2], "labels": LABELS[index]}


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x, extra):
        return self.net(torch.cat([x[:, :4], extra], 1))


def batches_that_are_mappings():
    return target(train_data=Rows(), make_model=Named)


class OneInput(Rows):
    def __getitem__(self, index):
        return {"x": INPUTS[index], "y": LABELS[index]}


class DictOut(nn.Module):
    """Puts out a mapping, as many published models do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x):
        hidden = self.net(x)
        return {"logits": hidden, "hidden": hidden.detach()}


def outputs_that_are_mappings():
    return target(
        train_data=OneInput(), make_model=DictOut, loss=lambda out, label: F.cross_entropy(out["logits"], label)
    )


class Strings(Dataset):
    """Examples that only the target's own collate function can put together."""

    words = ("red", "green", "blue")

    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        return INPUTS[index].tolist(), self.words[index % CLASSES]


def collate(rows):
    return torch.tensor([row[0] for row in rows]), torch.tensor([Strings.words.index(row[1]) for row in rows])


def its_own_collate_function():
    return target(train_data=Strings(), collate_fn=collate)


def train_step(model, batch, loss, optimizer):
    optimizer.zero_grad()
    value = loss(model(batch[0]), batch[1])
    value.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return value


def its_own_train_step():
    return target(train_step=train_step)


class Score(nn.Module):
    """Takes inputs and labels and gives the loss, so that only its train_step can call it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net(CLASSES, nn.Dropout(0.1))

    def forward(self, inputs, labels):
        return F.cross_entropy(self.net(inputs), labels)


def step_of_score(model, batch, loss, optimizer):
    optimizer.zero_grad()
    value = model(*batch)
    value.backward()
    optimizer.step()
    return value


def a_model_that_only_its_train_step_can_call():
    return target(make_model=Score, train_step=step_of_score)


def a_schedule():
    return target(make_scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2))


def regression():
    return target(
        train_data=(INPUTS, INPUTS[:, :1] + 0.5 * INPUTS[:, 1:2]), make_model=lambda: net(1), loss=nn.MSELoss()
    )


def regression_with_a_large_mean():
    return target(train_data=(INPUTS, 30 + 4 * INPUTS[:, :1]), make_model=lambda: net(1), loss=nn.MSELoss(),
                  make_optimizer=lambda p: torch.optim.Adam(p, lr=5e-2))  # fmt: skip


def smooth_l1_of_one_number_each():
    return target(train_data=(INPUTS, INPUTS[:, 0]), make_model=lambda: net(1, nn.Flatten(0)), loss=nn.SmoothL1Loss())


def two_classes_by_one_logit():
    labels = (LABELS == 0).float()[:, None]
    return target(train_data=(INPUTS, labels), make_model=lambda: net(1), loss=nn.BCEWithLogitsLoss())


def two_classes_by_a_sigmoid():
    labels = (LABELS == 0).float()[:, None]
    return target(train_data=(INPUTS, labels), make_model=lambda: net(1, nn.Sigmoid()), loss=nn.BCELoss())


def several_labels_each():
    return target(train_data=(INPUTS, (INPUTS > 0).float()), make_model=lambda: net(FEATURES),
                  loss=nn.BCEWithLogitsLoss())  # fmt: skip


def log_probabilities():
    return target(make_model=lambda: net(CLASSES, nn.LogSoftmax(1)), loss=nn.NLLLoss())


TOKENS = torch.randint(0, 12, (COUNT, 7), generator=torch.Generator().manual_seed(0))


class Sequence(nn.Module):
    """Scores (N, C, T) for every place of a sequence of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.layer = nn.Embedding(12, 12), nn.GRU(12, 24, batch_first=True)
        self.head = nn.Linear(24, 4)

    def forward(self, tokens):
        return self.head(self.layer(self.embedding(tokens))[0]).transpose(1, 2)


def a_label_for_every_place_of_a_sequence():
    return target(train_data=(TOKENS, TOKENS % 4), make_model=Sequence)


class FlatSequence(Sequence):
    """Scores (N · T, C), as language models are often written."""

    def forward(self, tokens):
        return super().forward(tokens).transpose(1, 2).reshape(-1, 4)


def a_sequence_flattened_for_the_loss():
    return target(train_data=(TOKENS, TOKENS % 4), make_model=FlatSequence,
                  loss=lambda scores, labels: F.cross_entropy(scores, labels.flatten()))  # fmt: skip


class Stream(IterableDataset):
    """Examples without an index and without a length."""

    def __iter__(self):
        yield from zip(INPUTS, LABELS, strict=True)


def a_stream():
    return target(train_data=Stream())


PICTURES = numbers(40, 3, 8, 8, seed=2)


def a_class_for_every_pixel():
    masks = (PICTURES[:, 0] > 0).long() + (PICTURES[:, 1] > 0.5).long()
    masks[:, 0] = 255
    return target(
        train_data=(PICTURES, masks), loss=nn.CrossEntropyLoss(ignore_index=255), batch_size=8,
        make_model=lambda: nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, CLASSES, 1)
        ),
    )  # fmt: skip


def pictures_back_to_themselves():
    coder = nn.Sequential
    return target(train_data=(PICTURES, PICTURES), loss=nn.MSELoss(), batch_size=8, make_model=lambda: coder(
        nn.Flatten(), nn.Linear(192, 64), nn.ReLU(), nn.Linear(64, 192), nn.Unflatten(1, (3, 8, 8))
    ))  # fmt: skip


class Pairs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.head = nn.Linear(FEATURES, 16), nn.Linear(16, CLASSES)

    def forward(self, left, right):
        return self.head(torch.tanh(self.one(left)) * torch.sigmoid(self.one(right)))


def two_inputs_by_position():
    return target(train_data=TensorDataset(INPUTS, INPUTS.flip(1), LABELS), make_model=Pairs)


class Hinted(nn.Module):
    """A batch norm, dropout and an auxiliary head: outputs that are a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(FEATURES, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.2))
        self.head, self.auxiliary = nn.Linear(24, CLASSES), nn.Linear(24, CLASSES)

    def forward(self, x):
        hidden = self.body(x)
        return self.head(hidden), self.auxiliary(hidden)


def outputs_that_are_tuples():
    def loss(outputs, labels):
        return F.cross_entropy(outputs[0], labels) + 0.3 * F.cross_entropy(outputs[1], labels)

    return target(make_model=Hinted, loss=loss)


KINDS = [
    a_pair_of_tensors,
    a_data_loader,
    a_data_loader_with_a_sampler,
    batches_that_are_mappings,
    outputs_that_are_mappings,
    its_own_collate_function,
    its_own_train_step,
    a_model_that_only_its_train_step_can_call,
    a_schedule,
    regression,
    regression_with_a_large_mean,
    smooth_l1_of_one_number_each,
    two_classes_by_one_logit,
    two_classes_by_a_sigmoid,
    several_labels_each,
    log_probabilities,
    a_label_for_every_place_of_a_sequence,
    a_sequence_flattened_for_the_loss,
    a_stream,
    a_class_for_every_pixel,
    pictures_back_to_themselves,
    two_inputs_by_position,
    outputs_that_are_tuples,
]


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_a_healthy_target_passes_or_skips_every_check(tmp_path, kind):
    with Recorder.create(tmp_path / "check.convdebug") as recorder:
        report = run_checks(kind(), recorder, skip=["lr-sweep", "throughput"], budget_s=60.0)
    told = {
        check.id: f"{check.status}: {check.summary}" for check in report.checks if check.status not in ("pass", "skip")
    }
    assert told == {}
    assert all(": " in check.summary for check in report.checks if check.status == "skip")
    json.dumps(report.as_json(), allow_nan=False)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_the_sweep_finds_a_rate_for_any_target(tmp_path, kind):
    with Recorder.create(tmp_path / "sweep.convdebug") as recorder:
        result = lr_sweep(kind(), recorder, 1e-5, 10.0, count=7, steps=25, seeds=1)
    assert result.suggestion.lr is not None
    assert all(math.isfinite(trial.first_loss) for trial in result.trials)


@pytest.mark.parametrize(
    ("loss", "returned"),
    [(nn.CrossEntropyLoss(reduction="none"), "a tensor of shape"), (lambda scores, labels: None, "None")],
    ids=["one for each example", "nothing"],
)
def test_a_loss_that_is_no_number_is_named_by_every_check_that_needs_it(tmp_path, loss, returned):
    with Recorder.create(tmp_path / "check.convdebug") as recorder:
        report = run_checks(target(loss=loss), recorder, only=("initial-loss", "overfit-20"), budget_s=20.0)
    for check in report.checks:
        assert check.status == "error"
        assert check.summary.startswith(f"the loss of target returned {returned}")
        assert "it must return one number over the batch, as a tensor" in check.summary
