"""Whether an evaluation was of examples that had been trained on, where nobody said what the validation data are."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from convdebug.rules.facts import Facts
from convdebug_sessions import Event

SEEN = 0.02  # of the examples looked at; the few true repeats of a source, found in part, stay below
LEAST_SEEN, LEAST_LOOKED_AT = 5, 50  # single repeats (black pictures, empty texts) are fewer
CHANCE = 0.5  # of what was seen may be equal by chance, as often as equal examples were met within the data
CONTAINED = 0.8  # of the training examples known: all data are evaluated, or the training data, and that on purpose
MARGIN = 0.05  # below the share of training examples that are known again
FEW = 0.2  # of what would be seen in data of the same mixture: these are clean
EXPECTED = 8  # so many at least would be seen there; none at all is chance once in 3000
WELL_KNOWN = 10  # training examples that came again: their share says how much of the training data is known


@dataclass(frozen=True)
class Part:
    """Some data of one evaluation; `kept`, `seen`, … are of the training examples at that time."""

    step: int
    apart: bool
    given: int
    looked_at: int
    compared: float
    """Pairs of those that were looked at."""
    pairs: int
    different: int
    trained: int
    kept: int
    seen: int
    pairs_in_training: int
    recent: int
    known: int

    @property
    def share(self) -> float:
        return self.trained / max(1, self.different)

    @property
    def by_chance(self) -> float:
        """How many would be equal to a training example at most, if the data are few values in many examples."""
        here, there = (self.pairs, self.compared), (self.pairs_in_training, self.seen**2 / 2)
        both = here[0] + there[0], here[1] + there[1]
        return self.different * self.kept * min(_at_most(*each) for each in (here, there, both))

    @property
    def is_seen(self) -> bool:
        enough = self.different >= LEAST_LOOKED_AT and self.trained >= max(LEAST_SEEN, SEEN * self.different)
        return enough and self.by_chance <= CHANCE * self.trained

    @property
    def contains_training(self) -> bool:
        return self.trained * self.given / self.looked_at >= CONTAINED * self.kept

    @property
    def is_mixed(self) -> bool:
        """Whether some of it is surely new: less is known than of the training data itself."""
        again = self.known / self.recent if self.recent else 0.0
        spread = math.sqrt(again * (1 - again) * (1 / self.different + 1 / max(1, self.recent)))
        return self.share < again - 3 * spread - MARGIN


def seen_in_training(facts: Facts) -> Part | None:
    """The last part of an evaluation that was trained on, unless that may well be meant.

    Nothing is said where any evaluation was of data that are clean.
    """
    events = facts.events("seen-in-training")
    seen = [parts for event in events if (parts := [each for each in _candidates(event) if each.is_seen])]
    if not seen:
        return None
    told, over = any(event.data["told"] for event in events), facts.run.status != "running"
    validated = [part for part in seen[-1] if told or _is_validation(part, len(seen), over)]
    ill = [part for part in validated if not _any_is_clean(events, part)]
    return max(ill, key=lambda part: part.trained, default=None)


def _is_validation(part: Part, times: int, over: bool) -> bool:
    """Not the accuracy of training, which is healthy to compute, where the loop does not say what it evaluates.

    All training examples may be evaluated on purpose, unless it is done again and again by a loader of other data.
    Of less, by no loader, a part is surely new; where none of the training examples has come again by then, nobody
    knows how many of them are known, and one can but wait for the end.
    """
    if part.contains_training:
        return part.apart and times > 1
    return part.apart or (part.is_mixed if part.known >= WELL_KNOWN else over)


def _any_is_clean(events: list[Event], seen: Part) -> bool:
    """Whether data in a row, of one evaluation or of several, have far fewer training examples than that part."""
    rows = [(place, part) for event in events for place, part in enumerate(_parts(event))]
    running = least = 0.0
    for _, part in sorted(rows, key=lambda row: row[0]):
        expected = seen.share * part.different * part.kept / seen.kept
        running = min(running, 0.0) + part.trained - FEW * expected
        least = min(least, running)
    return least <= -FEW * EXPECTED


def _parts(event: Event) -> list[Part]:
    return [_part(event, [data]) for data in event.data["parts"]]


def _candidates(event: Event) -> Iterator[Part]:
    """Each set, and all single batches together: each is too small, and nobody knows what it is a part of."""
    sets = [[data] for data in event.data["parts"] if not data["alone"]]
    alone = [data for data in event.data["parts"] if data["alone"]]
    for found in (*sets, alone):
        if sum(data["trained"] for data in found) >= LEAST_SEEN:
            yield _part(event, found)


def _part(event: Event, parts: list[dict[str, Any]]) -> Part:
    training = event.data["training"]
    return Part(
        step=event.step or 0,
        apart=all(data["apart"] for data in parts),
        given=sum(data["given"] for data in parts),
        looked_at=sum(data["looked_at"] for data in parts),
        compared=sum(data["looked_at"] ** 2 for data in parts) / 2,
        pairs=sum(data["pairs"] for data in parts),
        different=sum(data["different"] for data in parts),
        trained=sum(data["trained"] for data in parts),
        kept=training["kept"],
        seen=training["seen"],
        pairs_in_training=training["pairs"],
        recent=training["recent"],
        known=training["known"],
    )


def _at_most(pairs: int, compared: float) -> float:
    """How often two examples are equal, at most, if so many pairs were found among so many."""
    return (pairs + 3 * math.sqrt(pairs) + 3) / compared if compared else 1.0
