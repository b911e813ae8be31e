"""The log of a run, and the curves that are read from it."""

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import OtherFormatError, RunError
from charlstm.runs.log import EventLog, EventTail, lasting_events, read_events
from charlstm.runs.series import RunSeries, smooth
from charlstm.training.events import Controlled, Event, Finished, Paused, Resumed, Sampled, Warned, to_line
from faulty_disk import FaultyDisk, use_disk
from random_examples import examples
from recorded_run import log_events, started, stepped, validated


def warning(step: int) -> Event:
    return Warned(step=step, time=float(step), message=f"no. {step} – ünïcode 你好")


def test_events_are_read_as_written_each_once_however_they_arrive(tmp_path: Path) -> None:
    events = [warning(1), Sampled(step=2, time=2.0, prime="a", text="\x00\n\x1b[2J\ud800\u2028"), warning(3)]
    log_events(tmp_path / "events.jsonl", *events)
    assert list(read_events(tmp_path / "events.jsonl")) == events
    tail, seen = EventTail(tmp_path / "slow.jsonl"), []
    with (tmp_path / "slow.jsonl").open("wb", buffering=0) as file:
        for byte in (tmp_path / "events.jsonl").read_bytes():
            file.write(bytes([byte]))
            seen += tail.read()
    assert seen == events


def test_event_log_removes_an_incomplete_line_and_readers_skip_other_lines(tmp_path: Path) -> None:
    path, long = tmp_path / "events.jsonl", b"x" * 9_000_000
    path.write_bytes(to_line(warning(1)).encode() + b'\n{"event":"step"}\n\nnonsense\n' + long + b'\n{"event":"warn')
    tail = EventTail(path)
    assert [event.step for event in tail.read()] == [1]
    log_events(path, warning(2))
    assert [event.step for event in tail.read()] == [2]


def test_event_tail_reads_a_log_that_was_replaced_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(to_line(warning(step)) + "\n" for step in (1, 2)), encoding="utf-8")
    tail = EventTail(path)
    assert len(tail.read()) == 2
    path.write_text(to_line(warning(3)) + "\n", encoding="utf-8")
    assert [event.step for event in tail.read()] == [3]


def test_event_tail_refuses_a_newer_format(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps(json.loads(to_line(started())) | {"format": 2}) + "\n")
    tail = EventTail(path)
    for _ in range(2):  # and goes on saying so to who follows the log
        with pytest.raises(OtherFormatError, match="newer charlstm"):
            tail.read()


def test_missing_log_has_no_events_and_an_unreadable_one_is_one_sentence(tmp_path: Path) -> None:
    assert EventTail(tmp_path / "none").read() == []
    with pytest.raises(RunError, match="cannot be read"):
        EventTail(tmp_path).read()


def test_torn_line_that_cannot_be_removed_at_once_is_removed_before_the_next_line(tmp_path: Path) -> None:
    """Else the next event would be appended to the torn line, and readers skip such a line."""
    log = EventLog(tmp_path / "events.jsonl")
    log.append(warning(1))
    with use_disk(FaultyDisk(0, half=True, again=True)):
        for _ in range(2):
            with pytest.raises(OSError, match="space"):
                log.append(warning(2))
    for step in (2, 3):
        log.append(warning(step))
    log.close()
    assert [event.step for event in read_events(tmp_path / "events.jsonl")] == [1, 2, 3]


# ---- series


def life(steps: range) -> list[Event]:
    """What a deterministic run logs in ``steps``."""
    events: list[Event] = []
    for step in steps:
        value = 3 - step * 0.01 + 0.1 * math.sin(step)
        events.append(stepped(step, value))
        if step % 5 == 0:
            events += [validated(step, value + 0.1), Sampled(step=step, time=step, prime="a", text=f"text {step}")]
    return events


