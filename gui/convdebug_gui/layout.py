"""The deck of panels: docks with title bars of our own, their arrangement, and whose turn it is to draw."""

from __future__ import annotations

from PyQt6.QtCore import QByteArray, QSettings, QSize, Qt
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import QDockWidget, QHBoxLayout, QMainWindow, QMenu, QSizePolicy, QWidget

from convdebug_gui.controls import ElidedLabel, IconButton
from convdebug_gui.explanation import ExplanationPanel
from convdebug_gui.panels import PANELS
from convdebug_gui.panels.base import Panel
from convdebug_gui.panels.diagnoses import DiagnosesPanel
from convdebug_gui.plotting import Chart
from convdebug_gui.session_model import SessionModel
from convdebug_gui.theme import theme

DRAWING_BUDGET_S = 0.012  # of a frame's 16 ms, painting included
LAYOUT_VERSION = 1
DIAGNOSES_WIDTH = 300
DIAGNOSES_LEAST, DIAGNOSES_MOST = 280, 400
Area = Qt.DockWidgetArea


class TitleBar(QWidget):
    """Title left, legend and switches right, and the menu of the panel."""

    def __init__(self, dock: PanelDock, panel: Panel) -> None:
        super().__init__()
        self.dock, self.panel = dock, panel
        self.words = ElidedLabel(panel.full_title(), "title")
        self.words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.words.setMinimumWidth(40)
        self.more = IconButton("dots-three-vertical", f"{panel.title}: save, copy, float, close", color="dim", size=14)
        self.more.clicked.connect(self._open_menu)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 4, 2)
        row.setSpacing(8)
        row.addWidget(self.words, 1)
        for tool in panel.tools:
            row.addWidget(tool)
        row.addWidget(self.more)
        panel.title_changed.connect(self._retitle)
        panel.show_tools()

    def _retitle(self) -> None:
        self.words.setText(self.panel.full_title())

    def minimumSizeHint(self) -> QSize:
        return QSize(80, super().minimumSizeHint().height())

    def _open_menu(self) -> None:
        menu = self.panel.menu()
        menu.addSeparator()
        menu.addAction("Dock" if self.dock.isFloating() else "Float", self.dock.toggle_floating)
        menu.addAction("Close", self.dock.close)
        menu.popup(self.more.mapToGlobal(self.more.rect().bottomLeft()))


class PanelDock(QDockWidget):
    """A dock around a widget; panels get a title bar of our own, the others none."""

    def __init__(self, name: str, title: str, widget: QWidget) -> None:
        super().__init__(title)
        self.setObjectName(name)
        self.setWidget(widget)
        self.setTitleBarWidget(TitleBar(self, widget) if isinstance(widget, Panel) else QWidget())
        self.setMinimumSize(120, 90)

    def toggle_floating(self) -> None:
        self.setFloating(not self.isFloating())


