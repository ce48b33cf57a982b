"""Ticks of axes: few, round, at least two where there is room, all different words."""

import numpy as np
import pytest

from convdebug_gui.axis import Axis
from convdebug_gui.ticks import few_ticks, log_ticks, whole_ticks


@pytest.mark.parametrize(("low", "high"), [(-7.4, -3.3), (0, 1), (-0.3, 0.4), (12.1, 19.9), (0, 703), (-2.0, 6.3)])
def test_one_tick_alone_is_no_scale(low, high):
    found = few_ticks(low, high, 2)
    assert 2 <= len(found) <= 5
    assert all(low <= tick <= high for tick in found)


def test_there_is_no_half_a_step():
    assert whole_ticks(0, 9, 4) == [0, 2, 4, 6, 8] or all(tick == int(tick) for tick in whole_ticks(0, 9, 4))
    assert whole_ticks(0, 3, 5) == [0, 1, 2, 3]
    assert whole_ticks(0, 400, 4) == [0, 100, 200, 300, 400]


def test_within_a_decade_a_log_axis_has_round_values():
    values = 10 ** np.array(log_ticks(np.log10(1.55), np.log10(2.6), 5))
    assert np.allclose(values, [2.0, 2.5], atol=0.51)
    assert np.allclose(values * 4, np.round(values * 4))


def test_words_on_a_narrow_log_axis_differ(look):
    axis = Axis("left", "log")
    words = axis.tickStrings(list(np.log10([2.35, 2.4, 2.45])), 1, 1)
    assert words == ["2.35", "2.4", "2.45"]
