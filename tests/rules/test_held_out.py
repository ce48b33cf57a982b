"""Inputs of another scale in evaluation than in training: said where the factor is large, and only there."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import convdebug
from convdebug.rules import diagnose
from convdebug_sessions import Session


def found(path, held_out, augmented=lambda inputs: inputs, told=False, size=16):
    """What is said of the splits after a loop with four evaluations, of which the loop tells or not."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with convdebug.watch(model, optimizer, session=path, every=1) as watched:
        for step in range(24):
            loss = F.cross_entropy(model(augmented(torch.randn(16, 12))), torch.arange(16) % 3)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watched.step(loss)
            if step % 6 == 5:
                model.eval()
                with torch.no_grad():
                    scores = model(held_out(torch.randn(size, 12)))
                    lost = F.cross_entropy(scores, torch.arange(size) % 3)
                if told:
                    watched.validation(loss=lost)
                model.train()
    with Session.open(path) as session:
        return [each for each in diagnose(session) if each.rule == "splits-differ-in-scale"]


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("held_out", [lambda x: 60 * x + 128, lambda x: x / 5, lambda x: x + 4])
def test_evaluations_on_another_scale_are_seen_while_training(tmp_path, held_out, told):
    (seen,) = found(tmp_path / "run.convdebug", held_out, told=told)
    assert seen.severity == "warning"
    assert "deviation" in seen.message


def mixed(inputs):
    return 0.5 * inputs + 0.5 * inputs.flip(0)


@pytest.mark.parametrize("augmented", [mixed, lambda x: x + torch.randn_like(x), lambda x: F.dropout(x, 0.5)])
def test_augmentation_is_no_other_scale(tmp_path, augmented):
    assert found(tmp_path / "run.convdebug", lambda x: x, augmented) == []


def test_a_few_dark_examples_are_no_other_scale(tmp_path):
    assert found(tmp_path / "run.convdebug", torch.zeros_like, size=2) == []
