"""Each fast measurement against a slow, obvious twin."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convdebug.instruments import INSTRUMENTS
from convdebug.instruments.accuracy import share_right
from convdebug.instruments.filters import as_pictures
from convdebug.instruments.gradients import cosine_of
from convdebug.instruments.inputs import label_entropy
from convdebug.instruments.outputs import output_row
from convdebug.instruments.predictions import best_guesses
from convdebug.instruments.probe import unnoticed
from convdebug.instruments.readback import Readback
from convdebug.instruments.sampling import Samples, histograms, histograms_on_host, moments, share_outside
from convdebug.instruments.schedule import LONGEST_INTERVAL, Price, Schedule
from convdebug.instruments.similarity import share_alike
from convdebug.instruments.timeline import Timeline
from convdebug.watch import watch
from convdebug_sessions import Session


def rows() -> list[torch.Tensor]:
    torch.manual_seed(3)
    return [
        torch.randn(5, 7),
        torch.relu(torch.randn(4096)),
        torch.tanh(3 * torch.randn(64, 64)),
        torch.full((3,), 2.0),
    ]


def sampled(tensors: list[torch.Tensor]) -> Samples:
    samples = Samples(torch.device("cpu"), rows=2)
    for tensor in tensors:
        samples.add(tensor)
    return samples


def test_moments_of_short_tensors_are_those_of_all_their_values() -> None:
    samples = sampled(rows())
    found = moments(samples.values(), samples.counts, samples.mask())
    for row, tensor in zip(found, rows(), strict=True):
        assert row[0] == pytest.approx(tensor.mean().item(), abs=1e-6)
        assert row[1] == pytest.approx(tensor.std(correction=0).item(), abs=1e-6)
        assert row[2] == pytest.approx((tensor == 0).float().mean().item(), abs=1e-6)


def test_moments_of_a_long_tensor_are_close_to_the_true_ones() -> None:
    torch.manual_seed(0)
    tensor = torch.randn(64, 16, 32, 32) * 3 + 1
    samples = sampled([tensor, tensor.contiguous(memory_format=torch.channels_last), tensor.transpose(1, 3)])
    for row in moments(samples.values(), samples.counts, samples.mask()):
        assert row[0] == pytest.approx(1, abs=0.2)
        assert row[1] == pytest.approx(3, rel=0.05)


def test_a_non_finite_sample_shows_in_the_mean() -> None:
    samples = sampled([torch.tensor([1.0, math.nan]), torch.tensor([1.0, math.inf]), torch.ones(2)])
    means = moments(samples.values(), samples.counts, samples.mask())[:, 0]
    assert means.isfinite().tolist() == [False, False, True]


def test_the_share_outside_counts_what_lies_beyond_the_bounds() -> None:
    samples = sampled(rows())
    low, high = torch.full((4,), -0.97), torch.full((4,), 0.97)
    found = share_outside(samples.values(), low, high, samples.counts, samples.mask())
    twin = [(tensor.abs() > 0.97).float().mean().item() for tensor in rows()]
    assert found.tolist() == pytest.approx(twin, abs=1e-6)


def slow_histogram(values: np.ndarray) -> tuple[float, float, np.ndarray]:
    finite = values[np.isfinite(values)].astype(np.float64)
    if not len(finite):
        return 0.0, 0.0, np.zeros(64)
    low = max(finite.min(), finite.mean() - 6 * finite.std())
    high = min(finite.max(), finite.mean() + 6 * finite.std())
    counts = np.zeros(64)
    for value in finite:
        place = int((value - low) / ((high - low) or 1) * 64)
        counts[min(max(place, 0), 63)] += 1
    return low, high, counts


@pytest.mark.parametrize("where", ["host", "device"])
def test_histograms_equal_a_loop_over_all_values(where: str) -> None:
    spiked = torch.randn(500)
    spiked[3], spiked[4], spiked[5] = 1e6, math.nan, -math.inf
    tensors = [*rows(), spiked, torch.full((4,), math.nan)]
    samples = sampled(tensors)
    mask = samples.mask()
    if where == "host":
        found = histograms_on_host(samples.values().numpy(), None if mask is None else mask.numpy())
    else:
        found = histograms(samples.values(), mask).numpy()
    for row, tensor in zip(found, tensors, strict=True):
        low, high, counts = slow_histogram(tensor.reshape(-1).numpy())
        assert row[:2] == pytest.approx([low, high], rel=1e-4, abs=1e-5)
        assert row[2:].sum() == counts.sum()
        assert np.abs(np.cumsum(row[2:]) - np.cumsum(counts)).max() <= 2  # values on an edge may fall on either side


def test_full_rows_on_the_host_equal_those_on_a_device() -> None:
    values = torch.randn(3, 4096)
    host, device = histograms_on_host(values.numpy(), None), histograms(values, None).numpy()
    assert host[:, :2] == pytest.approx(device[:, :2], rel=1e-5)
    assert np.abs(host[:, 2:] - device[:, 2:]).max() <= 2


def watched_twin(path: Path, model: nn.Module, inputs: torch.Tensor, steps: int = 3) -> list[dict[str, float]]:
    """Watch a training at every step and measure it by hand beside; returns what was measured by hand."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.01)
    by_hand = []
    with watch(model, optimizer, session=path, every=1) as watched:
        for _ in range(steps):
            loss = F.cross_entropy(model(inputs), torch.arange(len(inputs)) % 4)
            optimizer.zero_grad()
            loss.backward()
            before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
            found = {f"gradient/{name}/norm": p.grad.norm().item() for name, p in model.named_parameters()}  # type: ignore[union-attr]
            optimizer.step()
            for name, parameter in model.named_parameters():
                found[f"weight/{name}/norm"] = before[name].norm().item()
                found[f"update/{name}/ratio"] = ((parameter - before[name]).norm() / before[name].norm()).item()
            found["train/penalty"] = 0.005 * sum(float(weight.square().sum()) for weight in before.values())
            by_hand.append(found)
            watched.step(loss)
    return by_hand


