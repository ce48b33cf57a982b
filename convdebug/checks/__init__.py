"""The sanity checks: small experiments with a verdict. Importing the list loads no torch, running them does."""

import importlib
from typing import TYPE_CHECKING, Any

from convdebug.checks.table import CHECKS, Check, describe_checks, known_checks

if TYPE_CHECKING:
    from convdebug.checks.run import CheckReport, CheckResult, run_checks

__all__ = ["CHECKS", "Check", "CheckReport", "CheckResult", "describe_checks", "known_checks", "run_checks"]


def __getattr__(name: str) -> Any:
    if name in ("run_checks", "CheckReport", "CheckResult"):
        return getattr(importlib.import_module("convdebug.checks.run"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
