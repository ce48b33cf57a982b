"""How checks look into a model: fresh copies at a generic point, a few examples, and what to do where it says no."""

from typing import Any

import torch
from torch import Tensor, nn

from convdebug.batches import call_model, generator, split_batch, to_device
from convdebug.checks.bench import Bench, Skipped
from convdebug.instruments.anatomy import first_tensor
from convdebug.instruments.nests import mapped

MOVED = 0.01


def sample(bench: Bench, count: int) -> Any:
    """The first `count` training examples as one batch, augmentation off, on the device of the check."""
    return to_device(bench.target.training_data_sample(count), bench.device)


def few_examples(bench: Bench, count: int) -> tuple[Any, Any]:
    """(inputs, labels) of the first `count` training examples, augmentation off, on the device of the check."""
    return split_batch(sample(bench, count))


def answer_of(bench: Bench, model: nn.Module, inputs: Any) -> Any:
    """The model's output.

    Raises:
        Skipped: the target has its own train_step and its model does not take the inputs of a batch as they come.
    """
    if bench.target.train_step is None:
        return call_model(model, inputs)
    try:
        return call_model(model, inputs)
    except Exception as error:
        raise Skipped(
            f"the target has its own train_step, and its model cannot be called on a batch ({type(error).__name__})"
        ) from error


def scores_of(bench: Bench, model: nn.Module, inputs: Any) -> Tensor:
    """The first tensor of real numbers in the model's output, whatever holds it.

    Raises:
        Skipped: there is none.
    """
    found = first_tensor(answer_of(bench, model, inputs))
    if found is None:
        raise Skipped("the model's output holds no tensor of real numbers")
    return found


def moved(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model with every parameter shifted a little, so that nothing is exactly zero, equal, or on a kink."""
    source = generator(seed, 77)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point() and parameter.numel():
                size = float(parameter.float().square().mean().sqrt()) or 0.1
                noise = torch.randn(parameter.shape, generator=source).to(parameter)
                parameter.add_(MOVED * size * noise)
    return model


def tensors_in(value: Any) -> list[Tensor]:
    """Every tensor in a nest, in order."""
    found: list[Tensor] = []
    mapped(value, found.append)
    return found


def listed(names: list[str] | tuple[str, ...], most: int = 4) -> str:
    """A few names and how many more there are."""
    shown = ", ".join(names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
