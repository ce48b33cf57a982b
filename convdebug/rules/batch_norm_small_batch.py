"""Batch normalization with statistics of only a few examples."""

import re

from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Remedy

LEAST_EXAMPLES = 8
ONE_VALUE = re.compile(r"Expected more than 1 value per channel when training, got input size \S*\[([\d, ]+)\]")


def judge(facts: Facts) -> Finding | None:
    """Batch-norm layers in training mode and the size of what they are given at once."""
    for crash in facts.events("crash"):
        found = ONE_VALUE.search(str(crash.data.get("message", "")))
        if found:
            return _single(found.group(1), crash.step or 0)
    batch = facts.info.get("pass_size") or facts.info.get("batch_size")
    layers = [each["name"] for each in facts.info.get("layers") or () if str(each.get("kind")).startswith("BatchNorm")]
    modes = facts.events("modes")
    if modes:
        layers = [name for name in layers if modes[-1].data.get(name, True)]
    if not batch or batch >= LEAST_EXAMPLES or not layers:
        return None
    more = f" and {len(layers) - 1} others" if len(layers) > 1 else ""
    return Finding(
        "warning",
        f"Batches have {batch} examples, and {layers[0]}{more} normalize with the mean and deviation of so few: the "
        "statistics jump from batch to batch, and the running averages used in evaluation do not fit them.",
        layer=layers[0],
        layers=tuple(layers),
        last_step=max(0, facts.run.steps - 1),
        evidence={"batch_size": float(batch), "layers": float(len(layers))},
        remedies=(
            Remedy("Use larger batches: 16 or more."),
            Remedy("Use group norm or layer norm, which do not look across the batch; accumulating gradients does not "
                   "help, as each small batch is still normalized by itself."),
        ),
    )  # fmt: skip


def _single(shape: str, step: int) -> Finding:
    return Finding(
        "error",
        f"A batch norm layer was given a single example (its input was {shape.replace(', ', ' × ')}) in training mode: "
        "one number has no deviation, and it raised.",
        first_step=step,
        last_step=step,
        evidence={"batch_size": 1.0},
        remedies=(
            Remedy("The last batch of an epoch holds what is left over: drop it with DataLoader(…, drop_last=True)."),
            Remedy("Use larger batches, and cut them into fewer pieces where gradients are accumulated."),
            Remedy("Call model.eval() before single examples are predicted."),
        ),
    )


RULE = Rule(
    name="batch-norm-small-batch",
    title="Batch norm on very small batches",
    group="implementation",
    severities=("error", "warning"),
    meaning="Batch normalization shifts and scales by the statistics of the batch. Those of a handful of examples are "
    "mostly noise, and evaluation, which uses averages over time, then sees other numbers than training did.",
    causes="Large pictures and little memory; a batch split over devices; gradient accumulation in small pieces.",
    remedies="Larger batches, group norm, layer norm, frozen batch norm (evaluation mode) in fine-tuning.",
    source='Lecture, "Batch Normalization": mean and variance over a mini-batch; Wu and He 2018, "Group Normalization" '
    f"(error grows quickly below 16). Fewer than {LEAST_EXAMPLES} examples in a forward pass; an error where torch "
    "raised for a single one.",
    judge=judge,
)
