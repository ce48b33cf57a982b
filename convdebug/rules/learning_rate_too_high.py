"""The updates are so large that they throw the network about instead of improving it."""

import math
from dataclasses import dataclass, replace

import numpy as np

from convdebug.rules.curves import block_means, level, number, running_median
from convdebug.rules.facts import Curve, Facts, remembered
from convdebug.rules.loss_diverged import climbs_on_purpose, divergence
from convdebug.rules.origin import origin_at
from convdebug.rules.remedies import lower_rate, ratio_text
from convdebug.rules.rule import Finding, Rule, known
from convdebug.rules.training import (
    ENOUGH_STEPS,
    GOOD,
    LEARNED,
    Progress,
    first_loss,
    progress,
    rate_at,
    update_ratio,
)
from convdebug_sessions import Remedy

TOO_LARGE = 0.03  # 30 × the lecture's 1e-3; healthy runs showed at most 0.02 over their first steps
FAR_TOO_LARGE = 0.3  # a single update of a third of the weights
LARGE_FROM_THE_START = 0.06  # over the first rows, in a network that then learned nothing
LARGE_WHERE_IT_FELL_BACK = 0.1
BETTER_BEFORE = 0.96  # × the loss now, over a block of rows
BLOCK_ROWS = 5
STALE_STEPS = 3  # since the last measurement: the updates that did it were not seen
LARGE_BEFORE = 0.005
RAISED = 2.0  # × the rate at which updates were measured last
JUMP = 1.5  # × the first loss, after an update
JUMP_BY_ONE_UPDATE = 10.0  # × the first loss where no update ratio was measured
ILL_FROM_THE_START = 3.0  # × chance: what stays poor after such a first loss is the initialization's doing
ROSE = 1.02  # × the first loss and chance: tiny weights move by their whole size, and nothing is thrown about
STEADY = 1.05  # × what always answering with the mean label gives
EARLY_ROWS = 10
HAD_LEARNED = 0.5  # of the first loss, as the mean of a block of rows
ROWS_OF_A_MEAN = 10
BLOCKS_TO_JUDGE = 5  # the last ones, by their middle
FAR_JUMP = 100.0  # × the first loss: nothing was kept of what the network began with
FEW_OF_FIRST = 0.1  # of the first loss
THROWN = 3.0  # × the first loss and chance: the lecture's bound for a cost that has exploded
TIME_LOST = 0.25  # of the run, in blocks of rows above the first loss


@dataclass(frozen=True)
class Kick:
    """The updates before the onset: the largest ratio, that of the first rows, since when, and when last measured."""

    largest: float
    early: float
    step: int
    measured: int


def judge(facts: Facts) -> Finding | None:
    """A loss that is lost, or jumped and stayed poor, after updates far above 1e-3 of the weights."""
    loss, now = facts.curve("train/loss"), progress(facts)
    row = divergence(facts)
    if row is not None and climbs_on_purpose(facts):
        return None
    if row is not None:
        return _diverged(facts, loss, row)
    if now.stuck:
        return _stayed_poor(facts, loss, now)
    return _came_back_worse(facts, loss, now) or _crawls_back(facts, loss, now) or _climbed_back(facts, loss, now)


def _diverged(facts: Facts, loss: Curve, row: int) -> Finding | None:
    step = int(loss.steps[row])
    kick = _with_the_rate(facts, kick_before(update_ratio(facts), step), step)
    if row == 0 or not math.isfinite(first_loss(facts)):
        return None
    if _made_elsewhere(facts, loss, row, kick) or (not kick and not _jumped_at_once(loss, row)):
        return None
    if kick and kick.largest < TOO_LARGE and not _unseen(loss, row, kick):
        return None
    what = f"loss went from {number(first_loss(facts))} to {number(float(loss.values[row]))} at step {step}"
    return _finding(facts, what, min(step, kick.step) if kick else step, kick)


def _made_elsewhere(facts: Facts, loss: Curve, row: int, kick: Kick | None) -> bool:
    """Whether the engine saw a NaN being made while weights and values were of ordinary size.

    Updates that are far too large are to blame all the same, unless the loss fell under them until an operator was
    given a zero that it has no answer to.
    """
    found = None if np.isfinite(loss.values[row]) else origin_at(facts, int(loss.steps[row]))
    if found is None or not found.is_sound:
        return False
    return not (kick and kick.largest > FAR_TOO_LARGE) or (found.is_given_zero and _only_fell(loss.values[:row]))


def _only_fell(values: np.ndarray) -> bool:
    """Whether a loss never rose above its first, and had clearly fallen at last."""
    return bool(np.isfinite(values).all() and values.max() <= values[0] and values[-1] < LEARNED * values[0])


