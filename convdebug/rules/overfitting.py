"""Training goes on improving while validation has turned."""

import math
from dataclasses import dataclass

import numpy as np

from convdebug.rules.curves import level, number
from convdebug.rules.facts import Curve, Facts
from convdebug.rules.remedies import setting_remedy
from convdebug.rules.rule import Finding, Rule, known
from convdebug.rules.training import chance_loss, level_of_mean
from convdebug_sessions import Remedy

LEAST_EVALUATIONS = 4
EVALUATIONS_SINCE_BEST = 2
VALIDATION_ROSE = 1.10  # × its best; less is noise, and late overconfidence of healthy runs
TRAINING_FELL = 0.95  # × what it was when validation was best
ACCURACY_GAP = 0.10
ACCURACY_NOISE = 0.01
FAR_ABOVE = 1.5  # × the best validation loss: no longer a matter of confidence alone
WIDE_GAP = 0.15  # between the accuracies: with all training examples right, a gap says it alone
ALL_RIGHT = 0.98
ROWS_RIGHT = 3
ENOUGH_TO_STAND_STILL = 6  # evaluations
SAME_LOSS = 0.97  # of the validation loss before: less, and it is still getting better
BETTER = 0.03  # validation accuracy of the last quarter of the evaluations against the half before
SLIGHT = 0.08  # of chance or of the first validation loss: nearly all that was learned holds
MEANT_TO_MEMORIZE = 100  # training examples: a sanity check, not a training


@dataclass(frozen=True)
class Gap:
    """Losses at the best evaluation and now, and the accuracies now (NaN where not recorded)."""

    best_step: int
    last_step: int
    best: float
    validation: float
    training_then: float
    training_now: float
    training_accuracy: float
    validation_accuracy: float


def judge(facts: Facts) -> Finding | None:
    """Find the best evaluation; since then validation must have risen steadily while training fell."""
    validation = facts.curve("val/loss").finite()
    if len(validation) < LEAST_EVALUATIONS:
        return None
    best = int(np.argmin(validation.values))
    gap = _gap(facts, validation, best)
    if _knows_by_heart(facts, gap):
        return _finding(facts, gap)
    since = validation.values[best + 1 :]
    if len(since) < EVALUATIONS_SINCE_BEST or (since[-2:] < VALIDATION_ROSE * validation.values[best]).any():
        return None
    return _finding(facts, gap) if _has_turned(facts, gap) else None


def _knows_by_heart(facts: Facts, gap: Gap) -> bool:
    """Every training example is right, far fewer of the others are, and neither their loss nor accuracy gets better."""
    accuracy, loss = facts.curve("val/accuracy").finite().values, facts.curve("val/loss").finite().values
    right = facts.curve("train/accuracy").finite().values[-ROWS_RIGHT:]
    if len(accuracy) < ENOUGH_TO_STAND_STILL or len(right) < ROWS_RIGHT or right.mean() < ALL_RIGHT:
        return False
    if not gap.training_accuracy - gap.validation_accuracy > WIDE_GAP:
        return False
    now, before = _last_quarter(accuracy)
    loss_now, loss_before = _last_quarter(loss)
    return now < before + BETTER and loss_now > SAME_LOSS * loss_before


