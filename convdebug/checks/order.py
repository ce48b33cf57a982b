"""The order in which the diagnoses of several checks are read: roots first, each followed by its consequences."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from convdebug.rules import GROUPS, RULES
from convdebug.rules.causes import first_cause
from convdebug.rules.rule import SEVERITIES
from convdebug_sessions import Diagnosis

_GROUP = {rule.name: GROUPS.index(rule.group) for rule in RULES}


def reading_order(diagnoses: Sequence[Diagnosis]) -> list[Diagnosis]:
    """Diagnoses of different checks may cause each other: what one check found explains what another saw."""
    known = [replace(each, caused_by=_cause_of(each, diagnoses)) for each in diagnoses]
    roots = [each for each in known if each.caused_by is None]
    found: list[Diagnosis] = []
    for root in sorted(roots, key=lambda each: _rank(each, known)):
        found += [each for each in _with_consequences(root, known) if each not in found]
    return found


def _cause_of(diagnosis: Diagnosis, among: Sequence[Diagnosis]) -> str | None:
    if diagnosis.caused_by is not None:
        return diagnosis.caused_by if any(other.rule == diagnosis.caused_by for other in among) else None
    return first_cause(diagnosis, [each for each in among if each.severity != "info" or diagnosis.severity == "info"])


def _with_consequences(root: Diagnosis, known: Sequence[Diagnosis]) -> Iterator[Diagnosis]:
    yield root
    for each in known:
        if each.caused_by == root.rule and each.rule != root.rule:
            yield from _with_consequences(each, known)


def _rank(root: Diagnosis, known: Sequence[Diagnosis]) -> tuple[int, int]:
    tree = [SEVERITIES.index(each.severity) for each in _with_consequences(root, known)]
    return min(tree), _GROUP.get(root.rule, len(GROUPS))
