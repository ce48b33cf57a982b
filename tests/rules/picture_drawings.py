"""Drawings of a sick run: the report's figures in the size of the pictures, and those that one rule alone needs."""

import numpy as np

from convdebug.report import curves, depth
from convdebug.report.drawing import LIGHT, Board, step_axis, value_axis
from tests.rules import ill_targets
from tests.rules.picture_figures import (
    HEIGHT,
    WIDTH,
    Sick,
    bars,
    framed,
    heat,
    layer,
    lines,
    piled,
    whole_axes,
    with_level,
)

CURVES = (("training", LIGHT["accent"]), ("validation", LIGHT["validation"]))


def loss(sick: Sick, level: float | None = None, name: str = "guessing") -> Board | None:
    """The report's loss; `level` is another line to hold it against, by that name in the key."""
    board = curves.loss_figure(sick.session, sick.run, sick.marks)
    if board is None:
        return None
    validated = curves.curve(sick.session, sick.run, "val/loss") is not None
    key = list(CURVES[: 1 + validated])
    if level is not None:
        board, key = with_level(board, level), [*key, (name, LIGHT["good"])]
    return framed(board, "loss", key)


def loss_and_guessing(sick: Sick) -> Board | None:
    return loss(sick, level=sick.run.info["expected_initial_loss"])


def accuracy(sick: Sick) -> Board | None:
    board = curves.accuracy_figure(sick.session, sick.run, sick.marks)
    validated = curves.curve(sick.session, sick.run, "val/accuracy") is not None
    return framed(board, "accuracy", CURVES[: 1 + validated]) if board is not None else None


def activations(sick: Sick) -> Board | None:
    """Deviation over depth and histograms behind each non-linearity: the report's figure without its first third."""
    measured = set(depth.layers_with(sick.session, sick.run, "std"))
    bent = [each["name"] for each in sick.run.info["layers"] if each["activation"] and each["name"] in measured]
    board = depth.activations_figure(sick.session, sick.run, bent)
    if board is None:
        return None
    figure = board.figure
    band, deviations, ridge = figure.axes
    figure.delaxes(band)
    for axes, left, width in ((deviations, 50, 300), (ridge, 432, 100)):
        axes.set_position((left / WIDTH, 26 / HEIGHT, width / WIDTH, (HEIGHT - 60) / HEIGHT))
    figure.set_size_inches(WIDTH / 72, HEIGHT / 72)
    deviations.annotate("depth", (0, 0), xycoords=("figure fraction", "axes fraction"), xytext=(8, -6), va="top",
                        textcoords="offset points", color=LIGHT["dim"], fontsize=11)  # fmt: skip
    return board


def gradients(sick: Sick) -> Board | None:
    board = depth.gradient_figure(sick.session, sick.run)
    if board is None:
        return None
    curves.draw_marks(board.figure.axes[0], sick.marks)
    return framed(board, "log₁₀ of the gradient's norm, layer over step; right: the last step")


def updates(sick: Sick) -> Board | None:
    board = depth.update_figure(sick.session, sick.run)
    if board is None:
        return None
    curves.draw_marks(board.figure.axes[0], sick.marks)
    weights = depth.weights_with(sick.session, sick.run, "update/", "/ratio")
    key = list(zip(weights, depth.depth_colours(len(weights)), strict=True))[:4]
    return framed(board, "log₁₀ of update : weight (green: healthy)", key)


def weights(sick: Sick, kind: str, caption: str, empty: str = "", last: int | None = None) -> Board:
    """A heat map with a row for every weight of the run, whether or not the series has it."""
    names = [each["name"] for each in sick.run.info["parameters"] if not each["name"].endswith("bias")]
    rows = {name.removesuffix(".weight"): kind.format(name) for name in names}
    return heat(sick, caption, rows, empty=empty, last=last)


def layers(sick: Sick, ending: str, caption: str, last: int | None = None) -> Board:
    """A heat map with a row for every layer."""
    names = depth.layers_with(sick.session, sick.run, ending)
    return heat(sick, caption, {name: f"activation/{name}/{ending}" for name in names}, last=last)


def of_each(sick: Sick, caption: str, head: str, tail: str, **options: object) -> Board:
    """A line for each layer that has the series."""
    names = [name for name in sick.session.series_names(sick.run.id) if name.startswith(head) and name.endswith(tail)]
    series = {layer(name.removeprefix(head).removesuffix(tail)): name for name in names}
    return lines(sick, caption, series, **options)  # type: ignore[arg-type]


def label_counts(sick: Sick) -> Board:
    """What the labels of that target are, for the network's outputs 0 to 9."""
    _, labels = ill_targets.label_beyond_the_outputs().train_data
    counts = np.bincount(labels.numpy())
    beyond = [str(label) for label in range(len(counts)) if label > sick.diagnosis.evidence["outputs"] - 1]
    return bars("training examples of each label", {str(label): n for label, n in enumerate(counts)}, ill=beyond)


