"""The learning-rate sweep: what its trials say, how it fits its time, what it leaves in the session."""

import math

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from convdebug.checks import run_checks
from convdebug.errors import UserError
from convdebug.search.rates import Trial, by_rate, suggestion_of
from convdebug.search.sweep import Plan, fit, lr_sweep
from convdebug.target import Target
from convdebug_sessions import Recorder, Session


class Fetched(TensorDataset):
    """Counts how often an example is fetched."""

    count = 0

    def __getitem__(self, index):
        Fetched.count += 1
        return super().__getitem__(index)


@pytest.fixture
def target() -> Target:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(256, 6, generator=generator)
    labels = (points[:, 0] > 0).long() + 2 * (points[:, 1] > 0).long()
    return Target(
        make_model=lambda: nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4)),
        train_data=Fetched(points, labels),
        make_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
        batch_size=32,
        num_classes=4,
    )


def trials(table, seeds=2):
    """Trials from {rate: (status, last loss)}, the second seed a little worse."""
    return [
        Trial(rate, seed, status, 2.3, last + 0.01 * seed, 20, 1)
        for seed in range(seeds)
        for rate, (status, last) in table.items()
    ]


def test_a_sweep_tells_rates_that_stall_learn_and_diverge(target, tmp_path):
    with Recorder.create(tmp_path / "sweep.convdebug") as recorder:
        result = lr_sweep(target, recorder, 1e-7, 1e4, count=12, steps=30, seeds=2)
    statuses = {rate.lr: rate.status for rate in by_rate(result.trials)}
    assert statuses[min(statuses)] == "stalled"
    assert statuses[max(statuses)] == "diverged"
    assert statuses[result.suggestion.lr] == "ok"
    assert result.suggestion.low <= result.suggestion.lr <= result.suggestion.high


def test_every_trial_is_a_run_under_the_sweep_and_diverged_ones_stop_early(target, tmp_path):
    with Recorder.create(tmp_path / "sweep.convdebug") as recorder:
        result = lr_sweep(target, recorder, 1e-3, 1e5, count=5, steps=25, seeds=1)
    with Session.open(tmp_path / "sweep.convdebug") as session:
        runs = {run.id: run for run in session.runs}
        assert runs[result.run].kind == "sweep"
        assert session.events(result.run, kinds={"sweep"})[0].data["suggestion"]["lr"] == result.suggestion.lr
        for trial in result.trials:
            assert runs[trial.run].kind == "trial"
            assert runs[trial.run].parent == result.run
            steps, _ = session.series("train/loss", trial.run)
            assert len(steps) == trial.steps
            assert (trial.status == "diverged") <= (trial.steps < 25)


def test_the_data_are_fetched_once_for_all_trials(target, tmp_path):
    Fetched.count = 0
    with Recorder.create(tmp_path / "sweep.convdebug") as recorder:
        lr_sweep(target, recorder, 1e-3, 1e-1, count=4, steps=8, seeds=3)
    assert Fetched.count <= 2 * 32 + 8 * 32


def test_trials_of_a_seed_begin_with_the_same_loss_and_repeat_exactly(target, tmp_path):
    results = []
    for name in ("one", "two"):
        with Recorder.create(tmp_path / f"{name}.convdebug") as recorder:
            results.append(lr_sweep(target, recorder, 1e-3, 1e-1, count=3, steps=6, seeds=2))
    first, second = ([trial.as_json() for trial in result.trials] for result in results)
    assert first == second
    for seed in (0, 1):
        assert len({trial["first_loss"] for trial in first if trial["seed"] == seed}) == 1


def test_the_random_state_of_the_user_is_left_alone(target, tmp_path):
    before = torch.get_rng_state()
    with Recorder.create(tmp_path / "sweep.convdebug") as recorder:
        lr_sweep(target, recorder, 1e-3, 1e-1, count=2, steps=3, seeds=1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.1), (0.0, 1.0), (-1.0, 1.0), (0.1, math.inf), (math.nan, 1.0)])
def test_a_range_that_is_none_is_refused_in_one_line(target, tmp_path, low, high):
    with Recorder.create(tmp_path / "sweep.convdebug") as recorder, pytest.raises(UserError, match="is not a range"):
        lr_sweep(target, recorder, low, high)