class Deck(QMainWindow):
    """Holds the docks in a grid of three by two, the diagnoses on the right, and draws the panels in turn."""

    def __init__(self, model: SessionModel) -> None:
        super().__init__()
        self.model = model
        self.setWindowFlags(Qt.WindowType.Widget)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setDockNestingEnabled(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        nothing = QWidget()
        nothing.setFixedSize(0, 0)
        self.setCentralWidget(nothing)
        self.panels = [panel(model) for panel in PANELS]
        self.diagnoses = DiagnosesPanel(model)
        self.explanation = ExplanationPanel(model)
        self.docks = {panel.name: PanelDock(panel.name, panel.title, panel) for panel in self.panels}
        self.docks["diagnoses"] = PanelDock("diagnoses", "Diagnoses", self.diagnoses)
        self.docks["explanation"] = PanelDock("explanation", "Explanation", self.explanation)
        self._hold_right_column()
        theme().changed.connect(self._hold_right_column)
        self.arrange()
        model.ticked.connect(self.draw_due)
        model.session_changed.connect(self._empty_without_session)
        self.diagnoses.why_asked.connect(self.explain)
        self.explanation.closed.connect(self.docks["explanation"].close)

    # arrangement

    def arrange(self) -> None:
        """Three rows of two panels, diagnoses on the right: the arrangement of a new window."""
        names = [panel.name for panel in self.panels]
        for dock in self.docks.values():
            dock.setFloating(False)
            self.removeDockWidget(dock)
        for name in names[0::2]:
            self.addDockWidget(Area.LeftDockWidgetArea, self.docks[name])
        for left, right in zip(names[0::2], names[1::2], strict=True):
            self.splitDockWidget(self.docks[left], self.docks[right], Qt.Orientation.Horizontal)
        self.addDockWidget(Area.RightDockWidgetArea, self.docks["diagnoses"])
        self.addDockWidget(Area.RightDockWidgetArea, self.docks["explanation"])
        for name, dock in self.docks.items():
            dock.setVisible(name != "explanation")
        self.share_out()

    def _hold_right_column(self) -> None:
        """Qt shares the width anew when a title bar's contents change; the cards keep theirs."""
        for name in ("diagnoses", "explanation"):
            self.docks[name].setMinimumWidth(theme().pixels(DIAGNOSES_LEAST))
            self.docks[name].setMaximumWidth(theme().pixels(DIAGNOSES_MOST))

    def share_out(self) -> None:
        """Even rows and columns, the right column as wide as its cards need."""
        right = theme().pixels(DIAGNOSES_WIDTH)
        rest = max(self.width() - right, 200)
        grid = [self.docks[panel.name] for panel in self.panels]
        self.resizeDocks([*grid[:2], self.docks["diagnoses"]], [rest // 2, rest // 2, right], Qt.Orientation.Horizontal)
        for row in range(1, len(grid) // 2):
            self.resizeDocks(grid[2 * row : 2 * row + 2], [rest // 2, rest // 2], Qt.Orientation.Horizontal)
        self.resizeDocks(grid[0::2], [self.height() // 3] * 3, Qt.Orientation.Vertical)

    def save_layout(self, settings: QSettings) -> None:
        settings.setValue("layout/docks", self.saveState(LAYOUT_VERSION))

    def restore_layout(self, settings: QSettings) -> bool:
        state = settings.value("layout/docks")
        restored = isinstance(state, QByteArray) and self.restoreState(state, LAYOUT_VERSION)
        self.docks["explanation"].setVisible(self.explanation.diagnosis is not None)
        return restored

    def view_menu(self, parent: QWidget) -> QMenu:
        """Every panel with a check mark: close and reopen."""
        menu = QMenu("Panels", parent)
        for dock in self.docks.values():
            action = dock.toggleViewAction()
            assert isinstance(action, QAction)
            menu.addAction(action)
        menu.addSeparator()
        menu.addAction("Arrange as at first", self.arrange)
        return menu

    def panel(self, name: str) -> Panel:
        return next(panel for panel in self.panels if panel.name == name)

    def zoom(self, factor: float | None) -> None:
        """Every plot over steps to `factor` of what it shows, around the playhead; None shows the whole run."""
        for chart in self.findChildren(Chart):
            if chart.playhead.x is not None:
                chart.zoom_by(factor) if factor is not None else chart.reset_zoom()

    # drawing in turn

    def draw_due(self) -> None:
        """Draws the panels that are due, those that waited longest first, within the budget of a frame."""
        due = sorted((panel for panel in self.panels if panel.due()), key=lambda panel: panel.last_drawn)
        spent = 0.0
        for index, panel in enumerate(due):
            if index and spent + panel.cost_s > DRAWING_BUDGET_S:
                self.model.hurry()
                return
            panel.refresh()
            spent += panel.cost_s

    def _empty_without_session(self) -> None:
        """Once a session is closed there are no frames any more: nothing of it may stay on screen."""
        if self.model.session is None:
            for panel in self.panels:
                panel.refresh()

    def draw_all(self) -> None:
        """Draws every visible panel at once: for pictures."""
        for panel in self.panels:
            if panel.isVisible():
                panel.refresh()

    def explain(self, diagnosis: object) -> None:
        """Opens the explanation of a diagnosis beneath the list."""
        self.explanation.explain(diagnosis)  # type: ignore[arg-type]
        dock = self.docks["explanation"]
        dock.show()
        dock.raise_()
        heights = [round(self.height() * 0.5), round(self.height() * 0.5)]
        self.resizeDocks([self.docks["diagnoses"], dock], heights, Qt.Orientation.Vertical)
