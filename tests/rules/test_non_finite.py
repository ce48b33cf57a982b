"""What the engine saw of the first NaN becomes a diagnosis: producer, place, rows; never more than was seen."""

import numpy as np
import pytest

from convdebug.rules import diagnose
from convdebug_sessions import Session

NAN = float("nan")
SEEN = {
    "direction": "forward",
    "part": "model",
    "seen": "loss",
    "module": "block.3",
    "type": "Scale",
    "operator": "sqrt",
    "code": "model.py:41: return x / variance.sqrt()",
    "inputs": [{"name": "", "min": -0.25, "max": 2.0, "mean": 0.5, "zeros": 3, "size": 64, "nan": 0, "inf": 0}],
    "output": {"nan": 5, "inf": 0, "size": 64},
    "weights": {"largest": 0.8},
    "rows": [7, 9],
    "row_count": 2,
    "batch": 64,
    "examples": [1203, 88],
}


def found_in(written, steps=60, bad_from=40, ratio=0.002, last=NAN, **changes):
    loss = np.concatenate([np.linspace(2.3, 1.5, bad_from), np.full(steps - bad_from, last)])
    loss[bad_from] = NAN
    path = written(
        {"train/loss": loss},
        {"update/fc0.weight/ratio": np.full(steps, ratio)},
        events=[("non-finite", bad_from, SEEN | changes)],
    )
    with Session.open(path) as session:
        return diagnose(session)


def test_the_producer_comes_first_with_place_numbers_and_line(written):
    first, second = found_in(written)
    assert (first.rule, first.severity, first.layer, first.first_step) == (
        "non-finite-activation",
        "error",
        "block.3",
        40,
    )
    assert (second.rule, second.caused_by) == ("loss-diverged", "non-finite-activation")
    for words in ("block.3 (Scale)", "sqrt", "5 NaN of 64 values", "-0.25", "model.py:41", "rows 7, 9", "1203, 88"):
        assert words in first.message
    assert first.evidence["input_min"] == -0.25
    assert "clamp_min" in first.remedies[0].text


def test_a_rate_that_is_not_to_blame_is_not_blamed(written):
    assert [each.rule for each in found_in(written, ratio=0.08)] == ["non-finite-activation", "loss-diverged"]


def test_weights_that_are_huge_by_then_are_the_rates_doing(written):
    found = found_in(written, ratio=0.5, weights={"largest": 3e30})
    assert [each.rule for each in found] == ["learning-rate-too-high", "loss-diverged", "non-finite-activation"]
    assert found[2].caused_by == "learning-rate-too-high"
    assert "3.0e+30" in found[2].message


ZEROS = [{"name": "self", "min": 0.0, "max": 1.0, "mean": 0.5, "zeros": 9, "size": 32, "nan": 0, "inf": 0}]


def test_a_zero_that_an_operator_has_no_answer_to_is_not_the_rates_doing_where_the_loss_fell(written):
    found = found_in(written, bad_from=4, ratio=0.5, part="loss", operator="log", inputs=ZEROS)
    assert [each.rule for each in found] == ["non-finite-activation", "loss-diverged"]


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        ([2.3, 9.0, 1.2], {"operator": "log", "inputs": ZEROS}),
        ([2.3, 2.3, 2.2], {"operator": "log", "inputs": ZEROS}),
        ([2.3, 1.2, 0.4], {"operator": "exp", "inputs": ZEROS}),
        ([2.3, 1.2, 0.4], {"operator": "log", "inputs": [ZEROS[0] | {"zeros": 0, "min": 1e-9}]}),
    ],
    ids=["it rose before", "it stayed", "an operator that has an answer", "no zeros"],
)
def test_far_too_large_updates_are_to_blame_for_any_other_end(written, before, changes):
    path = written(
        {"train/loss": [*before, *[NAN] * 57]},
        {"update/fc0.weight/ratio": np.full(60, 0.5)},
        events=[("non-finite", 3, SEEN | {"part": "loss"} | changes)],
    )
    with Session.open(path) as session:
        assert diagnose(session)[0].rule == "learning-rate-too-high"


def test_a_training_that_goes_on_carries_a_warning(written):
    found = found_in(written, steps=100, last=1.4)
    assert [(each.rule, each.severity) for each in found] == [("non-finite-activation", "warning")]


@pytest.mark.parametrize(
    ("changes", "rule", "words"),
    [
        ({"direction": "backward", "operator": "log"}, "non-finite-gradient", "going back"),
        ({"direction": "labels"}, "non-finite-labels", "rows 7, 9"),
        ({"direction": "inputs"}, "non-finite-inputs", "number 1203, 88 of the data set"),
        ({"direction": "weights", "parameters": [{"name": "fc0.weight"}]}, "non-finite-update", "how was not seen"),
    ],
)
def test_each_direction_has_its_rule(written, changes, rule, words):
    found = found_in(written, **changes)
    assert [each.rule for each in found] == [rule, "loss-diverged"]
    assert words in found[0].message


def test_an_unknown_producer_is_not_claimed(written):
    found = found_in(written, direction="unknown", module=None, operator=None)
    assert [each.rule for each in found] == ["loss-diverged"]


def test_a_loss_that_breaks_behind_a_finite_output_is_pointed_at(written):
    found = found_in(written, part="loss", module=None, operator=None)
    assert [each.rule for each in found] == ["loss-diverged"]
    assert "output was finite" in found[0].message
