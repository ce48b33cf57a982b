"""A last layer that is given one number, from which it makes the scores of many classes."""

from typing import Any

from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding
from convdebug.rules.training import accuracy
from convdebug_sessions import Remedy

LEAST_CLASSES = 3  # one number tells two classes apart
GOOD = 0.7  # training accuracy: where the network manages to put its classes in a row


def judge_bottleneck(facts: Facts) -> Finding | None:
    """The head is a matrix (classes, 1) behind a layer of one unit, and nothing goes around it."""
    classes, shapes = facts.info.get("num_classes") or 0, _shapes(facts)
    layers = facts.info.get("layers") or []
    weighted = [place for place, layer in enumerate(layers) if _matrix(layer, shapes) is not None]
    if classes < LEAST_CLASSES or not _is_of_classes(facts) or len(weighted) < 2 or _is_one_feature(facts):
        return None
    head = layers[weighted[-1]]
    name = _matrix(head, shapes)
    if name is None or shapes[name] != [classes, 1] or layers[weighted[-1] - 1].get("units") != 1:
        return None
    if any(classes in shape for other, shape in shapes.items() if other != name and len(shape) > 1):
        return None  # another way to the scores
    return _finding(facts, head["name"], layers[weighted[-2]]["name"], classes)


def _finding(facts: Facts, head: str, before: str, classes: int) -> Finding:
    reached = accuracy(facts)[1]
    good = reached > GOOD
    then = f" It does well all the same, with an accuracy of {reached:.2f} in training." if good else ""
    return Finding(
        "info" if good else "warning",
        f"{head} makes the scores of {classes} classes out of a single number: all that the network finds in an "
        f"example has to pass through the one unit of {before}, which can only put the classes in a row.{then}",
        last_step=max(0, facts.run.steps - 1),
        layer=before,
        layers=(before, head),
        evidence={"width": 1.0, "classes": float(classes)},
        remedies=(Remedy(f"Give {before} more units: several times as many as there are classes, as a rule."),),
    )


def _shapes(facts: Facts) -> dict[str, list[int]]:
    return {each["name"]: list(each["shape"]) for each in facts.info.get("parameters") or []}


def _matrix(layer: dict[str, Any], shapes: dict[str, list[int]]) -> str | None:
    """The first parameter of a layer with two dimensions or more."""
    return next((name for name in layer.get("parameters") or () if len(shapes.get(name, ())) > 1), None)


def _is_of_classes(facts: Facts) -> bool:
    name = str((facts.info.get("loss") or {}).get("name", "")).lower().replace("_", "")
    of_classes = ("crossentropy" in name and "binary" not in name) or "nll" in name
    return of_classes or not {"loss/cross_entropy", "loss/nll_loss"}.isdisjoint(facts.names)


def _is_one_feature(facts: Facts) -> bool:
    """Whether an example is one number: then nothing is lost behind it."""
    shape = (facts.info.get("data") or {}).get("input_shape") or [0]
    return all(size == 1 for size in shape)
