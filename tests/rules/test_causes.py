"""The table of causes and the order that follows from it."""

from dataclasses import replace

import pytest

from convdebug.rules import RULES
from convdebug.rules.causes import CAUSES, arranged
from convdebug_sessions import Diagnosis

GROUPS_OF_RULES = {rule.name: rule.group for rule in RULES}


def diagnosis(rule, severity="error", first_step=0):
    return Diagnosis(rule=rule, severity=severity, title=rule, message="seen", run=1, first_step=first_step)


def order(*diagnoses):
    return [(each.rule, each.caused_by) for each in arranged(diagnoses, GROUPS_OF_RULES)]


def test_no_cause_is_its_own_consequence():
    def below(rule, path):
        assert rule not in path, f"{path} -> {rule}"
        for effect in CAUSES.get(rule, ()):
            below(effect, (*path, rule))

    for rule in CAUSES:
        below(rule, ())


def test_every_rule_of_this_registry_that_the_table_names_exists_under_that_name():
    named = set(CAUSES) | {effect for effects in CAUSES.values() for effect in effects}
    assert len({rule.name for rule in RULES} & named) >= 18


def test_the_rate_comes_first_and_its_consequences_follow():
    found = order(
        diagnosis("loss-diverged", first_step=1),
        diagnosis("dead-relu", first_step=4),
        diagnosis("learning-rate-too-high"),
        diagnosis("exploding-gradient", first_step=2),
    )
    assert found[0] == ("learning-rate-too-high", None)
    assert {cause for _, cause in found[1:]} == {"learning-rate-too-high"}
    assert found[1][0] == "loss-diverged"


def test_roots_are_ordered_by_the_worst_of_their_tree_then_group_then_step():
    found = order(
        diagnosis("overfitting", "warning", 50),
        diagnosis("loss-not-decreasing"),
        diagnosis("learning-rate-too-low", "warning"),
        diagnosis("inputs-not-centered", "warning"),
        diagnosis("label-out-of-range", first_step=9),
    )
    assert [rule for rule, _ in found] == [
        "label-out-of-range",
        "learning-rate-too-low",
        "loss-not-decreasing",
        "inputs-not-centered",
        "overfitting",
    ]


def test_a_split_that_alone_was_not_preprocessed_comes_before_what_its_inputs_look_like():
    found = order(
        diagnosis("inputs-not-centered", "warning"),
        diagnosis("inputs-not-scaled", "warning"),
        diagnosis("splits-differ-in-scale", "warning"),
    )
    assert found[0] == ("splits-differ-in-scale", None)
    assert {cause for _, cause in found[1:]} == {"splits-differ-in-scale"}


def test_an_info_is_no_excuse_for_an_error():
    found = order(diagnosis("inputs-not-scaled", "info"), diagnosis("learning-rate-too-high"))
    assert found == [("learning-rate-too-high", None), ("inputs-not-scaled", None)]


def test_what_is_ill_before_the_first_update_is_not_the_rates_doing():
    found = order(diagnosis("learning-rate-too-high"), diagnosis("dead-relu", first_step=0))
    assert dict(found)["dead-relu"] is None


def test_a_cause_does_not_come_long_after_its_consequence():
    found = order(diagnosis("learning-rate-too-high", first_step=500), diagnosis("dead-relu", first_step=30))
    assert dict(found)["dead-relu"] is None


def test_a_flat_loss_is_the_consequence_of_what_set_in_later():
    found = order(diagnosis("loss-not-decreasing"), diagnosis("dead-relu", first_step=120))
    assert found == [("dead-relu", None), ("loss-not-decreasing", "dead-relu")]


@pytest.mark.parametrize("cause", ["vanishing-gradient", "symmetric-weights", "dead-relu"])
def test_a_low_rate_is_not_blamed_where_the_network_cannot_learn(cause):
    assert order(diagnosis("learning-rate-too-low", "warning"), diagnosis(cause)) == [(cause, None)]


def test_every_diagnosis_that_is_kept_appears_once():
    everything = [diagnosis(rule.name, rule.severities[0]) for rule in RULES]
    found = [rule for rule, _ in order(*everything)]
    assert len(found) == len(set(found))
    ruled_out = {"learning-rate-too-low", "loss-not-decreasing", "loss-plateau", "loss-oscillating"}
    assert set(GROUPS_OF_RULES) - set(found) == ruled_out


def test_underfitting_by_the_curves_is_ruled_out_by_a_worse_one_and_underfitting_by_the_shape_explains_it():
    low, flat = diagnosis("learning-rate-too-low", "warning"), diagnosis("loss-plateau", "warning")
    assert "underfitting" not in dict(order(diagnosis("underfitting", "info"), low))
    assert order(diagnosis("underfitting", "warning"), flat) == [
        ("underfitting", None),
        ("loss-plateau", "underfitting"),
    ]


