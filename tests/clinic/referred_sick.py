"""The sick as public reports describe them: faults in the code and form in which people come upon them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import nn

from . import referred_faults as faults
from . import referred_loops as loops
from . import referred_material as material
from .families import patterns, stripes
from .patient import Patient
from .referred_models import Change, Dense, Normed, each, made, regimen_of
from .referred_networks import Ailment, network_and_loss
from .regimen import adam, sgd
from .sick import BY_A_CHECK


def loop_and_optimizer() -> Iterator[Ailment]:
    """The order of calls, what the optimizer holds, rates and schedules."""
    high, low, zero = ("learning-rate-too-high",), ("learning-rate-too-low",), ("learning-rate-zero",)
    accumulate = ("gradients-accumulate",)
    idle = ("optimizer-not-stepping",)
    yield (
        "accumulates over four batches and never zeroes",
        accumulate,
        {
            "mlp": {"loop": loops.accumulates_for_ever},
            "residual": {"loop": loops.accumulates_for_ever, "optimizer": sgd(0.1), "steps": 64},
        },
    )
    yield (
        "zeroes once an epoch",
        accumulate,
        {
            "convnet": {"loop": loops.zeroes_each_epoch, "optimizer": sgd(0.02)},
            "transformer": {"loop": loops.zeroes_each_epoch, "optimizer": sgd(0.05)},
        },
    )
    yield (
        "zeroes between backward and step",
        ("frozen-parameters", "optimizer-not-stepping"),
        each("convnet transformer", {"loop": loops.zeroes_before_the_step}),
    )
    yield "steps the schedule only", idle, each("mlp residual", {"loop": loops.steps_the_schedule_only})
    yield "step without parentheses", idle, each("convnet batchnorm", {"loop": loops.names_the_step})
    yield "accumulates more batches than there are", idle, each("transformer", {"loop": loops.waits_for_a_thousand})
    yield (
        "loss wrapped again",
        ("no-gradient", "frozen-parameters"),
        each("convnet transformer", {"loop": loops.wraps_the_loss_again}),
    )
    yield (
        "model built again after its optimizer",
        ("parameters-not-in-optimizer",),
        {
            "mlp": {"trained": faults.of_another_model(Dense, patterns)},
            "batchnorm": {"trained": faults.of_another_model(Normed, patterns)},
        },
    )
    yield (
        "model copied after its optimizer",
        ("parameters-not-in-optimizer",),
        each("residual transformer", {"trained": faults.copied_afterwards, "optimizer": adam()}),
    )
    yield (
        "layers in a list",
        ("parameters-not-in-optimizer",),
        {
            "convnet": made(faults.PythonList) | {"data": material.faint_stripes},
            "residual": made(faults.ListOfBlocks) | {"data": material.faint_stripes},
        },
    )
    yield (
        "only matrices and vectors chosen for training",
        ("parameters-not-in-optimizer",),
        each(
            "convnet batchnorm", {"trained": faults.matrices_only, "data": material.faint_stripes, "optimizer": adam()}
        ),
    )
    yield (
        "one of two optimizers stepped",
        ("optimizer-not-stepping", "parameters-not-in-optimizer", "frozen-parameters"),
        each(
            "convnet transformer",
            {"loop": loops.steps_one_of_two, "trained": faults.the_head, "data": stripes, "optimizer": adam()},
        ),
    )
    yield (
        "values of gradients clipped to nothing",
        ("learning-rate-too-low", "clipping-always-active"),
        each("batchnorm residual", {"loop": loops.clips_each_value_to_nothing, "optimizer": sgd(0.05)}),
    )
    yield (
        "rate of rmsprop too high",
        high,
        each("convnet batchnorm", {"optimizer": partial(torch.optim.RMSprop, lr=1.0)}),
    )
    yield "rate of adamw too high", high, each("transformer", {"optimizer": partial(torch.optim.AdamW, lr=0.5)})
    yield "rate of adagrad too high", high, each("convnet", {"optimizer": partial(torch.optim.Adagrad, lr=5.0)})
    yield "rate of the head too high", high, each("convnet residual", {"trained": faults.head_a_thousandfold})
    yield "rate grows", high, each("mlp convnet", {"schedule": material.growing, "optimizer": sgd(0.05)})
    yield "momentum of 0.999", high, each("batchnorm transformer", {"optimizer": sgd(0.3, 0.999)})
    yield (
        "rate of adadelta too low",
        low,
        each("convnet transformer", {"optimizer": partial(torch.optim.Adadelta, lr=1e-3)}),
    )
    yield "rate of rmsprop too low", low, each("batchnorm", {"optimizer": partial(torch.optim.RMSprop, lr=1e-7)})
    yield "warm-up by integers", zero, each("batchnorm transformer", {"schedule": material.by_integers})
    yield (
        "factor of an epoch at every batch",
        zero,
        each("residual transformer", {"schedule": material.decays_each_batch, "optimizer": sgd(0.01)}),
    )
    yield (
        "plateau of an accuracy, told of a loss",
        zero,
        each("mlp convnet", {"loop": loops.waits_for_the_loss_to_grow, "optimizer": sgd(0.01, 0.0)}),
    )
    yield (
        "weight decay of one under adam",
        ("regularization-dominates",),
        each("mlp convnet", {"optimizer": adam(2e-3, weight_decay=1.0)}),
    )
    yield (
        "penalty by hand",
        ("regularization-dominates",),
        each("mlp transformer", {"loop": loops.penalizes_by_hand}),
    )
    yield (
        "leap at the first steps",
        ("learning-rate-too-high", "dead-relu"),
        each("mlp convnet", {"schedule": material.a_leap_first}),
    )


def data_and_labels() -> Iterator[Ailment]:
    """Pictures, labels, their order and their splits."""
    unrelated = ("labels-unrelated-to-inputs",)
    by_heart: Change = {"optimizer": adam(3e-3), "steps": 320}
    unscaled = ("inputs-not-scaled", "inputs-not-centered")
    yield "bytes under adam", unscaled, each("mlp convnet", {"inputs": material.as_bytes, "optimizer": adam(1e-2)})
    yield (
        "bytes into tanh",
        ("inputs-not-scaled", "saturated-units", "inputs-not-centered"),
        {"mlp": {"make_model": None, "architecture": {"activation": nn.Tanh}, "inputs": material.as_bytes}},
    )
    yield "depth in millimetres", unscaled, each("convnet transformer", {"inputs": material.depth_in_millimetres})
    yield (
        "raw pixels in validation",
        ("splits-differ-in-scale",),
        each("mlp batchnorm", {"data": material.raw_validation}),
    )
    yield (
        "logarithm of black pixels",
        ("non-finite-inputs",),
        each("mlp residual", {"inputs": material.logarithm}),
    )
    yield "ratio of bands", ("non-finite-inputs",), each("batchnorm transformer", {"inputs": material.band_ratio})
    yield "blank pictures standardized", ("non-finite-inputs",), each("convnet", {"inputs": material.standardized_each})
    yield (
        "missing targets",
        ("non-finite-labels", "loss-diverged"),
        each("mlp", {"data": material.missing_targets, "loss": nn.MSELoss(), "optimizer": adam()}),
    )
    yield "labels one row off", unrelated, each("mlp batchnorm", by_heart | {"data": material.one_row_off})
    yield (
        "files in the order of their names",
        unrelated,
        {
            "convnet": by_heart | {"data": material.in_the_order_of_names},
            "residual": by_heart | {"data": material.in_the_order_of_names, "steps": 200},
        },
    )
    yield (
        "masks of 255",
        ("label-out-of-range",),
        each("convnet batchnorm", {"data": material.masks_to_255, "loss": nn.BCEWithLogitsLoss(), "optimizer": adam()}),
    )
    yield (
        "minus one and one",
        ("label-out-of-range",),
        each("mlp residual", {"data": material.plus_or_minus, "loss": nn.BCEWithLogitsLoss(), "optimizer": adam()}),
    )
    yield (
        "rare positives",
        ("class-imbalance",),
        each("mlp convnet", {"data": material.rare_positives, "loss": nn.BCEWithLogitsLoss(), "optimizer": adam()}),
    )
    yield "long tail", ("class-imbalance",), each("batchnorm transformer", {"data": material.long_tail})
    yield (
        "labels truncated to zero",
        ("class-imbalance",),
        each("mlp", {"labels": lambda labels: (labels / 10).long()}),
    )
    yield (
        "one folder after the other",
        ("unshuffled-batches",),
        each(
            "convnet residual",
            {
                "data": material.one_kind_then_the_other,
                "loss": nn.BCEWithLogitsLoss(),
                "shuffle": False,
            },
        ),
    )
    yield (
        "a recording at a time",
        ("unshuffled-batches",),
        each("convnet transformer", {"data": material.a_recording_at_a_time, "shuffle": False}),
    )
    overlap = ("train-val-overlap",)
    yield "split after oversampling", overlap, each("mlp", by_heart | {"data": material.split_after_oversampling})
    yield "split twice", overlap, each("convnet", by_heart | {"data": material.split_twice})
    yield (
        "wrong labels learned by heart",
        ("overfitting",),
        each("mlp convnet", by_heart | {"data": material.mislabelled}),
    )
    yield (
        "a hundred examples",
        ("overfitting",),
        {
            "batchnorm": by_heart | {"data": material.few(patterns, 100, noise=4.0), "steps": 200},
            "transformer": by_heart | {"data": material.few(material.faint_stripes, 100)},
        },
    )
    yield (
        "workers with one generator",
        ("identical-augmentation",),
        each(
            "convnet",
            {"loop": loops.over(loops.OneGenerator, num_workers=2, persistent_workers=True), "optimizer": adam()},
        ),
    )


def patients() -> list[Patient]:
    """All the sick that were referred."""
    found = []
    for part in (loop_and_optimizer, data_and_labels, network_and_loss):
        for ailment, rules, families in part():
            for family, change in families.items():
                regimen = regimen_of(family, change)
                check = BY_A_CHECK.get(rules[0]) if regimen.loop is None else None
                found.append(Patient(f"{ailment}, {family}", family, regimen, rules, checked_by=check, referral=1))
    return found
