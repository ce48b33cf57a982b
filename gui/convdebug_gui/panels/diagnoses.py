"""The list of diagnoses: causes first, each a card with its severity as an edge, its consequences beneath."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from PyQt6.QtCore import QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QMouseEvent, QPainter, QPainterPath, QPaintEvent
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from convdebug_gui.controls import button, label
from convdebug_gui.session_model import SessionModel
from convdebug_gui.theme import mix, theme
from convdebug_gui.ticks import step_number
from convdebug_sessions import Diagnosis, Remedy

EDGE_PX = 3
INDENT_PX = 16
UNFOLDED_UP_TO = 3


@dataclass
class Tree:
    """A cause and what follows from it."""

    diagnosis: Diagnosis
    consequences: list[Tree] = field(default_factory=list)


def trees(diagnoses: Sequence[Diagnosis]) -> list[Tree]:
    """Roots in the order given, each with its consequences; one whose cause is not there is a root."""
    nodes = [Tree(diagnosis) for diagnosis in diagnoses]
    by_rule: dict[str, Tree] = {}
    for node in nodes:
        by_rule.setdefault(node.diagnosis.rule, node)
    roots = []
    for node in nodes:
        cause = by_rule.get(node.diagnosis.caused_by or "")
        if cause is None or cause is node or _leads_to(node, cause):
            roots.append(node)
        else:
            cause.consequences.append(node)
    return roots


def _leads_to(node: Tree, other: Tree) -> bool:
    return node is other or any(_leads_to(child, other) for child in node.consequences)


class Card(QFrame):
    """A panel with a thin border whose left edge carries a severity; the edge follows the corners unbent."""

    def __init__(self, color: str) -> None:
        super().__init__()
        self.color = color
        self.selected = False
        self.setProperty("role", "plain")

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tokens = theme().tokens
        shape = QPainterPath()
        shape.addRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        hovered = mix(tokens.panel, tokens.ink, 0.03) if self.selected else tokens.panel
        painter.fillPath(shape, QColor(hovered))
        painter.setPen(QColor(tokens.line))
        painter.drawPath(shape)
        painter.setClipRect(QRectF(0, 0, EDGE_PX, self.height()))
        painter.fillPath(shape, QColor(getattr(tokens, self.color, self.color)))
        painter.end()


class DiagnosisCard(Card):
    """One diagnosis: what, where, since when, the numbers, and what can be done here."""

    show_asked = pyqtSignal(object)
    why_asked = pyqtSignal(object)

    def __init__(self, diagnosis: Diagnosis, *, consequence: bool = False) -> None:
        super().__init__("faint" if consequence else severity_token(diagnosis.severity))
        self.diagnosis = diagnosis
        self.setAccessibleName(f"{diagnosis.severity}: {diagnosis.title}")
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 10, 12, 10)
        column.setSpacing(6)
        column.addWidget(label(title_words(diagnosis), "title", wrap=True))
        column.addWidget(label(diagnosis.message, "dim", wrap=True))
        column.addWidget(label(where_words(diagnosis), "small-number"))
        self._add_remedies(column, () if consequence else diagnosis.remedies)
        column.addLayout(self._buttons())
        for remedy in diagnosis.remedies:
            self._add_proof(column, remedy)

    def _add_remedies(self, column: QVBoxLayout, remedies: Sequence[Remedy]) -> None:
        for remedy in remedies[:2]:
            line = QHBoxLayout()
            line.setSpacing(6)
            arrow = label("→", "good")
            arrow.setAlignment(Qt.AlignmentFlag.AlignTop)
            line.addWidget(arrow)
            line.addWidget(label(remedy.text, "", wrap=True), 1)
            column.addLayout(line)

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(6)
        self.show_button = button("Show", "small-outline", "Move the playhead to the evidence and pick the layer")
        self.why_button = button("Why", "small", "What this means, why it happens, what to try (F1)")
        self.show_button.clicked.connect(self._ask_show)
        self.why_button.clicked.connect(self._ask_why)
        row.addWidget(self.show_button)
        row.addWidget(self.why_button)
        row.addStretch(1)
        return row

    def _add_proof(self, column: QVBoxLayout, remedy: Remedy) -> None:
        words = proof_words(remedy)
        if words:
            column.addWidget(label(words, "good" if (remedy.proven or {}).get("helped") else "dim", wrap=True))

    def _ask_show(self) -> None:
        self.show_asked.emit(self.diagnosis)

    def _ask_why(self) -> None:
        self.why_asked.emit(self.diagnosis)

    def mouseDoubleClickEvent(self, _event: QMouseEvent | None) -> None:
        self._ask_show()


class DiagnosesPanel(QWidget):
    """All diagnoses of the run in view."""

    name = "diagnoses"
    why_asked = pyqtSignal(object)

    def __init__(self, model: SessionModel) -> None:
        super().__init__()
        self.model = model
        self.cards: list[DiagnosisCard] = []
        self.selected: Diagnosis | None = None
        self._shown: list[Diagnosis] | None = None
        self._unfolded: set[str] = set()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.heading = label("DIAGNOSES", "section")
        self.heading.setContentsMargins(16, 16, 16, 8)
        column.addWidget(self.heading)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column.addWidget(self._area, 1)
        model.diagnoses_changed.connect(self.refresh)
        model.runs_changed.connect(self.refresh)
        model.run_changed.connect(self.refresh)
        model.session_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Builds the cards anew where the diagnoses changed."""
        state = list(self.model.diagnoses)
        if state == self._shown and self.cards:
            return
        self._shown = state
        self.cards = []
        page = QWidget()
        page.setProperty("role", "scrolled")
        column = QVBoxLayout(page)
        column.setContentsMargins(16, 4, 14, 16)
        column.setSpacing(10)
        for tree in trees(state):
            self._add_tree(column, tree, 0)
        if not state:
            column.addWidget(self._empty_note())
        column.addStretch(1)
        self._area.setWidget(page)

    def _empty_note(self) -> QLabel:
        run = self.model.run
        if run is None:
            words = "What is ill in a run stands here: the cause first, its consequences beneath it."
        elif run.status == "running":
            words = "Nothing wrong so far. The rules look at every new step; what they find stands here, causes first."
        else:
            words = "No rule found anything wrong in this run."
        return label(words, "dim", wrap=True)

    def _add_tree(self, column: QVBoxLayout, tree: Tree, depth: int) -> None:
        card = DiagnosisCard(tree.diagnosis, consequence=depth > 0)
        card.show_asked.connect(self._show)
        card.why_asked.connect(self._why)
        self.cards.append(card)
        column.addWidget(_indented(card, depth))
        children = tree.consequences
        folded = len(children) > UNFOLDED_UP_TO and tree.diagnosis.rule not in self._unfolded
        for child in children[: UNFOLDED_UP_TO - 1] if folded else children:
            self._add_tree(column, child, depth + 1)
        if folded:
            more = button(f"{len(children) - UNFOLDED_UP_TO + 1} more consequences", "link")
            more.setProperty("rule", tree.diagnosis.rule)
            more.clicked.connect(self._unfold)
            column.addWidget(_indented(more, depth + 1))

    def _unfold(self) -> None:
        sender = self.sender()
        assert sender is not None
        self._unfolded.add(str(sender.property("rule")))
        self._shown = None
        self.refresh()

    def _show(self, diagnosis: Diagnosis) -> None:
        self._select(diagnosis)
        self.model.show_diagnosis(diagnosis)

    def _why(self, diagnosis: Diagnosis) -> None:
        self._select(diagnosis)
        self.why_asked.emit(diagnosis)

    def _select(self, diagnosis: Diagnosis) -> None:
        self.selected = diagnosis
        for card in self.cards:
            card.selected = card.diagnosis == diagnosis
            card.update()

    def to_explain(self) -> Diagnosis | None:
        """What F1 explains: the diagnosis last shown, else the first."""
        if self.selected in self.model.diagnoses:
            return self.selected
        return next(iter(self.model.diagnoses), None)


