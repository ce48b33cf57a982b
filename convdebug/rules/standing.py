"""Parameters that are trainable by their flag and stand still all the same: not held, never reached, never changed."""

import numpy as np

from convdebug.rules.facts import Facts, Table, remembered
from convdebug.rules.rule import SEVERITIES, Finding, Rule
from convdebug.rules.training import progress
from convdebug.rules.unregistered import judge_unregistered
from convdebug_sessions import Event, Remedy

ENOUGH_ROWS = 5  # measured steps
ENOUGH_STEPS = 5
ENOUGH_UNUSED = 50  # steps in which a layer was not used at all; it may have its turn later
NAMED = 3
ROWS_SINCE_THAWED = 1  # measured updates, all exactly zero; in a short run there are few
STEPS_SINCE_THAWED = 30  # before parameters are taken to stand still again: another optimizer may step now and then
HEAD = 1 / 3  # of the layers: so few that are trained, at the end of the network, are a head on frozen features


@remembered
def _order(facts: Facts) -> list[str]:
    """The parameters in forward order where the layers are known, else in the order of the model."""
    listed = [each["name"] for each in facts.info.get("parameters") or []]
    seen = [name for layer in facts.info.get("layers") or [] for name in layer.get("parameters", ())]
    place = {name: index for index, name in enumerate(seen)}
    return sorted(listed, key=lambda name: place.get(name, len(seen)))


@remembered
def _matrices(facts: Facts) -> set[str]:
    """The parameters with two dimensions or more: what a layer cannot do without."""
    return {each["name"] for each in facts.info.get("parameters") or [] if len(each["shape"]) >= 2}


@remembered
def _never_changed(facts: Facts) -> set[str]:
    """Those whose update was exactly 0 at all measured steps."""
    ratios = facts.table("update", "ratio")
    if len(ratios) < ENOUGH_ROWS:
        return set()
    known = ~np.isnan(ratios.values)
    still = (known.sum(axis=0) >= ROWS_SINCE_THAWED) & (np.where(known, ratios.values, 0.0) == 0).all(axis=0)
    return {name for name, stands in zip(ratios.names, still, strict=True) if stands}


def _ever_received(table: Table) -> set[str]:
    if not len(table):
        return set()
    largest = np.where(np.isnan(table.values), 0.0, table.values).max(axis=0)
    return {name for name, norm in zip(table.names, largest, strict=True) if norm > 0}


def _last(facts: Facts, kind: str) -> Event | None:
    found = facts.events(kind)
    return found[-1] if found else None


def _layer(name: str) -> str:
    return name.rpartition(".")[0] or name


def _layers(names: list[str]) -> list[str]:
    return list(dict.fromkeys(_layer(name) for name in names))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


# parameters-not-in-optimizer


def judge_missing(facts: Facts) -> Finding | None:
    """Parameters of the model that nobody moves; else tensors that the model does not know to be its own."""
    own = [each for each in (_judge_thawed(facts), _judge_parameters(facts)) if each is not None]
    found = min(own, key=lambda each: SEVERITIES.index(each.severity), default=None)
    unregistered = judge_unregistered(facts)
    return found if unregistered is None or (found is not None and found.severity == "error") else unregistered


def _judge_parameters(facts: Facts) -> Finding | None:
    """Trainable parameters with gradients that no optimizer holds and that nobody moves by hand."""
    event = _last(facts, "membership")
    if event is None or facts.run.steps < ENOUGH_STEPS:
        return None
    received = _ever_received(facts.table("gradient", "norm"))
    ratios = facts.table("update", "ratio")
    moved = _ever_received(ratios.since(ratios.steps[0] + 1) if len(ratios) else ratios)
    missing = [name for name in _order(facts) if name in set(event.data["missing"]) & received - moved]
    if not missing:
        return None
    severity, meaning = _weight_of(facts, missing)
    meaning = f"They stay what they were at the start. {meaning}"
    return _found_missing(
        facts,
        severity,
        missing,
        meaning,
        0,
        (
            Remedy("Give the optimizer model.parameters(), after the last layer was added or replaced."),
            Remedy("If they are to stay as they are, say requires_grad_(False): that also saves their gradients."),
        ),
    )


