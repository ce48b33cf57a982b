"""The updates are so small that the loss barely moves."""

import math

import numpy as np

from convdebug.rules.curves import level, noise, number
from convdebug.rules.facts import Curve, Facts
from convdebug.rules.remedies import raise_rate, ratio_text
from convdebug.rules.rule import Finding, Rule, known
from convdebug.rules.training import (
    accuracy,
    base_rate,
    chance_loss,
    progress,
    update_ratio,
    warming_up,
    weight_gradients,
)
from convdebug_sessions import Remedy

TOO_SMALL = 1e-4  # of the weights; the lecture wants 1e-3
BARELY_MOVES = 0.01  # of the first loss over the whole run
BARELY_MOVES_AT_CHANCE = 0.05  # where all that was lost is what the first scores were worse than guessing
STEPS_TO_JUDGE = 50
STEPS_ARE_SMALL = 0.9  # share of the measured steps that have to be too small
STILL_POOR = 0.7  # of chance; below, the network is good already and small steps may be meant
HARDLY_ANY = 5e-5  # a twentieth of the usual size: a loss at chance has moved by its batches
NO_BETTER = 0.95  # × the loss of always answering with the mean label
ACCURACY_MOVED = 0.03
LONGEST_WARM_UP = 10_000  # steps, that of BERT and of the vision transformers
ENOUGH_OF_A_TRAINING = 1000  # rows of a run without a plan that ended in its warm-up, which may have been a trial
LEAST_OF_A_TRAINING = 100  # steps; a run that ends sooner in its warm-up was a trial
SHARE_OF_PLAN = 0.5  # a warm-up that lasts longer is most of the training


def judge(facts: Facts) -> Finding | None:
    """Tiny updates at nearly every step, a loss that does not move, and no warm-up that may yet end in time."""
    loss, ratio = facts.curve("train/loss"), _moving(update_ratio(facts))
    if len(loss) < STEPS_TO_JUDGE or len(ratio) < 3 or not np.isfinite(loss.values).all():
        return None
    if _no_gradient(facts):
        return None
    rises = warming_up(facts)
    if rises and _has_time_to_warm_up(facts, len(loss)):
        return None
    ratio = _at_the_present_rate(facts, ratio) if rises else ratio
    small = float((ratio.values < TOO_SMALL).mean())
    usual = level(ratio.values)
    now = progress(facts)
    nothing = usual < HARDLY_ANY and (now.stuck or now.now > NO_BETTER * now.guess)
    moves = not _barely_moves(facts, loss) and not nothing
    if small < STEPS_ARE_SMALL or moves or _good_already(facts, loss):
        return None
    return _warm_up_finding(facts, loss, usual) if rises else _finding(facts, loss, usual)


def _no_gradient(facts: Facts) -> bool:
    """Whether every gradient is exactly 0, and what moves the weights is their decay: no rate would help."""
    norms = weight_gradients(facts)
    return len(norms) > 0 and bool((np.nan_to_num(norms.values, nan=0.0) == 0).all())


def _has_time_to_warm_up(facts: Facts, rows: int) -> bool:
    """Whether a rate that still rises may yet get somewhere: the run goes on, or was cut short."""
    planned = facts.info.get("steps_planned")
    if planned:
        return bool(rows < SHARE_OF_PLAN * planned)
    if facts.run.status == "finished":
        return rows < LEAST_OF_A_TRAINING
    return rows < LONGEST_WARM_UP


def _at_the_present_rate(facts: Facts, ratio: Curve) -> Curve:
    """What the updates measured while the rate was lower would be now."""
    rate = facts.curve("train/lr").finite()
    then = rate.values[np.clip(np.searchsorted(rate.steps, ratio.steps), 0, len(rate) - 1)]
    return Curve(ratio.steps, ratio.values * rate.values[-1] / np.where(then > 0, then, rate.values[-1]))


def _moving(ratio: Curve) -> Curve:
    positive = np.isfinite(ratio.values) & (ratio.values > 0)
    return Curve(ratio.steps[positive], ratio.values[positive])


