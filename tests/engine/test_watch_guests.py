"""A watch is a guest: copies and files of the model are free of it, and what it cannot read breaks nothing."""

from __future__ import annotations

import copy
import gc
import io
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convdebug.instruments.losses import listen, stop_listening
from convdebug.rules import diagnose
from convdebug.script.finding import family_of
from convdebug.script.living import LivingModules
from convdebug.watch import Watch, watch
from convdebug_sessions import Session

INPUTS, LABELS = torch.randn(8, 6), torch.arange(8) % 4


class OddAnswer(dict[str, Tensor]):
    def values(self) -> Any:
        raise RuntimeError("nobody may look at all of me")


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> OddAnswer:
        return OddAnswer(scores=self.only(x))


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.1), nn.ReLU(), nn.Linear(5, 4))


def one_step(model: nn.Module, optimizer: torch.optim.Optimizer, watched: Watch) -> None:
    optimizer.zero_grad()
    answer = model(INPUTS)
    F.cross_entropy(answer["scores"] if isinstance(answer, dict) else answer, LABELS).backward()
    optimizer.step()
    watched.step()


def test_a_copy_of_a_watched_model_is_its_own(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug", every=1) as watched:
        one_step(model, optimizer, watched)
        best = copy.deepcopy(model)
        expected = best.eval()(INPUTS)
        one_step(model, optimizer, watched)
        assert torch.equal(best(INPUTS), expected)
    with Session.open(tmp_path / "run.convdebug") as session:
        assert session.run().steps == 2
        assert not session.events(kinds=["instrument-failed"])


def test_a_file_of_a_watched_model_needs_no_convdebug(tmp_path: Path) -> None:
    model, file = network(), io.BytesIO()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug", every=1) as watched:
        one_step(model, optimizer, watched)
        torch.save(model, file)
    assert b"convdebug" not in file.getvalue()
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    assert torch.equal(loaded.eval()(INPUTS), model.eval()(INPUTS))


def test_an_answer_that_cannot_be_read_leaves_the_loss_readable(tmp_path: Path) -> None:
    model = Odd()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug", every=1) as watched:
        for _ in range(3):
            one_step(model, optimizer, watched)
    with Session.open(tmp_path / "run.convdebug") as session:
        assert np.isfinite(session.series("train/loss")[1]).all()
        assert {event.data["instrument"] for event in session.events(kinds=["instrument-failed"])} >= {"ears", "origin"}


def test_a_loss_that_was_not_seen_is_not_called_lost(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with watch(model, optimizer, session=tmp_path / "run.convdebug") as watched:
        for _ in range(30):
            for parameter in model.parameters():
                parameter.grad = torch.randn_like(parameter)
            optimizer.step()
            watched.step()
    with Session.open(tmp_path / "run.convdebug") as session:
        assert [event.step for event in session.events(kinds=["loss-unseen"])] == [0]
        assert "loss-diverged" not in [each.rule for each in diagnose(session)]


def test_an_evaluation_with_recorded_gradients_keeps_no_graphs(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug", every=1) as watched:
        one_step(model, optimizer, watched)
        model.eval()
        answers = [weakref.ref(model(INPUTS)) for _ in range(6)]
        gc.collect()
        assert sum(answer() is not None for answer in answers) <= 2


def test_a_failure_while_instruments_are_built_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from convdebug.instruments.loop import LoopCounts

    def refuse(self: LoopCounts, scene: Any) -> None:
        raise RuntimeError("not today")

    monkeypatch.setattr(LoopCounts, "__init__", refuse)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug", every=1) as watched:
        one_step(model, optimizer, watched)
    with Session.open(tmp_path / "run.convdebug") as session:
        assert [event.data["instrument"] for event in session.events(kinds=["instrument-failed"])] == ["loop-counts"]


def test_complex_weights_are_measured_without_a_warning(tmp_path: Path) -> None:
    model = nn.Linear(6, 4, dtype=torch.complex64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug", every=1) as watched:
        for _ in range(3):
            optimizer.zero_grad()
            model(INPUTS.to(torch.complex64)).abs().square().mean().backward()
            optimizer.step()
            watched.step()
    with Session.open(tmp_path / "run.convdebug") as session:
        assert not session.events(kinds=["instrument-failed"])


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_what_was_scripted_is_looked_for_in_the_module_it_was_made_of() -> None:
    model = network()
    scripted = torch.jit.script(model)
    family = family_of(list(scripted.parameters()))
    assert family.roots_unheard() == (model,)


def test_modules_are_known_however_they_came_to_life_and_forgotten_when_they_die() -> None:
    before = network()
    living = LivingModules()
    living.start()
    try:
        made = nn.Linear(2, 2)
        copied, shallow = copy.deepcopy(made), copy.copy(made)
        stored = io.BytesIO()
        torch.save(made, stored)
        loaded = torch.load(io.BytesIO(stored.getvalue()), weights_only=False)
        assert [id(each) for each in living.known()] == [id(each) for each in (made, copied, shallow, loaded)]
        assert before not in living.known()
        del copied, shallow
        gc.collect()
        assert len(living.known()) == 2
    finally:
        living.stop()
    assert not living.known()
    assert not hasattr(nn.Module.__init__, "__wrapped__")


def test_a_module_that_nobody_heard_of_is_found_all_the_same() -> None:
    model = network()
    assert family_of(list(model.parameters()), known=[nn.Linear(1, 1)]).roots_unheard() == (model,)


class OwnState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(6, 6), nn.Linear(6, 4)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


class MakesOneInside(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.ReLU()(x)


def test_the_family_of_a_copy_that_nobody_heard_of_is_whole() -> None:
    living = LivingModules()
    living.start()
    try:
        model = copy.deepcopy(OwnState())
        assert family_of(list(model.parameters()), living.known()).roots_unheard() == (model,)
    finally:
        living.stop()


def test_a_module_may_be_made_inside_a_compiled_function() -> None:
    living = LivingModules()
    living.start()
    try:
        compiled = torch.compile(MakesOneInside(), backend="eager", fullgraph=True)
        assert compiled(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
    finally:
        living.stop()


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_a_loss_can_be_scripted_while_losses_are_heard() -> None:
    heard: list[str] = []

    def told(name: str, *_about: Any) -> None:
        heard.append(name)

    before = torch.jit.script
    listen(told)
    try:
        scripted = torch.jit.script(nn.CrossEntropyLoss())
        scores = torch.randn(3, 4, requires_grad=True)
        assert scripted(scores, LABELS[:3]) == F.cross_entropy(scores, LABELS[:3])
        assert heard == ["cross_entropy"]
    finally:
        stop_listening(told)
    assert torch.jit.script is before


def test_an_evaluation_with_recorded_gradients_is_left_out_of_the_training_accuracy(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    shares = []
    with watch(model, optimizer, session=tmp_path / "run.convdebug", every=1) as watched:
        for _ in range(4):
            model.train()
            optimizer.zero_grad()
            scores = model(INPUTS)
            loss = F.cross_entropy(scores, LABELS)
            loss.backward()
            optimizer.step()
            watched.step(loss)
            shares.append(float((scores.argmax(1) == LABELS).float().mean()))
            model.eval()
            for _ in range(3):
                F.cross_entropy(model(INPUTS.repeat(5, 1)), LABELS.repeat(5).flip(0))
    with Session.open(tmp_path / "run.convdebug") as session:
        assert session.series("train/accuracy")[1] == pytest.approx(shares)


def test_a_second_thread_that_trains_is_left_alone_and_what_it_hands_over_recorded(tmp_path: Path) -> None:
    def train(path: Path, steps: int) -> None:
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with watch(model, optimizer, session=path, every=1) as watched:
            for _ in range(steps):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(INPUTS), LABELS)
                loss.backward()
                optimizer.step()
                watched.step(loss)

    model = network()
    with watch(model, torch.optim.SGD(model.parameters(), lr=0.1), session=tmp_path / "first.convdebug"):
        thread = threading.Thread(target=train, args=(tmp_path / "second.convdebug", 5))
        thread.start()
        thread.join()
    with Session.open(tmp_path / "second.convdebug") as session:
        assert len(session.series("train/loss")[0]) == 5
        assert "another thread" in session.events(kinds=["note"])[0].data["text"]
        assert not session.events(kinds=["instrument-failed"])
