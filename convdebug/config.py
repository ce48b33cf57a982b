"""RunConfig: everything needed to repeat a run, validated; TOML on disk, JSON Schema for forms; loads no torch."""

import functools
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from convdebug.catalogue import TABLES, TORCHVISION, Entry
from convdebug.errors import UserError, nearest
from convdebug.settings import (
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    RegularizationConfig,
    ScheduleConfig,
    Section,
    TrainConfig,
    WatchConfig,
)

CHOOSERS = ("data.name", "model.name", "optimizer.name", "schedule.name")
"""The keys whose catalogue entries bring settings along."""


class RunConfig(Section):
    """Everything needed to repeat a run. Settings that are not given come from the chosen catalogue entries."""

    data: DataConfig = Field(default=DataConfig(), title="Data")
    model: ModelConfig = Field(default=ModelConfig(), title="Model")
    optimizer: OptimizerConfig = Field(default=OptimizerConfig(), title="Optimizer")
    schedule: ScheduleConfig = Field(default=ScheduleConfig(), title="Schedule")
    regularization: RegularizationConfig = Field(default=RegularizationConfig(), title="Regularization")
    train: TrainConfig = Field(default=TrainConfig(), title="Training")
    watch: WatchConfig = Field(default=WatchConfig(), title="Watching")

    @model_validator(mode="before")
    @classmethod
    def _settings_of_the_entries(cls, tree: Any) -> Any:
        return nested(with_entry_settings(flattened(tree))) if isinstance(tree, Mapping) else tree

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "RunConfig":
        """From nested or dotted keys, or both; UserError in one line for whatever is wrong."""
        flat = flattened(given)
        for key in flat:
            refuse_unknown_key(key)
        try:
            return cls.model_validate(nested(flat))
        except ValidationError as error:
            raise UserError(explain(error)) from None

    @classmethod
    def load(
        cls, path: str | Path | None = None, sets: Sequence[str] = (), base: Mapping[str, Any] | None = None
    ) -> "RunConfig":
        """From ``base`` (or the defaults), then a TOML file, then each ``KEY=VALUE`` in turn."""
        given = flattened(base or {})
        if path is not None:
            given |= flattened(read_toml(path))
        for each in sets:
            given |= parse_set(each)
        return cls.of(given)

    def flat(self) -> dict[str, Any]:
        """Every setting under its dotted key."""
        return flattened(self.model_dump())

    def given(self) -> dict[str, Any]:
        """The settings that differ from what the defaults and the chosen entries would give, dotted."""
        flat = self.flat()
        chosen = {key: flat[key] for key in CHOOSERS}
        usual = RunConfig.of(chosen).flat()
        return chosen | {key: value for key, value in flat.items() if value != usual[key]}

    def changed(self, **changes: Any) -> "RunConfig":
        """Another config, with ``**{"optimizer.lr": 0.1}`` changed; settings left to an entry follow its new name."""
        return RunConfig.of({**self.given(), **changes})

    def save(self, path: str | Path) -> None:
        """Write all settings as TOML."""
        try:
            Path(path).write_text(self.toml(), encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}") from None

    def toml(self) -> str:
        """All settings as TOML text; what is not set is left out."""
        sections = []
        for section, settings in self.model_dump().items():
            lines = [f"{key} = {toml_value(value)}" for key, value in settings.items() if value is not None]
            sections.append("\n".join([f"[{section}]", *lines]))
        return "\n\n".join(sections) + "\n"

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """JSON Schema, one object a section and no references; ``live`` marks what may change during a run."""
        schema = super().model_json_schema()
        definitions = schema.pop("$defs")
        for section in schema["properties"].values():
            definition = definitions[section.pop("$ref").rpartition("/")[2]]
            section.pop("default", None)
            section.update({key: value for key, value in definition.items() if key != "title"})
            section["properties"] = {key: _one_type(field) for key, field in definition["properties"].items()}
        return schema

    @classmethod
    def model_json_schema(cls, *args: Any, **how: Any) -> dict[str, Any]:
        """The same as ``json_schema``, under pydantic's name."""
        return cls.json_schema()


