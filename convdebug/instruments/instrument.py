"""What every instrument is given, and the few moments of a step at which it may act."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from .gradient_marks import GradientMarks
from .loop_heard import LoopHeard
from .readback import Readback
from .timeline import Timeline

if TYPE_CHECKING:
    from convdebug_sessions import RunRecorder

    from .evaluation import Evaluations


@dataclass
class Scene:
    """What is watched, for as long as it is watched."""

    model: nn.Module
    inner: nn.Module
    device: torch.device
    run: RunRecorder
    clock: Callable[[], float]
    readback: Readback
    optimizers: list[torch.optim.Optimizer]
    compiled: bool = False
    images: Any = None
    image_labels: Sequence[Any] | None = None
    class_names: Sequence[str] | None = None
    info: dict[str, Any] = field(default_factory=dict)
    parameters: list[tuple[str, nn.Parameter]] = field(default_factory=list)
    gradient_marks: GradientMarks = field(default_factory=GradientMarks)
    evaluating: Callable[[bool], None] | None = None
    """Told with True as a pass without recorded gradients begins, and with False as it ends."""
    unrecorded: Callable[[int, Any, Evaluations], None] | None = None
    """Told the step and each batch that is given without recorded gradients, and whom to ask where that comes from."""
    aside: Callable[[int, Any], None] | None = None
    """Told the step and each answer with a graph that the step hardly trains on: in evaluation mode, or after it."""

    def __post_init__(self) -> None:
        self.loop = LoopHeard(self.gradient_marks, self.readback)
        self.look_again()

    def look_again(self) -> None:
        """Find the parameters, in the order of the model: walking all modules is too slow for every step."""
        self.parameters = list(self.inner.named_parameters())
        self.gradient_marks.choose(self.parameters)

    def tell(self, **changes: Any) -> None:
        """Merge what has become known into the run's info."""
        news = {key: value for key, value in changes.items() if self.info.get(key) != value}
        if news:
            self.info.update(news)
            self.run.update_info(**news)


class Answer(NamedTuple):
    """What a loss function was given; `call` tells the model's forward passes apart, and parts of their batches."""

    call: tuple[int, int]
    loss_name: str
    scores: Tensor
    labels: Tensor


class Said(NamedTuple):
    """What a loss function said in a step; `classes` between which it tells, None where guessing's loss is unknown."""

    name: str
    value: Tensor
    classes: int | None = None
    reduction: str = "mean"


@dataclass(slots=True)
class Moment:
    """What was seen of the step under way; references only, dropped when the step ends."""

    step: int
    inputs: tuple[Any, ...] | None = None
    keywords: dict[str, Any] = field(default_factory=dict)
    given_last: tuple[tuple[Any, ...], dict[str, Any]] | None = None
    """Inputs and keywords of the last forward pass with recorded gradients."""
    output: Any = None
    scores: Tensor | None = None
    labels: Tensor | None = None
    loss_name: str | None = None
    loss_reduction: str | None = None
    losses: list[Said] = field(default_factory=list)
    """What each loss function said, in the order of the calls."""
    answers: list[Answer] = field(default_factory=list)
    """The first call of each loss function after each forward pass of the step, as far as they are small."""
    updates: int = 0
    attempted: bool = False
    given: set[str] = field(default_factory=set)
    """Scalars that the loop handed to `step` itself."""
    timeline: Timeline | None = None
    began_at: float = 0.0
    forward_at: float | None = None
    hook_seconds: float = 0.0
    watch_seconds: float = 0.0
    samples: dict[str, tuple[tuple[str, ...], Tensor, Tensor | None]] = field(default_factory=dict)
    gradient_norms: tuple[tuple[str, ...], Tensor] | None = None
    """Where they were measured at this step: the names of the parameters and the norms of their gradients."""


class Instrument:
    """Measures one thing on the steps at which it is due.

    `arm` is called at the end of the step before, `before_update` when the optimizer is about to step (gradients are
    there, weights are still those of the forward pass), `record` when the step is over. `disarm` takes back what
    `arm` attached when the next step does not need it.
    """

    name: ClassVar[str] = ""
    weight: ClassVar[float] = 0.5
    """The share of what is left of the budget that this instrument may spend."""
    rarity: ClassVar[int] = 1
    """Measured at most once in this many of the measured steps (pictures)."""
    grows: ClassVar[bool] = False
    """Writes blobs: spread out over a long run so that the session stays small."""

    follows: ClassVar[str | None] = None
    """Uses what this other instrument sampled: measures only on its steps."""
    pairs: ClassVar[bool] = False
    """Compares successive steps: measures two in a row."""
    early: ClassVar[bool] = False
    """Measured at the powers of two whatever the step takes: small, and needed from a short run too."""
    needs_root: bool = False
    """Wants `moment.inputs` and `moment.output` of the model's first forward pass in the step."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def arm(self, moment: Moment) -> None: ...

    def disarm(self) -> None: ...

    def before_update(self, moment: Moment) -> None: ...

    def record(self, moment: Moment) -> None: ...

    def fall_silent(self) -> None:
        """Hear and write nothing any more: the run is another process's, or lost."""

    def finish(self) -> None:
        """The run is over: write what was still on its way."""

    def inner_seconds(self) -> float:
        """Seconds spent in hooks since the last call, which the caller could not measure."""
        return 0.0