def test_gradients_weights_updates_and_penalty_equal_those_by_hand(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))
    by_hand = watched_twin(tmp_path / "run.convdebug", model, torch.randn(8, 6))
    with Session.open(tmp_path / "run.convdebug") as session:
        for name in by_hand[0]:
            assert session.series(name)[1] == pytest.approx([found[name] for found in by_hand], rel=1e-4), name


def test_activations_and_dead_units_equal_those_by_hand(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(16, 4), nn.Sigmoid())
    with torch.no_grad():
        model[0].bias[2] = -100.0
    inputs = torch.randn(8, 1, 4, 4)
    first = [model[0](inputs)]
    for layer in list(model)[1:]:
        first.append(layer(first[-1].clone()))
    watched_twin(tmp_path / "run.convdebug", model, inputs)
    with Session.open(tmp_path / "run.convdebug") as session:
        assert [layer["name"] for layer in session.run().info["layers"]] == ["0", "1", "3", "4"]
        for index in (0, 1, 3, 4):
            assert session.series(f"activation/{index}/mean")[1][0] == pytest.approx(
                first[index].mean().item(), rel=1e-4
            )
            assert session.series(f"activation/{index}/std")[1][0] == pytest.approx(
                first[index].std(correction=0).item(), rel=1e-4
            )
        zeros = session.series("activation/1/zero_fraction")[1][0]
        assert zeros == pytest.approx((first[1] == 0).float().mean().item(), abs=1e-6)
        assert session.series("unit/1/dead")[1].tolist() == [0.25, 0.25, 0.25]
        assert "activation/4/saturated_fraction" in session.series_names()
        assert "activation/1/saturated_fraction" not in session.series_names()


def test_accuracy_counts_right_answers_and_leaves_out_ignored_labels() -> None:
    scores = torch.eye(4)
    assert share_right("cross_entropy", scores, torch.tensor([0, 1, 3, -100])) == pytest.approx(2 / 3)
    assert share_right("cross_entropy", scores, torch.eye(4)) == 1
    logits = torch.tensor([-1.0, 2.0])
    assert share_right("binary_cross_entropy_with_logits", logits, torch.tensor([0.0, 0.0])) == 0.5
    assert share_right("mse_loss", scores, scores) is None


def test_label_entropy_is_that_of_the_shares() -> None:
    assert label_entropy(torch.tensor([0, 1, 2, 3]), 10).item() == pytest.approx(math.log(4))
    assert label_entropy(torch.tensor([7, 7, 7]), 10).item() == pytest.approx(0)


