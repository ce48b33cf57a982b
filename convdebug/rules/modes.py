"""Dropout and batch norm are in the wrong mode, while training or while validating."""

import numpy as np

from convdebug.rules.curves import onset
from convdebug.rules.facts import Curve, Facts
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Remedy

ENOUGH_ROWS = 2
PERSISTENT = 0.8
NAMED = 3
RARE = 0.2  # stretches of passes without gradients for each step: more often, they belong to the training
SEVERAL = 2
JUDGED = 0.5  # of the stretches: so many losses or scores belong to them where they come more often
ENOUGH_STEPS = 5  # in evaluation mode, before it is said that there were some
FEW = 0.05  # of all steps: so few in evaluation mode are worth knowing and no more


def judge_training(facts: Facts) -> Finding | None:
    """Trained modules in evaluation mode at the measured steps, from some step on until now, or for some time."""
    asleep, modal = facts.curve("modes/evaluating"), facts.curve("modes/modal")
    begin = onset(asleep.values > 0, PERSISTENT, min(ENOUGH_ROWS, max(1, len(asleep))))
    told = [event.data for event in facts.events("modes-in-training")]
    if begin is None or len(asleep) < ENOUGH_ROWS or not told or not told[-1]["evaluating"]:
        return _judge_stretches(facts, asleep, modal)
    names, whole = told[-1]["evaluating"], not told[-1]["root"]
    first = int(asleep.steps[begin])
    since = "from the first step on" if first == 0 else f"since step {first}"
    return Finding(
        "warning" if whole else "info",
        f"{len(names)} of {modal.values[-1]:.0f} modules that behave differently in training are in evaluation mode "
        f"while the optimizer steps, {since}: {_named(names)}. "
        + (
            "The whole model is in evaluation mode: dropout drops nothing, batch norm does not see the batch."
            if whole
            else "The model itself is in training mode, so this seems meant."
        ),
        layer=names[0],
        layers=tuple(names),
        first_step=first,
        last_step=int(asleep.steps[-1]),
        evidence={"evaluating": float(len(names)), "modules": float(modal.values[-1])},
        remedies=(
            Remedy("Call model.train() before the training steps, and again after each evaluation."),
            Remedy("Frozen batch norm is fine if it is meant: take its parameters out of the optimizer."),
        ),
    )


def _judge_stretches(facts: Facts, asleep: Curve, modal: Curve) -> Finding | None:
    """The whole model was in evaluation mode for some steps, and in training mode before or after them."""
    told = facts.events("modes-in-training")
    if not told or not len(asleep) or len(modal) != len(asleep):
        return None
    at = np.searchsorted([event.step or 0 for event in told], asleep.steps, side="right") - 1
    whole = (asleep.values > 0) & np.array([place >= 0 and not told[place].data["root"] for place in at])
    count = int(np.diff(asleep.steps)[whole[1:] & whole[:-1]].sum())
    if count < ENOUGH_STEPS:
        return None
    rows = np.flatnonzero(whole)
    first, last = int(asleep.steps[rows[0]]), int(asleep.steps[rows[-1]])
    names = told[at[rows[-1]]].data["evaluating"]
    return Finding(
        "warning" if count >= FEW * facts.run.steps else "info",
        f"The whole model was in evaluation mode in {count} steps at least between step {first} and step {last}, while "
        f"the optimizer stepped: dropout dropped nothing, batch norm did not see the batch. {len(names)} of "
        f"{modal.values[rows[-1]]:.0f} modules behave differently in training: {_named(names)}.",
        layer=names[0],
        layers=tuple(names),
        first_step=first,
        last_step=last,
        evidence={"evaluating": float(len(names)), "modules": float(modal.values[rows[-1]]), "steps": float(count)},
        remedies=(
            Remedy("Call model.train() before the first training step, and right after each evaluation."),
            Remedy("An evaluation in the middle of an epoch leaves the rest of it in evaluation mode."),
        ),
    )


def judge_validating(facts: Facts) -> Finding | None:
    """Passes without gradients in training mode that are an evaluation: a loss was computed, or a score recorded.

    And evaluations in which functional dropout drops all the same.
    """
    return _judge_modules(facts) or _judge_functions(facts)


