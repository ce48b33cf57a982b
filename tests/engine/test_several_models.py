"""Two models that are watched at once: what one of them hears of the other's training."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import convdebug
from convdebug_sessions import Recorder, Session

bce = nn.functional.binary_cross_entropy_with_logits  # taken from torch by name, and heard all the same
AS_TORCH_GIVES_IT = (bce,)


def right(scores: Tensor, label: float) -> Tensor:
    return ((scores > 0) == bool(label)).float()


def step_of_judge(judge: nn.Module, made: Tensor, real: Tensor) -> tuple[Tensor, float]:
    on_real, on_made = judge(real), judge(made)
    loss = bce(on_real, torch.ones(len(real), 1)) + bce(on_made, torch.zeros(len(made), 1))
    return loss, float(torch.cat([right(on_real, 1), right(on_made, 0)]).mean())


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("maker_first", [False, True])
def test_the_accuracy_of_a_discriminator_is_that_of_its_own_updates(
    frozen: bool, maker_first: bool, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    maker, judge = nn.Linear(3, 6), nn.Linear(6, 1)
    of_maker, of_judge = (torch.optim.SGD(each.parameters(), lr=0.1) for each in (maker, judge))
    shares, losses = [], []
    path = tmp_path / "s.convdebug"
    with Recorder.create(path) as recorder, ExitStack() as stack:
        watches = [
            stack.enter_context(convdebug.watch(model, optimizer, session=recorder, every=1))
            for model, optimizer in ((judge, of_judge), (maker, of_maker))
        ]
        for turn in range(12):
            real, noise = torch.randn(7, 6) + 0.5, torch.randn(5, 3)
            if bool(turn % 2) == maker_first:
                of_judge.zero_grad()
                loss, share = step_of_judge(judge, maker(noise).detach(), real)
                loss.backward()
                of_judge.step()
                watches[0].step()
                shares.append(share)
                losses.append(loss.item() / 2)
            else:
                judge.requires_grad_(not frozen)
                of_maker.zero_grad()
                bce(judge(maker(noise)), torch.ones(5, 1)).backward()
                of_maker.step()
                watches[1].step()
                judge.requires_grad_(True)
    with Session.open(path) as session:
        assert session.series("train/accuracy", 1)[1] == pytest.approx(shares)
        assert session.series("loss/binary_cross_entropy_with_logits", 1)[1] == pytest.approx(losses)
        assert "train/accuracy" not in session.series_names(2)
        assert [run.info.get("fed_by") for run in session.runs] == ["Linear", None]
    assert bce is AS_TORCH_GIVES_IT[0]


def test_the_accuracy_of_a_step_is_that_of_all_its_micro_batches(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Linear(6, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs, shares = torch.randn(120, 6), []
    labels = (inputs[:, 0] > 0).long()
    path = tmp_path / "s.convdebug"
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for start in range(0, 120, 30):
            share = 0.0
            for piece in (slice(start, start + 20), slice(start + 20, start + 30)):
                scores = model(inputs[piece])
                share += float((scores.argmax(1) == labels[piece]).sum()) / 30
                loss = nn.functional.cross_entropy(scores, labels[piece])
                loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            watched.step(loss)
            shares.append(share)
    with Session.open(path) as session:
        assert session.series("train/accuracy")[1] == pytest.approx(shares)
