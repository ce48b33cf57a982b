"""JUnit XML and CSV: what other programs read of a session."""

import csv as reading
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from convdebug.report import csv, junit
from convdebug_sessions import Recorder, Session, SessionError

DIAGNOSIS = {
    "rule": "initial-loss-off", "severity": "error", "title": "Initial loss off", "message": "loss is 9.1 & chance 2.3",
    "run": 1, "layer": None, "first_step": 0, "last_step": 0, "evidence": {"loss": "nan"}, "caused_by": None,
    "remedies": [{"text": "look at the <last> layer", "change": None, "proven": None}],
}  # fmt: skip
REPORT = {
    "target": "my \x00 net <1>",
    "session": "a.convdebug",
    "verdict": "fail",
    "checks": [
        {"id": "data", "status": "pass", "summary": "fine", "diagnoses": [], "seconds": 1.25},
        {"id": "initial-loss", "status": "fail", "summary": "9.1", "diagnoses": [DIAGNOSIS], "seconds": 0.5},
        {
            "id": "overfit-20",
            "status": "error",
            "summary": "RuntimeError: \x1b[31mboom",
            "diagnoses": [],
            "seconds": 0.0,
        },
        {"id": "lr-sweep", "status": "skip", "summary": "skipped: no rate", "diagnoses": [], "seconds": 0.0},
    ],
    "diagnoses": [DIAGNOSIS],
}


def test_junit_counts_failures_errors_and_skips(tmp_path):
    root = ET.parse(junit.write(REPORT, tmp_path / "checks.xml")).getroot()
    suite = root.find("testsuite")
    assert suite is not None
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["4", "1", "1", "1"]
    failure = root.find(".//testcase[@name='initial-loss']/failure")
    assert failure is not None
    assert failure.get("type") == "initial-loss-off"
    assert "look at the <last> layer" in (failure.text or "")
    assert root.find(".//testcase[@name='lr-sweep']/skipped") is not None


@pytest.fixture
def session(tmp_path):
    path = tmp_path / "run.convdebug"
    with Recorder.create(path) as recorder:
        first = recorder.start_run("train", "one")
        group = first.group(("train/loss", 'odd,"name'))
        group.append(0, (2.302585, 1.0))
        group.append(1, (math.nan, math.inf))
        first.group(("val/loss",)).append(1, (0.1,))
        first.finish()
        second = recorder.start_run("train", "two")
        second.group(("train/loss",)).append(0, (5.0,))
        second.finish()
    with Session.open(path) as session:
        yield session


def test_csv_holds_every_value_of_a_run_in_a_line_of_its_own(session, tmp_path):
    with csv.write(session, 1, tmp_path / "out.csv").open(newline="") as file:
        rows = list(reading.DictReader(file))
    assert len(rows) == 5
    assert rows[0] == {"run": "1", "step": "0", "series": "train/loss", "value": "2.302585"}
    assert [row["value"] for row in rows if row["series"] == 'odd,"name'] == ["1.0", "inf"]
    assert [row["value"] for row in rows if row["series"] == "val/loss"] == ["0.1"]


def test_csv_values_read_back_exactly_as_they_were_recorded(session, tmp_path):
    with csv.write(session, None, tmp_path / "out.csv").open(newline="") as file:
        rows = list(reading.DictReader(file))
    for run in (1, 2):
        texts = [row["value"] for row in rows if row["run"] == str(run) and row["series"] == "train/loss"]
        _, values = session.series("train/loss", run)
        assert np.array_equal(np.array(texts, np.float32).astype(float), values, equal_nan=True)


def test_csv_of_a_run_that_is_not_there_leaves_no_file(session, tmp_path):
    with pytest.raises(SessionError):
        csv.write(session, 9, tmp_path / "out.csv")
    assert not list(tmp_path.glob("out.csv*"))
