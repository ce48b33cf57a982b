"""The form of a run against the schema of the real engine: complaints while typing, arguments, files, live changes."""

import pytest
from PyQt6.QtCore import Qt

from convdebug_gui.engine_process import Ending, EngineProcess
from convdebug_gui.fields import as_toml, fields, from_toml, key_in, parse, shown
from convdebug_gui.run_form import RunForm


@pytest.fixture
def form(qtbot, look, engine_words):
    form = RunForm(engine_words)
    qtbot.addWidget(form)
    form.resize(280, 800)
    form.show()
    return form


def write(qtbot, form, key, text):
    editor = form.rows[key].editor
    editor.selectAll()
    qtbot.keyClicks(editor, text)


def test_every_setting_of_the_engine_has_a_field(form, engine_words):
    assert list(form.rows)
    assert set(form.rows) == {field.key for field in fields(engine_words["schema"])}
    assert {"optimizer.lr", "optimizer.momentum", "optimizer.weight_decay", "data.batch_size"} <= {
        key for key, row in form.rows.items() if row.field.live
    }
    assert form.valid
    assert form.arguments() == []


@pytest.mark.parametrize(
    ("key", "text", "complaint"),
    [
        ("optimizer.lr", "fast", "not a number"),
        ("optimizer.lr", "0,01", "use a point, not a comma"),
        ("optimizer.lr", "-1", "must be at least 0"),
        ("optimizer.momentum", "1", "must be below 1"),
        ("data.batch_size", "1.5", "must be a whole number"),
        ("data.batch_size", "0", "must be at least 1"),
        ("optimizer.lr", "inf", "must be a finite number"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field_while_typing(qtbot, form, key, text, complaint):
    write(qtbot, form, key, text)
    row = form.rows[key]
    assert row.error.isVisible()
    assert row.error.text() == complaint
    assert not form.valid
    assert form.problems == {key: complaint}
    write(qtbot, form, key, shown(row.field.default))
    assert form.valid
    assert not row.error.isVisible()


def test_an_unknown_model_gets_the_nearest_name(form):
    form.rows["model.name"].editor.setCurrentText("vgbn")
    assert "did you mean vgg-bn?" in form.rows["model.name"].error.text()
    form.rows["model.name"].editor.setCurrentText("torchvision:resnet18")
    assert form.valid


def test_arguments_name_what_was_changed_and_nothing_else(qtbot, form):
    write(qtbot, form, "optimizer.lr", "0.05")
    form.rows["model.name"].editor.setCurrentText("two-layer")
    assert form.arguments() == ["--set", "model.name=two-layer", "--set", "optimizer.lr=0.05"]


def test_fields_left_alone_follow_the_chosen_optimizer(form, engine_words):
    adam = next(entry for entry in engine_words["catalogue"]["optimizers"] if entry["name"] == "adam")
    form.rows["optimizer.name"].editor.setCurrentText("adam")
    assert form.rows["optimizer.lr"].value == adam["settings"]["optimizer.lr"]
    assert "optimizer.lr" not in form.values()
    assert not form.rows["optimizer.beta1"].isHidden()
    form.rows["optimizer.name"].editor.setCurrentText("sgd")
    assert form.rows["optimizer.beta1"].isHidden()


def test_a_saved_form_is_loaded_as_it_was(qtbot, form, tmp_path):
    write(qtbot, form, "optimizer.lr", "0.0003")
    form.rows["train.amp"].editor.setChecked(True)
    form.save_file(str(tmp_path / "RUN.toml"))
    values = form.values()
    form.reset()
    assert form.values() == {}
    form.load_file(str(tmp_path / "RUN.toml"))
    assert form.values() == values == {"optimizer.lr": 0.0003, "train.amp": True}


def test_a_broken_file_is_told_in_one_line(form, tmp_path):
    (tmp_path / "RUN.toml").write_text("[optimizer\nlr = 1")
    form.load_file(str(tmp_path / "RUN.toml"))
    assert form.message.text().startswith("RUN.toml: not a TOML file")
    form.load_file(str(tmp_path / "none.toml"))
    assert "No such file" in form.message.text()
    (tmp_path / "RUN.toml").write_text("[optimizer]\nspeed = 1")
    form.load_file(str(tmp_path / "RUN.toml"))
    assert form.message.text() == "unknown here: optimizer.speed"


def test_the_line_of_the_real_engine_stands_beside_the_field_it_names(qtbot, form):
    engine = EngineProcess()
    with qtbot.waitSignal(engine.finished, timeout=30_000) as ended:
        engine.start(["train", "--set", "data.limit=0"])
    assert ended.args[0].ending == Ending.BAD_INPUT
    form.show_engine_line(ended.args[0].line)
    row = form.rows["data.limit"]
    assert row.error.isVisible()
    assert "data.limit" in row.error.text()
    row.editor.setText("100")
    assert not row.error.isVisible()


def test_while_a_run_goes_on_only_live_fields_can_be_changed_and_are_told_on_enter(qtbot, form):
    form.set_live(True)
    assert not form.rows["model.name"].isEnabled()
    assert form.rows["optimizer.lr"].isEnabled()
    write(qtbot, form, "optimizer.lr", "0.002")
    with qtbot.waitSignal(form.live_change) as told:
        qtbot.keyClick(form.rows["optimizer.lr"].editor, Qt.Key.Key_Return)
    assert told.args == ["optimizer.lr", 0.002]


def test_with_a_target_only_what_is_read_beside_it_can_be_set(form, tmp_path):
    (tmp_path / "mine.py").write_text("def make_target(): ...\n")
    form.rows["optimizer.lr"].editor.setText("0.3")
    form.target.line.setText(f"{tmp_path / 'mine.py'}:make_target")
    form.rows["train.epochs"].editor.setText("7")
    assert {key.partition(".")[0] for key, row in form.rows.items() if not row.isHidden()} == {"train", "watch"}
    assert form.arguments()[2:] == ["--set", "train.epochs=7"]
    form.set_live(True)
    assert not form.rows["optimizer.lr"].isHidden()
    form.set_live(False)
    form.target.clear()
    assert not form.rows["optimizer.lr"].isHidden()
    assert "optimizer.lr=0.3" in form.arguments()


def test_a_target_is_read_as_text_and_never_run(form, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("raise SystemExit('run!')\ndef net(): ...\ndef make_target(): ...\n")
    form.target.choose_file(str(file))
    assert form.target.text == f"{file}:make_target"
    assert form.valid
    assert form.arguments()[:2] == ["--target", f"{file}:make_target"]
    form.target.line.setText(f"{file}:make_targe")
    assert form.target.problem == "mine.py has no function make_targe; did you mean make_target?"
    form.target.line.setText(str(tmp_path / "none.py:f"))
    assert form.target.problem.startswith("no such file")
    form.target.line.setText(str(file))
    assert form.target.problem == "needs a function: file.py:function"
    assert not form.valid


def test_everything_can_be_reached_and_is_named(form):
    for row in form.rows.values():
        assert row.editor.accessibleName()
        assert row.editor.toolTip()
        assert row.editor.focusPolicy() & Qt.FocusPolicy.TabFocus


def test_values_survive_the_way_to_toml_and_back(engine_words):
    values = {"optimizer.lr": 1e-7, "model.name": 'a "b"', "train.amp": True, "train.steps": 10}
    assert from_toml(as_toml(values)) == values
    by_key = {field.key: field for field in fields(engine_words["schema"])}
    for text in ("1e-7", "0.001", "3", "0.5"):
        assert parse(by_key["optimizer.lr"], shown(parse(by_key["optimizer.lr"], text))) == float(text)


def test_the_key_that_a_line_names_first_gets_it():
    keys = ["data.download", "data.root"]
    assert key_in("no CIFAR-10 there; set data.root, or allow --set data.download=true", keys) == "data.root"


def test_the_longest_key_in_a_line_wins():
    assert key_in("model.init_std is -1", ["model.init", "model.init_std"]) == "model.init_std"
    assert key_in("nothing of ours", ["model.init"]) is None
