"""Looks at the data just before the network: shapes, ranges, labels, balance, duplicates, overlap of the splits."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from convdebug.batches import call_model, split_batch, to_device
from convdebug.checks.bench import Bench, Outcome
from convdebug.search.short_training import HELD_BYTES
from convdebug.target import Target, without_augmentation
from convdebug_sessions import Diagnosis, Remedy

OVERLAP = 0.01
_SHOWN = 16
_HASHED_BYTES = 4 * HELD_BYTES


@dataclass
class Survey:
    """What was seen of one split; sums are per channel, in double precision."""

    split: str
    examined: int = 0
    total: int | None = None
    shape: tuple[int, ...] = ()
    values: float = 0.0
    sums: Any = 0.0
    squares: Any = 0.0
    low: float = float("inf")
    high: float = float("-inf")
    non_finite: int = 0
    labels: Counter[int] = field(default_factory=Counter)
    hashes: Counter[int] = field(default_factory=Counter)

    @property
    def mean(self) -> np.ndarray:
        """(C,) mean of the finite values."""
        return np.atleast_1d(self.sums / max(self.values, 1.0))

    @property
    def std(self) -> np.ndarray:
        """(C,) standard deviation of the finite values."""
        return np.sqrt(np.maximum(np.atleast_1d(self.squares / max(self.values, 1.0)) - self.mean**2, 0))

    @property
    def duplicates(self) -> int:
        """How many examples are copies of an earlier one."""
        return sum(count - 1 for count in self.hashes.values())

    @property
    def all_of_it(self) -> bool:
        """Whether every example was seen."""
        return self.total is not None and self.examined >= self.total

    def take(self, inputs: Any, labels: Any) -> tuple[float, float, float, float]:
        """Add a batch; its mean, deviation, lowest and highest value."""
        rows = _rows(inputs)
        self.examined += len(rows)
        self.shape = tuple(rows.shape[1:])
        self._take_labels(labels)
        if self.examined * max(1, rows[0].nbytes) <= _HASHED_BYTES:
            self.hashes.update(hash(row.tobytes()) for row in rows)
        return self._take_values(rows)

    def _take_labels(self, labels: Any) -> None:
        if isinstance(labels, torch.Tensor) and not labels.is_floating_point() and not labels.is_complex():
            values, counts = torch.unique(labels, return_counts=True)
            self.labels.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))

    def _take_values(self, rows: np.ndarray) -> tuple[float, float, float, float]:
        channels = rows.reshape(len(rows), rows.shape[1] if rows.ndim > 2 else 1, -1).astype(np.float64)
        finite = np.isfinite(channels)
        bad = channels.size - int(finite.sum())
        self.non_finite += bad
        kept = np.where(finite, channels, 0) if bad else channels
        self.values += finite.sum() / channels.shape[1]
        self.sums = self.sums + kept.sum(axis=(0, 2))
        self.squares = self.squares + (kept**2).sum(axis=(0, 2))
        self.low, self.high = min(self.low, float(kept.min())), max(self.high, float(kept.max()))
        if bad:
            return float("nan"), float(kept.std()), float(kept.min()), float(kept.max())
        return float(kept.mean()), float(kept.std()), float(kept.min()), float(kept.max())

    def as_json(self) -> dict[str, Any]:
        """For the event `data` and the measured numbers."""
        return {
            "examined": self.examined,
            "total": self.total,
            "shape": list(self.shape),
            "mean": [round(float(value), 6) for value in self.mean],
            "std": [round(float(value), 6) for value in self.std],
            "min": self.low,
            "max": self.high,
            "non_finite": self.non_finite,
            "duplicates": self.duplicates,
        }


def run(bench: Bench) -> Outcome:
    """Survey both splits within the time that there is, show the first images, ask the rules of the data."""
    outputs = _first_batch(bench)
    train = _survey(bench, "train", 0.55 * bench.seconds)
    val = _survey(bench, "val", 0.8 * bench.seconds - bench.elapsed) if bench.target.val_data is not None else None
    surveys = [survey for survey in (train, val) if survey is not None]
    bench.run.event("data", None, **{survey.split: survey.as_json() for survey in surveys})
    for survey in surveys:
        bench.run.event("classes", None, counts=_named(bench.target, survey.labels), split=survey.split)
    diagnoses = bench.ask_rules("non-finite-inputs", "inputs-not-centered", "inputs-not-scaled", "class-imbalance")
    diagnoses += _out_of_range(bench, surveys, outputs) + _overlap(bench, train, val)
    measured: dict[str, Any] = {survey.split: survey.as_json() for survey in surveys}
    measured |= {"classes": len(train.labels), "outputs": outputs}
    return Outcome(_summary(train, val), measured, {"mean": 0.0, "std": 1.0}, diagnoses)


def _first_batch(bench: Bench) -> int | None:
    """Keep what the network sees, try it on the network; the number of scores, None without classes."""
    batch = to_device(bench.target.training_data_sample(_SHOWN), bench.device)
    inputs, labels = split_batch(batch)
    _keep_images(bench, inputs)
    model = bench.target.build(bench.seed).to(bench.device).eval()
    with torch.no_grad():
        scores = call_model(model, inputs)
    outputs = _score_count(scores, labels)
    chance = bench.target.expected_initial_loss
    if chance and outputs and _within(labels, outputs, _ignored(bench.target)):
        bench.run.update_info(expected_initial_loss=chance)
        bench.run.group(("train/loss",)).append(0, (float(bench.target.loss(scores, labels)),))
    return outputs


def _keep_images(bench: Bench, inputs: Any) -> None:
    rows = _rows(inputs)
    if rows.ndim == 4 and rows.shape[1] <= 4:
        bench.run.blob("network-input", 0, rows[:_SHOWN].astype(np.float32))


def _score_count(scores: Any, labels: Any) -> int | None:
    if not isinstance(scores, torch.Tensor) or not isinstance(labels, torch.Tensor) or labels.is_floating_point():
        return None
    return int(scores.shape[1]) if scores.ndim > 1 and scores.shape[1] > 1 else None


def _ignored(target: Target) -> int:
    return int(getattr(target.loss, "ignore_index", -100))


def _within(labels: torch.Tensor, outputs: int, ignored: int) -> bool:
    good = ((labels >= 0) & (labels < outputs)) | (labels == ignored)
    return bool(good.all())


def _survey(bench: Bench, split: str, seconds: float) -> Survey:
    survey = Survey(split, total=bench.target.batches_of(split).examples)
    group = bench.run.group(("input/mean", "input/std", "input/min", "input/max")) if split == "train" else None
    ends = time.perf_counter() + max(seconds, 0.2)
    for number, batch in enumerate(_plain_batches(bench.target, split)):
        inputs, labels = split_batch(batch)
        numbers = survey.take(inputs, labels)
        if group is not None:
            group.append(number, numbers)
        bench.progress(survey.examined, survey.total or survey.examined, f"{split} examples")
        if time.perf_counter() > ends:
            break
    return survey


def _plain_batches(target: Target, split: str) -> Iterator[Any]:
    """The examples as the network sees them, augmentation off, whole batches, in the order of training."""
    return replace(target, train_data=without_augmentation(target.train_data)).batches(split, 0, 0)


def _rows(inputs: Any) -> np.ndarray:
    """(N, …) of the first tensor in the inputs."""
    while not isinstance(inputs, torch.Tensor):
        values = list(inputs.values()) if isinstance(inputs, dict) else list(inputs)
        inputs = next(value for value in values if isinstance(value, (torch.Tensor, dict, tuple, list)))
    return inputs.detach().cpu().numpy() if inputs.dtype != torch.bfloat16 else inputs.float().cpu().numpy()


def _named(target: Target, counts: Counter[int]) -> dict[str, int]:
    return {str(label): counts[label] for label in sorted(counts)}


def _out_of_range(bench: Bench, surveys: list[Survey], outputs: int | None) -> list[Diagnosis]:
    if outputs is None:
        return []
    ignored = _ignored(bench.target)
    seen: Counter[int] = sum((survey.labels for survey in surveys), Counter())
    wrong = {label: seen[label] for label in sorted(seen) if not 0 <= label < outputs and label != ignored}
    if not wrong:
        return []
    shown = ", ".join(str(label) for label in list(wrong)[:5]) + (", …" if len(wrong) > 5 else "")
    return [
        bench.finding(
            "label-out-of-range",
            "error",
            f"{sum(wrong.values())} labels are out of range ({shown}): the network gives {outputs} scores, "
            f"so labels run from 0 to {outputs - 1}. The loss cannot be computed for them.",
            evidence={"labels": float(sum(wrong.values())), "outputs": float(outputs)},
            remedies=[
                Remedy("Count the labels from 0; give the last layer as many outputs as there are classes."),
                Remedy("Mark labels that are to be left out with the loss's ignore_index."),
            ],
        )
    ]


def _overlap(bench: Bench, train: Survey, val: Survey | None) -> list[Diagnosis]:
    if val is None or not val.hashes or not train.hashes:
        return []
    shared = sum(count for key, count in val.hashes.items() if key in train.hashes)
    share = shared / sum(val.hashes.values())
    if share <= OVERLAP:
        return []
    return [
        bench.finding(
            "train-val-overlap",
            "warning",
            f"{shared} of {sum(val.hashes.values())} validation examples ({share:.1%}) stand in the training data too, "
            "value for value. Validation then measures memory, not what was learned.",
            evidence={"shared": float(shared), "share": share},
            remedies=[
                Remedy("Split before copying or augmenting, and by source (patient, video, page) where there is one."),
                Remedy("Drop the shared examples from the training data."),
            ],
        )
    ]


def _summary(train: Survey, val: Survey | None) -> str:
    shape = "×".join(str(size) for size in train.shape) or "1"
    seen = f"{train.examined} training" + (f" and {val.examined} validation" if val else "")
    part = "" if train.all_of_it and (val is None or val.all_of_it) else " (not all of them, for time)"
    text = (
        f"{seen} examples of {shape}{part}, from {train.low:.3g} to {train.high:.3g}, "
        f"mean {round(float(train.mean.mean()), 3) + 0.0:.3g}, deviation {float(np.sqrt((train.std**2).mean())):.2g}"
    )
    if train.labels:
        counts = train.labels.values()
        text += f"; {len(train.labels)} classes of {min(counts)} to {max(counts)}"
    return text + (f"; {train.duplicates} duplicates" if train.duplicates else "")
