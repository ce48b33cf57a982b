"""The pure questions to curves, against slow and obvious twins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convdebug.rules.curves import block_means, growth, level, noise, number, onset, rounded, running_median
from convdebug.rules.thinning import KEPT_AT_THE_ENDS, KEPT_BETWEEN, Thinned


def slow_onset(mask, share, rows):
    if not len(mask) or not mask[-1]:
        return None
    for row in range(len(mask)):
        rest = mask[row:]
        if mask[row] and sum(rest) >= share * len(rest) and sum(rest) >= rows:
            return row
    return None


@settings(deadline=None, max_examples=200)
@given(st.lists(st.booleans(), max_size=40), st.sampled_from([0.5, 0.75, 1.0]), st.integers(1, 5))
def test_the_onset_is_what_a_slow_walk_finds(mask, share, rows):
    assert onset(np.array(mask, bool), share, rows) == slow_onset(mask, share, rows)


def test_a_symptom_that_has_ended_has_no_onset():
    assert onset(np.array([True, True, True, False])) is None


def test_the_level_ignores_values_that_are_not_finite():
    assert level(np.array([1.0, np.nan, 3.0, np.inf, 2.0])) == 2.0
    assert np.isnan(level(np.array([np.nan])))


def test_noise_is_measured_whatever_the_trend():
    rng = np.random.default_rng(0)
    values = np.linspace(5, 1, 4000) + rng.normal(0, 0.1, 4000)
    assert noise(values) == pytest.approx(0.1, rel=0.1)


def test_growth_recovers_a_geometric_profile_and_calls_it_straight():
    factor, straightness = growth(3.5 ** np.arange(10.0))
    assert factor == pytest.approx(3.5)
    assert straightness == pytest.approx(1.0)


@pytest.mark.parametrize("profile", [[], [1.0, 2.0], [1.0, 1.0, 1.0], [np.nan, 0.0, -1.0, 2.0, 3.0]])
def test_growth_says_nothing_of_too_few_or_constant_layers(profile):
    assert growth(np.array(profile)) == (1.0, 0.0)


def test_the_running_median_keeps_the_incomplete_last_block():
    assert running_median(np.array([1.0, 9.0, 2.0, 4.0, 6.0]), 3).tolist() == [2.0, 5.0]


def test_the_means_of_blocks_leave_the_incomplete_last_block_out():
    assert block_means(np.array([1.0, 9.0, 2.0, 4.0, 6.0]), 2).tolist() == [5.0, 3.0]
    assert len(block_means(np.array([1.0]), 2)) == 0


@pytest.mark.parametrize(("rate", "nice"), [(0.0013, 0.001), (0.037, 0.05), (7.6e-4, 1e-3), (2.2, 2.0), (1e6, 1e6)])
def test_a_rate_is_rounded_to_what_a_person_would_type(rate, nice):
    assert rounded(rate) == nice


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.3026, "2.30"), (3.1e6, "3.1e+06"), (0.0012, "0.0012"), (8.7e-12, "8.7e-12"), (0.0, "0"), (np.nan, "nan")],
)
def test_numbers_read_as_in_a_sentence(value, text):
    assert number(value) == text


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=12))
def test_thinned_rows_depend_on_their_number_alone(pieces):
    total = sum(pieces)
    values = np.arange(total, dtype=float)[:, None]
    at_once, in_pieces = Thinned(1), Thinned(1)
    at_once.extend(np.arange(total), values)
    place = 0
    for piece in pieces:
        in_pieces.extend(np.arange(place, place + piece), values[place : place + piece])
        place += piece
    for one, other in zip(at_once.kept(), in_pieces.kept(), strict=True):
        assert np.array_equal(one, other)


def test_thinning_is_bounded_and_keeps_both_ends_exactly():
    kept, total = Thinned(2), 300_000
    for first in range(0, total, 50_000):
        steps = np.arange(first, first + 50_000)
        kept.extend(steps, np.stack([steps, -steps], axis=1))
    steps, values = kept.kept()
    assert len(steps) <= KEPT_BETWEEN + 2 * KEPT_AT_THE_ENDS
    assert steps[:KEPT_AT_THE_ENDS].tolist() == list(range(KEPT_AT_THE_ENDS))
    assert steps[-KEPT_AT_THE_ENDS:].tolist() == list(range(total - KEPT_AT_THE_ENDS, total))
    assert (np.diff(steps) > 0).all()
    assert np.array_equal(values[:, 0], steps.astype(np.float32))
