"""The chart that a check keeps in the session becomes the plot of its page."""

import math

from convdebug_gui.wizard.curves import picture_of
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
