"""Whether the workers of a DataLoader make the same random changes: two of them are given the same example twice."""

from torch.utils.data import DataLoader, IterableDataset

from convdebug.batches import seeded
from convdebug.catalogue.datasets.pictures import PictureDataset
from convdebug.checks.fingerprint import fingerprint
from convdebug.target import Target

TWICE_EACH = [[0], [0], [0], [0]]
"""Batches go to the workers in turns: the first and third to one, the second and fourth to the other."""


def identical_workers(target: Target) -> bool | None:
    """True if both draw alike, twice in a row; None without two workers or without randomness in an example."""
    source = target.batches_of("train")
    if source.workers < 2 or isinstance(source.dataset, PictureDataset | IterableDataset):
        return None
    loader = DataLoader(
        source.dataset,
        batch_sampler=TWICE_EACH,
        num_workers=2,
        collate_fn=source.collate_fn,
        worker_init_fn=getattr(target.train_data, "worker_init_fn", None),
    )
    with seeded(0):
        one, other, one_again, other_again = map(fingerprint, loader)
    if one == one_again and other == other_again:
        return None
    return one == other and one_again == other_again
