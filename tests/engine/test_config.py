"""RunConfig: files, --set, defaults from the catalogue, and one clear line for whatever is wrong."""

import subprocess
import sys

import pytest

from convdebug.config import RunConfig, live_keys, settings_schema
from convdebug.errors import UserError


def message(*sets: str) -> str:
    with pytest.raises(UserError) as caught:
        RunConfig.load(None, sets)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_config_and_catalogue_load_no_torch():
    code = (
        "import sys, convdebug.config, convdebug.catalogue, convdebug.catalogue.experiments;"
        "convdebug.config.settings_schema(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_setting_survives_a_toml_file(tmp_path):
    config = RunConfig.load(None, ["optimizer.lr=1e-6", 'data.root=a "quoted" \\ ü', "train.steps=7", "train.amp=true"])
    config.save(tmp_path / "run.toml")
    assert RunConfig.load(tmp_path / "run.toml") == config


def test_every_setting_survives_being_flat():
    config = RunConfig.load(None, ["model.name=ten-layer", "optimizer.name=adam"])
    assert RunConfig.of(config.flat()) == config == RunConfig.of(config.model_dump())


def test_set_comes_after_the_file_and_the_last_one_wins(tmp_path):
    (tmp_path / "run.toml").write_text("optimizer.lr = 0.5\n[model]\nname = 'two-layer'\n")
    config = RunConfig.load(tmp_path / "run.toml", ["optimizer.lr=0.1", "optimizer.lr=0.2"])
    assert (config.optimizer.lr, config.model.name) == (0.2, "two-layer")


def test_a_value_is_toml_or_else_text():
    config = RunConfig.load(None, ["data.root=/some/place", 'data.name="mnist"', "optimizer={lr=2, name='adam'}"])
    assert (config.data.root, config.data.name, config.optimizer.lr) == ("/some/place", "mnist", 2.0)


def test_settings_that_are_not_given_come_from_the_chosen_entries():
    assert RunConfig.load(None, ["optimizer.name=adam"]).optimizer.lr == 1e-3
    assert RunConfig.load(None, ["optimizer.name=adam", "optimizer.lr=0.5"]).optimizer.lr == 0.5
    assert RunConfig.load(None, ["model.name=ten-layer"]).model.hidden == 500
    assert RunConfig.load(None, ["model.name=vgg-bn"]).model.batch_norm == "before"


def test_a_change_keeps_what_was_given_and_lets_the_rest_follow_the_new_name():
    config = RunConfig.load(None, ["model.name=two-layer", "train.seed=3"])
    changed = config.changed(**{"model.name": "ten-layer"})
    assert (changed.model.hidden, changed.train.seed) == (500, 3)
    assert config.changed(**{"model.hidden": 7}).changed(**{"model.name": "ten-layer"}).model.hidden == 7


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("optimizer.lrr=1", ["optimizer.lrr", "nearest: optimizer.lr"]),
        ("lr=1", ["nearest: optimizer.lr"]),
        ("model.dropout=0.1", ["nearest: regularization.dropout"]),
        ("data=3", ["section"]),
        ("data.name=cifar11", ["data.name", "'cifar11'", "nearest: cifar10"]),
        ("model.name=vgg_bn", ["model.name", "'vgg_bn'", "nearest: vgg-bn"]),
        ("model.name=torchvision", ["model.name"]),
        ("model.activation=rellu", ["nearest: relu"]),
        ("model.init=xaver", ["nearest: xavier"]),
        ("optimizer.name=adamm", ["nearest: adam"]),
        ("schedule.name=cosin", ["nearest: cosine"]),
        ("data.preprocessing=center", ["nearest: zero-center"]),
        ("data.augmentation=crops", ["nearest: crop"]),
        ("optimizer.lr=fast", ["optimizer.lr", "'fast'", "number", "at least 0"]),
        ("optimizer.lr=-0.1", ["optimizer.lr", "-0.1", "at least 0"]),
        ("optimizer.lr=nan", ["optimizer.lr", "nan", "finite"]),
        ("optimizer.lr=inf", ["optimizer.lr", "inf", "finite"]),
        ("optimizer.lr=true", ["optimizer.lr", "True", "number"]),
        ("train.steps=1.5", ["train.steps", "1.5", "whole number", "at least 1"]),
        ("data.batch_size=0", ["data.batch_size", "at least 1"]),
        ("regularization.dropout=1", ["regularization.dropout", "below 1"]),
        ("train.device=cudaa", ["train.device", "nearest: cuda"]),
        ("data.download=maybe", ["data.download", "true or false"]),
        ("nonsense", ["KEY=VALUE"]),
    ],
)
def test_what_is_wrong_is_named_in_one_line(text, parts):
    said = message(text)
    for part in parts:
        assert part in said


def test_a_missing_file_names_the_nearest_one(tmp_path):
    (tmp_path / "run.toml").write_text("")
    with pytest.raises(UserError, match=r"runn.toml does not exist \(nearest: run.toml\)"):
        RunConfig.load(tmp_path / "runn.toml")


@pytest.mark.parametrize("content", [b"optimizer.lr = = 1", b"\xff\xfe\x00", b"[data\n"])
def test_a_broken_file_is_named(tmp_path, content):
    (tmp_path / "run.toml").write_bytes(content)
    with pytest.raises(UserError, match=r"run.toml is not .*TOML") as caught:
        RunConfig.load(tmp_path / "run.toml")
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_config(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        RunConfig.load(tmp_path)


def test_every_setting_has_title_description_default_and_says_whether_it_is_live():
    for key, field in settings_schema().items():
        assert {"title", "description", "default", "live", "type"} <= set(field), key


def test_four_settings_may_change_during_a_run():
    assert set(live_keys()) == {"optimizer.lr", "optimizer.momentum", "optimizer.weight_decay", "data.batch_size"}


def test_ranges_are_in_the_schema_also_of_settings_that_may_be_absent():
    schema = settings_schema()
    assert schema["optimizer.lr"]["minimum"] == 0
    assert schema["train.steps"]["minimum"] == 1
    assert schema["train.steps"]["type"] == ["integer", "null"]


def test_the_data_folder_comes_from_the_environment_when_not_given(monkeypatch, tmp_path):
    monkeypatch.setenv("CONVDEBUG_DATA", str(tmp_path))
    assert RunConfig().data.folder() == tmp_path
    assert str(RunConfig.of({"data.root": "elsewhere"}).data.folder()) == "elsewhere"
