"""The fields of a configuration, read from the engine's JSON Schema; what is typed becomes a value or a sentence."""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

GROUPS = ("data", "model", "optimizer", "schedule", "regularization", "train", "watch")


@dataclass(frozen=True)
class Field:
    """One value of the configuration: its dotted key, what it may be, and how it is shown."""

    key: str
    title: str
    description: str
    kind: str  # number | integer | text | choice | switch | other
    default: Any
    optional: bool = False
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    unit: str = ""
    live: bool = False
    open_ended: bool = False  # the choices are the known names; others of the form NAME:REST are allowed
    choices: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return self.key.partition(".")[0]


def fields(schema: Mapping[str, Any]) -> list[Field]:
    """Every leaf of the schema, in its own order."""
    return list(_leaves(schema, schema, ""))


def _leaves(schema: Mapping[str, Any], node: Mapping[str, Any], prefix: str) -> Iterator[Field]:
    for name, raw in node.get("properties", {}).items():
        part = _resolved(schema, raw)
        key = f"{prefix}{name}"
        if "properties" in part:
            yield from _leaves(schema, part, f"{key}.")
        else:
            yield _field(key, part)


def _resolved(schema: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    """A node with its reference followed and `X or null` merged into X with `optional`."""
    merged = dict(node)
    for reference in [node.get("$ref"), *(part.get("$ref") for part in node.get("allOf", ()))]:
        if reference:
            target = schema["$defs"][reference.rpartition("/")[2]]
            merged = {**_resolved(schema, target), **merged}
    alternatives = [_resolved(schema, part) for part in node.get("anyOf", ())]
    real = [part for part in alternatives if part.get("type") != "null"]
    if real and len(real) < len(alternatives):
        merged["optional"] = True
    if len(real) == 1:
        merged = {**real[0], **merged}
    elif real and "type" not in merged:
        merged["type"] = [part.get("type") for part in real]
    return merged


def _field(key: str, part: Mapping[str, Any]) -> Field:
    choices = tuple(str(name) for name in part.get("enum", part.get("choices", part.get("examples", ()))))
    return Field(
        key=key,
        title=str(part.get("title") or key.rpartition(".")[2].replace("_", " ")),
        description=str(part.get("description", "")),
        kind=_kind(part, choices),
        default=part.get("default"),
        optional=bool(part.get("optional", False)) or "null" in _types(part),
        minimum=part.get("minimum"),
        maximum=part.get("maximum"),
        above=part.get("exclusiveMinimum"),
        below=part.get("exclusiveMaximum"),
        unit=str(part.get("unit") or ""),
        live=bool(part.get("live", False)),
        open_ended="enum" not in part,
        choices=choices,
    )


def _types(part: Mapping[str, Any]) -> list[str]:
    kind = part.get("type")
    return list(kind) if isinstance(kind, list) else [str(kind)]


def _kind(part: Mapping[str, Any], choices: tuple[str, ...]) -> str:
    kind = next((each for each in _types(part) if each != "null"), "None")
    if choices and kind in ("string", "None"):
        return "choice"
    return {"number": "number", "integer": "integer", "boolean": "switch", "string": "text"}.get(kind, "other")


def parse(field: Field, text: str) -> Any:
    """What was typed as a value of the field; a ValueError carries the sentence that is shown beside it."""
    text = text.strip()
    if not text or (field.optional and text == "none"):
        if field.optional:
            return None
        raise ValueError(
            "a value is needed" if field.default is None else f"a value is needed ({shown(field.default)})"
        )
    if field.kind in ("number", "integer"):
        return _in_range(field, _number(field, text))
    if field.kind == "switch":
        return _switch(text)
    if field.kind == "choice":
        return _choice(field, text)
    return text if field.kind == "text" else _other(text)


def _number(field: Field, text: str) -> float | int:
    try:
        value = float(text.replace("−", "-").replace("_", ""))
    except ValueError:
        hint = "use a point, not a comma" if re.fullmatch(r"[\d.]+,\d+", text) else "not a number"
        raise ValueError(hint) from None
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    if field.kind == "integer":
        if value != int(value):
            raise ValueError("must be a whole number")
        return int(value)
    return value


def _in_range(field: Field, value: float | int) -> float | int:
    if field.minimum is not None and value < field.minimum:
        raise ValueError(f"must be at least {shown(field.minimum)}")
    if field.maximum is not None and value > field.maximum:
        raise ValueError(f"must be at most {shown(field.maximum)}")
    if field.above is not None and value <= field.above:
        raise ValueError(f"must be above {shown(field.above)}")
    if field.below is not None and value >= field.below:
        raise ValueError(f"must be below {shown(field.below)}")
    return value


def _switch(text: str) -> bool:
    if text.lower() in ("true", "yes", "on", "1"):
        return True
    if text.lower() in ("false", "no", "off", "0"):
        return False
    raise ValueError("must be true or false")


def _choice(field: Field, text: str) -> str:
    if text in field.choices or (field.open_ended and ":" in text):
        return text
    near = difflib.get_close_matches(text, field.choices, 1, 0.4)
    raise ValueError(f"no {field.title.lower()} is called {text}" + (f"; did you mean {near[0]}?" if near else ""))


def _other(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def shown(value: Any) -> str:
    """A value as it stands in its field: 0.001 as 1e-3, true and false in words, nothing as empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _shown_number(value)
    return value if isinstance(value, str) else json.dumps(value)


def _shown_number(value: float) -> str:
    if value == 0 or (0.01 <= abs(value) < 100_000):
        return f"{value:.6g}"
    mantissa, _, exponent = f"{value:.6e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested configuration as dotted keys."""
    found: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping) and (not prefix or value):
            found.update(flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found


def as_toml(values: Mapping[str, Any]) -> str:
    """Dotted keys as a RUN.toml, a table a group; what has no value is left out."""
    tables: dict[str, list[str]] = {}
    for key, value in values.items():
        table, _, name = key.rpartition(".")
        if value is not None:
            tables.setdefault(table, []).append(f"{name} = {_toml(value)}")
    order = sorted(tables, key=lambda table: table != "")  # keys without a table must come first
    return "\n\n".join("\n".join(([f"[{table}]"] if table else []) + tables[table]) for table in order) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)  # strings, numbers and booleans are written alike


def from_toml(text: str) -> dict[str, Any]:
    """A RUN.toml as dotted keys; a ValueError names the line that cannot be read."""
    try:
        return flat(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not a TOML file: {error}") from None


def key_in(line: str, keys: list[str]) -> str | None:
    """The key that an engine's one-line complaint names first, else none."""
    found = {key: re.search(rf"(?<![\w.]){re.escape(key)}(?![\w])", line) for key in keys}
    places = {key: match.start() for key, match in found.items() if match is not None}
    return min(places, key=lambda key: (places[key], -len(key)), default=None)
