"""Training accuracy rises, by memory, while validation never beats guessing."""

import math

import numpy as np

from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import accuracy
from convdebug_sessions import Remedy

LEAST_EVALUATIONS = 4
LEAST_GAINED = 0.3  # training accuracy above chance: by now it would show in validation
LEAST_EXAMPLES_A_CLASS = 20  # fewer teach nothing about new ones, whatever their labels
TIMES_CHANCE = 1.5
ABOVE_CHANCE = 0.05
NOISE = 0.02  # of an accuracy over some hundred examples
TOGETHER = 3  # successive evaluations: the best of many single ones is a matter of luck


def judge(facts: Facts) -> Finding | None:
    """The best of several validation accuracies against chance, while training accuracy left it far behind."""
    validation = facts.curve("val/accuracy").finite()
    chance, (_, training) = chance_accuracy(facts), accuracy(facts)
    if len(validation) < LEAST_EVALUATIONS or not math.isfinite(chance) or _too_few(facts):
        return None
    if not training > chance + LEAST_GAINED or _lost(facts):
        return None
    best = float(np.convolve(validation.values, np.full(TOGETHER, 1 / TOGETHER), "valid").max())
    if best > min(TIMES_CHANCE * chance, chance + ABOVE_CHANCE) + NOISE:
        return None
    return Finding(
        "warning",
        f"Training accuracy has risen to {training:.2f}, and validation accuracy was never above {best:.2f} for "
        f"{TOGETHER} of {len(validation)} evaluations, where guessing gives {chance:.2f}. The network learns its "
        "examples by heart, and nothing in them carries over: the labels do not belong to the inputs.",
        first_step=int(validation.steps[0]),
        last_step=int(validation.steps[-1]),
        evidence={"train_accuracy": training, "best_val_accuracy": best, "chance": chance},
        remedies=(
            Remedy("Look at some training examples beside their labels: were inputs and labels sorted, shuffled or "
                   "filtered separately?"),
            Remedy("Compare the two splits: the same label numbers, preprocessing and order of classes?"),
        ),
    )  # fmt: skip


def _lost(facts: Facts) -> bool:
    """Whether validation gives no numbers: answers that are NaN are wrong whatever the labels."""
    loss = facts.curve("val/loss").values
    return len(loss) > 0 and not np.isfinite(loss).any()


def chance_accuracy(facts: Facts) -> float:
    """What always giving the most frequent answer gives, as far as it is known; NaN without classes."""
    classes = facts.info.get("num_classes")
    if not classes or classes < 2:
        return math.nan
    shares = [1 / classes]
    for event in facts.survey("classes"):
        counts = np.array(list((event.data.get("counts") or {}).values()), float)
        shares += [float(counts.max() / counts.sum())] if counts.sum() else []
    return max(shares)


def _too_few(facts: Facts) -> bool:
    examples = (facts.info.get("data") or {}).get("train")
    return bool(examples) and examples < LEAST_EXAMPLES_A_CLASS * facts.info["num_classes"]


RULE = Rule(
    name="labels-unrelated-to-inputs",
    title="Labels do not belong to the inputs",
    group="data",
    severities=("warning",),
    meaning="The network gets better and better on the examples it trains on, and no better than guessing on new ones. "
    "A large network can learn any labels by heart, even random ones; only where labels follow from the inputs does "
    "anything carry over.",
    causes="Inputs and labels read in different orders, a shuffle of one without the other, wrong file names, labels "
    "of another data set, a validation split whose classes are numbered differently.",
    remedies="Look at examples with their labels, of both splits; check how they are joined.",
    source='Lecture, "Monitor and visualize the accuracy"; Zhang et al. 2017 (networks fit random labels). Training '
    f"accuracy {LEAST_GAINED} above chance, no validation accuracy above {TIMES_CHANCE} × chance (or {ABOVE_CHANCE} "
    f"above it) over {LEAST_EVALUATIONS} evaluations; also from the check `data`, where the same input has several "
    "labels.",
    judge=judge,
)
