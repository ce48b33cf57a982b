"""Looks at the data just before the network: shapes, ranges, labels, balance, duplicates, overlap, augmentation."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from convdebug.batches import split_batch, to_device
from convdebug.checks.bench import Bench, Outcome, Skipped
from convdebug.checks.probing import answer_of, tensors_in
from convdebug.checks.survey import Survey, rows_of
from convdebug.checks.workers import identical_workers
from convdebug.instruments.entrance import Entrance
from convdebug.rules.labels import BEYOND, shares_out_of_range
from convdebug.target import Target, is_binary_entropy, is_weighted, without_augmentation
from convdebug_sessions import Diagnosis, Remedy

CONTRADICTED = 0.01  # of the examples
_SHOWN = 16
RULES = (
    "non-finite-inputs",
    "inputs-not-centered",
    "inputs-not-scaled",
    "class-imbalance",
    "train-val-overlap",
    "splits-differ-in-scale",
    "duplicate-examples",
    "identical-augmentation",
)


def run(bench: Bench) -> Outcome:
    """Survey both splits within the time that there is, show the first images, ask the rules of the data."""
    outputs = _first_batch(bench)
    train = _survey(bench, "train", 0.55 * bench.seconds)
    val = _survey(bench, "val", 0.8 * bench.seconds - bench.elapsed) if bench.target.val_data is not None else None
    surveys = [survey for survey in (train, val) if survey is not None]
    bench.run.event("data", None, **{survey.split: survey.as_json() for survey in surveys})
    for survey in surveys:
        _tell_classes(bench, survey)
    _tell_overlap(bench, train, val)
    _tell_workers(bench)
    diagnoses = bench.ask_rules(*RULES) + _out_of_range(bench, surveys, outputs)
    diagnoses += _contradicted(bench, train) + _labels_not_finite(bench, train)
    measured: dict[str, Any] = {survey.split: survey.as_json() for survey in surveys}
    measured |= {"classes": len(train.classes), "outputs": outputs}
    return Outcome(_summary(train, val), measured, {"mean": 0.0, "std": 1.0}, diagnoses)


def _first_batch(bench: Bench) -> int | None:
    """Keep what the network sees, try it on the network; the number of scores, None without classes."""
    _keep_images(bench)
    batch = to_device(bench.target.training_data_sample(_SHOWN), bench.device)
    inputs, labels = split_batch(batch)
    model = bench.target.build(bench.seed).to(bench.device).eval()
    try:
        with torch.no_grad():
            scores = answer_of(bench, model, inputs)
    except Skipped:
        return None  # its own train_step knows how to call it
    outputs = _score_count(scores, labels)
    _tell_entrance(bench, model, inputs)
    chance = bench.target.expected_initial_loss
    if chance and outputs and _within(labels, outputs, _ignored(bench.target)):
        bench.run.update_info(expected_initial_loss=chance)
        bench.run.group(("train/loss",)).append(0, (float(bench.target.data_loss(scores, labels)),))
    return outputs


def _tell_entrance(bench: Bench, model: nn.Module, inputs: Any) -> None:
    """What the first layer with weights is given in training mode, where a norm at the door is at work."""
    entrance = Entrance(model, lambda found: bench.run.update_info(entrance=found))
    with contextlib.suppress(Exception):  # batch norm of a single example; the checks after this one see it
        answer_of(bench, model.train(), inputs)
    entrance.close()


def _keep_images(bench: Bench) -> None:
    """The first pictures of a training batch just before the network: in its order, with its augmentation."""
    batch = next(bench.target.batches("train", bench.seed, 0, _SHOWN), None)
    if batch is None:
        return
    inputs, labels = split_batch(batch)
    rows = rows_of(inputs)
    if rows.ndim == 4 and rows.shape[1] <= 4:
        bench.run.blob("network-input", 0, rows[:_SHOWN].astype(np.float32), names=_label_names(bench.target, labels))


def _label_names(target: Target, labels: Any) -> list[str]:
    if not isinstance(labels, torch.Tensor) or labels.ndim != 1:
        return []
    names = target.class_names or ()
    return [names[label] if 0 <= label < len(names) else str(label) for label in labels[:_SHOWN].int().tolist()]


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
        if group is not None and not _are_indices(inputs):
            group.append(number, numbers)
        bench.progress(survey.examined, survey.total or survey.examined, f"{split} examples")
        if time.perf_counter() > ends:
            break
    return survey


def _are_indices(inputs: Any) -> bool:
    """Whether the first tensor of the inputs holds tokens or other places in a table, which have no scale."""
    first = next(iter(tensors_in(inputs)), None)
    return first is not None and first.dtype in (torch.int64, torch.int32, torch.bool)


def _plain_batches(target: Target, split: str) -> Iterator[Any]:
    """The examples as the network sees them, augmentation off, whole batches, in the order of training."""
    return replace(target, train_data=without_augmentation(target.train_data)).batches(split, 0, 0)


def _tell_classes(bench: Bench, survey: Survey) -> None:
    """`only_these`: there are no others, and the loss tells them apart; `weighted`: it has weights of classes."""
    loss = bench.target.loss
    classes = bench.target.expected_initial_loss is not None or is_binary_entropy(loss)
    bench.run.event(
        "classes",
        None,
        counts=_named(bench.target, survey.classes),
        split=survey.split,
        only_these=survey.all_of_it and classes,
        weighted=is_weighted(loss),
    )


def _named(target: Target, counts: Counter[int]) -> dict[str, int]:
    ignored = _ignored(target)
    return {str(label): counts[label] for label in sorted(counts) if label != ignored}


def _out_of_range(bench: Bench, surveys: list[Survey], outputs: int | None) -> list[Diagnosis]:
    if outputs is None:
        return _shares_out_of_range(bench, surveys)
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


def _shares_out_of_range(bench: Bench, surveys: list[Survey]) -> list[Diagnosis]:
    """Labels outside [0, 1] of a binary loss that leaves none out."""
    loss = bench.target.loss
    masked = getattr(loss, "reduction", "mean") == "none" or getattr(loss, "weight", None) is not None
    low, high = min(each.label_low for each in surveys), max(each.label_high for each in surveys)
    if not is_binary_entropy(loss) or masked or not (low < -BEYOND or high > 1 + BEYOND):
        return []
    found = shares_out_of_range(getattr(loss, "__name__", type(loss).__name__), low, high)
    return [
        bench.finding(
            "label-out-of-range",
            found.severity,
            found.message,
            evidence=found.evidence,
            remedies=list(found.remedies),
        )
    ]


def _tell_overlap(bench: Bench, train: Survey, val: Survey | None) -> None:
    if val is not None and val.hashes and train.hashes:
        shared = sum(count for key, count in val.hashes.items() if key in train.hashes)
        bench.run.event("overlap", None, shared=shared, examined=sum(val.hashes.values()))


def _tell_workers(bench: Bench) -> None:
    identical = identical_workers(bench.target)
    if identical is not None:
        workers = bench.target.batches_of("train").workers
        bench.run.event("workers", None, workers=workers, identical=identical)


def _contradicted(bench: Bench, train: Survey) -> list[Diagnosis]:
    if train.contradictions <= CONTRADICTED * train.examined:
        return []
    share = train.contradictions / train.examined
    return [
        bench.finding(
            "labels-unrelated-to-inputs",
            "warning",
            f"{train.contradictions} of {train.examined} training examples ({share:.1%}) stood there before, value for "
            "value, with another label: nothing can learn both.",
            evidence={"contradictions": float(train.contradictions), "share": share},
            remedies=[Remedy("Check that inputs and labels are read in the same order, and look for copied inputs.")],
        )
    ]


def _labels_not_finite(bench: Bench, train: Survey) -> list[Diagnosis]:
    """Labels that are no numbers and make the loss none; a loss that leaves them out is fine."""
    if train.first_unlabelled is None or not _break_the_loss(bench, train.first_unlabelled):
        return []
    return [
        bench.finding(
            "non-finite-labels",
            "error",
            f"The labels of {train.unlabelled} of {train.examined} training examples contain NaN or Inf, and the loss "
            "of a batch with one of them is no number.",
            evidence={"examples": float(train.unlabelled)},
            remedies=[
                Remedy(
                    "Drop or repair these examples, or leave them out of the loss with a mask (before the difference)."
                )
            ],
        )
    ]


def _break_the_loss(bench: Bench, batch: tuple[Any, Any]) -> bool:
    """Whether the loss is a number once the labels are, and none before."""
    inputs, labels = to_device(batch, bench.device)
    model = bench.target.build(bench.seed).to(bench.device).eval()
    try:
        with torch.no_grad():
            scores = answer_of(bench, model, inputs)
            losses = [bench.target.loss(scores, each) for each in (labels, labels.nan_to_num(0.0, 0.0, 0.0))]
    except Exception:  # its own train_step knows how to call them; the checks after this one see what comes of it
        return False
    before, after = (bool(loss.isfinite().all()) for loss in losses)
    return after and not before


def _summary(train: Survey, val: Survey | None) -> str:
    shape = "×".join(str(size) for size in train.shape) or "1"
    seen = f"{train.examined} training" + (f" and {val.examined} validation" if val else "")
    part = "" if train.all_of_it and (val is None or val.all_of_it) else " (not all of them, for time)"
    text = (
        f"{seen} examples of {shape}{part}, from {train.low:.3g} to {train.high:.3g}, "
        f"mean {round(float(train.mean.mean()), 3) + 0.0:.3g}, deviation {float(np.sqrt((train.std**2).mean())):.2g}"
    )
    if train.classes:
        counts = train.classes.values()
        text += f"; {len(train.classes)} classes of {min(counts)} to {max(counts)}"
    text += f"; {train.duplicates} duplicates" if train.duplicates else ""
    return text + _oddities(train, val)


def _oddities(train: Survey, val: Survey | None) -> str:
    """What is no ailment by itself and still worth a word."""
    text = f"; channel {train.constant_channels[0]} is constant" if train.constant_channels else ""
    if val is not None and val.shape != train.shape:
        text += f"; validation examples are of {'×'.join(map(str, val.shape)) or '1'}"
    missing = sorted(set(val.labels) - set(train.labels)) if val is not None and train.all_of_it else []
    return text + (f"; class {missing[0]} stands in validation alone" if missing else "")
