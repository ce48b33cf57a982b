"""Examples that stand where they should not: in both splits, or on one side in another scale."""

import numpy as np

from convdebug.rules.curves import number
from convdebug.rules.facts import Facts
from convdebug.rules.inputs import are_no_data
from convdebug.rules.rule import Finding, Rule
from convdebug.rules.seen_in_training import LEAST_SEEN, SEEN, seen_in_training
from convdebug_sessions import Remedy

OVERLAP = 0.01  # of the validation examples
LEAST_SHARED = 5  # chance repeats (black pictures, empty texts) are fewer
APART = 1.0  # |difference of the means| against the training deviation, per channel
SCALED = 2.5  # ratio of the deviations
FAR_APART = 2.0  # the same while training, of single batches that may be augmented
FAR_SCALED = 3.0
LEAST_BATCHES, LEAST_EVALUATIONS, LEAST_AT_ONCE = 2, 2, 8
LEAST_EXAMPLES = 50
MANY_COPIES = 0.05  # of the training examples


def judge_overlap(facts: Facts) -> Finding | None:
    """Validation examples that were trained on: counted by the check `data`, or seen while training."""
    shared, seen, step = max(_counted(facts), _met(facts), key=lambda found: found[0] / max(1.0, found[1]))
    if seen == 0:
        return _in_evaluations(facts)
    if shared <= OVERLAP * seen or shared < LEAST_SHARED:
        return None
    text = f"{shared:.0f} of {seen:.0f} validation examples ({shared / seen:.1%}) stand in the training data too, value"
    return _overlap(f"{text} for value.", shared, seen, step)


def _in_evaluations(facts: Facts) -> Finding | None:
    """Where no target says which data are for validation, and not all training examples are known."""
    part = seen_in_training(facts)
    if part is None:
        return None
    text = (
        f"Of {part.different} examples that were looked at in the evaluation before step {part.step}, at least "
        f"{part.trained} ({part.share:.1%}) had been trained on, as their fingerprints say; only {part.kept} training "
        "examples are known."
    )
    return _overlap(text, part.trained, part.different, part.step)


def _overlap(text: str, shared: float, seen: float, step: int) -> Finding:
    return Finding(
        "warning",
        f"{text} Validation then measures memory, not what was learned.",
        last_step=step,
        evidence={"shared": shared, "share": shared / seen, "examined": seen},
        remedies=(
            Remedy("Split before copying or augmenting, and by source (patient, video, page) where there is one."),
            Remedy("Drop the shared examples from the training data."),
        ),
    )


def _counted(facts: Facts) -> tuple[float, float, int]:
    events = facts.survey("overlap")
    return (float(events[-1].data["shared"]), float(events[-1].data["examined"]), 0) if events else (0.0, 0.0, 0)


def _met(facts: Facts) -> tuple[float, float, int]:
    """What the instrument met so far: a lower bound, for it does not see every training batch."""
    shared, seen = facts.curve("examples/shared"), facts.curve("examples/validation")
    if not len(shared) or not len(seen):
        return 0.0, 0.0, 0
    return float(shared.values[-1]), float(seen.values[-1]), int(shared.steps[-1])


def judge_splits(facts: Facts) -> Finding | None:
    """Mean and deviation of the validation inputs against those of training, by the check `data` or while training."""
    return _surveyed(facts) or _met_in_evaluations(facts)


def _met_in_evaluations(facts: Facts) -> Finding | None:
    """Every measured evaluation lies far outside of all measured batches of training, which may be augmented."""
    means, spreads = (facts.curve(f"input/{what}").finite() for what in ("mean", "std"))
    held_out = [facts.curve(f"held-out/{what}") for what in ("mean", "std", "examples")]
    if are_no_data(facts) or len(means) < LEAST_BATCHES or len(held_out[0]) < LEAST_EVALUATIONS:
        return None
    steps, (mean, spread, examples) = held_out[0].steps, (curve.values for curve in held_out)
    if not np.isfinite(mean + spread).all() or examples.min() < LEAST_AT_ONCE:
        return None
    widest = max(float(spreads.values.max()), 1e-12)
    narrowest = max(float(spreads.values.min()), 1e-12)
    beyond = np.abs(mean - np.clip(mean, means.values.min(), means.values.max())) / widest
    factor = np.maximum(spread / widest, narrowest / np.maximum(spread, 1e-12))
    if beyond.min() <= FAR_APART and factor.min() <= FAR_SCALED:
        return None
    return _splits_differ(
        [np.atleast_1d(np.median(means.values)), np.atleast_1d(np.median(mean))],
        [np.atleast_1d(np.median(spreads.values)), np.atleast_1d(np.median(spread))],
        float(beyond.min()),
        float(np.log(factor.min())),
        last_step=int(steps[-1]),
    )


