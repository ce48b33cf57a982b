"""Target: what is checked, trained and swept; from a RunConfig, or from the user's own ``file.py:function``."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from convdebug import regularization
from convdebug.batches import Source, as_dataset, call_model, examples_of, seeded, source, split_batch, to_device
from convdebug.catalogue import build
from convdebug.catalogue.datasets.pictures import PictureDataset
from convdebug.catalogue.regularizers import l2
from convdebug.config import RunConfig
from convdebug.errors import UserError
from convdebug.partials import taken_apart
from convdebug.settings import OptimizerConfig
from convdebug.user_code import find_function, users_code


@dataclass(kw_only=True)
class Target:
    """A model, its data, its loss and its optimizer.

    ``make_model`` gives fresh weights at each call; data are a torch Dataset of (input, label), a pair of tensors, or
    a DataLoader; ``loss`` takes (output, label) to a scalar tensor. ``train_step(model, batch, loss, optimizer)``
    replaces the usual step and returns its loss.
    """

    make_model: Callable[[], nn.Module]
    train_data: Any
    make_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    val_data: Any = None
    loss: Callable[[Any, Any], Tensor] = field(default_factory=nn.CrossEntropyLoss)
    batch_size: int = 0
    """0 takes the DataLoader's, or 32."""
    make_scheduler: Callable[[Optimizer], Any] | None = None
    num_classes: int | None = None
    collate_fn: Callable[[list[Any]], Any] | None = None
    num_workers: int = 0
    train_step: Callable[[nn.Module, Any, Callable[[Any, Any], Tensor], Optimizer], Tensor] | None = None
    name: str = "target"
    source: str = "target"
    config: RunConfig | None = None
    penalty: Callable[[nn.Module], Tensor] | None = None
    shuffle: bool = True
    kept: tuple[str, ...] = ()
    """What ``without_regularization`` could not turn off, in words."""

    def __post_init__(self) -> None:
        for name in ("make_model", "make_optimizer", "loss"):
            if not callable(getattr(self, name)) or (name == "make_model" and isinstance(self.make_model, nn.Module)):
                given = type(getattr(self, name)).__name__
                raise UserError(f"{name} of a Target must be a function, not {given}: {WANTED[name]}")
        if not isinstance(self.batch_size, int) or self.batch_size < 0:
            raise UserError(f"batch_size of a Target is {self.batch_size!r}; it must be a whole number of at least 1")
        require_examples("train_data", self.train_data)
        if self.val_data is not None:
            require_examples("val_data", self.val_data)
        if not self.batch_size:
            self.batch_size = self.batches_of("train").batch_size

    @classmethod
    def from_config(cls, config: RunConfig) -> "Target":
        """The target that a RunConfig describes; UserError where its data or model cannot be had."""
        data = build.splits(config.data)
        train = source(data.train, config.data.batch_size, config.data.shuffle, None, 0)
        strength = config.regularization.l2
        return cls(
            make_model=lambda: build.model(config, data),
            train_data=data.train,
            val_data=data.val if len(data.val) else None,
            make_optimizer=lambda parameters: build.optimizer(parameters, config.optimizer),
            make_scheduler=lambda optimizer: build.scheduler(optimizer, config, train.batches_per_epoch or 1),
            batch_size=config.data.batch_size,
            num_classes=len(data.train.classes),
            num_workers=config.data.workers,
            name=f"{config.model.name} on {config.data.name}",
            source="builtin",
            config=config,
            penalty=(lambda model: l2(model, strength)) if strength else None,
            shuffle=config.data.shuffle,
        )

    def build(self, seed: int = 0) -> nn.Module:
        """A model with fresh weights; the same seed gives the same weights, and random states are left alone."""
        with seeded(seed), users_code(f"make_model of {self.name}"):
            model = self.make_model()
        if not isinstance(model, nn.Module):
            raise UserError(f"make_model of {self.name} returned {type(model).__name__}, not a torch.nn.Module")
        return model

    def optimizer(self, model: nn.Module, **overrides: Any) -> Optimizer:
        """The target's own optimizer with ``lr``, ``momentum``, ``weight_decay`` overridden, or another by ``name``."""
        parameters = list(model.parameters())
        if self.config is not None or "name" in overrides:
            trainable = [parameter for parameter in parameters if parameter.requires_grad]
            return build.optimizer(trainable, self._optimizer_settings(overrides))
        with users_code(f"make_optimizer of {self.name}"):
            optimizer = self.make_optimizer(parameters)
        if not isinstance(optimizer, Optimizer):
            given = type(optimizer).__name__
            raise UserError(f"make_optimizer of {self.name} returned {given}, not a torch.optim.Optimizer")
        for group in optimizer.param_groups:
            group.update({key: value for key, value in overrides.items() if key in group})
        return optimizer

    def _optimizer_settings(self, overrides: dict[str, Any]) -> OptimizerConfig:
        config = self.config or RunConfig()
        return config.changed(**{f"optimizer.{key}": value for key, value in overrides.items()}).optimizer

    def scheduler(self, optimizer: Optimizer, steps: int | None = None) -> Any:
        """The scheduler for a run of ``steps`` (as configured when not given), or None when the rate is constant.

        The catalogue's schedules move at every step (``plateau`` with every validation).
        """
        if self.make_scheduler is None:
            return None
        if self.config is not None:
            return build.scheduler(optimizer, self.config, self.batches_of("train").batches_per_epoch or 1, steps)
        with users_code(f"make_scheduler of {self.name}"):
            scheduler = self.make_scheduler(optimizer)
        if scheduler is not None and not hasattr(scheduler, "state_dict"):
            raise UserError(f"make_scheduler of {self.name} returned {type(scheduler).__name__}, not a scheduler")
        return scheduler

    def batches_of(self, split: str, batch_size: int | None = None) -> Source:
        """Where the batches of ``train`` or ``val`` come from."""
        data = self.train_data if split == "train" else self.val_data
        size = batch_size or self.batch_size
        return source(data, size, self.shuffle and split == "train", self.collate_fn, self.num_workers)

    def batches(
        self, split: str, seed: int = 0, epoch: int = 0, batch_size: int | None = None, start: int = 0
    ) -> Iterator[Any]:
        """The batches of one epoch in an order fixed by (seed, epoch), from batch number ``start`` on."""
        return self.batches_of(split, batch_size).batches(seed, epoch, start)

    def data_loss(self, outputs: Any, labels: Any) -> Tensor:
        """The loss without penalties; a function of torch is looked up at each call: instruments may stand in."""
        function, settings = taken_apart(self.loss)
        if getattr(function, "__module__", None) == nn.functional.__name__:
            value = getattr(nn.functional, function.__name__, function)(outputs, labels, **settings)
        else:
            value = self.loss(outputs, labels)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise UserError(
                f"the loss of {self.name} returned {described(value)}: it must return one number over the batch, as a "
                'tensor (of a loss of torch: reduction="mean")'
            )
        return value

    def total_loss(self, model: nn.Module, outputs: Any, labels: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        """What ``backward`` is called on, the data loss in it, and the penalty in it (None without one)."""
        loss = self.data_loss(outputs, labels)
        if self.penalty is None:
            return loss, loss, None
        penalty = self.penalty(model)
        return loss + penalty, loss, penalty

    def training_data_sample(self, count: int, seed: int | None = None) -> Any:
        """One batch of ``count`` training examples without augmentation: the first ones, or drawn by ``seed``."""
        plain = replace(self, train_data=without_augmentation(self.train_data), shuffle=seed is not None)
        batch = next(plain.batches("train", seed or 0, 0, count), None)
        if batch is None:
            raise UserError(f"the training data of {self.name} gave no batch")
        return batch

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the classes where the data set has them."""
        names = getattr(examples_of(self.train_data), "classes", None)
        return tuple(map(str, names)) if names is not None else None

    @property
    def expected_initial_loss(self) -> float | None:
        """ln C for a mean cross entropy over C classes, ln 2 for a mean binary one; None for any other loss."""
        loss, settings = taken_apart(self.loss)
        if is_binary_entropy(self.loss):
            said = {name: settings.get(name, getattr(loss, name, None)) for name in ("weight", "pos_weight")}
            plain = said["weight"] is None and said["pos_weight"] is None
            reduction = settings.get("reduction", getattr(loss, "reduction", "mean"))
            return math.log(2) if plain and reduction == "mean" else None
        kinds = (nn.CrossEntropyLoss, nn.NLLLoss)
        known = isinstance(loss, kinds) or loss in (nn.functional.cross_entropy, nn.functional.nll_loss)
        return math.log(self.num_classes) if known and self.num_classes else None

    def complete(self) -> "Target":
        """The same target with ``num_classes`` found from the model's scores for two examples."""
        if self.num_classes is not None or self.train_step is not None:
            return self
        model = self.build().eval()
        inputs, labels = split_batch(self.training_data_sample(2))
        device = next((each.device for each in model.parameters()), torch.device("cpu"))
        with torch.no_grad(), seeded(0), users_code(f"the model of {self.name}"):
            outputs = call_model(model, to_device(inputs, device))
        return replace(self, num_classes=class_count(outputs, labels))

    def without_regularization(self) -> "Target":
        """The same target with L2, weight decay, dropout and augmentation off; ``kept`` says what could not be."""
        if self.config is not None:
            return Target.from_config(self.config.changed(**NO_REGULARIZATION))
        return regularization.off(self)


def described(value: Any) -> str:
    """`None`, `a dict (loss, scores)`, `a tuple of 2`, `a tensor of shape (32,)`, or the type."""
    if value is None:
        return "None"
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}" + (" of complex numbers" if value.is_complex() else "")
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} ({', '.join(map(str, list(value)[:4]))})"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, Real):
        return "a plain number"
    return f"a value of type {type(value).__name__}"


