"""Every rule names its ailment in a real sick training, and none speaks up in a healthy one."""

import numpy as np
import pytest

from convdebug.diagnose import follow
from convdebug.rules import RULES, diagnose
from convdebug.rules.causes import CAUSES
from convdebug_sessions import Session

ALWAYS_A_CONSEQUENCE = {"constant-output", "exploding-gradient"}


def diagnoses_of(path):
    with Session.open(path) as session:
        return diagnose(session)


def test_every_rule_has_a_sick_training(ill_rules):
    assert ill_rules == {rule.name for rule in RULES}


def test_a_sick_training_is_diagnosed_and_live_as_it_is_later(ill, trainings):
    rule, what = ill
    path = trainings.of(what)
    found = diagnoses_of(path)
    names = [diagnosis.rule for diagnosis in found]
    assert rule in names
    if rule not in ALWAYS_A_CONSEQUENCE:
        assert names[0] == rule
    named = found[names.index(rule)]
    assert named.caused_by is None or rule in CAUSES[named.caused_by]
    assert named.title
    assert any(letter.isdigit() for letter in named.message)
    assert named.remedies
    assert all(isinstance(value, (int, float)) for value in named.evidence.values())
    follow(path)
    with Session.open(path) as session:
        assert [each.as_json() for each in session.diagnoses()] == [each.as_json() for each in found]


def test_a_healthy_training_carries_no_error_and_no_warning(healthy, trainings):
    found = diagnoses_of(trainings.of(healthy))
    assert [(each.rule, each.message) for each in found if each.severity != "info"] == []


@pytest.mark.parametrize("steps", [2, 3, 5])
def test_a_rate_of_a_million_is_named_within_a_few_steps(trainings, steps):
    lecture = {
        "model.name": "two-layer",
        "model.init": "gaussian",
        "model.init_std": 1e-4,
        "data.preprocessing": "zero-center",
        "optimizer.name": "sgd",
        "optimizer.lr": 1e6,
        "train.steps": steps,
        "watch.every": None,
    }
    found = diagnoses_of(trainings.of(lecture))
    assert [each.rule for each in found[:2]] == ["learning-rate-too-high", "loss-diverged"]
    assert found[1].caused_by == "learning-rate-too-high"
    assert 1e-5 < found[0].remedies[0].change["optimizer.lr"] < 1e-2


def test_one_ailment_is_named_once_with_all_layers_it_touches(trainings, ill_rules):
    settings = {"model.name": "ten-layer", "model.hidden": 64, "optimizer.name": "sgd", "train.steps": 60}
    settings |= {"model.init": "gaussian", "model.init_std": 1.0, "model.activation": "tanh", "optimizer.lr": 1e-3}
    found = diagnoses_of(trainings.of(settings))
    saturated = [each for each in found if each.rule == "saturated-units"]
    assert len(saturated) == 1
    assert len(saturated[0].layers) == 10
    assert saturated[0].layer in saturated[0].layers
    assert np.isfinite(saturated[0].evidence["saturated"])
