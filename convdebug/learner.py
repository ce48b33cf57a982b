"""One step and one evaluation of a target: device, mixed precision, clipping, schedule, or the user's own step."""

from collections.abc import Iterable
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler

from convdebug.batches import call_model, split_batch, to_device
from convdebug.errors import UserError
from convdebug.target import Target, described
from convdebug.user_code import users_code

EVERY_STEP = (lr_scheduler.OneCycleLR, lr_scheduler.CyclicLR)


class Learner:
    """A model that learns from batches. Holds what one step needs, and nothing about how long or how often."""

    def __init__(
        self,
        target: Target,
        model: nn.Module,
        optimizer: Optimizer,
        device: torch.device,
        *,
        scheduler: Any = None,
        amp: bool = False,
        clip: float | None = None,
    ) -> None:
        self.target, self.model, self.optimizer, self.device = target, model, optimizer, device
        self.scheduler = scheduler
        self.clip = clip
        given = getattr(target.loss, "ignore_index", None)
        self._ignored = given if isinstance(given, int) and given >= 0 else None  # a cost on CUDA only where it is used
        half = torch.float16 if device.type == "cuda" and not torch.cuda.is_bf16_supported() else torch.bfloat16
        self._autocast = torch.autocast(device.type, dtype=half, enabled=amp)
        self.scaler = torch.amp.GradScaler(device.type, enabled=amp and half is torch.float16)
        self.loss = torch.zeros(())
        self.right: Tensor | None = None
        self.penalty: Tensor | None = None

    def parts(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        parts = {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler}
        return parts | ({"scaler": self.scaler} if self.scaler.is_enabled() else {})

    def step(self, batch: Any) -> None:
        """One optimizer step on a batch; `loss`, `right` (N booleans) and `penalty` say how it went."""
        batch = to_device(batch, self.device)
        self.model.train()
        if self.target.train_step is not None:
            self.right = self.penalty = None
            with users_code(f"train_step of {self.target.name}"):
                loss = self.target.train_step(self.model, batch, self.target.loss, self.optimizer)
            self.loss = returned_loss(loss, self.target.name)
            return
        if isinstance(self.optimizer, torch.optim.LBFGS):
            self.optimizer.step(lambda: self._backward(batch))
        else:
            self._plain_step(batch)

    def _plain_step(self, batch: Any) -> None:
        self._backward(batch)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _backward(self, batch: Any) -> Tensor:
        inputs, labels = split_batch(batch)
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast:
            scores = call_model(self.model, inputs)
            loss, _, penalty = self.target.total_loss(self.model, scores, labels)
        self.scaler.scale(loss).backward()
        if self.clip is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.loss, self.right = loss.detach(), right_answers(scores, labels, self._ignored)
        self.penalty = None if penalty is None else penalty.detach()
        return loss

    def after_step(self, rate_before: float) -> None:
        """Move the schedule; a rate that was set by hand during the step becomes the schedule's new base."""
        if self.scheduler is None:
            return
        rate = self.optimizer.param_groups[0]["lr"]
        if rate != rate_before:
            rebase(self.scheduler, rate / rate_before if rate_before else 1.0)
        if self.target.config is not None or isinstance(self.scheduler, EVERY_STEP):
            self._move(None)

    def after_epoch(self, val_loss: float | None) -> None:
        """Move a schedule that goes by epochs."""
        by_value = isinstance(self.scheduler, lr_scheduler.ReduceLROnPlateau)
        by_epoch = self.target.config is None and not isinstance(self.scheduler, EVERY_STEP)
        if self.scheduler is not None and (by_value or by_epoch):
            self._move(val_loss)

    def _move(self, val_loss: float | None) -> None:
        if not isinstance(self.scheduler, lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step()
        elif val_loss is not None:
            self.scheduler.step(val_loss)

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Any]) -> tuple[float, float | None]:
        """Mean loss (without penalty) and accuracy over batches, in evaluation mode; the mode is put back."""
        mode = self.model.training
        self.model.eval()
        total = torch.zeros((), dtype=torch.float64, device=self.device if self.device.type != "mps" else "cpu")
        right, judged, examples = torch.zeros_like(total), 0, 0
        try:
            for batch in batches:
                inputs, labels = split_batch(to_device(batch, self.device))
                with self._autocast:
                    scores = call_model(self.model, inputs)
                    loss = self.target.data_loss(scores, labels)
                count = _count(inputs)
                total += loss.to(total) * count
                examples += count
                answers = right_answers(scores, labels, self._ignored)
                if answers is not None:
                    right += answers.sum().to(right)
                    judged += answers.numel()
        finally:
            self.model.train(mode)
        mean = float(total) / examples if examples else float("nan")
        return mean, float(right) / judged if judged else None


def returned_loss(value: Any, target: str) -> Tensor:
    """What a train_step returned as one number; UserError for anything that is not one."""
    if isinstance(value, Real):
        return torch.tensor(float(value))
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
        return value.detach().reshape(())
    raise UserError(
        f"train_step of {target} returned {described(value)}, not its loss: it must return one number, as a tensor of "
        "one element or a float"
    )


def right_answers(scores: Any, labels: Any, ignored: int | None = None) -> Tensor | None:
    """Which examples are right, for scores (N, C, …) and whole-number labels (N, …); None for anything else.

    Places whose label is `ignored` are left out.
    """
    if not isinstance(scores, Tensor) or not isinstance(labels, Tensor) or scores.ndim < 2:
        return None
    if labels.dtype.is_floating_point or labels.shape != scores.shape[:1] + scores.shape[2:]:
        return None
    right = scores.detach().argmax(1) == labels
    return right.flatten() if ignored is None else right[labels != ignored]


def rebase(scheduler: Any, factor: float) -> None:
    """Multiply the rates from which a scheduler computes the next one."""
    if hasattr(scheduler, "base_lrs"):
        scheduler.base_lrs = [rate * factor for rate in scheduler.base_lrs]
    for group in scheduler.optimizer.param_groups:
        for key in ("initial_lr", "max_lr", "min_lr"):
            if key in group:
                group[key] *= factor


def _count(inputs: Any) -> int:
    if isinstance(inputs, Tensor):
        return len(inputs)
    values = inputs.values() if isinstance(inputs, dict) else inputs
    return next((len(value) for value in values if isinstance(value, Tensor)), 1)
