"""The clinic in short: a few patients of every kind; the whole is `make clinic`."""

import pytest

from .cases import all_patients, patient_named
from .examine import Result, examine
from .figures import figures, table

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


def test_the_clinic_is_wide_enough():
    sick = [each for each in all_patients() if each.rules]
    healthy = [each for each in all_patients() if not each.rules]
    assert len(sick) >= 80
    assert len({each.name.rsplit(", ", 1)[0] for each in sick}) >= 40
    assert len(healthy) >= 60
    assert len({each.family for each in sick}) == len({each.family for each in healthy}) == 5
    assert len({each.name for each in (*sick, *healthy)}) == len(sick) + len(healthy)
    assert {each.way for each in sick} == {each.way for each in healthy} == {"target", "watch", "run"}


@pytest.mark.parametrize("name", SHORT)
def test_a_patient_is_told_by_its_ailment_first_and_a_healthy_one_let_go(name, tmp_path):
    seen = examine(patient_named(name), tmp_path)
    assert (seen.problem, seen.learned) == ("", True)
    assert seen.right_first if seen.rules else seen.alarms == [], seen.found


def test_the_figures_count_what_was_found():
    told = Result("high", "mlp", "held", "run", ("loss-diverged",), [("loss-diverged", "error", None)])
    second = Result("dead", "mlp", "held", "run", ("dead-relu",), [("loss-plateau", "warning", None), told.found[0]])
    alarmed = Result("healthy: odd", "mlp", "tuned", "watch", (), [("loss-plateau", "warning", None)], learned=False)
    mentioned = Result("healthy: plain", "mlp", "held", "watch", (), [("loss-plateau", "info", None)])
    found = figures([told, second, alarmed, mentioned])
    shares = {"sick": 2, "detected": 2, "right": 1, "right_first": 1, "healthy": 2, "false_alarms": 1}
    assert found["all"] == shares | {"steps_to_diagnosis": None}
    assert found["halves"]["tuned"]["false_alarms"] == found["ways"]["watch"]["false_alarms"] == 1
    assert [each["patient"] for each in found["misses"]] == ["dead"]
    printed = table([told, second, alarmed, mentioned])
    assert "healthy: odd [tuned, watch] said loss-plateau:w; expected nothing" in printed
    assert "did not learn: healthy: odd (watch)" in printed
