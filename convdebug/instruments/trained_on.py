"""Which examples of an evaluation were trained on, in a loop that does not say what its data sets are."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .backward import moment_number
from .evaluated import Evaluation, is_looked_at
from .evaluation import Evaluations
from .fetching import tensors_in
from .fingerprints import Fingerprints, keys_in
from .instrument import Instrument, Moment, Scene

MOST_KEPT = 2**16
"""So many different training examples are known again."""
MOST_OF_BATCH = 4096
"""Of a larger training batch so many examples are kept."""
MOST_AT_ONCE, LEAST_AT_ONCE = 1024, 64
"""Of the first batch of a set so many examples are looked at, of each later one half as many, down to these."""
EARLY = 8
"""So many evaluations are looked at each; of later ones those whose number is a power of two."""
RARE = 8
"""Steps for each evaluation in training mode: a pass at every other step is a part of the training."""
RECENT = 512
"""So many of the last training examples, or a few more, say how many are known by now."""
MOST_TENSORS = 4


class Training:
    """Which examples were trained on, as far as they were seen, and how often one came again."""

    def __init__(self) -> None:
        self.times: Counter[int] = Counter()
        self._seen = self._pairs = 0
        self._fewest = (0, 0)
        self._recent: deque[tuple[int, int]] = deque()

    def take(self, keys: list[int], whole: bool) -> None:
        """A batch was trained on; `whole`: all of it, so that what is known of it says what is known of the data."""
        known, full = sum(key in self.times for key in keys), len(self.times) >= MOST_KEPT
        if whole:
            self._recent.append((len(keys), known))
            while sum(count for count, _ in self._recent) - self._recent[0][0] >= RECENT:
                self._recent.popleft()
        if full:
            return
        for key in keys:
            self._pairs += self.times[key]
            self.times[key] += 1
        self._seen += len(keys)
        if not self._fewest[0] or (self._pairs + 3) / self._seen**2 < (self._fewest[1] + 3) / self._fewest[0] ** 2:
            self._fewest = self._seen, self._pairs

    def as_data(self) -> dict[str, int]:
        """How many are kept; when the fewest of them were pairs, how many had been seen and how many pairs these made;
        and of the recent ones how many had been known.
        """
        recent, known = (sum(counts) for counts in zip(*self._recent, strict=True)) if self._recent else (0, 0)
        seen, pairs = self._fewest
        return {"kept": len(self.times), "seen": seen, "pairs": pairs, "recent": recent, "known": known}


class TrainedOn(Instrument):
    """The event `seen-in-training` of an evaluation: its parts, how much was looked at and how much was trained on.

    Training examples are those of the last batch before an update, on the steps on which this is measured: what is
    found is a lower bound. Passes on what may be the training data, by loader or tensor, do not count. Passes between
    which something else is trained (a teacher's, for its student) are no evaluation. Built-in runs and targets say what
    their validation data are: there `Examples` looks.
    """

    name: ClassVar[str] = "trained-on"
    weight: ClassVar[float] = 0.1
    pairs: ClassVar[bool] = True
    """Others measure two steps in a row in any case."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.needs_root = scene.info.get("source") not in ("builtin", "target")
        self._fingerprints = Fingerprints()
        self._random = Random(13)
        self._training = Training()
        self._batch: list[Tensor] = []
        self._evaluation: Evaluation | None = None
        self._evaluations = self._in_training_mode = 0
        self._last = (-1, False)
        self._trouble: Exception | None = None

    # training

    def arm(self, moment: Moment) -> None:
        if self.needs_root and self._trouble is None:
            self.scene.unrecorded = self._hear

    def disarm(self) -> None:
        self._batch = []

    def before_update(self, moment: Moment) -> None:
        """What the model was given last is what the update learns from, whatever it was given since the step before."""
        if self.needs_root and moment.given_last is not None:
            self._batch = self._examples(moment.given_last)

    def record(self, moment: Moment) -> None:
        batch, self._batch = self._batch, []
        if self._trouble is not None:
            raise self._trouble
        self._end_evaluation()
        if batch:
            some = self._some(batch, MOST_OF_BATCH)
            self._read(some, lambda keys: self._training.take(keys, whole=some is batch))

    # evaluations

    def _hear(self, step: int, inputs: Any, evaluations: Evaluations) -> None:
        try:
            if (step, self.scene.model.training) != self._last:
                self._last = step, self.scene.model.training
                self._begin_evaluation(step, evaluations.silent)
            if self._evaluation is not None and self._evaluation.begun != moment_number():
                self._evaluation = None
            if self._evaluation is not None:
                self._look(self._evaluation, inputs, evaluations)
        except Exception as problem:  # raised again where the rack can drop the instrument
            self._trouble, self.scene.unrecorded = problem, None

    def _look(self, evaluation: Evaluation, inputs: Any, evaluations: Evaluations) -> None:
        examples = self._examples(inputs)
        whence = evaluations.whence(examples) if examples else None
        found = evaluation.place_of(whence, examples[0]) if whence is not None else None
        if found is None:
            return
        part, place = found
        part.given += len(examples[0])
        if not is_looked_at(place):
            return
        evaluation.waiting += 1

        def arrived(keys: list[int]) -> None:
            part.take(keys, self._training.times)
            evaluation.waiting -= 1
            self._tell(evaluation)

        self._read(self._some(examples, max(LEAST_AT_ONCE, MOST_AT_ONCE >> place)), arrived)

    def _begin_evaluation(self, step: int, told: bool) -> None:
        self._end_evaluation()
        if self.scene.model.training:
            self._in_training_mode += 1
            if step < RARE * self._in_training_mode:
                return
        if self._training.times:
            self._evaluations += 1
            if self._evaluations <= EARLY or not self._evaluations & (self._evaluations - 1):
                self._evaluation = Evaluation(step, told)

    def _end_evaluation(self) -> None:
        evaluation, self._evaluation = self._evaluation, None
        if evaluation is not None:
            evaluation.over = True
            self._tell(evaluation)

    def _tell(self, evaluation: Evaluation) -> None:
        """Once it is over and all of it has arrived."""
        if evaluation.over and not evaluation.waiting:
            parts = [part.as_data() for part in evaluation.parts if part.looked_at]
            training = self._training.as_data()
            if parts:
                self.scene.run.event(
                    "seen-in-training", evaluation.step, told=evaluation.told, parts=parts, training=training
                )

    def fall_silent(self) -> None:
        self.scene.unrecorded = None
        self._evaluation, self._batch = None, []

    def finish(self) -> None:
        self.scene.unrecorded = None
        self._end_evaluation()

    # both

    def _examples(self, inputs: Any) -> list[Tensor]:
        """The tensors of a batch that have a row for each example; the first with two axes says how many there are."""
        given = tensors_in(list(inputs))
        if not all(_is_plain(each) for each in given):
            return []
        here = [each for each in given if each.device == self.scene.device and each.numel()]
        lead = next((each for each in here if each.dim() > 1), None)
        if lead is None or (lead.is_cuda and torch.cuda.is_current_stream_capturing()):
            return []
        others = (each for each in here if each is not lead and each.shape[:1] == lead.shape[:1])
        return [lead, *others][:MOST_TENSORS]

    def _some(self, examples: list[Tensor], most: int) -> list[Tensor]:
        """At most so many of the examples, evenly spaced."""
        stride = -(-len(examples[0]) // most)
        start = self._random.randrange(stride)
        return examples if stride == 1 else [each[start::stride] for each in examples]

    def _read(self, examples: list[Tensor], use: Callable[[list[int]], None]) -> None:
        prints = self._fingerprints.of(examples)
        self.scene.readback.put(prints.reshape(-1), lambda row: use(keys_in(row)))


def _is_plain(tensor: Tensor) -> bool:
    return type(tensor) in (Tensor, nn.Parameter) and tensor.layout == torch.strided and not tensor.is_nested
