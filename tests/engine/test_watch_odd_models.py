"""Models that break other people's hooks: the training goes on, and what can be seen is seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convdebug.errors import UserError
from convdebug.instruments import INSTRUMENTS
from convdebug.instruments.instrument import Instrument, Moment
from convdebug.watch import watch
from convdebug_sessions import Session


class SharedRelu(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.relu = nn.Linear(6, 5), nn.Linear(5, 4), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.b(self.relu(self.a(x))))


class DictOutput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.unused, self.recurrent = nn.Linear(6, 4), nn.Linear(3, 3), nn.LSTM(4, 4, batch_first=True)

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> dict[str, Any]:
        hidden, _ = self.recurrent(self.body(x)[:, None])
        return {"count": 3, "scores": (hidden[:, 0] * scale,)}


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.Linear(6, 6), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(12):
            x = torch.tanh(self.cell(x))
        return self.head(x)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 4)
        self.b.weight = self.a.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.b(self.a(x).relu_()).sigmoid())


def frozen() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Linear(5, 4))
    model[0].requires_grad_(False)
    return model


def scores_of(output: Any) -> torch.Tensor:
    return output["scores"][0] if isinstance(output, dict) else output


def train(model: nn.Module, path: Path, steps: int = 4, every: int | None = 1, call: Any = None) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=path, every=every) as watched:
        for _ in range(steps):
            loss = F.cross_entropy(scores_of((call or model)(torch.randn(8, 6))), torch.arange(8) % 4)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)


MODELS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "a shared module": (SharedRelu, ["a", "relu", "b", "relu.2"]),
    "a dict of tuples, an unused layer, an LSTM": (DictOutput, ["body", "recurrent"]),
    "a cell called many times": (
        Recurrent,
        ["cell", *["cell.tanh" + n for n in ["", *map(".{}".format, range(2, 13))]], "head"],
    ),
    "tied weights and in-place functions": (Tied, ["a", "a.relu", "b", "b.sigmoid", "head"]),
    "frozen parameters": (frozen, ["0", "1", "2"]),
    "a single layer": (lambda: nn.Linear(6, 4), ["linear"]),
    "data parallel": (lambda: nn.DataParallel(nn.Sequential(nn.Linear(6, 4), nn.Tanh())), ["0", "1"]),
    "a lazy layer": (lambda: nn.Sequential(nn.LazyLinear(4), nn.GELU()), ["0", "1"]),
}


@pytest.mark.parametrize("name", MODELS)
def test_an_odd_model_is_measured_in_forward_order(name: str, tmp_path: Path) -> None:
    make, layers = MODELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces that lazy modules are new
        train(make(), tmp_path / "run.convdebug")
    with Session.open(tmp_path / "run.convdebug") as session:
        assert not session.events(kinds=["instrument-failed"])
        assert [layer["name"] for layer in session.run().info["layers"]] == layers
        assert len(session.series(f"activation/{layers[0]}/std")[0]) == 4
        assert len(session.series("train/accuracy")[0]) == 4


def test_a_parameter_without_gradient_has_no_gradient_series(tmp_path: Path) -> None:
    train(frozen(), tmp_path / "run.convdebug")
    with Session.open(tmp_path / "run.convdebug") as session:
        assert "gradient/0.weight/norm" not in session.series_names()
        assert "gradient/2.weight/norm" in session.series_names()
        assert session.events(kinds=["membership"])[0].data["frozen"] == ["0.weight", "0.bias"]


def test_automatic_mixed_precision_in_bfloat16_is_measured(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))

    def call(inputs: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model(inputs)

    train(model, tmp_path / "run.convdebug", call=call)
    with Session.open(tmp_path / "run.convdebug") as session:
        assert not session.events(kinds=["instrument-failed"])
        assert len(session.series("activation/1/mean")[0]) == 4


def test_compiled_code_is_measured_by_a_plain_pass_and_compiled_once(tmp_path: Path) -> None:
    compiled_graphs = []

    def backend(graph: Any, _inputs: Any) -> Any:
        compiled_graphs.append(graph)
        return graph.forward

    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 4))
    train(torch.compile(model, backend=backend), tmp_path / "run.convdebug")  # type: ignore[arg-type]
    assert len(compiled_graphs) == 1
    assert model[1].num_batches_tracked == 4
    with Session.open(tmp_path / "run.convdebug") as session:
        assert not session.events(kinds=["instrument-failed"])
        assert len(session.series("activation/2/mean")[0]) == 4
        assert "compiled" in session.events(kinds=["note"])[0].data["text"]


class Broken(Instrument):
    name = "broken"

    def record(self, moment: Moment) -> None:
        raise ZeroDivisionError("no units")


def test_a_failing_instrument_is_recorded_and_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convdebug.watch.INSTRUMENTS", [Broken, *INSTRUMENTS])
    train(frozen(), tmp_path / "run.convdebug")
    with Session.open(tmp_path / "run.convdebug") as session:
        (failure,) = session.events(kinds=["instrument-failed"])
        assert failure.data == {"instrument": "broken", "message": "ZeroDivisionError: no units"}
        assert len(session.series("gradient/2.weight/norm")[0]) == 4


def test_a_failure_inside_a_hook_never_reaches_the_forward_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> int:
        raise RuntimeError("no room")

    monkeypatch.setattr("convdebug.instruments.sampling.Samples.add", fail)
    train(frozen(), tmp_path / "run.convdebug")
    with Session.open(tmp_path / "run.convdebug") as session:
        failed = {event.data["instrument"] for event in session.events(kinds=["instrument-failed"])}
        assert "activations" in failed
        assert session.run().steps == 4


def test_an_optimizer_that_was_not_handed_over_is_found(tmp_path: Path) -> None:
    model = frozen()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.25)
    with watch(model, session=tmp_path / "run.convdebug", every=1) as watched:
        for _ in range(3):
            loss = F.cross_entropy(model(torch.randn(8, 6)), torch.arange(8) % 4)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)
    with Session.open(tmp_path / "run.convdebug") as session:
        assert session.series("train/lr")[1].tolist() == [0.25] * 3
        assert session.run().info["optimizer"]["name"] == "SGD"
        assert len(session.series("update/2.weight/ratio")[0]) >= 2


def test_evaluation_between_steps_is_not_measured(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    inputs = torch.randn(8, 6)
    with watch(model, optimizer, session=tmp_path / "run.convdebug", every=1) as watched:
        for _ in range(2):
            with torch.no_grad():
                model(inputs * 1000)
            loss = F.cross_entropy(model(inputs), torch.arange(8) % 4)
            loss.backward()
            optimizer.step()
            watched.step(loss)
    with Session.open(tmp_path / "run.convdebug") as session:
        expected = model[0](inputs).std(correction=0).item()
        assert session.series("activation/0/std")[1] == pytest.approx([expected] * 2, rel=1e-4)
        assert (session.series("input/max")[1] < 100).all()


def test_torch_is_as_it_was_afterwards(tmp_path: Path) -> None:
    before = (F.cross_entropy, torch.autograd.backward, torch.amp.GradScaler.step)
    train(frozen(), tmp_path / "run.convdebug")
    assert (F.cross_entropy, torch.autograd.backward, torch.amp.GradScaler.step) == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_training_on_cuda_is_recorded_to_its_last_step(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4)).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug", every=1) as watched:
        for _ in range(100):
            loss = F.cross_entropy(model(torch.randn(8, 6, device="cuda")), torch.arange(8, device="cuda") % 4)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)
    with Session.open(tmp_path / "run.convdebug") as session:
        assert not session.events(kinds=["instrument-failed"])
        assert len(session.series("train/loss")[0]) == 100
        assert len(session.series("time/forward")[0]) == 100


@pytest.mark.parametrize(
    ("model", "optimizer", "words"),
    [
        (3, None, "the model is int, not a torch.nn.Module"),
        (nn.Linear(2, 2), ["sgd"], "'sgd' is str, not a torch.optim.Optimizer"),
    ],
)
def test_what_is_no_model_or_no_optimizer_is_named_before_a_session_is_made(
    tmp_path: Path, model: Any, optimizer: Any, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        watch(model, optimizer, session=tmp_path / "run.convdebug")
    assert not list(tmp_path.iterdir())


def test_a_scripted_model_is_refused_in_one_line(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(nn.Linear(2, 2))
    with pytest.raises(UserError, match="TorchScript takes no hooks"):
        watch(scripted, session=tmp_path / "run.convdebug")
