"""Numbers in JSON: those that are not finite travel as the texts "nan", "inf" and "-inf"."""

import json
import math
from pathlib import PurePath
from typing import Any

import numpy as np

from .errors import SessionError

_TEXTS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def json_number(value: Any) -> Any:
    """A number as strict JSON can hold it: 0.5 -> 0.5, nan -> "nan"."""
    plain = plain_value(value) if not isinstance(value, float) else value
    if isinstance(plain, float) and not math.isfinite(plain):
        return "nan" if math.isnan(plain) else ("inf" if plain > 0 else "-inf")
    return plain


def number_from_json(value: Any) -> Any:
    """The way back: "nan" -> nan; anything else stays as it is."""
    return _TEXTS.get(value, value) if isinstance(value, str) else value


def json_numbers(value: Any) -> Any:
    """`json_number` over everything inside dictionaries, lists and tuples."""
    if isinstance(value, dict):
        return {str(key): json_numbers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_numbers(item) for item in value]
    return json_number(value)


def numbers_from_json(value: Any) -> Any:
    """`number_from_json` over everything inside dictionaries and lists."""
    if isinstance(value, dict):
        return {key: numbers_from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [numbers_from_json(item) for item in value]
    return number_from_json(value)


def plain_value(value: Any) -> Any:
    """What JSON has no word for, in its nearest plain form (numpy numbers and arrays, paths, sets)."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    return value if isinstance(value, (str, int, float, bool, type(None))) else _as_text(value)


def _as_text(value: Any) -> str:
    return value.as_posix() if isinstance(value, PurePath) else str(value)


def dump(value: Any) -> str:
    """JSON inside the session, where Python's own NaN and Infinity are read back as they were."""
    return json.dumps(value, default=plain_value, separators=(",", ":"))


def load(text: Any, kind: type, what: str) -> Any:
    """JSON that came out of a file, perhaps a stranger's: it must parse and be of the expected kind."""
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise SessionError(f"the session is damaged: {what} is not readable JSON") from error
    if not isinstance(value, kind):
        raise SessionError(f"the session is damaged: {what} should be a JSON {kind.__name__}")
    return value


def as_array(data: object, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    """Little-endian numbers out of a file, perhaps a stranger's: their size must fit the shape."""
    if not isinstance(data, bytes) or len(data) != math.prod(shape) * np.dtype(dtype).itemsize:
        raise SessionError("the session is damaged: a block of numbers has the wrong size")
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(shape)