def _surveyed(facts: Facts) -> Finding | None:
    events = facts.survey("data")
    train, val = (events[-1].data.get(split) or {} for split in ("train", "val")) if events else ({}, {})
    if min(train.get("examined", 0), val.get("examined", 0)) < LEAST_EXAMPLES:
        return None
    means, spreads = ([np.asarray(split.get(what), float) for split in (train, val)] for what in ("mean", "std"))
    if means[0].shape != means[1].shape or not (spreads[0] > 0).any():
        return None
    usable = spreads[0] > 0
    apart = float(np.max(np.abs(means[1] - means[0])[usable] / spreads[0][usable]))
    scaled = float(np.max(np.abs(np.log(np.maximum(spreads[1], 1e-12)[usable] / spreads[0][usable]))))
    if apart <= APART and scaled <= np.log(SCALED):
        return None
    return _splits_differ(means, spreads, apart, scaled)


def _splits_differ(
    means: list[np.ndarray], spreads: list[np.ndarray], apart: float, scaled: float, last_step: int = 0
) -> Finding:
    texts = [
        f"mean {number(float(m.mean()))}, deviation {number(float(s.mean()))}"
        for m, s in zip(means, spreads, strict=True)
    ]
    return Finding(
        "warning",
        f"Training inputs have {texts[0]}, validation inputs {texts[1]}: they do not look like the same kind of "
        "picture to the network. Usually one of the two goes through another preprocessing.",
        last_step=last_step,
        evidence={"apart": apart, "ratio_of_deviations": float(np.exp(scaled))},
        remedies=(
            Remedy("Preprocess both splits alike: the mean and deviation of the training set, for validation too."),
        ),
    )


def judge_copies(facts: Facts) -> Finding | None:
    """Training examples that are copies of earlier ones."""
    events = facts.survey("data")
    train = (events[-1].data.get("train") or {}) if events else {}
    copies, examined = float(train.get("duplicates", 0)), float(train.get("examined", 0))
    if examined < LEAST_EXAMPLES or copies <= MANY_COPIES * examined:
        return None
    return Finding(
        "info",
        f"{copies:.0f} of {examined:.0f} training examples ({copies / examined:.0%}) are copies of earlier ones, value "
        "for value. They count several times in the loss and add nothing to learn.",
        evidence={"copies": copies, "share": copies / examined},
        remedies=(
            Remedy("Drop the copies; where they stand there on purpose, weight the loss or sample by weight instead."),
        ),
    )


OVERLAP_RULE = Rule(
    name="train-val-overlap",
    title="Validation examples were trained on",
    group="data",
    severities=("warning",),
    meaning="The same examples stand in the training and in the validation data. The network has seen the answers: "
    "validation looks better than it would on anything new, and overfitting stays hidden.",
    causes="A split after augmentation or oversampling, copies in the source, a random split drawn anew at each start, "
    "neighbouring frames of a video.",
    remedies="Split first and once, by source; remove duplicates; fix the seed of the split.",
    source='Lecture, "Cross-validation strategy": what is tuned on must not be trained on. More than '
    f"{OVERLAP:.0%} of the validation examples, and {LEAST_SHARED} at least, by checksum of all their values; in a "
    f"loop of one's own, where only the training examples of measured steps are known, at least {SEEN:.0%} and "
    f"{LEAST_SEEN} of those looked at in an evaluation, and no evaluation of clean data. While training, augmented "
    "copies are not recognized.",
    judge=judge_overlap,
)

SPLITS_RULE = Rule(
    name="splits-differ-in-scale",
    title="Validation inputs are scaled differently",
    group="data",
    severities=("warning",),
    meaning="Mean or deviation of the validation inputs are far from those of the training inputs. The network learned "
    "one scale and is judged on another.",
    causes="Normalization applied to one split alone, statistics computed on each split, pixels of 0-255 on one side "
    "and 0-1 on the other.",
    remedies="One preprocessing for both, with the statistics of the training split.",
    source='Lecture, "Zero-Center & Normalize Data": the statistics are those of the training set. Means more than '
    f"{APART:g} training deviations apart in a channel, or deviations {SCALED:g} times apart, from the check `data`; "
    f"while training {FAR_APART:g} and {FAR_SCALED:g} beyond any measured batch, in {LEAST_EVALUATIONS} or more "
    "evaluations.",
    judge=judge_splits,
)

COPIES_RULE = Rule(
    name="duplicate-examples",
    title="Training examples are duplicated",
    group="data",
    severities=("info",),
    meaning="Many training examples stand there more than once. The data are smaller than they look, and a random "
    "split puts copies on both sides.",
    causes="Files joined twice, oversampling, a source that copies itself.",
    remedies="Remove copies before splitting.",
    source=f'Lecture, "Transfer Learning": "ConvNets need a lot of data to train". More than {MANY_COPIES:.0%} of the '
    "training examples, by checksum, from the check `data`.",
    judge=judge_copies,
)
