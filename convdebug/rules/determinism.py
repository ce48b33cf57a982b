"""The same seed does not give the same steps twice."""

from convdebug.rules.facts import Facts
from convdebug.rules.rule import Finding, Rule
from convdebug_sessions import Remedy


def judge(facts: Facts) -> Finding | None:
    """What the check `determinism` recorded of this target."""
    found = facts.survey("determinism")
    if not found or found[-1].data.get("same", True):
        return None
    seen = found[-1].data
    what, step, steps = seen.get("first_difference"), int(seen.get("at_step") or 0), int(seen.get("steps") or 0)
    return Finding(
        "info",
        f"Two trainings from the same seed part at step {step}: {what} differs first. Runs of this target cannot be "
        "compared number by number, only by their averages over several seeds.",
        first_step=step,
        last_step=max(step, steps - 1),
        evidence={"step": float(step), "steps": float(steps)},
        remedies=(_remedy(str(what)),),
    )


def _remedy(what: str) -> Remedy:
    if "batch" in what:
        return Remedy(
            "Draw the order and the augmentation from a generator that is seeded at the start (random, numpy, torch), "
            "and hand workers their seeds (worker_init_fn)."
        )
    if "weights" in what:
        return Remedy("Draw the initial weights from torch's global generator, after torch.manual_seed.")
    return Remedy(
        "Call torch.use_deterministic_algorithms(True), which raises where an operation has no deterministic form, and "
        "set torch.backends.cudnn.benchmark = False; look for random numbers of numpy or random inside the model."
    )


RULE = Rule(
    name="not-deterministic",
    title="Same seed, different steps",
    group="implementation",
    severities=("info",),
    meaning="Started twice from the same seed, the training does not compute the same numbers. That is no fault of the "
    "network, but a difference between two runs may then be chance, and a failure may not come back.",
    causes="Random numbers from a generator that is not seeded (numpy, random, one made inside the data set), the "
    "order of files or sets, several workers, GPU kernels that add in any order, a state left over from the first run.",
    remedies="Seed every generator; torch.use_deterministic_algorithms(True); else compare averages over seeds.",
    source='Karpathy, "A Recipe for Training Neural Networks": fix the random seed. Checksums of batch, outputs, '
    "gradients and weights of the first steps, from the check `determinism`.",
    judge=judge,
)
