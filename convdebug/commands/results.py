"""What a session holds, in the JSON of the interface and as lines for a terminal."""

from typing import Any

import numpy as np

from convdebug_sessions import Run, Session

FINAL = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")
AVERAGED_STEPS = 20
LATE = 0.7
"""From this share of the steps on: what is measured now and then must not be averaged with how it began."""


def runs_as_json(session: Session) -> list[dict[str, Any]]:
    """Every run with its status and its final numbers (train: mean of the last 20 recorded values of the last
    third; val: the last)."""
    return [run_as_json(session, run) for run in session.runs]


def run_as_json(session: Session, run: Run) -> dict[str, Any]:
    """One run as `diagnose --json` and `train --json` carry it."""
    names = set(session.series_names(run=run.id))
    final = {name.replace("/", "_"): _final(session, run, name) if name in names else None for name in FINAL}
    keys = {
        "id": run.id,
        "parent": run.parent,
        "kind": run.kind,
        "name": run.name,
        "status": run.status,
        "reason": run.reason,
    }
    return keys | {"steps": run.steps, "final": final}


def _final(session: Session, run: Run, name: str) -> float | None:
    steps, values = session.series(name, run=run.id, first=max(0, run.steps - 10 * AVERAGED_STEPS))
    if not len(values):
        steps, values = session.series(name, run=run.id)
    if not len(values):
        return None
    late = values[steps >= run.steps * LATE][-AVERAGED_STEPS:] if name.startswith("train/") else values[-1:]
    return float(np.mean(late if len(late) else values[-1:]))


def final_line(session: Session, run: Run) -> str:
    """One line: how the run ended, after how many steps, with which numbers."""
    final = run_as_json(session, run)["final"]
    shown = {
        "loss": final["train_loss"],
        "accuracy": final["train_accuracy"],
        "validation loss": final["val_loss"],
        "validation accuracy": final["val_accuracy"],
    }
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in shown.items() if value is not None)
    said = (run.reason or "").strip().splitlines()
    reason = f" ({said[0]}{' …' if len(said) > 1 else ''})" if said else ""
    return f"run {run.id} {run.name}: {run.status}{reason} after {run.steps} steps" + (
        f"; {numbers}" if numbers else ""
    )