def is_binary_entropy(loss: Any) -> bool:
    """Whether a loss is torch's binary cross entropy, of logits or of probabilities."""
    functions = (nn.functional.binary_cross_entropy_with_logits, nn.functional.binary_cross_entropy)
    return isinstance(loss, nn.BCEWithLogitsLoss | nn.BCELoss) or taken_apart(loss)[0] in functions


def is_weighted(loss: Any) -> bool:
    """Whether a loss gives classes or answers weights: as a module, or by the keywords of a partial function."""
    given = getattr(loss, "keywords", None) or {}
    return any(getattr(loss, name, given.get(name)) is not None for name in ("weight", "pos_weight"))


def class_count(outputs: Any, labels: Any) -> int | None:
    """The number of scores (N, C, …) per example where the labels are whole numbers; None otherwise."""
    scores = isinstance(outputs, Tensor) and outputs.dim() > 1 and outputs.is_floating_point()
    whole = isinstance(labels, Tensor) and not labels.is_floating_point()
    return outputs.shape[1] if scores and whole and outputs.shape[1] > 1 else None


NO_REGULARIZATION = {
    "regularization.l2": 0.0,
    "regularization.dropout": 0.0,
    "optimizer.weight_decay": 0.0,
    "data.augmentation": "none",
}

WANTED = {
    "make_model": "it returns a fresh torch.nn.Module at each call",
    "make_optimizer": "it takes the parameters and returns a torch.optim.Optimizer",
    "loss": "it takes (output, label) and returns a scalar tensor",
}


def load_target(text: str) -> Target:
    """The target that ``path/to/file.py:function`` or ``package.module:function`` returns.

    UserError in one line for a missing file or function or a wrong type; TargetError when the user's code raises.
    """
    made = find_function(text)
    if callable(made):
        with users_code(text):
            made = made()
    if not isinstance(made, Target):
        raise UserError(f"{text} returned {type(made).__name__}, not a convdebug.Target")
    return replace(made, name=text).complete()


def require_examples(name: str, data: Any) -> None:
    """UserError for what can hold no examples, and for data sets without any."""
    examples = as_dataset(examples_of(data))
    if isinstance(examples, str) or not (hasattr(examples, "__getitem__") or hasattr(examples, "__iter__")):
        raise UserError(f"{name} of a Target must be a Dataset of (input, label), not {type(data).__name__}")
    if hasattr(examples, "__len__") and len(examples) == 0:
        raise UserError(f"{name} of a Target holds no example")


def without_augmentation(data: Any) -> Any:
    """The same data without the catalogue's augmentation; a user's own data as it is."""
    return data.plain() if isinstance(data, PictureDataset) else data
