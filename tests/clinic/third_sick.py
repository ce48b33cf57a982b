"""The sick of a third referral: common faults in tables, waves, texts and pictures, in forms of their own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from torch import nn

from . import third_faults as faults
from . import third_loaders as loaders
from . import third_loops as loops
from . import third_material as material
from .families import patterns
from .patient import Patient
from .referred_faults import the_head
from .referred_material import faint_stripes
from .referred_models import Change, each, made, regimen_of
from .referred_networks import Ailment
from .regimen import adam, sgd
from .sick import BY_A_CHECK
from .third_forward import BRANCHES, PIXELS, TABLE, TEXTS, WAVES, WORDS, networks_and_losses


def loops_and_rates() -> Iterator[Ailment]:
    """The order of calls, rates, schedules, and what the optimizer holds."""
    accumulate, high, low = ("gradients-accumulate",), ("learning-rate-too-high",), ("learning-rate-too-low",)
    zero, idle, missing = ("learning-rate-zero",), ("optimizer-not-stepping",), ("parameters-not-in-optimizer",)
    yield (
        "zeroed at a remainder that never comes",
        accumulate,
        each("residual", {"loop": loops.zeroes_at_a_fourth_remainder, "optimizer": sgd(0.1)}),
    )
    yield (
        "gradients detached and not zeroed",
        accumulate,
        {"transformer": TEXTS | {"loop": loops.detaches_the_gradients, "optimizer": sgd(0.05)}},
    )
    yield (
        "zeroing gives a name",
        accumulate,
        {"mlp": TABLE | {"optimizer": partial(loops.ZeroesAName, lr=0.1, momentum=0.9)}},
    )
    yield "decay in steps left", high, {"convnet": BRANCHES | {"schedule": loaders.in_percent, "optimizer": sgd(0.05)}}
    yield (
        "warm-up of four steps",
        high,
        each("transformer", {"schedule": loaders.short_warm_up(), "optimizer": adam(4.0)}),
    )
    yield "rate out of a checkpoint", high, each("batchnorm", {"loop": loops.takes_up_a_checkpoint})
    yield (
        "rates grow toward the input",
        high,
        each("residual", {"trained": faults.faster_toward_the_input, "optimizer": sgd(0.02)}),
    )
    yield (
        "gradients over the data set again",
        low,
        {"convnet": BRANCHES | {"alter": faults.gradients_by_the_data_set, "optimizer": sgd(0.05)}},
    )
    yield (
        "warm-up of a million",
        (*low, *zero),
        {"transformer": WORDS | {"schedule": loaders.warm_up_of_another_size}},
    )
    yield (
        "clipped while scaled",
        ("learning-rate-too-low", "clipping-always-active"),
        {"convnet": WAVES | {"loop": loops.clips_what_is_scaled, "optimizer": sgd(0.05)}},
    )
    yield "power of epochs", zero, each("residual", {"schedule": loaders.power_of_epochs, "optimizer": sgd(0.005)})
    yield (
        "halved at every worse batch",
        zero,
        {"mlp": TABLE | {"loop": loops.halves_at_every_worse_batch, "optimizer": sgd(0.01)}},
    )
    yield "step with a scaler only", idle, {"mlp": TABLE | {"loop": loops.steps_with_a_scaler_only}}
    yield "step behind all batches", idle, {"convnet": WAVES | {"loop": loops.steps_after_all}}
    yield (
        "thawed and never added",
        missing,
        each(
            "batchnorm",
            {"loop": loops.thaws_and_never_adds, "trained": the_head, "data": faint_stripes, "optimizer": adam()},
        ),
    )
    yield (
        "head made at the first batch",
        missing,
        {
            "convnet": made(faults.HeadAtTheFirstBatch)
            | {"optimizer": adam(3e-3), "data": partial(patterns, 4096, 20, noise=2.0)}
        },
    )
    yield (
        "weight norm after the optimizer",
        missing,
        each("residual", {"trained": faults.normed_after_the_optimizer, "data": faint_stripes}),
    )
    yield (
        "teacher shares the body",
        ("frozen-parameters",),
        each("residual", {"loop": loops.shares_its_body_with_a_teacher, "data": faint_stripes}),
    )
    yield (
        "frozen from the wrong end",
        ("frozen-parameters",),
        {"convnet": BRANCHES | {"alter": faults.frozen_from_the_wrong_end, "data": faint_stripes}},
    )
    yield (
        "sizes of all weights",
        ("regularization-dominates",),
        {"convnet": BRANCHES | {"loop": loops.sums_of_sizes}},
    )


def what_comes_in() -> Iterator[Ailment]:
    """Inputs, labels, their order and their splits."""
    unscaled, unrelated = ("inputs-not-scaled", "inputs-not-centered"), ("labels-unrelated-to-inputs",)
    infinite, overlap, sorted_ = ("non-finite-inputs",), ("train-val-overlap",), ("unshuffled-batches",)
    yield "units as they come", unscaled, {"mlp": TABLE | {"inputs": material.units_as_they_come}}
    yield "samples of sixteen bits", unscaled, {"convnet": WAVES | {"inputs": material.sixteen_bits}}
    yield "one column is constant", infinite, {"mlp": TABLE | {"inputs": material.standardized_columns}}
    yield "gamma below zero", infinite, {"convnet": BRANCHES | {"augment": material.with_gamma}}
    out = ("label-out-of-range",)
    yield "void pixels counted", out, {"convnet": PIXELS | {"data": material.void_pixels}}
    yield "end of text not in the vocabulary", out, {"transformer": WORDS | {"data": material.one_word_unknown}}
    rare = ("class-imbalance",)
    yield "one row in ninety", rare, {"mlp": TABLE | {"data": material.fraud}}
    yield "spots of one pixel", rare, {"convnet": PIXELS | {"data": material.spots}}
    yield (
        "buffer shorter than a kind",
        sorted_,
        {"transformer": TEXTS | {"data": material.sorted_reviews, "loop": loaders.from_a_buffer}},
    )
    yield (
        "batches shuffled, examples not",
        sorted_,
        each("residual", {"data": material.sorted_stripes, "loop": loaders.shuffles_batches, "steps": 96}),
    )
    by_heart: Change = {"steps": 320}
    yield (
        "trained on both splits",
        overlap,
        {"convnet": BRANCHES | by_heart | {"data": material.trained_on_both}},
    )
    yield (
        "downloaded twice",
        overlap,
        {"transformer": TEXTS | by_heart | {"data": material.downloaded_twice}},
    )
    yield (
        "two workers seeded alike",
        ("identical-augmentation",),
        each("batchnorm", {"loop": loaders.workers_alike, "data": partial(patterns, 512)}),
    )
    yield "rows dropped on one side", unrelated, {"mlp": TABLE | by_heart | {"data": material.rows_were_dropped}}
    yield (
        "half of a batch sorted",
        ("loss-not-decreasing", "labels-unrelated-to-inputs"),
        {"convnet": BRANCHES | {"loop": loaders.sorts_half, "steps": 240}},
    )
    yield (
        "pixels in any order",
        ("loss-not-decreasing", "labels-unrelated-to-inputs"),
        each("convnet", {"augment": material.pixels_in_any_order, "data": material.fine_stripes, "steps": 240}),
    )
    yield (
        "sixty rows",
        ("overfitting",),
        {"mlp": TABLE | by_heart | {"data": material.sixty_rows, "loss": nn.MSELoss(), "optimizer": adam(2e-3)}},
    )
    yield "eighty texts", ("overfitting",), {"transformer": TEXTS | by_heart | {"data": material.eighty_reviews}}
    yield (
        "signs told apart by a line",
        ("underfitting", "loss-plateau", "loss-not-decreasing"),
        {
            "mlp": {
                "make_model": lambda data: nn.Linear(6, data.outputs),
                "data": material.of_opposite_signs,
                "steps": 320,
            }
        },
    )
    yield (
        "file read for every picture",
        ("data-bound",),
        each("convnet", {"loop": loaders.reads_the_whole_file, "steps": 48}),
    )


CHECKED = {**BY_A_CHECK, "wrong-gradient": "gradient-check"}
"""Which check shows what a training does not."""


def patients() -> list[Patient]:
    """All the sick of the third referral."""
    found = []
    for part in (loops_and_rates, what_comes_in, networks_and_losses):
        for ailment, rules, families in part():
            for family, change in families.items():
                regimen = regimen_of(family, change)
                check = CHECKED.get(rules[0]) if regimen.loop is None else None
                found.append(Patient(f"{ailment}, {family}", family, regimen, rules, checked_by=check, referral=3))
    return found
