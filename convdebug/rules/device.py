"""A device that is there and unused, and a host that waits for its device at every step."""

import numpy as np

from convdebug.rules.curves import level
from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Remedy

WORTH_IT_S = 0.02  # a step; a network this small gains little from a device
LEAST_STEPS = 5
PHASES = ("forward", "backward", "optimizer", "step")
SYNC_ROWS = 20
SYNC_SHARE = 0.3  # of the step: below, the device is hardly ever idle because of it
SYNC_PERSISTENT = 0.9  # of the measured steps


def judge_idle(facts: Facts) -> Finding | None:
    """An accelerator in the machine, a model on the CPU, steps long enough to gain from it."""
    others = [str(name) for name in facts.info.get("accelerators") or ()]
    device = str(facts.info.get("device") or "")
    if not others or not device.lower().startswith("cpu"):
        return None
    curves = [facts.curve(f"time/{phase}").finite() for phase in PHASES]
    seconds = float(np.nansum([level(curve.values) for curve in curves if len(curve) >= LEAST_STEPS] or [0.0]))
    if seconds < WORTH_IT_S:
        return None
    return Finding(
        "info",
        f"The network computes on the CPU, {1000 * seconds:.0f} ms a step, while {', '.join(others[:4])} "
        f"{'is' if len(others) == 1 else 'are'} there and unused.",
        last_step=max(0, facts.run.steps - 1),
        evidence={"step_seconds": seconds, "devices": float(len(others))},
        remedies=(
            Remedy(f"Train with --device {others[0].split(':')[0]}; in your own loop move the model and every batch "
                   f"with .to('{others[0].split(':')[0]}')."),
        ),
    )  # fmt: skip


def judge_sync(facts: Facts) -> Finding | None:
    """Seconds that the host spent in `.item()`, `.cpu()` and their like, at nearly every measured step."""
    waited = facts.curve("time/sync").finite()
    whole = _wall(facts, waited.steps)
    known = np.isfinite(whole) & (whole > 0)
    if known.sum() < SYNC_ROWS:
        return None
    share, seconds = (waited.values / np.where(known, whole, 1.0))[known][-200:], waited.values[known][-200:]
    if (share > SYNC_SHARE).mean() < SYNC_PERSISTENT:
        return None
    calls = level(facts.curve("time/sync_calls").finite().values[-200:])
    return Finding(
        "info",
        f"The host waits for the device at each step: {1000 * np.median(seconds):.1f} ms ({np.median(share):.0%} of "
        f"the step) in about {calls:.0f} calls such as .item() or .cpu(). Meanwhile nothing new is queued, and the "
        "device idles at the start of the next step.",
        first_step=int(waited.steps[known][0]),
        last_step=int(waited.steps[known][-1]),
        evidence={"share": float(np.median(share)), "seconds": float(np.median(seconds)), "calls": calls},
        remedies=(
            Remedy("Keep running sums on the device and read them every fifty steps or so."),
            Remedy("Copy with non_blocking=True from pinned memory; print and log rarely."),
        ),
    )


def _wall(facts: Facts, steps: np.ndarray) -> np.ndarray:
    """Wall seconds `(steps)` of each of these steps, NaN where the step before it is unknown."""
    wall = facts.curve("time/wall").finite()
    if len(wall) < 2:
        return np.full(len(steps), np.nan)
    rows = np.clip(np.searchsorted(wall.steps, steps), 1, len(wall) - 1)
    follows = (wall.steps[rows] == steps) & (wall.steps[rows - 1] == steps - 1)
    return np.where(follows, wall.values[rows] - wall.values[rows - 1], np.nan)


IDLE = Rule(
    name="device-idle",
    title="A device is there and unused",
    group="throughput",
    severities=("info",),
    meaning="This machine has a GPU, and the network is trained on the CPU.",
    causes="The model or the batches were never moved to the device; a device chosen by hand; a torch without CUDA.",
    remedies="Move model and batches to the device before the optimizer is made.",
    source=f"Devices that torch counts, against where the parameters lie; steps of {1000 * WORTH_IT_S:g} ms and more.",
    judge=judge_idle,
)

SYNC = Rule(
    name="sync-bound",
    title="Host waits for the device at each step",
    group="throughput",
    severities=("info",),
    meaning="A GPU works through a queue while Python prepares what comes next. Asking for a number (.item(), .cpu(), "
    "print of a tensor, an if on one) stops Python until the queue is empty; then the GPU waits for Python.",
    causes="loss.item() or accuracy at every step, progress bars that show the loss, checks for NaN, masks built by "
    "Python conditions on tensors.",
    remedies="Keep sums on the device, read them now and then; non_blocking copies; torch.where instead of if.",
    source=f"Time in such calls above {SYNC_SHARE:.0%} of the step at {SYNC_PERSISTENT:.0%} of the measured steps; "
    "CUDA only, where the calls of torch.Tensor are heard.",
    judge=judge_sync,
)