def picture(series: RunSeries) -> Any:
    """All that a chart would show."""
    names = ("train", "validation", "lr", "grad_norm", "speed")
    curves = [series.points(name, axis) for name, axis in product(names, ("step", "seconds"))]
    return (
        [(curve.x.tolist(), curve.y.tolist()) for curve in curves], [sample.text for sample in series.samples],
        [(each.step, each.loss) for each in series.validations], series.step, series.best_val, series.planned_steps,
    )  # fmt: skip


@examples(40)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6))
def test_series_of_a_killed_and_resumed_run_equals_the_uninterrupted_one(accidents: list[tuple[int, int]]) -> None:
    whole = RunSeries.of([started(), *life(range(31))])
    log: list[Event] = [started(planned_steps=9), *life(range(12)), started()]  # killed before its first checkpoint
    done = 0
    for reached, checkpoint in accidents:
        reached = max(reached, done)
        log += [*life(range(done, reached + 1)), Resumed(step=min(checkpoint, reached), time=0.0)]
        done = min(checkpoint, reached) + 1
    log += life(range(done, 31))
    assert picture(RunSeries.of(log)) == picture(whole)


def test_copy_is_not_changed_by_later_events() -> None:
    series = RunSeries.of([started(), *life(range(10))])
    twin, before = series.copy(), picture(series)
    series.feed([*life(range(10, 20)), Controlled(step=20, id="a", command="checkpoint")])
    assert (picture(twin), twin.handled) == (before, set())
    assert (series.step, series.handled) == (20, {"a"})


def test_resume_removes_the_end() -> None:
    end = Finished(step=20, reason="done", loss=2.0, best_step=20, train_seconds=10.0, best_whole=True)
    warned = Warned(step=20, message="The loss is an estimate")
    series = RunSeries.of([started(), *life(range(21))])
    assert not series.best_whole
    series.feed([validated(20, 2.5, whole=True), warned, end])
    assert (series.finished, series.best_val, series.best_whole, series.seconds_left()) == (end, 2.0, True, None)
    assert (series.best_point(), series.warnings) == ((20.0, 2.0), [warned])  # not the loss of the slices
    series.feed([Resumed(step=20, time=21.0, planned_steps=200, changes="epochs 1.0 → 2.0", changed=("epochs",))])
    assert (series.finished, series.planned_steps, series.step, series.best_whole) == (None, 200, 20, False)
    assert (len(series.inexact), series.warnings) == (1, [])


def test_wait_for_the_disk_after_the_final_validation_removes_nothing() -> None:
    waited = [Paused(step=20, reason="nothing can be written"), Resumed(step=20, planned_steps=20)]
    events = [started(), *life(range(21)), validated(20, 2.5, whole=True), *waited]
    assert RunSeries.of(events).validations[-1].whole
    assert lasting_events(events) == events
    events[-1] = Resumed(step=20, planned_steps=20, device="cpu")  # by another process, which validates again
    assert not RunSeries.of(events).validations[-1].whole
    assert len(lasting_events(events)) == len(events) - 1


def test_values_that_are_not_finite_are_gaps() -> None:
    broken = stepped(3)
    object.__setattr__(broken, "lr", "1e400")
    object.__setattr__(broken, "train_seconds", None)
    series = RunSeries.of([started(), stepped(1, 2.0), stepped(2, math.nan), broken, stepped(4, 1.0)])
    assert np.isnan(series.points("train").y).tolist() == [False, True, False, False]
    assert np.isnan(series.points("lr").y).tolist() == [False, False, True, False]
    assert (np.diff(series.points("train", "seconds").x) >= 0).all()


def test_seconds_left_follows_the_recent_speed_without_pauses_whatever_the_clock_is_set_to() -> None:
    series = RunSeries.of([started(), *(stepped(step, time=step + 1e9 * (step % 3)) for step in range(1, 51))])
    assert series.seconds_left() == pytest.approx(50)
    series.feed([Paused(step=50, time=50.0), Resumed(step=50, time=5000.0)])
    series.feed([stepped(51, time=5002.0, worked=52.0), stepped(52, time=5004.0, worked=54.0)])
    assert (series.seconds_left(), series.progress()) == pytest.approx((48 * 2, 0.52))
    assert (RunSeries().seconds_left(), RunSeries().progress()) == (None, None)


