"""What a loss function is given does not fit it: probabilities for scores, scores for logarithms, odd shapes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from convdebug.rules.curves import level, number
from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Event, Remedy

ENOUGH_ROWS = 3
ENOUGH_ALL_ABOVE = 2  # one value above zero is proof, and a loss without bound is soon lost
ENOUGH_UNEXPLAINED = 20  # rows, where nobody knows what computed the scores
PERSISTENT = 0.8  # of the measured steps
PERSISTENT_RANGE = 0.95
RECENT = 100
ABOVE_ZERO = 1e-3  # a logarithm of a probability is at most 0, up to rounding
SUM_ERROR = 1e-3
SUM_ERROR_OF_SOFTMAX = 0.02  # in half precision
EDGE = 1e-6
SQUASHED = frozenset({"Sigmoid", "Softmax"})
UNTOLD = frozenset({"", "CompiledFunction", "Div", "Reciprocal", "Pow", "Clamp", "ToCopy"})


@dataclass(frozen=True)
class Given:
    """What one call of a loss function was given: the last rows of its range, and its latest description."""

    call: str
    steps: np.ndarray
    low: np.ndarray
    high: np.ndarray
    sum_error: np.ndarray
    seen: dict[str, Any]

    @property
    def name(self) -> str:
        return self.call.partition(".")[0]

    @property
    def producer(self) -> str:
        return str(self.seen.get("producer", ""))

    @property
    def squashed(self) -> np.ndarray:
        """At which rows all values lay in [0, 1]."""
        return (self.low >= -EDGE) & (self.high <= 1 + EDGE)


def given(facts: Facts, *names: str) -> Iterator[Given]:
    """What the losses of these names were given."""
    seen = {event.data["call"]: event.data for event in facts.events("loss-seen") if "call" in event.data}
    columns = {what: facts.table("loss-input", what) for what in ("min", "max", "sum_error")}
    for place, call in enumerate(columns["min"].names):
        if call.partition(".")[0] in names:
            good = np.isfinite(columns["min"].values[:, place])
            values = {what: table.values[good, place][-RECENT:] for what, table in columns.items()}
            yield Given(
                call,
                columns["min"].steps[good][-RECENT:],
                values["min"],
                values["max"],
                values["sum_error"],
                seen.get(call, {}),
            )


def _first(facts: Facts, names: tuple[str, ...], judge: Callable[[Given], Finding | None]) -> Finding | None:
    return next((found for each in given(facts, *names) if (found := judge(each)) is not None), None)


def judge_logarithms(facts: Facts) -> Finding | None:
    """NLLLoss, or KLDivLoss, is given values above zero, which no logarithm of a probability can be."""
    return _first(facts, ("nll_loss", "kl_div"), _logarithms)


def _logarithms(each: Given) -> Finding | None:
    above = each.high > ABOVE_ZERO
    enough = ENOUGH_ALL_ABOVE if above.all() else ENOUGH_ROWS
    if len(above) < enough or above.mean() < PERSISTENT:
        return None
    what = "probabilities" if each.squashed.all() else "raw scores"
    return Finding(
        "error",
        f"{each.name} is given {what}: values from {number(level(each.low))} to {number(level(each.high))}, though it "
        "expects logarithms of probabilities, which are never above 0. The loss falls without bound as the scores "
        "grow, and says nothing about the answers.",
        first_step=int(each.steps[0]),
        last_step=int(each.steps[-1]),
        evidence={"lowest": level(each.low), "highest": level(each.high), "share_of_steps": float(above.mean())},
        remedies=(
            Remedy("Use cross_entropy (CrossEntropyLoss) on the raw scores.")
            if each.name == "nll_loss"
            else Remedy("Give log_softmax of the scores as the input; probabilities belong into the target."),
            Remedy("Or end the network with log_softmax over the classes."),
        ),
    )


def judge_softmax(facts: Facts) -> Finding | None:
    """Cross entropy is given rows of probabilities."""
    return _first(facts, ("cross_entropy",), _softmax)


def _softmax(each: Given) -> Finding | None:
    tolerance = SUM_ERROR_OF_SOFTMAX if each.producer == "Softmax" else SUM_ERROR
    sums_to_one = each.squashed & (each.sum_error < tolerance)
    by_sigmoid = each.squashed & (each.producer == "Sigmoid")
    found = sums_to_one | by_sigmoid
    if len(found) < ENOUGH_ROWS or found.mean() < PERSISTENT:
        return None
    rows = "rows that sum to 1" if sums_to_one.mean() >= PERSISTENT else "the output of a sigmoid"
    return Finding(
        "warning",
        f"cross_entropy is given probabilities: {rows}, from {number(level(each.low))} to {number(level(each.high))}. "
        "It applies softmax itself; twice, the scores differ by 1 at most, so gradients are small and the loss cannot "
        "come near zero.",
        first_step=int(each.steps[0]),
        last_step=int(each.steps[-1]),
        evidence={"lowest": level(each.low), "highest": level(each.high), "sum_error": level(each.sum_error)},
        remedies=(
            Remedy("Leave the softmax out of the network; apply it only where probabilities are wanted."),
            Remedy("Or take its logarithm and use NLLLoss."),
        ),
    )


def judge_sigmoid(facts: Facts) -> Finding | None:
    """BCE with logits is given values that never leave [0, 1]."""
    return _first(facts, ("binary_cross_entropy_with_logits", "multilabel_soft_margin_loss"), _sigmoid)


def _sigmoid(each: Given) -> Finding | None:
    needed = ENOUGH_ROWS if each.producer in SQUASHED else ENOUGH_UNEXPLAINED
    explained = each.producer in SQUASHED or each.producer in UNTOLD
    if not explained or len(each.steps) < needed or each.squashed.mean() < PERSISTENT_RANGE:
        return None
    source = f" They come out of a {each.producer.lower()}." if each.producer in SQUASHED else ""
    return Finding(
        "warning",
        f"{each.name} is given values from {number(float(each.low.min()))} to {number(float(each.high.max()))}, never "
        f"outside [0, 1], in {len(each.steps)} steps.{source} It applies a sigmoid itself; twice, no answer is below "
        "0.50 or above 0.73.",
        first_step=int(each.steps[0]),
        last_step=int(each.steps[-1]),
        evidence={"lowest": float(each.low.min()), "highest": float(each.high.max())},
        remedies=(
            Remedy("Leave the sigmoid out of the network and keep BCEWithLogitsLoss (numerically the better way)."),
            Remedy("Or keep the sigmoid and use BCELoss."),
        ),
    )


def judge_shapes(facts: Facts) -> Finding | None:
    """Scores and labels of one batch were blown up against each other."""
    for event in facts.events("loss-seen"):
        data = event.data
        scores, labels = data.get("scores") or [], data.get("labels") or []
        if data.get("broadcast") and data.get("reduction") != "none" and scores[:1] == labels[:1]:
            return _broadcast(facts, event, scores, labels)
    return next((_of_graph(facts, event) for event in facts.events("loss-blown-up")), None)


def _broadcast(facts: Facts, event: Event, scores: list[int], labels: list[int]) -> Finding:
    blown_up = list(np.broadcast_shapes(tuple(scores), tuple(labels)))
    given = f"{event.data['name']} is given outputs of shape {_shape(scores)} and labels of shape {_shape(labels)}"
    return _all_pairs(facts, event, f"{given}: they are blown up to {_shape(blown_up)}", scores, blown_up)


def _of_graph(facts: Facts, event: Event) -> Finding:
    """Seen in the graph of the loss: it is known what the outputs were blown up to, not the shape of the labels."""
    outputs, result = event.data["outputs"], event.data["result"]
    words = f"The loss compares outputs of shape {_shape(outputs)} with labels of another: both are blown up to "
    return _all_pairs(facts, event, words + _shape(result), outputs, result)


def _all_pairs(facts: Facts, event: Event, words: str, scores: list[int], blown_up: list[int]) -> Finding:
    return Finding(
        "error",
        f"{words}, every output against every label. The best answer to that is the mean of the labels, whatever the "
        "input.",
        first_step=event.step or 0,
        last_step=max(event.step or 0, facts.run.steps - 1),
        evidence={"examples": float(scores[0]), "compared": float(np.prod(blown_up))},
        remedies=(
            Remedy("Give both the same shape: outputs.squeeze(1), or labels.unsqueeze(1)."),
            Remedy("Watch for the warning 'Using a target size that is different to the input size'."),
        ),
    )


def _shape(sizes: Any) -> str:
    return "(" + ", ".join(map(str, sizes)) + ("," if len(sizes) == 1 else "") + ")"


LOGARITHMS = Rule(
    name="loss-expects-log-probabilities",
    title="Loss expects log-probabilities",
    group="implementation",
    severities=("error",),
    meaning="NLLLoss takes the negative of the number at the right class, nothing more: on raw scores it is minimised "
    "by making all of them large. The loss goes below zero and falls without bound.",
    causes="log_softmax forgotten, softmax in its place, or NLLLoss where CrossEntropyLoss was meant.",
    remedies="CrossEntropyLoss on raw scores, or log_softmax before NLLLoss.",
    source=f"Values above {ABOVE_ZERO:g} at {PERSISTENT:.0%} of the measured steps: logarithms of probabilities are "
    "never above 0.",
    judge=judge_logarithms,
)

DOUBLE_SOFTMAX = Rule(
    name="double-softmax",
    title="Softmax is applied twice",
    group="implementation",
    severities=("warning",),
    meaning="Cross entropy applies log-softmax to what it is given. Given probabilities it sees scores between 0 and "
    "1: for ten classes the loss cannot fall below 1.46, and the gradients are small.",
    causes="A network that ends in softmax, as books draw it, together with CrossEntropyLoss.",
    remedies="Remove the last softmax.",
    source=f"Rows in [0, 1] that sum to 1 within {SUM_ERROR:g}, at {PERSISTENT:.0%} of the measured steps.",
    judge=judge_softmax,
)

DOUBLE_SIGMOID = Rule(
    name="double-sigmoid",
    title="Sigmoid is applied twice",
    group="implementation",
    severities=("warning",),
    meaning="BCEWithLogitsLoss applies the sigmoid itself. Given probabilities it sees logits between 0 and 1: no "
    "answer can be below 0.50 or above 0.73.",
    causes="A network that ends in sigmoid, together with BCEWithLogitsLoss.",
    remedies="Remove the last sigmoid, or use BCELoss.",
    source="Values in [0, 1] at nearly every measured step, and a sigmoid that computed them (or nobody knows what).",
    judge=judge_sigmoid,
)

BROADCAST = Rule(
    name="loss-shape-broadcast",
    title="Loss compares every output with every label",
    group="implementation",
    severities=("error",),
    meaning="Outputs (N, 1) against labels (N,) do not line up: both are blown up to N × N, and each output is "
    "compared with the labels of all examples.",
    causes="A last layer with one output and labels without that dimension.",
    remedies="squeeze the outputs or unsqueeze the labels.",
    source="The shapes that the loss saw: the result is larger than either. Where the loss is written by hand, the "
    "graph before it: outputs (N,) or (N, 1) minus constants give N × N, of which every row is the first one, moved.",
    judge=judge_shapes,
)