def test_a_diverged_seed_spoils_its_rate():
    table = {0.01: ("ok", 1.5), 0.1: ("ok", 1.0), 1.0: ("ok", 0.8)}
    found = trials(table)
    found[-1] = Trial(1.0, 1, "diverged", 2.3, math.nan, 4, 1)
    assert suggestion_of(found).lr == 0.1


def test_the_suggestion_keeps_away_from_the_cliff_when_it_costs_little():
    table = {0.01: ("ok", 1.5), 0.03: ("ok", 1.02), 0.1: ("ok", 1.01), 0.3: ("ok", 1.0), 1.0: ("diverged", math.inf)}
    suggestion = suggestion_of(trials(table))
    assert suggestion.lr == 0.1
    assert (suggestion.low, suggestion.high) == (0.01, 0.3)
    assert "1 and above diverge" in suggestion.why


def test_a_best_rate_at_the_border_is_said():
    assert "edge of the range" in suggestion_of(trials({0.01: ("ok", 2.0), 0.1: ("ok", 1.0)})).why


def test_without_a_learning_rate_that_learns_there_is_no_suggestion():
    suggestion = suggestion_of(trials({0.01: ("stalled", 2.3), 1.0: ("diverged", math.inf)}))
    assert suggestion.lr is None
    assert "none of 2 rates learns in 20 steps" in suggestion.why


def test_a_tight_budget_takes_seeds_first_then_batch_size_then_steps():
    rates = tuple(10.0**exponent for exponent in range(-7, 8))
    plan = Plan(rates, 3, 100, 128, rates[::2])
    fitted = [fit(plan, step_s, 40.0) for step_s in (1e-3, 0.04, 0.07, 0.12, 0.5, 5.0)]
    assert fitted[0] == plan
    assert (fitted[1].steps < 100, fitted[1].seeds) == (True, 3)
    assert (fitted[2].seeds, fitted[2].batch_size) == (2, 128)
    assert fitted[3].batch_size == 64
    assert fitted[4].batch_size == 32
    assert all(40 <= each.steps <= 100 for each in fitted[:4])
    assert fitted[5].steps == 8
    assert all(each.rates == rates and each.first == rates[::2] for each in fitted)


def test_a_full_table_keeps_its_rates_and_seeds():
    plan = Plan(tuple(range(1, 14)), 3, 100, 64)
    fitted = fit(plan, 0.1, 10.0)
    assert (len(fitted.rates), fitted.seeds, fitted.batch_size) == (13, 3, 32)
    assert fitted.steps == 8


def test_what_the_user_gave_is_what_is_swept(target, tmp_path):
    with Recorder.create(tmp_path / "sweep.convdebug") as recorder:
        result = lr_sweep(target, recorder, 1e-3, 1e3, count=4, steps=9, seeds=2, budget_s=1000)
    assert len(result.trials) == 8
    assert (result.plan.steps, result.plan.seeds) == (9, 2)


def test_a_free_sweep_looks_closer_where_rates_learn_and_repeats_only_there(target, tmp_path):
    with Recorder.create(tmp_path / "sweep.convdebug") as recorder:
        result = lr_sweep(target, recorder, 1e-9, 1e5, steps=30, also=(0.123,))
    rates = by_rate(result.trials)
    by_seed = [{trial.lr for trial in result.trials if trial.seed == seed} for seed in range(3)]
    assert by_seed[2] == by_seed[1] < by_seed[0] == {rate.lr for rate in rates}
    assert 0.123 in by_seed[0]
    learning = {rate.lr for rate in rates if rate.status == "ok"}
    assert learning <= by_seed[1]
    lowest, highest = min(learning), max(learning)
    assert max(rate.lr for rate in rates if rate.lr < lowest) / lowest > 0.05
    assert highest / min(rate.lr for rate in rates if rate.lr > highest) > 0.05
    assert 1e-9 not in by_seed[1]


def test_where_no_rate_learns_all_are_tried_from_every_seed(target, tmp_path):
    with Recorder.create(tmp_path / "sweep.convdebug") as recorder:
        result = lr_sweep(target, recorder, 1e-9, 1e-7, steps=5)
    assert len(result.trials) == 15 * 3
    assert result.suggestion.lr is None


def with_an_optimizer_of_its_own(model, batch, loss, optimizer):
    value = loss(model(batch[0]), batch[1])
    own = torch.optim.SGD(model.parameters(), lr=0.1)
    own.zero_grad()
    value.backward()
    own.step()
    return value


