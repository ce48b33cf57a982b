"""The healthy of a second referral: networks, losses, settings and loops that no other patient has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from .families import SIDE, Data, patterns, stripes, yes_or_no
from .patient import Patient
from .referred_healthy import two_to_one
from .referred_loops import endless, plainly, tell
from .referred_models import Attention, Change, Dense, ResNet, ViT, made, regimen_of
from .regimen import Regimen, adam, evaluate, sgd


def counts(count: int = 2048) -> Data:
    """A number of events `(N, 1)`, Poisson about the exponential of a linear function of the picture."""
    generator = torch.Generator().manual_seed(31)
    inputs = torch.randn(count + 256, 3, SIDE, SIDE, generator=generator)
    direction = torch.randn(3 * SIDE * SIDE, 1, generator=generator) / math.sqrt(3 * SIDE * SIDE)
    numbers = torch.poisson(torch.exp(1.0 + 0.8 * inputs.flatten(1) @ direction), generator=generator)
    return Data(inputs[:count], numbers[:count], inputs[count:], numbers[count:], 1)


def masks(count: int = 1024) -> Data:
    """Every pixel has a class `(N, 8, 8)`: background, one of two rectangles, or both."""
    generator = torch.Generator().manual_seed(32)
    labels = torch.zeros(count + 256, SIDE, SIDE, dtype=torch.long)
    for kind in (1, 2):
        corners = torch.randint(0, SIDE - 3, (count + 256, 2), generator=generator)
        for picture, (row, column) in enumerate(corners.tolist()):
            labels[picture, row : row + 4, column : column + 4] += kind
    colours = torch.randn(4, 3, generator=generator)
    inputs = colours[labels].permute(0, 3, 1, 2) + 0.7 * torch.randn(count + 256, 3, SIDE, SIDE, generator=generator)
    inputs = (inputs - inputs.mean()) / inputs.std()
    return Data(inputs[:count], labels[:count], inputs[count:], labels[count:], 4)


class Mixer(nn.Module):
    """Matrices over the tokens and over the channels in turn."""

    def __init__(self, data: Data, width: int = 24) -> None:
        super().__init__()
        self.patch = nn.Conv2d(data.channels, width, 2, stride=2)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.over_tokens = nn.ModuleList(self.pair(16) for _ in range(2))
        self.over_channels = nn.ModuleList(self.pair(width) for _ in range(2))
        self.head = nn.Linear(width, data.outputs)

    @staticmethod
    def pair(width: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, pictures: Tensor) -> Tensor:
        tokens = self.patch(pictures).flatten(2).transpose(1, 2)
        for layer in range(2):
            tokens = tokens + self.over_tokens[layer](self.norms[2 * layer](tokens).transpose(1, 2)).transpose(1, 2)
            tokens = tokens + self.over_channels[layer](self.norms[2 * layer + 1](tokens))
        return self.head(tokens.mean(1))


class ReadsColumns(nn.Module):
    """An LSTM in both directions over the columns, batch first."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.lstm = nn.LSTM(data.channels * SIDE, 32, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(64, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        columns = pictures.permute(0, 3, 1, 2).flatten(2)
        return self.fc(self.lstm(columns)[0].mean(1))


