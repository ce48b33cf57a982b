"""The page one begins on: a new run, one's own model, a saved session; it is there before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PyQt6.QtCore import QSettings, QSize, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QDragEnterEvent, QDropEvent, QResizeEvent, QShowEvent
from PyQt6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from convdebug_gui.cards import ActionCard, SessionCard
from convdebug_gui.controls import label
from convdebug_gui.places import SUFFIX, recent, sessions_folder
from convdebug_gui.theme import theme
from convdebug_sessions import Summary, summary_of

SHOWN = 12
MOST_COLUMNS = 5
WIDEST = 1288
TAGLINE = "What is wrong with this training, since when, where, why, and what to do about it."
EMPTY = (
    "No session yet. Start a new run and watch it learn: the embedded pictures need no download, "
    "and everything that is recorded will wait for you here."
)


class Welcome(QScrollArea):
    """What one can do, and the sessions there are; each choice is a signal."""

    new_run = pyqtSignal()
    check_model = pyqtSignal()
    watch_script = pyqtSignal()
    open_session = pyqtSignal()
    demo = pyqtSignal()
    chosen = pyqtSignal(object)

    def __init__(self, settings: QSettings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAcceptDrops(True)
        self.cards: list[SessionCard] = []
        self.actions_shown = self._make_actions()
        self._action_grid, self._grid = QGridLayout(), QGridLayout()
        self._holders = [self._hold(grid) for grid in (self._action_grid, self._grid)]
        self._caption = label("RECENT SESSIONS", "section")
        self._empty = label(EMPTY, "dim", wrap=True)
        self._unread: list[Path] = []
        self._reading = QTimer(self)
        self._reading.setInterval(0)
        self._reading.timeout.connect(self._read_one)
        self._lay_out()
        theme().changed.connect(self._show_icons)

    def _make_actions(self) -> list[ActionCard]:
        specification = (
            ("play", "New run", "Train a built-in network", "Ctrl+N", self.new_run, True),
            ("heartbeat", "Check my model", "Sanity checks in order", "Ctrl+M", self.check_model, False),
            ("broadcast", "Watch a script …", "Your own, unchanged", "Ctrl+W", self.watch_script, False),
            ("folder-open", "Open session …", "Replay, or live", "Ctrl+O", self.open_session, False),
            ("monitor-play", "Demo", "Checks, then a training", "Ctrl+D", self.demo, False),
        )
        cards = []
        for icon, title, words, key, signal, primary in specification:
            card = ActionCard(icon, title, words, key, primary)
            card.clicked.connect(signal)
            cards.append(card)
        return cards

    def _lay_out(self) -> None:
        page = QWidget()
        page.setProperty("role", "ground")
        page.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._column = QWidget()
        column = QVBoxLayout(self._column)
        column.setContentsMargins(24, 56, 24, 40)
        column.setSpacing(0)
        column.addLayout(self._heading())
        column.addSpacing(16)
        column.addLayout(self._action_grid)
        column.addSpacing(36)
        column.addWidget(self._caption)
        column.addLayout(self._grid)
        column.addWidget(self._empty)
        column.addStretch(1)
        self._page_column = QVBoxLayout(page)
        self._page_column.setContentsMargins(0, 0, 0, 0)
        self._page_column.setSpacing(0)
        outer = QHBoxLayout()
        outer.addStretch(1)
        outer.addWidget(self._column, 1000)
        outer.addStretch(1)
        self._column.setMaximumWidth(WIDEST)
        self._page_column.addLayout(outer, 1)
        self.setWidget(page)

    def set_banner(self, banner: QWidget) -> None:
        """Where bad news stands on this page."""
        self._page_column.insertWidget(0, banner)

    def _heading(self) -> QVBoxLayout:
        heading = QVBoxLayout()
        heading.setSpacing(6)
        self._brand = QLabel("convdebug")
        heading.addWidget(self._brand)
        heading.addWidget(label(TAGLINE, "dim", wrap=True))
        return heading

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        self._style_brand()
        self.refresh()
        QTimer.singleShot(0, self._show_icons)

    def _style_brand(self) -> None:
        font = theme().font("title", bold=True)
        font.setPixelSize(theme().pixels(28))
        self._brand.setStyleSheet(f"font-size: {font.pixelSize()}px; font-weight: 600;")

    def _show_icons(self) -> None:
        if not self.isVisible():
            return
        self._style_brand()
        for card in self.actions_shown:
            card.show_icon()

    def refresh(self) -> None:
        """Look again for sessions: those of the default folder and those opened lately, newest first."""
        found = {path.absolute() for path in sessions_folder().glob(f"*{SUFFIX}")}
        paths = sorted({*found, *recent(self._settings)}, key=_modified, reverse=True)[:SHOWN]
        if [card.summary.path for card in self.cards] == paths and not self._changed(paths):
            return
        self.show_sessions([])
        self._unread = paths
        self._empty.setVisible(not paths)
        if paths:
            self._reading.start()

    def _changed(self, paths: Sequence[Path]) -> bool:
        return any(_modified(path) != card.summary.modified for path, card in zip(paths, self.cards, strict=True))

    def _read_one(self) -> None:
        if self._unread:
            self._add(summary_of(self._unread.pop(0)))
        if not self._unread:
            self._reading.stop()

    def show_sessions(self, summaries: Sequence[Summary]) -> None:
        """Show these sessions and no others."""
        for card in self.cards:
            self._grid.removeWidget(card)
            card.hide()  # it is deleted only when the event loop turns
            card.deleteLater()
        self.cards, self._unread = [], []
        self._empty.setVisible(not summaries)
        for summary in summaries:
            self._add(summary)

    def _add(self, summary: Summary) -> None:
        card = SessionCard(summary)
        card.clicked.connect(self._choose)
        self.cards.append(card)
        self._place(card, len(self.cards) - 1)

    def _place(self, card: SessionCard, index: int) -> None:
        self._grid.addWidget(card, 1 + index // self._columns(), index % self._columns())

    def _hold(self, grid: QGridLayout) -> list[QWidget]:
        """Widgets that keep the columns of a grid as wide as those of the other where it has fewer cards."""
        grid.setSpacing(12)
        holders = [QWidget() for _column in range(MOST_COLUMNS)]
        for column, holder in enumerate(holders):
            holder.setFixedHeight(0)
            grid.addWidget(holder, 0, column)
        return holders

    def _arrange(self) -> None:
        """As many columns as there is room for."""
        columns = self._columns()
        for grid, holders in zip((self._action_grid, self._grid), self._holders, strict=True):
            for column, holder in enumerate(holders):
                holder.setVisible(column < columns)
                grid.setColumnStretch(column, 1 if column < columns else 0)
        for index, action in enumerate(self.actions_shown):
            self._action_grid.addWidget(action, 1 + index // columns, index % columns)
        for index, card in enumerate(self.cards):
            self._place(card, index)

    def _columns(self) -> int:
        width = min(self.width(), WIDEST) - 48
        return max(1, min(MOST_COLUMNS, (width + 12) // (theme().pixels(204) + 12)))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _choose(self) -> None:
        card = self.sender()
        if isinstance(card, SessionCard):
            self.chosen.emit(Path(card.summary.path))

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        if event is not None and _dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        if event is not None and (paths := _dropped(event)):
            event.acceptProposedAction()
            self.chosen.emit(paths[0])

    def minimumSizeHint(self) -> QSize:
        return QSize(480, 360)


def _dropped(event: QDropEvent) -> list[Path]:
    data = event.mimeData()
    urls = data.urls() if data is not None else []
    return [Path(url.toLocalFile()) for url in urls if url.toLocalFile().endswith(SUFFIX)]


def _modified(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0
