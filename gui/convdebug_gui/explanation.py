"""The explanation of a rule: what it means, why it happens, what to try, where that comes from."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout, QTextBrowser, QVBoxLayout, QWidget

from convdebug_gui.controls import IconButton, label, rule
from convdebug_gui.session_model import SessionModel
from convdebug_gui.theme import theme
from convdebug_gui.ticks import short_number
from convdebug_sessions import Diagnosis

HEADINGS = (("meaning", "What it means"), ("causes", "Why it happens"), ("remedies", "What to try"))


class ExplanationPanel(QWidget):
    """Shows the engine's own words for a rule, and this run's evidence."""

    name = "explanation"
    closed = pyqtSignal()

    def __init__(self, model: SessionModel) -> None:
        super().__init__()
        self.model = model
        self.diagnosis: Diagnosis | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(rule())
        column.addLayout(self._head())
        self.text = QTextBrowser()
        self.text.setOpenExternalLinks(True)
        document = self.text.document()
        assert document is not None
        document.setDocumentMargin(theme().pixels(16))
        column.addWidget(self.text, 1)
        model.describe_changed.connect(self._write)
        theme().changed.connect(self._write)

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(16, 10, 8, 0)
        row.addWidget(label("WHY", "section"), 1)
        close = IconButton("x", "Close the explanation")
        close.clicked.connect(self.closed)
        row.addWidget(close)
        return row

    def explain(self, diagnosis: Diagnosis) -> None:
        self.diagnosis = diagnosis
        self._write()

    def _write(self) -> None:
        if self.diagnosis is not None:
            self.text.setHtml(explanation_html(self.diagnosis, self.model.explanation(self.diagnosis.rule)))


def explanation_html(diagnosis: Diagnosis, rule_entry: dict[str, Any] | None) -> str:
    """The explanation as rich text in the colours of the theme."""
    tokens, number = theme().tokens, theme().pixels(11)
    entry = rule_entry or {}
    parts = [f'<p style="font-size:{theme().pixels(15)}px; font-weight:600">{escape(diagnosis.title)}</p>']
    for key, heading in HEADINGS:
        words = entry.get(key) or ([remedy.text for remedy in diagnosis.remedies] if key == "remedies" else "")
        if words:
            parts.append(f'<p style="color:{tokens.dim}; font-size:{number}px; margin-bottom:0">{heading}</p>')
            parts.append(_words_html(words))
    parts.append(_evidence_html(diagnosis))
    if entry.get("source"):
        parts.append(f'<p style="color:{tokens.dim}; font-size:{number}px">{escape(str(entry["source"]))}</p>')
    if not entry:
        parts.append(
            f'<p style="color:{tokens.dim}">The engine has not told more about {escape(diagnosis.rule)} yet.</p>'
        )
    return "".join(parts)


def _words_html(words: object) -> str:
    if isinstance(words, str):
        return "".join(f"<p>{escape(part)}</p>" for part in words.split("\n\n") if part.strip())
    entries: Iterable[object] = words if isinstance(words, (list, tuple)) else [words]
    return "<ul>" + "".join(f"<li>{escape(str(entry))}</li>" for entry in entries) + "</ul>"


def _evidence_html(diagnosis: Diagnosis) -> str:
    if not diagnosis.evidence:
        return ""
    tokens = theme().tokens
    cell = f'style="color:{tokens.dim}; padding-right:12px; font-size:{theme().pixels(11)}px"'
    rows = "".join(
        f"<tr><td {cell}>{escape(str(name)).replace('_', ' ')}</td>"
        f'<td style="font-family:JetBrains Mono; font-size:{theme().pixels(11)}px">{_figure(value)}</td></tr>'
        for name, value in list(diagnosis.evidence.items())[:12]
    )
    heading = f'<p style="color:{tokens.dim}; font-size:{theme().pixels(11)}px; margin-bottom:2px">Evidence</p>'
    return f"{heading}<table>{rows}</table>"


def _figure(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return escape(str(value))
    return short_number(float(value))
