"""How results look on a terminal: verdicts, diagnoses with their consequences, JSON."""

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import click

from convdebug_sessions import Diagnosis, json_numbers

MARKS: dict[str, tuple[str, str, str | None]] = {
    "pass": ("✓", "ok", "green"),
    "warn": ("!", "!", "yellow"),
    "fail": ("✗", "X", "red"),
}
MARKS |= {"skip": ("–", "-", None), "error": ("✗", "X", "red")}
SEVERITIES = {"error": ("●", "E", "red"), "warning": ("●", "W", "yellow"), "info": ("○", "i", "blue")}


def print_json(document: Any) -> None:
    """One JSON document on standard output; numbers that are not finite become the texts that the interface names."""
    click.echo(json.dumps(json_numbers(document), indent=2, ensure_ascii=False, allow_nan=False))


def print_check(check: dict[str, Any]) -> None:
    """One line a check: mark, name, summary."""
    mark = _mark(*MARKS[check["status"]])
    _paragraph(f"  {mark} ", f"{check['id']:<27}", check["summary"], 31)


def print_diagnoses(diagnoses: Sequence[Diagnosis], *, heading: str = "Diagnoses") -> None:
    """Causes first, each followed by its consequences, indented."""
    click.echo(click.style(heading, bold=True))
    if not diagnoses:
        click.echo(f"  {_mark(*MARKS['pass'])} nothing found that is ill")
    present = {(diagnosis.run, diagnosis.rule) for diagnosis in diagnoses}
    for diagnosis in diagnoses:
        consequence = diagnosis.caused_by is not None and (diagnosis.run, diagnosis.caused_by) in present
        _print_diagnosis(diagnosis, 6 if consequence else 2)


def _print_diagnosis(diagnosis: Diagnosis, indent: int) -> None:
    mark = _mark(*SEVERITIES[diagnosis.severity])
    place = f" · {diagnosis.layer}" if diagnosis.layer else ""
    cause = f"  (consequence of {diagnosis.caused_by})" if diagnosis.caused_by else ""
    click.echo(f"{' ' * indent}{mark} {click.style(diagnosis.title, bold=True)}{place} [{diagnosis.rule}]{cause}")
    _paragraph(" " * (indent + 2), "", diagnosis.message, indent + 2)
    for remedy in diagnosis.remedies if not diagnosis.caused_by else ():
        _paragraph(" " * (indent + 2), _arrow(), remedy.text, indent + 4)


def _paragraph(lead: str, label: str, text: str, indent: int) -> None:
    width = min(shutil.get_terminal_size().columns, 120)
    visible = len(click.unstyle(lead)) + len(label)
    lines = textwrap.wrap(" " * visible + text, width, subsequent_indent=" " * indent, break_on_hyphens=False) or [""]
    click.echo(lead + label + lines[0][visible:])
    for line in lines[1:]:
        click.echo(line)


def _mark(symbol: str, plain: str, colour: str | None) -> str:
    return click.style(symbol if _unicode() else plain, fg=colour)


def _arrow() -> str:
    return "→ " if _unicode() else "> "


def _unicode() -> bool:
    return "utf" in (sys.stdout.encoding or "").lower()