def _last_quarter(values: np.ndarray) -> tuple[float, float]:
    """The mean of the last quarter of some values and of the half before it."""
    quarter = max(1, len(values) // 4)
    return level_of_mean(values[-quarter:]), level_of_mean(values[-3 * quarter : -quarter])


def _gap(facts: Facts, validation: Curve, best: int) -> Gap:
    best_step, last_step = int(validation.steps[best]), int(validation.steps[-1])
    width = max(1, int(np.median(np.diff(validation.steps))))
    accuracy = facts.curve("val/accuracy").finite().values
    return Gap(
        best_step,
        last_step,
        float(validation.values[best]),
        float(validation.values[-1]),
        _mean_before(facts.curve("train/loss"), best_step, width),
        _mean_before(facts.curve("train/loss"), last_step, width),
        _mean_before(facts.curve("train/accuracy"), last_step, width),
        level(accuracy[-2:]),
    )


def _mean_before(curve: Curve, step: int, width: int) -> float:
    """Over the `width` steps up to `step`; where nothing was measured there, the last value before."""
    known = (curve.steps <= step) & np.isfinite(curve.values)
    inside = known & (curve.steps > step - width)
    return float(curve.values[inside].mean()) if inside.any() else level_of_mean(curve.values[known][-1:])


def _has_turned(facts: Facts, gap: Gap) -> bool:
    if not gap.training_now < TRAINING_FELL * gap.training_then:
        return False
    apart = gap.training_accuracy - gap.validation_accuracy
    if math.isfinite(apart) and apart < ACCURACY_GAP:
        return False
    return gap.validation > FAR_ABOVE * gap.best or not _still_rising(facts)


def _still_rising(facts: Facts) -> bool:
    """Whether validation accuracy is better over the last quarter of the evaluations than ever before."""
    values = facts.curve("val/accuracy").finite().values
    quarter = max(1, len(values) // 4)
    return len(values) > quarter and level(values[-quarter:]) > values[:-quarter].max() - ACCURACY_NOISE


def _finding(facts: Facts, gap: Gap) -> Finding:
    examples = _training_examples(facts)
    meant = examples is not None and examples <= MEANT_TO_MEMORIZE
    slight = _is_slight(facts, gap)
    meaning = "The network memorizes its training examples."
    if slight:
        meaning = "Against what knowing little costs that is slight."
    if meant:
        meaning = "With so few examples that is what one expects."
    return Finding(
        "info" if meant or slight else "warning",
        f"{_seen(gap)}. {meaning}",
        first_step=gap.best_step,
        last_step=gap.last_step,
        evidence=known(
            best_val_loss=gap.best,
            val_loss=gap.validation,
            train_loss=gap.training_now,
            train_accuracy=gap.training_accuracy,
            val_accuracy=gap.validation_accuracy,
        ),
        remedies=_remedies(facts, gap),
    )


def _is_slight(facts: Facts, gap: Gap) -> bool:
    """Whether validation rose little and lies hardly above training, measured by what knowing little costs."""
    chance, first = chance_loss(facts), float(facts.curve("val/loss").finite().values[0])
    apart = gap.training_accuracy - gap.validation_accuracy
    known = math.isfinite(chance)
    little = SLIGHT * (chance if known else first)
    below = min(gap.best, gap.training_now)
    far = not known and gap.validation > FAR_ABOVE * gap.best  # the first loss may be an offset that says nothing
    return gap.validation - below < little and not far and not apart > ACCURACY_GAP


def _seen(gap: Gap) -> str:
    accuracies = f"accuracy {gap.training_accuracy:.2f} in training, {gap.validation_accuracy:.2f} in validation"
    if gap.validation < VALIDATION_ROSE * gap.best:
        return f"At step {gap.last_step} {accuracies}, and validation no longer gets better"
    known = math.isfinite(gap.training_accuracy) and math.isfinite(gap.validation_accuracy)
    return (
        f"Validation loss was best at step {gap.best_step} ({number(gap.best)}) and is {number(gap.validation)} now, "
        f"while training loss went on from {number(gap.training_then)} to {number(gap.training_now)}"
        f"{f'; {accuracies}' if known else ''}"
    )


def _training_examples(facts: Facts) -> int | None:
    """How many there are, at most; None where nobody knows."""
    said = (facts.info.get("data") or {}).get("train")
    per_epoch, batch = facts.info.get("steps_per_epoch"), facts.info.get("batch_size")
    return said or (per_epoch * batch if per_epoch and batch else None)


def _remedies(facts: Facts, gap: Gap) -> tuple[Remedy, ...]:
    augmented = str(facts.setting("data.augmentation") or "none") != "none"
    dropout, decay = facts.setting("regularization.dropout"), facts.setting("optimizer.weight_decay")
    answer = (
        []
        if augmented
        else [setting_remedy(facts, "Augment the data: crops and flips.", data__augmentation="crop+flip")]
    )
    if not dropout:
        answer.append(setting_remedy(facts, "Add dropout.", regularization__dropout=0.5))
    if decay is not None and decay < 1e-3:
        answer.append(setting_remedy(facts, "Raise the weight decay.", optimizer__weight_decay=max(10 * decay, 5e-4)))
    return (*answer, Remedy(f"Stop early: the weights of step {gap.best_step} were the best. More data helps most."))


RULE = Rule(
    name="overfitting",
    title="Overfitting",
    group="generalisation",
    severities=("warning", "info"),
    meaning="The training loss goes on falling while the validation loss has turned and rises: what is still learned "
    "are peculiarities of the training examples.",
    causes="Too few examples for the size of the network, no augmentation, too little regularization, training too "
    "long.",
    remedies="Augmentation, weight decay, dropout, more data, early stopping, a smaller network.",
    source='Lecture, "Monitor and visualize the accuracy": a big gap means overfitting, increase the regularization. '
    f"Validation loss above {VALIDATION_ROSE} × its best at two evaluations while training fell below {TRAINING_FELL} "
    f"×, accuracies more than {ACCURACY_GAP} apart and validation accuracy no longer rising (or its loss above 1.5 × "
    f"the best). Or {ALL_RIGHT:.0%} of the training examples right, accuracies more than {WIDE_GAP} apart, and "
    f"validation accuracy and loss at a standstill. Info where validation lies less than {SLIGHT:.0%} of chance above "
    "its best and above training (where chance is unknown: of the first validation loss, and at less than "
    f"{FAR_ABOVE} × the best).",
    judge=judge,
)
