"""Counts what the clinic found: detected, right, right first, false alarms, delay; by half, family, way and rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from .examine import Result

REFERRALS = {"first": 1, "second": 2, "third": 3}


def counts(results: Sequence[Result]) -> dict[str, Any]:
    """The figures of some patients."""
    sick = [each for each in results if each.rules]
    healthy = [each for each in results if not each.rules]
    delays = [each.right_after for each in sick if each.right_after is not None]
    return {
        "sick": len(sick),
        "detected": sum(each.detected for each in sick),
        "right": sum(each.right for each in sick),
        "right_first": sum(each.right_first for each in sick),
        "healthy": len(healthy),
        "false_alarms": sum(bool(each.alarms) for each in healthy),
        "steps_to_diagnosis": median(delays) if delays else None,
    }


def figures(results: Sequence[Result]) -> dict[str, Any]:
    """What `docs/clinic.json` holds."""
    rules = sorted({each.rules[0] for each in results if each.rules})
    return {
        "all": counts(results),
        "halves": {half: counts([each for each in results if each.half == half]) for half in ("tuned", "held")},
        "referrals": {name: _of_referral(number, results) for name, number in REFERRALS.items()},
        "families": {name: counts([each for each in results if each.family == name]) for name in families(results)},
        "ways": {way: counts([each for each in results if each.way == way]) for way in ("target", "watch", "run")},
        "rules": {rule: _of_rule(rule, results) for rule in rules},
        "misses": [_miss(each) for each in results if each.rules and not each.right_first],
        "alarms": [_miss(each) for each in results if not each.rules and each.alarms],
    }


def _of_referral(referral: int, results: Sequence[Result]) -> dict[str, Any]:
    those = [each for each in results if each.referral == referral]
    return {half: counts([each for each in those if each.half == half]) for half in ("tuned", "held")}


def _of_rule(rule: str, results: Sequence[Result]) -> dict[str, int]:
    found = counts([each for each in results if each.rules[:1] == (rule,)])
    alarms = sum(rule in each.alarms for each in results if not each.rules)
    kept = {key: found[key] for key in ("detected", "right", "right_first")}
    return {"runs": found["sick"], **kept, "false_alarms": alarms}


def families(results: Iterable[Result]) -> list[str]:
    """The families in the order in which they come."""
    return list(dict.fromkeys(each.family for each in results))


def _miss(result: Result) -> dict[str, Any]:
    said = [rule for rule, _, _ in result.found]
    return {"patient": result.name, "half": result.half, "expected": list(result.rules), "said": said}


def table(results: Sequence[Result]) -> str:
    """The figures and every miss, to be read in a terminal."""
    found = figures(results)
    lines = [f"{'':28}{'sick':>6}{'detected':>10}{'right':>8}{'first':>8}{'healthy':>9}{'alarms':>8}{'steps':>7}"]
    lines.append(_row("all", found["all"]))
    for name, halves in found["referrals"].items():
        lines += [_row(f"{name} referral, {half} half", row) for half, row in halves.items()]
    for part in ("halves", "families", "ways"):
        lines += [_row(name, row) for name, row in found[part].items()]
    lines += ["", "confusion: what was said first of each ailment"]
    for rule in found["rules"]:
        said = Counter((each.alarms or ["nothing"])[0] for each in results if each.rules[:1] == (rule,))
        lines.append(f"  {rule:32}" + ", ".join(f"{name} {count}" for name, count in said.most_common()))
    lines += ["", "misses"]
    lines += [f"  {_in_words(each)}" for each in results if each.rules and not each.right_first]
    lines += ["", "alarms on the healthy"]
    lines += [f"  {_in_words(each)}" for each in results if not each.rules and each.alarms]
    lines += [f"  did not learn: {each.name} ({each.way})" for each in results if not each.learned]
    lines += [f"  problem: {each.name} ({each.way}): {each.problem}" for each in results if each.problem]
    return "\n".join(lines)


def _row(name: str, row: dict[str, Any]) -> str:
    sick, healthy = max(row["sick"], 1), max(row["healthy"], 1)
    shares = "".join(
        f"{row[key] / sick:>{width}.1%}" for key, width in (("detected", 10), ("right", 8), ("right_first", 8))
    )
    delay = "" if row["steps_to_diagnosis"] is None else f"{row['steps_to_diagnosis']:.0f}"
    return f"{name:28}{row['sick']:>6}{shares}{row['healthy']:>9}{row['false_alarms'] / healthy:>8.1%}{delay:>7}"


def _in_words(result: Result) -> str:
    said = ", ".join(f"{rule}:{severity[0]}" for rule, severity, _ in result.found) or "nothing"
    return f"{result.name} [{result.half}, {result.way}] said {said}; expected {' or '.join(result.rules) or 'nothing'}"
