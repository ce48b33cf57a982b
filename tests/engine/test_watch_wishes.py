"""Wishes made from outside are obeyed at the next step."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from convdebug.instruments.wishes import TrainingStopped, Wishes
from convdebug.watch import watch
from convdebug_sessions import Session


class Notebook:
    """A run that only remembers what it was told; wishes are put in by the test."""

    def __init__(self) -> None:
        self.pending_wishes: tuple[Any, ...] = ()
        self.events: list[tuple[str, int | None, dict[str, Any]]] = []
        self.done: list[tuple[int, int]] = []

    def wish(self, what: str, value: Any = None) -> None:
        wish = SimpleNamespace(id=len(self.done) + len(self.pending_wishes) + 1, what=what, value=value)
        self.pending_wishes = (*self.pending_wishes, wish)

    def applied(self, wish: Any, step: int) -> None:
        self.done.append((wish.id, step))
        self.pending_wishes = tuple(other for other in self.pending_wishes if other.id != wish.id)

    def event(self, kind: str, step: int | None = None, **data: Any) -> None:
        self.events.append((kind, step, data))


def wishes(notebook: Notebook, optimizer: torch.optim.Optimizer, script: list[tuple[str, Any]]) -> Wishes:
    def sleep(_seconds: float) -> None:
        notebook.wish(*script.pop(0))

    return Wishes(notebook, [optimizer], lambda wish: False, sleep)  # type: ignore[arg-type]


def sgd() -> torch.optim.Optimizer:
    return torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1, momentum=0.9)


def test_a_rate_is_set_and_recorded_with_old_and_new() -> None:
    notebook, optimizer = Notebook(), sgd()
    notebook.wish("set", {"optimizer.lr": 0.01, "optimizer.momentum": 0.5})
    wishes(notebook, optimizer, []).obey(7, lambda: None)
    assert optimizer.param_groups[0]["lr"] == 0.01
    assert optimizer.param_groups[0]["momentum"] == 0.5
    changes = [data for kind, step, data in notebook.events if kind == "change" and step == 7]
    assert changes[0] == {"key": "optimizer.lr", "old": 0.1, "new": 0.01, "by": "wish"}
    assert notebook.done == [(1, 7)]


def test_momentum_of_adam_is_its_first_beta() -> None:
    notebook, optimizer = Notebook(), torch.optim.Adam(nn.Linear(2, 2).parameters())
    notebook.wish("set", {"optimizer.momentum": 0.8})
    wishes(notebook, optimizer, []).obey(0, lambda: None)
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.999)


def test_a_pause_waits_for_continue_and_obeys_while_it_waits() -> None:
    notebook, optimizer = Notebook(), sgd()
    notebook.wish("pause")
    obedient = wishes(notebook, optimizer, [("set", {"optimizer.lr": 0.5}), ("continue", None)])
    obedient.obey(3, lambda: None)
    assert [kind for kind, _, _ in notebook.events] == ["paused", "change", "continued"]
    assert not obedient.paused


def test_one_step_lets_a_paused_training_go_once() -> None:
    notebook, optimizer = Notebook(), sgd()
    notebook.wish("pause")
    obedient = wishes(notebook, optimizer, [("step", None), ("continue", None)])
    obedient.obey(3, lambda: None)
    assert obedient.paused
    obedient.obey(4, lambda: None)
    assert not obedient.paused


def test_stop_is_raised_and_an_unknown_wish_is_noted() -> None:
    notebook, optimizer = Notebook(), sgd()
    notebook.wish("branch", 3)
    wishes(notebook, optimizer, []).obey(1, lambda: None)
    assert "cannot be granted" in notebook.events[0][2]["text"]
    notebook.wish("stop")
    with pytest.raises(TrainingStopped):
        wishes(notebook, optimizer, []).obey(2, lambda: None)


def test_a_wish_written_into_the_session_stops_the_loop(tmp_path: Path) -> None:
    path = tmp_path / "run.convdebug"
    model = nn.Linear(2, 2)
    with watch(model, session=path) as watched:
        watched.step(1.0)
        with Session.open(path) as session:
            session.wish("set", {"data.batch_size": 8})
            session.wish("stop")
        for _ in range(100_000):
            watched.step(1.0)
    assert watched.wanted_batch_size == 8
    with Session.open(path) as session:
        assert session.run().status == "stopped"
        assert all(wish.applied_step is not None for wish in session.wishes())
