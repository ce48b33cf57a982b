"""The guided checks with a real engine: one page after another, verdicts, again, skip, stop, summary, report."""

import pytest
from PyQt6.QtCore import Qt

from convdebug_gui.wizard.verdicts import CheckState, figures, verdict_words
from convdebug_gui.wizard.wizard import SETUP, SUMMARY, Wizard
from convdebug_sessions import Session

RUN_MS = 120_000


@pytest.fixture
def wizard(qtbot, look, description, tiny, tmp_path):
    wizard = Wizard(description, tmp_path)
    qtbot.addWidget(wizard)
    wizard.resize(1440, 900)
    wizard.form.load(tiny)
    wizard.show()
    yield wizard
    wizard.close_down()


def run(qtbot, wizard, ids):
    with qtbot.waitSignal(wizard.ended, timeout=RUN_MS):
        wizard.start(ids)


def test_there_is_a_page_for_every_check_of_the_engine(wizard, engine_words):
    assert list(wizard.pages) == [check["id"] for check in engine_words["checks"]]
    assert list(wizard.list.rows) == [SETUP, *wizard.pages, SUMMARY]
    assert wizard.page == SETUP
    for page in wizard.pages.values():
        assert page.info.asks
        assert page.info.why


def test_checks_run_in_order_into_one_session_with_a_verdict_on_each_page(qtbot, wizard):
    seen = []
    wizard.runs.changed.connect(lambda: seen.append(wizard.page))
    run(qtbot, wizard, ["data", "initial-loss"])
    assert wizard.runs.states["data"].finished
    assert wizard.runs.states["initial-loss"].status in ("pass", "warn")
    assert "2.30" in wizard.runs.states["initial-loss"].summary
    assert "data" in seen
    with Session.open(wizard.path) as session:
        assert [run.name for run in session.runs if run.kind == "check"][:2] == ["data", "initial-loss"]
    wizard.show_page("initial-loss")
    page = wizard.pages["initial-loss"]
    assert page.run_button.text() == "Run again"
    assert page.verdict.text().startswith("passed")
    first = wizard.path
    with qtbot.waitSignal(wizard.ended, timeout=RUN_MS):
        qtbot.mouseClick(page.run_button, Qt.MouseButton.LeftButton)
    assert wizard.path == first
    with Session.open(first) as session:
        assert [run.name for run in session.runs].count("initial-loss") == 2


def test_the_summary_is_saved_as_a_report(qtbot, wizard, tmp_path):
    run(qtbot, wizard, ["initial-loss"])
    wizard.show_page(SUMMARY)
    with qtbot.waitSignal(wizard.exporter.finished, timeout=RUN_MS):
        wizard.save_report(str(tmp_path / "report.html"))
    assert "report.html" in wizard.summary.note.text()
    assert "<html" in (tmp_path / "report.html").read_text().lower()


def test_a_skipped_check_turns_the_page_and_is_left_out(qtbot, wizard):
    ids = list(wizard.pages)
    wizard.show_page(ids[0])
    qtbot.mouseClick(wizard.pages[ids[0]].skip_button, Qt.MouseButton.LeftButton)
    assert wizard.page == ids[1]
    assert wizard.runs.states[ids[0]].status == "skip"
    assert ids[0] not in wizard.runs.rest()


def test_stop_ends_the_checks_and_keeps_the_verdicts(qtbot, wizard):
    wizard.start(["data", "overfit-20", "lr-sweep"])
    qtbot.waitUntil(lambda: wizard.runs.states["data"].finished, timeout=RUN_MS)
    with qtbot.waitSignal(wizard.ended, timeout=30_000):
        qtbot.mouseClick(wizard.stop_button, Qt.MouseButton.LeftButton)
    assert wizard.runs.states["data"].finished
    assert not wizard.banner.isVisible()
    assert wizard.run_all.isEnabled()


def test_a_target_that_raises_is_told_with_its_traceback(qtbot, wizard, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def make_target():\n    raise ValueError('no model today')\n")
    wizard.form.target.line.setText(f"{file}:make_target")
    run(qtbot, wizard, ["data"])
    assert "no model today" in wizard.banner.words.text()


def test_a_form_that_is_wrong_is_come_back_to(qtbot, wizard):
    wizard.show_page(next(iter(wizard.pages)))
    wizard.form.rows["optimizer.lr"].editor.setText("fast")
    wizard.start_all()
    assert wizard.page == SETUP
    assert not wizard.runs.busy


def test_the_pages_are_walked_by_keys(qtbot, wizard):
    row = wizard.list.rows[SETUP]
    row.setFocus()
    qtbot.keyClick(row, Qt.Key.Key_Down)
    assert wizard.page == next(iter(wizard.pages))


def test_the_verdict_over_all_is_a_sentence():
    states = [CheckState("a", "pass"), CheckState("b", "pass")]
    assert verdict_words(states) == ("pass", "Every check passed: this is ready to train.")
    assert verdict_words([*states, CheckState("c", "skip")])[1] == "2 checks passed, 1 skipped: this is ready to train."
    assert verdict_words([CheckState("a", "fail"), *states])[0] == "fail"
    assert verdict_words([CheckState("a", "warn"), *states])[1] == "Nothing failed, 1 check with a warning."
    assert verdict_words([CheckState("a")])[1] == "No check has been run yet."


def test_measured_numbers_are_shown_short():
    assert figures({"initial_loss": 2.30259, "classes": 10, "ok": True, "long": [1, 2, 3]}) == {
        "initial loss": "2.303",
        "classes": "10",
        "ok": "yes",
    }
