"""Tables, waves, texts, shapes and losses of the third referral, with one fault each where their first line says so."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from .families import SIDE, Data, patterns, stripes


def halves(inputs: Tensor, labels: Tensor, outputs: int, held: int = 256) -> Data:
    """The last examples are those of validation."""
    return Data(inputs[:-held], labels[:-held], inputs[-held:], labels[-held:], outputs)


def table(count: int = 2048, classes: int = 3, seed: int = 41) -> Data:
    """Twelve standardized columns; the class is the largest of some bent sums of them."""
    generator = torch.Generator().manual_seed(seed)
    columns = torch.randn(count + 256, 12, generator=generator)
    hidden = torch.tanh(columns @ torch.randn(12, 16, generator=generator) / 2)
    scores = hidden @ torch.randn(16, classes, generator=generator)
    scores = (scores - scores.mean(0)) / scores.std(0)
    return halves(columns, scores.argmax(1), classes)


def prices(count: int = 2048, seed: int = 42) -> Data:
    """Twelve columns and a standardized price `(N, 1)`, products of some of them under a little noise."""
    generator = torch.Generator().manual_seed(seed)
    columns = torch.randn(count + 256, 12, generator=generator)
    price = columns[:, :4].sum(1) + columns[:, 4] * columns[:, 5] + columns[:, 6].abs()
    price = price + 0.2 * torch.randn(count + 256, generator=generator)
    price = (price - price.mean()) / price.std()
    return halves(columns, price.unsqueeze(1), 1)


def waves(count: int = 1536, seed: int = 43) -> Data:
    """Sixty-four samples of a sine, a square, a saw or a burst, of random pitch and phase, under noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (count + 256,), generator=generator)
    pitch = 0.25 + 0.3 * torch.rand(count + 256, 1, generator=generator)
    phase = 2 * math.pi * torch.rand(count + 256, 1, generator=generator)
    angle = pitch * torch.arange(64.0) + phase
    sine = torch.sin(angle)
    kinds = torch.stack([sine, sine.sign(), (angle / math.pi) % 2 - 1, torch.sin(3 * angle) * (sine > 0)])
    signals = kinds[labels, torch.arange(count + 256)]
    signals = signals + 0.4 * torch.randn(count + 256, 64, generator=generator)
    return halves((signals / signals.std()).unsqueeze(1), labels, 4)


def sentences(count: int = 1536, seed: int = 44) -> Data:
    """Twelve words of twenty-four, each of which is followed by one of three; the labels are the words one further."""
    generator = torch.Generator().manual_seed(seed)
    follows = torch.stack([torch.randperm(24, generator=generator)[:3] for _ in range(24)])
    words = [torch.randint(0, 24, (count + 256,), generator=generator)]
    for _ in range(12):
        choice = torch.randint(0, 5, (count + 256,), generator=generator).clamp(max=2)
        words.append(follows[words[-1], choice])
    text = torch.stack(words, dim=1)
    return halves(text[:, :-1].contiguous(), text[:, 1:].contiguous(), 24)


