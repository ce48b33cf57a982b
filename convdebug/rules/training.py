"""How a training goes, as several rules ask it: first and present loss, progress, rate, size of the updates."""

import math
from dataclasses import dataclass

import numpy as np

from convdebug.rules.curves import level
from convdebug.rules.facts import NOTHING, Curve, Facts, Table, remembered
from convdebug_sessions import Run

ENOUGH_STEPS = 30  # before that, no progress means nothing
LEARNED = 0.9  # of the first loss and of chance: below this the training has begun to work
GOOD = 0.75  # of chance: fine wherever it started
WARMING_UP = 1.5  # the rate now against the middle of the run
TOGETHER = 0.5  # of the time between its first and last step
STUCK = 0.97  # of the first loss and of chance: above this nothing has been learned
AT_GUESS = (0.95, 1.15)  # of what answering with the mean label gives, as far as some batches tell
FLAT_AT_GUESS = 0.03  # from the third to the last quarter of the run
ENOUGH_GUESSES = 5  # batches


@dataclass(frozen=True)
class Progress:
    """The loss at the start and now (medians over a few rows), against chance (NaN where that is unknown).

    `guess` is what a regression gets by always answering with the mean label, `at_guess` whether it stands there.
    """

    rows: int
    start: float
    now: float
    chance: float
    guess: float = float("nan")
    at_guess: bool = False

    @property
    def learned(self) -> bool:
        """The loss is clearly below its start and below chance, and does not stand at the mean label's."""
        if self.at_guess:
            return False
        return self.now < LEARNED * self._reference or self.now < GOOD * self.chance

    @property
    def stuck(self) -> bool:
        """After enough steps the loss is not finite, or where it started, or at chance."""
        if self.rows < ENOUGH_STEPS:
            return False
        at_start = self.now > STUCK * self._reference and not self.learned
        return not math.isfinite(self.now) or at_start or self.at_guess

    @property
    def _reference(self) -> float:
        return float(np.fmin(self.start, self.chance))


def maximizes(facts: Facts) -> bool:
    """Whether the optimizer was told to climb."""
    return bool((facts.info.get("optimizer") or {}).get("maximize"))


def is_reward(facts: Facts) -> bool:
    """Whether what is optimized is to rise: the optimizer climbs, and it is no loss function of torch by itself."""
    functions = [name for name in facts.names if name.startswith("loss/")]
    return maximizes(facts) and (len(functions) != 1 or "part" in (facts.info.get("loss") or {}))