def _judge_thawed(facts: Facts) -> Finding | None:
    """Parameters that were frozen and are thawed now, which says that they are to be trained; nobody moves them."""
    events = facts.events("membership")
    thawed = set(events[-1].data.get("thawed", ())) if events else set()
    if not thawed or facts.info.get("other_optimizer"):
        return None
    place = next(number for number, event in enumerate(events) if thawed & set(event.data.get("thawed", ())))
    frozen, since = (events[max(0, place - back)].step or 0 for back in (1, 0))
    if facts.run.steps - since < STEPS_SINCE_THAWED:
        return None
    still = _stood_since(facts, frozen) & _ever_received(facts.table("gradient", "norm").since(frozen))
    missing = [name for name in _order(facts) if name in thawed & still]
    if not missing:
        return None
    return _found_missing(
        facts,
        "error" if set(missing) & _matrices(facts) else "warning",
        missing,
        f"They were frozen before, were thawed by step {since}, and stay what they are: the optimizer was not told.",
        since,
        (
            Remedy("After thawing: optimizer.add_param_group({'params': ...}), or make the optimizer anew."),
            Remedy("Or give it all parameters from the start: those without a gradient are passed over."),
        ),
    )


def _stood_since(facts: Facts, step: int) -> set[str]:
    """Those whose updates since then were exactly 0; while a parameter is frozen nothing is measured of it."""
    ratios = facts.table("update", "ratio").since(step)
    known = ~np.isnan(ratios.values)
    still = (known.sum(axis=0) >= ROWS_SINCE_THAWED) & (np.where(known, ratios.values, 0.0) == 0).all(axis=0)
    return {name for name, stands in zip(ratios.names, still, strict=True) if stands}


def _found_missing(
    facts: Facts, severity: str, missing: list[str], meaning: str, since: int, remedies: tuple[Remedy, ...]
) -> Finding:
    count = len(facts.info.get("parameters") or missing)
    return Finding(
        severity,
        f"{len(missing)} of {count} parameters require gradients and receive them, but no optimizer holds them: "
        f"{_listed(missing)}. {meaning}",
        layer=_layer(missing[0]),
        layers=tuple(_layers(missing)),
        first_step=since,
        last_step=max(0, facts.run.steps - 1),
        evidence={"missing": float(len(missing)), "parameters": float(count)},
        remedies=remedies,
    )


def _weight_of(facts: Facts, missing: list[str]) -> tuple[str, str]:
    held = [each["name"] for each in facts.info.get("parameters") or [] if each["in_optimizer"] and each["trainable"]]
    if not held:
        return "error", "The optimizer holds none of this model's parameters: was the model made anew after it?"
    if _is_trained_head(_order(facts), missing, held):
        return "info", "Only the last layers are trained, which seems meant."
    if not set(missing) & _matrices(facts):
        return "warning", "No weight matrix is among them."
    return "error", ""


def _is_trained_head(order: list[str], missing: list[str], held: list[str]) -> bool:
    place = {name: index for index, name in enumerate(order)}
    before = max(place[name] for name in missing) < min(place.get(name, 0) for name in held)
    layers = len(_layers(missing + held))
    return before and len(_layers(held)) <= max(1.0, HEAD * layers)


# no-gradient


