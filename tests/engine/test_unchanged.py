"""Watching changes nothing: the same weights to the bit, whatever the model holds and moves beside them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from convdebug import watch

STEPS = 10
INPUTS = torch.randn(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 3


class Noise(nn.Module):
    """A parametrization that draws whenever the weight is read."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight + 0.01 * torch.randn_like(weight)


def plain() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))


def with_spectral_norm() -> nn.Module:
    model = plain()
    parametrizations.spectral_norm(model[1])
    return model


def with_noisy_weights() -> nn.Module:
    model = plain()
    parametrize.register_parametrization(model[1], "weight", Noise())
    return model


def trained(make: Callable[[], nn.Module], session: Path | None, steps: int = STEPS) -> list[Tensor]:
    """What a training leaves: weights, buffers, and the next random number."""
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, session=session, every=1) if session else nullcontext() as watched:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(INPUTS), LABELS)
            loss.backward()
            optimizer.step()
            if watched:
                watched.step(loss)
    return [*(each.detach().clone() for each in model.state_dict().values()), torch.rand(1)]


def same(ones: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))


@pytest.mark.parametrize("make", [with_spectral_norm, with_noisy_weights])
def test_a_weight_that_is_computed_when_it_is_read_is_not_read(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    assert same(trained(make, tmp_path / "run.convdebug"), trained(make, None))