@pytest.mark.parametrize(("layers", "cause"), [(("act",), "underfitting"), (("act1", "act2"), None)])
def test_a_single_unit_for_many_classes_explains_that_it_saturates(layers, cause):
    saturated = replace(diagnosis("saturated-units", "warning", 30), layers=layers)
    assert dict(order(saturated, diagnosis("underfitting", "warning")))["saturated-units"] == cause


def test_how_a_network_is_built_comes_of_nothing():
    twice = diagnosis("double-softmax", "warning")
    assert dict(order(diagnosis("underfitting", "warning"), twice))["underfitting"] is None
    assert dict(order(diagnosis("underfitting", "info"), twice))["underfitting"] == "double-softmax"


@pytest.mark.parametrize(
    ("evidence", "first"),
    [
        ({"dead": 1.0, "deviation_before": 0.4}, "dead-relu"),
        ({"dead": 1.0, "deviation_before": 0.0}, "input-ignored"),
        ({"dead": 0.95, "deviation_before": 0.4}, "input-ignored"),
    ],
)
def test_a_layer_that_is_dead_altogether_is_why_the_input_is_ignored_if_something_reached_it(evidence, first):
    dead = replace(diagnosis("dead-relu"), evidence=evidence)
    found = order(diagnosis("input-ignored"), dead, diagnosis("constant-output"))
    second = ({"dead-relu", "input-ignored"} - {first}).pop()
    assert found[0] == (first, None)
    assert (second, first) in found
    assert len(found) == 3


def test_an_output_that_is_constant_from_the_start_explains_its_first_loss():
    frozen = diagnosis("frozen-parameters", "warning")
    found = order(diagnosis("initial-loss-off"), diagnosis("constant-output"), frozen)
    assert found[0] == ("constant-output", None)
    assert dict(found)["initial-loss-off"] == dict(found)["frozen-parameters"] == "constant-output"


def test_an_output_that_becomes_constant_later_does_not():
    found = order(diagnosis("initial-loss-off"), diagnosis("constant-output", first_step=12))
    assert dict(found)["initial-loss-off"] is None


def test_an_output_that_is_constant_from_the_first_step_is_no_work_of_missing_gradients():
    found = order(diagnosis("no-gradient"), diagnosis("constant-output"), diagnosis("frozen-parameters"))
    assert found == [
        ("constant-output", None),
        ("no-gradient", "constant-output"),
        ("frozen-parameters", "no-gradient"),
    ]
    assert dict(order(diagnosis("no-gradient"), diagnosis("constant-output", first_step=30)))["no-gradient"] is None


@pytest.mark.parametrize(("step", "cause"), [(0, "constant-output"), (5, None)])
def test_an_output_that_is_constant_from_the_first_step_is_no_work_of_a_low_rate(step, cause):
    found = order(diagnosis("learning-rate-too-low", "warning", 4), diagnosis("constant-output", first_step=step))
    assert dict(found)["learning-rate-too-low"] == cause


def test_no_diagnosis_is_lost_where_causes_go_round():
    found = order(diagnosis("input-ignored"), diagnosis("constant-output"), diagnosis("no-gradient"))
    assert {rule for rule, _ in found} == {"input-ignored", "constant-output", "no-gradient"}


@pytest.mark.parametrize(
    "rule",
    ["constant-output", "no-gradient", "loss-not-decreasing", "frozen-parameters", "dead-relu", "symmetric-weights",
     "learning-rate-too-high", "splits-differ-in-scale", "vanishing-activations"],
)  # fmt: skip
def test_inputs_in_which_there_is_nothing_to_see_come_before_what_comes_of_them(rule):
    empty = replace(diagnosis("input-ignored"), evidence={"input": 0.0, "varies": 0.0})
    dead = {"dead": 1.0, "deviation_before": 0.1} if rule == "dead-relu" else {}
    assert order(replace(diagnosis(rule), evidence=dead), empty) == [("input-ignored", None), (rule, "input-ignored")]


def test_a_low_rate_is_not_blamed_for_inputs_that_are_ignored():
    assert order(diagnosis("learning-rate-too-low", "warning"), diagnosis("input-ignored")) == [("input-ignored", None)]


@pytest.mark.parametrize(
    "rule", ["loss-diverged", "non-finite-activation", "non-finite-gradient", "constant-output", "steps-skipped"]
)
def test_inputs_that_are_no_numbers_explain_what_comes_of_them(rule):
    found = order(diagnosis(rule), diagnosis("non-finite-inputs"))
    assert found == [("non-finite-inputs", None), (rule, "non-finite-inputs")]


def test_inputs_that_hardly_differ_explain_an_output_that_hardly_does():
    found = order(diagnosis("constant-output"), diagnosis("inputs-not-scaled", "warning"))
    assert found == [("inputs-not-scaled", None), ("constant-output", "inputs-not-scaled")]
