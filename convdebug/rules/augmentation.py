"""Workers that draw the same random numbers, so that they augment alike."""

from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Event, Remedy


def judge(facts: Facts) -> Finding | None:
    """Proven by two workers on one example (check `data`), else a generator that every worker gets a copy of."""
    proofs = [event for event in facts.survey("workers") if "identical" in event.data]
    if proofs:
        return _proven(proofs[-1]) if proofs[-1].data["identical"] else None
    held = [event for event in facts.events("workers") if event.data.get("generators")]
    return _suspected(held[-1]) if held else None


def _proven(event: Event) -> Finding:
    return Finding(
        "warning",
        f"Two workers made the same 'random' change to the same example, and the next draw of each was the same again: "
        f"all {event.data.get('workers')} workers draw the same random numbers.",
        evidence={"workers": float(event.data.get("workers") or 0)},
        remedies=REMEDIES,
    )


def _suspected(event: Event) -> Finding:
    workers, names = int(event.data.get("workers") or 0), list(event.data["generators"])
    step = event.step or 0
    return Finding(
        "warning",
        f"The data set keeps its own random generator ({', '.join(names[:3])}) and draws from it for each example. "
        f"Each of the {workers} workers gets a copy in the same state, in every epoch again: they all draw the same "
        "random numbers.",
        first_step=step,
        last_step=step,
        evidence={"workers": float(workers), "generators": float(len(names))},
        remedies=REMEDIES,
    )


REMEDIES = (
    Remedy("Seed the generator in each worker: worker_init_fn, or lazily from get_worker_info().seed."),
    Remedy("Or draw from torch's global generator, which is seeded differently in each worker and epoch."),
)

RULE = Rule(
    name="identical-augmentation",
    title="Workers augment identically",
    group="data",
    severities=("warning",),
    meaning="Every worker of the DataLoader draws the same random numbers. The pictures of one moment are all cropped, "
    "flipped or disturbed in the same way, and with a fresh copy in each epoch the same few changes come back: there "
    "is much less augmentation than it looks.",
    causes="A numpy, random or torch generator made in the data set's __init__; a worker_init_fn that gives every "
    "worker the same seed.",
    remedies="Seed per worker, or use torch's global generator.",
    source='Lecture, "Data Augmentation"; reported many times for numpy generators in PyTorch data sets. Proven where '
    "the check `data` finds two workers that change the same example alike twice in a row; else a generator among the "
    "data set's own attributes that its __getitem__ draws from, two workers or more and no worker_init_fn.",
    judge=judge,
)