def test_seconds_left_is_at_most_what_the_time_limit_leaves() -> None:
    """A run of ten minutes said "left 12:06": it was slower than planned, and its end had not been moved yet."""
    series = RunSeries.of([started(planned_steps=10_000, max_minutes=10.0), *(stepped(step) for step in range(1, 51))])
    assert series.seconds_left() == pytest.approx(550)
    series.feed([Controlled(step=50, id="a", command="more", value=10_000.0, minutes=2.0)])
    assert series.seconds_left() == pytest.approx(670)
    series.feed([stepped(800)])
    assert series.seconds_left() == 0
    series.feed([Resumed(step=800, max_minutes=15.0), stepped(801), stepped(802)])
    assert series.seconds_left() == pytest.approx(98)
    series.feed([Resumed(step=802), stepped(803), stepped(804)])  # the limit is lifted
    assert series.seconds_left() == pytest.approx(10_050 - 804)


def test_smooth_is_a_weighted_mean_of_all_values_so_far_and_leaves_gaps() -> None:
    assert smooth([1.0, 2.0], 0).tolist() == [1.0, 2.0]
    weighted = [1.0, math.nan, (0.5 + 4) / 1.5, (0.25 + 2 + 2) / 1.75]
    np.testing.assert_allclose(smooth([1.0, math.nan, 4.0, 2.0], 0.5), weighted)
    for weight in (-0.1, 1.0, math.nan):
        with pytest.raises(ValueError, match="smoothing takes"):
            smooth([1.0], weight)


def test_progress_and_time_left_include_the_final_validation() -> None:
    """ "100 %, left 0:00" was shown for the 34 s that a final validation took."""
    # 600 characters to validate at 1.2 times the speed of training, 100 characters a step: five steps
    series = RunSeries.of([started(train_chars=1000, steps_per_epoch=10, val_chars=600), stepped(50), stepped(100)])
    assert (series.progress(), series.seconds_left(), series.progress(0.4)) == pytest.approx((100 / 105, 5, 102 / 105))
    series.feed([Finished(step=100, reason="done", loss=1.0, best_step=100, train_seconds=50.0, work_seconds=107.0)])
    assert (series.progress(), series.seconds_left(), series.work_seconds) == (1.0, None, 107.0)
    # of a run of 100 steps that ends by the clock ten may be spent on it: where it would take eleven, eight are
    timed = started(train_chars=1000, steps_per_epoch=10, val_chars=1320, limit="max_minutes")
    assert RunSeries.of([timed, stepped(50), stepped(100)]).seconds_left() == pytest.approx(8)


def test_last_validation_is_the_best_one_where_the_end_measured_that_again() -> None:
    series = RunSeries.of([started(), validated(0, 4.0), stepped(10, 1.2), validated(10, 0.997)])
    assert series.val_loss == 0.997
    ended = Finished(step=10, reason="done", loss=1.039, best_step=10, train_seconds=60.0, best_whole=False)
    series.feed([ended])
    assert (series.val_loss, series.best_val) == (1.039, 1.039)
    other = RunSeries.of([started(), validated(5, 1.0), stepped(10, 1.2), validated(10, 1.2), ended])
    other.feed([Finished(step=10, reason="done", loss=1.01, best_step=5, train_seconds=60.0, best_whole=False)])
    assert other.val_loss == 1.2
    # what the end measured on the whole part is of the best model, here that of step 0
    none = RunSeries.of([started(), validated(0, 1.155), validated(5, 1.212), validated(5, 1.154, whole=True)])
    none.feed([Finished(step=5, reason="done", loss=1.154, best_step=0, train_seconds=60.0, best_whole=True)])
    assert (none.val_loss, none.val_whole, none.best_val) == (1.212, False, 1.154)