def test_the_output_row_of_a_softmax_sums_to_one() -> None:
    low, high, total, spread = output_row(torch.randn(6, 5).softmax(1)).tolist()
    assert 0 <= low < high <= 1
    assert total == pytest.approx(1, abs=1e-6)
    assert spread > 0
    assert output_row(torch.ones(6, 5))[3] == 0


def test_the_best_guesses_are_sorted_and_filled_up() -> None:
    table = best_guesses(torch.tensor([[0.0, 2.0, 1.0, -1.0]]))
    assert table[0, :, 0].tolist() == [1, 2, 0]
    assert best_guesses(torch.tensor([[0.0, 2.0]]))[0, :, 0].tolist() == [1, 0, -1]


def test_alike_units_are_zero_or_multiples_of_one_another() -> None:
    weight = torch.tensor([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 0.0, 0.0], [3.0, -1.0, 0.5]])
    assert share_alike(weight) == 0.75
    assert share_alike(torch.zeros(4, 3)) == 1


def test_the_cosine_of_lists_is_that_of_the_long_vectors() -> None:
    before, after = [torch.randn(3), torch.randn(2, 2)], [torch.randn(3), torch.randn(2, 2)]
    flat = [torch.cat([part.reshape(-1) for part in parts]) for parts in (before, after)]
    assert cosine_of(before, after).item() == pytest.approx(F.cosine_similarity(*flat, dim=0).item(), abs=1e-6)


def test_a_linear_layer_on_images_is_shown_as_pictures() -> None:
    assert as_pictures(torch.zeros(5, 12), [3, 2, 2]).shape == (5, 3, 2, 2)  # type: ignore[union-attr]
    assert as_pictures(torch.zeros(5, 12), [11]) is None


def test_an_unnoticed_run_leaves_modes_buffers_and_random_state() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
    model[1].eval()
    buffers = [buffer.clone() for buffer in model.buffers()]
    state = torch.get_rng_state()
    with unnoticed(model):
        model.train()(torch.randn(5, 3))
    assert [module.training for module in model] == [True, False]
    assert all(torch.equal(*pair) for pair in zip(buffers, model.buffers(), strict=True))
    assert torch.equal(state, torch.get_rng_state())


class Late:
    """A copy that arrives after it was asked a few times."""

    def __init__(self, polls: int) -> None:
        self.polls = polls

    def query(self) -> bool:
        self.polls -= 1
        return self.polls < 0

    def synchronize(self) -> None:
        self.polls = 0


def test_late_numbers_are_delivered_in_their_order_and_none_is_lost() -> None:
    delays = iter([5, 0, 1, 0])
    readback = Readback(start=lambda values: (values, Late(next(delays))))
    seen: list[float] = []
    for index in range(4):
        readback.put(torch.tensor([float(index)]), lambda row: seen.append(float(row[0])))
    assert seen == []
    readback.finish()
    assert seen == [0, 1, 2, 3]


def test_a_host_far_ahead_waits_for_the_oldest_copy() -> None:
    readback = Readback(start=lambda values: (values, Late(1000)), limit=2)
    seen: list[float] = []
    for index in range(5):
        readback.put(torch.tensor([float(index)]), lambda row: seen.append(float(row[0])))
    assert seen == [0, 1, 2]


def run_schedule(schedule: Schedule, step_seconds: float, costs: dict[str, float], steps: int) -> dict[str, list[int]]:
    measured: dict[str, list[int]] = {name: [] for name in costs}
    for step in range(steps):
        for name in schedule.due(step):
            measured[name].append(step)
            schedule.measured(step, {name: costs[name]})
        schedule.stepped(step_seconds, 10e-6)
    return measured


def prices() -> list[Price]:
    return [Price("norms", 0.5), Price("activations", 0.5), Price("histograms", 0.3, grows=True, follows="activations")]


def test_on_long_steps_norms_come_at_every_step_and_the_budget_is_kept() -> None:
    costs = {"norms": 0.13e-3, "activations": 1e-3, "histograms": 0.5e-3}
    measured = run_schedule(Schedule(prices()), 0.1, costs, 500)
    assert len(measured["norms"]) == 500
    assert len(measured["activations"]) >= 160
    assert sum(costs[name] * len(steps) for name, steps in measured.items()) < 0.02 * 0.1 * 500
    assert set(measured["histograms"]) <= set(measured["activations"])


