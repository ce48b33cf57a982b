"""What every test shares: the real data where it is, and one thread for torch."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("MPLBACKEND", "agg")

ROOT = Path(__file__).resolve().parent.parent


def real_data_root() -> Path | None:
    """The folder with the real CIFAR-10 and MNIST, or None where this machine has none."""
    candidates = [Path(os.environ["CONVDEBUG_DATA"])] if "CONVDEBUG_DATA" in os.environ else []
    candidates += [ROOT.parent / "shared" / "data"]
    return next((place for place in candidates if (place / "cifar-10-batches-py").is_dir()), None)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Real CIFAR-10 and MNIST; skips where they are absent (the embedded default is tested elsewhere)."""
    place = real_data_root()
    if place is None:
        pytest.skip("the real CIFAR-10 and MNIST are not here (CONVDEBUG_DATA names their folder)")
    return place


@pytest.fixture(autouse=True)
def _private_folders(tmp_path_factory, monkeypatch):
    """Sessions and settings of a test never reach the user's own folders; the cache of generated data is shared."""
    place = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("CONVDEBUG_SESSIONS", str(place / "sessions"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "config"))


def pytest_collection_modifyitems(items):
    """GPU tests are skipped where there is no CUDA device; torch is asked only if there are such tests."""
    gpu_items = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu_items:
        return
    import torch

    if torch.cuda.is_available():
        return
    for item in gpu_items:
        item.add_marker(pytest.mark.skip(reason="no CUDA device here"))
