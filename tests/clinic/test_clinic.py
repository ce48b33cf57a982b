"""The clinic in short: a few patients of every kind; the whole is `make clinic`."""

import pytest

from .cases import all_patients, patient_named
from .examine import examine
from .figures import counts, figures, table

SHORT = (
    "rate of gradient descent too high, convnet",
    "rate of adam too low, residual",
    "gradients never zeroed, mlp",
    "all weights alike, convnet",
    "units that never fire, mlp",
    "healthy: adam, batchnorm",
    "healthy: as it is, transformer",
    "healthy: yes or no, mlp",
)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clinic")
    return {name: examine(patient_named(name), folder) for name in SHORT}


def test_the_clinic_is_wide_enough():
    sick = [each for each in all_patients() if each.rules]
    healthy = [each for each in all_patients() if not each.rules]
    assert len(sick) >= 80
    assert len({each.name.rsplit(", ", 1)[0] for each in sick}) >= 40
    assert len(healthy) >= 60
    assert len({each.family for each in sick}) == len({each.family for each in healthy}) == 5
    assert len({each.name for each in (*sick, *healthy)}) == len(sick) + len(healthy)
    assert {each.way for each in sick} == {each.way for each in healthy} == {"target", "watch", "run"}


def test_no_patient_is_a_broken_case(results):
    assert [each for each in results.values() if each.problem or not each.learned] == []


def test_the_sick_are_told_by_their_ailment_first(results):
    assert [(each.name, each.found) for each in results.values() if each.rules and not each.right_first] == []


def test_the_healthy_are_let_go(results):
    assert [(each.name, each.alarms) for each in results.values() if not each.rules and each.alarms] == []


def test_the_figures_count_what_was_found(results):
    found = figures(list(results.values()))
    assert found["all"] == counts(list(results.values()))
    assert found["all"]["sick"] + found["all"]["healthy"] == len(SHORT)
    assert sum(half["sick"] for half in found["halves"].values()) == found["all"]["sick"]
    assert "misses" in table(list(results.values()))