def _judge_functions(facts: Facts) -> Finding | None:
    """Functional dropout in a model that is in evaluation mode, which its caller did not hand on."""
    events = facts.events("dropping-while-evaluating")
    if not events:
        return None
    places: dict[str, float] = events[-1].data["places"]
    shown = [f"{share:.0%} at {place}" for place, share in places.items()]
    judged = (facts.curve("evaluation/losses").values > 0).any() or any(name.startswith("val/") for name in facts.names)
    return Finding(
        "warning" if judged else "info",
        "Functional dropout drops units while the model is evaluated, though it is in evaluation mode: "
        f"{_named(shown)}. F.dropout drops unless it is told training=self.training. Unless this is meant (an estimate "
        "of uncertainty), the validation is noisy and not that of the network used later.",
        first_step=events[0].step or 0,
        last_step=max(0, facts.run.steps - 1),
        evidence={"places": float(len(places)), "share": max(places.values())},
        remedies=(
            Remedy("Write F.dropout(x, p, training=self.training), or use the module nn.Dropout."),
            Remedy("If it is meant, put the module that drops into training mode while it is."),
        ),
    )


def _judge_modules(facts: Facts) -> Finding | None:
    training = facts.curve("evaluation/training")
    passes, losses, phases = (facts.curve(f"evaluation/{what}").values for what in ("passes", "losses", "phases"))
    wrong = training.values > 0
    if not wrong.any() or wrong.mean() < 0.5:
        return None
    recorded = max((len(facts.curve(name)) for name in facts.names if name.startswith("val/")), default=0)
    rare = phases.sum() <= max(SEVERAL, RARE * facts.run.steps)
    needed = 1 if rare else JUDGED * phases[wrong].sum()
    judged = bool(max(losses[wrong].sum(), recorded) >= needed)
    batches = facts.curve("evaluation/batches").values
    size = np.maximum(passes, batches) if len(batches) == len(passes) else passes
    several = phases[wrong].sum() >= SEVERAL and (size[wrong] >= SEVERAL * phases[wrong]).all()
    if not judged and not (rare and several):
        return None
    names = [event.data["modules"] for event in facts.events("training-while-evaluating")]
    named = names[-1] if names else []
    return Finding(
        "warning" if judged else "info",
        f"In {phases[wrong].sum():.0f} evaluations ({passes[wrong].sum():.0f} passes without gradients) "
        f"{training.values[wrong].max():.0f} modules were in training mode: {_named(named)}. Dropout then drops units "
        "and batch norm uses the batch, and learns from it: the validation is noisy and not that of the network used "
        "later.",
        layer=named[0] if named else None,
        layers=tuple(named),
        first_step=int(training.steps[np.flatnonzero(wrong)[0]]),
        last_step=int(training.steps[np.flatnonzero(wrong)[-1]]),
        evidence={
            "evaluations": float(phases[wrong].sum()),
            "passes": float(passes[wrong].sum()),
            "modules": float(training.values[wrong].max()),
        },
        remedies=(Remedy("Call model.eval() before the validation and model.train() after it."),),
    )


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


WHILE_TRAINING = Rule(
    name="eval-mode-while-training",
    title="Evaluation mode while training",
    group="implementation",
    severities=("warning", "info"),
    meaning="Dropout drops nothing and batch norm normalizes with its running statistics, which do not move: the "
    "network trains without the regularization and the normalization that it was given.",
    causes="model.train() forgotten after the first evaluation, or model.eval() called before the training.",
    remedies="model.train() at the start of each epoch.",
    source="Module flags at training passes, up to now or in a stretch of steps that is over. Modules whose parameters "
    f"are frozen or in no optimizer do not count; info where the model itself is in training mode, or for a stretch of "
    f"less than {FEW:.0%} of the steps.",
    judge=judge_training,
)

WHILE_VALIDATING = Rule(
    name="train-mode-while-validating",
    title="Training mode while validating",
    group="implementation",
    severities=("warning", "info"),
    meaning="Evaluated with dropout active or with batch statistics, the network answers differently each time, and "
    "batch norm takes the validation examples into its running statistics.",
    causes="model.eval() forgotten before the validation; F.dropout without training=self.training.",
    remedies="model.eval() before, model.train() after; torch.no_grad() changes no modes.",
    source="Module flags in passes without gradients of a model whose own flag says training; a loss was computed or "
    f"a score recorded there (else info, over {SEVERAL} batches at least). Where they come more often than at "
    f"{RARE:.0%} of the steps, as those of a teacher do, at {JUDGED:.0%} of them. A dropout module left on alone, in a "
    "model in evaluation mode, is taken to be meant; functional dropout that is not told of the mode is not.",
    judge=judge_validating,
)
