"""What a watch hears between two steps: losses, backward passes, evaluations, wherever the user's code makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from .anatomy import first_tensor
from .backward import listen_to_tensors, stop_listening_to_tensors
from .blown_up import blown_up
from .comparing import listen_to_comparisons, stop_listening_to_comparisons
from .evaluation import Evaluations
from .fetching import listen_to_loaders, stop_listening_to_loaders
from .findings import Amount
from .harmless import harmless
from .held_out import HeldOut
from .instrument import Answer, Moment, Said, Scene
from .loss_values import FIRST_STEPS, classes_of
from .losses import listen, listen_unrecorded, stop_listening, stop_listening_unrecorded
from .pending import PendingLoss, first_of
from .probe import is_probing
from .root import Root
from .scaler import scaled_from
from .unhooked import leave_modules_as_they_are, leave_modules_clean

MOST_PARTS = 65
"""A loss that is divided for accumulation is taken to be the function's, up to so many micro-batches."""
ALIKE, EXACT = 0.02, 1e-4
MOST_SCORES = 2**20
"""Scores of several forward passes in one step are kept up to so many numbers."""
FIRST_BACKWARDS = 8
"""In so many backward passes the loss is looked for in what the model answers."""

_all: list[Ears] = []
"""Those that hear at the moment."""


Heard = tuple[Moment, int, int]
"""How many losses and answers had been heard in a step when a backward pass ended, or an update."""

Given = tuple[Tensor | None, Tensor | None, str | None, str | None]
"""What the last loss function of a step was given, and which one it was: scores, labels, name, reduction."""


def given_in(moment: Moment) -> Given:
    return moment.scores, moment.labels, moment.loss_name, moment.loss_reduction


