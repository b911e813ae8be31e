"""How much slower training is while other programs use the processor."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from charlstm import system
from charlstm.runs.contention import MOST_SLOWDOWN, Contention, ContentionMeter, compute_on_all_cores, probe_slowdown
from charlstm.runs.liveness import Heartbeat, HeartbeatRecord
from charlstm.runs.status import read_status
from charlstm.system import ProcessorTimes


class Times:
    """Processor times and a clock that a test sets."""

    def __init__(self) -> None:
        self.now, self.running, self.waiting, self.not_nice = 0.0, 0.0, 0.0, 0.0

    def meter(self) -> ContentionMeter:
        return ContentionMeter(lambda: ProcessorTimes(self.running, self.waiting, self.not_nice), lambda: self.now)

    def advance(self, seconds: float, running: float, waiting: float, not_nice: float = 0.0) -> None:
        self.now += seconds
        self.running += running
        self.waiting += waiting
        self.not_nice += not_nice


def slowdown(meter: ContentionMeter) -> float | None:
    found = meter.read()
    return None if found is None else found.slowdown


def test_meter_gives_time_on_and_off_the_processor_as_a_factor() -> None:
    times = Times()
    meter = times.meter()
    assert meter.read() is None  # nothing to compare with yet
    times.advance(1, 1.0, 1.0)
    assert slowdown(meter) == pytest.approx(2.0)


def test_meter_forgets_what_was_before_its_window() -> None:
    times = Times()
    meter = times.meter()
    meter.read()
    for _ in range(10):
        times.advance(1, 0.5, 1.5)
        meter.read()
    for _ in range(12):
        times.advance(1, 2.0, 0.0)
        found = slowdown(meter)
    assert found == 1.0


def test_meter_says_nothing_during_a_pause() -> None:
    times = Times()
    meter = times.meter()
    meter.read()
    times.advance(1, 0.001, 0.02)
    assert meter.read() is None


def test_meter_starts_again_when_a_thread_has_ended() -> None:
    times = Times()
    meter = times.meter()
    meter.read()
    times.advance(1, -5.0, -1.0)
    assert meter.read() is None
    assert meter.read() is None
    times.advance(1, 1.0, 0.0)
    assert slowdown(meter) == 1.0


@pytest.mark.parametrize(("niceness", "not_nice", "first"), [(10, 1.9, True), (0, 1.9, False), (10, 0.1, False)])
def test_meter_tells_whether_other_programs_go_first(
    niceness: int, not_nice: float, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They do if this process is nice and they are not, unlike another run in the background."""
    monkeypatch.setattr(system, "niceness", lambda: niceness)
    times = Times()
    meter = times.meter()
    meter.read()
    times.advance(1, 0.2, 1.8, not_nice)
    assert meter.read() == Contention(pytest.approx(10.0), first)  # type: ignore[arg-type]


def test_meter_knows_the_contention_since_its_first_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "niceness", lambda: 10)
    times = Times()
    meter = times.meter()
    assert meter.overall() is None
    meter.read()
    for _ in range(60):  # half of the work that it would have done alone
        times.advance(1, 0.5, 0.5, 1.5)
        meter.read()
    for _ in range(30):
        times.advance(1, 1.0, 0.0)
        meter.read()
    overall = meter.overall()
    assert overall is not None
    assert overall.slowdown == pytest.approx(1.5, abs=0.1)
    assert overall.others_first


def test_contention_is_told_in_one_sentence() -> None:
    assert Contention(1.2).describe() == ""
    assert Contention(math.nan).describe() == ""
    assert (
        Contention(2.1, True).describe()
        == "Other programs are using the processor and go first: training is about 2 times slower."
    )
    assert Contention(30.0).describe("was") == "Other programs used the processor: training was many times slower."


def test_meter_takes_the_load_average_where_the_system_does_not_tell_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "cpu_count", lambda: 2)
    monkeypatch.setattr("os.getloadavg", lambda: (6.0, 0.0, 0.0), raising=False)
    assert slowdown(ContentionMeter(lambda: None)) == 3.0
    monkeypatch.setattr("os.getloadavg", lambda: (0.5, 0.0, 0.0), raising=False)
    assert slowdown(ContentionMeter(lambda: None)) == 1.0
    monkeypatch.delattr("os.getloadavg", raising=False)  # Windows
    assert ContentionMeter(lambda: None).read() is None


def test_probe_computes_and_gives_a_factor() -> None:
    assert compute_on_all_cores(0.05) > 0.9


@pytest.mark.parametrize(("answer", "expected"), [("2.5\n", 2.5), ("0.98", 1.0), ("1e9", MOST_SLOWDOWN), ("no", None)])
def test_probe_reads_the_answer_of_its_process(
    answer: str, expected: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", f"print({answer!r})"]
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda argv, **options: run(command, **options))
    assert probe_slowdown() == expected


def test_probe_that_cannot_be_started_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert probe_slowdown() is None


def test_probe_measures_in_a_process_of_its_own() -> None:
    found = probe_slowdown()
    assert found is not None
    assert 1.0 <= found <= MOST_SLOWDOWN


def test_heartbeat_and_status_have_the_slowdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ContentionMeter, "read", lambda self: Contention(2.344, True))
    with Heartbeat(tmp_path / "heartbeat", HeartbeatRecord(state="starting"), interval=30) as heartbeat:
        heartbeat.update(state="running")
        status = read_status(tmp_path)
        assert (status.slowdown, status.others_first) == (2.34, True)
        assert "go first: training is about 2.5 times slower" in status.remark
        assert status.message == ""
        heartbeat.update(state="stopped")
    assert read_status(tmp_path).slowdown is None  # a run without a worker has none


def test_processor_times_grow_while_this_process_computes() -> None:
    before = system.processor_times()
    assert (before is not None) == (sys.platform == "linux")
    while before is not None and (now := system.processor_times()) is not None and now.running <= before.running:
        sum(range(10_000))
