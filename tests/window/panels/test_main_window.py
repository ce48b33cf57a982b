"""The main window as a person uses it: keys, docks, look, diagnoses, and that nothing is clipped."""

import pytest
from PyQt6.QtCore import QSettings, Qt
from PyQt6.QtWidgets import QLabel, QPushButton, QToolButton, QWidget

from convdebug_gui.keys import KEYS
from convdebug_gui.panels.diagnoses import trees
from convdebug_gui.theme import DARK, LIGHT
from convdebug_sessions import Diagnosis


@pytest.fixture
def full(window, settle, sessions):
    window.model.open(sessions["full"])
    settle(window)
    return window


def test_keys_drive_the_playhead(full, qtbot):
    full.activateWindow()
    full.model.seek(100)
    qtbot.keyClick(full, Qt.Key.Key_Right)
    assert full.model.step == 101
    qtbot.keyClick(full, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert full.model.step == 91
    qtbot.keyClick(full, Qt.Key.Key_Home)
    assert full.model.step == 0
    qtbot.keyClick(full, Qt.Key.Key_D)
    assert full.model.step == 396
    qtbot.keyClick(full, Qt.Key.Key_Space)
    assert full.model.playhead.mode == "playing"


def test_every_key_has_its_action_and_stands_on_the_page_of_keys(full, qapp):
    keys = [key for _group, keys in KEYS for key in keys]
    assert all(callable(getattr(full, key.action)) for key in keys if key.action)
    full.show_keys()
    qapp.processEvents()
    words = {shown.text() for shown in full._keys_dialog.findChildren(QLabel)}
    assert all(key.words in words for key in keys)
    full._keys_dialog.close()


def test_nothing_of_a_closed_session_stays_on_screen(full):
    full.model.close()
    assert all(panel.is_empty for panel in full.deck.panels)


def test_run_is_asked_for_by_its_key(full, qtbot):
    full.activateWindow()
    with qtbot.waitSignal(full.run_requested, timeout=1000):
        qtbot.keyClick(full, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)


def test_causes_stand_before_their_consequences(full):
    cards = full.deck.diagnoses.cards
    assert [card.diagnosis.rule for card in cards] == [
        "learning-rate-too-high",
        "loss-diverged",
        "dead-relu",
        "device-idle",
    ]
    assert cards[1].color == "faint"
    assert cards[0].color == "error"


def test_a_ring_of_causes_loses_no_diagnosis():
    ring = [
        Diagnosis(name, "error", name, "", 1, caused_by=cause) for name, cause in (("a", "b"), ("b", "a"), ("c", "c"))
    ]

    def count(nodes):
        return sum(1 + count(node.consequences) for node in nodes)

    assert count(trees(ring)) == 3


def test_show_moves_the_playhead_and_picks_the_layer(full, qtbot):
    card = full.deck.diagnoses.cards[2]
    qtbot.mouseClick(card.show_button, Qt.MouseButton.LeftButton)
    assert full.model.step == 410
    assert full.model.picked == "conv3"


def test_why_opens_the_words_of_the_engine(full, qtbot):
    full.set_describe(
        {
            "rules": [
                {"name": "dead-relu", "title": "Dead ReLUs", "meaning": "Silent units.", "causes": ["A large step."]}
            ]
        }
    )
    qtbot.mouseClick(full.deck.diagnoses.cards[2].why_button, Qt.MouseButton.LeftButton)
    assert full.deck.docks["explanation"].isVisible()
    text = full.deck.explanation.text.toPlainText()
    assert "Silent units." in text
    assert "A large step." in text


def test_a_closed_panel_is_opened_again_from_the_menu(full, qapp):
    dock = full.deck.docks["updates"]
    dock.close()
    assert not dock.isVisible()
    action = next(action for action in full.deck.view_menu(full).actions() if action.text() == "Update : weight")
    action.trigger()
    qapp.processEvents()
    assert dock.isVisible()


def test_the_layout_is_remembered(model, tmp_path, qapp, look):
    from convdebug_gui.main_window import MainWindow

    settings = QSettings(str(tmp_path / "w.ini"), QSettings.Format.IniFormat)
    for closes in (True, False):
        window = MainWindow(model, settings)
        window.show()
        qapp.processEvents()
        if closes:
            window.deck.docks["accuracy"].close()
        assert not window.deck.docks["accuracy"].isVisible()
        window.close()
        window.deleteLater()


def test_the_look_is_switched_live(full, look, settle):
    for tokens in (LIGHT, DARK):
        look.choose(tokens.name)
        settle(full)
        picture = full.grab().toImage()
        assert picture.pixelColor(3, 3).name() == tokens.panel


def test_every_icon_has_a_tooltip(full):
    nameless = [
        part for part in full.findChildren(QToolButton) if part.isVisible() and not part.text() and not part.toolTip()
    ]
    assert not [part for part in nameless if part.parent().metaObject().className() != "QLineEdit"]


def clipped(window):
    """Words on screen that have less room than they need."""
    found = []
    for part in [*window.findChildren(QLabel), *window.findChildren(QPushButton)]:
        if not part.isVisible() or not part.text():
            continue
        needed = (
            part.heightForWidth(part.width())
            if isinstance(part, QLabel) and part.wordWrap()
            else part.sizeHint().height()
        )
        wide = not (isinstance(part, QLabel) and part.wordWrap()) and type(part).__name__ != "ElidedLabel"
        if part.height() < needed - 1 or (wide and part.width() < part.sizeHint().width() - 1):
            found.append((part.text(), part.size(), part.sizeHint()))
    return found


@pytest.mark.parametrize("size", [(1440, 900), (2560, 1440)])
@pytest.mark.parametrize("scale", [1.0, 1.25])
def test_no_words_are_clipped(full, settle, look, size, scale):
    full.resize(*size)
    look.scale = scale
    look.apply()
    full.deck.share_out()
    settle(full)
    assert clipped(full) == []


def test_what_is_put_into_the_slots_is_shown(window, qapp):
    top, side, banner = QWidget(), QWidget(), QLabel("what happened")
    window.set_top_bar(top)
    window.set_side(side)
    window.set_banner(banner)
    qapp.processEvents()
    assert top.isVisible()
    assert side.isVisible()
    assert banner.isVisible()
    window.set_banner(None)
    assert not banner.isVisible()
