"""Every user script bare and under `convdebug run`: what watching changed, what was found, what it cost.

    python -m tests.scripts.prove [NAME …] [--healthy | --sick] [--time] [--rounds 5] [--keep FOLDER]

Prints a table; exit code 1 if anything is not as it must be.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from .corpus import SCRIPTS, Script
from .harness import Seen, differences, misread, missing, read_session, run_bare, run_command, run_watched
from .twins import TWINS, Twin, prepared_twin

SLOW_STEP_MS = 10.0
MOST_TIMES_SLOWER = 1.05


def prove_healthy(script: Script, folder: Path) -> tuple[Seen, list[str]]:
    """What the session tells of a healthy script, and everything that is not as it must be."""
    session = folder / f"{script.name}.convdebug"
    bare = run_bare(script, folder / script.name / "bare")
    watched = run_watched(script, folder / script.name / "watched", session)
    seen = read_session(session)
    wrong = differences(bare, watched, script.exit_code) + missing(script, seen) + misread(script, seen, bare.stdout)
    return seen, wrong


def prove_sick(twin: Twin, folder: Path) -> tuple[Seen, list[str]]:
    """What the session tells of a sick twin, and whether its first diagnosis is another than expected."""
    session = folder / f"{twin.name}.convdebug"
    ended = run_command(twin.healthy.command, prepared_twin(twin, folder / twin.name), session)
    seen = read_session(session)
    wrong = [] if seen.first == twin.expected else [f"first diagnosis {seen.first or 'none'}, expected {twin.expected}"]
    if ended.exit_code != twin.exit_code:
        wrong.append(
            f"exit code {ended.exit_code}, expected {twin.exit_code}: {ended.stderr.strip().splitlines()[-1:]}"
        )
    return seen, wrong


def print_row(name: str, seen: Seen, wrong: list[str]) -> None:
    found = " ".join(
        word if flag else "-" * len(word) for word, flag in (("loss", seen.loss), ("val", seen.validation))
    )
    alarms = ", ".join(f"{each.severity[0].upper()} {each.rule}" for each in seen.alarms) or "silent"
    print(f"{'FAIL' if wrong else 'ok':4} {name:32} {seen.steps:5} steps  {found}  {alarms}", flush=True)
    for line in wrong:
        print(f"       {line}", flush=True)


def prove_time(script: Script, folder: Path, rounds: int) -> tuple[float, float]:
    """Milliseconds per step of the bare script (median), and the median ratio of watched to bare; turns alternate."""
    bare, ratios = [], []
    for turn in range(rounds):
        place = folder / f"{script.name}-time{turn}"
        ways: list[Callable[[], float | None]] = [
            lambda place=place: run_bare(script, place / "bare").ms_per_step,
            lambda place=place: run_watched(script, place / "watched", place / "run.convdebug").ms_per_step,
        ]
        order = (0, 1) if turn % 2 else (1, 0)
        taken = {way: ways[way]() for way in order}
        if taken[0] is None or taken[1] is None:
            raise SystemExit(f"{script.name} printed no time per step")
        bare.append(taken[0])
        ratios.append(taken[1] / taken[0])
    return statistics.median(bare), statistics.median(ratios)


def print_times(scripts: list[Script], folder: Path, rounds: int) -> bool:
    fine = True
    for script in scripts:
        bare, ratio = prove_time(script, folder, rounds)
        slow = bare >= SLOW_STEP_MS and ratio > MOST_TIMES_SLOWER
        fine &= not slow
        print(f"{'SLOW' if slow else 'ok':4} {script.name:32} bare {bare:7.2f} ms  watched {ratio:.3f} x", flush=True)
    return fine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="scripts and sick twins; all if none is named")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--healthy", action="store_true", help="the healthy scripts only")
    only.add_argument("--sick", action="store_true", help="the sick twins only")
    parser.add_argument("--time", action="store_true", help="compare the time of a step instead, in alternating turns")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave copies and sessions there")
    options = parser.parse_args()
    known = {each.name for each in [*SCRIPTS, *TWINS]}
    if unknown := set(options.names) - known:
        parser.error(f"no script {sorted(unknown)[0]!r}; there are {', '.join(sorted(known))}")
    with tempfile.TemporaryDirectory(prefix="convdebug-scripts-") as temporary:
        return proved(options, options.keep or Path(temporary))


def proved(options: argparse.Namespace, folder: Path) -> int:
    """0 if all that was asked for is as it must be, else 1."""
    wanted = [script for script in SCRIPTS if not options.names or script.name in options.names]
    twins = [twin for twin in TWINS if not options.names or twin.name in options.names]
    if options.time:
        return 0 if print_times([script for script in wanted if script.timed], folder, options.rounds) else 1
    failed = 0
    for script in [] if options.sick else wanted:
        seen, wrong = prove_healthy(script, folder / "healthy")
        print_row(script.name, seen, wrong)
        failed += bool(wrong)
    for twin in [] if options.healthy else twins:
        seen, wrong = prove_sick(twin, folder / "sick")
        print_row(f"{twin.name}", seen, wrong)
        failed += bool(wrong)
    print(
        f"{failed} of {(not options.sick) * len(wanted) + (not options.healthy) * len(twins)} are not as they must be"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
