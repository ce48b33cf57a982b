"""The chart that a check keeps in the session becomes the plot of its page."""

import math

import numpy as np
from PyQt6.QtGui import QColor

from convdebug_gui.theme import theme
from convdebug_gui.wizard.curves import Line, Picture, picture_of
from convdebug_gui.wizard.small_plot import SmallPlot
from convdebug_sessions import Recorder, Session

CHART = {
    "y_label": "relative error", "x_label": "", "names": ["conv1.weight", "fc.weight", "fc.bias"], "x": [],
    "bars": True, "log_x": False, "log_y": True, "level": 0.01, "level_name": "wrong above",
    "lines": [{"name": "error", "y": [1e-6, 0.5, math.nan]}],
}  # fmt: skip


def test_a_chart_of_named_columns_is_drawn_with_its_level(qtbot, tmp_path):
    path = tmp_path / "check.convdebug"
    with Recorder.create(path) as recorder:
        run = recorder.start_run("check", "gradient-check")
        run.event("chart", None, **CHART)
        run.finish()
    with Session.open(path) as session:
        picture = picture_of(session, session.runs[0], {})
    assert picture.places == ("conv1.weight", "fc.weight", "fc.bias")
    assert picture.columns
    assert picture.level == 0.01
    plot = SmallPlot()
    qtbot.addWidget(plot)
    plot.resize(480, 240)
    plot.show_picture(picture)
    colors = {plot.grab().toImage().pixelColor(x, y).name() for x in range(0, 480, 4) for y in range(20, 220, 4)}
    assert len(colors) > 2


def test_columns_stand_on_zero(qtbot):
    picture = Picture(
        (Line(np.arange(2.0), np.array([0.0, 4.0])),), "", "ms", places=("transfer", "forward"), columns=True
    )
    plot = SmallPlot()
    qtbot.addWidget(plot)
    plot.resize(480, 240)
    plot.show_picture(picture)
    image = plot.grab().toImage()
    tall = [y for y in range(240) if image.pixelColor(370, y) == QColor(theme().tokens.accent)]
    none = [y for y in range(240) if image.pixelColor(160, y) == QColor(theme().tokens.accent)]
    assert len(tall) > 100
    assert len(none) <= 1
