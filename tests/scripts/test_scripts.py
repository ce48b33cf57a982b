"""User scripts under `convdebug run`: a few in the suite, all of them by `make scripts`."""

from dataclasses import replace

import pytest
import torch

from convdebug_sessions import Recorder
from tests.scripts.corpus import HEALTHY, SCRIPTS, script_named
from tests.scripts.harness import NOTHING_SEEN, Ended, differences, misread, missing, read_session, saved_weights
from tests.scripts.prove import prove_healthy, prove_sick
from tests.scripts.twins import TWINS, sick_code

IN_SUITE = ("accumulate", "exit_three")
SICK_IN_SUITE = ("forgot_zero_grad", "column_against_row")
ENDED = Ended(0, "epoch 1\nepoch 2\n", "", {"final.pt/weight": b"abc", "final.pt/bias": b"d"})


@pytest.mark.parametrize("name", IN_SUITE)
def test_a_watched_script_leaves_the_same_weights_and_is_found_healthy(name, tmp_path):
    seen, wrong = prove_healthy(script_named(name), tmp_path)
    assert wrong == []
    assert seen.steps > 50


@pytest.mark.parametrize("name", SICK_IN_SUITE)
def test_a_sick_twin_gets_the_right_first_diagnosis(name, tmp_path):
    seen, wrong = prove_sick(next(twin for twin in TWINS if twin.name == name), tmp_path)
    assert wrong == []
    assert seen.loss


def test_every_script_of_the_folder_is_in_the_table_once():
    sources = [script.source for script in SCRIPTS]
    assert sorted(sources) == sorted(path for path in HEALTHY.iterdir() if path.name != "__pycache__")
    assert len({script.name for script in SCRIPTS}) == len(SCRIPTS)


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name)
def test_a_sick_twin_differs_from_its_healthy_script_and_is_python(twin):
    healthy = twin.healthy.source
    path = healthy / twin.healthy.code if healthy.is_dir() else healthy
    code = sick_code(twin)
    assert code != path.read_text()
    compile(code, twin.name, "exec")


def test_a_change_that_does_not_fit_its_script_is_an_error():
    astray = replace(TWINS[0], changes=(("no such line", ""),))
    with pytest.raises(ValueError, match=r"'no such line' occurs 0 times in sequential_mlp"):
        sick_code(astray)


def test_a_script_that_ends_alike_shows_no_difference():
    assert differences(ENDED, replace(ENDED, stderr="convdebug: recording")) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"exit_code": 3, "stderr": "Traceback\nValueError: no\n"}, "exit code 3 instead of 0: ValueError: no"),
        ({"stdout": "epoch 1\nepoch 3\n"}, "stdout differs: 'epoch 3' instead of 'epoch 2'"),
        ({"stdout": "epoch 1\n"}, "stdout differs: 1 lines instead of 2"),
        ({"weights": ENDED.weights | {"final.pt/bias": b"e"}}, "1 of 2 saved tensors differ, first final.pt/bias"),
        ({"weights": {}}, "2 of 2 saved tensors differ, first final.pt/weight"),
    ],
)
def test_what_watching_changed_is_said_in_words(change, said):
    assert differences(ENDED, replace(ENDED, **change)) == [said]


def test_saved_weights_differ_by_a_single_bit_and_by_their_type(tmp_path):
    weight = torch.ones(3)
    kept = {}
    for name, tensor in {
        "one": weight,
        "same": weight.clone(),
        "next": weight.nextafter(weight + 1),
        "double": weight.double(),
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        torch.save({"model": {"w": tensor}, "epoch": 3}, folder / "final.pt")
        kept[name] = saved_weights(folder)
    assert list(kept["one"]) == ["final.pt/model/w"]
    assert kept["one"] == kept["same"]
    assert kept["one"] != kept["next"]
    assert kept["one"] != kept["double"]


def test_a_session_without_validation_and_with_a_crash_is_not_what_a_healthy_script_leaves(tmp_path):
    path = tmp_path / "run.convdebug"
    with Recorder.create(path) as recorder:
        run = recorder.start_run("watch")
        run.group(("train/loss",)).extend(range(40), [[2.0 / (step + 1)] for step in range(40)])
        run.event("note", 3, text="the model was seen late")
        run.finish("crashed", "ValueError: no")
    seen = read_session(path)
    assert (seen.loss, seen.validation, seen.steps) == (True, False, 40)
    assert seen.notes == ("the model was seen late",)
    assert missing(SCRIPTS[0], seen) == ["no validation found", "runs ended as crashed"]


def test_a_script_that_left_no_session_is_said_to_have_shown_nothing(tmp_path):
    wrong = missing(SCRIPTS[0], read_session(tmp_path / "none.convdebug"))
    assert wrong == ["no loss found", "no validation found", "runs ended as nothing"]


@pytest.mark.parametrize(
    ("loss", "accuracy", "wrong"),
    [(0.41639, 0.8936, []), (0.4171, 0.8936, ["val/loss"]), (0.41639, 0.8929, ["val/accuracy"])],
)
def test_a_recorded_number_must_be_the_one_that_the_script_printed(loss, accuracy, wrong):
    seen = replace(NOTHING_SEEN, last={"val/loss": loss, "val/accuracy": accuracy})
    script = replace(SCRIPTS[0], prints=("val/loss", "val/accuracy"))
    said = misread(
        script, seen, "epoch 1: val 0.4171\n" + "\n" * 6 + "epoch 2: val 0.416, accuracy 89.36%\nsaved in 3.5 s\n"
    )
    assert [line.split()[0] for line in said] == wrong