def judge_no_gradient(facts: Facts) -> Finding | None:
    """Parameters that an optimizer holds, that require gradients, and that no backward pass has reached."""
    never = _without_gradient(facts)
    if not never:
        return None
    ran = {layer["name"] for layer in facts.info.get("layers") or []}
    whole = [layer for layer in _layers(never) if _is_whole(facts, layer, never)]
    cut_off = [layer for layer in whole if layer in ran or not ran]
    shown = cut_off or whole or _layers(never)
    unused = bool(ran) and shown[0] not in ran
    return Finding(
        "error" if cut_off else "warning",
        f"{len(never)} parameters require gradients and never received one: {_listed(never)}. "
        + (
            f"{shown[0]} is not used in the forward pass."
            if unused
            else f"{shown[0]} takes part in the forward pass, but its way to the loss is cut off."
        ),
        layer=shown[0],
        layers=tuple(_layers(never)),
        first_step=0,
        last_step=max(0, facts.run.steps - 1),
        evidence={"parameters": float(len(never)), "layers": float(len(whole))},
        remedies=(
            Remedy("Look for detach(), .data, .item(), numpy() or torch.no_grad() between this layer and the loss."),
            Remedy("Check that forward() uses the layer, and that its result is what the loss is computed from."),
            Remedy("If it is to rest, leave it out of the optimizer and say requires_grad_(False)."),
        ),
    )


def _without_gradient(facts: Facts) -> list[str]:
    event = _last(facts, "no-gradient")
    if event is None:
        return []
    listed = {each["name"]: each for each in facts.info.get("parameters") or []}
    ran = {layer["name"] for layer in facts.info.get("layers") or []}
    since = facts.run.steps - 1 - event.step if event.step is not None else 0
    over = facts.run.status != "running"

    def long_enough(name: str, waited: int) -> bool:
        used = _layer(name) in ran or not ran
        return waited + since >= (ENOUGH_STEPS if used or over else ENOUGH_UNUSED)

    waiting = event.data["never"]
    return [
        name
        for name, waited in waiting.items()
        if listed.get(name, {}).get("in_optimizer") and long_enough(name, waited)
        and not _is_left_out(facts, name, set(waiting), ran)
    ]  # fmt: skip


def _is_left_out(facts: Facts, name: str, waiting: set[str], ran: set[str]) -> bool:
    """A bias or scale of a layer that is never called, while the loss uses the layer's weights by themselves."""
    weights = {each for each in _matrices(facts) if _layer(each) == _layer(name)}
    return bool(ran) and _layer(name) not in ran and name not in weights and bool(weights - waiting)


def _is_whole(facts: Facts, layer: str, never: list[str]) -> bool:
    own = {each["name"] for each in facts.info.get("parameters") or [] if _layer(each["name"]) == layer}
    return own <= set(never) and bool(own & _matrices(facts))


# frozen-parameters


def judge_frozen(facts: Facts) -> Finding | None:
    """Parameters that an optimizer holds and that never change."""
    event = _last(facts, "membership")
    if event is None or facts.run.steps < ENOUGH_STEPS:
        return None
    switched_off = list(event.data["frozen"])
    resting = set(event.data.get("resting", []))
    listed = {each["name"] for each in facts.info.get("parameters") or [] if each["in_optimizer"] and each["trainable"]}
    still = [name for name in _order(facts) if name in listed & _never_changed(facts) & _matrices(facts) - resting]
    still = [] if facts.curve("train/loss").finite().values.size == 0 else still
    if still:
        return _found(facts, "warning", still, _reason(facts, still))
    if switched_off:
        odd = _amid_trained(facts, switched_off)
        reason = "Their requires_grad is off" + (", though layers before and after are trained." if odd else ".")
        return _found(facts, "warning" if odd else "info", switched_off, reason)
    if resting and len(resting & _never_changed(facts)) == len(resting):
        return _found(facts, "info", sorted(resting), "The learning rate of their group is 0.")
    return None


def _reason(facts: Facts, still: list[str]) -> str:
    received = _ever_received(facts.table("gradient", "norm"))
    if not received & set(still):
        return "No gradient reaches them, or it is exactly 0."
    return "They receive gradients, but the updates are 0: a learning rate of 0, or too small for their precision."


