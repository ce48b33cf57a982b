"""The wizard's first page: which network is checked, and how much time the checks may take."""

from __future__ import annotations

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from convdebug_gui.controls import Switch, button, label
from convdebug_gui.run_form import RunForm
from convdebug_gui.theme import theme

BUDGETS = {"quick": 30, "usual": 90, "thorough": 300}
WORDS = (
    "Most trainings that fail do so for a reason that a small experiment shows in seconds. The checks go through "
    "data, loss, gradients, weights and learning rate, in the order in which an expert would; each says what it asks, "
    "why, what it found, and what to do. Nothing of yours is changed."
)
TARGET = """import convdebug

def make_target():
    return convdebug.Target(
        make_model=lambda: Net(),      # fresh weights each call
        train_data=train_set,          # a Dataset of (input, label)
        val_data=val_set,
        loss=nn.CrossEntropyLoss(),
        make_optimizer=lambda params: torch.optim.SGD(params, lr=0.1),
        batch_size=128,
    )"""


class SetupPage(QScrollArea):
    """What shall be checked: the fields of a run, beside them what they are for."""

    start_wanted = pyqtSignal()

    def __init__(self, form: RunForm) -> None:
        super().__init__()
        self.form = form
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.budget = Switch(list(BUDGETS), [f"about {seconds} seconds for all checks" for seconds in BUDGETS.values()])
        self.budget.choose("usual")
        self.start_button = button("Start the checks", "primary", "Run all checks in order (Ctrl+R)")
        self.start_button.clicked.connect(self.start_wanted)
        page = QWidget()
        page.setProperty("role", "scrolled")
        row = QHBoxLayout(page)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addLayout(self._words(), 1)
        self.setWidget(page)

    @property
    def seconds(self) -> int:
        return BUDGETS[self.budget.choice]

    def _words(self) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setContentsMargins(32, 28, 32, 28)
        column.setSpacing(10)
        column.addWidget(label("What shall be checked?", "headline"))
        column.addWidget(label(WORDS, "dim", wrap=True))
        column.addSpacing(12)
        column.addWidget(label("A network of your own", "title"))
        own = "In the form at the right, name a function that returns a Target, as file.py:function."
        column.addWidget(label(own, "dim", wrap=True))
        column.addWidget(self._example())
        column.addSpacing(12)
        column.addWidget(label("Or a built-in one", "title"))
        built_in = "Leave that field empty and choose data, model and optimizer below it."
        column.addWidget(label(built_in, "dim", wrap=True))
        column.addSpacing(20)
        column.addLayout(self._start_row())
        column.addStretch(1)
        return column

    def _example(self) -> QFrame:
        frame = QFrame()
        frame.setProperty("role", "card")
        layout = QVBoxLayout(frame)
        layout.setContentsMargins(16, 12, 16, 12)
        code = label(TARGET, "number")
        code.setFont(theme().font("number"))
        area = QScrollArea()  # in a narrow window the lines are scrolled, not cut
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(code)
        area.setFixedHeight(code.sizeHint().height() + theme().pixels(12))
        layout.addWidget(area)
        return frame

    def _start_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self.start_button)
        row.addWidget(label("Time", "dim"))
        row.addWidget(self.budget)
        row.addStretch(1)
        return row
