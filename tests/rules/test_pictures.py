"""The tool that draws the sick runs of the rules for the guide."""

import json

import numpy as np
import pytest
from PIL import Image

from convdebug.errors import UserError
from convdebug.rules import RULES
from tests.rules.picture_table import PICTURES
from tests.rules.pictures import draw, main


def test_every_figure_belongs_to_a_rule_and_says_what_it_shows():
    assert set(PICTURES) <= {rule.name for rule in RULES}
    assert all(picture.alt.endswith(".") for picture in PICTURES.values())
    assert not any(mark in picture.alt for picture in PICTURES.values() for mark in "[]\n")


def test_a_sick_run_is_drawn_the_same_each_time_and_what_is_left_of_other_rules_goes(tmp_path):
    (tmp_path / "a-rule-that-is-gone.png").write_bytes(b"")
    drawn = []
    for _ in range(2):
        main([str(tmp_path), "device-idle"])
        drawn.append((tmp_path / "device-idle.png").read_bytes())
    assert drawn[0] == drawn[1]
    assert [file.name for file in tmp_path.glob("*.png")] == ["device-idle.png"]
    assert list(json.loads((tmp_path / "captions.json").read_text(encoding="utf-8"))) == ["device-idle"]
    with Image.open(tmp_path / "device-idle.png") as picture:
        dark = np.asarray(picture.convert("L")) < 200
    assert 0.02 < dark.mean() < 0.6


def test_a_run_without_the_ailment_is_not_drawn_as_one_that_has_it(tmp_path, written, synthetic):
    healthy = written({"train/loss": synthetic.falling(60)})
    with pytest.raises(UserError, match="sick run of dead-relu is not diagnosed with it"):
        draw("dead-relu", healthy, tmp_path / "dead-relu.png")
