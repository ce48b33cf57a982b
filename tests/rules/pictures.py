"""Draws the sick run of each rule for the guide: `python -m tests.rules.pictures docs/images/rules [NAME …]`."""

import io
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from convdebug.errors import UserError
from convdebug.report.curves import marks_of
from convdebug.report.drawing import Board, board_settings
from convdebug.rules import RULES, diagnose
from convdebug.rules.listing import rule_named
from convdebug.rules.table import CAPTIONS
from convdebug_sessions import Session
from tests.rules.conftest import ILL, Trainings
from tests.rules.picture_figures import WIDTH, Sick
from tests.rules.picture_table import picture_of

PIXELS_WIDE = 720
COLOURS = 64


def draw(rule: str, session: Path, place: Path) -> None:
    """The picture of a rule's ailment in a session, written to `place`.

    Raises:
        UserError: the session is not diagnosed with it, or it has nothing to draw.
    """
    with Session.open(session) as opened:
        found = [each for each in diagnose(opened) if each.rule == rule]
        if not found:
            raise UserError(f"the sick run of {rule} is not diagnosed with it")
        run = opened.run(found[0].run)
        with board_settings():
            board = picture_of(rule).draw(Sick(opened, run, found[0], marks_of(opened, run, found[:1])))
            if board is None:
                raise UserError(f"the sick run of {rule} has nothing that its picture draws")
            write(board, place)


def write(board: Board, place: Path) -> None:
    """The board as a small PNG on white with few colours."""
    buffer = io.BytesIO()
    board.figure.savefig(buffer, format="png", dpi=72 * PIXELS_WIDE / WIDTH, facecolor="white")
    picture = Image.open(buffer).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(place, optimize=True)


def write_captions(folder: Path) -> None:
    """What each picture in the folder shows, for the page."""
    alts = {rule.name: picture_of(rule.name).alt for rule in RULES if (folder / f"{rule.name}.png").exists()}
    (folder / CAPTIONS).write_text(json.dumps(alts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    """Train, diagnose and draw the rules named, or all; pictures of rules that are gone are removed."""
    import torch

    torch.set_num_threads(1)
    folder = Path(arguments[0])
    names = [rule_named(name).name for name in arguments[1:]] or [rule.name for rule in RULES]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as sessions:
        trainings = Trainings(Path(sessions))
        for name in names:
            draw(name, trainings.of(ILL[name]), folder / f"{name}.png")
            print(folder / f"{name}.png")
    known = {rule.name for rule in RULES}
    for left in folder.glob("*.png"):
        if left.stem not in known:
            left.unlink()
    write_captions(folder)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print("usage: python -m tests.rules.pictures FOLDER [NAME …]", file=sys.stderr)
        sys.exit(2)
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(f"convdebug: {error}", file=sys.stderr)
        sys.exit(1)
