"""Units that compute the same: the mark of weights that were all set to one value."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from .anatomy import own_weight
from .instrument import Instrument, Moment, Scene
from .table import Table

MOST_UNITS = 128
ALIKE = 0.9999


def share_alike(weight: Tensor) -> Tensor:
    """The share of rows of a weight (units, inputs) that are zero or, up to their length, equal to another row."""
    norms = weight.norm(dim=1, keepdim=True)
    directions = weight / norms.clamp_min(torch.finfo(weight.dtype).tiny)
    cosines = directions @ directions.T
    cosines.fill_diagonal_(0.0)
    return ((cosines.amax(1) > ALIKE) | (norms[:, 0] == 0)).float().mean()


class Similarity(Instrument):
    """`unit/<layer>/similarity` of convolutions and linear layers, over at most 128 units of each.

    Of the weights that made the step's forward pass: one update may break a tie of the beginning.
    """

    name: ClassVar[str] = "similarity"
    weight: ClassVar[float] = 0.2
    rarity: ClassVar[int] = 16

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.table = Table(scene.run)
        self._found: tuple[tuple[str, ...], Tensor] | None = None

    def before_update(self, moment: Moment) -> None:
        self._look()

    def record(self, moment: Moment) -> None:
        if self._found is None:  # no optimizer of torch steps
            self._look()
        found, self._found = self._found, None
        if found is not None:
            series, shares = found
            self.scene.readback.put(shares, lambda row: self.table.append(moment.step, series, row))

    def _look(self) -> None:
        names, shares = [], []
        for name, module in self.scene.inner.named_modules():
            weight = unit_rows(module)
            if weight is not None and weight.device == self.scene.device:
                names.append(f"unit/{name or type(module).__name__.lower()}/similarity")
                shares.append(share_alike(weight))
        self._found = (tuple(names), torch.stack(shares)) if shares else None


def unit_rows(module: nn.Module) -> Tensor | None:
    """The weights of a layer, a row a unit (units, inputs); None where these are not its own or are fewer than two."""
    if not isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
        return None
    weight = own_weight(module)
    if weight is None:
        return None
    rows = weight.detach().flatten(1)
    if rows.is_complex() or len(rows) < 2 or rows.shape[1] < 2:
        return None
    return rows[:: -(-len(rows) // MOST_UNITS)].float()
