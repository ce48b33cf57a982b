"""What the engine saw of the first value that was no number, and how messages tell it."""

import math
from dataclasses import dataclass
from typing import Any

from convdebug.rules.curves import number
from convdebug.rules.facts import Facts, remembered

LARGE_WEIGHT = 1e3  # weights of networks that train stay below 10
LARGE_VALUE = 1e4  # raw pixels are 255
SHOWN_ROWS = 8
PRODUCED = ("forward", "backward")
UNDEFINED_AT_ZERO = frozenset({"log", "log2", "log10", "div", "reciprocal", "sqrt", "rsqrt", "pow", "norm"})
"""Operators that have no value, or no derivative, where they are given a zero."""
HARMLESS_ZERO = {"div": "self", "pow": "exponent"}
"""The input of such an operator that may be zero."""


@dataclass(frozen=True)
class Origin:
    """One event `non-finite`."""

    step: int
    data: dict[str, Any]

    @property
    def direction(self) -> str:
        return str(self.data.get("direction", "unknown"))

    @property
    def of_loss(self) -> bool:
        """It happened between the model's output and the loss."""
        return self.data.get("part") == "loss"

    @property
    def operator(self) -> str | None:
        return self.data.get("operator")

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """Statistics of what the operator was given."""
        return list(self.data.get("inputs") or [])

    @property
    def largest_weight(self) -> float:
        return float((self.data.get("weights") or {}).get("largest", math.nan))

    @property
    def largest_input(self) -> float:
        found = [abs(each[end]) for each in self.inputs for end in ("min", "max") if end in each]
        return max(found, default=0.0)

    @property
    def is_sound(self) -> bool:
        """Weights and values were of ordinary size: it was not a training that had blown up already."""
        return self.largest_weight < LARGE_WEIGHT and self.largest_input < LARGE_VALUE

    @property
    def is_given_zero(self) -> bool:
        """The operator was given exact zeros and has no answer to them, whatever the weights."""
        operator = (self.operator or "").removeprefix("linalg_vector_")
        harmless = HARMLESS_ZERO.get(operator)
        given = any(each.get("zeros") for each in self.inputs if each.get("name") != harmless)
        return given and operator in UNDEFINED_AT_ZERO

    @property
    def where(self) -> str:
        """`module features.3 (ReLU)`, `the loss`, or what else is known."""
        if self.of_loss:
            return "the loss"
        module, kind = self.data.get("module"), self.data.get("type")
        if module:
            return f"{module} ({kind})" if kind else str(module)
        return f"the forward of {kind}" if kind else "a module that was not seen"


@remembered
def origins(facts: Facts) -> list[Origin]:
    """All that were seen, in their order."""
    return [Origin(event.step or 0, event.data) for event in facts.events("non-finite")]


def first_origin(facts: Facts, *directions: str) -> Origin | None:
    """The first of some directions."""
    return next((each for each in origins(facts) if each.direction in directions), None)


def origin_at(facts: Facts, step: int) -> Origin | None:
    """What made the loss no number at that step: seen then, or at the step before it."""
    return next((each for each in origins(facts) if step - 1 <= each.step <= step), None)


def rows_text(origin: Origin) -> str:
    """`in 1 of 32 examples of the batch (row 3; number 77 of the data set)`, empty where unknown."""
    count, batch = int(origin.data.get("row_count") or 0), origin.data.get("batch")
    if not count or not batch:
        return ""
    if count == batch and count > 1:
        return f", in all {count} examples of the batch"
    rows, examples = (list(origin.data.get(key) or [])[:SHOWN_ROWS] for key in ("rows", "examples"))
    more = ", …" if count > SHOWN_ROWS else ""
    known = f"row{'s' if count > 1 else ''} {', '.join(map(str, rows))}{more}"
    if examples:
        known += f"; number {', '.join(map(str, examples))}{more} of the data set"
    return f", in {count} of {batch} examples of the batch ({known})"


def range_text(facts: dict[str, Any]) -> str:
    """`8 × 64 values from -0.98 to 1.02, 3 of them zero`."""
    if "min" not in facts:
        return ""
    name = f"{facts['name']}: " if facts.get("name") else ""
    text = f"{name}values from {number(facts['min'])} to {number(facts['max'])}"
    if facts.get("zeros"):
        text += f", {facts['zeros']} of {facts['size']} zero"
    if facts.get("inf"):
        text += f", {facts['inf']} infinite"
    return text


def given_text(origin: Origin) -> str:
    """What the operator was given, in one clause."""
    parts = [text for each in origin.inputs[:3] if (text := range_text(each))]
    return f" It was given {'; '.join(parts)}." if parts else ""


def code_text(origin: Origin) -> str:
    """The user's own line."""
    code = origin.data.get("code")
    return f" The line is {code}" + ("." if code and not code.endswith(".") else "") if code else ""


def bad_text(facts: dict[str, Any]) -> str:
    """`NaN`, `infinity` or both, with how many."""
    nan, inf, size = (int(facts.get(key) or 0) for key in ("nan", "inf", "size"))
    kinds = [f"{count} {name}" for count, name in ((nan, "NaN"), (inf, "infinite")) if count]
    return f"{' and '.join(kinds)} of {size} values" if kinds else "NaN or infinity"