class Ears:
    """Fills the moment under way; `write_evaluation` is given the means of an evaluation when it is over."""

    def __init__(
        self, scene: Scene, moment: Moment, write_evaluation: Callable[[str, dict[str, Amount]], None], hooks: bool
    ) -> None:
        self.scene, self.moment = scene, moment
        self.broken = False
        self.pending = PendingLoss(scene.gradient_marks)
        self.evaluations = Evaluations(write_evaluation, lambda: scene.tell(evaluated_loss="part"))
        self.held_out = HeldOut(scene)
        told = (self._training_begins, self._evaluation_begins, self._evaluated, self._trained, self._fail_at_the_door)
        self.root = Root(scene.model, scene.clock, *told)
        self.root.hearable = self.root.hearable and hooks
        self._comparing = False
        self._compared = False
        self._backwards = 0
        self._told_pairs = False
        self._until_last: Heard = (moment, 0, 0)
        self._applied: tuple[Heard, Given] | None = None
        self._later: tuple[list[Said], list[Answer], Given] | None = None
        self._fed = False
        self._evaluated_last = False

    def start(self) -> None:
        self.pending.look_again()
        _all.append(self)
        leave_modules_clean(self)
        listen(self._see_loss)
        listen_unrecorded(self._see_unrecorded_loss)
        listen_to_tensors(self._hear_backward, self._hear_grad)
        listen_to_loaders(self)
        self.root.attach()

    def stop(self) -> None:
        """Hear no more; an evaluation under way is over."""
        self.silence()
        self._evaluation_is_over()

    def silence(self) -> None:
        """Hear no more."""
        if self in _all:
            _all.remove(self)
        stop_listening(self._see_loss)
        stop_listening_unrecorded(self._see_unrecorded_loss)
        stop_listening_to_tensors(self._hear_backward, self._hear_grad)
        if self._comparing:
            stop_listening_to_comparisons(self._see_equal)
        stop_listening_to_loaders(self)
        self.root.detach()
        leave_modules_as_they_are(self)

    def updated(self) -> None:
        """An optimizer has stepped: what is heard from now on is for its next step, whenever this one is counted."""
        moment = self.moment
        given = moment.scores, moment.labels, moment.loss_name, moment.loss_reduction
        self._applied = (moment, len(moment.losses), len(moment.answers)), given

    def hold_back(self) -> None:
        """Before a step is recorded: put aside what was heard after its update, if anything was heard before it."""
        moment, applied, self._applied = self.moment, self._applied, None
        if applied is None or not 0 < applied[0][1] < len(moment.losses):
            return
        (_, losses, answers), given = applied
        self._later = moment.losses[losses:], moment.answers[answers:], given_in(moment)
        del moment.losses[losses:], moment.answers[answers:]
        moment.scores, moment.labels, moment.loss_name, moment.loss_reduction = given
        of, heard, answered = self._until_last
        if of is moment:
            self._until_last = moment, max(heard - losses, 0), max(answered - answers, 0)

    def turn_to(self, moment: Moment) -> None:
        """The next step begins, with what was put aside for it."""
        over, self.moment = self.moment, moment
        if self._later is None:
            return
        (moment.losses, moment.answers, given), self._later = self._later, None
        moment.scores, moment.labels, moment.loss_name, moment.loss_reduction = given
        if self._until_last[0] is over:
            self._until_last = moment, *self._until_last[1:]

    def failed(self, problem: Exception) -> None:
        """What was heard could not be made sense of: no losses or evaluations are heard any more."""
        self._tell_failure(problem)

    def _fail_at_the_door(self, problem: Exception) -> None:
        """What goes in and out of the model cannot be made sense of: no evaluations are heard any more, but losses."""
        self.evaluations.forget()
        self._tell_failure(problem)

    def _tell_failure(self, problem: Exception) -> None:
        message = f"{type(problem).__name__}: {problem}"
        self.scene.run.event("instrument-failed", instrument="ears", message=message)

    def _is_mine(self, scores: Any) -> bool:
        """Of several models a loss belongs to that whose answer it is given, else to the one called last."""
        claimants = [each for each in _all if each.root.gave(scores)]
        return self is max(claimants or _all, key=lambda each: each.root.called)

    @harmless
    def _see_loss(self, name: str, scores: Any, labels: Any, value: Tensor, reduction: str) -> None:
        if len(_all) > 1 and not self._is_mine(scores):
            return
        if not value.requires_grad:
            self._see_unrecorded_loss(name, scores, labels, value, reduction)
            return
        given = self.root.pass_that_gave(scores)
        if given is None:
            self.evaluations.direct = False
        if not self.scene.model.training:
            self.evaluations.saw_loss(name, scores, labels, value, reduction, sure=False)
        moment = self.moment
        classes = classes_of(name, scores, reduction) if moment.step < FIRST_STEPS else None
        moment.losses.append(Said(name, value.detach(), classes, reduction))
        if isinstance(scores, Tensor) and isinstance(labels, Tensor):
            moment.scores, moment.labels = scores.detach(), labels
            moment.loss_name, moment.loss_reduction = name, reduction
            self._keep_answer(Answer(given or (self.root.called, 0), name, moment.scores, labels))

    def _keep_answer(self, answer: Answer) -> None:
        """The same function again on the same pass is another head's; what is large is kept for one pass only."""
        answers = self.moment.answers
        if self._evaluated_last or not self.scene.model.training:  # an evaluation with recorded gradients
            answers.clear()
        self._evaluated_last = not self.scene.model.training
        if answers and self.pending.inside_step:  # a closure that is called many times
            return
        if answers and any(each.call == answer.call and each.loss_name == answer.loss_name for each in answers):
            return
        if answers and answer.scores.numel() * (len(answers) + 1) > MOST_SCORES:
            answers.clear()
        answers.append(answer)

    @harmless
    def _see_unrecorded_loss(self, name: str, scores: Any, labels: Any, value: Tensor, reduction: str) -> None:
        if len(_all) == 1 or self._is_mine(scores):
            self.evaluations.saw_loss(name, scores, labels, value, reduction)

    @harmless
    def _hear_backward(self, begins: bool, tensors: Any, gradients: Any) -> None:
        pending, loop = self.pending, self.scene.loop
        if begins:
            loop.backwards += 1
            pending.begins(tensors, gradients)
            if pending.began_anew:
                loop.unused.written_between()
                self._forget_what_is_applied_nowhere()
            if self.evaluations.may_be_training:
                self.evaluations.backward_begins()
            if self.root.keeps_parts:
                self._look_for_pairs(tensors)
            return
        pending.ended()
        if pending.touched and not pending.inside_step:
            loop.unused.gave()
        if pending.touched and self.moment.step & (self.moment.step - 1) == 0:  # at the powers of two
            self._compare_with_sum()
        self._mark_heard()
        self.evaluations.training_is(self.moment)
        if not self._compared:
            self._compare_with_function()
        if self.root.keeps_parts:
            self._look_for_loss_in_answer(tensors)
        trained = pending.touched and not self.scene.model.training
        if trained or self.evaluations.may_be_training:
            self.evaluations.backward_ended(trained)

    def _forget_what_is_applied_nowhere(self) -> None:
        """What was heard up to the last backward pass: a generator's loss that came through a discriminator.

        But what an update has used by then.
        """
        moment, applied = self.moment, self._applied[0] if self._applied is not None else None
        used = applied if applied is not None and applied[0] is moment else (moment, 0, 0)
        of, losses, answers = self._until_last
        if of is moment:
            del moment.losses[used[1] : losses], moment.answers[used[2] : answers]
        self._until_last = used

    def _mark_heard(self) -> None:
        """Of several models' losses one that gave this model no gradients was another's."""
        moment = self.moment
        if len(_all) > 1 and not self.pending.touched:
            of, losses, answers = self._until_last
            same = of is moment
            del moment.losses[losses if same else 0 :], moment.answers[answers if same else 0 :]
        self._until_last = moment, len(moment.losses), len(moment.answers)

    def _look_for_pairs(self, tensors: Any) -> None:
        """Say it where outputs and labels were blown up against each other, whoever wrote the loss."""
        first = first_of(tensors)
        found = None if first is None or self._told_pairs else blown_up(first, self.root.answered)
        if found is not None:
            self._told_pairs = True
            outputs, result = found
            self.scene.run.event("loss-blown-up", self.moment.step, outputs=list(outputs), result=list(result))

    def _look_for_loss_in_answer(self, tensors: Any) -> None:
        """Whether the model itself answers with the loss; looked for at the first backward passes."""
        self._backwards += 1
        first = first_of(tensors)
        if first is not None and first.numel() == 1:
            self.evaluations.loss_place = self.root.place_of(scaled_from(first))
        self.root.keeps_parts = self.evaluations.loss_place is None and self._backwards < FIRST_BACKWARDS

    def _compare_with_function(self) -> None:
        """Say once where the loss is more than the loss function that was heard: chance says nothing about it then."""
        self._compared = True
        value = self.pending.last
        on_device = isinstance(value, Tensor) and not value.is_cpu
        if value is None or len(self.moment.losses) != 1 or on_device or "loss" in self.scene.info:
            return
        function, applied = float(self.moment.losses[0].value.float().mean()), float(value)
        if abs(applied - function) > ALIKE * abs(function) and not _is_share(applied, function):
            self.evaluations.own = True
            self.scene.tell(loss={"name": "own", "reduction": "own", "part": self.moment.losses[0].name})

    def _compare_with_sum(self) -> None:
        """Whether a loss of several functions is their plain sum: an evaluation's is no such number otherwise.

        Where the loss is that of one of them, the others are only looked at (a metric; an evaluation with gradients).
        Nothing is said of numbers on a device, and of a function that is called several times.
        """
        of, heard, _ = self._until_last
        parts, value = self.moment.losses[heard if of is self.moment else 0 :], self.pending.last
        names = frozenset(part.name for part in parts)
        if value is None or len(parts) < 2 or len(names) < len(parts):
            return
        numbers = [part.value for part in parts] + ([value] if isinstance(value, Tensor) else [])
        if not all(number.is_cpu and number.numel() == 1 for number in numbers):
            return
        said, applied = [float(part.value) for part in parts], float(value)
        if any(_is_share(applied, each) for each in said):
            return
        plain = all(part.reduction == "mean" for part in parts)
        self.evaluations.training_adds(names, plain and _is_share(applied, sum(said)))

    @harmless
    def _hear_grad(self, outputs: Any) -> None:
        self.pending.hear_grad(outputs)

    # what the door tells; what goes wrong there it keeps away from the training

    def _training_begins(self, inputs: Any) -> None:
        if self.broken:
            return
        self.evaluations.training_sees(inputs, goes_on=self.scene.model.training)
        self.held_out.fresh = True
        if len(_all) > 1 and not self._fed:
            self._look_who_feeds(inputs)

    def _trained(self, output: Any) -> None:
        told = self.scene.aside
        if told is not None and not self.broken and (self.moment.updates or not self.scene.model.training):
            told(self.moment.step, output)

    def _look_who_feeds(self, inputs: Any) -> None:
        """Say it where another watched model's answer is what this one is given: that is no data."""
        given = first_tensor(inputs)
        giver = next((each for each in _all if each is not self and each.root.pass_that_gave(given)), None)
        if giver is not None:
            self._fed = True
            self.scene.tell(fed_by=type(giver.scene.inner).__name__)

    @harmless
    def _evaluation_is_over(self) -> None:
        self.evaluations.training_goes_on()

    def _evaluation_begins(self, inputs: Any) -> None:
        if self.broken:
            return
        if not self._comparing:
            self._comparing = True
            listen_to_comparisons(self._see_equal)
        if self.scene.evaluating is not None:
            self.scene.evaluating(True)
        self.evaluations.begins(inputs)
        self.held_out.evaluation_begins(inputs, self.moment.step)
        if self.scene.unrecorded is not None:
            self.scene.unrecorded(self.moment.step, inputs, self.evaluations)

    def _evaluated(self, output: Any) -> None:
        if self.broken:
            return
        if self.scene.evaluating is not None:
            self.scene.evaluating(False)
        self.evaluations.saw_forward(output)

    @harmless
    def _see_equal(self, left: Any, right: Any) -> None:
        if not is_probing():
            self.evaluations.saw_equal(left, right)


def _is_share(applied: float, whole: float) -> bool:
    """Whether a number is another one, or that divided by the number of micro-batches."""
    return any(abs(applied * part - whole) <= EXACT * abs(whole) for part in range(1, MOST_PARTS))
