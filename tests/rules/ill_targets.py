"""Targets that are ill by construction, each in one respect; `healthy` is what they have in common."""

import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from convdebug.target import Target

EXAMPLES, CLASSES = 640, 10


def pictures(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Learnable inputs (N, 3, 8, 8) of deviation 1 and their labels: each class brightens its own pixels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (EXAMPLES,), generator=generator)
    patterns = torch.randn(CLASSES, 3, 8, 8, generator=torch.Generator().manual_seed(9))
    inputs = torch.randn(EXAMPLES, 3, 8, 8, generator=generator) + patterns[labels]
    return inputs / inputs.std(), labels


def small_net() -> nn.Module:
    """Two convolutions and a head."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(16 * 64, CLASSES),
    )  # fmt: skip


def plain(parameters: Iterable[nn.Parameter], lr: float = 0.02) -> torch.optim.Optimizer:
    """Vanilla descent."""
    return torch.optim.SGD(parameters, lr=lr)


def target(data: Any = None, **changes: Any) -> Target:
    """The healthy target, with what makes it ill."""
    parts: dict[str, Any] = {"make_model": small_net, "make_optimizer": plain, "batch_size": 32, "num_classes": CLASSES}
    return Target(train_data=pictures() if data is None else data, **(parts | changes))


def healthy() -> Target:
    return target()


def dead_from_the_start() -> Target:
    """Biases so low that no unit ever fires."""

    def model() -> nn.Module:
        net = small_net()
        nn.init.constant_(net[0].bias, -9.0)  # type: ignore[index]
        return net

    return target(make_model=model)


def label_beyond_the_outputs() -> Target:
    """Labels counted from 1."""
    inputs, labels = pictures()
    return target((inputs, labels + 1))


def a_missing_value() -> Target:
    """One NaN in one picture."""
    inputs, labels = pictures()
    inputs[77, 0, 3, 3] = float("nan")
    return target((inputs, labels))


def one_class_almost_alone() -> Target:
    """Fifty to one."""
    inputs, labels = pictures()
    keep = (labels == 0) | ((labels == 1) & (torch.arange(EXAMPLES) < 20))
    return target((inputs[keep].repeat(8, 1, 1, 1), torch.where(labels[keep] == 1, 1, 0).repeat(8)))


def loss_summed() -> Target:
    """reduction='sum' with a rate that still works."""
    return target(loss=nn.CrossEntropyLoss(reduction="sum"), make_optimizer=lambda parameters: plain(parameters, 5e-4))


def loss_that_breaks() -> Target:
    """A loss that turns into NaN after thirty batches, whatever the network does."""
    count, entropy = itertools.count(), nn.CrossEntropyLoss()

    def loss(scores: Tensor, labels: Tensor) -> Tensor:
        return entropy(scores, labels) * (float("nan") if next(count) > 30 else 1.0)

    return target(loss=loss)


class Drawn(Dataset):
    """Pictures with a fresh random label each time, or with a pause."""

    def __init__(self, random_labels: bool = False, pause_s: float = 0.0) -> None:
        self.inputs, self.labels = pictures()
        self.random_labels, self.pause_s = random_labels, pause_s
        self.generator = torch.Generator().manual_seed(3)

    def __len__(self) -> int:
        return EXAMPLES

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        time.sleep(self.pause_s)
        drawn = torch.randint(0, CLASSES, (), generator=self.generator)
        return self.inputs[index], drawn if self.random_labels else self.labels[index]


def labels_drawn_anew() -> Target:
    """Nothing to learn: each access gives another label."""
    return target(Drawn(random_labels=True))


def slow_to_load() -> Target:
    """Sixty milliseconds a batch."""
    return target(Drawn(pause_s=0.002))


def narrow_net() -> nn.Module:
    """A single number between the picture and the scores."""
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 1), nn.Linear(1, CLASSES))


def decaying(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    """A rate that settles."""
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.7)


def one_unit_wide() -> Target:
    """All that the pictures show has to pass through one unit."""
    return target(make_model=narrow_net, val_data=pictures(1), make_scheduler=decaying)


class Guarded(nn.Module):
    """A network that works on its last features (N, 32) with a function of its own before the head."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Linear(32, CLASSES)
        self.function = function

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.function(self.body(inputs)))


def variance_by_a_difference() -> Target:
    """The variance as mean of squares minus square of the mean: far from 0 it comes out negative now and then."""

    def scaled(features: Tensor) -> Tensor:
        far = features + 1000
        variance = far.pow(2).mean(1, True) - far.mean(1, True).pow(2)
        return features / variance.sqrt()

    return target(make_model=lambda: Guarded(scaled))


def distance_to_itself() -> Target:
    """A distance that is 0: its root is fine, the derivative is not."""
    return target(make_model=lambda: Guarded(lambda each: each + (each - each.detach()).pow(2).sum(1, True).sqrt()))


def labels_with_a_gap() -> Target:
    """A regression with one missing answer."""
    inputs, labels = pictures()
    answers = labels.float()
    answers[77] = float("nan")
    model: Callable[[], nn.Module] = lambda: nn.Sequential(small_net(), nn.Linear(CLASSES, 1), nn.Flatten(0))  # noqa: E731
    return target((inputs, answers), make_model=model, loss=nn.MSELoss(), num_classes=None, **SLOW)


def adam_without_eps() -> Target:
    """Adam divides by a root that is 0 where no gradient ever came."""

    def model() -> nn.Module:
        net = small_net()
        nn.init.constant_(net[0].bias[:1].data, -99.0)  # type: ignore[index]
        return net

    return target(make_model=model, make_optimizer=lambda each: torch.optim.Adam(each, lr=1e-3, eps=0.0))


SLOW = {"make_optimizer": lambda parameters: plain(parameters, 1e-4)}
