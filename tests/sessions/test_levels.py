"""The pyramid and the drawings equal a slow, obvious twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convdebug_sessions import Recorder, Session


def values_with_gaps(count, seed, share=0.01):
    random = np.random.default_rng(seed)
    values = random.standard_normal((count, 2)).astype(np.float32)
    values[random.random((count, 2)) < share] = np.nan
    values[random.random((count, 2)) < share] = np.inf
    values[100:300] = -np.inf
    return values


def assert_buckets_are_true(session, name, buckets, steps, values):
    """Each bucket against the values of its steps, one by one."""
    assert buckets.first_step[0] <= steps[0]
    assert buckets.last_step[-1] >= steps[-1]
    assert (buckets.first_step[1:] > buckets.last_step[:-1]).all()
    firsts = np.searchsorted(steps, buckets.first_step)
    lasts = np.searchsorted(steps, buckets.last_step, "right")
    assert sum(lasts - firsts) == len(steps)
    for index, (first, last) in enumerate(zip(firsts, lasts, strict=True)):
        inside = values[first:last]
        good = inside[np.isfinite(inside)]
        assert buckets.bad[index] == len(inside) - len(good)
        expected = (good.min(), good.max(), good.mean()) if len(good) else (np.nan,) * 3
        found = (buckets.minimum[index], buckets.maximum[index], buckets.mean[index])
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5, nan_ok=True)


@pytest.mark.parametrize(("count", "gap"), [(1, 1), (4096, 1), (5000, 3), (140_000, 2), (300_001, 1)])
def test_buckets_equal_a_slow_twin_and_hide_no_nan(path, count, gap):
    steps, values = np.arange(count) * gap, values_with_gaps(count, count)
    with Recorder.create(path) as recorder:
        recorder.start_run("train").group(["train/loss", "train/lr"]).extend(steps, values)
    with Session.open(path) as session:
        for points in (7, 300):
            buckets = session.buckets("train/lr", points=points)
            assert len(buckets.mean) <= points + 1
            assert_buckets_are_true(session, "train/lr", buckets, steps, values[:, 1])
        assert np.array_equal(session.series("train/lr")[1], values[:, 1], equal_nan=True)
        edges, _, bad = session.heat(["train/loss", "train/lr"], columns=50)
        assert (bad.sum(axis=1) == (~np.isfinite(values)).sum(axis=0)).all()
        assert len(edges) == bad.shape[1] + 1


def test_a_growing_session_equals_the_finished_one(path):
    steps, values = np.cumsum(np.random.default_rng(1).integers(1, 5, 60_000)), values_with_gaps(60_000, 2)
    with Recorder.create(path) as recorder, Session.open(path) as growing:
        run = recorder.start_run("train")
        group = run.group(["train/loss", "train/lr"])
        for first in range(0, len(steps), 777):
            group.extend(steps[first : first + 777], values[first : first + 777])
            growing.refresh()
            known, seen = growing.series("train/loss")
            assert len(known) == min(first + 777, len(steps))
            assert np.array_equal(seen, values[: len(seen), 0], equal_nan=True)
        assert growing.run().steps == steps[-1] + 1
        live = (growing.buckets("train/loss", points=100), growing.heat(["train/loss", "train/lr"], columns=80))
        run.finish()
        recorder.close()
        with Session.open(path) as finished:
            done = (finished.buckets("train/loss", points=100), finished.heat(["train/loss", "train/lr"], columns=80))
    for one, other in zip(vars(live[0]).values(), vars(done[0]).values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    for one, other in zip(live[1], done[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


writes = st.lists(
    st.one_of(
        st.tuples(st.just("rows"), st.integers(0, 2), st.lists(st.floats(width=32), min_size=1, max_size=9)),
        st.tuples(st.just("event"), st.text(max_size=5), st.floats()),
        st.tuples(st.just("blob"), st.binary(max_size=40), st.integers(0, 9)),
        st.tuples(st.just("run"), st.text(max_size=5), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(writes)
def test_any_sequence_of_writes_reads_back(tmp_path_factory, sequence):
    path = tmp_path_factory.mktemp("any") / "run.convdebug"
    expected = [{"rows": {}, "events": [], "blobs": []}]
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train")
        for kind, first, second in sequence:
            here = expected[-1]
            if kind == "rows":
                kept = here["rows"].setdefault(f"series/{first}", [])
                for value in second:
                    run.group([f"series/{first}"]).append(len(kept), [value])
                    kept.append(value)
            elif kind == "event":
                run.event("thing", text=first, number=second)
                here["events"].append({"text": first, "number": second})
            elif kind == "blob":
                run.blob("bytes", second, first)
                here["blobs"].append((second, first))
            else:
                run = recorder.start_run("train", first)
                expected.append({"rows": {}, "events": [], "blobs": []})
    with Session.open(path) as session:
        assert len(session.runs) == len(expected)
        for run_found, here in zip(session.runs, expected, strict=True):
            assert set(session.series_names(run_found.id)) == set(here["rows"])
            for name, kept in here["rows"].items():
                assert np.array_equal(session.series(name, run_found.id)[1], kept, equal_nan=True)
            events = [event.data for event in session.events(run_found.id)]
            assert str(events) == str(here["events"])
            blobs = [(ref.step, session.read(ref)) for ref in session.blobs("bytes", run_found.id)]
            assert blobs == sorted(here["blobs"], key=lambda blob: blob[0])
