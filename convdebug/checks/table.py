"""The list of the sanity checks in the order of the wizard; loads no torch."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convdebug.errors import UserError, nearest

if TYPE_CHECKING:
    from convdebug.checks.bench import Bench, Outcome


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
        "Regularization raises the loss",
        "Does the loss go up when regularization does?",
        "A penalty that is not in the loss, or a weight decay that nobody applies, regularizes nothing. The same "
        "weights and batch are tried at rising strengths.",
        "lecture, “Double-check that the Loss is Reasonable”: crank up regularization, the loss went up, good",
        share=0.3,
        needs=("data",),
    ),
    Check(
        "activations-at-init",
        "Activations at initialization",
        "How do the means and deviations of the activations go through depth: do they vanish, explode, saturate, die?",
        "What is lost on the way through fresh weights cannot be learned from, and the gradient is lost the same way "
        "back.",
        "lecture, “Look at Some Activation Statistics” and “Xavier Initialization”",
        needs=("data",),
    ),
    Check(
        "gradient-check",
        "Gradient check",
        "Is the gradient that backward gives the slope of the loss: the same as centred differences in float64, for a "
        "few entries of every parameter?",
        "A wrong backward of one's own still trains, only worse, and no curve shows it. Kinks of ReLU and max pooling "
        "are told apart.",
        "CS231n notes, “Gradient checks”",
        share=3.0,
        needs=("data",),
    ),
    Check(
        "parameters",
        "Parameters",
        "Does every parameter receive a gradient, sit in the optimizer once, and change after a few steps?",
        "A layer that was replaced after the optimizer was made, or is cut off from the loss, keeps its random weights "
        "for ever while the others work around it.",
        "PyTorch documentation, torch.optim; Zhang et al., “AutoTrainer”",
        share=0.5,
        needs=("data",),
    ),
    Check(
        "input-independence",
        "Input independence",
        "Is the loss on real inputs better than on blank ones after a short training?",
        "A network that does as well without its inputs has learned how frequent the answers are, and nothing else.",
        "Karpathy, “A Recipe for Training Neural Networks”: input-independent baseline",
        share=2.0,
        needs=("data",),
    ),
    Check(
        "batch-mixing",
        "Batch mixing",
        "Does the output of one example depend on another example of its batch, in evaluation mode?",
        "A softmax or a view over the wrong axis mixes examples, and the network learns around it without an error. "
        "Batch norm mixes in training only, which is known.",
        "Karpathy, “A Recipe for Training Neural Networks”: use backprop to chart dependencies",
        share=0.5,
        needs=("data",),
    ),
    Check(
        "train-eval",
        "Training and evaluation mode",
        "Do dropout and batch norm behave differently in training, and the same twice in evaluation mode?",
        "Dropout that stays on in validation, or off in training, changes what is measured, and no error says so.",
        "PyTorch documentation, Module.eval; lecture, “Batch Normalization” and “Dropout”",
        share=0.3,
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
        "Short run",
        "In a first short training, does the loss fall, do gradients reach every layer, and are updates near 1e-3 "
        "of the weights?",
        "What is wrong with a training shows in its first steps, long before the night it would cost; every rule is "
        "asked about them.",
        "lecture, “Monitor and visualize the loss curve” and “Track the ratio of weight updates / weight magnitudes”",
        share=4.0,
        needs=("data",),
    ),
    Check(
        "determinism",
        "Determinism",
        "Does the same seed give the same first steps twice, to the last bit, and if not, what differs first?",
        "Only a training that repeats itself lets you tell a change you made from chance.",
        "Karpathy, “A Recipe for Training Neural Networks” (fix the random seed)",
        needs=("data",),
    ),
    Check(
        "throughput",
        "Throughput",
        "Where does a step's time go (data, transfer, forward, backward, optimizer), and does the device wait for "
        "its data?",
        "A device that waits for its data can often train several times as fast for a few lines of code.",
        "ConvNetJS CIFAR-10 demo, which shows forward and backward time per example",
        needs=("data",),
    ),
]


def known_checks(names: str | None) -> list[str] | None:
    """`a,b` as a list, None for None; UserError with the nearest name for a check that does not exist."""
    if names is None:
        return None
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        require(name)
    return wanted


def require(name: str) -> None:
    """UserError with the nearest name unless there is such a check."""
    known = [check.id for check in CHECKS]
    if name not in known:
        raise UserError(f"there is no check {name!r}{nearest(name, known)}")


def describe_checks() -> list[dict[str, str]]:
    """The checks as `convdebug describe --json` lists them."""
    return [check.as_json() for check in CHECKS]