def _unseen(loss: Curve, row: int, kick: Kick) -> bool:
    """Whether the loss climbed away (no sudden NaN) between two measurements, after updates that were large already."""
    climbed = bool(np.isfinite(loss.values[row]))
    return climbed and loss.steps[row] - kick.measured > STALE_STEPS and kick.largest > LARGE_BEFORE


def _stayed_poor(facts: Facts, loss: Curve, now: Progress) -> Finding | None:
    kick = kick_before(update_ratio(facts), int(loss.steps[-1]), whole=True)
    if not kick or not _thrown_about(loss, now, kick):
        return None
    highest = _highest(loss)
    what = f"loss began at {number(now.start)}"
    if highest:
        what += f", rose to {number(float(loss.values[highest]))} at step {int(loss.steps[highest])}"
    what += f" and is {number(now.now)} now: no better than guessing"
    return _finding(facts, what, kick.step, kick)


def _highest(loss: Curve) -> int:
    """The row of the highest loss; 0 where it never rose above its first."""
    return int(np.argmax(np.where(np.isfinite(loss.values), loss.values, -np.inf)))


def _came_back_worse(facts: Facts, loss: Curve, now: Progress) -> Finding | None:
    """A loss thrown to a hundred times its first by far too large updates, and not below a tenth of it since."""
    kick = kick_before(update_ratio(facts), int(loss.steps[-1]), whole=True) if len(loss) else None
    if not kick or kick.largest < FAR_TOO_LARGE or not now.now > FEW_OF_FIRST * now.start:
        return None
    highest = _highest(loss)
    if not loss.values[highest] > FAR_JUMP * max(now.start, now.chance if math.isfinite(now.chance) else 0.0):
        return None
    what = f"loss was thrown from {number(now.start)} to {number(float(loss.values[highest]))} at step "
    what += f"{int(loss.steps[highest])}, and is {number(now.now)} now"
    return _finding(facts, what, kick.step, kick)


def _crawls_back(facts: Facts, loss: Curve, now: Progress) -> Finding | None:
    """A loss thrown to three times its first by far too large updates, above it for long, and hardly below it now."""
    kick = kick_before(update_ratio(facts), int(loss.steps[-1]), whole=True) if len(loss) else None
    begin = float(np.fmax(now.start, now.chance))
    if not kick or kick.largest < FAR_TOO_LARGE or now.rows < ENOUGH_STEPS:
        return None
    if not now.now > GOOD * np.fmin(now.start, now.chance) or now.start > ILL_FROM_THE_START * now.chance:
        return None
    highest = _highest(loss)
    above = float((running_median(loss.values, BLOCK_ROWS) > begin).mean())
    if not loss.values[highest] > THROWN * begin or above < TIME_LOST:
        return None
    what = f"loss was thrown from {number(now.start)} to {number(float(loss.values[highest]))} at step "
    what += f"{int(loss.steps[highest])}, stayed above its first for {above:.0%} of the run, and is {number(now.now)} "
    what += "now"
    return _finding(facts, what, kick.step, kick)


def _climbed_back(facts: Facts, loss: Curve, now: Progress) -> Finding | None:
    """A loss that fell to half and lies far above its first now, batch after batch, under updates far too large.

    Means of blocks: where half of the batches are answered perfectly and the others cost ten times the first loss, the
    middle one says nothing.
    """
    kick = kick_before(update_ratio(facts), int(loss.steps[-1]), whole=True) if len(loss) else None
    means = block_means(loss.values, ROWS_OF_A_MEAN)
    if not kick or kick.largest < TOO_LARGE or len(means) <= BLOCKS_TO_JUDGE:
        return None
    best, at_last = int(np.argmin(means)), level(means[-BLOCKS_TO_JUDGE:])
    if not 0 <= means[best] < HAD_LEARNED * now.start or not at_last > JUMP * np.fmax(now.start, now.chance):
        return None
    what = f"loss fell from {number(now.start)} to {number(means[best])} about step "
    what += f"{int(loss.steps[best * ROWS_OF_A_MEAN])}, and has climbed to {number(at_last)} since (means over "
    what += f"{ROWS_OF_A_MEAN} steps)"
    return _finding(facts, what, kick.step, kick)


