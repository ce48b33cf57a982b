"""`python -m tests.clinic`: examines every patient on two cores and prints how well the rules told them.

With `--drawn SEED` those are examined that are drawn from the seed, in place of all others.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from .cases import all_patients
from .drawn import patients
from .examine import ROOT
from .figures import figures, table
from .ward import examined

FIGURES = ROOT / "docs" / "clinic.json"


def main() -> int:
    """Returns 1 where a healthy patient was alarmed about or a case is broken."""
    options = argparse.ArgumentParser(prog="python -m tests.clinic", description=__doc__)
    options.add_argument("--only", default="", help="patients whose name holds this text")
    options.add_argument("--half", choices=["tuned", "held"], help="one half alone")
    options.add_argument("--way", choices=["target", "watch", "run"], help="those that come this way")
    options.add_argument("--referral", type=int, choices=[0, 1, 2, 3], help="patients of that referral alone")
    options.add_argument("--drawn", type=int, metavar="SEED", help="those drawn from that seed, in place of all others")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--write", action="store_true", help=f"keep the figures in {FIGURES.relative_to(ROOT)}")
    options.add_argument("--json", type=Path, help="write every result to this file")
    chosen = options.parse_args()
    if chosen.drawn is not None and chosen.write:
        options.error("the figures kept are those of the patients that are written down, not of drawn ones")
    names = [
        patient.name
        for patient in (all_patients() if chosen.drawn is None else patients(chosen.drawn))
        if chosen.only in patient.name
        and chosen.half in (None, patient.half)
        and chosen.way in (None, patient.way)
        and chosen.referral in (None, patient.referral)
    ]
    with tempfile.TemporaryDirectory() as folder:
        results = examined(names, Path(folder), chosen.workers)
    print(table(results))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([result.as_json() for result in results], indent=1))
    if chosen.write:
        FIGURES.write_text(json.dumps(figures(results), indent=1) + "\n")
    return int(any((not result.rules and result.alarms) or result.problem for result in results))


if __name__ == "__main__":
    sys.exit(main())
