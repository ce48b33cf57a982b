"""The page of the rules in the guide is what the rules say."""

from pathlib import Path

from PIL import Image

from convdebug.rules import RULES
from convdebug.rules.table import clinic_beside, main, page, pictures_beside

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rules.md"
PICTURES = PAGE.parent / "images" / "rules"


def test_the_page_in_the_guide_is_up_to_date():
    written = PAGE.read_text(encoding="utf-8")
    assert written == page(clinic_beside(PAGE), pictures_beside(PAGE)), (
        "run: python -m convdebug.rules.table docs/rules.md"
    )


def test_every_rule_has_its_place_with_severity_and_source():
    text = page({}, {})
    for rule in RULES:
        assert text.count(f"### {rule.name}\n") == 1
        assert rule.source in text
        assert f"[`{rule.name}`](#{rule.name}) | {', '.join(rule.severities)}" in text


def test_figures_of_the_clinic_stand_with_their_rule_where_they_are_there(tmp_path):
    (tmp_path / "clinic.json").write_text(
        '{"all": {"healthy_runs": 60}, "rules": {"dead-relu": {"runs": 6, "right_first": 5}}}'
    )
    main([str(tmp_path / "rules.md")])
    text = (tmp_path / "rules.md").read_text(encoding="utf-8")
    assert "In the clinic: healthy runs 60." in text
    assert "* *In the clinic.* runs 6, right first 5" in text.split("### dead-relu")[1].split("###")[0]
    assert "In the clinic" not in page({}, {})


def test_every_rule_has_its_picture_and_no_picture_is_left_of_a_rule_that_is_gone():
    drawn = {file.stem for file in PICTURES.glob("*.png")}
    assert drawn == {rule.name for rule in RULES}, "run: make rule-pictures"
    assert set(pictures_beside(PAGE)) == drawn


def test_pictures_are_small_and_all_of_one_width():
    for file in PICTURES.glob("*.png"):
        assert file.stat().st_size < 25_000
        with Image.open(file) as picture:
            assert picture.size == (720, 261), file.name


def test_a_picture_stands_under_the_heading_of_its_rule_where_its_file_is_there(tmp_path):
    folder = tmp_path / "images" / "rules"
    folder.mkdir(parents=True)
    (folder / "captions.json").write_text('{"dead-relu": "All units are silent.", "overfitting": "Two curves part."}')
    (folder / "dead-relu.png").write_bytes(b"")
    main([str(tmp_path / "rules.md")])
    text = (tmp_path / "rules.md").read_text(encoding="utf-8")
    assert "![All units are silent.](images/rules/dead-relu.png)" in text.split("### dead-relu")[1].split("###")[0]
    assert text.count("![") == 1
