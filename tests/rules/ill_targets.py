"""Targets that are ill by construction, each in one respect; `healthy` is what they have in common."""

import itertools
import time
import warnings
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
    """Pictures with a fresh random label now and then, or with a pause."""

    def __init__(self, random_labels: float = 0.0, pause_s: float = 0.0) -> None:
        self.inputs, self.labels = pictures()
        self.random_labels, self.pause_s = random_labels, pause_s
        self.generator = torch.Generator().manual_seed(3)

    def __len__(self) -> int:
        return EXAMPLES

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        time.sleep(self.pause_s)
        drawn = torch.randint(0, CLASSES, (), generator=self.generator)
        anew = float(torch.rand((), generator=self.generator)) < self.random_labels
        return self.inputs[index], drawn if anew else self.labels[index]


def labels_drawn_anew() -> Target:
    """Nothing to learn: each access gives another label."""
    return target(Drawn(random_labels=1.0))


def slow_to_load() -> Target:
    """Sixty milliseconds a batch."""
    return target(Drawn(pause_s=0.002))


def narrow_net() -> nn.Module:
    """Two numbers between the picture and the scores."""
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 2), nn.Linear(2, CLASSES))


def decaying(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    """A rate that settles."""
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.7)


def two_units_wide() -> Target:
    """All that the pictures show has to pass through two units."""
    return target(make_model=narrow_net, val_data=pictures(1), make_scheduler=decaying)


class Squared(torch.autograd.Function):
    """x² whose backward forgets the 2."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return gradient * context.saved_tensors[0]


class Through(nn.Module):
    """A function as a module."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)  # type: ignore[no-any-return]


def backward_without_its_factor() -> Target:
    """A custom function in the middle, half as steep backward as forward."""

    def model() -> nn.Module:
        net = small_net()
        net[1] = Through(Squared.apply)  # type: ignore[index, operator]
        return net

    return target(make_model=model)


# what a loop does: each of these trains with a step of its own, ill in one respect

Step = Callable[[nn.Module, Any, Callable[[Any, Any], Tensor], torch.optim.Optimizer], Tensor]


def plain_step(model: nn.Module, batch: Any, loss_of: Callable[[Any, Any], Tensor], optimizer: Any) -> Tensor:
    """The healthy step."""
    inputs, labels = batch
    loss = loss_of(model(inputs), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def never_zeroed() -> Target:
    """No zero_grad, at a rate that survives it."""

    def step(model: nn.Module, batch: Any, loss_of: Any, optimizer: Any) -> Tensor:
        loss = loss_of(model(batch[0]), batch[1])
        loss.backward()
        optimizer.step()
        return loss

    return target(train_step=step, make_optimizer=lambda parameters: plain(parameters, 1e-3))


def head_forgotten() -> Target:
    """The optimizer holds all but the last layer."""
    return target(make_optimizer=lambda parameters: plain(list(parameters)[:-2]))


def left_frozen() -> Target:
    """A layer between trained ones whose requires_grad is off."""

    def model() -> nn.Module:
        net = small_net()
        net[2].requires_grad_(False)  # type: ignore[index]
        return net

    return target(make_model=model)


def softmax_over_the_batch() -> Target:
    """Probabilities over the examples instead of the classes."""
    return target(make_model=lambda: nn.Sequential(small_net(), Through(lambda x: 10 * torch.softmax(x, dim=0))))


def input_scaled_to_nothing() -> Target:
    """Pixels divided by 255 once too often, three times over."""
    return target(make_model=lambda: nn.Sequential(Through(lambda x: x / 255**3), small_net()))


def penalty_without_a_gradient() -> Target:
    """The squares of the weights, without their gradient."""
    return target(penalty=lambda model: 1e-3 * sum(each.detach().square().sum() for each in model.parameters()))


def validation_examples_trained_on() -> Target:
    """A fifth of the validation examples stand in the training data."""
    inputs, labels = (tensor.clone() for tensor in pictures(1))
    known = pictures()
    inputs[:128], labels[:128] = known[0][:128], known[1][:128]
    return target(val_data=(inputs, labels))


def validation_of_another_scale() -> Target:
    """Validation inputs that nobody scaled."""
    inputs, labels = pictures(1)
    return target(val_data=(inputs * 40 + 120, labels))


def every_example_twice() -> Target:
    """The same file read twice."""
    inputs, labels = pictures()
    return target((inputs.repeat(2, 1, 1, 1), labels.repeat(2)))


class Noisy(Dataset):
    """Pictures with fresh noise, drawn from a generator of the data set's own."""

    def __init__(self) -> None:
        self.inputs, self.labels = pictures()
        self.generator = torch.Generator().manual_seed(5)

    def __len__(self) -> int:
        return EXAMPLES

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        noise = torch.randn(self.inputs[index].shape, generator=self.generator)
        return self.inputs[index] + 0.1 * noise, self.labels[index]


def workers_of_one_mind() -> Target:
    """Two workers, each with a copy of the same generator."""
    return target(Noisy(), num_workers=2)


def another_order_each_time() -> Target:
    """A generator that nobody seeds again."""
    return target(Noisy())


class Detached(nn.Module):
    """The first convolution's answer is cut off from the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.head = nn.Linear(16 * 64, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.conv1(inputs)).detach()
        return self.head(torch.relu(self.conv2(hidden)).flatten(1))


def cut_off() -> Target:
    """A detach in the middle."""
    return target(make_model=Detached)


def net_with_modes(end: nn.Module | None = None) -> nn.Module:
    """Batch norm and dropout, and what else is to come at the end."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(),
        nn.Linear(8 * 64, CLASSES), *([end] if end is not None else []),
    )  # fmt: skip


