"""The keys of the window: one list that makes the shortcuts and the page that shows them."""

from __future__ import annotations

from dataclasses import dataclass

from PyQt6.QtGui import QKeySequence
from PyQt6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from convdebug_gui.controls import label
from convdebug_gui.theme import theme


@dataclass(frozen=True)
class Key:
    """`action` is the name of a method of the main window; without one the key belongs to another part."""

    keys: tuple[str, ...]
    words: str
    action: str = ""


KEYS: tuple[tuple[str, tuple[Key, ...]], ...] = (
    (
        "Playhead",
        (
            Key(("Space",), "play or pause", "press_space"),
            Key(("Right",), "one step on", "step_on"),
            Key(("Left",), "one step back", "step_back"),
            Key(("Shift+Right",), "ten steps on", "ten_on"),
            Key(("Shift+Left",), "ten steps back", "ten_back"),
            Key(("Home",), "first step", "go_first"),
            Key(("End",), "last step", "go_last"),
            Key((".",), "play faster", "faster"),
            Key((",",), "play slower", "slower"),
            Key(("D",), "next diagnosis", "next_diagnosis"),
            Key(("F",), "follow the running training", "follow"),
        ),
    ),
    (
        "Session",
        (
            Key(("Ctrl+O",), "open a session", "open_dialog"),
            Key(("Ctrl+N",), "new run"),
            Key(("Ctrl+M",), "check my model"),
            Key(("Ctrl+W",), "watch a script"),
            Key(("Alt+Home",), "welcome page"),
            Key(("F1",), "explain the diagnosis", "explain"),
        ),
    ),
    (
        "Layers and plots",
        (
            Key(("L",), "pick the next layer", "next_layer"),
            Key(("Shift+L",), "pick the layer before", "previous_layer"),
            Key(("Ctrl+F",), "filter layers", "filter_layers"),
            Key(("Escape",), "let go: field, filter, layer", "let_go"),
            Key(("Z",), "zoom in at the playhead (wheel)", "zoom_in"),
            Key(("Shift+Z",), "zoom out", "zoom_out"),
            Key(("W",), "the whole run (double click)", "show_whole_run"),
        ),
    ),
    (
        "Training",
        (
            Key(("Ctrl+R",), "run", "ask_run"),
            Key(("Ctrl+P",), "pause or continue"),
            Key(("Ctrl+.",), "one training step, then pause"),
            Key(("Ctrl+L",), "to the learning rate"),
            Key(("Ctrl+Shift+S",), "stop"),
        ),
    ),
    (
        "Window",
        (
            Key(("Ctrl++", "Ctrl+="), "larger letters", "larger"),
            Key(("Ctrl+-",), "smaller letters", "smaller"),
            Key(("Ctrl+0",), "letters as usual", "usual_size"),
            Key(("Ctrl+T",), "light or dark", "toggle_theme"),
            Key(("F11",), "full screen", "toggle_full_screen"),
            Key(("?",), "this page", "show_keys"),
            Key(("Ctrl+Q",), "close"),
        ),
    ),
)


class KeysDialog(QDialog):
    """All keys on one page."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys")
        row = QHBoxLayout(self)
        row.setContentsMargins(24, 20, 24, 20)
        row.setSpacing(40)
        for groups in (KEYS[:2], KEYS[2:4], KEYS[4:]):
            column = QVBoxLayout()
            column.setSpacing(8)
            for group, keys in groups:
                column.addWidget(label(group.upper(), "section"))
                column.addLayout(_rows(keys))
                column.addSpacing(8)
            column.addStretch(1)
            row.addLayout(column)


def _rows(keys: tuple[Key, ...]) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(16)
    grid.setVerticalSpacing(6)
    grid.setColumnMinimumWidth(0, theme().pixels(104))
    grid.setColumnStretch(1, 1)
    for row, key in enumerate(keys):
        cap = label(key_words(key.keys[0]), "key")
        grid.addWidget(cap, row, 0)
        grid.addWidget(label(key.words), row, 1)
    return grid


def key_words(keys: str) -> str:
    """A key sequence as this desktop writes it, arrows as arrows."""
    words = QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)
    return words.replace("Right", "→").replace("Left", "←")
