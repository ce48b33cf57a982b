"""A fresh model that learns shortly from batches held in memory, sources of noise off, random state put back."""

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from convdebug.target import Target

_DROPOUTS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Put the random state of Python, numpy and torch back at the end."""
    python, array = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)


def seeded(seed: int) -> None:
    """The same random numbers from here on."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextlib.contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """Dropout off, module or function, while batch norm stays in training mode."""
    modules = [m for m in model.modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.training]
    functions = {name: getattr(nn.functional, name) for name in _DROPOUTS}
    for module in modules:
        module.eval()
    for name in functions:
        setattr(nn.functional, name, _identity)
    try:
        yield
    finally:
        for name, function in functions.items():
            setattr(nn.functional, name, function)
        for module in modules:
            module.train()


def _identity(input: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return input


def to_device(value: Any, device: str | torch.device) -> Any:
    """Every tensor inside tuples, lists and dictionaries on the device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: to_device(item, device) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(to_device(item, device) for item in value)
    return value


def parts(batch: Any) -> tuple[Any, Any]:
    """(inputs, labels) of a batch."""
    if isinstance(batch, (tuple, list)) and len(batch) >= 2:
        return batch[0], batch[1]
    raise TypeError(f"a batch is a {type(batch).__name__}; checks need (inputs, labels)")


def accuracy_of(output: Any, labels: Any) -> float | None:
    """Share of rows whose largest score stands at the label; None where there are no classes to compare."""
    if not (isinstance(output, torch.Tensor) and isinstance(labels, torch.Tensor)):
        return None
    if output.ndim < 2 or output.shape[1] < 2 or labels.dtype.is_floating_point or labels.shape != _places(output):
        return None
    return float((output.detach().argmax(dim=1) == labels).float().mean())


def _places(output: torch.Tensor) -> torch.Size:
    return torch.Size([output.shape[0], *output.shape[2:]])


def is_classifier(target: Target) -> bool:
    """Whether the target has classes."""
    return target.num_classes is not None and target.num_classes > 1


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the rate; several groups keep their proportions."""
    largest = max(float(group["lr"]) for group in optimizer.param_groups)
    for group in optimizer.param_groups:
        group["lr"] = lr * float(group["lr"]) / largest if largest > 0 else lr


def rate_of(optimizer: torch.optim.Optimizer) -> float | None:
    """The largest rate of the groups, None for an optimizer without one."""
    rates = [float(group["lr"]) for group in optimizer.param_groups if "lr" in group]
    return max(rates) if rates else None


def without_decay(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The same optimizer with weight decay 0."""
    for group in optimizer.param_groups:
        if "weight_decay" in group:
            group["weight_decay"] = 0.0
    return optimizer


class Learner:
    """A fresh model with an optimizer: one call, one update, the cost measured before it."""

    def __init__(self, target: Target, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.target, self.model, self.optimizer = target, model, optimizer

    def cost(self, batch: Any) -> tuple[torch.Tensor, float | None]:
        """(loss with its graph, accuracy) of a batch."""
        inputs, labels = parts(batch)
        output = self.model(inputs)
        return self.target.loss(output, labels), accuracy_of(output, labels)

    def update(self, loss: torch.Tensor) -> None:
        """Backward and one optimizer step."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def step(self, batch: Any) -> float:
        """One update by the target's own step where it has one; the loss before it."""
        if self.target.train_step is not None:
            return float(self.target.train_step(self.model, batch, self.target.loss, self.optimizer))
        loss, _ = self.cost(batch)
        self.update(loss)
        return float(loss.detach())

    def measure(self, batches: Sequence[Any]) -> float:
        """Mean loss of some batches without an update."""
        with torch.no_grad():
            return float(np.mean([float(self.cost(batch)[0]) for batch in batches]))


def held_batches(target: Target, count: int, device: str, *, seed: int = 0, batch_size: int | None = None) -> list[Any]:
    """The first `count` training batches, fetched once and kept on the device."""
    batches = []
    for batch in target.batches("train", seed, 0, batch_size or target.batch_size):
        batches.append(to_device(batch, device))
        if len(batches) == count:
            break
    return batches


def first_examples(target: Target, count: int, device: str) -> Any:
    """The first `count` training examples as one batch: the same tensors every time it is used."""
    examples = [target.train_data[index] for index in range(min(count, len(target.train_data)))]
    collate = target.collate_fn or torch.utils.data.default_collate
    return to_device(collate(examples), device)