def _thrown_about(loss: Curve, now: Progress, kick: Kick) -> bool:
    peak = np.nanmax(loss.values[np.isfinite(loss.values)])
    if now.start > ILL_FROM_THE_START * now.chance:
        return False
    begin = max(now.start, now.chance if math.isfinite(now.chance) else 0.0)
    jumped, rose = peak > JUMP * begin, peak > ROSE * begin
    fell_back = running_median(loss.values, BLOCK_ROWS).min() < BETTER_BEFORE * now.now
    as_good_as_guessing = now.at_guess and now.now < STEADY * now.guess  # what is thrown about is worse
    return (
        (kick.largest > FAR_TOO_LARGE and rose)
        or (kick.early > LARGE_FROM_THE_START and rose and not as_good_as_guessing)
        or (jumped and kick.largest > TOO_LARGE)
        or (fell_back and kick.largest > LARGE_WHERE_IT_FELL_BACK and not as_good_as_guessing)
    )


def kick_before(ratio: Curve, step: int, whole: bool = False) -> Kick | None:
    """The size of the updates shortly before that step, or over the `whole` time; None where none was measured.

    One that is infinite has no size: its gradient was, whatever the rate.
    """
    known = np.isfinite(ratio.values)
    steps, values = ratio.steps[known], ratio.values[known]
    if not len(steps):
        return None
    before = max(1, int(np.searchsorted(steps, step)))
    since = 0 if whole else int(np.searchsorted(steps, step - max(2 * EARLY_ROWS, step // 4)))
    window = slice(min(since, before - 1), before)
    large = np.flatnonzero(values[:before] > TOO_LARGE)
    first = int(steps[large[0]]) if len(large) else int(steps[window][0])
    return Kick(float(values[window].max()), level(values[:EARLY_ROWS]), first, int(steps[before - 1]))


def _with_the_rate(facts: Facts, kick: Kick | None, step: int) -> Kick | None:
    """The same where the rate has been raised since the updates were measured: those not seen were larger by that."""
    if kick is None:
        return None
    raised = rate_at(facts, step - 1) / rate_at(facts, kick.measured)
    return replace(kick, largest=kick.largest * raised, step=step - 1) if raised > RAISED else kick


def _jumped_at_once(loss: Curve, row: int) -> bool:
    if not np.isfinite(loss.values[row]):
        return row <= EARLY_ROWS
    return loss.values[row] > JUMP_BY_ONE_UPDATE * abs(loss.values[row - 1])


def _finding(facts: Facts, what: str, step: int, kick: Kick | None) -> Finding:
    rate = rate_at(facts, step)
    at_rate = f"At a learning rate of {rate:g} the" if math.isfinite(rate) else "The"
    ratio = f"; {ratio_text(kick.largest)}" if kick else ""
    return Finding(
        "error",
        f"{at_rate} {what}{ratio}. The steps overshoot: lower the rate first.",
        first_step=step,
        last_step=int(facts.curve("train/loss").steps[-1]),
        evidence=known(
            learning_rate=rate, first_loss=first_loss(facts), update_ratio=kick.largest if kick else math.nan
        ),
        remedies=(
            lower_rate(facts, kick.largest if kick else float("nan"), in_force=rate),
            Remedy("Sweep the rate on a log scale and take the largest that learns steadily, or warm it up."),
        ),
    )


@remembered
def has_high_rate(facts: Facts) -> bool:
    """Whether this rule fires, for rules that leave the finding to it."""
    return judge(facts) is not None


RULE = Rule(
    name="learning-rate-too-high",
    title="Learning rate is too high",
    group="updates",
    severities=("error",),
    meaning="Each update overshoots: the loss jumps above where it began, or to NaN, or is thrown to a place from "
    "which it never recovers. A good update changes the weights by about a thousandth of their size.",
    causes="A learning rate chosen for another optimizer, batch size or scale of inputs; no warm-up for a network "
    "that needs one; gradients that are never zeroed or a loss summed over the batch, which act like a larger rate.",
    remedies="Divide the rate by ten, or by as much as the update ratio is above 0.001; sweep it on a log scale; warm "
    "up; scale the inputs; use batch normalization, which allows higher rates.",
    source='Lecture, "loss exploding: learning rate too high" and "Track the ratio of weight updates / weight '
    f'magnitudes: want ~1e-3". Update ratio above {TOO_LARGE} with a loss above 3 × the first, NaN, or a jump above '
    f"{JUMP} × that ends at chance; above {FAR_TOO_LARGE} with a loss that ends at chance, or that rose to "
    f"{FAR_JUMP:g} × the first and is above a tenth of it, or to {THROWN:g} × the first, was above the first for "
    f"{TIME_LOST:.0%} of the run and is above {GOOD:g} × it now; above {TOO_LARGE} with a loss that fell below "
    f"{HAD_LEARNED:g} × the first and is above {JUMP} × the first now.",
    judge=judge,
)