def test_a_rate_without_effect_is_said_and_no_rate_is_suggested(target, tmp_path):
    target.train_step = with_an_optimizer_of_its_own
    with Recorder.create(tmp_path / "sweep.convdebug") as recorder:
        result = lr_sweep(target, recorder, steps=30)
    suggestion = result.as_json()["suggestion"]
    assert set(suggestion) == {"lr", "low", "high", "why"}
    assert (suggestion["lr"], suggestion["low"], suggestion["high"]) == (None, None, None)
    assert suggestion["why"].startswith("the rate has no effect on this target: all 8 rates from 1e-06 to 10 give the")
    assert len(result.trials) == 8, "further rates and seeds could say nothing new"


def test_rates_that_learn_alike_to_four_digits_still_matter():
    rates = {0.1: ("ok", 1.0), 1.0: ("ok", 1.0001), 10.0: ("ok", 1.0)}
    assert suggestion_of(trials(rates)).lr is not None
    assert suggestion_of(trials(rates | {1.0: ("ok", 1.0)})).lr is None


def test_the_check_of_rates_is_skipped_where_the_rate_has_no_effect(target, tmp_path):
    target.train_step = with_an_optimizer_of_its_own
    with Recorder.create(tmp_path / "check.convdebug") as recorder:
        result, short = run_checks(target, recorder, only=["lr-sweep", "short-run"], budget_s=20).checks
    assert result.status == "skip"
    assert "the rate has no effect on this target" in result.summary
    assert "optimizer-not-stepping" not in [each.rule for each in short.diagnoses]


def test_what_is_ahead_after_a_few_steps_is_not_suggested_where_longer_trials_say_otherwise():
    table = {0.001: ("ok", 2.1), 0.003: ("ok", 2.0), 0.01: ("stalled", 2.3), 0.1: ("diverged", math.inf)}
    longer = [Trial(0.001, 0, "ok", 2.3, 0.5, 400, 1), Trial(0.003, 0, "ok", 2.3, 1.2, 400, 1)]
    assert suggestion_of(trials(table)).lr == 0.003
    suggestion = suggestion_of(trials(table), longer)
    assert (suggestion.lr, suggestion.low, suggestion.high) == (0.001, 0.001, 0.003)
    assert "to 0.5 in 400 steps" in suggestion.why
    assert "0.1 and above diverge" in suggestion.why


def test_a_rate_that_diverges_in_a_longer_trial_works_no_longer():
    table = {0.001: ("ok", 2.0), 0.003: ("ok", 1.9)}
    longer = [Trial(0.001, 0, "ok", 2.3, 0.5, 400, 1), Trial(0.003, 0, "diverged", 2.3, math.inf, 130, 1)]
    suggestion = suggestion_of(trials(table), longer)
    assert (suggestion.lr, suggestion.low, suggestion.high) == (0.001, 0.001, 0.001)


def test_the_time_that_is_left_goes_to_longer_trials_of_the_best_rate_and_those_below(target, tmp_path):
    path = tmp_path / "sweep.convdebug"
    with Recorder.create(path) as recorder:
        result = lr_sweep(target, recorder, budget_s=100)
    assert {trial.steps for trial in result.trials if trial.status != "diverged"} == {100}
    assert {trial.steps for trial in result.longer if trial.status != "diverged"} == {400}
    assert len(result.longer) == 3 * 2
    best = min((rate for rate in by_rate(result.trials) if rate.status == "ok"), key=lambda rate: rate.loss)
    assert max(trial.lr for trial in result.longer) == best.lr
    assert result.suggestion.lr in {trial.lr for trial in result.longer}
    with Session.open(path) as session:
        marked = {run.id for run in session.runs if run.info.get("longer")}
    assert marked == {trial.run for trial in result.longer}


def test_where_no_longer_trial_learns_a_rate_that_had_none_is_suggested():
    table = {0.0003: ("ok", 2.2), 0.001: ("ok", 2.1), 0.003: ("ok", 2.0)}
    longer = [Trial(rate, 0, "diverged", 2.3, math.inf, 300, 1) for rate in (0.001, 0.003)]
    suggestion = suggestion_of(trials(table), longer)
    assert (suggestion.lr, suggestion.high) == (0.0003, 0.0003)
    assert "0.001 and above diverge" in suggestion.why