def class_counts(sick: Sick) -> Board:
    counts = sick.session.events(0, kinds={"classes"})[-1].data["counts"]
    rare = min(counts, key=counts.get)
    return bars("training examples of each class", {f"class {name}": n for name, n in counts.items()},
                ill=[f"class {rare}"])  # fmt: skip


def overlap(sick: Sick) -> Board:
    data = sick.session.events(0, kinds={"overlap"})[-1].data
    seen = "also in the training data"
    values = {"only in the validation data": data["examined"] - data["shared"], seen: data["shared"]}
    return bars("validation examples", values, ill=[seen])


def copies(sick: Sick) -> Board:
    data = sick.session.events(0, kinds={"data"})[-1].data["train"]
    copied = "copies of these"
    values = {"different examples": data["examined"] - data["duplicates"], copied: data["duplicates"]}
    return bars("training examples", values, ill=[copied])


def calls(sick: Sick) -> Board:
    counted = sick.session.events(sick.run.id, kinds={"loop"})[-1].data
    values = {"backward": counted["backwards"], "optimizer.step": counted["steps"]}
    return bars(f"calls in {sick.run.steps} steps", values, ill=["optimizer.step"])


def compared(sick: Sick) -> Board:
    examples, pairs = (sick.diagnosis.evidence[name] for name in ("examples", "compared"))
    values = {"outputs in a batch": examples, "labels in a batch": examples, "pairs compared": pairs}
    return bars("what the loss is given, and what it compares", values, ill=["pairs compared"])


def held(sick: Sick) -> Board:
    told = sick.session.events(sick.run.id, kinds={"parameters"})[-1].data["parameters"]
    times = {each["name"]: each["held"] for each in told}
    return bars("how often the optimizer holds each parameter", times, ill=[n for n in times if times[n] > 1], level=1,
                level_name="healthy")  # fmt: skip


def scales(sick: Sick) -> Board:
    """Mean ± deviation of each channel in both splits."""
    data = sick.session.events(0, kinds={"data"})[-1].data
    board = Board(WIDTH, HEIGHT)
    axes = whole_axes(board)
    channels = np.arange(len(data["train"]["mean"]))
    for split, colour, aside in (("train", LIGHT["accent"], -0.12), ("val", LIGHT["validation"], 0.12)):
        axes.errorbar(channels + aside, data[split]["mean"], data[split]["std"], color=colour, fmt="o", markersize=5,
                      elinewidth=2.5, capsize=5)  # fmt: skip
    axes.set_xlim(-0.6, len(channels) - 0.4)
    axes.set_xticks(channels, [f"channel {channel}" for channel in channels])
    value_axis(axes, 0.0, float(np.max(np.add(data["val"]["mean"], data["val"]["std"]))), logarithmic=False)
    return framed(board, "inputs: mean ± deviation", CURVES, along="")


def noise_of_workers(sick: Sick) -> Board:
    """What the two workers of that target add to one example, value by value."""
    from torch.utils.data import DataLoader, Subset

    data = ill_targets.workers_of_one_mind().train_data
    drawn = [batch[0][0] for batch in DataLoader(Subset(data, [0, 0]), num_workers=2)]
    noise = [(each - data.inputs[0]).flatten()[:48].numpy() for each in drawn]
    board = Board(WIDTH, HEIGHT)
    axes = whole_axes(board)
    step_axis(axes, 0, 47)
    value_axis(axes, float(np.min(noise)), float(np.max(noise)), logarithmic=False)
    axes.plot(noise[0], color=LIGHT["accent"], linewidth=4, alpha=0.55)
    axes.plot(noise[1], color=LIGHT["validation"], linewidth=1.4)
    key = (("worker 1", LIGHT["accent"]), ("worker 2", LIGHT["validation"]))
    return framed(board, "noise added to one example, its first 48 values", key, along="value")


def rungs(sick: Sick) -> Board:
    """Loss and pull of the penalty at each strength that the check tried."""
    told = sick.session.events(sick.run.id, kinds={"regularization"})[-1].data["rungs"]
    board = Board(WIDTH, HEIGHT)
    axes = whole_axes(board)
    value_axis(axes, 0.0, max(each["loss"] for each in told), logarithmic=False)
    key = (("loss", LIGHT["accent"]), ("pull on the weights", LIGHT["validation"]))
    for name, (_, colour) in zip(("loss", "pull"), key, strict=True):
        axes.plot([each[name] for each in told], color=colour, linewidth=1.8, marker="o", markersize=4)
    axes.set_xticks(range(len(told)), [f"penalty × {each['strength']:g}" for each in told])
    axes.set_xlim(-0.4, len(told) - 0.6)
    return framed(board, "at the start of the training", key, along="")


def waiting(sick: Sick) -> Board:
    """The step's time, and what of it the host waits."""
    (_, wall), (steps, waited) = (sick.session.series(f"time/{name}", sick.run.id) for name in ("wall", "sync"))
    parts = {"waiting for the device": 1000 * waited[1:], "the rest": 1000 * (np.diff(wall) - waited[1:])}
    return piled(sick, "milliseconds of a step", steps[1:], parts)
