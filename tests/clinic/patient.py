"""A patient: a training, how it comes to the clinic, and what it has; kept in one half by the hash of its name."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from .regimen import Regimen

WAYS = ("target", "watch", "run")


@dataclass(frozen=True)
class Patient:
    """`rules` are those that name its ailment rightly, the most fitting first; none for the healthy.

    `checked_by` is the check that comes before its training, where only that shows the ailment. `referral` is 0 for
    those written with the rules; those of 1 to 3 came later, in the forms in which people write faults and trainings;
    those of 4 are drawn from a seed.
    """

    name: str
    family: str
    regimen: Regimen
    rules: tuple[str, ...] = ()
    checked_by: str | None = None
    referral: int = 0

    @property
    def half(self) -> str:
        """`tuned` thresholds may look at one half only; `held` is the other."""
        return "tuned" if zlib.crc32(self.name.encode()) % 2 else "held"

    @property
    def way(self) -> str:
        """How the training is brought: as a target, by two lines in its loop, or as an untouched script."""
        if self.checked_by is not None:
            return "target"
        ways = WAYS if self._fits_a_target else WAYS[1:]
        return ways[zlib.crc32(self.name[::-1].encode()) % len(ways)]

    @property
    def _fits_a_target(self) -> bool:
        regimen = self.regimen
        own_loop = regimen.keep_graph or regimen.scaler is not None or regimen.average or regimen.schedule is not None
        return regimen.evaluation_mode and regimen.loop is None and not own_loop
