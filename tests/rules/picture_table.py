"""Which figure shows the ailment of a rule best, and what is to be seen in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from convdebug.report.drawing import Board
from convdebug.rules import RULES
from tests.rules.picture_drawings import (
    accuracy,
    activations,
    calls,
    class_counts,
    compared,
    copies,
    gradients,
    held,
    label_counts,
    layers,
    loss,
    loss_and_guessing,
    noise_of_workers,
    of_each,
    overlap,
    rungs,
    scales,
    updates,
    waiting,
    weights,
)
from tests.rules.picture_figures import Sick, chart, lines, stacked

Draw = Callable[[Sick], Board | None]


@dataclass(frozen=True)
class Picture:
    """How to draw it, and for people who do not see it what it shows."""

    draw: Draw
    alt: str


def series(caption: str, names: Mapping[str, str], **options: object) -> Draw:
    return lambda sick: lines(sick, caption, names, **options)  # type: ignore[arg-type]


INPUTS = {"largest": "input/max", "mean": "input/mean", "smallest": "input/min", "deviation": "input/std"}
MODES = {"behave differently in training": "modes/modal", "in evaluation mode": "modes/evaluating"}
PHASES = {"data": "time/data", "forward": "time/forward", "backward": "time/backward", "optimizer": "time/optimizer"}

PICTURES: dict[str, Picture] = {
    # data
    "non-finite-inputs": Picture(
        series("values of the inputs, batch by batch (red: NaN among them)", dict(list(INPUTS.items())[:3])),
        "The values of the input batches; red strokes mark the batches that hold a NaN.",
    ),
    "inputs-not-scaled": Picture(
        series("size of the inputs, batch by batch", {"largest": "input/max", "deviation": "input/std"},
               levels={"healthy deviation": 1.0}, logarithmic=True),
        "The largest value of the input batches is 255 and their deviation 52, where about 1 is healthy.",
    ),
    "inputs-not-centered": Picture(
        series("inputs, batch by batch", {"mean": "input/mean", "deviation": "input/std"},
               levels={"healthy mean": 0.0}),
        "The mean of the input batches is about 126, 2.4 times their deviation, where 0 is healthy.",
    ),
    "non-finite-labels": Picture(
        loss, "The loss is a number for eleven steps, and NaN (red strokes) from the batch with the missing label on."
    ),
    "label-out-of-range": Picture(
        label_counts, "How many examples each label has: none has label 0, and label 10 has no output."
    ),
    "class-imbalance": Picture(class_counts, "How many examples each class has: 544 and 8."),
    "unshuffled-batches": Picture(
        lambda sick: lines(
            sick, "variety of the labels in a batch (entropy)", {"batch": "label/batch_entropy"},
            levels={"shuffled batches": sick.diagnosis.evidence["expected"]},
        ),
        "The entropy of the labels in each batch: near 0 all along, where shuffled batches would have about 2.",
    ),
    "train-val-overlap": Picture(overlap, "128 of 640 validation examples stand in the training data too."),
    "splits-differ-in-scale": Picture(
        scales, "Mean and deviation of each channel: near 0 and 1 in the training data, near 120 and 40 in validation."
    ),
    "duplicate-examples": Picture(copies, "Half of the 1280 training examples are copies of the other half."),
    "identical-augmentation": Picture(
        noise_of_workers, "The random noise that two workers add to one example: the two curves lie on each other."
    ),
    "labels-unrelated-to-inputs": Picture(
        accuracy, "Training accuracy climbs while validation accuracy stays at chance."
    ),
    "not-deterministic": Picture(
        lambda sick: chart(sick, "loss of the same five steps, twice from one seed"),
        "The loss of two short trainings from the same seed: the two curves differ.",
    ),
    # implementation
    "gradients-accumulate": Picture(
        partial(of_each, caption="norm of the gradient of each weight", head="gradient/", tail=".weight/norm"),
        "The norm of the gradients grows with every step.",
    ),
    "parameters-not-in-optimizer": Picture(
        partial(weights, kind="update/{}/ratio", caption="log₁₀ of update : weight", empty="never moves"),
        "How much each layer's weights move over the steps: the last layer never does.",
    ),
    "parameters-held-twice": Picture(held, "How often the optimizer holds each parameter: each of them twice."),
    "frozen-parameters": Picture(
        partial(weights, kind="update/{}/ratio", caption="log₁₀ of update : weight", empty="never moves"),
        "How much each layer's weights move over the steps: the one in the middle never does.",
    ),
    "no-gradient": Picture(
        partial(weights, kind="gradient/{}/norm", caption="log₁₀ of the gradient's norm", empty="no gradient comes"),
        "The gradient of each layer over the steps: the first one never gets any.",
    ),
    "double-softmax": Picture(
        series("what cross entropy is given", {
            "largest": "loss-input/cross_entropy/max", "smallest": "loss-input/cross_entropy/min"
        }, levels={"0 and 1": 1.0}, include=[0.0]),
        "The smallest and largest score given to cross entropy: never below 0 nor above 1.",
    ),
    "double-sigmoid": Picture(
        series("what binary cross entropy with logits is given", {
            "largest": "loss-input/binary_cross_entropy_with_logits/max",
            "smallest": "loss-input/binary_cross_entropy_with_logits/min",
        }, levels={"0 and 1": 1.0}, include=[0.0]),
        "The smallest and largest score given to the loss: never below 0 nor above 1.",
    ),
    "loss-expects-log-probabilities": Picture(
        partial(loss, level=0.0, name="lowest possible of the right loss"),
        "The loss is below zero nearly all along, which the right one cannot be."
    ),
    "graph-kept-alive": Picture(
        series("graphs of earlier steps", {"measured": "graph/marked", "still in memory": "graph/alive"}),
        "The graphs of all earlier steps stay in memory: their number grows with every step.",
    ),
    "batch-norm-small-batch": Picture(loss, "With batches of two the loss jumps from step to step."),
    "loss-summed-over-batch": Picture(
        loss_and_guessing, "The loss begins at 73, where guessing gives 2.3: it is summed over the batch of 32."
    ),
    "loss-shape-broadcast": Picture(
        compared, "A batch of 32 outputs and 32 labels makes 1024 pairs: every output is held against every label.",
    ),
    "eval-mode-while-training": Picture(
        series("modules while the optimizer steps", MODES, include=[0.0, 3.0]),
        "All modules that behave differently in training are in evaluation mode at every step.",
    ),
    "train-mode-while-validating": Picture(
        series("modules in training mode at each evaluation", {"found": "evaluation/training"}, include=[3.0],
               levels={"healthy": 0.0}),
        "Two modules are in training mode at each of the six evaluations.",
    ),
    "optimizer-not-stepping": Picture(
        calls, "How often backward and optimizer.step were called in 60 steps: 60 times and never.",
    ),
    "steps-skipped": Picture(
        series("steps of the gradient scaler so far", {
            "asked for": "loop/scaler_asked", "skipped": "loop/scaler_skipped"
        }),
        "Of the steps that the gradient scaler was asked for it skipped every second one.",
    ),
    "batch-mixing": Picture(
        lambda sick: chart(sick, "influence of other examples on the first one's output"),
        "How much the output of the first example depends on each other example of its batch: a fifth as on itself.",
    ),
    "wrong-gradient": Picture(
        lambda sick: chart(sick, "relative error of the gradient"),
        "The relative error of each parameter's gradient: one half in the first layer, next to nothing behind it.",
    ),
    "input-ignored": Picture(
        lambda sick: chart(sick, "loss while learning, mean of four steps", over=4),
        "The loss with real inputs and with blank ones: the two curves lie on each other.",
    ),
    "regularization-without-effect": Picture(
        rungs, "With a stronger penalty the loss rises, but the pull on the weights stays zero."
    ),
    # initialization
    "initial-loss-off": Picture(
        loss_and_guessing, "The loss begins at 37, where guessing gives 2.3."
    ),
    "symmetric-weights": Picture(
        series("norm of the weights", {"fc1": "weight/fc1.weight/norm", "output": "weight/output.weight/norm"},
               include=[0.0, 1.0]),
        "The norm of the weights of both layers is zero at every step.",
    ),
    "vanishing-activations": Picture(
        activations, "The deviation of the activations falls from layer to layer, by ten orders of magnitude at step 0."
    ),
    "exploding-activations": Picture(
        activations, "The deviation of the activations grows from layer to layer by a factor of three."
    ),
    # updates
    "learning-rate-too-low": Picture(
        updates, "Updates relative to the weights, far below the healthy band around a thousandth."
    ),
    "learning-rate-too-high": Picture(loss, "The loss jumps up by twelve orders of magnitude at the second step."),
    "learning-rate-zero": Picture(
        series("learning rate", {"learning rate": "train/lr"}, logarithmic=True),
        "The learning rate falls a hundredfold every sixth step; from step 18 on nothing is left of it.",
    ),
    "non-finite-update": Picture(
        partial(weights, kind="weight/{}/norm", caption="norm of the weights, first steps (red: NaN)", last=12),
        "The weights of every layer are numbers at step 0 and NaN (red) afterwards.",
    ),
    "loss-diverged": Picture(loss, "The loss falls until step 30 and is NaN (red strokes) from then on."),
    "loss-not-decreasing": Picture(loss_and_guessing, "The loss stays at what guessing gives."),
    "loss-oscillating": Picture(loss, "The loss jumps up and down and gets no lower."),
    "loss-plateau": Picture(loss_and_guessing, "The loss falls at first and then stays where it is."),
    "clipping-always-active": Picture(
        series("norm of the gradient", {"before clipping": "clipping/size", "allowed": "clipping/limit"},
               logarithmic=True),
        "The norm of the gradient is far above the limit at every step.",
    ),
    "regularization-dominates": Picture(
        series("loss", {"of the data": "train/loss", "penalty on the weights": "train/penalty"}),
        "The penalty begins at twice the loss of the data and falls to nothing; the data loss does not move."
    ),
    # activations and gradients
    "dead-relu": Picture(
        partial(of_each, caption="share of dead units", head="unit/", tail="/dead", include=[0.0]),
        "The share of dead units in each layer: all of the first one from the start, and more than half of the second.",
    ),
    "saturated-units": Picture(activations, "The histograms behind each tanh: nearly all values sit at −1 and 1."),
    "vanishing-gradient": Picture(
        gradients, "The gradient gets smaller from the last layer to the first, at every step."
    ),
    "exploding-gradient": Picture(gradients, "The gradient gets larger from the last layer to the first."),
    "constant-output": Picture(
        series("outputs", {"largest size": "output/max", "deviation over the batch": "output/batch_std"},
               logarithmic=True),
        "The outputs do not differ over a batch: their deviation is many orders below their size.",
    ),
    "non-finite-activation": Picture(
        partial(layers, ending="std", caption="deviation of each layer's values, first steps (red: NaN)", last=12),
        "The values of each layer over the first steps: NaN (red) first in the last layer, then everywhere.",
    ),
    "non-finite-gradient": Picture(
        partial(weights, kind="gradient/{}/norm", caption="norm of the gradients, first steps (red: not finite)",
                last=12),
        "The gradients over the first steps: red (not finite) in the first layer at step 0, then everywhere.",
    ),
    # generalisation
    "overfitting": Picture(
        loss, "Training loss falls towards zero while validation loss rises."
    ),
    "excessive-dropout": Picture(
        series("loss of the same batches", {"with dropout": "dropout/training_loss",
                                            "without": "dropout/evaluation_loss"}),
        "The loss of the same batches with dropout lies far above that without.",
    ),
    "underfitting": Picture(accuracy, "Training and validation accuracy stay low together."),
    "validation-better-than-train": Picture(accuracy, "Validation accuracy lies far above training accuracy."),
    # throughput
    "data-bound": Picture(
        lambda sick: stacked(sick, "milliseconds of a step", PHASES),
        "The time of each step by its phases: most of it goes to waiting for data.",
    ),
    "sync-bound": Picture(
        waiting, "A written session, the time of each step: for more than half of it the host waits for the device."
    ),
    "device-idle": Picture(
        lambda sick: stacked(sick, "milliseconds of a step on the CPU, cuda:0 unused", dict(list(PHASES.items())[1:])),
        "A written session, the time of each step by its phases: all of it on the CPU.",
    ),
}  # fmt: skip


def default(sick: Sick) -> Board | None:
    """For a rule that has no picture of its own here."""
    by_group = {"activations and gradients": gradients, "initialization": activations, "generalisation": accuracy}
    group = next(rule.group for rule in RULES if rule.name == sick.diagnosis.rule)
    checked = bool(sick.session.events(sick.run.id, kinds={"chart"}))
    return chart(sick, sick.diagnosis.title) if checked else by_group.get(group, loss)(sick)


def picture_of(rule: str) -> Picture:
    """The rule's own picture, else that of its group."""
    return PICTURES.get(rule) or Picture(default, f"A sick run with {rule}.")
