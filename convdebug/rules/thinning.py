"""Rows of many columns in bounded memory: the first and the last exactly, those between thinned evenly."""

import numpy as np

KEPT_BETWEEN = 4096
KEPT_AT_THE_ENDS = 512


class Thinned:
    """What is kept depends on the number of rows alone, never on how they arrived: live and later reading agree."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows = 0
        self._stride = 1
        self._head = _empty(columns)
        self._between = _empty(columns)
        self._tail = _empty(columns)

    def extend(self, steps: np.ndarray, values: np.ndarray) -> None:
        """Take rows `(n)` of steps and `(n, columns)` of values that follow those taken so far."""
        rows = np.arange(self.rows, self.rows + len(steps))
        block = (rows, np.asarray(steps, np.int64), np.asarray(values, np.float32))
        self.rows += len(steps)
        free = max(0, KEPT_AT_THE_ENDS - len(self._head[0]))
        self._head = _join(self._head, _pick(block, slice(0, free)))
        last = _pick(block, slice(-KEPT_AT_THE_ENDS, None))
        self._tail = _pick(_join(self._tail, last), slice(-KEPT_AT_THE_ENDS, None))
        self._between = _join(self._between, _pick(block, rows % self._stride == 0))
        self._thin()

    def kept(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps `(k)` and values `(k, columns)` in order of the steps."""
        between, tail = self._between, self._tail
        first_of_tail = self.rows - len(tail[0])
        inner = (between[0] >= len(self._head[0])) & (between[0] < first_of_tail)
        after_head = tail[0] >= len(self._head[0])
        _, steps, values = _join(_join(self._head, _pick(between, inner)), _pick(tail, after_head))
        return steps, values

    def _thin(self) -> None:
        while self.rows > KEPT_BETWEEN * self._stride:
            self._stride *= 2
        self._between = _pick(self._between, self._between[0] % self._stride == 0)


Block = tuple[np.ndarray, np.ndarray, np.ndarray]


def _empty(columns: int) -> Block:
    return np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, columns), np.float32)


def _pick(block: Block, rows: np.ndarray | slice) -> Block:
    return block[0][rows], block[1][rows], block[2][rows]


def _join(one: Block, other: Block) -> Block:
    if not len(one[0]) or not len(other[0]):
        return other if not len(one[0]) else one
    return tuple(np.concatenate(pair) for pair in zip(one, other, strict=True))  # type: ignore[return-value]
