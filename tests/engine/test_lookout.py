"""The lookout of `convdebug run` in this process: what goes wrong with one model leaves the others watched."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from convdebug.instruments import backward, ears, hearing, home, losses
from convdebug.rules import diagnose
from convdebug.script.limits import Limits
from convdebug.script.lookout import Lookout
from convdebug.watch import Watch
from convdebug_sessions import Recorder, Session


class Sound(nn.Linear):
    pass


class Faulty(nn.Linear):
    pass


def train_both(steps: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    models = Faulty(4, 1), Sound(4, 1)
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in models]
    for _ in range(steps):
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            model(torch.ones(5, 4)).square().mean().backward()
            optimizer.step()
    return [model.weight.detach() for model in models]


def nobody_listens() -> bool:
    lists = (hearing._hearers, ears._all, backward._listeners, backward._tensor_listeners)
    lists += (losses._listeners, losses._call_listeners, losses._unrecorded_listeners, losses._holds, home.heard_in)
    return not any(lists) and functional.cross_entropy.__module__ == "torch.nn.functional" and not losses._originals


@pytest.mark.parametrize(("method", "steps_of_faulty"), [("step", 3), ("start", 0), ("finish", 8)])
def test_one_model_that_cannot_be_watched_leaves_the_others_watched(
    method: str, steps_of_faulty: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(Watch, method)

    def failing(watched: Watch, *about: Any) -> Any:
        if isinstance(watched.model, Faulty) and watched.number >= steps_of_faulty:
            raise RuntimeError("out of order")
        return original(watched, *about)

    bare = train_both(8)
    monkeypatch.setattr(Watch, method, failing)
    path, said = tmp_path / "s.convdebug", []
    with Recorder.create(path) as recorder:
        lookout = Lookout(lambda name, info: recorder.start_run("watch", name, info=info), Limits(), said.append)
        lookout.start()
        try:
            trained = train_both(8)
        finally:
            lookout.stop("finished", None)
    assert all(torch.equal(one, other) for one, other in zip(bare, trained, strict=True))
    assert nobody_listens()
    assert len(said) == 1
    assert said[0].startswith("Faulty goes")
    assert said[0].endswith("RuntimeError: out of order")
    with Session.open(path) as session:
        faulty, sound = session.runs
        assert (sound.name, sound.status, sound.steps) == ("Sound", "finished", 8)
        assert (faulty.name, faulty.steps) == ("Faulty", steps_of_faulty)
        assert faulty.status in ("finished", "stopped")
        failed = [len(session.events(run.id, kinds=["instrument-failed"])) for run in session.runs]
        assert failed == [1, 0]


def looked_out_for(path: Path, train: Any) -> list[str]:
    """What is said while `train()` is watched."""
    said: list[str] = []
    with Recorder.create(path) as recorder:
        lookout = Lookout(lambda name, info: recorder.start_run("watch", name, info=info), Limits(), said.append)
        lookout.start()
        try:
            train()
        finally:
            lookout.stop("finished", None)
    return said


def test_a_model_copied_after_its_optimizer_was_made_is_found_by_its_backward_passes(tmp_path: Path) -> None:
    def train() -> None:
        model = Sound(4, 1)
        optimizer = torch.optim.Adam(model.parameters())
        model = copy.deepcopy(model)
        for _ in range(20):
            optimizer.zero_grad()
            model(torch.ones(5, 4)).square().mean().backward()
            optimizer.step()

    path = tmp_path / "s.convdebug"
    said = looked_out_for(path, train)
    assert said == ["Sound receives gradients, and no optimizer that steps holds any of its parameters"]
    with Session.open(path) as session:
        assert [run.steps for run in session.runs] == [18]  # from the third on
        assert diagnose(session)[0].rule == "parameters-not-in-optimizer"


def test_steps_before_any_backward_pass_and_gradients_of_another_model_are_no_mistake(tmp_path: Path) -> None:
    def train() -> None:
        model, judge = Sound(4, 1), Faulty(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.step()
        for _ in range(3):
            judge(torch.ones(5, 4)).mean().backward()
        for _ in range(8):
            optimizer.zero_grad()
            model(torch.ones(5, 4)).square().mean().backward()
            optimizer.step()

    path = tmp_path / "s.convdebug"
    assert looked_out_for(path, train) == []
    with Session.open(path) as session:
        assert [(run.name, run.steps) for run in session.runs] == [("Sound", 8)]


def test_what_is_heard_after_an_update_counts_for_the_next_step_where_another_optimizer_is_waited_for(
    tmp_path: Path,
) -> None:
    losses: list[float] = []

    def train() -> None:
        model = Sound(4, 3)
        torch.optim.SGD(model.parameters(), lr=0.1)  # for its state alone
        idle = torch.optim.SGD(model.parameters(), lr=60.0)
        optimizer = torch.optim.SGD(model.parameters(), lr=60.0)
        optimizer.load_state_dict(idle.state_dict())
        for _ in range(4):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(torch.randn(5, 4)), torch.tensor([0, 1, 2, 0, 1]))
            losses.append(loss.item())
            loss.backward()
            optimizer.step()

    path = tmp_path / "s.convdebug"
    torch.manual_seed(0)
    looked_out_for(path, train)
    with Session.open(path) as session:
        heard = dict(zip(*(each.tolist() for each in session.series("loss/cross_entropy")), strict=True))
        used = session.series("train/loss")[1].tolist()
    assert used == pytest.approx(losses)
    assert heard[0] == pytest.approx(losses[0])
    assert all(heard[step] == pytest.approx(losses[step]) for step in heard)
