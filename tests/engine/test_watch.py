"""The two lines in a user's loop: what they record, what they leave alone, how they end."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import convdebug.watch
from convdebug.watch import watch
from convdebug_sessions import Recorder, Session


class Net(nn.Module):
    """A small convnet as people write them: a functional ReLU, a pooling function, a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(12, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.relu(self.conv2(x))
        return self.fc(self.drop(x.mean((2, 3))))


def batch(size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(size, 3, 8, 8), torch.randint(0, 10, (size,))


def train(path: Path, steps: int = 6, **options: object) -> convdebug.watch.Watch:
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with watch(model, optimizer, session=path, **options) as watched:  # type: ignore[arg-type]
        for _ in range(steps):
            inputs, labels = batch()
            loss = F.cross_entropy(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)
    return watched


def test_every_step_has_its_loss_rate_and_wall_time(tmp_path: Path) -> None:
    train(tmp_path / "run.convdebug", steps=9)
    with Session.open(tmp_path / "run.convdebug") as session:
        steps, losses = session.series("train/loss")
        assert steps.tolist() == list(range(9))
        assert np.isfinite(losses).all()
        assert session.series("train/lr")[1] == pytest.approx([0.1] * 9)
        assert (np.diff(session.series("time/wall")[1]) >= 0).all()
        assert session.run().status == "finished"
        assert session.run().kind == "watch"


def test_a_short_run_at_the_default_budget_is_measured_several_times(tmp_path: Path) -> None:
    train(tmp_path / "run.convdebug", steps=50)
    with Session.open(tmp_path / "run.convdebug") as session:
        for name in ("gradient/conv1.weight/norm", "update/fc.weight/ratio", "activation/conv2.relu/std"):
            assert len(session.series(name)[0]) >= 6
        assert len(session.blobs("activation-histograms")) >= 6


def test_functional_activations_are_layers_named_after_the_module_before_them(tmp_path: Path) -> None:
    train(tmp_path / "run.convdebug")
    with Session.open(tmp_path / "run.convdebug") as session:
        layers = session.run().info["layers"]
    assert [layer["name"] for layer in layers] == ["conv1", "conv1.relu", "conv2", "conv2.relu", "fc"]
    assert [layer["activation"] for layer in layers] == [None, "relu", None, "relu", None]
    assert layers[2]["parameters"] == ["conv2.weight", "conv2.bias"]
    assert [layer["units"] for layer in layers] == [8, 8, 12, 12, 10]


def test_the_run_says_what_is_trained(tmp_path: Path) -> None:
    train(tmp_path / "run.convdebug", steps=2, info={"target": "my net", "batch_size": 16})
    with Session.open(tmp_path / "run.convdebug") as session:
        info = session.run().info
    assert info["target"] == "my net"
    assert info["device"] == "cpu"
    assert info["parameter_count"] == sum(parameter.numel() for parameter in Net().parameters())
    assert info["parameters"][0] == {
        "name": "conv1.weight",
        "shape": [8, 3, 3, 3],
        "size": 216,
        "layer": "conv1",
        "trainable": True,
        "in_optimizer": True,
    }
    assert info["optimizer"]["name"] == "SGD"
    assert info["optimizer"]["momentum"] == 0.9


def test_the_module_itself_can_be_called(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    with convdebug.watch(model, session=tmp_path / "run.convdebug") as watched:  # type: ignore[operator]
        watched.step(1.0)
    assert watched.number == 1


def test_an_exception_is_recorded_with_its_traceback_and_passed_on(tmp_path: Path) -> None:
    def spoiled() -> None:
        with watch(nn.Linear(2, 2), session=tmp_path / "run.convdebug") as watched:
            watched.step(1.0)
            raise RuntimeError("the data ran out")

    with pytest.raises(RuntimeError, match="ran out"):
        spoiled()
    with Session.open(tmp_path / "run.convdebug") as session:
        assert session.run().status == "crashed"
        assert "the data ran out" in (session.run().reason or "")
        (crash,) = session.events(kinds=["crash"])
    assert crash.data["type"] == "RuntimeError"
    assert "in spoiled" in crash.data["traceback"]


def test_an_interrupt_leaves_a_stopped_run(tmp_path: Path) -> None:
    def interrupted() -> None:
        with watch(nn.Linear(2, 2), session=tmp_path / "run.convdebug") as watched:
            watched.step(1.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with Session.open(tmp_path / "run.convdebug") as session:
        assert session.run().status == "stopped"
        assert session.run().steps == 1


def test_scalars_and_validation_go_under_their_names(tmp_path: Path) -> None:
    with watch(nn.Linear(2, 2), session=tmp_path / "run.convdebug") as watched:
        watched.step(1.0, accuracy=torch.tensor([True, False, True, True]), **{"train/penalty": 0.25})
        watched.step(torch.tensor(0.5), accuracy=torch.tensor(0.5), depth=3)
        watched.validation(loss=0.75, accuracy=0.625, top5=1)
    with Session.open(tmp_path / "run.convdebug") as session:
        assert session.series("train/accuracy")[1].tolist() == [0.75, 0.5]
        assert session.series("train/penalty")[1].tolist() == [0.25]
        assert session.series("depth")[0].tolist() == [1]
        assert session.series("val/loss")[0].tolist() == [1]
        assert session.series("val/top5")[1].tolist() == [1.0]


def test_a_run_of_a_recorder_leaves_the_recorder_open(tmp_path: Path) -> None:
    with Recorder.create(tmp_path / "run.convdebug") as recorder:
        for name in ("first", "second"):
            with watch(nn.Linear(2, 2), session=recorder, kind="trial", name=name) as watched:
                watched.step(1.0)
    with Session.open(tmp_path / "run.convdebug") as session:
        assert [run.name for run in session.runs] == ["first", "second"]
        assert {run.status for run in session.runs} == {"finished"}


def test_without_a_session_a_fresh_file_is_made_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with watch(nn.Linear(2, 2)) as watched:
        watched.step(1.0)
    (path,) = tmp_path.glob("*.convdebug")
    assert str(path) in capsys.readouterr().err


def test_checkpoints_hold_the_weights(tmp_path: Path) -> None:
    from safetensors.torch import load

    watched = train(tmp_path / "run.convdebug", steps=5, checkpoints=2)
    with Session.open(tmp_path / "run.convdebug") as session:
        kept = session.blobs("checkpoint")
        assert [ref.step for ref in kept] == [0, 2, 4]
        weights = load(bytes(session.read(kept[-1])))
    model = watched._scene.inner
    assert torch.equal(weights["fc.weight"], model.state_dict()["fc.weight"])


def final_state(model: nn.Module) -> list[object]:
    random_states = [torch.get_rng_state(), torch.tensor([random.random(), np.random.rand()])]
    return [*(tensor.clone() for tensor in model.state_dict().values()), *random_states]


def plain_loop(model: nn.Module, inputs: tuple[int, ...], watching: dict[str, object] | None) -> list[object]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)

    def steps(watched: object) -> None:
        for _ in range(12):
            x, y = torch.randn(8, *inputs), torch.randint(0, 10, (8,))
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            if watched:
                watched.step(loss)  # type: ignore[attr-defined]

    return watched_or_not(model, optimizer, steps, watching)


def accumulating_loop(model: nn.Module, inputs: tuple[int, ...], watching: dict[str, object] | None) -> list[object]:
    optimizer = torch.optim.Adam(model.parameters())

    def steps(watched: object) -> None:
        for index in range(24):
            loss = F.cross_entropy(model(torch.randn(4, *inputs)), torch.randint(0, 10, (4,))) / 4
            loss.backward()
            if index % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
            if watched:
                watched.step(loss)  # type: ignore[attr-defined]

    return watched_or_not(model, optimizer, steps, watching)


def closure_loop(model: nn.Module, inputs: tuple[int, ...], watching: dict[str, object] | None) -> list[object]:
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)

    def steps(watched: object) -> None:
        x, y = torch.randn(16, *inputs), torch.randint(0, 10, (16,))

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        for _ in range(5):
            loss = optimizer.step(closure)
            if watched:
                watched.step(loss)  # type: ignore[attr-defined]

    return watched_or_not(model, optimizer, steps, watching)


def watched_or_not(
    model: nn.Module, optimizer: torch.optim.Optimizer, steps: object, watching: dict[str, object] | None
) -> list[object]:
    if watching is None:
        steps(None)  # type: ignore[operator]
    else:
        with watch(model, optimizer, **watching) as watched:  # type: ignore[arg-type]
            steps(watched)  # type: ignore[operator]
    return final_state(model)


MODELS = {
    "an MLP with dropout": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(48, 20), nn.ReLU(), nn.Dropout(0.3), nn.Linear(20, 10)),
        (3, 4, 4),
    ),
    "convolutions with batch norm and in-place ReLU": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(6 * 16, 10)
        ),
        (3, 6, 6),
    ),
    "a functional net": (Net, (3, 8, 8)),
}