def flattened(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables under dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as nested tables."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        section, _, name = key.rpartition(".")
        if section:
            tree.setdefault(section, {})[name] = value
        else:
            tree[name] = value
    return tree


def with_entry_settings(flat: dict[str, Any]) -> dict[str, Any]:
    """The same, with what the chosen catalogue entries bring where nothing is given."""
    settings: dict[str, Any] = {}
    for key in CHOOSERS:
        section, _, name = key.partition(".")
        default = RunConfig.model_fields[section].default
        entry = _entry(key, flat.get(key, getattr(default, name)))
        settings |= entry.settings if entry else {}
    return {**settings, **flat}


def _entry(key: str, name: Any) -> Entry | None:
    if isinstance(name, str) and name.startswith("torchvision:"):
        return TORCHVISION
    return TABLES[key].get(name) if isinstance(name, str) else None


def read_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file; UserError when it is missing, unreadable or broken."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist{_nearest_file(Path(path))}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a TOML file: it is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not valid TOML: {error}") from None


def _nearest_file(path: Path) -> str:
    return nearest(path.name, sorted(each.name for each in path.parent.glob("*.toml")))


def parse_set(text: str) -> dict[str, Any]:
    """``KEY=VALUE`` with a TOML value, or text where it is none, under its dotted keys."""
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key:
        raise UserError(f"{text!r} is not KEY=VALUE, for example optimizer.lr=0.01")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        parsed = {"value": value}
    return flattened({key: parsed["value"] if len(parsed) == 1 else value})


def toml_value(value: bool | float | str) -> str:
    """One value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


@functools.cache
def settings_schema() -> dict[str, dict[str, Any]]:
    """The schema of every setting under its dotted key."""
    sections = RunConfig.json_schema()["properties"]
    return {
        f"{name}.{key}": field for name, section in sections.items() for key, field in section["properties"].items()
    }


def live_keys() -> list[str]:
    """The keys that may change during a run."""
    return [key for key, field in settings_schema().items() if field.get("live")]


def _one_type(field: dict[str, Any]) -> dict[str, Any]:
    """A field that may be absent as one type list, ``["integer", "null"]``, instead of alternatives."""
    options = field.get("anyOf", [])
    if {"type": "null"} not in options:
        return field
    option = next(each for each in options if each != {"type": "null"})
    whole = {**field, **option, "type": [option["type"], "null"]}
    return {LIMIT_NAMES.get(key, key): value for key, value in whole.items() if key != "anyOf"}


def refuse_unknown_key(key: str) -> None:
    """UserError with the nearest key unless ``key`` is a setting."""
    keys = settings_schema()
    if key in RunConfig.model_fields:
        raise UserError(f"{key} is a section with settings of its own, for example {_first_key(key, keys)}")
    if key not in keys:
        word = key.rpartition(".")[2]
        same_word = [each for each in keys if each.endswith(f".{word}")]
        same_title = [each for each, field in keys.items() if field["title"].lower() == word.replace("_", " ").lower()]
        raise UserError(f"{key} is no setting{nearest(key, same_word or same_title or keys)}")


def _first_key(section: str, keys: Mapping[str, Any]) -> str:
    return next(key for key in keys if key.startswith(f"{section}."))


def explain(error: ValidationError) -> str:
    """The first of pydantic's complaints in one line: key, value, what is allowed, the nearest name."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"][:2])
    field = settings_schema()[key]
    near = nearest(first["input"], field["choices"]) if isinstance(first["input"], str) and "choices" in field else ""
    return f"{key} is {first['input']!r}; it must be {allowed(field)}{near}"


def allowed(field: Mapping[str, Any]) -> str:
    """What a setting may be, in words: ``a number of at least 0``."""
    if "choices" in field:
        return f"one of {', '.join(field['choices'])}"
    kind = field["type"][0] if isinstance(field["type"], list) else field["type"]
    words = {"integer": "a whole number", "number": "a finite number", "boolean": "true or false", "string": "text"}
    limits = [f"{word} {field[limit]:,}" for limit, word in LIMITS.items() if limit in field]
    return " ".join([words[kind], " and ".join(limits)]).strip()


LIMITS = {
    "minimum": "of at least",
    "exclusiveMinimum": "above",
    "maximum": "of at most",
    "exclusiveMaximum": "below",
}
"""JSON Schema's limits in words."""

LIMIT_NAMES = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
"""pydantic's own names, which it leaves on fields that may be absent."""
