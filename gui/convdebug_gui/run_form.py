"""The form of a run, drawn from the engine's own schema; what is wrong is said beside the field while one types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from convdebug_gui.controls import IconButton, label, rule
from convdebug_gui.entries import TABLES, Catalogue, summary, unread_keys, usual_values
from convdebug_gui.field_row import FieldRow
from convdebug_gui.fields import GROUPS, Field, as_toml, fields, from_toml, key_in, shown
from convdebug_gui.fold import Fold
from convdebug_gui.target_field import TargetField

AT_ONCE = (
    "data.name",
    "data.preprocessing",
    "data.augmentation",
    "data.batch_size",
    "model.name",
    "model.activation",
    "model.init",
    "optimizer.name",
    "optimizer.lr",
    "optimizer.momentum",
    "optimizer.weight_decay",
    "schedule.name",
    "regularization.l2",
    "regularization.dropout",
    "train.epochs",
    "train.steps",
    "watch.overhead_budget",
)


WITH_TARGET = ("train", "watch")  # what else can be set comes from the person's own function
OF_TARGET = "Data, model, optimizer and their settings are those of your function."


class RunForm(QScrollArea):
    """Everything that a run needs; `arguments()` go to the engine, `live_change` to the run that goes on."""

    changed = pyqtSignal()
    live_change = pyqtSignal(str, object)

    def __init__(self, description: Mapping[str, Any] | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("run-form")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.rows: dict[str, FieldRow] = {}
        self._folds: dict[str, Fold] = {}
        self._rules: dict[str, QWidget] = {}
        self._schema: Mapping[str, Any] | None = None
        self._catalogue: Catalogue = {}
        self._live = False
        self._script = ""
        self.target = TargetField()
        self.target.changed.connect(self._on_target)
        self.message = label("", "problem", wrap=True)
        self.message.hide()
        self._waiting = label("Asking the engine what can be set …", "dim", wrap=True)
        self._lay_out()
        if description:
            self.set_description(description)

    def _lay_out(self) -> None:
        content = QWidget()
        content.setProperty("role", "scrolled")
        self._layout = QVBoxLayout(content)
        self._layout.setContentsMargins(16, 12, 10, 12)
        self._layout.setSpacing(6)
        self._layout.addLayout(self._header())
        self._layout.addWidget(self.target)
        self._of_target = label(OF_TARGET, "caption", wrap=True)
        self._layout.addWidget(self._of_target)
        self._layout.addWidget(self.message)
        self._layout.addWidget(self._waiting)
        self._groups = QVBoxLayout()
        self._groups.setSpacing(6)
        self._layout.addLayout(self._groups)
        self._layout.addStretch(1)
        self.setWidget(content)

    def _header(self) -> QHBoxLayout:
        header = QHBoxLayout()
        header.addWidget(label("RUN", "section"), 1)
        self.load_button = _tool("folder-open", "Load a RUN.toml", self.ask_load)
        self.save_button = _tool("floppy-disk", "Save as RUN.toml", self.ask_save)
        self.reset_button = _tool("arrow-counter-clockwise", "Set every field back to its default", self.reset)
        for tool in (self.load_button, self.save_button, self.reset_button):
            header.addWidget(tool)
        return header

    def set_description(self, description: Mapping[str, Any]) -> None:
        """Draw the fields of the engine's schema; the same schema again changes nothing."""
        if description["schema"] == self._schema:
            return
        typed = {key: row.text for key, row in self.rows.items() if row.differs or row.problem}
        self._schema = description["schema"]
        self._catalogue = description.get("catalogue", {})
        self._clear()
        all_fields = fields(self._schema)
        names = [*GROUPS, *dict.fromkeys(field.group for field in all_fields if field.group not in GROUPS)]
        for group in names:
            self._add_group(group, [field for field in all_fields if field.group == group])
        self._legend_line = label("● may be changed while the run goes on", "caption", wrap=True)
        self._groups.addWidget(self._legend_line)
        self.load(typed)
        self._waiting.hide()

    def _clear(self) -> None:
        self.rows = {}
        self._folds, self._rules = {}, {}
        while (item := self._groups.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()

    def _add_group(self, group: str, members: Sequence[Field]) -> None:
        if not members:
            return
        if self.rows:
            self._rules[group] = line = rule()
            self._groups.addWidget(line)
        order = {key: place for place, key in enumerate(AT_ONCE)}
        first = sorted((field for field in members if field.key in order), key=lambda field: order[field.key])
        rest = [field for field in members if field.key not in order]
        for field in first:
            self._groups.addWidget(self._row(field))
        if rest:
            self._folds[group] = fold = Fold(group)
            for field in rest:
                fold.rows.addWidget(self._row(field))
            self._groups.addWidget(fold)

    def _row(self, field: Field) -> FieldRow:
        row = FieldRow(field)
        row.changed.connect(self._on_edit)
        row.committed.connect(self._on_commit)
        self.rows[field.key] = row
        return row

    def _on_edit(self) -> None:
        self.message.hide()
        self._follow_entries()
        self.changed.emit()

    def _follow_entries(self) -> None:
        """Fields left alone take what the chosen entries bring; settings that none of them reads are not shown."""
        chosen = {key: self.rows[key].value for key in TABLES if key in self.rows}
        usual, unread = usual_values(self._catalogue, chosen), unread_keys(self._catalogue, chosen)
        for key, row in self.rows.items():
            row.set_usual(usual.get(key, row.field.default))
            row.setVisible((key not in unread or key in AT_ONCE) and not self._by_target(key))
            if key in TABLES:
                row.add_words(summary(self._catalogue, key, row.value))
        for fold in self._folds.values():
            fold.setVisible(any(not row.isHidden() for row in fold.body.findChildren(FieldRow)))
        shown = {key.partition(".")[0] for key, row in self.rows.items() if not row.isHidden()}
        for group, line in self._rules.items():
            line.setVisible(group in shown)
        self._of_target.setText(self._script or OF_TARGET)
        self._of_target.setVisible(self.target.chosen or bool(self._script))
        self._legend_line.setVisible(bool(shown))

    def _by_target(self, key: str) -> bool:
        """Whether a field has no say because the target brings its own; what is live has one while the run goes on."""
        live = self._live and self.rows[key].field.live
        read = live or (key.partition(".")[0] in WITH_TARGET and not self._script)
        return (self.target.chosen or bool(self._script)) and not read

    def _on_target(self) -> None:
        self._gray()
        self._on_edit()

    def _on_commit(self, row: FieldRow) -> None:
        if self._live and row.field.live:
            self.live_change.emit(row.field.key, row.value)

    @property
    def valid(self) -> bool:
        return bool(self.rows) and not (self._script or self.problems or self.target.problem)

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong, by key."""
        return {key: row.problem for key, row in self.rows.items() if row.problem and not row.isHidden()}

    def values(self) -> dict[str, Any]:
        """Every value that is another than what stands there when nothing is given, by dotted key."""
        rows = self.rows.items()
        return {key: row.value for key, row in rows if row.differs and not row.problem and not row.isHidden()}

    @property
    def subject(self) -> str:
        """What is trained, in a word or two, for names of files and titles."""
        if self.target.chosen:
            return self.target.text.rpartition(":")[2] or "target"
        names = [str(self.rows[key].value) for key in ("model.name", "data.name") if key in self.rows]
        return "-".join(names) or "run"

    def arguments(self) -> list[str]:
        """The run as arguments of the engine's commands."""
        arguments = ["--target", self.target.text] if self.target.chosen else []
        for key, value in self.values().items():
            arguments += ["--set", f"{key}={shown_for_engine(value)}"]
        return arguments

    def load(self, values: Mapping[str, Any]) -> None:
        """Show a configuration, given by dotted keys; what it does not name stands at its default."""
        for key in sorted(self.rows, key=lambda key: key not in TABLES):
            self.rows[key].set_value(values.get(key, self.rows[key].usual))
            if key in TABLES:
                self._follow_entries()
        for key, row in self.rows.items():
            if row.problem or (row.differs and key not in AT_ONCE):
                self._reveal(key)
        unknown = [key for key in values if key not in self.rows and values[key] is not None]
        self._follow_entries()
        self._say("unknown here: " + ", ".join(unknown) if unknown else "")
        self._gray()
        self.changed.emit()

    def take(self, other: RunForm) -> None:
        """Show what another form shows."""
        self.load(other.values())
        self.target.line.setText(other.target.text)

    def reset(self) -> None:
        """Every field back to its default, and the built-in network."""
        self.target.clear()
        self.load({})

    def _reveal(self, key: str) -> None:
        fold = self._folds.get(key.partition(".")[0])
        if fold is not None and key not in AT_ONCE:
            fold.open()

    def _say(self, text: str) -> None:
        self.message.setText(text)
        self.message.setVisible(bool(text))

    def show_engine_line(self, line: str) -> None:
        """Put the engine's one-line complaint beside the field it names, else above the fields."""
        key = key_in(line, list(self.rows))
        if key is not None:
            self._reveal(key)
            self.rows[key].set_remark(line)
            self.ensureWidgetVisible(self.rows[key])
        elif self.target.chosen and self.target.names(line):
            self.target.set_remark(line)
        else:
            self._say(line)

    def focus_problem(self) -> None:
        """Bring the first field that is wrong into view and give it the keyboard."""
        for key in self.problems:
            self._reveal(key)
            self.ensureWidgetVisible(self.rows[key])
            self.rows[key].editor.setFocus()
            return
        if self.target.problem:
            self.target.line.setFocus()

    def set_live(self, live: bool) -> None:
        """While a run goes on only what may change live can be edited."""
        if live != self._live:
            self._live = live
            self._gray()
            self._follow_entries()

    def show_script(self, words: str) -> None:
        """Words in the place of the fields where a script made the run in view; empty brings the fields back."""
        if words == self._script:
            return
        self._script = words
        for widget in (self.target, self.load_button, self.save_button, self.reset_button):
            widget.setVisible(not words)
        self._on_edit()

    def _gray(self) -> None:
        for row in self.rows.values():
            row.setEnabled(row.field.live or not self._live)
        for widget in (self.target, self.load_button, self.reset_button):
            widget.setEnabled(not self._live)

    def ask_load(self) -> None:
        """Open the file dialog for a RUN.toml."""
        self._dialog("Load a RUN.toml", QFileDialog.AcceptMode.AcceptOpen, self.load_file)

    def ask_save(self) -> None:
        """Open the file dialog for where the RUN.toml goes."""
        self._dialog("Save as RUN.toml", QFileDialog.AcceptMode.AcceptSave, self.save_file)

    def _dialog(self, title: str, mode: QFileDialog.AcceptMode, then: Any) -> None:
        dialog = QFileDialog(self, title, "", "Run configuration (*.toml)")
        dialog.setAcceptMode(mode)
        dialog.setDefaultSuffix("toml")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(then)
        dialog.open()

    def load_file(self, path: str) -> None:
        """Read a RUN.toml into the form; what is wrong with it is said above the fields."""
        try:
            self.load(from_toml(Path(path).read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, ValueError) as error:
            self._say(f"{Path(path).name}: {getattr(error, 'strerror', None) or error}")

    def save_file(self, path: str) -> None:
        """Write every value that is another than its default."""
        try:
            Path(path).write_text(as_toml(self.values()), encoding="utf-8")
        except OSError as error:
            self._say(f"{path} cannot be written: {error.strerror}")


def shown_for_engine(value: Any) -> str:
    """A value as `--set` takes it."""
    return repr(value) if isinstance(value, float) else shown(value)


def _tool(name: str, tip: str, action: Any) -> IconButton:
    tool = IconButton(name, tip)
    tool.clicked.connect(action)
    return tool
