"""Trainings in two phases with an optimizer each: the second one is looked at as the first one was."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import convdebug
from convdebug.instruments.leading import MOST_JOINING, STILL_STEPS, Leading
from convdebug.instruments.schedule import MOST_BEGINNINGS, Price, Schedule
from convdebug.rules import diagnose
from convdebug.rules.facts import Facts
from convdebug.rules.training import base_rate
from convdebug_sessions import Session

CENTERS = torch.randn(5, 20, generator=torch.Generator().manual_seed(1))


def network():
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 5))


def train(watched, model, optimizer, steps, zeroes):
    for _ in range(steps):
        labels = torch.randint(0, 5, (32,))
        loss = F.cross_entropy(model(CENTERS[labels] + 0.8 * torch.randn(32, 20)), labels)
        if zeroes:
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watched.step(loss)


def in_phases(path, *phases, kind=torch.optim.AdamW):
    """`phases`: the rate of each, its steps, and whether its loop zeroes the gradients."""
    model = network()
    optimizers = [kind(model.parameters(), lr=rate) for rate, _, _ in phases]
    with convdebug.watch(model, optimizers, session=path) as watched:
        for optimizer, (_, steps, zeroes) in zip(optimizers, phases, strict=True):
            optimizer.zero_grad()
            train(watched, model, optimizer, steps, zeroes)
    return path


def said(path):
    with Session.open(path) as session:
        return {each.rule: each for each in diagnose(session)}


@pytest.mark.parametrize("steps", [40, 100, 300])
def test_gradients_that_are_not_zeroed_in_the_second_phase_alone_are_seen(tmp_path, steps):
    found = said(in_phases(tmp_path / "s.convdebug", (1e-3, steps, True), (2e-3, 100, False)))
    assert "gradients-accumulate" in found
    assert found["gradients-accumulate"].first_step >= steps


def test_gradients_that_were_not_zeroed_in_the_first_phase_are_still_said(tmp_path):
    found = said(in_phases(tmp_path / "s.convdebug", (1e-3, 100, False), (2e-3, 100, True)))
    assert "gradients-accumulate" in found


def test_an_optimizer_for_each_epoch_that_is_zeroed_is_fine(tmp_path):
    assert "gradients-accumulate" not in said(in_phases(tmp_path / "s.convdebug", *[(1e-3, 20, True)] * 6))


def test_a_rate_that_is_too_high_is_named_as_it_was_in_that_phase(tmp_path):
    found = said(in_phases(tmp_path / "s.convdebug", (0.01, 60, True), (1e6, 60, True), kind=torch.optim.SGD))
    one = found["learning-rate-too-high"]
    assert one.message.startswith("At a learning rate of 1e+06 the loss")
    assert one.remedies[0].text.startswith("Lower the learning rate from 1e+06 to")


def test_a_rate_that_the_loop_raised_itself_is_named(tmp_path):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with convdebug.watch(model, optimizer, session=tmp_path / "s.convdebug") as watched:
        train(watched, model, optimizer, 40, True)
        optimizer.param_groups[0]["lr"] = 1e6
        train(watched, model, optimizer, 40, True)
    assert "At a learning rate of 1e+06 the loss" in said(tmp_path / "s.convdebug")["learning-rate-too-high"].message


def test_the_rate_recorded_is_that_of_the_optimizer_that_steps(tmp_path):
    in_phases(tmp_path / "s.convdebug", (1e-3, 40, True), (2e-3, 60, True))
    with Session.open(tmp_path / "s.convdebug") as session:
        _, rates = session.series("train/lr")
        (joined,) = session.events(kinds=["optimizer"])
    assert np.allclose(rates[:40], 1e-3)
    assert np.allclose(rates[40:], 2e-3)
    assert (joined.step, joined.data["lr"]) == (40, 2e-3)


def test_of_two_that_take_turns_the_first_one_leads():
    first, second = (torch.optim.SGD(network().parameters(), lr=rate) for rate in (0.1, 0.2))
    leading = Leading()
    for step in range(100):
        leading.steps(first if step % 6 == 0 else second, step)
    assert leading.among([second]) is first
    for step in range(100, 102 + STILL_STEPS):
        leading.steps(second, step)
    assert leading.among([first]) is second


def test_an_optimizer_for_each_step_is_said_to_begin_only_so_often():
    leading, model = Leading(), network()
    joined = [leading.steps(torch.optim.SGD(model.parameters(), lr=0.1), step) for step in range(200)]
    assert sum(joined) == MOST_JOINING


def test_the_first_steps_of_a_further_optimizer_are_measured_as_early_ones():
    schedule = Schedule([Price("dear", 0.5)], budget=0.0)
    schedule.stepped(0.001)
    due = [step for step in range(200) if schedule.due(step) and not schedule.measured(step, {"dear": 1.0})]
    assert due == [0, 1, 2, 4, 8, 16, 32, 64, 128]
    schedule.begin_anew(200)
    due = [step for step in range(201, 300) if schedule.due(step) and not schedule.measured(step, {"dear": 1.0})]
    assert due == [201, 202, 204, 208, 216, 232, 264]
    for step in itertools.islice(itertools.count(300, 10), MOST_BEGINNINGS):
        schedule.begin_anew(step)
    assert not schedule.due(300 + 10 * (MOST_BEGINNINGS - 1) + 1)


@pytest.mark.parametrize(("after", "chosen"), [(0.02, 0.02), (0.01, 0.02), (0.3, 0.3), (0.15, 0.3)])
def test_the_rate_chosen_is_that_of_the_optimizer_whose_rates_were_recorded_after_it_joined(written, after, chosen):
    """0.3 was chosen at first, an optimizer with 0.02 joins at step 50."""
    rates = {"train/loss": np.ones(100), "train/lr": np.r_[np.full(50, 0.3), 0.02, np.full(49, after)]}
    info = {"optimizer": {"name": "SGD", "lr": 0.3}}
    path = written(rates, info=info, config={}, events=[("optimizer", 50, {"name": "SGD", "lr": 0.02})])
    with Session.open(path) as session:
        assert base_rate(Facts(session)) == chosen
