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
