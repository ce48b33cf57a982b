"""What ails the loops of drawn trainings: what they leave out, what they give the optimizer, and their modes."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from . import drawn_faults as faults
from . import drawn_loops as loops
from . import drawn_material_ailments
from .drawn_ailments import AILMENTS, Afflicted, ailment, has_modes, plainly, shaped
from .drawn_trainings import NORMED, Plan

__all__ = ["AILMENTS", "drawn_material_ailments"]


@ailment("gradients never zeroed", 4, "gradients-accumulate", in_principle=True)
def _(plan: Plan, rng: Random) -> Afflicted:
    return replace(replace(plan, accumulate=1).regimen(), zero=False), "no zero_grad"


@ailment("gradients zeroed at each epoch", 2, "gradients-accumulate", in_principle=True)
def _(plan: Plan, rng: Random) -> Afflicted:
    return plainly(plan, loop=loops.zeroed_each_epoch), "outer loop"


@ailment("gradients zeroed before the step", 2, "frozen-parameters", "no-gradient", "optimizer-not-stepping")
def _(plan: Plan, rng: Random) -> Afflicted:
    return plainly(plan, loop=loops.zeroed_too_late), "too late"


@ailment("the step forgotten", 3, "optimizer-not-stepping")
def _(plan: Plan, rng: Random) -> Afflicted:
    scheduled = replace(plan, schedule=rng.choice(("none", "cosine"))).regimen()
    return replace(scheduled, update=False), "no step"


@ailment("gathering gradients for longer than an epoch", 1, "optimizer-not-stepping")
def _(plan: Plan, rng: Random) -> Afflicted:
    return plainly(plan, loop=loops.never_due), "never due"


@ailment("evaluation mode all along", 3, "eval-mode-while-training", in_principle=True, suits=has_modes)
def _(plan: Plan, rng: Random) -> Afflicted:
    return replace(plan.regimen(), training_mode=False), "eval"


@ailment(
    "evaluation mode from the first validation on", 2, "eval-mode-while-training", in_principle=True, suits=has_modes
)
def _(plan: Plan, rng: Random) -> Afflicted:
    return plainly(plan, loop=loops.evaluating_for_good), "stays"


@ailment("validation in training mode", 3, "train-mode-while-validating", in_principle=True, suits=has_modes)
def _(plan: Plan, rng: Random) -> Afflicted:
    return replace(plan.regimen(), evaluation_mode=False), "train"


@ailment("dropout that is never switched off", 1, "train-mode-while-validating", in_principle=True)
def _(plan: Plan, rng: Random) -> Afflicted:
    always = replace(shaped(plan, between=faults.always_dropped), half=False)
    return always.regimen(), "F.dropout"


@ailment(
    "layers in a plain list", 2, "parameters-not-in-optimizer", in_principle=True,
    suits=lambda plan: plan.family in ("mlp", "batchnorm", "transformer") and plan.shape.written == "class",
)  # fmt: skip
def _(plan: Plan, rng: Random) -> Afflicted:
    return plainly(plan, alter=faults.in_a_list), "list"


@ailment("a new head after the optimizer", 2, "parameters-not-in-optimizer", in_principle=True)
def _(plan: Plan, rng: Random) -> Afflicted:
    return plainly(plan, trained=faults.before_a_new_head), "replaced"


@ailment("a part not handed to the optimizer", 3, "parameters-not-in-optimizer", in_principle=True)
def _(plan: Plan, rng: Random) -> Afflicted:
    which, named = rng.choice(((faults.head_alone, "head alone"), (faults.all_but_the_head, "no head")))
    return plainly(plan, trained=which), named


@ailment("an optimizer of another model", 1, "parameters-not-in-optimizer")
def _(plan: Plan, rng: Random) -> Afflicted:
    return plainly(plan, trained=faults.of_a_copy), "deepcopy"


@ailment(
    "frozen and never thawed", 3, "frozen-parameters", in_principle=True, suits=lambda plan: plan.family != "recurrent"
)
def _(plan: Plan, rng: Random) -> Afflicted:
    which, named = rng.choice(((faults.frozen_middle, "half"), (faults.frozen_weights, "weights")))
    return replace(plan, initialize=which).regimen(), named


@ailment("a graph kept alive", 2, "graph-kept-alive", in_principle=True)
def _(plan: Plan, rng: Random) -> Afflicted:
    return replace(replace(plan, steps=max(plan.steps, 200)).regimen(), keep_graph=True), "total += loss"


@ailment(
    "batch norm of very few", 2, "batch-norm-small-batch", in_principle=True, suits=lambda plan: plan.family in NORMED
)
def _(plan: Plan, rng: Random) -> Afflicted:
    batch = rng.choice((2, 3, 4))
    return replace(plan, batch=batch, steps=240, accumulate=1).regimen(), f"{batch}"
