"""What is recorded of a loop itself: each fact against a slow, obvious twin, or where its answer is known."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import convdebug
from convdebug.instruments.hearing import Hearer, _hearers
from convdebug.instruments.instrument import Moment
from convdebug.instruments.loss_inputs import blows_up, input_row, producer_of
from convdebug.instruments.mixture import _counts, counts_of, entropy_of, overlap_of
from convdebug.instruments.modes import is_modal, modal_modules
from convdebug.instruments.tally import FIRST, Tally, told
from convdebug_sessions import Session


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))


def series(path, name):
    with Session.open(path) as session:
        return session.series(name)


@pytest.mark.parametrize("zero_at", [{0, 1, 2, 3, 4, 5, 6, 7}, set(), {0, 2, 4, 6}, {3}])
def test_carried_gradients_are_those_that_a_copy_of_all_gradients_shows(tmp_path, zero_at):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    carried = []
    with convdebug.watch(model, optimizer, session=tmp_path / "run.convdebug", every=1) as watched:
        left = None
        for number in range(8):
            if number in zero_at:
                optimizer.zero_grad()
            before = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
            loss = model(torch.randn(16, 4)).square().mean()
            loss.backward()
            if left is not None:
                carried.append(
                    float(all(b is not None and torch.equal(b, a) for a, b in zip(left, before, strict=True)))
                )
            optimizer.step()
            left = [p.grad.clone() for p in model.parameters()]
            watched.step(loss)
    steps, values = series(tmp_path / "run.convdebug", "optimizer/0/carried")
    assert steps.tolist() == list(range(1, 8))
    assert values.tolist() == carried


def test_the_loop_is_counted(tmp_path):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    path = tmp_path / "run.convdebug"
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for _ in range(5):
            optimizer.zero_grad()
            for _ in range(3):
                loss = model(torch.randn(16, 4)).square().mean()
                loss.backward()
            optimizer.step()
            watched.step(loss)
    assert series(path, "loop/backwards")[1].tolist() == [3, 6, 9, 12, 15]
    assert series(path, "loop/steps")[1].tolist() == [1, 2, 3, 4, 5]
    with Session.open(path) as session:
        last = session.events(kinds=["loop"])[0].data
    assert (last["backwards"], last["steps"]) == (15, 5)
    assert last["optimizers"] == [{"name": "SGD", "steps": 5, "own": ["0.weight", "0.bias", "3.weight", "3.bias"]}]


def test_skipped_steps_of_a_scaler_are_counted(tmp_path):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    path = tmp_path / "run.convdebug"
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for number in range(6):
            optimizer.zero_grad()
            loss = model(torch.randn(16, 4)).square().mean()
            scaler.scale(loss).backward()
            if number in (1, 4):
                model[0].weight.grad[0, 0] = math.inf
            scaler.step(optimizer)
            scaler.update()
            watched.step(loss)
    assert series(path, "loop/scaler_asked")[1].tolist() == [1, 2, 3, 4, 5, 6]
    assert series(path, "loop/scaler_skipped")[1].tolist() == [0, 1, 1, 1, 2, 2]


def test_parameters_without_gradients_are_named_until_they_get_one(tmp_path):
    model = nn.ModuleDict({"used": nn.Linear(4, 1), "later": nn.Linear(4, 1), "never": nn.Linear(4, 1)})
    model["asleep"] = nn.Linear(4, 1).requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    path = tmp_path / "run.convdebug"
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for number in range(6):
            optimizer.zero_grad()
            out = model["used"](torch.ones(2, 4)) + (model["later"](torch.ones(2, 4)) if number == 3 else 0)
            loss = out.mean()
            loss.backward()
            optimizer.step()
            watched.step(loss)
    with Session.open(path) as session:
        told = [(event.step, event.data["never"]) for event in session.events(kinds=["no-gradient"])]
    assert [sorted(never) for _, never in told] == [
        ["later.bias", "later.weight", "never.bias", "never.weight"],
        ["never.bias", "never.weight"],
        ["never.bias", "never.weight"],
    ]
    assert told[-1][1]["never.weight"] == 6


def test_gradients_that_were_asked_for_count_as_received(tmp_path):
    model = nn.ModuleDict({"used": nn.Linear(4, 1), "never": nn.Linear(4, 1)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    path = tmp_path / "run.convdebug"
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for _ in range(4):
            loss = model["used"](torch.ones(2, 4)).mean()
            own = list(model["used"].parameters())
            for parameter, gradient in zip(own, torch.autograd.grad(loss, own), strict=True):
                parameter.grad = gradient
            optimizer.step()
            watched.step(loss)
    with Session.open(path) as session:
        assert session.events(kinds=["no-gradient"])[-1].data["never"] == {"never.weight": 4, "never.bias": 4}


def test_entropy_and_overlap_are_those_of_counted_labels():
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 5, 40).tolist() for _ in range(2))
    counts = [Counter(first), Counter(second)]
    shares = [[count[label] / 40 for label in range(5)] for count in counts]
    tensors = [_counts(torch.tensor(labels), 5) for labels in (first, second)]
    assert entropy_of(tensors[0]) == pytest.approx(-sum(p * math.log(p) for p in shares[0] if p), abs=1e-6)
    assert overlap_of(*tensors) == pytest.approx(sum(map(min, *shares)), abs=1e-6)


def test_ignored_labels_are_not_counted():
    assert _counts(torch.tensor([-100, 0, 2, 2]), 3).tolist() == [1, 0, 2]
    assert _counts(torch.tensor([255, 1, 2, 2]), 3, ignored=255).tolist() == [0, 1, 2]
    assert _counts(torch.tensor([0, 1, 2, 2]), 3, ignored=0).tolist() == [0, 1, 2]


@pytest.mark.parametrize("made", [np.array, torch.tensor], ids=["on the host", "on a device"])
def test_the_spread_of_batches_is_the_chi_square_of_batches_against_classes(made):
    rng = np.random.default_rng(0)
    table = rng.integers(0, 9, (12, 5)).astype(np.float32)
    table[:, 3] = 0
    tally = Tally()
    for counts in [*table, np.zeros(5, np.float32)]:
        tally.add(made(counts), 40)
    data = told(*(np.asarray(each) for each in (tally.counts, tally.squares)), int(tally.batches))
    met = table[:, [0, 1, 2, 4]]
    expected = met.sum(1, keepdims=True) * met.sum(0) / met.sum()
    assert data["counts"] == {str(label): int(table[:, label].sum()) for label in (0, 1, 2, 4)}
    assert data["batches"] == 12
    assert data["spread"] == pytest.approx(((met - expected) ** 2 / expected).sum() / (11 * 3), rel=1e-4)


def test_labels_are_told_of_when_twice_as_many_were_seen_and_at_the_end():
    tally = Tally()
    due = []
    for _ in range(20):
        tally.add(np.array([30.0, 20.0]), 50)
        due.append(tally.is_due())
    assert [50 * (place + 1) for place, now in enumerate(due) if now] == [FIRST, 2 * FIRST, 4 * FIRST]
    assert tally.is_due(over=True)
    assert not tally.is_due(over=True)


def test_answers_are_counted_as_classes_and_anything_else_is_not():
    def counted(labels):
        moment = Moment(0, scores=labels, labels=labels, loss_name="binary_cross_entropy_with_logits")
        return counts_of(moment)

    assert counted(torch.tensor([[0.0], [1.0], [1.0]])).tolist() == [1, 2]
    assert counted(torch.tensor([0.0, 0.0])).tolist() == [2, 0]
    assert counted(torch.tensor([0.0, 0.3])).isnan().all()
    assert counted(torch.tensor([[0.0, 1.0]])) is None


def test_shares_of_classes_are_counted_by_the_largest_unless_a_network_answered_them():
    def counted(labels):
        return counts_of(Moment(0, scores=torch.zeros_like(labels), labels=labels, loss_name="cross_entropy"))

    one_hot = F.one_hot(torch.tensor([0, 2, 2, 4]), 5).float()
    assert counted(one_hot).tolist() == [1, 0, 2, 0, 1]
    smoothed = one_hot * 0.9 + 0.02
    assert counted(smoothed).tolist() == [1, 0, 2, 0, 1]
    assert counted(0.7 * smoothed + 0.3 * smoothed.flip(0)).tolist() == [1, 0, 2, 0, 1]
    assert counted(torch.randn(4, 5).softmax(1)).isnan().all()
    assert counted(torch.tensor([[0.2, 0.8], [0.6, 0.4]])).tolist() == [1, 1]


def test_a_row_tells_range_and_distance_of_the_sums_from_one():
    scores = torch.tensor([[0.2, 0.8], [0.5, 0.1]])
    assert input_row(scores).tolist() == pytest.approx([0.1, 0.8, 0.4])


@pytest.mark.parametrize(
    ("compute", "name"),
    [
        (lambda x: x.softmax(1), "Softmax"),
        (lambda x: torch.sigmoid(x).squeeze(1), "Sigmoid"),
        (lambda x: torch.sigmoid(x)[:, 0].view(-1).clone(), "Sigmoid"),
        (lambda x: F.log_softmax(x, 1), "LogSoftmax"),
        (lambda x: x @ torch.ones(3, 2), "Mm"),
        (lambda x: x.detach(), ""),
    ],
)
def test_what_computed_the_scores_is_found_behind_what_only_moves_them(compute, name):
    assert producer_of(compute(torch.randn(4, 3, requires_grad=True))) == name


@pytest.mark.parametrize(
    ("scores", "labels", "answer"),
    [
        ((8, 1), (8,), True),
        ((8,), (8, 1), True),
        ((8, 1), (8, 1), False),
        ((8, 3), (3,), False),
        ((8, 1), (1, 8), False),
        ((1, 1), (1,), False),
        ((8,), (), False),
        ((8, 2), (8,), False),
        ((4, 1, 5, 5), (4, 5, 5), True),
    ],
)
def test_shapes_that_blow_each_other_up(scores, labels, answer):
    assert blows_up(torch.zeros(scores), torch.zeros(labels)) is answer


def test_modules_with_modes_are_those_that_behave_differently():
    modal = [
        nn.Dropout(0.1),
        nn.BatchNorm1d(3),
        nn.LSTM(3, 3, 2, dropout=0.1),
        nn.MultiheadAttention(4, 2, dropout=0.1),
    ]
    plain = [nn.Dropout(0.0), nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.BatchNorm1d(3, track_running_stats=False)]
    assert all(map(is_modal, modal))
    assert not any(map(is_modal, [*plain, nn.LSTM(3, 3, 2), nn.InstanceNorm1d(3)]))


def test_what_surrounds_a_module_says_whether_it_is_trained():
    body = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)).requires_grad_(False)
    model = nn.Sequential(body, nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)))
    assert {each.name: each.trained for each in modal_modules(model, None)} == {
        "0.1": False,
        "0.2": False,
        "1.1": True,
    }
    assert not any(each.trained for each in modal_modules(model, set()))


def test_an_evaluation_is_counted_with_its_losses_and_the_mode_it_was_in(tmp_path):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    path = tmp_path / "run.convdebug"
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for number in range(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(torch.randn(16, 4)), torch.zeros(16, dtype=torch.int64))
            loss.backward()
            optimizer.step()
            model.train(number < 2)
            with torch.no_grad():
                for _ in range(number):
                    F.cross_entropy(model(torch.randn(16, 4)), torch.zeros(16, dtype=torch.int64))
            model.train()
            watched.step(loss)
    found = {name: series(path, f"evaluation/{name}") for name in ("passes", "losses", "phases", "training")}
    assert found["passes"][0].tolist() == [1, 2, 3]
    assert {name: values.tolist() for name, (_, values) in found.items()} == {
        "passes": [1, 2, 3],
        "losses": [1, 2, 3],
        "phases": [1, 1, 1],
        "training": [1, 0, 0],
    }


def test_what_fails_while_hearing_is_recorded_and_nobody_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("convdebug.instruments.received.Received.backward_ended", lambda self: 1 / 0)
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    path = tmp_path / "run.convdebug"
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(torch.randn(16, 4)).square().mean()
            loss.backward()
            optimizer.step()
            watched.step(loss)
        assert all(isinstance(reference(), Hearer) for reference in _hearers)
    with Session.open(path) as session:
        failed = session.events(kinds=["instrument-failed"])
    assert [event.data["instrument"] for event in failed] == ["received"]
    assert not any(reference() for reference in _hearers)


def test_labels_that_are_no_classes_in_any_batch_say_nothing_of_their_spread():
    tally = Tally()
    for _ in range(3):
        tally.add(np.zeros(4, np.float32), 100)
    assert told(tally.counts, tally.squares, int(tally.batches)) == {"counts": {}, "batches": 0, "spread": None}
