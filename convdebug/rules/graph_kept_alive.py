"""The graphs of earlier steps are never freed, and memory grows with every step."""

import numpy as np

from convdebug.rules.facts import Curve, Facts
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Remedy

LEAST_ALIVE = 16
SHARE_ALIVE = 0.9  # of all graphs that were marked
MANY_ALIVE = 64  # at once, even if they are freed at the end of the epoch: nobody needs that many
LEAST_STEPS = 100
FEW_ALIVE = 4  # marks, where measuring is rare
STEPS_OF_FEW = 200  # over which every one of them has stayed: as many graphs are kept
KEPT = {"": "loss or output", "_inside": "batch of hidden values", "_aside": "loss or output"}
REMEDIES = (
    Remedy("Sum up loss.item() or loss.detach() instead of loss."),
    Remedy("Detach what is kept for later (outputs, hidden states), and evaluate under torch.no_grad()."),
)


def judge(facts: Facts) -> Finding | None:
    """Marks left in the graphs of measured steps, at their end or beginning, or of evaluations, still alive."""
    return (
        _kept(facts, "", "measured earlier steps")
        or _kept(facts, "_inside", "measured earlier steps")
        or _kept(facts, "_aside", "earlier evaluations")
    )


def _kept(facts: Facts, which: str, of: str) -> Finding | None:
    alive, marked = facts.curve(f"graph/alive{which}"), facts.curve(f"graph/marked{which}")
    if not len(alive) or alive.steps[-1] - alive.steps[0] < LEAST_STEPS:
        return None
    now, most = float(alive.values[-1]), float(alive.values.max())
    least = LEAST_ALIVE if alive.steps[-1] - alive.steps[0] < STEPS_OF_FEW else FEW_ALIVE
    if most < MANY_ALIVE and not (now >= least and now >= SHARE_ALIVE * marked.values[-1]):
        return None
    first = int(alive.steps[np.flatnonzero(alive.values <= 2)[-1]]) if (alive.values <= 2).any() else 0
    return Finding(
        "warning",
        f"The graphs of {most:.0f} of {marked.values[-1]:.0f} {of} are still in memory at step "
        f"{alive.steps[-1]}{_memory(facts.curve('memory/allocated'))}. Something keeps a reference to every "
        f"{KEPT[which]} together with all it was computed from.",
        first_step=first,
        last_step=int(alive.steps[-1]),
        evidence={"alive": most, "marked": float(marked.values[-1])},
        remedies=REMEDIES[::-1] if which else REMEDIES,
    )


def _memory(held: Curve) -> str:
    if len(held) < 2 or held.values[-1] <= held.values[0]:
        return ""
    return f"; memory went from {held.values[0] / 2**20:.0f} to {held.values[-1] / 2**20:.0f} MiB"


RULE = Rule(
    name="graph-kept-alive",
    title="Graphs of earlier steps are kept alive",
    group="implementation",
    severities=("warning",),
    meaning="Each loss remembers the graph by which it was computed. Normally that is freed when the step is over. "
    "Here it is kept, step after step, until memory runs out, often hours later.",
    causes="total_loss += loss, or a list of losses or outputs, without item() or detach(); a hidden state carried on "
    "from batch to batch; validation losses summed without no_grad.",
    remedies="item() or detach() for everything that outlives the step.",
    source="PyTorch's frequently asked questions: do not accumulate history across the training loop. Marks left in "
    f"the graphs of measured steps, or of evaluations with recorded gradients: {LEAST_ALIVE} and {SHARE_ALIVE:.0%} of "
    f"them alive after {LEAST_STEPS} steps ({FEW_ALIVE} after {STEPS_OF_FEW}), or {MANY_ALIVE} at once.",
    judge=judge,
)
