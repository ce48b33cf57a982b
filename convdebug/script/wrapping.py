"""Functions of torch with a word to us after each call: an optimizer was made, something was compiled."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch.optim.optimizer import Optimizer


def telling(original: Any, made: Callable[[Optimizer], None]) -> Any:
    """An `__init__` of optimizers that tells of each one when it is complete."""

    @functools.wraps(original)
    def __init__(self: Optimizer, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        made(self)

    return __init__


def telling_result(original: Any, told: Callable[[Any], None]) -> Any:
    """A `torch.compile` that tells of what it gives."""

    @functools.wraps(original)
    def compile(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        told(result)
        return result

    return compile