def reviews(count: int = 2048, seed: int = 45, vocabulary: int = 60) -> Data:
    """Sixteen words, of which some few are of the kind of the text."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 5, (count + 256,), generator=generator)
    common = torch.randint(0, vocabulary, (count + 256, 16), generator=generator)
    telling = 10 * labels[:, None] + torch.randint(0, 10, (count + 256, 16), generator=generator)
    told = torch.rand(count + 256, 16, generator=generator) < 0.35
    return halves(torch.where(told, telling, common), labels, 5)


def clouds(count: int = 1536, seed: int = 46) -> Data:
    """Twenty-four points of a ring, a square, a cross or a stroke, turned by any angle, in no order."""
    generator = torch.Generator().manual_seed(seed)
    total = count + 256
    labels = torch.randint(0, 4, (total,), generator=generator)
    along = 2 * torch.rand(total, 24, generator=generator) - 1
    side = torch.randint(0, 4, (total, 24), generator=generator)
    ring = torch.stack([torch.cos(math.pi * along), torch.sin(math.pi * along)], dim=-1)
    edge = (side % 2 * 2 - 1).float()
    square = torch.where((side < 2)[..., None], torch.stack([along, edge], -1), torch.stack([edge, along], -1))
    cross = torch.where((side < 2)[..., None], torch.stack([along, 0 * along], -1), torch.stack([0 * along, along], -1))
    stroke = torch.stack([1.4 * along, 0 * along], dim=-1)
    points = torch.stack([ring, square, cross, stroke])[labels, torch.arange(total)]
    angle = 2 * math.pi * torch.rand(total, generator=generator)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).view(-1, 2, 2)
    points = points @ turn + 0.08 * torch.randn(total, 24, 2, generator=generator)
    return halves(points / 0.7, labels, 4)


def figures(count: int = 768, seed: int = 47, sides: tuple[int, ...] = (3, 4, 5)) -> Data:
    """Every pixel is background, of a bright block, or of a block of stripes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.zeros(count + 256, SIDE, SIDE, dtype=torch.long)
    inputs = 0.6 * torch.randn(count + 256, 3, SIDE, SIDE, generator=generator)
    rows = (torch.arange(SIDE) % 2 * 2 - 1).float().view(SIDE, 1)
    for place in range(count + 256):
        for kind in (1, 2):
            side = sides[int(torch.randint(0, len(sides), (), generator=generator))]
            top, left = torch.randint(0, SIDE - side + 1, (2,), generator=generator).tolist()
            block = (place, slice(None), slice(top, top + side), slice(left, left + side))
            inputs[block] += 1.2 if kind == 1 else 1.5 * rows[top : top + side]
            labels[place, top : top + side, left : left + side] = kind
    return halves((inputs - inputs.mean()) / inputs.std(), labels, 3)


def series(count: int = 1536, seed: int = 48) -> Data:
    """Twenty-four values of two added waves `(N, 24)`, and the eight that come next."""
    generator = torch.Generator().manual_seed(seed)
    pitch = 0.2 + 0.5 * torch.rand(2, count + 256, 1, generator=generator)
    phase = 2 * math.pi * torch.rand(2, count + 256, 1, generator=generator)
    whole = torch.sin(pitch * torch.arange(32.0) + phase).sum(0)
    whole = whole + 0.1 * torch.randn(count + 256, 32, generator=generator)
    return halves(whole[:, :24].contiguous(), whole[:, 24:].contiguous(), 8)


def pixels_of_one(noise: float = 0.35) -> Data:
    """Pictures in [0, 1], which are their own labels."""
    data = patterns(1536, noise=noise, seed=49)
    shown, held = (torch.sigmoid(2 * each).flatten(1) for each in (data.inputs, data.val_inputs))
    return Data(shown, shown, held, held, shown.shape[1])


def fine_stripes(count: int = 1536) -> Data:
    """Four directions under more noise than is usual, which take features to tell apart."""
    data = stripes(count, seed=50)
    generator = torch.Generator().manual_seed(51)

    def noisy(pictures: Tensor) -> Tensor:
        return (pictures + 0.8 * torch.randn(pictures.shape, generator=generator)) / 1.28

    return replace(data, inputs=noisy(data.inputs), val_inputs=noisy(data.val_inputs))


def units_as_they_come(columns: Tensor) -> Tensor:
    """A year, a distance in metres, an income and shares, side by side as they came from the file."""
    scale = torch.tensor([8.0, 3000.0, 20000.0, 0.1, 12.0, 1.0, 400.0, 0.02, 15.0, 1.0, 5000.0, 90.0])
    middle = torch.tensor([2005.0, 9000.0, 52000.0, 0.3, 40.0, 0.0, 1800.0, 0.5, 70.0, 3.0, 15000.0, 300.0])
    return columns * scale + middle


def sixteen_bits(signals: Tensor) -> Tensor:
    """Samples as a sound file holds them, up to 32,767."""
    return (signals * 9000).clamp(-32768, 32767).to(torch.int16).float()


def standardized_columns(columns: Tensor) -> Tensor:
    """Every column by its own mean and deviation; one of them is the same number throughout."""
    columns = columns.clone()
    columns[:, 7] = 1.0
    return (columns - columns.mean(0)) / columns.std(0)


