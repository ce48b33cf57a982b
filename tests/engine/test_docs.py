"""The examples of the documentation run as they are printed: each page in a folder of its own, from top to bottom."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted(page for page in (ROOT / "docs").glob("*.md") if page.stem != "rules")  # generated, without examples
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(page: Path, folder: Path) -> Iterator[list[str]]:
    """Write each python block to the file that its first line names, and tell what to run, in the page's order.

    A file that a command of the page names is run by that command.
    """
    blocks = BLOCK.findall(page.read_text())
    named = " ".join(text for language, text in blocks if language == "console")
    for language, text in blocks:
        if language == "python":
            name = text.splitlines()[0].removeprefix("# ")
            assert name.endswith(".py"), f"a python block of {page.name} does not begin with its file's name"
            (folder / name).write_text(text)
            if name not in named:
                yield [name]
        else:
            for line in text.splitlines():
                assert line.startswith("$ convdebug "), f"{page.name}: {line}"
                yield ["-m", *shlex.split(line.removeprefix("$ "))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_example_of_a_page_runs(page, tmp_path):
    places = [str(ROOT), str(ROOT / "gui"), str(ROOT / "sessions")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(places), "PYTHONWARNINGS": "error"}
    told = list(commands(page, tmp_path))
    assert told
    for command in told:
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{page.name}: {' '.join(command)}\n{done.stdout}\n{done.stderr}"
