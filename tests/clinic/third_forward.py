"""The sick of the third referral for what `forward` does, how weights begin, or what is descended."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from torch import nn

from . import third_beginnings as beginnings
from . import third_faults as faults
from . import third_loops as loops
from . import third_losses as losses
from . import third_material as material
from .families import patterns, yes_or_no
from .referred_material import faint_stripes
from .referred_models import Change, each, made
from .referred_networks import Ailment
from .regimen import adam, sgd
from .third_networks import Branches, Columns, Reader, Recurrent, Segmenter, Speaker, Waveform

TABLE: Change = made(Columns) | {"data": material.table, "optimizer": adam(5e-3)}
PIXELS: Change = made(Segmenter) | {"data": material.figures, "optimizer": adam(5e-3)}
WORDS: Change = made(Speaker) | {"data": material.sentences, "optimizer": adam(5e-3)}
TEXTS: Change = made(Reader) | {"data": material.reviews, "optimizer": adam(4e-3)}
WAVES: Change = made(Waveform) | {"data": material.waves, "optimizer": adam(5e-3)}
BRANCHES: Change = made(Branches) | {"optimizer": adam(3e-3)}


def networks_and_losses() -> Iterator[Ailment]:
    """What `forward` does, how the weights begin, and what is descended."""
    softmax, sigmoid = ("double-softmax",), ("double-sigmoid",)
    summed = ("loss-summed-over-batch", "learning-rate-too-high")
    broadcast, mixing = ("loss-shape-broadcast",), ("batch-mixing",)
    prices: Change = TABLE | {"data": material.prices}
    yield (
        "layers called and not heard",
        ("no-gradient",),
        {"transformer": made(faults.LayersUnheard) | {"data": faint_stripes}},
    )
    shown: Change = {"data": material.pixels_of_one, "loss": nn.MSELoss(), "optimizer": adam(4e-3)}
    yield (
        "nearest of some codes",
        ("no-gradient",),
        {"mlp": made(faults.NearestCode) | shown},
    )
    yield "mean of experts", softmax, {"convnet": made(faults.MeanOfExperts) | {"data": partial(patterns, classes=20)}}
    yield "shares of words", softmax, {"transformer": WORDS | made(faults.SharesOfWords)}
    yield (
        "decoder ends in a sigmoid",
        sigmoid,
        {"mlp": made(faults.EndsInSigmoid) | shown | {"loss": nn.BCEWithLogitsLoss()}},
    )
    yield "raw words", ("loss-expects-log-probabilities",), {"transformer": WORDS | {"loss": losses.raw_words}}
    yield "added in a loop", summed, {"mlp": TABLE | {"loss": losses.added_in_a_loop, "optimizer": sgd(0.1)}}
    yield (
        "weighed and summed",
        summed,
        {"convnet": PIXELS | {"loss": losses.weighted_and_summed, "optimizer": sgd(0.02)}},
    )
    yield "cosine of a row less a column", broadcast, {"mlp": prices | {"loss": losses.log_cosh}}
    series: Change = TABLE | {"data": material.series}
    yield "every series against all", broadcast, {"mlp": series | {"loss": losses.against_all_others}}
    yield (
        "gru that takes the length first",
        mixing,
        {"mlp": made(Recurrent, False) | {"data": partial(patterns, noise=2.5), "optimizer": adam(5e-3)}},
    )
    yield "sum along the batch", mixing, {"convnet": made(faults.RunningSum) | {"optimizer": adam(3e-3)}}
    yield (
        "first state scored",
        ("input-ignored", "no-gradient", "constant-output"),
        {"mlp": made(faults.FirstState) | {"optimizer": adam(5e-3)}},
    )
    yield (
        "never goes back to training",
        ("eval-mode-while-training",),
        each(
            "batchnorm", made(faults.DropsInAll) | {"loop": loops.never_goes_back, "data": partial(patterns, noise=2.0)}
        ),
    )
    yield (
        "copy put to rest",
        ("train-mode-while-validating",),
        each(
            "batchnorm",
            made(faults.DropsInAll) | {"loop": loops.puts_a_copy_to_rest, "data": partial(patterns, noise=3.0)},
        ),
    )
    small = ("batch-norm-small-batch",)
    yield (
        "norm of one pixel",
        small,
        {"batchnorm": made(faults.NormOfOnePixel) | {"batch": 3, "data": partial(patterns, noise=1.5)}},
    )
    yield (
        "projected and normalized by twos",
        small,
        {"residual": made(faults.ProjectedNorm) | {"batch": 2, "optimizer": sgd(0.005), "steps": 320}},
    )
    yield "both factors zero", ("symmetric-weights",), {"transformer": TEXTS | made(beginnings.AdaptedReader)}
    yield "seed before each unit", ("symmetric-weights",), each("mlp", {"alter": beginnings.seeded_before_each_unit})
    vanishing = ("vanishing-activations", "vanishing-gradient")
    yield "halved sums", vanishing, {"residual": made(beginnings.HalvedSums)}
    yield "shares between", vanishing[::-1], {"mlp": made(beginnings.SharesBetween) | {"optimizer": adam(1e-3)}}
    exploding = ("exploding-activations",)
    yield "sums of all before", exploding, {"residual": made(beginnings.SumsOfAll) | {"optimizer": sgd(0.01)}}
    yield "by the kernel alone", (*exploding, "initial-loss-off"), {"convnet": made(beginnings.ByTheKernelAlone)}
    yield "sharpened scores", ("initial-loss-off",), {"convnet": made(beginnings.Sharpened) | {"optimizer": sgd(1e-3)}}
    yield "counts as bias", ("initial-loss-off",), {"mlp": TABLE | made(beginnings.CountsAsBias)}
    yield "both signs", ("dead-relu",), {"convnet": made(beginnings.BothSigns) | {"data": faint_stripes}}
    yield "first norm zero", ("dead-relu",), {"residual": made(beginnings.FirstNormZero) | {"data": faint_stripes}}
    yield "loud norms", ("saturated-units",), {"batchnorm": made(beginnings.LoudNorms) | {"data": faint_stripes}}
    yield (
        "tokens times fifty",
        ("saturated-units",),
        {"transformer": made(beginnings.Squashed) | {"data": faint_stripes, "optimizer": adam(3e-3)}},
    )
    activation, gradient = ("non-finite-activation",), ("non-finite-gradient",)
    yield "shares of nothing", activation, {"transformer": TEXTS | made(beginnings.RectifiedWeights)}
    likelihood: Change = {
        "loss": losses.likelihood_of_log,
        "make_model": lambda data: beginnings.LogOfVariance(data, outputs=2),
    }
    yield "logarithm of a variance below zero", activation, {"mlp": prices | likelihood}
    yield "stride from a word to itself", gradient, {"transformer": TEXTS | made(beginnings.Strides)}
    yield "roots of winners", gradient, {"batchnorm": made(beginnings.Winners)}
    nothing = ("loss-diverged", *activation, *gradient)
    yield (
        "entropy of two by hand",
        nothing,
        each("mlp", {"data": yes_or_no, "loss": losses.entropy_of_two, "optimizer": adam(0.03)}),
    )
    dropout = ("excessive-dropout",)
    yield (
        "nine pixels of ten",
        dropout,
        {"mlp": made(faults.DropsPixels) | {"data": partial(patterns, noise=2.0), "optimizer": adam(3e-3)}},
    )
    yield "words all but dropped", dropout, {"transformer": TEXTS | made(faults.DropsWords) | {"steps": 240}}
    yield (
        "backward with the sides exchanged",
        ("wrong-gradient",),
        {"convnet": made(faults.OwnSlope) | {"data": faint_stripes}},
    )
    yield "features kept", ("graph-kept-alive",), {"convnet": made(faults.KeepsHidden) | {"steps": 240, "batch": 64}}
    yield "scaled twice", ("steps-skipped",), {"convnet": WAVES | {"loop": loops.scales_twice}}