def test_on_tiny_steps_measuring_thins_out_but_never_stops() -> None:
    costs = {"norms": 40e-6, "activations": 1e-3, "histograms": 0.5e-3}
    measured = run_schedule(Schedule(prices()), 0.3e-3, costs, 20_000)
    assert 10 <= len(measured["activations"]) < 100
    assert set(measured["norms"]) >= {0, 1, 2, 4, 8, 16, 32}
    early = (costs["activations"] + costs["histograms"]) * 16
    assert sum(costs[name] * len(steps) for name, steps in measured.items()) - early < 0.03 * 0.3e-3 * 20_000


def test_a_short_run_of_slow_steps_pays_for_few_early_measurements_and_one_of_fast_steps_for_all() -> None:
    costs = {"norms": 1e-3, "activations": 5e-3, "histograms": 10e-3}
    slow = run_schedule(Schedule(prices()), 0.02, costs, 150)
    spent = sum(costs[name] * len(steps) for name, steps in slow.items())
    at_once = sum(costs.values())
    assert spent - at_once < 0.03 + 0.025 * 0.02 * 150
    assert all(steps[:2] == [0, 1] for steps in slow.values())
    assert len(slow["activations"]) >= 3
    fast = run_schedule(Schedule(prices()), 0.005, costs, 150)
    assert all(set(steps) >= {0, 2, 4, 8, 16, 32, 64, 128} for steps in fast.values())


def test_what_is_cheap_waits_to_be_measured_together_at_few_steps() -> None:
    costs = {"norms": 0.02e-3, "activations": 0.03e-3}
    schedule = Schedule([Price("norms", 0.5), Price("activations", 0.5)])
    measured = {step: [] for step in range(400)}
    for step in measured:
        measured[step] = schedule.due(step)
        if measured[step]:
            schedule.measured(step, {name: costs[name] for name in measured[step]})
        schedule.stepped(0.015)
    later = [step for step, names in measured.items() if names and step > 256]
    assert set(np.diff(later)) == {7}
    assert all(len(measured[step]) == 2 for step in later)


def test_every_forces_all_at_its_steps_and_pictures_at_each_sixteenth() -> None:
    schedule = Schedule([Price("norms", 0.5), Price("pictures", 0.1, rarity=16)], every=2)
    measured = run_schedule(schedule, 1e-4, {"norms": 1.0, "pictures": 1.0}, 65)
    assert measured["norms"] == list(range(0, 65, 2))
    assert measured["pictures"] == [0, 32, 64]


def test_an_interval_never_exceeds_the_longest() -> None:
    schedule = Schedule([Price("slow", 0.5)])
    run_schedule(schedule, 1e-5, {"slow": 10.0}, 3)
    assert schedule.prices[0].due <= 2 + LONGEST_INTERVAL


def test_phases_inside_a_closure_are_taken_out_of_the_optimizer() -> None:
    times = iter([0, 1, 3, 4, 9, 10])
    timeline = Timeline(lambda: next(times))
    timeline.start("optimizer")
    timeline.start("forward")
    timeline.end("forward")
    timeline.start("backward")
    timeline.end("backward")
    timeline.end("optimizer")
    assert timeline.seconds(lambda start, end: end - start) == {"optimizer": 3, "forward": 2, "backward": 5}


def test_every_instrument_is_in_the_list_under_its_own_name() -> None:
    names = [kind.name for kind in INSTRUMENTS]
    assert len(set(names)) == len(names)
    assert all(names)
    followed = [kind.follows for kind in INSTRUMENTS if kind.follows]
    assert all(name in names for name in followed)


def test_the_schedule_is_told_the_users_own_seconds_and_those_of_the_watch(tmp_path: Path) -> None:
    time = [0.0]
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug", clock=lambda: time[0]) as watched:
        for _ in range(6):
            optimizer.zero_grad()
            loss = model(torch.ones(1, 2)).sum()
            loss.backward()
            time[0] += 0.25
            optimizer.step()
            watched.step(loss)
        assert watched._rack.schedule.step_seconds == 0.25
        assert watched._rack.schedule.base_seconds == 0
    with Session.open(tmp_path / "run.convdebug") as session:
        assert session.series("time/wall")[1].tolist() == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5]