@remembered
def progress(facts: Facts) -> Progress:
    """How far the loss has come; of a reward its negative."""
    if is_reward(facts):
        gained = -facts.curve("train/loss").values
        start, now = (level(part) if len(part) else float("nan") for part in (gained[:1], gained[-20:]))
        return Progress(len(gained), start, now, float("nan"))
    values = facts.curve("train/loss").values
    rows = len(values)
    recent = values[-max(1, min(50, rows // 10)) :]
    now = level(recent) if rows and np.isfinite(recent).mean() > 0.5 else float("nan")
    several = sum(name.startswith("loss/") for name in facts.names) > 1  # guessing says nothing about their sum
    several = several or "part" in (facts.info.get("loss") or {})  # nor where the loop adds something to a function
    chance = float("nan") if several or trains_beside_another(facts) else chance_loss(facts)
    guess = float("nan") if several or trains_beside_another(facts) else guess_loss(facts)
    return Progress(rows, first_loss(facts), now, chance, guess, _stands_at(guess, now, values))


@remembered
def guess_loss(facts: Facts) -> float:
    """The loss of always answering with the mean label, of a regression with one loss function; else NaN."""
    guesses = [name for name in facts.names if name.startswith("guess/")]
    if len(guesses) != 1 or (facts.info.get("loss") or {}).get("reduction", "mean") != "mean":
        return float("nan")
    values = facts.curve(guesses[0]).finite().values
    return level(values) if len(values) >= ENOUGH_GUESSES else float("nan")  # the middle one, as the loss now is


def _stands_at(guess: float, now: float, values: np.ndarray) -> bool:
    """Whether the loss is what the guess gives, and has been for a quarter of the run."""
    if not guess > 0 or not AT_GUESS[0] * guess < now < AT_GUESS[1] * guess:
        return False
    before, last = np.array_split(values, 4)[2:]
    return len(before) > 0 and level(before) - level(last) < FLAT_AT_GUESS * guess


@remembered
def first_loss(facts: Facts) -> float:
    """The loss before the first update: of the run's first ancestor where it was resumed; NaN if never finite.

    NaN too where another network trains at the same time: what a generator's loss is worth depends on its judge, so
    its level says nothing about progress.
    """
    if trains_beside_another(facts):
        return float("nan")
    values = facts.curve("train/loss").values
    first = float(values[0]) if len(values) else float("nan")
    run = facts.run
    while run.parent is not None and run.parent_step:
        run = facts.session.run(run.parent)
        if "train/loss" in facts.session.series_names(run.id):
            _, inherited = facts.session.series("train/loss", run.id, last=run.parent_step or 0)
            first = float(inherited[0]) if len(inherited) else first
    return first if math.isfinite(first) else float("nan")


@remembered
def trains_beside_another(facts: Facts) -> bool:
    """Whether another watched network of this session made its steps in the same time, as in a GAN."""
    began, ended = _active(facts, facts.run)
    others = [run for run in facts.session.runs if run.kind == facts.run.kind == "watch" and run.id != facts.run.id]
    shared = [min(ended, end) - max(began, begin) for begin, end in (_active(facts, run) for run in others)]
    return any(time > TOGETHER * (ended - began) for time in shared)


def _active(facts: Facts, run: Run) -> tuple[float, float]:
    """When a run made its first and its last step."""
    known = "time/wall" in facts.session.series_names(run.id)
    first, last = (facts.session.value("time/wall", step, run.id) if known else None for step in (0, run.steps))
    return run.started + (first[1] if first else 0.0), run.started + (last[1] if last else 0.0)


def begins_at_the_start(facts: Facts) -> bool:
    """Whether the run starts from fresh weights rather than from another run's checkpoint."""
    return not (facts.run.parent is not None and facts.run.parent_step)


@dataclass(frozen=True)
class Head:
    """One loss function on scores for so many classes: 0 where weights move what guessing gives."""

    function: str
    classes: int
    losses: Curve

    @property
    def chance(self) -> float:
        """What guessing gives, NaN where that is not known."""
        return math.log(self.classes) if self.classes > 1 else float("nan")


@remembered
def heads(facts: Facts) -> tuple[Head, ...]:
    """The losses of classes with which a run began, each with its first values."""
    names = [name for name in facts.names if name.startswith("class-loss/")]
    found = [Head(name.split("/")[1], int(name.split("/")[2]), facts.curve(name).finite()) for name in names]
    return tuple(each for each in found if len(each.losses))


@remembered
def chance_loss(facts: Facts) -> float:
    """What guessing gives: ln C for cross entropy over C classes, ln 2 for two-way losses, else NaN.

    NaN for a two-way loss that is summed: over how many outputs of each example is not known; for one with weights;
    and for the sum of several heads.
    """
    parts = heads(facts)
    if len(parts) > 1 or (parts and parts[0].function.startswith("binary") and not parts[0].classes):
        return float("nan")
    given = facts.info.get("expected_initial_loss")
    if given:
        return float(given)
    name = str((facts.info.get("loss") or {}).get("name", "")).lower().replace("_", "")
    if "bce" in name or "binarycrossentropy" in name:
        return float("nan") if (facts.info.get("loss") or {}).get("reduction") == "sum" else math.log(2)
    classes = facts.info.get("num_classes")
    return math.log(classes) if classes and classes > 1 and ("crossentropy" in name or "nll" in name) else float("nan")


@remembered
def accuracy(facts: Facts) -> tuple[float, float]:
    """Training accuracy over the first and over the last rows, NaN where it was not recorded."""
    values = facts.curve("train/accuracy").finite().values
    width = max(1, min(50, len(values) // 5))
    return level_of_mean(values[:width]), level_of_mean(values[-width:])


def level_of_mean(values: np.ndarray) -> float:
    """The mean, NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")


@remembered
def base_rate(facts: Facts) -> float:
    """The learning rate that was chosen: of the config, of the optimizer, or the largest recorded; else NaN.

    Of the optimizer that began to step last, where its rate is the training's.
    """
    rate = facts.setting("optimizer.lr") or (facts.info.get("optimizer") or {}).get("lr")
    recorded = facts.curve("train/lr").finite().values
    for event in facts.events("optimizer"):
        later = event.data.get("lr")
        if later and _took_over(facts.curve("train/lr").finite(), event.step or 0, float(np.float32(later))):
            rate = later
    if rate is None and len(recorded):
        rate = recorded.max()
    return float(rate) if rate else float("nan")


def _took_over(rates: Curve, step: int, rate: float) -> bool:
    """Whether the rates recorded after a step are nearer to that of the optimizer which joined there than before it."""
    row = int(np.searchsorted(rates.steps, step))
    before, after = rates.values[:row], rates.values[row + 2 :]
    if not len(before) or not len(after) or not (min(after[0], before[-1]) > 0):
        return bool(len(after)) and after[-1] == rate
    return abs(np.log(after[0] / rate)) < abs(np.log(after[0] / before[-1])) or after[-1] == rate


def rate_at(facts: Facts, step: int) -> float:
    """The learning rate that was in force at a step; the one that was chosen where none was recorded, or zero."""
    recorded = facts.curve("train/lr").finite()
    row = int(np.searchsorted(recorded.steps, step, side="right")) - 1
    rate = float(recorded.values[row]) if row >= 0 else 0.0
    return rate if rate > 0 else base_rate(facts)


def warming_up(facts: Facts) -> bool:
    """Whether the rate is still rising: too early to say that it is low, or that nothing happens."""
    rate = facts.curve("train/lr").finite().values
    return len(rate) > 1 and rate[-1] > WARMING_UP * rate[len(rate) // 2]


@remembered
def weights(facts: Facts) -> set[str]:
    """The weight matrices and kernels that the optimizer moves: no biases, no scales of a normalization."""
    listed = facts.info.get("parameters") or []
    return {
        each["name"]
        for each in listed
        if len(each["shape"]) >= 2 and each.get("trainable", True) and each.get("in_optimizer", True)
    }


@remembered
def weight_gradients(facts: Facts) -> Table:
    """Gradient norms of the weights, in forward order."""
    return _of_weights(facts, facts.table("gradient", "norm"))


@remembered
def update_ratio(facts: Facts) -> Curve:
    """Norm of the update against norm of all weights of the network at each measured step (the lecture: want 1e-3)."""
    ratios = _of_weights(facts, facts.table("update", "ratio"))
    if not len(ratios) or not ratios.names:
        return NOTHING
    norms = _norms_at(ratios.steps, facts.table("weight", "norm").only(set(ratios.names)), ratios.names)
    with np.errstate(over="ignore", invalid="ignore"):
        known = ~np.isnan(ratios.values) & (norms > 0)
        moved = np.where(known, ratios.values.astype(float) * norms, 0.0)
        whole = np.sqrt((moved**2).sum(axis=1) / np.where(known, norms**2, 0.0).sum(axis=1))
    return Curve(ratios.steps, np.where(known.any(axis=1), whole, np.nan))


def _of_weights(facts: Facts, table: Table) -> Table:
    names = weights(facts) or {name for name in table.names if name.endswith("weight")} or set(table.names)
    return table.only(names)


def _norms_at(steps: np.ndarray, norms: Table, names: tuple[str, ...]) -> np.ndarray:
    """Weight norms `(steps, names)` at or before each step, 1 where they were not recorded."""
    if not len(norms) or norms.names != names:
        return np.ones((len(steps), len(names)))
    rows = np.clip(np.searchsorted(norms.steps, steps, side="right") - 1, 0, None)
    found = norms.values[rows].astype(float)
    return np.where(np.isfinite(found), found, 0.0)