def _barely_moves(facts: Facts, loss: Curve) -> bool:
    """Whether it fell by less than its scatter or a hundredth; by less than a twentieth where it is at chance still."""
    width = max(5, len(loss) // 10)
    first, last = level(loss.values[:width]), level(loss.values[-width:])
    scatter = 3 * noise(loss.values) / math.sqrt(width)
    most = BARELY_MOVES_AT_CHANCE * abs(first)
    return first - last < (most if progress(facts).stuck else min(most, max(BARELY_MOVES * abs(first), scatter)))


def _good_already(facts: Facts, loss: Curve) -> bool:
    chance = chance_loss(facts)
    return math.isfinite(chance) and level(loss.values[-20:]) < STILL_POOR * chance


def _finding(facts: Facts, loss: Curve, usual: float) -> Finding:
    rate, first, last = base_rate(facts), level(loss.values[:5]), level(loss.values[-20:])
    at_rate = f" at a learning rate of {rate:g}" if math.isfinite(rate) else ""
    before, after = _accuracy_moved(facts)
    return Finding(
        "warning",
        f"The loss has barely moved: {first:.4f} at the start, {last:.4f} after {len(loss)} steps{at_rate}; "
        f"{ratio_text(usual)}. The steps are too small to learn in reasonable time. {_why_accuracy(before, after)}",
        first_step=int(loss.steps[0]),
        last_step=int(loss.steps[-1]),
        evidence=known(
            learning_rate=rate,
            first_loss=first,
            last_loss=last,
            update_ratio=usual,
            first_accuracy=before,
            last_accuracy=after,
        ),
        remedies=(
            raise_rate(facts, usual),
            Remedy("Sweep the rate on a log scale: a flat loss means too low, NaN too high."),
        ),
    )


def _warm_up_finding(facts: Facts, loss: Curve, usual: float) -> Finding:
    rates = facts.curve("train/lr").finite().values
    first, last = level(loss.values[:5]), level(loss.values[-20:])
    trial = not facts.info.get("steps_planned") and len(loss) < ENOUGH_OF_A_TRAINING
    return Finding(
        "info" if trial else "warning",
        f"The warm-up had not ended after {len(loss)} steps: the learning rate has risen to {number(rates[-1])} only, "
        f"and the loss has barely moved ({first:.4f} at the start, {last:.4f} now); {ratio_text(usual)}.",
        first_step=int(loss.steps[0]),
        last_step=int(loss.steps[-1]),
        evidence=known(learning_rate=float(rates[-1]), first_loss=first, last_loss=last, update_ratio=usual),
        remedies=(
            Remedy("Let the warm-up end within the first tenth of the training: compare its length with the steps."),
            Remedy("Check whether its length is given in steps, epochs or examples, and how often it is stepped."),
        ),
    )


def _accuracy_moved(facts: Facts) -> tuple[float, float]:
    """Accuracy at the start and now: of training or of validation, whichever rose more; NaN where none is known."""
    evaluated = facts.curve("val/accuracy").finite().values
    pairs = [accuracy(facts)] + ([(float(evaluated[0]), float(evaluated[-1]))] if len(evaluated) else [])
    return max(pairs, key=lambda pair: -math.inf if math.isnan(pair[0]) else pair[1] - pair[0])


def _why_accuracy(before: float, after: float) -> str:
    rose = after - before > ACCURACY_MOVED
    moved = (
        f"Accuracy rose from {before:.2f} to {after:.2f} all the same" if rose else "Accuracy may creep up all the same"
    )
    return (
        f"{moved}: the softmax probabilities are still almost equal, but accuracy asks only which is largest, and tiny "
        "nudges in the right direction already decide that."
    )


RULE = Rule(
    name="learning-rate-too-low",
    title="Learning rate is too low",
    group="updates",
    severities=("warning",),
    meaning="Each update changes the weights by so little that the loss stays where it began. The accuracy may creep "
    "up nevertheless: with softmax the probabilities are still nearly equal, yet which of them is largest is decided "
    "by differences however small.",
    causes="A rate copied from another optimizer or another scale of inputs; a schedule that has decayed too early; a "
    "rate divided by the batch size once too often; a warm-up that is longer than the training.",
    remedies="Raise the rate by as much as the update ratio is below 0.001, or tenfold until the loss moves; sweep it "
    "on a log scale.",
    source='Lecture, "Loss barely changing: Learning rate is probably too low. Notice train/val accuracy goes to 20% '
    f'though" and "Track the ratio of weight updates / weight magnitudes". Update ratio below {TOO_SMALL:g} at '
    f"{STEPS_ARE_SMALL:.0%} of the measured steps, loss fell by less than {BARELY_MOVES:.0%} or its scatter, by less "
    f"than {BARELY_MOVES_AT_CHANCE:.0%} where it is still at chance. While the rate rises, only where the run is over, "
    f"or half of its plan, or {LONGEST_WARM_UP} steps.",
    judge=judge,
)