class SureOf(nn.Module):
    """A sigmoid at the end, for the loss that expects one."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.model = Dense(data)

    def forward(self, pictures: Tensor) -> Tensor:
        return torch.sigmoid(self.model(pictures))


class UNet(nn.Module):
    """Down and up again, with a bridge; scores of every pixel."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.enter = nn.Conv2d(data.channels, 12, 3, padding=1)
        self.down = nn.Conv2d(12, 24, 3, 2, 1)
        self.up = nn.ConvTranspose2d(24, 12, 2, 2)
        self.leave = nn.Conv2d(24, data.outputs, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        wide = F.relu(self.enter(pictures))
        low = F.relu(self.down(wide))
        return self.leave(torch.cat([wide, F.relu(self.up(low))], dim=1))


class DenseBlock(nn.Module):
    """Norm, rectifier, convolution; what comes out is put beside what went in."""

    def __init__(self, before: int, growth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(before)
        self.conv = nn.Conv2d(before, growth, 3, padding=1, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([inputs, self.conv(F.relu(self.norm(inputs)))], dim=1)


class ConvNeXtBlock(nn.Module):
    """A depthwise convolution, layer norm over the channels, two matrices with GELU, a small learned scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.norm(self.depthwise(inputs).permute(0, 2, 3, 1))
        hidden = self.scale * self.down(F.gelu(self.up(hidden)))
        return inputs + hidden.permute(0, 3, 1, 2)


class Averaged(nn.Module):
    """The mean over the picture and a matrix after some convolutions."""

    def __init__(self, body: nn.Module, width: int, outputs: int) -> None:
        super().__init__()
        self.body, self.fc = body, nn.Linear(4 * width, outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(F.adaptive_avg_pool2d(self.body(pictures), 2).flatten(1))


def densely_connected(data: Data) -> Averaged:
    blocks = [DenseBlock(12 + 8 * number, 8) for number in range(3)]
    return Averaged(nn.Sequential(nn.Conv2d(data.channels, 12, 3, padding=1), *blocks), 36, data.outputs)


def convnext(data: Data) -> Averaged:
    stem = nn.Conv2d(data.channels, 24, 2, stride=2)
    return Averaged(nn.Sequential(stem, ConvNeXtBlock(24), ConvNeXtBlock(24)), 24, data.outputs)


def smooth(data: Data) -> nn.Sequential:
    """Softplus, average pooling, and every kernel divided by its largest singular value."""
    spectral = nn.utils.parametrizations.spectral_norm
    return nn.Sequential(
        spectral(nn.Conv2d(data.channels, 16, 3, padding=1)), nn.Softplus(), nn.AvgPool2d(2),
        spectral(nn.Conv2d(16, 24, 3, padding=1)), nn.Softplus(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(96, data.outputs),
    )  # fmt: skip


def drops_some_channels(data: Data) -> nn.Sequential:
    """Batch norm, rectifiers that end at six, and a tenth of the channels dropped after each."""
    layers: list[nn.Module] = []
    for before, width in ((data.channels, 16), (16, 32)):
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU6(), nn.Dropout2d(0.1)]
    return nn.Sequential(*layers, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(128, data.outputs))


class OneLayerThrice(ViT):
    """The same layer is gone through three times."""

    def features(self, pictures: Tensor) -> Tensor:
        tokens = self.tokens(pictures)
        for _ in range(3):
            tokens = self.layers[0](tokens)
        return self.norm(tokens)[:, 0]

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.layers = self.layers[:1]


class Gated(nn.Module):
    """Root-mean-square norms, fixed sines as places, and products of a SiLU and a matrix, as in language models."""

    place: Tensor

    def __init__(self, data: Data, width: int = 32) -> None:
        super().__init__()
        self.patch = nn.Linear(4 * data.channels, width)
        angles = torch.arange(16)[:, None] / 100.0 ** (torch.arange(width // 2) / (width // 2))
        self.register_buffer("place", torch.cat([angles.sin(), angles.cos()], dim=1))
        self.norms = nn.ModuleList(nn.RMSNorm(width) for _ in range(4))
        self.attentions = nn.ModuleList(Attention(width) for _ in range(2))
        self.ups = nn.ModuleList(nn.Linear(width, 4 * width, bias=False) for _ in range(2))
        self.downs = nn.ModuleList(nn.Linear(2 * width, width, bias=False) for _ in range(2))
        self.head = nn.Linear(width, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        tokens = self.patch(F.unfold(pictures, 2, stride=2).transpose(1, 2)) + self.place
        for layer in range(2):
            tokens = tokens + self.attentions[layer](self.norms[2 * layer](tokens))
            gate, value = self.ups[layer](self.norms[2 * layer + 1](tokens)).chunk(2, dim=-1)
            tokens = tokens + self.downs[layer](F.silu(gate) * value)
        return self.head(tokens.mean(1))


def log_of_probabilities(outputs: Tensor, labels: Tensor) -> Tensor:
    """A softmax, a logarithm kept from zero, and the loss that expects both."""
    return F.nll_loss(torch.log(F.softmax(outputs, dim=1).clamp_min(1e-8)), labels)


def brighter_or_darker(pictures: Tensor) -> Tensor:
    """Every picture's brightness and contrast are changed a little."""
    shape = (len(pictures), 1, 1, 1) if pictures.dim() == 4 else (1, 1, 1)
    return pictures * (0.8 + 0.4 * torch.rand(shape)) + 0.2 * torch.randn(shape)


def straight_to_zero(optimizer: Optimizer) -> Any:
    """A power of what is left, zero at the last step."""
    return lr_scheduler.PolynomialLR(optimizer, total_iters=160, power=0.9)


def cycle(optimizer: Optimizer) -> Any:
    return lr_scheduler.OneCycleLR(optimizer, max_lr=6e-3, total_steps=161, pct_start=0.3)


def waits_for_validation(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """The rate is halved where the loss of validation has not fallen for three looks."""
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=3)
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)
        if step % 10 == 9:
            scheduler.step(evaluate(regimen, model, data)[0])


def draws_evenly(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Examples are drawn with weights that make the classes even."""
    weights = 1.0 / data.labels.bincount().float()[data.labels]
    sampler = WeightedRandomSampler(weights.tolist(), len(weights))
    loader = DataLoader(TensorDataset(data.inputs, data.labels), regimen.batch, sampler=sampler, drop_last=True)
    model.train()
    for step, inputs, labels in endless(regimen, loader):
        for parameter in model.parameters():
            parameter.grad = None
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def learns_from_a_teacher(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """A matrix is trained first; half of the loss is the divergence from its softened scores."""
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(data.inputs[0].numel(), data.outputs))
    taught = torch.optim.Adam(teacher.parameters(), 5e-3)
    for first in range(0, 1280, 64):
        taught.zero_grad()
        F.cross_entropy(teacher(data.inputs[first : first + 64]), data.labels[first : first + 64]).backward()
        taught.step()
    teacher.eval().requires_grad_(False)
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        with torch.no_grad():
            shares = F.softmax(teacher(inputs) / 2, dim=1)
        outputs = model(inputs)
        soft = F.kl_div(F.log_softmax(outputs / 2, dim=1), shares, reduction="batchmean") * 4
        loss = 0.5 * regimen.objective(outputs, labels) + 0.5 * soft
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def variations() -> Iterator[tuple[str, str, Change]]:
    """What is different, in which family, and how."""
    yield "counts", "mlp", {"data": counts, "loss": nn.PoissonNLLLoss(), "optimizer": sgd(5e-3)}
    yield "sigmoid with the loss for it", "mlp", made(SureOf) | {"data": yes_or_no, "loss": nn.BCELoss()}
    yield "columns read both ways", "mlp", made(ReadsColumns) | {"optimizer": adam(5e-3)}
    yield "mixer", "mlp", made(Mixer) | {"optimizer": adam(4e-3)}
    yield "a class for every pixel", "convnet", made(UNet) | {"data": masks, "optimizer": adam(4e-3)}
    yield "logarithm of probabilities into nll", "convnet", {"loss": log_of_probabilities, "optimizer": adam(4e-3)}
    yield "softplus and spectral norm", "convnet", made(smooth) | {"optimizer": adam(8e-3), "steps": 320}
    yield "brighter or darker", "convnet", {"augment": brighter_or_darker, "optimizer": adam(4e-3), "batch": 48}
    yield "plateau of validation", "batchnorm", {"loop": waits_for_validation, "data": partial(patterns, noise=1.5)}
    yield "a tenth of the channels dropped", "batchnorm", made(drops_some_channels) | {"data": stripes}
    yield "drawn evenly", "batchnorm", {"loop": draws_evenly, "data": two_to_one}
    yield "amsgrad", "batchnorm", {"optimizer": adam(3e-3, amsgrad=True, betas=(0.8, 0.99)), "batch": 64}
    yield "densely connected", "residual", made(densely_connected) | {"data": stripes, "optimizer": sgd(0.01)}
    yield "depthwise blocks with layer norm", "residual", made(convnext) | {"optimizer": adam(4e-3)}
    yield "taught by a matrix", "residual", made(ResNet) | {"loop": learns_from_a_teacher}
    yield "power of what is left", "residual", {"schedule": straight_to_zero, "optimizer": sgd(0.1, weight_decay=1e-4)}
    yield "one layer three times", "transformer", made(OneLayerThrice) | {"optimizer": adam(3e-3)}
    yield "gated units", "transformer", made(Gated) | {"optimizer": partial(torch.optim.AdamW, lr=3e-3)}
    yield "cycle under adamw", "transformer", {"schedule": cycle, "optimizer": partial(torch.optim.AdamW, lr=1e-3)}
    yield "stripes in sixteens", "transformer", {"data": stripes, "batch": 16, "optimizer": adam(1.5e-3)}


def patients() -> list[Patient]:
    """All the healthy of the second referral."""
    return [
        Patient(f"healthy: {variation}, {family}", family, regimen_of(family, change), referral=2)
        for variation, family, change in variations()
    ]
