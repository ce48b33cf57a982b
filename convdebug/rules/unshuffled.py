"""Batches are far purer in their labels than chance would make them."""

import numpy as np

from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Remedy

PURE = 0.5  # of the entropy that shuffled batches of this size would have
ALIKE = 0.35  # in common with the batch before: long stretches of the same classes
ALIKE_SINGLY = 0.9  # for batches too small to be judged alone
ONE_CLASS, SEVERAL = (
    0.1,
    0.9,
)  # of the expected entropy; nats over all: of two kinds a batch each may be meant (a GAN's)
SMALL_BATCH = 4
ENOUGH_ROWS = 6
ENOUGH_LARGE, LARGE_BATCH = 4, 16  # four batches of so many examples cannot be this pure by chance
SURE = 2.0  # deviations of the mean: a few batches of a rare class may be pure by chance
SOME_VARIETY = 0.3  # nats over all that was seen; below, there is nothing to mix
SHORT_EPOCH = 8  # batches; the order of so few does little
LOWEST_EXPECTED = 0.3  # of the entropy of all labels


def judge(facts: Facts) -> Finding | None:
    """The mean entropy of a batch's labels against that of shuffled batches, and what successive batches share."""
    batch, overlap, size = (facts.curve(f"label/{what}").finite() for what in ("batch_entropy", "overlap", "count"))
    seen = facts.curve("label/seen_entropy").finite().values
    if len(batch) < ENOUGH_LARGE or len({len(batch), len(overlap), len(size), len(seen)}) > 1 or _short(facts):
        return None
    variety, examples = float(seen[-1]), float(np.median(size.values))
    if variety < SOME_VARIETY or (examples < LARGE_BATCH and len(batch) < ENOUGH_ROWS):
        return None
    expected, found = expected_entropy(variety, examples), float(batch.values.mean())
    chance = SURE * float(batch.values.std()) / len(batch) ** 0.5
    shared = float(overlap.values.mean())
    small = examples < SMALL_BATCH
    single = not small and variety > SEVERAL and found < ONE_CLASS * expected
    alike = single or shared >= (ALIKE_SINGLY if small else ALIKE)
    if not alike or (not small and found + chance > PURE * expected):
        return None
    classes, mixed = np.exp(found), np.exp(expected)
    return Finding(
        "warning",
        f"A batch of {examples:.0f} holds {classes:.1f} classes on average, though the data have {np.exp(variety):.1f} "
        f"and shuffled batches would hold about {mixed:.1f}; successive ones share {shared:.0%} of their labels. The "
        "network learns one class and forgets it for the next.",
        first_step=int(batch.steps[0]),
        last_step=int(batch.steps[-1]),
        evidence={"entropy": found, "expected": expected, "entropy_of_all": variety, "shared": shared},
        remedies=(
            Remedy("Shuffle the training data: DataLoader(…, shuffle=True), or a random permutation each epoch."),
            Remedy("For streams, shuffle within a large buffer."),
        ),
    )


def expected_entropy(variety: float, examples: float) -> float:
    """What a random batch shows of an entropy of all labels (nats): less, by (classes − 1) / 2 N (Miller 1955)."""
    return max(variety - (np.exp(variety) - 1) / (2 * examples), LOWEST_EXPECTED * variety)


def _short(facts: Facts) -> bool:
    """Whether an epoch is known to be only a few batches long."""
    batches, batch = facts.info.get("steps_per_epoch"), facts.info.get("batch_size")
    examples = (facts.info.get("data") or {}).get("train")
    if not batches and isinstance(examples, int) and batch:
        batches = examples / batch
    return batches is not None and 0 < batches < SHORT_EPOCH


RULE = Rule(
    name="unshuffled-batches",
    title="Batches are not shuffled",
    group="data",
    severities=("warning",),
    meaning="Stochastic gradients stand for the whole data only if batches are drawn at random. Sorted by class, each "
    "stretch of batches pulls all weights toward one answer.",
    causes="shuffle=True forgotten on data that is stored class by class (folders, concatenated files).",
    remedies="Shuffle every epoch; shuffle files once if only streaming is possible.",
    source=f"Label entropy of a batch below {PURE:.0%} of what chance gives, successive batches alike or of one "
    "class each, in at least "
    f"{ENOUGH_ROWS} batches ({ENOUGH_LARGE} of {LARGE_BATCH} examples or more).",
    judge=judge,
)