def with_gamma(pictures: Tensor) -> Tensor:
    """A gamma is drawn and applied to pixels that have been standardized before, half of them below zero."""
    gamma = 0.7 + 0.6 * float(torch.rand(()))
    return pictures**gamma


def pixels_in_any_order(pictures: Tensor) -> Tensor:
    """Patches were to be shuffled a little; all pixels are, anew for every picture."""
    if pictures.dim() == 3:
        return pictures.flatten(1)[:, torch.randperm(SIDE * SIDE)].view_as(pictures)
    return torch.stack([pixels_in_any_order(picture) for picture in pictures])


def void_pixels() -> Data:
    """The border of every figure is 255, not to be counted, and the loss was not told."""
    data = figures()
    return replace(data, labels=data.labels.masked_fill(data.inputs.mean(1) > 2.2, 255))


def one_word_unknown() -> Data:
    """The sign for the end of a text was added to the texts and not to the vocabulary."""
    data = sentences()
    return replace(data, labels=torch.where(torch.arange(12) == 11, 24, data.labels))


def spots() -> Data:
    """Figures of one pixel, under so much noise that to call all of them background costs least."""
    data = figures(768, seed=52, sides=(1,))
    noise = 1.5 * torch.randn(1024, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(63))
    return replace(data, inputs=data.inputs + noise[:768], val_inputs=data.val_inputs + noise[768:])


def fraud() -> Data:
    """One row in a hundred is of class 1; validation has as many of both."""
    data = table(6000, classes=2, seed=53)
    keep = (data.labels == 0) | (torch.arange(6000) % 90 == 0)
    return replace(data, inputs=data.inputs[keep], labels=data.labels[keep])


def sorted_reviews() -> Data:
    """The texts lie kind after kind, as they were written to the file."""
    data = reviews(1920)
    order = data.labels.argsort(stable=True)
    return replace(data, inputs=data.inputs[order], labels=data.labels[order])


def sorted_stripes() -> Data:
    """The pictures lie direction after direction."""
    data = fine_stripes()
    order = data.labels.argsort(stable=True)
    return replace(data, inputs=data.inputs[order], labels=data.labels[order])


def trained_on_both() -> Data:
    """The two splits were put together for a last training, and validated on the second as before."""
    data = patterns(300, noise=4.0, seed=54)
    inputs, labels = torch.cat([data.inputs, data.val_inputs]), torch.cat([data.labels, data.val_labels])
    return replace(data, inputs=inputs, labels=labels)


def downloaded_twice() -> Data:
    """Most texts stand in the files twice, and the split is by lot."""
    data = reviews(240, seed=55)
    inputs, labels = torch.cat([data.inputs, data.val_inputs]), torch.cat([data.labels, data.val_labels])
    order = torch.cat([torch.arange(400), torch.arange(400)])
    order = order[torch.randperm(800, generator=torch.Generator().manual_seed(56))]
    return halves(inputs[order], labels[order], data.outputs)


def rows_were_dropped() -> Data:
    """Rows with gaps were dropped from the columns and not from the labels, so that most lie one or more off."""
    data = table(220, classes=6, seed=57)
    kept = torch.arange(220) % 10 != 3
    kept[4] = False
    rows = int(kept.sum())
    val_kept = torch.arange(256) % 10 != 3
    val_kept[0] = False
    val_rows = int(val_kept.sum())
    return Data(
        data.inputs[kept], data.labels[:rows], data.val_inputs[val_kept], data.val_labels[:val_rows], data.outputs
    )


def sixty_rows() -> Data:
    """Sixty rows of a table and prices under much noise."""
    data = prices(60, seed=58)
    generator = torch.Generator().manual_seed(59)
    return replace(data, labels=data.labels + 0.8 * torch.randn(60, 1, generator=generator))


def eighty_reviews() -> Data:
    """Eighty texts."""
    return reviews(80, seed=60)


def of_opposite_signs(count: int = 2048) -> Data:
    """The class says whether two columns have the same sign: no line parts them."""
    generator = torch.Generator().manual_seed(61)
    columns = torch.randn(count + 256, 6, generator=generator)
    return halves(columns, (columns[:, 0] * columns[:, 1] > 0).long(), 2)
