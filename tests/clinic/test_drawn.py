"""Drawn patients are the same whenever their seed is."""

from __future__ import annotations

from collections import Counter

from . import drawn
from .cases import all_patients, patient_named


def test_a_seed_draws_the_same_patients_again() -> None:
    first = [patient.name for patient in drawn.patients(5)]
    drawn.cases.cache_clear()
    assert first == [patient.name for patient in drawn.patients(5)]
    assert len(set(first)) == len(first) == 132
    assert set(first).isdisjoint(patient.name for patient in drawn.patients(6))


def test_a_drawn_patient_is_found_by_its_name() -> None:
    for patient in drawn.patients(5)[::20]:
        assert patient_named(patient.name).name == patient.name
    assert not any(patient.name.startswith(drawn.PREFIX) for patient in all_patients())


def test_no_ailment_is_drawn_more_often_than_it_may() -> None:
    sick = [patient for patient in drawn.patients(5) if patient.rules]
    met = Counter(patient.name.partition("/")[2].partition(", ")[0] for patient in sick)
    assert len(sick) == 88
    assert max(met.values()) <= drawn.MOST
    assert len(met) >= 45


def test_a_healthy_one_learns() -> None:
    case = next(case for case in drawn.cases(5) if case.twin is None and case.patient.family == "mlp")
    found = drawn.course(case.patient.regimen, case.task)
    assert found.last < 0.6 * found.first
    assert found.skill > 0.6
