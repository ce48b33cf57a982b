"""Is the gradient that backward gives the slope of the loss? Centred differences in double precision."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from convdebug.batches import generator, seeded
from convdebug.checks.bench import Bench, NotFinite, Outcome, Skipped
from convdebug.checks.chart import Chart
from convdebug.checks.not_finite import refuse
from convdebug.checks.numerical import WRONG, Differences, Entry
from convdebug.checks.probing import answer_of, few_examples, listed, mapped, moved, sample
from convdebug.instruments.anatomy import unwrapped

EXAMPLES = 4
ENTRIES = 3
_TINY = 1e-12


@dataclass
class Judged:
    """The entries of one parameter that were tried."""

    name: str
    entries: list[Entry]

    @property
    def wrong(self) -> list[Entry]:
        return [each for each in self.entries if each.verdict == "wrong"]

    @property
    def compared(self) -> list[Entry]:
        """The entries that say something: a slope is there on both sides, or it agrees all the same."""
        return [each for each in self.entries if each.verdict in ("right", "wrong")]

    @property
    def error(self) -> float:
        """The largest relative error, NaN where nothing could be compared."""
        return max((each.error for each in self.compared), default=math.nan)


def run(bench: Bench) -> Outcome:
    """A few entries of every parameter, as many as the time allows, in double precision where the model takes it."""
    subject, problem = _subject(bench)
    judged = _judge(bench, subject)
    _tell(bench, judged, subject)
    diagnoses = bench.ask_rules("wrong-gradient")
    return Outcome(_summary(judged, subject, problem), _measured(judged, subject), {"error": WRONG}, diagnoses)


class Subject:
    """A model at a generic point, a few examples, and the loss as a function of its parameters alone.

    The model is in training mode, so batch norm uses the statistics of these examples. Random numbers are the same at
    every call, so are buffers; what the model cuts out of the gradient with `detach` stays at its value.
    """

    def __init__(self, bench: Bench, dtype: torch.dtype) -> None:
        self.bench, self.dtype = bench, dtype
        inputs, labels = few_examples(bench, EXAMPLES)
        self.inputs, self.labels = mapped(inputs, self._cast), mapped(labels, self._cast)
        model = unwrapped(bench.target.build(bench.seed)).to(bench.device)
        self.model = moved(model).to(dtype).train()
        self._loss = bench.target.loss
        if isinstance(self._loss, nn.Module):
            self._loss = copy.deepcopy(self._loss).to(bench.device, dtype)
        self._stops = StopGradients()
        self._settle_buffers()

    def _cast(self, value: Tensor) -> Tensor:
        return value.to(self.dtype) if value.is_floating_point() else value

    def _settle_buffers(self) -> None:
        """Modules other than batch norm that change their buffers (spectral norm) are held still, in evaluation."""
        kept = self._buffers()
        with torch.no_grad(), _default(self.dtype):
            self._forward()
        for name, module in self.model.named_modules():
            if isinstance(module, nn.modules.batchnorm._NormBase):
                continue
            own = [buffer for buffer, _ in module.named_buffers(prefix=name, recurse=False)]
            if any(not torch.equal(kept[each], self.model.get_buffer(each)) for each in own if each in kept):
                module.eval()
        self._put_back(kept)
        self._kept = kept

    def _buffers(self) -> dict[str, Tensor]:
        return {name: buffer.clone() for name, buffer in self.model.named_buffers()}

    def _put_back(self, kept: dict[str, Tensor]) -> None:
        for name, buffer in self.model.named_buffers():
            if name in kept and kept[name].shape == buffer.shape:
                buffer.data.copy_(kept[name])

    def _forward(self) -> Tensor:
        with seeded(self.bench.seed), self._stops:
            scores = answer_of(self.bench, self.model, self.inputs)
            loss = self._loss(scores, self.labels)
            return loss if self.bench.target.penalty is None else loss + self.bench.target.penalty(self.model)

    def gradients(self) -> None:
        """One backward pass; remembers what `detach` was given."""
        self._stops.listen()
        with _default(self.dtype):
            loss = self._forward()
            self.model.zero_grad(set_to_none=True)
            if not loss.requires_grad:
                raise Skipped("the loss has no gradient at all; the check “parameters” says more")
            loss.backward()
        self._stops.repeat()

    def loss(self) -> float:
        """The loss of the same examples with the parameters as they are now."""
        self._put_back(self._kept)
        self._stops.rewind()
        with torch.no_grad(), _default(self.dtype):
            return float(self._forward())


class StopGradients(TorchFunctionMode):
    """Remembers the result of every `detach` in one pass and gives the same results in the next ones."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[Tensor] | None = None
        self._repeats, self._place = False, 0

    def listen(self) -> None:
        """Remember from here on."""
        self._kept, self._repeats = [], False

    def repeat(self) -> None:
        """From here on give what was remembered."""
        self._repeats = True

    def rewind(self) -> None:
        """A new pass begins."""
        self._place = 0

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        result = function(*arguments, **(keywords or {}))
        if self._kept is None or function not in _DETACHING or not isinstance(result, Tensor):
            return result
        if not self._repeats:
            self._kept.append(result.clone())
            return result
        self._place += 1
        same = self._place <= len(self._kept) and self._kept[self._place - 1].shape == result.shape
        return self._kept[self._place - 1].clone() if same else result


_DETACHING = (Tensor.detach, torch.detach, Tensor.data.__get__)  # type: ignore[attr-defined]


@contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _subject(bench: Bench) -> tuple[Subject, str]:
    """The subject with its gradients, in float64, or in float32 with the reason why."""
    try:
        return _ready(Subject(bench, torch.float64)), ""
    except (Skipped, NotFinite):
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    try:
        return _ready(Subject(bench, torch.float32)), reason
    except (RuntimeError, TypeError, NotImplementedError) as error:
        if bench.target.train_step is None:
            raise
        raise Skipped(
            f"the target has its own train_step, and its model and loss do not work without it ({type(error).__name__})"
        ) from error


def _ready(subject: Subject) -> Subject:
    subject.gradients()
    first, again = subject.loss(), subject.loss()
    if not math.isfinite(first):
        refuse(
            subject.bench, f"the loss is {first} before any update", [sample(subject.bench, EXAMPLES)], standing=True
        )
    _require_finite_gradients(subject)
    if first != again:
        raise Skipped(
            f"the same batch and seed give the loss {first:.9g}, then {again:.9g}: it cannot be differentiated"
        )
    return subject


def _require_finite_gradients(subject: Subject) -> None:
    bad = next((name for name, each in subject.model.named_parameters() if not _is_finite(each.grad)), None)
    if bad is not None:
        reason = f"the loss is a number, but backward gives {bad} a gradient that is not"
        refuse(subject.bench, reason, [sample(subject.bench, EXAMPLES)], standing=True)


def _is_finite(gradient: Tensor | None) -> bool:
    if gradient is None:
        return True
    return bool((gradient.coalesce().values() if gradient.is_sparse else gradient).isfinite().all())


def _judge(bench: Bench, subject: Subject) -> list[Judged]:
    """One entry of every parameter, then the next one of each, until the time is over."""
    named = [(name, each) for name, each in subject.model.named_parameters() if _differentiable(each)]
    if not named:
        raise Skipped("no parameter of the model requires a gradient")
    judged = [Judged(name, []) for name, _ in named]
    order = torch.randperm(len(named), generator=generator(bench.seed, 3)).tolist()
    chosen = [_chosen(each, bench.seed + number) for number, (_, each) in enumerate(named)]
    loss, done, total = subject.loss(), 0, sum(map(len, chosen))
    for turn in range(ENTRIES):
        for number in (number for number in order if turn < len(chosen[number])):
            if bench.time_left < 0.05 * bench.seconds and done:
                return judged
            name, parameter = named[number]
            differences = Differences(name, parameter, parameter.grad, subject.loss)
            judged[number].entries.append(differences.entry(chosen[number][turn], loss))
            done += 1
            bench.progress(done, total, name)
    return judged


def _differentiable(parameter: nn.Parameter) -> bool:
    return parameter.requires_grad and parameter.is_floating_point() and parameter.numel() > 0


def _chosen(parameter: Tensor, seed: int) -> list[int]:
    """The entry with the largest gradient, one with any gradient, and one at random."""
    source = generator(seed, 11)
    anywhere = torch.randint(parameter.numel(), (), generator=source).item()
    if parameter.grad is None:
        return [int(anywhere)]
    gradient = parameter.grad.detach().abs().flatten().cpu()
    moving = gradient.nonzero()[:, 0]
    picked = [int(gradient.argmax())]
    picked += [int(moving[torch.randint(len(moving), (), generator=source)])] if len(moving) else []
    return list(dict.fromkeys([*picked, int(anywhere)]))[:ENTRIES]


def _tell(bench: Bench, judged: Sequence[Judged], subject: Subject) -> None:
    bench.run.event("gradient-check", 0, parameters=[_as_json(each) for each in judged], precision=str(subject.dtype))
    tried = [each for each in judged if each.compared]
    bench.draw(
        Chart(
            "relative error",
            {"error": [max(each.error, _TINY) for each in tried]},
            names=[each.name for each in tried],
            bars=True,
            log_y=True,
            level=WRONG,
            level_name="wrong above",
        )
    )


def _as_json(judged: Judged) -> dict[str, Any]:
    worst = max(judged.wrong, key=lambda each: each.error, default=None)
    return {
        "name": judged.name,
        "tried": len(judged.entries),
        "compared": len(judged.compared),
        "wrong": len(judged.wrong),
        "error": judged.error,
        "analytic": worst.analytic if worst else None,
        "numeric": worst.numeric if worst else None,
    }


def _measured(judged: Sequence[Judged], subject: Subject) -> dict[str, Any]:
    entries = [each for one in judged for each in one.entries]
    return {
        "error": max((each.error for each in judged if each.compared), default=math.nan),
        "parameters": sum(1 for each in judged if each.entries),
        "entries": len(entries),
        "wrong": sum(each.verdict == "wrong" for each in entries),
        "at kinks": sum(each.verdict in ("kink", "unclear") for each in entries),
        "flat": sum(each.verdict == "flat" for each in entries),
        "precision": str(subject.dtype).removeprefix("torch."),
    }


def _summary(judged: Sequence[Judged], subject: Subject, problem: str) -> str:
    measured = _measured(judged, subject)
    tried = [each for each in judged if each.entries]
    text = (
        f"{measured['entries']} entries of {len(tried)} parameters: the largest relative error between backward and "
        f"centred differences is {measured['error']:.1e}"
    )
    if measured["wrong"]:
        text += f"; {measured['wrong']} entries are wrong, in {listed([each.name for each in judged if each.wrong])}"
    if measured["flat"]:
        text += f"; {measured['flat']} lie where the loss moves in jumps (rounding, straight-through), left out"
    if measured["at kinks"]:
        text += f"; {measured['at kinks']} lie on a kink, left out"
    if len(tried) < len(judged):
        text += f"; {len(judged) - len(tried)} parameters were not reached in the time"
    return text + (f"; in float32, because float64 raised {problem}" if problem else ", in float64")