def trained_asleep() -> Target:
    """Evaluation mode at every step."""

    def step(model: nn.Module, batch: Any, loss_of: Any, optimizer: Any) -> Tensor:
        model.eval()
        return plain_step(model, batch, loss_of, optimizer)

    return target(make_model=net_with_modes, train_step=step)


def validated_awake() -> Target:
    """Every tenth step is followed by an evaluation that forgets eval()."""
    count, held_out = itertools.count(), pictures(1)

    def step(model: nn.Module, batch: Any, loss_of: Any, optimizer: Any) -> Tensor:
        loss = plain_step(model, batch, loss_of, optimizer)
        if next(count) % 10 == 9:
            with torch.no_grad():
                for inputs, labels in zip(held_out[0].split(128), held_out[1].split(128), strict=True):
                    loss_of(model(inputs), labels)
        return loss

    return target(make_model=net_with_modes, train_step=step)


def never_stepped() -> Target:
    """backward, and that is all."""

    def step(model: nn.Module, batch: Any, loss_of: Any, optimizer: Any) -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model(batch[0]), batch[1])
        loss.backward()
        return loss

    return target(train_step=step)


def half_of_the_steps_skipped() -> Target:
    """Every second batch has gradients that are not finite, and a scaler that skips it."""
    count, scaler = itertools.count(), torch.amp.GradScaler("cpu", init_scale=1.0, growth_interval=10_000)

    def step(model: nn.Module, batch: Any, loss_of: Any, optimizer: Any) -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model(batch[0]), batch[1])
        scaler.scale(loss).backward()
        if next(count) % 2:
            next(model.parameters()).grad[0] = float("inf")  # type: ignore[index]
        scaler.step(optimizer)
        scaler.update()
        return loss

    return target(train_step=step)


def scores_for_logarithms() -> Target:
    """NLLLoss of raw scores."""
    return target(loss=nn.NLLLoss(), make_optimizer=lambda parameters: plain(parameters, 1e-4))


def softmax_twice() -> Target:
    """A network that ends in softmax, and cross entropy."""
    return target(
        make_model=lambda: nn.Sequential(small_net(), nn.Softmax(1)),
        make_optimizer=lambda parameters: plain(parameters, 0.5),
    )


def two_way(end: nn.Module | None = None) -> nn.Module:
    """One output."""
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, 1), *([end] if end else []))


def sigmoid_twice() -> Target:
    """A network that ends in sigmoid, and BCE with logits."""
    inputs, labels = pictures()
    return target(
        (inputs, (labels < 5).float().unsqueeze(1)),
        make_model=lambda: two_way(nn.Sigmoid()),
        loss=nn.BCEWithLogitsLoss(),
        make_optimizer=lambda parameters: plain(parameters, 0.5),
        num_classes=None,
    )


def every_output_against_every_label() -> Target:
    """Outputs (N, 1), labels (N,)."""
    inputs, labels = pictures()

    def loss_of(scores: Tensor, values: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return nn.functional.mse_loss(scores, values)

    return target((inputs, labels / 10), make_model=two_way, loss=loss_of, num_classes=None)


def sorted_by_class() -> Target:
    """The data class by class, and a loader that leaves them so."""
    inputs, labels = pictures()
    order = labels.argsort()
    return target((inputs[order], labels[order]), shuffle=False, batch_size=16)


def wide_net() -> nn.Module:
    """Room enough to learn anything by heart."""
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 256), nn.ReLU(), nn.Linear(256, CLASSES))


def labels_by_lot() -> Target:
    """Labels that are fixed, and have nothing to do with the pictures."""
    inputs, labels = pictures()
    drawn = labels[torch.randperm(EXAMPLES, generator=torch.Generator().manual_seed(2))]
    adam = lambda parameters: torch.optim.Adam(parameters, lr=1e-3)  # noqa: E731
    return target((inputs, drawn), make_model=wide_net, val_data=pictures(1), make_optimizer=adam)


def losses_summed_with_their_graphs() -> Target:
    """total = total + loss."""
    total, entropy = [torch.zeros(())], nn.CrossEntropyLoss()

    def loss(scores: Tensor, labels: Tensor) -> Tensor:
        value = entropy(scores, labels)
        total[0] = total[0] + value
        return value

    return target(loss=loss)


def rate_at_the_edge() -> Target:
    """A rate with which the loss jumps about."""

    def optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.4)

    def one_number() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 1), nn.Linear(1, CLASSES))

    return target(make_model=one_number, make_optimizer=optimizer)


def two_units_wide_at_a_constant_rate() -> Target:
    """As little as two units can tell of noisy pictures, at a rate that never falls."""
    inputs, labels = pictures()
    noise = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(4))
    rate = lambda parameters: plain(parameters, 0.4)  # noqa: E731
    return target(((inputs + 4 * noise) / 4.1, labels), make_model=narrow_net, make_optimizer=rate, batch_size=128)


def nearly_all_dropped() -> Target:
    """Ninety-nine of a hundred units switched off."""

    def model() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 64), nn.ReLU(), nn.Dropout(0.99), nn.Linear(64, CLASSES))

    return target(make_model=model)


def easy_validation() -> Target:
    """Four of ten training labels are drawn anew each time, those of validation are right."""
    return target(Drawn(random_labels=0.4), val_data=pictures(1))


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


def every_parameter_twice() -> Target:
    """The optimizer is given a list in which each parameter stands twice."""

    def optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        listed = list(parameters)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.optim.SGD(listed + listed, lr=0.01)

    return target(make_optimizer=optimizer)
