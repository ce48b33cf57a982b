"""A run that a person's own script made: nothing of it stands in the form, and only the script can start it again."""

from __future__ import annotations

from dataclasses import replace

from convdebug_gui.notices import Notice
from convdebug_sessions import Run

RUN_TIP = "This run comes from a script: start the script again, or begin a new run here (Ctrl+N)"
OWN_BATCHES = "The script makes its own batches"


def is_of_script(run: Run | None) -> bool:
    """Whether a run was made by a watched script rather than from a configuration or a target."""
    return run is not None and run.kind == "watch" and not run.config and ":" not in str(run.info.get("target"))


def form_words(run: Run) -> str:
    """What stands in the place of the form."""
    again = "convdebug run SCRIPT.py" if _untouched(run) else "the script, as before"
    optimizer = (run.info.get("optimizer") or {}).get("name")
    trained = ", ".join(str(part) for part in (run.name, optimizer) if part)
    return (
        f"A script of your own trains this{f' ({trained})' if trained else ''}: its data, model and settings stand "
        f"in the script and not here.\n\nAgain: start {again}.\nA run with this form: Ctrl+N."
    )


def fixed_fields(run: Run | None) -> dict[str, str]:
    """The live values that this run cannot change, and why."""
    return {"data.batch_size": OWN_BATCHES} if run is not None and is_of_script(run) and _untouched(run) else {}


def _untouched(run: Run) -> bool:
    return run.info.get("source") == "run"


def told_of_script(notice: Notice) -> Notice:
    """The notice of an ended training where Run cannot bring it back."""
    advice = notice.advice.replace("press Run.", "start the script again.")
    return replace(notice, advice=advice.replace("Press Run to start again", "Start the script again"), again=False)
