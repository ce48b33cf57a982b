"""The import contracts hold, and each of them has been seen to break on a seeded violation."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

VIOLATIONS = {
    "the engine never imports the window": ("convdebug/config.py", "import convdebug_gui"),
    "the window never imports the engine nor torch": ("gui/convdebug_gui/theme.py", "import torch"),
    "sessions import neither torch nor Qt nor the other rooms": (
        "sessions/convdebug_sessions/playhead.py",
        "import PyQt6.QtCore",
    ),
    "rules, config and errors never load torch": ("convdebug/config.py", "import torch"),
    "rules stand apart: they read sessions and nothing that trains": (
        "convdebug/diagnose.py",
        "import convdebug.watch",
    ),
    "instruments know nothing of rules, checks, targets or the catalogue": (
        "convdebug/watch.py",
        "import convdebug.rules",
    ),
    "checks and search stand on training, training on watching, watching on instruments": (
        "convdebug/train.py",
        "import convdebug.checks",
    ),
    "a target stands on the catalogue and the config": ("convdebug/errors.py", "import convdebug.target"),
}


@pytest.fixture
def copied_tree(tmp_path):
    for package in ("convdebug", "gui/convdebug_gui", "sessions/convdebug_sessions"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(tree: Path) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
        "--no-cache",
    ]
    environment = {
        "PYTHONPATH": f"{tree}:{tree / 'gui'}:{tree / 'sessions'}",
        "PATH": "/usr/bin:/bin",
        "COLUMNS": "200",
    }
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=120)


def test_every_contract_of_the_project_is_seeded_here():
    import tomllib

    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["name"] for contract in contracts} == set(VIOLATIONS)


def test_the_code_keeps_every_contract(copied_tree):
    answer = lint(copied_tree)
    assert answer.returncode == 0, answer.stdout
    assert f"{len(VIOLATIONS)} kept, 0 broken" in answer.stdout


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_seeded_violation_breaks_its_contract(copied_tree, contract):
    file, line = VIOLATIONS[contract]
    path = copied_tree / file
    path.write_text(path.read_text() + f"\n{line}\n")
    answer = lint(copied_tree)
    assert answer.returncode != 0
    assert f"{contract} BROKEN" in answer.stdout