def _amid_trained(facts: Facts, frozen: list[str]) -> bool:
    """Whether a few frozen layers lie between trained ones, in a network that learns from the start.

    Frozen backbones come first, frozen word vectors and positions are no linear layers and no convolutions, adapters
    leave most of a network frozen; all of these are meant.
    """
    kinds = {layer["name"]: layer["kind"] for layer in facts.info.get("layers") or []}
    usual = [layer for layer in kinds if kinds[layer] == "Linear" or kinds[layer].startswith("Conv")]
    rest = {_layer(name) for name in frozen if name in _matrices(facts)}
    frozen_places = [place for place, layer in enumerate(usual) if layer in rest]
    if not frozen_places or len(frozen_places) >= len(usual) / 2:
        return False
    return any(layer not in rest for layer in usual[: frozen_places[0]]) and frozen_places[-1] < len(usual) - 1


def _moving(facts: Facts, still: list[str]) -> int:
    """How many weight matrices are trained beside those that stand still."""
    listed = {each["name"] for each in facts.info.get("parameters") or [] if each["in_optimizer"] and each["trainable"]}
    return len(listed & _matrices(facts) - set(still))


def _found(facts: Facts, severity: str, names: list[str], reason: str) -> Finding:
    layers = _layers(names)
    share = "" if progress(facts).learned else " The loss has not come far without them."
    return Finding(
        severity,
        f"The optimizer holds {len(names)} parameters that have not changed by a bit in {facts.run.steps} steps: "
        f"{_listed(names)}. {reason}{share if severity == 'warning' else ''}",
        layer=layers[0],
        layers=tuple(layers),
        first_step=0,
        last_step=max(0, facts.run.steps - 1),
        evidence={
            "parameters": float(len(names)),
            "layers": float(len(layers)),
            "moving": float(_moving(facts, names)),
        },
        remedies=(
            Remedy("If they are to be trained: requires_grad_(True), and make sure that the loss depends on them."),
            Remedy("If they are to rest: leave them out, optimizer(p for p in model.parameters() if p.requires_grad)."),
        ),
    )


MISSING = Rule(
    name="parameters-not-in-optimizer",
    title="Parameters are not in the optimizer",
    group="implementation",
    severities=("error", "warning", "info"),
    meaning="The network computes gradients for parameters that nobody uses: no optimizer holds them, so they stay "
    "random. Their gradients are not zeroed by optimizer.zero_grad() either, and grow.",
    causes="A layer added or replaced after the optimizer was made; layers thawed during the training, which the "
    "optimizer was not given; an optimizer given only a part of the network; layers in a plain list, whose parameters "
    "are not found.",
    remedies="Make the optimizer after the model is complete, from model.parameters().",
    source="Identity of parameters; what is in no list of parameters is met in the graph of the loss and in plain "
    "attributes of the model, twice, unmoved. Warning where no weight matrix is missing; info where only a head of at "
    "most a third of the layers is held, as in linear probing, unless the others were thawed during the training.",
    judge=judge_missing,
)

NO_GRADIENT = Rule(
    name="no-gradient",
    title="Parameters never receive a gradient",
    group="implementation",
    severities=("error", "warning"),
    meaning="Parameters that are to be trained are not reached by backward: the loss does not depend on them, or the "
    "path between is cut.",
    causes="detach(), .data or no_grad() in the forward pass; a layer that is defined and never called; a result that "
    "is computed and not used.",
    remedies="Follow the value from the layer to the loss.",
    source="Looked at after each backward pass. Error where a whole layer with weights runs and gets no gradient; a "
    f"layer that does not run at all is a warning, once the run is over or after {ENOUGH_UNUSED} steps.",
    judge=judge_no_gradient,
)

FROZEN = Rule(
    name="frozen-parameters",
    title="Parameters never change",
    group="implementation",
    severities=("warning", "info"),
    meaning="The optimizer holds weights that are, to the last bit, what they were at the start.",
    causes="requires_grad switched off, no gradient, a gradient of exactly zero (dead units, equal weights), a "
    "learning rate of zero or one too small for half precision.",
    remedies="Let the loss reach them, or leave them out of the optimizer.",
    source=f"Exactly equal at all measured steps, {ENOUGH_ROWS} at least. Info where it seems meant: requires_grad is "
    "off before the first trained layer or for most of the network, or the group's rate is 0.",
    judge=judge_frozen,
)
