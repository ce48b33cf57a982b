"""Gradient clipping cuts nearly every step."""

import numpy as np

from convdebug.rules.curves import level, number
from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Remedy

SHARE = 0.9
LEAST_ROWS = 40
WINDOW_ROWS = 500


def judge(facts: Facts) -> Finding | None:
    """Measured gradients before clipping against the limit."""
    size, limit = facts.curve("clipping/size"), facts.curve("clipping/limit")
    if len(size) < LEAST_ROWS or len(size) != len(limit):
        return None
    sizes, limits = size.values[-WINDOW_ROWS:], limit.values[-WINDOW_ROWS:]
    cut = np.nan_to_num(sizes, nan=np.inf) > limits
    if cut.mean() <= SHARE:
        return None
    return Finding(
        "info",
        f"Clipping cut the gradient at {cut.mean():.0%} of {len(cut)} measured steps: it is {number(level(sizes))}, "
        f"and {number(level(limits))} is allowed. Every step then has the same length, whatever the slope, and the "
        "learning rate means something else than it says.",
        first_step=int(size.steps[-len(sizes)]),
        last_step=int(size.steps[-1]),
        evidence={"share": float(cut.mean()), "size": level(sizes), "limit": level(limits)},
        remedies=(
            Remedy(f"Raise the limit above the usual size, to about {2 * level(sizes):.2g}, so that it cuts the rare "
                   "large ones; lower the rate if that diverges."),
        ),
    )  # fmt: skip


RULE = Rule(
    name="clipping-always-active",
    title="Gradient clipping cuts every step",
    group="updates",
    severities=("info",),
    meaning="Clipping is meant for rare, very large gradients. When it cuts nearly all of them, it has become a second "
    "learning rate: the step is always as long as the limit allows.",
    causes="A limit taken from another model, gradients of a loss that is summed instead of averaged, a limit for half "
    "precision before unscaling.",
    remedies="Choose the limit by looking at the norms: a little above most of them.",
    source="Pascanu et al. 2013 suggest a limit of half to ten times the average norm. More than "
    f"{SHARE:.0%} of the last {WINDOW_ROWS} measured steps ({LEAST_ROWS} at least); calls of torch.nn.utils are heard.",
    judge=judge,
)
