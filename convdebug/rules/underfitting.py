"""Training and validation are equally poor, and both have stopped improving; or the network can do no better."""

import math

import numpy as np

from convdebug.rules.bottleneck import GOOD, LEAST_CLASSES, judge_bottleneck
from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.training import accuracy, progress
from convdebug_sessions import Remedy

LEAST_EVALUATIONS = 10
POOR = 0.7
NO_GAP = 0.03
STILL_RISING = 0.005  # of the validation accuracy, over the same evaluations
FLAT = 0.01  # of the validation loss, over the last third of the evaluations


def judge(facts: Facts) -> Finding | None:
    """What the network is built to lose; else what its curves say."""
    return judge_bottleneck(facts) or _judge_curves(facts)


def _judge_curves(facts: Facts) -> Finding | None:
    """No gap, poor accuracy, flat curves, in a network that learned something."""
    losses, accuracies = facts.curve("val/loss").finite(), facts.curve("val/accuracy").finite()
    if len(losses) < LEAST_EVALUATIONS or not len(accuracies) or not progress(facts).learned:
        return None
    _, training = accuracy(facts)
    validation = float(accuracies.values[-1])
    third = losses.values[-max(3, len(losses) // 3) :]
    flat = np.ptp(third) < 2 * FLAT * third.mean() and third[0] - third[-1] < FLAT * third[0]
    rising = accuracies.values[-len(third) :].max() - accuracies.values[-len(third)] > STILL_RISING
    if rising or not math.isfinite(training) or training > POOR or training - validation > NO_GAP or not flat:
        return None
    return Finding(
        "info",
        f"Training accuracy {training:.2f} and validation accuracy {validation:.2f} are equally poor and no longer "
        "improve. Without a gap, more capacity or longer training helps, more regularization does not.",
        first_step=int(losses.steps[-len(third)]),
        last_step=int(losses.steps[-1]),
        evidence={"train_accuracy": training, "val_accuracy": validation},
        remedies=(Remedy("A larger network, less regularization, or a higher learning rate at first."),),
    )


RULE = Rule(
    name="underfitting",
    title="Underfitting",
    group="generalisation",
    severities=("warning", "info"),
    meaning="The network does no better on the examples it trains on than on new ones, and does not do well on either. "
    "A warning where it is built so: what makes the scores of all classes is given a single number of each example.",
    causes="A network that is too small or too narrow in one place, too much regularization or augmentation, a rate "
    "that decayed too early.",
    remedies="More capacity, less regularization, a longer or faster training.",
    source=f'Lecture, "Monitor and visualize the accuracy": no gap, increase the capacity. Accuracies below {POOR} '
    f"within {NO_GAP} of each other, validation loss flat over its last third. Or one input to a last layer of "
    f"{LEAST_CLASSES} classes or more behind other layers, from the shapes of its weights; an info above a training "
    f"accuracy of {GOOD}.",
    judge=judge,
)
