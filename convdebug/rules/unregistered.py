"""Layers that the model does not know of: they compute, receive gradients, and are in no optimizer."""

import math

from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding
from convdebug_sessions import Remedy

NAMED = 3


def judge_unregistered(facts: Facts) -> Finding | None:
    """Tensors of plain attributes that the loss depends on and that nobody moves."""
    events = facts.events("unregistered")
    if not events:
        return None
    shapes: dict[str, list[int]] = events[-1].data["tensors"]
    names = list(shapes)
    layers = tuple(dict.fromkeys(name.rpartition(".")[0] or name for name in names))
    shown = ", ".join(f"{name} {tuple(shapes[name])}" for name in names[:NAMED])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    size = sum(math.prod(shape) for shape in shapes.values())
    return Finding(
        "error" if any(len(shape) > 1 for shape in shapes.values()) else "warning",
        f"{len(names)} tensors with {size} values receive gradients, but are not registered in the model, so that "
        f"model.parameters() does not give them and no optimizer holds them: {shown}{more}. They stay what they were "
        "at the start, are not moved by to() and not saved by state_dict().",
        layer=layers[0],
        layers=layers,
        first_step=0,
        last_step=max(0, facts.run.steps - 1),
        evidence={"tensors": float(len(names)), "values": float(size)},
        remedies=(
            Remedy("Keep layers in nn.ModuleList or nn.ModuleDict and tensors in nn.Parameter or nn.ParameterList."),
            Remedy("If they are to stay as they are, say requires_grad_(False): that also saves their gradients."),
        ),
    )
