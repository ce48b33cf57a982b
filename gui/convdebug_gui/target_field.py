"""Where a run's network comes from: the built-in catalogue, or a function in the user's own file."""

from __future__ import annotations

import ast
import difflib
from pathlib import Path

from PyQt6.QtCore import QStringListModel, Qt, pyqtSignal
from PyQt6.QtWidgets import QCompleter, QFileDialog, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from convdebug_gui.controls import IconButton, label
from convdebug_gui.field_row import mark_problem

TIP = "A function that returns a convdebug.Target, as path/to/file.py:function.\nEmpty: the network chosen below."


class TargetField(QWidget):
    """`file.py:function`; empty means the built-in network. The file is read as text, never run in the window."""

    changed = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.problem = ""
        self._remark = ""
        self._functions = QStringListModel(self)
        self.label = label("My own model", "dim")
        self.line = QLineEdit()
        self.line.setProperty("role", "number")
        self.line.setPlaceholderText("file.py:function")
        self.line.setClearButtonEnabled(True)
        self.line.setAccessibleName("Target: file.py:function")
        self.line.setToolTip(TIP)
        self.line.textChanged.connect(self._edited)
        self.line.setCompleter(self._completer())
        self.label.setBuddy(self.line)
        self.button = IconButton("folder-open", "Choose the Python file with your function")
        self.button.clicked.connect(self.ask)
        self.error = label("", "problem", wrap=True)
        self.error.hide()
        self._lay_out()

    def _completer(self) -> QCompleter:
        completer = QCompleter(self._functions, self)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        return completer

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.label)
        layout.addLayout(row)
        layout.addWidget(self.error)

    @property
    def text(self) -> str:
        return self.line.text().strip()

    @property
    def chosen(self) -> bool:
        return bool(self.text)

    def clear(self) -> None:
        self.line.clear()

    def names(self, line: str) -> bool:
        """Whether a complaint of the engine speaks of this target."""
        file, _, function = self.text.rpartition(":")
        return Path(file).name in line or function in line

    def ask(self) -> None:
        """Open the file dialog for the Python file."""
        dialog = QFileDialog(self, "Choose the Python file with your function", "", "Python (*.py)")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self.choose_file)
        dialog.open()

    def choose_file(self, path: str) -> None:
        """Take a file; its only function, or the one that looks most like a target, is filled in."""
        names = functions(Path(path))
        self._functions.setStringList([f"{path}:{name}" for name in names])
        likely = [name for name in names if "target" in name.lower()] or names
        self.line.setText(f"{path}:{likely[0] if likely else ''}")
        self.line.setFocus()

    def set_remark(self, text: str) -> None:
        """What the engine had to say about the target; the next edit takes it away."""
        self._remark = text
        self._show_problem()

    def _edited(self) -> None:
        self._remark = ""
        self.problem = problem_of(self.text)
        self._show_problem()
        self.changed.emit()

    def _show_problem(self) -> None:
        words = self.problem or self._remark
        self.error.setText(words)
        self.error.setVisible(bool(words))
        mark_problem(self.line, bool(words))


def functions(path: Path) -> list[str]:
    """The names of the functions at the top level of a Python file, in order; none where it cannot be read."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return []
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]


def problem_of(text: str) -> str:
    """What is wrong with a target as far as can be told without running it; empty where nothing is."""
    if not text:
        return ""
    file, colon, function = text.rpartition(":")
    if not colon or file.endswith(("/", "\\")):
        return "needs a function: file.py:function"
    if not file.endswith(".py"):
        named = all(part.isidentifier() for part in file.split("."))
        return "" if named else "use file.py:function or package.module:function"
    path = Path(file).expanduser()
    if not path.is_file():
        return f"no such file: {file}"
    return _function_problem(path, function)


def _function_problem(path: Path, function: str) -> str:
    names = functions(path)
    if not function.isidentifier():
        return f"needs a function of {path.name}" + (f": {', '.join(names[:4])}" if names else "")
    if names and function not in names:
        near = difflib.get_close_matches(function, names, 1, 0.4) or names[:1]
        return f"{path.name} has no function {function}; did you mean {near[0]}?"
    return ""
