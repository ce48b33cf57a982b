"""Which device to compute on, said in one line where it is not there."""

import torch

from convdebug.errors import UserError


def choose_device(wanted: str) -> torch.device:
    """`auto` takes CUDA, then Apple's GPU, then the processor; UserError where the wanted one is not there."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if wanted.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        index = int(wanted.partition(":")[2] or 0)
        if index >= count:
            have = "no CUDA device here" if not count else f"only {count} CUDA devices here"
            raise UserError(f"--device {wanted}: {have} (nearest: {'cuda:0' if count else 'cpu'})")
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise UserError("--device mps: no Apple GPU here (nearest: cpu)")
    return torch.device(wanted)


def device_name(device: torch.device) -> str:
    """`cuda:0 (NVIDIA …)`, or `cpu` with its number of threads."""
    if device.type == "cuda":
        return f"cuda:{device.index or 0} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)
