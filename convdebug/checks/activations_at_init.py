"""How do mean and deviation of the activations go through depth in fresh weights: vanish, explode, saturate, die?"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from convdebug.checks.bench import Bench, NotFinite, Outcome, Skipped
from convdebug.checks.chart import Chart
from convdebug.checks.not_finite import told
from convdebug.checks.probing import listed
from convdebug.checks.standing import Standing
from convdebug.learner import Learner
from convdebug.search.short_training import held_batches, rate_of, seed_all
from convdebug.watch import watch
from convdebug_sessions import Diagnosis, Remedy, Session

BATCHES = 6
RULES = ("vanishing-activations", "exploding-activations", "saturated-units", "dead-relu")
_ALIKE = 1e-6


def run(bench: Bench) -> Outcome:
    """Real forward and backward passes over a few batches, watched like a training, the weights standing still."""
    model = bench.target.build(bench.seed).to(bench.device).train()
    parameters = list(model.parameters())
    if not parameters:
        raise Skipped("the model has no parameters")
    learner = Learner(bench.target, model, Standing(parameters, _own_rate(bench, model)), bench.device)
    batches = held_batches(bench.target, BATCHES, bench.device)
    _watch(bench, learner, batches)
    origin = told(bench, bench.run.id)
    if origin:
        raise NotFinite("values are not finite before any update", origin)
    diagnoses = bench.ask_rules(*RULES) + _symmetric(bench, twin_layers(model))
    layers = _layers(bench)
    if not layers:
        raise Skipped("no layer's output is a tensor of real numbers")
    _draw(bench, layers)
    return Outcome(_summary(layers), _measured(layers), {}, diagnoses)


def _own_rate(bench: Bench, model: nn.Module) -> float:
    """Only recorded: rules ask whether the optimizer moves at all."""
    return rate_of(bench.target.optimizer(model)) or 1.0


def _watch(bench: Bench, learner: Learner, batches: list[Any]) -> None:
    seed_all(bench.seed)
    watched = watch(
        learner.model, learner.optimizer, session=bench.run, loss=bench.target.loss, every=1, keep_open=True,
        info={"source": "check", "expected_initial_loss": bench.target.expected_initial_loss},
    )  # fmt: skip
    with watched:
        for number in range(BATCHES):
            learner.step(batches[number % len(batches)])
            watched.step(learner.loss, accuracy=learner.right)
            bench.progress(number + 1, BATCHES, "batches forward and backward")
            if bench.time_left < 0 and number >= 2:
                break
    bench.run.flush()


def twin_layers(model: nn.Module) -> list[str]:
    """Weights whose units are all alike and got the same gradient: they can never become different."""
    return [
        name
        for name, weight in model.named_parameters()
        if weight.requires_grad and weight.ndim > 1 and len(weight) > 1 and weight.is_floating_point()
        and _alike(weight.detach()) and (weight.grad is None or _alike(weight.grad))
    ]  # fmt: skip


def _alike(rows: Tensor) -> bool:
    rows = (rows.to_dense() if rows.is_sparse else rows).float().flatten(1)
    return bool((rows - rows[:1]).abs().amax() <= _ALIKE * rows.abs().amax())


def _symmetric(bench: Bench, twins: list[str]) -> list[Diagnosis]:
    if not twins:
        return []
    layers = [name.removesuffix(".weight") for name in twins]
    return [
        bench.finding(
            "symmetric-weights",
            "error",
            f"All units of {listed(layers)} start with the same weights and get the same gradient, so they stay the "
            "same for ever: such a layer is worth one unit, or none where all is zero.",
            layer=layers[0],
            layers=layers,
            evidence={"layers": float(len(layers))},
            remedies=[Remedy("Initialize the weights at random (He for ReLU, Xavier for tanh).", _init(bench))],
        )
    ]


def _init(bench: Bench) -> dict[str, Any] | None:
    if bench.target.config is None:
        return None
    return {"model.init": "xavier" if bench.target.config.model.activation in ("tanh", "sigmoid") else "he"}


def _layers(bench: Bench) -> list[dict[str, Any]]:
    """Each measured layer with its numbers in the first batch; dead units over all batches."""
    with Session.open(bench.recorder.path) as session:
        names = set(session.series_names(bench.run.id))

        def read(name: str, place: int) -> float:
            values = session.series(name, bench.run.id)[1] if name in names else ()
            return float(values[place]) if len(values) else math.nan

        listed_layers = session.run(bench.run.id).info.get("layers") or []
        return [
            {
                "name": each["name"],
                "mean": read(f"activation/{each['name']}/mean", 0),
                "deviation": read(f"activation/{each['name']}/std", 0),
                "saturated": read(f"activation/{each['name']}/saturated_fraction", 0),
                "dead": read(f"unit/{each['name']}/dead", -1),
                "active": bool(each.get("activation")),
            }
            for each in listed_layers
        ]


def _path(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The activations where there are any, else every layer."""
    active = [each for each in layers if each["active"]]
    return active if len(active) > 1 else layers


def _draw(bench: Bench, layers: list[dict[str, Any]]) -> None:
    path = _path(layers)
    deviations = [each["deviation"] for each in path]
    positive = [each for each in deviations if each > 0]
    wide = bool(positive) and max(positive) > 8 * min(positive)
    bench.draw(Chart("deviation of the activations", {"deviation": deviations}, "layer",
                     names=[each["name"] for each in path], log_y=wide))  # fmt: skip


def _largest(layers: list[dict[str, Any]], what: str) -> float:
    return max((each[what] for each in layers if not math.isnan(each[what])), default=math.nan)


def _measured(layers: list[dict[str, Any]]) -> dict[str, Any]:
    path = _path(layers)
    first, last = path[0]["deviation"], path[-1]["deviation"]
    measured = {
        "first deviation": first,
        "last deviation": last,
        "factor a layer": (last / first) ** (1 / max(1, len(path) - 1)) if first > 0 and last >= 0 else math.nan,
        "saturated": _largest(layers, "saturated"),
        "dead": _largest(layers, "dead"),
        "layers": len(path),
        "deviations": [each["deviation"] for each in path],
        "means": [each["mean"] for each in path],
    }
    return {name: value for name, value in measured.items() if isinstance(value, list) or not math.isnan(value)}


def _summary(layers: list[dict[str, Any]]) -> str:
    path, measured = _path(layers), _measured(layers)
    text = (
        f"deviation {measured['first deviation']:.3g} after {path[0]['name']} and "
        f"{measured['last deviation']:.3g} after {path[-1]['name']}, "
        f"× {measured.get('factor a layer', math.nan):.2f} a layer over {len(path)} layers"
    )
    if "saturated" in measured:
        text += f"; at most {measured['saturated']:.0%} of a layer's values are saturated"
    if "dead" in measured:
        text += f"; at most {measured['dead']:.0%} of a layer's units are silent on every example"
    return text