def _indented(widget: QWidget, depth: int) -> QWidget:
    if not depth:
        return widget
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(INDENT_PX * min(depth, 2), 0, 0, 0)
    row.addWidget(widget)
    return holder


def severity_token(severity: str) -> str:
    return {"error": "error", "warning": "warning", "info": "accent"}.get(severity, "faint")


def title_words(diagnosis: Diagnosis) -> str:
    where = f" · {diagnosis.layer}" if diagnosis.layer and diagnosis.layer not in diagnosis.title else ""
    return f"{diagnosis.title}{where}"


def where_words(diagnosis: Diagnosis) -> str:
    """since step 396, or steps 12–40"""
    if diagnosis.last_step > diagnosis.first_step:
        return f"steps {step_number(diagnosis.first_step)} – {step_number(diagnosis.last_step)}"
    return f"step {step_number(diagnosis.first_step)}"


def proof_words(remedy: Remedy) -> str:
    """What the branch with the remedy did, in one sentence; empty where nothing was proven."""
    proven = remedy.proven
    if not proven:
        return ""
    before, after = (proven.get(key) or {} for key in ("before", "after"))
    helped = "✓ proven on a branch" if proven.get("helped") else "tried on a branch, did not help"
    return f"{helped}: loss {_loss(after)} after {proven.get('steps', '?')} steps, {_loss(before)} without"


def _loss(figures: dict[str, object]) -> str:
    value = figures.get("loss")
    return f"{value:.3g}" if isinstance(value, (int, float)) else str(value)
