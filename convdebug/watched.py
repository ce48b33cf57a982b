"""One watched run: what a `watch` gives, told of each step by the loop or by the optimizers themselves."""

from __future__ import annotations

import atexit
import math
import traceback
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.optim import Optimizer

from convdebug.leaving import ended_by, text_of
from convdebug_sessions import Recorder, Wish

from .instruments import Moment, Scene, home
from .instruments.anatomy import unwrapped
from .instruments.ears import Ears
from .instruments.leading import Leading
from .instruments.opening import describe_optimizer, tell_anatomy
from .instruments.origin import Origin
from .instruments.probe import probing
from .instruments.rack import Rack
from .instruments.rows import Rows, share
from .instruments.step_calls import StepCalls
from .instruments.stepping import Stepping
from .instruments.weights_kept import keep_weights
from .instruments.wishes import TrainingStopped, Wishes
from .lives import RUNNING, Life, guarded, not_over, uncaught

_watched_models: weakref.WeakSet[nn.Module] = weakref.WeakSet()


def is_watched(model: nn.Module) -> bool:
    """Whether a model, as it is or unwrapped, is being watched."""
    return model in _watched_models or unwrapped(model) in {unwrapped(each) for each in _watched_models}


class Watch:
    """One watched run. Does nothing to the training but wait while it is paused and set what was wished.

    `stepped` is told when an optimizer of this model has stepped, or when a gradient scaler made it skip the step:
    where nobody calls `step`, as in a script that is not ours, it does.
    """

    def __init__(
        self,
        scene: Scene,
        rack: Rack,
        recorder: Recorder | None,
        checkpoints: int = 0,
        on_wish: Callable[[Wish], bool] | None = None,
        first_step: int = 0,
        keep_open: bool = False,
        stepped: Callable[[Watch, Optimizer], None] | None = None,
        hooks: bool = True,
    ) -> None:
        self.run = scene.run
        self.number = first_step
        self.wanted_batch_size: int | None = None
        self.examples: Callable[[], Sequence[int] | None] = lambda: None
        """Where the loop knows them: the places in its data set of the examples of the batch under way."""
        self._scene, self._rack, self._recorder = scene, rack, recorder
        _watched_models.add(scene.model)
        self._clock = scene.clock
        self._on_wish = on_wish
        self._checkpoints = checkpoints
        self._keep_open = keep_open
        self._stepped = stepped
        told = (self._before_update, self._after_update, self._attempted, self._tried, self._notice_other)
        self._stepping = Stepping(scene.model, scene.optimizers, *told, search=stepped is not None)
        self._leading = Leading()
        self._unanswered: set[int] = set()
        self._wishes = Wishes(scene.run, scene.optimizers, self._take_wish)
        self._origin = Origin(scene, examples=lambda: self.examples())
        self._moment = Moment(first_step)
        self._ears = Ears(scene, self._moment, self._write_evaluation, hooks)
        self._ears.root.passes = self._origin.door
        self._calls = StepCalls(bool(scene.optimizers))
        self._life = Life(scene.inner, recorder.path if recorder is not None else None)
        self._started = self._ended = scene.clock()
        not_over[self] = self._life
        tell_anatomy(scene)

    # a run begins and ends

    def __enter__(self) -> Watch:
        self.start()
        self._life.in_block = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> bool:
        if isinstance(error, TrainingStopped):
            self.finish("stopped", str(error))
            return True
        self._end_by(error)
        return False

    def _end_by(self, error: BaseException | None) -> None:
        status, reason = ended_by(error)
        if error is not None and status == "crashed":
            self.crash(error)
        else:
            self.finish(status, reason)

    def start(self) -> None:
        """Begin to watch; entering the `with` block does it. UserError where it has begun before."""
        self._life.begin()
        atexit.register(self._end_at_exit)
        self._rows = Rows(self.run, self._scene.readback)
        if home.settle():
            self._stepping.start()
            self._ears.start()
            self._origin.start()
        else:
            self._calls.none_steps()
            self._rack.retire()
            text = "another thread is being watched: of this one only what is given to step() is recorded"
            self.run.event("note", 0, text=text)
        self._started = self._ended = self._clock()
        if self._scene.compiled and self._ears.root.hearable:
            self.run.event(
                "note", 0, text="the model is compiled: activations come from a plain pass on the same batch"
            )
        self._begin_step()

    def finish(self, status: str = "finished", reason: str | None = None) -> None:
        """Stop watching and end the run; leaving the `with` block does it. What goes wrong here is only said."""
        before = self._life.end()
        not_over.pop(self, None)
        _watched_models.discard(self._scene.model)
        atexit.unregister(self._end_at_exit)
        if before == RUNNING:
            last = (self._count_calls, self._ears.stop, home.leave, self._stepping.stop)
            for act in (*last, self._rack.close, self._scene.readback.finish, self._origin.stop):
                guarded(self.run, act)
        if not self._keep_open:
            guarded(self.run, self.run.finish, status, reason)
        if self._recorder is not None:
            guarded(self.run, self._recorder.close)

    def _count_calls(self) -> None:
        if self._calls.waiting and self.number == 0:
            self.count_every_call()

    def _end_at_exit(self) -> None:
        """The program ends, and a watch that was started by hand is still open."""
        error = uncaught()
        if error is not None:
            self._end_by(error)
        else:
            self.finish("stopped", "the program ended before finish() was called")

    def abandon(self) -> None:
        """In a child after a fork: hear and measure nothing more, and leave the recording to the parent."""
        if self._life.end() == RUNNING:
            home.leave()
        not_over.pop(self, None)
        _watched_models.discard(self._scene.model)
        atexit.unregister(self._end_at_exit)
        self._stepping.stop()
        self._ears.silence()
        self._rack.silence()
        self._origin.stop()

    def crash(self, error: BaseException) -> None:
        """End the run with what the training raised."""
        text = "".join(traceback.format_exception(error))
        self.run.event("crash", self.number, type=type(error).__name__, message=text_of(error), traceback=text)
        self.finish(*ended_by(error))

    # a step

    def step(self, loss: Any = None, accuracy: Any = None, **scalars: Any) -> None:
        """One optimizer step is over: record it, obey wishes, make ready for the next.

        `loss` and the scalars may be tensors on any device; they are read without making the device wait. Without a
        loss the tensors that backward was called on are taken. `accuracy` may be a share, or a boolean tensor (N,)
        that says which examples were right. Calls between two steps of the optimizer are micro-batches: their losses
        are summed. Raises TrainingStopped if that was wished.
        """
        if self._life.state != RUNNING and self._life.misses("step()"):
            return
        entered = self._clock()
        moment = self._moment
        if self._calls.is_part(bool(moment.updates or moment.attempted)):
            if not self._calls.too_many:
                self._calls.keep(loss)
                return
            self.count_every_call()
        applied = self._ears.pending.take()
        given = self._calls.with_kept(loss) if loss is not None or self._calls.waiting else None
        self._rows.step(
            moment.step, applied if given is None else given, self._learning_rate(), entered - self._started
        )
        if accuracy is not None:
            scalars["train/accuracy"] = share(accuracy)
        for name, value in scalars.items():
            self._rows.scalar(name, moment.step, value)
        if scalars:
            moment.given.update(scalars)
        self._ears.hold_back()
        hooks = self._rack.record_seconds = 0.0
        if self._rack.active:
            with probing():
                hooks = self._rack.record(moment)
        if self._scene.readback.waiting:
            self._scene.readback.collect()
        self._end_step(entered, hooks)

    def _end_step(self, entered: float, hooks: float) -> None:
        step, self.number = self._moment.step, self.number + 1
        if self._checkpoints and step % self._checkpoints == 0:
            keep_weights(self._scene, step)
        if self.run.pending_wishes or self._wishes.paused:
            self._wishes.obey(step, self._scene.readback.finish)
        self._begin_step()
        now = self._moment.began_at = self._clock()
        base = now - entered - self._rack.record_seconds - self._rack.arm_seconds
        self._rack.schedule.stepped(max(entered - self._ended - hooks, 0.0), max(base, 0.0))
        self._ended = now

    def _begin_step(self) -> None:
        self._moment = Moment(self.number, began_at=self._clock())
        self._ears.turn_to(self._moment)
        self._origin.begin(self.number)
        if self.number % 64 <= 1:  # at 1 as well: at the first call parameters may be swapped for others
            self._scene.look_again()
            self._ears.pending.look_again()
        self._ears.root.moment = self._moment if self._rack.arm(self._moment) else None

    def count_every_call(self) -> None:
        """The optimizer does not step: what was taken for micro-batches were steps."""
        calls = self._calls.give_up()
        if not calls:
            return
        text = f"{len(calls)} calls of step(), and the optimizer did not step: each call is counted as a step"
        self.run.event("note", self.number, text=text)
        for loss in calls:
            self._rows.step(self.number, loss, self._learning_rate(), self._clock() - self._started)
            self.number += 1
        self._moment.step = self.number

    def _learning_rate(self) -> float:
        optimizer = self._leading.among(self._scene.optimizers)
        return math.nan if optimizer is None else float(optimizer.param_groups[0]["lr"])

    # what happens between two steps

    def _before_update(self, optimizer: Optimizer) -> None:
        moment = self._moment
        if moment.updates == 0 and self._rack.active:
            with probing():
                self._rack.before_update(moment)
        self._origin.before_update(optimizer, moment)
        if self._leading.steps(optimizer, moment.step):
            self.run.event("optimizer", moment.step, **describe_optimizer(optimizer))
            self._rack.schedule.begin_anew(moment.step)
        moment.updates += 1
        self._unanswered.discard(id(optimizer))
        pending = self._ears.pending
        self._scene.loop.step_begins(optimizer, pending.marks)
        pending.inside_step = True
        self._calls.optimizer_steps()
        if moment.timeline is not None:
            moment.timeline.start("optimizer")

    def _after_update(self, optimizer: Optimizer) -> None:
        self._ears.pending.cut()
        self._ears.updated()
        self._origin.after_update()
        if self._moment.timeline is not None:
            self._moment.timeline.end("optimizer")
        if self._stepped is not None:
            self._stepped(self, optimizer)

    def _attempted(self, optimizer: Optimizer) -> None:
        """A gradient scaler was asked to step: it may skip the update, or the optimizer says itself that it steps."""
        self._moment.attempted = True
        self._scene.loop.scaler_asked(optimizer, self._ears.pending.marks)
        self._unanswered.add(id(optimizer))
        self._origin.attempted()

    def _tried(self, optimizer: Optimizer) -> None:
        """The gradient scaler has stepped the optimizer, or skipped the step."""
        if id(optimizer) in self._unanswered and self._stepped is not None:
            self._ears.pending.cut()
            self._stepped(self, optimizer)
        self._unanswered.discard(id(optimizer))

    def _notice_other(self, optimizer: Optimizer) -> None:
        """The info `other_optimizer`: one that steps these parameters without having been given to the watch."""
        if "other_optimizer" not in self._scene.info:
            self._scene.tell(other_optimizer=type(optimizer).__name__)

    def hear_late(self, tensors: Any, gradients: Any) -> None:
        """A backward pass that ended just before this watch was started was the model's."""
        self._ears.pending.add(tensors, gradients)

    def join_step(self) -> None:
        """This watch was started inside an optimizer's step, by the first call of its closure."""
        self._moment.updates = 1
        self._ears.pending.inside_step = True

    def others_stepped(self) -> None:
        """Another model was trained in the meantime: that was no waiting for data."""
        if self._moment.forward_at is None:
            self._moment.began_at = self._clock()

    @property
    def discarded(self) -> int:
        """How often gradients were thrown away before any update: those of another model's loss that came through."""
        return self._ears.pending.discarded

    @property
    def pending(self) -> bool:
        """Whether a backward pass has given this model gradients since its last step."""
        return self._ears.pending.any

    @property
    def model(self) -> nn.Module:
        """What is watched."""
        return self._scene.model

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers that train this model, as far as they are known."""
        return self._scene.optimizers

    @property
    def paused(self) -> bool:
        """Whether the training waits because the window wished it to."""
        return self._wishes.paused

    def validation(self, loss: Any = None, accuracy: Any = None, **scalars: Any) -> None:
        """Record what an evaluation found, at the last finished step: `val/loss`, `val/accuracy`, `val/<name>`.

        Without it evaluations are found by themselves, where their losses or labels can be seen.
        """
        if self._life.misses("validation()"):
            return
        self._ears.evaluations.forget()
        accuracy = None if accuracy is None else share(accuracy)
        self._write_evaluation("val", {"loss": loss, "accuracy": accuracy, **scalars})

    def _write_evaluation(self, of: str, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if value is not None:
                self._rows.scalar(f"{of}/{name}", max(self.number - 1, 0), value)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a part of the step oneself: `with watched.phase("augmentation")` gives `time/augmentation`."""
        started, step = self._clock(), self.number
        try:
            yield
        finally:
            if not self._life.misses("phase()"):
                self._rows.scalar(f"time/{name}", step, self._clock() - started)

    def event(self, kind: str, **data: Any) -> None:
        """Record that something happened at this step, for example `event("epoch", epoch=3)`."""
        self.run.event(kind, self.number, **data)

    def change(self, key: str, old: Any, new: Any, by: str = "user") -> None:
        """Record that the loop itself changed a setting, for example its batch size."""
        self.run.event("change", self.number, key=key, old=old, new=new, by=by)

    # wishes and facts

    def _take_wish(self, wish: Wish) -> bool:
        taken = bool(self._on_wish and self._on_wish(wish))
        value = wish.value if isinstance(wish.value, dict) else {}
        if "data.batch_size" in value and self._stepped is None:
            self.wanted_batch_size = int(value["data.batch_size"])
            return True
        return taken
