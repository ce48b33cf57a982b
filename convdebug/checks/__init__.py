"""The sanity checks in the order of the wizard: small experiments with a verdict. Importing the list loads no torch."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convdebug.checks.bench import Bench, Outcome
    from convdebug.checks.run import CheckReport, run_checks

__all__ = ["CHECKS", "Check", "CheckReport", "run_checks"]


@dataclass(frozen=True)
class Check:
    """What a check is called, what it asks and why, and the file of this folder that holds its `run`.

    `share` is its part of the time budget beside the others; `needs` are checks without whose success it says nothing.
    """

    id: str
    title: str
    asks: str
    why: str
    source: str
    share: float = 1.0
    needs: tuple[str, ...] = ()

    @property
    def run(self) -> "Callable[[Bench], Outcome]":
        """The function of the check; this is where torch is loaded."""
        module = importlib.import_module(f"convdebug.checks.{self.id.replace('-', '_')}")
        function: Callable[[Bench], Outcome] = module.run
        return function

    def as_json(self) -> dict[str, str]:
        """Its line in `convdebug describe`."""
        return {"id": self.id, "title": self.title, "asks": self.asks, "why": self.why, "source": self.source}


CHECKS = [
    Check(
        "data",
        "Data",
        "Do shapes, ranges, centring, labels, class balance, duplicates and the split look as they should, "
        "seen just before the network?",
        "Most trainings that fail do so because of what they are fed, and no curve says so.",
        "lecture, “Data Preprocessing”; Karpathy, “A Recipe for Training Neural Networks”",
        share=2.0,
    ),
    Check(
        "initial-loss",
        "Initial loss",
        "With regularization off, is the loss of fresh weights what chance gives: ln C, 2.3026 for ten classes?",
        "A network that knows nothing should say so; any other first loss points at the loss, the labels, "
        "the scale of the inputs or the weights.",
        "lecture, “Double-check that the Loss is Reasonable”",
        needs=("data",),
    ),
    Check(
        "regularization-raises-loss",
        "Regularization up, loss up",
        "Does the loss go up when the regularization does?",
        "If it stays, the penalty never reaches the loss.",
        "lecture, “Double-check that the Loss is Reasonable”",
        share=0.5,
        needs=("data",),
    ),
    Check(
        "activations-at-init",
        "Activations at the start",
        "Do the activations of fresh weights keep their spread through depth, or vanish, explode, saturate?",
        "What vanishes on the way forward has no gradient on the way back.",
        "lecture, “Look at Some Activation Statistics”",
        needs=("data",),
    ),
    Check(
        "gradient-check",
        "Gradient check",
        "Does the analytic gradient agree with a centred numerical one in double precision?",
        "A wrong backward of one's own trains to something worse without ever failing.",
        "CS231n, “Gradient checks”",
        needs=("data",),
    ),
    Check(
        "parameters",
        "Parameters",
        "Does every parameter receive a gradient, sit in the optimizer once, and change after a step?",
        "A layer replaced after the optimizer was made, or cut off the graph, stays random for ever.",
        "Karpathy, “A Recipe for Training Neural Networks”",
        share=0.7,
        needs=("data",),
    ),
    Check(
        "input-independence",
        "Input independence",
        "Is the loss on real inputs better than on zeroed inputs after a short training?",
        "A network that does as well without looking is not looking.",
        "Karpathy, “A Recipe for Training Neural Networks”",
        share=2.0,
        needs=("data",),
    ),
    Check(
        "batch-mixing",
        "Batch mixing",
        "Does the output of one example depend on another example of the batch?",
        "A view or transpose in the wrong place mixes examples, and the network learns to ignore the strangers.",
        "Karpathy, “A Recipe for Training Neural Networks”",
        share=0.5,
        needs=("data",),
    ),
    Check(
        "train-eval",
        "Training and evaluation mode",
        "Do dropout and batch norm behave differently in training, and the same twice in evaluation mode?",
        "A forgotten eval() makes every validation number wrong.",
        "lecture, “Dropout” and “Batch Normalization”",
        share=0.5,
        needs=("data",),
    ),
    Check(
        "overfit-20",
        "Overfit 20 examples",
        "Can the network learn the same 20 examples by heart, cost near zero and accuracy 1.00, "
        "with regularization, dropout and augmentation off?",
        "A network that cannot learn 20 examples will not learn 50,000; something between data and update is broken.",
        "lecture, “Overfit Very Small Portion of the Training Data”",
        share=5.0,
        needs=("data",),
    ),
    Check(
        "lr-sweep",
        "Learning-rate sweep",
        "Which learning rates do nothing, which learn, which diverge, and how sure is that over seeds?",
        "The learning rate is the first thing to set, and a wrong one looks like every other mistake.",
        "lecture, “learning rate too low … too high”",
        share=6.0,
        needs=("data",),
    ),
    Check(
        "short-run",
        "A first short run",
        "In a first short training, are updates near 1e-3 of the weights, do gradients flow, does the loss fall?",
        "The first hundred steps already show most of what will go wrong.",
        "lecture, “Track the ratio of weight updates / weight magnitudes”",
        share=3.0,
        needs=("data",),
    ),
    Check(
        "determinism",
        "Determinism",
        "Does the same seed give the same first steps twice?",
        "Without it no two runs can be compared, and no bug can be met again.",
        "Karpathy, “A Recipe for Training Neural Networks”",
        needs=("data",),
    ),
    Check(
        "throughput",
        "Throughput",
        "Where does the time of a step go: data, forward, backward, optimizer?",
        "A device that waits for data is the cheapest speed-up there is.",
        "PyTorch performance tuning guide",
        needs=("data",),
    ),
]


def __getattr__(name: str) -> Any:
    if name in ("run_checks", "CheckReport"):
        return getattr(importlib.import_module("convdebug.checks.run"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
