"""Pictures of a run as small PNG data URIs: filters, what the network sees, predictions on the fixed batch."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from matplotlib.image import imsave

from convdebug_sessions import BlobRef, Run, Session

_FILTERS = 48
_IMAGES = 16


@dataclass(frozen=True)
class Guess:
    """One of the top three classes of a prediction."""

    name: str
    share: float
    right: bool


@dataclass(frozen=True)
class Prediction:
    """A picture of the fixed batch with its label and the network's three best guesses."""

    picture: str
    label: str
    guesses: list[Guess]


@dataclass(frozen=True)
class Filters:
    """The first-layer filters of a parameter at the last step they were recorded."""

    parameter: str
    step: int
    pictures: list[str]
    total: int


def data_uri(picture: np.ndarray) -> str:
    """A (H, W, 3) or (H, W) array in [0, 1] as a PNG data URI."""
    if picture.ndim == 2:
        picture = np.repeat(picture[:, :, None], 3, axis=2)
    buffer = io.BytesIO()
    imsave(buffer, np.ascontiguousarray(np.clip(picture, 0, 1)), format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def filters(session: Session, run: Run) -> Filters | None:
    """The last recorded filters, each scaled around zero so that grey is no weight."""
    blobs = session.blobs("filters", run.id)
    if not blobs:
        return None
    ref = blobs[-1]
    table = np.nan_to_num(np.asarray(session.read(ref), dtype=np.float32))
    if table.ndim != 4:
        return None
    reach = np.abs(table).reshape(len(table), -1).max(axis=1)[:, None, None, None]
    scaled = 0.5 + 0.5 * table / np.where(reach > 0, reach, 1)
    return Filters(ref.name, ref.step, [data_uri(_colour(image)) for image in scaled[:_FILTERS]], len(table))


def network_input(session: Session, run: Run) -> list[str]:
    """The images just before the network, stretched together to [0, 1]."""
    blobs = session.blobs("network-input", run.id)
    if not blobs:
        return []
    table = np.nan_to_num(np.asarray(session.read(blobs[0]), dtype=np.float32))
    if table.ndim != 4:
        return []
    low, high = np.quantile(table, (0.001, 0.999))
    table = (table[:_IMAGES] - low) / max(high - low, 1e-12)
    return [data_uri(_colour(image)) for image in table]


def predictions(session: Session, run: Run) -> tuple[int, list[Prediction]]:
    """(step, predictions on the fixed batch): empty where none were recorded."""
    batches, guesses = session.blobs("fixed-batch", run.id), session.blobs("predictions", run.id)
    if not batches or not guesses:
        return 0, []
    pictures, table = np.asarray(session.read(batches[0])), np.asarray(session.read(guesses[-1]))
    names = list(run.info.get("data", {}).get("class_names") or ())
    count = min(len(pictures), len(table), _IMAGES)
    rows = [_prediction(pictures[i], _label(batches[0], i), table[i], names) for i in range(count)]
    return guesses[-1].step, rows


def _prediction(picture: np.ndarray, label: str, top: np.ndarray, names: list[str]) -> Prediction:
    guesses = []
    for index, share in top:
        name = names[int(index)] if np.isfinite(index) and 0 <= int(index) < len(names) else f"{index:.0f}"
        guesses.append(Guess(name, float(np.nan_to_num(share)), name == label))
    picture = picture[:, :, 0] if picture.shape[2] == 1 else picture[:, :, :3]
    return Prediction(data_uri(picture / 255.0), label, guesses)


def _label(batch: BlobRef, index: int) -> str:
    return str(batch.names[index]) if index < len(batch.names) else ""


def _colour(image: np.ndarray) -> np.ndarray:
    """(C, H, W) to (H, W, 3), or to (H, W) where there are not three channels."""
    return image.transpose(1, 2, 0) if len(image) == 3 else image[0]
