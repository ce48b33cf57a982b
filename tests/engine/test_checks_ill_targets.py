"""Sick targets through the checks: the right diagnosis stands first, and none stands beside it without a cause."""

import pytest

from convdebug.checks import run_checks
from convdebug_sessions import Recorder
from tests.rules import ill_targets


def diagnosed(tmp_path, name: str, *only: str, budget_s: float = 20.0) -> list[tuple[str, str | None]]:
    """(rule, cause) of every diagnosis that is no mere info, as the report lists them."""
    with Recorder.create(tmp_path / "check.convdebug") as recorder:
        report = run_checks(getattr(ill_targets, name)(), recorder, only=only or None, budget_s=budget_s)
    return [(each["rule"], each["caused_by"]) for each in report.diagnoses if each["severity"] != "info"]


@pytest.mark.parametrize(
    ("name", "rule", "only"),
    [
        ("dead_from_the_start", "dead-relu", ("activations-at-init", "input-independence", "overfit-20")),
        ("input_scaled_to_nothing", "input-ignored", ("input-independence", "overfit-20", "lr-sweep")),
        ("never_stepped", "optimizer-not-stepping", ("parameters", "input-independence", "lr-sweep", "short-run")),
        ("scores_for_logarithms", "loss-expects-log-probabilities", ("initial-loss", "overfit-20", "short-run")),
        ("softmax_twice", "double-softmax", ("initial-loss", "overfit-20", "short-run")),
        ("variance_by_a_difference", "non-finite-activation", ("initial-loss", "overfit-20", "short-run")),
        ("distance_to_itself", "non-finite-gradient", ("activations-at-init", "overfit-20", "lr-sweep", "short-run")),
        ("penalty_without_a_gradient", "regularization-without-effect", ("regularization-raises-loss", "overfit-20")),
    ],
    ids=lambda value: value if isinstance(value, str) and "_" in value else "",
)
def test_the_illness_of_a_target_is_the_one_root_of_all_that_its_checks_say(tmp_path, name, rule, only):
    found = diagnosed(tmp_path, name, *only)
    assert found[0] == (rule, None)
    assert [each for each, cause in found if cause is None] == [rule]