@pytest.mark.parametrize("every", [None, 1])
@pytest.mark.parametrize("loop", [plain_loop, accumulating_loop, closure_loop])
@pytest.mark.parametrize("name", MODELS)
def test_final_weights_and_random_states_are_the_same_to_the_bit(
    name: str, loop: object, every: int | None, tmp_path: Path
) -> None:
    make, inputs = MODELS[name]
    states = []
    for watching in (None, {"session": tmp_path / "run.convdebug", "every": every}):
        torch.manual_seed(1)
        random.seed(1)
        np.random.seed(1)
        states.append(loop(make(), inputs, watching))  # type: ignore[operator]
    assert all(torch.equal(bare, watched) for bare, watched in zip(*states, strict=True))
    with Session.open(tmp_path / "run.convdebug") as session:
        assert session.run().status == "finished"
        assert not session.events(kinds=["instrument-failed"])
        assert len(session.series("gradient/" + first_parameter(session) + "/norm")[0]) >= 3


def first_parameter(session: Session) -> str:
    return str(session.run().info["parameters"][0]["name"])


def test_losses_of_micro_batches_are_summed_to_one_step(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug") as watched:
        for index in range(12):
            loss = model(torch.ones(1, 2)).sum() * 0 + index
            loss.backward()
            if index % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
            watched.step(loss)
    with Session.open(tmp_path / "run.convdebug") as session:
        assert session.series("train/loss")[1].tolist() == [6.0, 22.0, 38.0]


@pytest.mark.parametrize("calls", [5, 70])
def test_an_optimizer_that_never_steps_is_noticed_and_every_call_counts(calls: int, tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=tmp_path / "run.convdebug") as watched:
        for index in range(calls):
            watched.step(float(index))
    with Session.open(tmp_path / "run.convdebug") as session:
        assert session.series("train/loss")[1].tolist() == list(range(calls))
        assert "did not step" in session.events(kinds=["note"])[0].data["text"]


def test_class_names_of_an_open_run_stay_known_beside_the_input_shape(tmp_path):
    path = tmp_path / "named.convdebug"
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train", "named", info={"data": {"class_names": ["cat", "dog"]}})
        model = nn.Linear(3, 2)
        with watch(model, session=run) as watched:
            loss = model(torch.zeros(4, 3)).sum()
            loss.backward()
            watched.step(loss)
    with Session.open(path) as session:
        assert session.run().info["data"] == {"class_names": ["cat", "dog"], "input_shape": [3]}
