"""The HTML report: whole pages from real sessions, healthy, hostile, empty, cut off and huge."""

import math
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from convdebug.report import html
from convdebug_sessions import Diagnosis, Recorder, Remedy, Session

HOSTILE = "<script>alert('x')</script>$\\frac{$&\"'</svg><img src=http://evil.example/x>"
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags in order, texts, and whether every tag that was opened was closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def values(self, name: str) -> list[str]:
        return [value or "" for key, value in self.attributes if key == name]


def record_training(recorder: Recorder, layers=("conv1", "conv2", "fc"), steps=200, nan_at=(), name="a net"):
    run = recorder.start_run("train", name, config={"optimizer": {"lr": 0.1}}, info={"target": name, "device": "cpu"})
    loss = run.group(("train/loss", "train/lr"))
    validation = run.group(("val/loss", "val/accuracy"))
    more = run.group(
        [f"activation/{layer}/{what}" for layer in layers for what in ("mean", "std")]
        + [f"gradient/{layer}.weight/norm" for layer in layers]
        + [f"update/{layer}.weight/ratio" for layer in layers]
        + ["train/accuracy"]
    )
    for step in range(steps):
        value = math.nan if step in nan_at else 2.3 * math.exp(-step / 60)
        loss.append(step, (value, 0.1))
        more.append(step, [0.0, 1.0] * len(layers) + [value] * len(layers) + [value / 1000] * len(layers) + [0.5])
        if step % 50 == 49:
            validation.append(step, (value + 0.1, 0.4))
    histogram = np.concatenate([[-2, 2], np.arange(64)]).astype(np.float32)
    run.blob("activation-histograms", steps - 1, np.stack([histogram] * len(layers)), names=layers)
    run.blob(
        "filters", steps - 1, np.random.default_rng(0).normal(size=(8, 3, 5, 5)).astype(np.float32), name=layers[0]
    )
    run.blob("fixed-batch", 0, np.zeros((4, 8, 8, 3), np.uint8), names=["cat", "dog", name, "cow"])
    run.blob("predictions", steps - 1, np.full((4, 3, 2), 0.3, np.float32))
    return run


def record_check(recorder: Recorder, id="overfit-20", status="pass", summary="cost 0.0093 with accuracy 1.00"):
    run = recorder.start_run("check", id)
    group = run.group(("train/loss",))
    for step in range(30):
        group.append(step, (math.exp(-step),))
    run.event("check", None, id=id, status=status, summary=summary, measured={"cost": 0.0093, "trials": [{"lr": 1}]},
              expected={}, diagnoses=[], seconds=1.5)  # fmt: skip
    run.finish()
    return run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.convdebug"


def written(path: Path) -> tuple[str, Page]:
    with Session.open(path) as session:
        text = html.write(session, path.with_suffix(".html")).read_text(encoding="utf-8")
    return text, Page(text)


def test_a_whole_session_becomes_one_page_without_a_single_request(path):
    with Recorder.create(path) as recorder:
        record_check(recorder)
        record_training(recorder, nan_at=(120, 121)).finish()
    text, page = written(path)
    assert "://" not in text
    assert "script" not in page.tags
    assert all(value.startswith("data:image/png;base64,") for value in page.values("src"))
    assert all(value.startswith(("#", "data:image/png")) for value in page.values("href"))
    assert not re.search(r"@import|url\((?!#)", text)
    assert page.tags.count("svg") == 6


def test_every_id_of_the_page_is_its_own_and_every_reference_is_met(path):
    with Recorder.create(path) as recorder:
        for _ in range(2):
            record_training(recorder).finish()
    text, page = written(path)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r"url\(#([^)]+)\)", text)) | {v[1:] for v in page.values("href") if v.startswith("#")}
    assert wanted
    assert wanted <= set(ids)


