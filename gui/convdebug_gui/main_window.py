"""The main window: top bar, side column, the deck of panels, the replay bar, and the keys that drive them."""

from __future__ import annotations

from PyQt6.QtCore import QByteArray, QSettings, Qt, pyqtSignal
from PyQt6.QtGui import QCloseEvent, QKeySequence, QShortcut, QShowEvent
from PyQt6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMainWindow,
    QMenu,
    QVBoxLayout,
    QWidget,
)

from convdebug_gui.controls import IconButton, label, rule
from convdebug_gui.keys import KEYS, KeysDialog
from convdebug_gui.layout import Deck
from convdebug_gui.replay_bar import ReplayBar
from convdebug_gui.run_chooser import RunChooser
from convdebug_gui.session_model import SessionModel
from convdebug_gui.theme import theme

SIDE_WIDTH = 272


class MainWindow(QMainWindow):
    """Shows a SessionModel. What acts on the engine is put into its slots: top bar, side, banner, menu."""

    run_requested = pyqtSignal()

    def __init__(self, model: SessionModel, settings: QSettings | None = None) -> None:
        super().__init__()
        self.model = model
        self.settings = settings if settings is not None else QSettings()
        self.setWindowTitle("convdebug")
        self.setMinimumSize(960, 600)
        self.resize(1440, 900)
        self.deck = Deck(model)
        self.replay_bar = ReplayBar(model)
        self.run_chooser = RunChooser(model)
        self.menu = QMenu(self)
        self._laid_out = False
        self._keys_dialog: KeysDialog | None = None
        self._build()
        self._fill_menu()
        self._make_shortcuts()
        model.session_changed.connect(self._retitle)
        model.filter_changed.connect(self._show_filter)
        self._restore()

    # construction

    def _build(self) -> None:
        page = QWidget()
        page.setProperty("role", "page")
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self._banner_place = _empty_place()
        self._banner_place.setVisible(False)
        column.addWidget(self._top_bar())
        column.addWidget(rule())
        column.addWidget(self._banner_place)
        column.addLayout(self._middle(), 1)
        column.addWidget(rule())
        column.addWidget(self.replay_bar)
        self.setCentralWidget(page)

    def _top_bar(self) -> QWidget:
        bar = QWidget()
        bar.setProperty("role", "bar")
        row = QHBoxLayout(bar)
        row.setContentsMargins(16, 8, 10, 8)
        row.setSpacing(8)
        row.addWidget(label("convdebug", "brand"))
        row.addWidget(self.run_chooser)
        row.addSpacing(8)
        self._top_place = _empty_place()
        row.addWidget(self._top_place, 1)
        self.menu_button = IconButton("list", "Menu", role="framed", color="ink")
        self.menu_button.clicked.connect(self._open_menu)
        row.addWidget(self.menu_button)
        bar.setMinimumHeight(theme().pixels(48))
        return bar

    def _middle(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        self._side_place = _empty_place()
        self._side_place.setVisible(False)
        self._side_rule = rule(vertical=True)
        self._side_rule.setVisible(False)
        row.addWidget(self._side_place)
        row.addWidget(self._side_rule)
        row.addLayout(self._deck_column(), 1)
        return row

    def _deck_column(self) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setSpacing(0)
        self.filter_bar = QWidget()
        row = QHBoxLayout(self.filter_bar)
        row.setContentsMargins(12, 6, 8, 6)
        self.filter_field = QLineEdit()
        self.filter_field.setPlaceholderText("Filter layers by name or kind, such as conv or features.3")
        self.filter_field.textChanged.connect(self.model.filter_layers)
        close = IconButton("x", "Show all layers (Escape)")
        close.clicked.connect(self.let_go)
        row.addWidget(self.filter_field, 1)
        row.addWidget(close)
        self.filter_bar.setVisible(False)
        column.addWidget(self.filter_bar)
        column.addWidget(self.deck, 1)
        return column

    def set_top_bar(self, widget: QWidget) -> None:
        """What controls the running training, right of the run chooser."""
        _put(self._top_place, widget)

    def set_side(self, widget: QWidget | None) -> None:
        """The column on the left: the form of a run. None leaves the room to the panels."""
        _put(self._side_place, widget)
        self._side_place.setFixedWidth(theme().pixels(SIDE_WIDTH))
        self._side_place.setVisible(widget is not None)
        self._side_rule.setVisible(widget is not None)
        theme().changed.connect(self._resize_side)

    def _resize_side(self) -> None:
        self._side_place.setFixedWidth(theme().pixels(SIDE_WIDTH))

    def set_banner(self, widget: QWidget | None) -> None:
        """A message across the window, below the top bar."""
        _put(self._banner_place, widget)
        self._banner_place.setVisible(widget is not None)

    def set_describe(self, describe: dict[str, object]) -> None:
        """What `convdebug describe --json` printed."""
        self.model.set_describe(describe)

    # menu and keys

    def _fill_menu(self) -> None:
        self.menu.addAction("Open session…\tCtrl+O", self.open_dialog)
        self.menu.addSeparator()
        self.menu.addMenu(self.deck.view_menu(self.menu))
        look = self.menu.addMenu("Look")
        assert look is not None
        for words, slot in (
            ("Dark", self.choose_dark),
            ("Light", self.choose_light),
            ("As the desktop", self.choose_system),
        ):
            look.addAction(words, slot)
        look.addSeparator()
        look.addAction("Larger letters\tCtrl++", self.larger)
        look.addAction("Smaller letters\tCtrl+-", self.smaller)
        look.addAction("Letters as usual\tCtrl+0", self.usual_size)
        self.menu.addSeparator()
        self.menu.addAction("All keys\t?", self.show_keys)

    def _open_menu(self) -> None:
        self.menu.popup(self.menu_button.mapToGlobal(self.menu_button.rect().bottomLeft()))

    def _make_shortcuts(self) -> None:
        for _group, keys in KEYS:
            for key in keys:
                for sequence in key.keys if key.action else ():
                    shortcut = QShortcut(QKeySequence(sequence), self)
                    shortcut.activated.connect(getattr(self, key.action))

    def press_space(self) -> None:
        """Plays or pauses, unless a button has the keyboard: then that is pressed."""
        focused = QApplication.focusWidget()
        if isinstance(focused, QAbstractButton):
            focused.click()
        elif isinstance(focused, QComboBox):
            focused.showPopup()
        else:
            self.model.toggle_play()

    def step_on(self) -> None:
        self.model.step_by(1)

    def step_back(self) -> None:
        self.model.step_by(-1)

    def ten_on(self) -> None:
        self.model.step_by(10)

    def ten_back(self) -> None:
        self.model.step_by(-10)

    def go_first(self) -> None:
        self.replay_bar.go_first()

    def go_last(self) -> None:
        self.replay_bar.go_last()

    def faster(self) -> None:
        self.replay_bar.faster()

    def slower(self) -> None:
        self.replay_bar.slower()

    def next_diagnosis(self) -> None:
        self.model.next_diagnosis()

    def follow(self) -> None:
        self.model.set_following(True)

    def next_layer(self) -> None:
        self.model.pick_along(1)

    def previous_layer(self) -> None:
        self.model.pick_along(-1)

    def zoom_in(self) -> None:
        self.deck.zoom(0.5)

    def zoom_out(self) -> None:
        self.deck.zoom(2.0)

    def show_whole_run(self) -> None:
        self.deck.zoom(None)

    def ask_run(self) -> None:
        self.run_requested.emit()

    def open_dialog(self) -> None:
        """Asks for a session file and opens it."""
        dialog = QFileDialog(self, "Open session", "", "Sessions (*.convdebug);;All files (*)")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self.model.open)
        dialog.open()

    def filter_layers(self) -> None:
        self.filter_bar.setVisible(True)
        self.filter_field.setFocus()
        self.filter_field.selectAll()

    def let_go(self) -> None:
        """Lets go of the field that is typed in first, then of the filter, then of the picked layer."""
        if self._side_place.isAncestorOf(QApplication.focusWidget()):
            self.deck.setFocus()
        elif self.filter_bar.isVisible():
            self.filter_field.clear()
            self.filter_bar.setVisible(False)
        elif self.model.picked is not None:
            self.model.pick_layer(None)

    def _show_filter(self) -> None:
        if self.model.layer_filter and not self.filter_bar.isVisible():
            self.filter_bar.setVisible(True)
        if self.filter_field.text() != self.model.layer_filter:
            self.filter_field.setText(self.model.layer_filter)

    def explain(self) -> None:
        diagnosis = self.deck.diagnoses.to_explain()
        if diagnosis is not None:
            self.deck.explain(diagnosis)

    def show_keys(self) -> None:
        if self._keys_dialog is None:
            self._keys_dialog = KeysDialog(self)
        self._keys_dialog.open()

    def larger(self) -> None:
        theme().enlarge(1)

    def smaller(self) -> None:
        theme().enlarge(-1)

    def usual_size(self) -> None:
        theme().enlarge(0)

    def toggle_theme(self) -> None:
        theme().toggle()

    def choose_dark(self) -> None:
        theme().choose("dark")

    def choose_light(self) -> None:
        theme().choose("light")

    def choose_system(self) -> None:
        theme().choose("system")

    def toggle_full_screen(self) -> None:
        window = self.window()  # the frame around this page, where there is one
        assert window is not None
        if window.isFullScreen():
            window.showNormal()
        else:
            window.showFullScreen()

    # what is remembered

    def _retitle(self) -> None:
        session = self.model.session
        self.setWindowTitle(f"{session.path.name} — convdebug" if session is not None else "convdebug")

    def _restore(self) -> None:
        geometry = self.settings.value("layout/window")
        if isinstance(geometry, QByteArray):
            self.restoreGeometry(geometry)
        self._laid_out = self.deck.restore_layout(self.settings)

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        if not self._laid_out:
            self._laid_out = True
            self.deck.share_out()
        self.deck.setFocus()

    def closeEvent(self, event: QCloseEvent | None) -> None:
        self.settings.setValue("layout/window", self.saveGeometry())
        self.deck.save_layout(self.settings)
        super().closeEvent(event)


def _empty_place() -> QWidget:
    place = QWidget()
    row = QHBoxLayout(place)
    row.setContentsMargins(0, 0, 0, 0)
    return place


def _put(place: QWidget, widget: QWidget | None) -> None:
    row = place.layout()
    assert row is not None
    while row.count():
        item = row.takeAt(0)
        old = item.widget() if item is not None else None
        if old is not None:
            old.setParent(None)
    if widget is not None:
        row.addWidget(widget)
