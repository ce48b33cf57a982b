"""One self-contained HTML page of a session: no request leaves it, whatever its texts say."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from convdebug import __version__
from convdebug.checks import CHECKS
from convdebug.report import curves, depth, pictures, rates, summary
from convdebug.report.drawing import DARK, LIGHT, Board, board_settings
from convdebug_sessions import Run, Session

_RUNS_SHOWN = 8


@dataclass(frozen=True)
class Figure:
    """A plot with its title and what the header says at the right."""

    title: str
    note: str
    svg: Markup
    wide: bool = False
    keys: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class CheckView:
    """A line of the checks table."""

    title: str
    result: dict[str, Any]
    findings: list[summary.Finding]
    curve: Markup | None
    images: list[str]


@dataclass(frozen=True)
class RunView:
    """A training run with its figures, findings and pictures."""

    run: Run
    heading: str
    numbers: list[tuple[str, str]]
    findings: list[summary.Finding]
    figures: list[Figure] = field(default_factory=list)
    filters: pictures.Filters | None = None
    predictions: tuple[int, list[pictures.Prediction]] = (0, [])
    crash: dict[str, Any] | None = None
    config: list[tuple[str, str]] = field(default_factory=list)


def write(session: Session, path: str | Path) -> Path:
    """Write the report of a session to `path` and return it; OSError where it cannot be written."""
    target = Path(path)
    target.write_text(page(session), encoding="utf-8")
    return target


def page(session: Session) -> str:
    """The report as text."""
    rows = summary.check_rows(session)
    with board_settings():
        content = {
            "verdict": summary.verdict(session, rows),
            "checks": [_check_view(session, row) for row in rows],
            "sweeps": _sweep_figures(session, rows),
            "runs": [_run_view(session, run) for run in _runs_shown(session)],
        }
    return _template().render(**content, **_header(session), light=LIGHT, dark=DARK)


def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("convdebug.report", "page")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["shown"] = _shown
    return environment.get_template("report.html.jinja")


def _shown(value: Any) -> str:
    """A measured number as a person reads it."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.5g}"


def _header(session: Session) -> dict[str, Any]:
    runs = session.runs
    info = next((run.info for run in reversed(runs) if run.info.get("target")), {})
    started = datetime.fromtimestamp(runs[0].started).strftime("%Y-%m-%d %H:%M") if runs else ""
    return {
        "name": session.path.name,
        "target": str(info.get("target", "")),
        "device": str(info.get("device", "")),
        "started": started,
        "live": session.live,
        "version": __version__,
        "hidden_runs": max(0, len(summary.trainings(session)) - _RUNS_SHOWN),
    }


def _runs_shown(session: Session) -> list[Run]:
    return summary.trainings(session)[-_RUNS_SHOWN:]


def _check_view(session: Session, row: summary.CheckRow) -> CheckView:
    titles = {check.id: check.title for check in CHECKS}
    diagnoses = session.diagnoses(row.run.id)
    board = _small_figure(session, row)
    return CheckView(
        title=titles.get(row.result["id"], row.result["id"]),
        result=row.result,
        findings=summary.findings(diagnoses),
        curve=_markup(board, f"check{row.run.id}") if board else None,
        images=pictures.network_input(session, row.run),
    )


def _small_figure(session: Session, row: summary.CheckRow) -> Board | None:
    """What a check drew or its loss, else the loss of the one run it made."""
    made = [run for run in session.runs if run.parent == row.run.id]
    own = [row.run, *(made if len(made) == 1 else [])]
    found = (curves.small_figure(session, run) for run in own)
    return next((board for board in found if board is not None), None)


def _sweep_figures(session: Session, rows: Sequence[summary.CheckRow]) -> list[Figure]:
    figures = []
    for run, trials, suggestion in summary.sweeps(session, rows):
        board = rates.sweep_figure(trials, suggestion)
        if board is not None:
            keys = (("accent", "final loss"), ("good", "suggested"), ("error", "diverged"))
            note = str((suggestion or {}).get("why", ""))
            figures.append(Figure("Learning-rate sweep", note, _markup(board, f"sweep{run.id}"), True, keys))
    return figures


def _run_view(session: Session, run: Run) -> RunView:
    diagnoses = session.diagnoses(run.id)
    crashes = session.events(run.id, kinds={"crash"})
    return RunView(
        run=run,
        heading=f"Run {run.id} · {run.name or run.kind}",
        numbers=summary.last_numbers(session, run),
        findings=summary.findings(diagnoses),
        figures=_figures(session, run, curves.marks_of(session, run, diagnoses)),
        filters=pictures.filters(session, run),
        predictions=pictures.predictions(session, run),
        crash=crashes[-1].data if crashes else None,
        config=_flat(run.config or {}),
    )


def _figures(session: Session, run: Run, marks: curves.Marks) -> list[Figure]:
    both = (("accent", "train"), ("validation", "validation"))
    entries: list[tuple[str, str, Board | None, bool, tuple[tuple[str, str], ...]]] = [
        ("Loss", "", curves.loss_figure(session, run, marks), False, both),
        ("Accuracy", "", curves.accuracy_figure(session, run, marks), False, both),
        ("Activations", "coloured by depth, first layer dark", depth.activations_figure(session, run), True, ()),
        ("Gradient flow", "log₁₀ norm per layer · last step", depth.gradient_figure(session, run), False, ()),
        ("Update : weight", "log₁₀, aim −3", depth.update_figure(session, run), False, ()),
    ]
    return [
        Figure(title, note, _markup(board, f"run{run.id}-{index}"), wide, keys)
        for index, (title, note, board, wide, keys) in enumerate(entries)
        if board is not None
    ]


def _markup(board: Board, name: str) -> Markup:
    """SVG made by matplotlib, which escapes the texts in it."""
    return Markup(board.svg(re.sub(r"\W", "-", name)))


def _flat(config: dict[str, Any], head: str = "") -> list[tuple[str, str]]:
    rows = []
    for key, value in config.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{head}{key}.")
        elif value is not None:
            rows.append((f"{head}{key}", str(value)))
    return rows
