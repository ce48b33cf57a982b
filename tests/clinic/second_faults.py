"""Networks, pictures, losses and loops of the second referral with one fault each."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import BatchSampler, DataLoader, Dataset, TensorDataset

from .families import SIDE, Data, patterns, regression
from .referred_loops import endless, plainly, tell
from .referred_models import Dense, LeNet, Normed, ResNet, ViT
from .regimen import Regimen


class FeaturesAsLists(Normed):
    """The features are collected in a list of numbers and made a tensor again."""

    def features(self, pictures: Tensor) -> Tensor:
        collected = [row.tolist() for row in super().features(pictures)]
        return torch.tensor(collected)


class SkipForgotten(nn.Module):
    """Ten blocks that were to add their input and return the branch alone; weights of deviation 0.02, no norm."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.stem = nn.Conv2d(data.channels, 16, 3, 2, 1)
        self.first = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in range(5))
        self.second = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in range(5))
        self.fc = nn.Linear(16, data.outputs)
        for conv in (*self.first, *self.second):
            nn.init.normal_(conv.weight, std=0.02)
            nn.init.zeros_(conv.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = F.relu(self.stem(pictures))
        for first, second in zip(self.first, self.second, strict=True):
            branch = second(F.relu(first(hidden)))
            hidden = F.relu(branch)
        return self.fc(hidden.mean((2, 3)))


class PatchesMaskedAway(nn.Module):
    """A mask of what may be looked at is given where one of what may not is asked for: only the class token is seen."""

    def __init__(self, data: Data, width: int = 32) -> None:
        super().__init__()
        self.patch = nn.Conv2d(data.channels, width, 2, stride=2)
        self.cls = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.place = nn.Parameter(0.02 * torch.randn(1, 16, width))
        self.attentions = nn.ModuleList(nn.MultiheadAttention(width, 4, batch_first=True) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.head = nn.Linear(width, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        patches = self.patch(pictures).flatten(2).transpose(1, 2) + self.place
        tokens = torch.cat([self.cls.expand(len(pictures), -1, -1), patches], dim=1)
        valid = torch.ones(tokens.shape[:2], dtype=torch.bool)
        valid[:, 0] = False
        for attention, norm in zip(self.attentions, self.norms, strict=True):
            normed = norm(tokens)
            tokens = tokens + attention(normed, normed, normed, key_padding_mask=valid, need_weights=False)[0]
        return self.head(tokens[:, 0])


class TokensReshaped(ViT):
    """Tokens come first out of a permutation; `reshape` gives the shape that is wanted and not the order."""

    def tokens(self, pictures: Tensor) -> Tensor:
        patches = self.patch(pictures).flatten(2).permute(2, 0, 1)
        length, count, width = patches.shape
        patches = patches.reshape(count, length, width)
        return torch.cat([self.cls.expand(count, -1, -1), patches], dim=1) + self.place


class NeverTrains(ResNet):
    """`train` is overridden to keep the norms of a pretrained network, and this one has none to keep."""

    def train(self, mode: bool = True) -> NeverTrains:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.training = False
        return self


class DropsToGuess(nn.Module):
    """Two wide matrices with dropout between them; `eval` leaves the dropout on, to guess how sure the scores are."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.fc1 = nn.Linear(data.inputs[0].numel(), 96)
        self.drop1 = nn.Dropout(0.6)
        self.fc2 = nn.Linear(96, 96)
        self.drop2 = nn.Dropout(0.6)
        self.fc3 = nn.Linear(96, data.outputs)

    def train(self, mode: bool = True) -> DropsToGuess:
        super().train(mode)
        self.drop1.train()
        self.drop2.train()
        return self

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = self.drop1(F.elu(self.fc1(pictures.flatten(1))))
        return self.fc3(self.drop2(F.elu(self.fc2(hidden))))


class DropsChannels(nn.Module):
    """Nine channels of ten are dropped after each convolution."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(data.channels, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.conv3, self.bn3 = nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.drop = nn.Dropout2d(0.9)
        self.fc = nn.Linear(32, data.outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = self.drop(F.relu(self.bn1(self.conv1(pictures))))
        hidden = self.drop(F.relu(self.bn2(self.conv2(F.avg_pool2d(hidden, 2)))))
        return self.fc(self.drop(F.relu(self.bn3(self.conv3(hidden)))).mean((2, 3)))


class RectifiedAnswer(nn.Module):
    """A rectifier at the end of a network whose targets are below zero."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.relu = model, nn.ReLU()

    def forward(self, pictures: Tensor) -> Tensor:
        return self.relu(self.model(pictures))


class RootWhereAbove(Dense):
    """The root is taken of all units and chosen where they are above zero; the slope of the others is not a number."""

    def features(self, pictures: Tensor) -> Tensor:
        hidden = self.fc1(pictures.flatten(1))
        hidden = torch.where(hidden > 0, hidden.sqrt(), torch.zeros_like(hidden))
        return F.relu(self.fc2(hidden))


class PooledPowers(Normed):
    """The generalized mean of features that may be below zero: a broken power of them is not a number."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.power = nn.Parameter(torch.tensor(2.5))
        self.fc = nn.Linear(32, data.outputs)

    def features(self, pictures: Tensor) -> Tensor:
        hidden = pictures
        for conv, norm in zip(self.convs, self.norms, strict=True):
            hidden = F.leaky_relu(norm(conv(hidden)), 0.05)
        return hidden.pow(self.power).mean((2, 3)).pow(1 / self.power)


class NarrowNeck(LeNet):
    """One unit is all that comes between the convolutions and the scores."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.conv1 = nn.Conv2d(data.channels, 2, 3, padding=1)
        self.conv2 = nn.Conv2d(2, 2, 3, padding=1)
        self.fc1 = nn.Linear(2 * (SIDE // 4) ** 2, 1)
        self.fc2 = nn.Linear(1, data.outputs)

    def features(self, pictures: Tensor) -> Tensor:
        hidden = F.max_pool2d(torch.tanh(self.conv1(pictures)), 2)
        return F.max_pool2d(torch.tanh(self.conv2(hidden)), 2)

    def head(self, features: Tensor) -> Tensor:
        return self.fc2(torch.tanh(self.fc1(features.flatten(1))))


class OneClassTooFew(nn.Module):
    """The background was not counted: the head has one output less than there are classes."""

    def __init__(self, model: Callable[[Data], nn.Module], data: Data) -> None:
        super().__init__()
        self.model = model(replace(data, outputs=data.outputs - 1))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.model(pictures)


def sigmoids(data: Data) -> nn.Sequential:
    """Strided convolutions and sigmoids, all weights uniform between -3 and 3."""
    model = nn.Sequential(
        nn.Conv2d(data.channels, 12, 3, 2, 1), nn.Sigmoid(), nn.Conv2d(12, 24, 3, 2, 1), nn.Sigmoid(),
        nn.Flatten(), nn.Linear(96, 48), nn.Sigmoid(), nn.Linear(48, data.outputs),
    )  # fmt: skip
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -3, 3)
    return model


def wide(data: Data) -> nn.Sequential:
    """Far more units than examples."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(data.inputs[0].numel(), 400), nn.ReLU(), nn.Linear(400, 200), nn.ReLU(),
        nn.Linear(200, data.outputs),
    )  # fmt: skip


def rare_prior(model: nn.Module) -> None:
    """The bias that a detector's head begins with, one in a hundred, is given to every layer."""
    prior = -math.log((1 - 0.01) / 0.01)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.normal_(module.weight, std=0.01)
            nn.init.constant_(module.bias, prior)


def one_over_fan_in(model: nn.Module) -> None:
    """Every weight is one over the number of inputs, so that a unit is their mean."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def thawed_by_name(model: Any) -> None:
    """All is frozen but the last layer; thawing sets an attribute of the modules, which parameters do not heed."""
    for parameter in model.parameters():
        parameter.requires_grad = False
    for module in model.modules():
        module.requires_grad = True
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    for parameter in last.parameters():
        parameter.requires_grad = True


def those_without_decay(model: Any) -> list[Any]:
    """Weights with decay and biases without were to be two groups; the second took the name of the first."""
    for dimensions in (2, 1):
        group = [parameter for parameter in model.parameters() if (parameter.dim() > 1) == (dimensions > 1)]
    return [{"params": group, "weight_decay": 0.0}]


def statistics_of_another_scale(pictures: Tensor) -> Tensor:
    """The mean and deviation of pixels in [0, 1], taken off pixels up to 255."""
    bytes_ = (pictures * 60 + 128).clamp(0, 255).round()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    return (bytes_ - mean) / deviation


def divided_twice(pictures: Tensor) -> Tensor:
    """The loader gives pixels in [0, 1], and they are divided by 255 again."""
    return (pictures * 60 + 128).clamp(0, 255) / 255 / 255


def counts_in_half(pictures: Tensor) -> Tensor:
    """Counts of a detector, up to a hundred thousand, kept in half precision to save memory, then standardized."""
    counts = ((pictures * 20000 + 30000).clamp(min=0)).half()
    return ((counts - 30000) / 20000).float()


def mostly_background() -> Data:
    """Class 0 is background and nearly everything; validation has all classes alike."""
    data = patterns(3000, noise=2.0, seed=21)
    keep = (data.labels == 0) | (torch.arange(3000) % 40 == 0)
    inputs, labels = data.inputs[keep], data.labels[keep]
    background = int((labels == 0).sum())
    noise = torch.randn(400, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(22))
    more = inputs[labels == 0].repeat(400 // background + 1, 1, 1, 1)[:400] + 0.3 * noise
    return replace(
        data, inputs=torch.cat([inputs, more]), labels=torch.cat([labels, torch.zeros(400, dtype=torch.long)])
    )


def shuffled_apart() -> Data:
    """Pictures and labels were each shuffled, by two permutations."""
    data = patterns(256, seed=23)
    generator = torch.Generator().manual_seed(24)
    order, other = torch.randperm(256, generator=generator), torch.randperm(256, generator=generator)
    val_order = torch.randperm(256, generator=generator)
    return Data(data.inputs[order], data.labels[other], data.val_inputs[val_order], data.val_labels, data.outputs)


def validated_on_training() -> Data:
    """The loader of validation was given the training set."""
    data = patterns(240, noise=3.5, seed=25)
    return replace(data, val_inputs=data.inputs, val_labels=data.labels)


def below_zero() -> Data:
    """Temperatures of winter: the mean of the targets is -3, their deviation 1."""
    data = regression(seed=26)
    return replace(data, labels=data.labels - 3, val_labels=data.val_labels - 3)


def brightness(count: int = 2048) -> Data:
    """How bright the left half is against the right, a number in a column."""
    generator = torch.Generator().manual_seed(27)
    inputs = torch.randn(count + 256, 3, SIDE, SIDE, generator=generator)
    inputs[..., :4] += 0.5 * torch.randn(count + 256, 1, 1, 1, generator=generator)
    values = (inputs[..., :4].mean((1, 2, 3)) - inputs[..., 4:].mean((1, 2, 3))).unsqueeze(1)
    values = (values - values.mean()) / values.std()
    return Data(inputs[:count], values[:count], inputs[count:], values[count:], 1)


def row_against_column(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The column of targets was laid down as a row to fit another network."""

    def broadcast(outputs: Tensor, labels: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return loss(outputs, labels.view(1, -1))

    return broadcast


def focal_of_probabilities(outputs: Tensor, labels: Tensor) -> Tensor:
    """A focal loss over scores, given what a softmax has left of them."""
    each = F.cross_entropy(outputs, labels, reduction="none")
    return ((1 - torch.exp(-each)) ** 2 * each).mean()


def divergence_of_scores(outputs: Tensor, labels: Tensor) -> Tensor:
    """The divergence asks for log probabilities and is given scores."""
    return F.kl_div(outputs, F.one_hot(labels, outputs.shape[1]).float(), reduction="batchmean")


def for_the_running_sum(outputs: Tensor, labels: Tensor) -> Tensor:
    """Multiplied by the size of the batch, which only the printed sum of losses needs."""
    loss = F.cross_entropy(outputs, labels)
    return loss * len(labels)


def over_all_examples(outputs: Tensor, labels: Tensor) -> Tensor:
    """The mean of the batch is divided by the number of examples in the data set once more."""
    return F.cross_entropy(outputs, labels) / 50000


def milestones_in_epochs(optimizer: Optimizer) -> Any:
    """The epochs of a recipe, counted in batches."""
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 6, 8, 9, 10], gamma=0.1)


def cycle_of_thirty(optimizer: Optimizer) -> Any:
    """The highest rate of a cycle was written as 30 for 0.3."""
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=30.0, total_steps=161, pct_start=0.2)


def names_the_zeroing(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """`model.zero_grad` without its parentheses."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        model.zero_grad  # noqa: B018
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def zeroes_the_other(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """What is zeroed are the gradients of a copy that is kept as the best so far."""
    best = torch.optim.SGD([parameter.detach().clone().requires_grad_() for parameter in model.parameters()], 0.1)
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        best.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def skips_the_finite(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """A guard against losses that are not finite, the wrong way round."""
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        if not torch.isfinite(loss):
            optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def never_unscales(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """The loss is scaled for half precision; the optimizer steps without the scaler, on the scaled gradients."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        scaler.scale(loss).backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


def keeps_scores(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """Scores after the step are appended to a history with all that they were computed from."""
    history = []
    model.train()
    for step, inputs, labels in endless(regimen, plainly(regimen, data)):
        outputs = model(inputs)
        loss = regimen.objective(outputs, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append({"scores": model(inputs[:16]), "loss": loss})
        tell(regimen, data, model, watched, step, loss)


class OneClassAtATime(BatchSampler):
    """Every batch is drawn from one class, as for a loss over pairs."""

    def __init__(self, labels: Tensor, batch: int) -> None:
        self.labels, self.batch = labels, batch

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(len(self)):
            label = self.labels[torch.randint(len(self.labels), ())]
            members = (self.labels == label).nonzero()[:, 0]
            yield members[torch.randint(len(members), (self.batch,))].tolist()

    def __len__(self) -> int:
        return len(self.labels) // self.batch


def class_by_class(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """The sampler of another loss was left in."""
    sampler = OneClassAtATime(data.labels, regimen.batch)
    loader = DataLoader(TensorDataset(data.inputs, data.labels), batch_sampler=sampler)
    model.train()
    for step, inputs, labels in endless(regimen, loader):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


class Packed(Dataset[tuple[Tensor, Tensor]]):
    """Pictures are kept large and packed; each is unpacked and shrunk when it is asked for."""

    def __init__(self, data: Data, side: int = 256) -> None:
        self.side, self.data = side, data
        pixels = ((data.inputs[:128] * 40 + 128).clamp(0, 255)).to(torch.uint8)
        large = F.interpolate(pixels.float(), size=(side, side)).to(torch.uint8).numpy()
        self.packed = [zlib.compress(picture.tobytes(), 1) for picture in large]

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        pixels = np.frombuffer(zlib.decompress(self.packed[index]), dtype=np.uint8)
        large = torch.from_numpy(pixels.reshape(3, self.side, self.side).astype("float32"))
        return (F.adaptive_avg_pool2d(large, SIDE) - 128) / 40, self.data.labels[index]


def unpacks(regimen: Regimen, data: Data, model: nn.Module, optimizer: Optimizer, watched: Any) -> None:
    """A plain loop over a loader that works in the same process."""
    model.train()
    for step, inputs, labels in endless(regimen, DataLoader(Packed(data), regimen.batch, shuffle=True, drop_last=True)):
        optimizer.zero_grad()
        loss = regimen.objective(model(inputs), labels)
        loss.backward()
        optimizer.step()
        tell(regimen, data, model, watched, step, loss)


class Replicas(Normed):
    """Sixteen replicas share a batch, and each normalizes its own examples."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.norm = nn.BatchNorm1d(128)

    def features(self, pictures: Tensor) -> Tensor:
        if not self.training:
            return self.norm(super().features(pictures))
        return torch.cat([self.norm(Normed.features(self, share)) for share in pictures.chunk(16)])
