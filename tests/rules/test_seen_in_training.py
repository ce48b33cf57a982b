"""How much of an evaluation must have been trained on before anything is said, written as events."""

from dataclasses import replace

import pytest

from convdebug.rules import Facts, judge
from convdebug_sessions import Session

TRAINING = {"kept": 1000, "seen": 1000, "pairs": 0, "recent": 1000, "known": 500}


def part(trained, different=300, apart=True, alone=False, given=None, pairs=0):
    return {
        "apart": apart,
        "alone": alone,
        "given": different if given is None else given,
        "looked_at": different,
        "different": different,
        "pairs": pairs,
        "trained": trained,
    }


def evaluation(step, *parts, told=False, **training):
    data = {"told": told, "parts": list(parts), "training": {**TRAINING, **training}}
    return ("seen-in-training", step, data)


@pytest.fixture
def told(written, synthetic):
    """What the rule says of a run with these evaluations."""

    def say(*events, status="finished"):
        path = written({"train/loss": synthetic.falling(100)}, events=list(events))
        with Session.open(path) as session:
            facts = Facts(session)
            facts.run = replace(facts.run, status=status)
            return [each for each in judge(facts).diagnoses if each.rule == "train-val-overlap"]

    return say


def test_what_was_found_is_said_with_its_counts(told):
    (found,) = told(evaluation(40, part(60)))
    assert found.severity == "warning"
    assert "Of 300 examples that were looked at in the evaluation before step 40, at least 60 (20.0%)" in found.message
    assert found.evidence == {"shared": 60, "share": 0.2, "examined": 300}


@pytest.mark.parametrize(
    ("trained", "different", "said"),
    [(4, 60, False), (5, 60, True),
     (5, 300, False), (6, 300, True), (19, 1000, False), (20, 1000, True), (9, 40, False)],
)  # fmt: skip
def test_a_few_repeats_and_a_small_share_are_no_leak(told, trained, different, said):
    assert bool(told(evaluation(40, part(trained, different)))) == said


def test_repeats_that_chance_explains_are_no_leak(told):
    assert told(evaluation(40, part(60), pairs=20))
    assert not told(evaluation(40, part(60, pairs=20), pairs=200))


def test_training_examples_drawn_with_repeats_leave_the_evaluation_to_tell_of_chance(told):
    assert told(evaluation(40, part(400, 1000), pairs=500))
    assert not told(evaluation(40, part(400, 1000, pairs=500), pairs=500))


def test_clean_data_at_any_time_and_place_silence_it(told):
    leaking, clean = part(60), part(0)
    assert told(evaluation(40, leaking), evaluation(80, leaking))
    assert not told(evaluation(40, leaking, clean))
    assert not told(evaluation(40, leaking), evaluation(80, clean))
    assert not told(evaluation(40, clean), evaluation(80, leaking))


def test_early_evaluations_that_could_not_know_better_are_not_clean(told):
    assert told(evaluation(40, part(0), kept=50), evaluation(80, part(60)))


def test_small_clean_batches_in_a_row_are_clean_together(told):
    trained, clean = (part(count, 20, apart=False, alone=True) for count in (10, 0))
    mixed = part(5, 20, apart=False, alone=True)
    assert told(evaluation(40, *[mixed] * 12), evaluation(80, *[mixed] * 12))
    assert not told(evaluation(40, *[trained] * 6, *[clean] * 6))


def test_data_of_which_nobody_knows_whose_they_are_may_be_the_training_data_on_purpose(told):
    """As often known as training examples are; or all of these, whatever else is evaluated with them."""
    assert told(evaluation(40, part(60, apart=False)))
    assert not told(evaluation(40, part(150, apart=False)))
    assert told(evaluation(40, part(150, apart=False), told=True))
    assert told(evaluation(40, part(150, apart=True)))
    assert not told(evaluation(40, part(200, 800, apart=False, given=4000)))


def test_all_training_examples_are_evaluated_on_purpose_unless_a_loader_of_other_data_does_it_again(told):
    once, twice = (evaluation(step, part(300, 300, given=900)) for step in (40, 80))
    assert not told(once)
    assert told(once, twice)
    copied = [evaluation(step, part(300, 300, given=900, apart=False)) for step in (40, 80)]
    assert not told(*copied)


def test_before_any_training_example_came_again_an_unknown_evaluation_is_judged_at_the_end(told):
    first = evaluation(40, part(60, apart=False), known=0)
    assert told(first)
    assert not told(first, status="running")
    assert told(evaluation(40, part(60), known=0), status="running")


def test_what_a_check_counted_goes_before_it(told):
    assert not told(("overlap", None, {"shared": 0, "examined": 300}), evaluation(40, part(60)))