def test_hostile_names_and_texts_arrive_as_text(path):
    with Recorder.create(path) as recorder:
        record_check(recorder, summary=HOSTILE)
        run = record_training(recorder, layers=(HOSTILE, "$x_{$", "fc"), name=HOSTILE)
        run.event("crash", 3, type=HOSTILE, message=HOSTILE, traceback=HOSTILE)
        run.finish("crashed", HOSTILE)
    with Session.open(path) as session:
        remedy = Remedy(HOSTILE, {HOSTILE: HOSTILE})
        found = Diagnosis(HOSTILE, "error", HOSTILE, HOSTILE, run.id, HOSTILE, 1, 2, {HOSTILE: 1.0}, None, (remedy,))
        session.write_diagnoses(run.id, [found])
    text, page = written(path)
    assert "script" not in page.tags
    assert "<img src=http" not in text
    assert HOSTILE in "".join(page.texts)


def test_the_cause_stands_first_and_its_consequence_within_it(path):
    with Recorder.create(path) as recorder:
        run = record_training(recorder)
        run.finish()
    with Session.open(path) as session:
        root = Diagnosis("learning-rate-too-high", "error", "Rate too high", "the cause", run.id, first_step=10)
        then = Diagnosis("loss-diverged", "error", "Loss diverged", "it follows", run.id, caused_by=root.rule)
        session.write_diagnoses(run.id, [root, then])
    text, _ = written(path)
    assert text.index("the cause") < text.index('class="consequences"') < text.index("it follows")
    assert text.index("<h1>Rate too high</h1>") < text.index("<svg")


def test_an_empty_session_says_that_nothing_is_recorded(path):
    Recorder.create(path).close()
    text, _ = written(path)
    assert "Nothing recorded yet" in text


def test_a_session_of_checks_alone_shows_their_table_and_verdict(path):
    with Recorder.create(path) as recorder:
        record_check(recorder)
        record_check(recorder, "initial-loss", "error", "RuntimeError: boom")
        record_check(recorder, "initial-loss", "fail", "the loss at the start is 9.0")
    text, _ = written(path)
    assert "<h1>Check initial-loss failed</h1>" in text
    assert "1 of 2 checks passed" in text
    assert "boom" not in text


def test_a_run_that_is_all_nan_still_has_its_page(path):
    with Recorder.create(path) as recorder:
        record_training(recorder, nan_at=range(200)).finish()
    _, page = written(path)
    assert page.tags.count("svg") >= 3


def test_a_run_without_a_single_step_says_so(path):
    with Recorder.create(path) as recorder:
        recorder.start_run("train", "nothing").finish("crashed", "out of memory")
    text, _ = written(path)
    assert "Nothing was measured in this run." in text
    assert "out of memory" in text


def test_a_growing_session_can_be_reported_on(path):
    with Recorder.create(path) as recorder:
        run = record_training(recorder)
        run.flush()
        text, _ = written(path)
    assert "still running" in text


def test_the_sweep_is_drawn_with_what_it_suggests(path):
    trials = [
        {"lr": rate, "seed": seed, "status": "ok" if rate < 1 else "diverged", "first_loss": 2.3,
         "last_loss": math.inf if rate >= 1 else 2.0 - rate}
        for rate in (0.001, 0.01, 0.1, 1.0) for seed in (0, 1)
    ]  # fmt: skip
    with Recorder.create(path) as recorder:
        run = recorder.start_run("sweep", "lr-sweep")
        run.event(
            "sweep", None, trials=trials, suggestion={"lr": 0.1, "low": 0.01, "high": 0.1, "why": "it falls most"}
        )
        run.finish()
    text, page = written(path)
    assert page.tags.count("svg") == 1
    assert "it falls most" in text


def test_a_long_session_is_drawn_from_the_pyramid_in_a_few_seconds(path):
    steps = np.arange(1_000_000)
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train", "long")
        names = ["train/loss", *(f"gradient/l{index}.weight/norm" for index in range(10))]
        run.group(names).extend(steps, np.random.default_rng(0).random((len(steps), len(names)), dtype=np.float32))
        run.finish()
    began = time.perf_counter()
    text, _ = written(path)
    assert time.perf_counter() - began < 10
    assert len(text) < 1_000_000
