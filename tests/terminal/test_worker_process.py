"""The real worker in its own process: started, controlled, killed and resumed through the folder alone."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pexpect
import pytest

from charlstm import system
from charlstm.errors import RunError
from charlstm.fields import plain
from charlstm.runs.contention import BACKGROUND_NICENESS
from charlstm.runs.control import send_command
from charlstm.runs.folder import Run, find_run, known_runs
from charlstm.runs.launch import NewRun, create_new_run, launch, resume_run
from charlstm.runs.log import EventTail, read_events
from charlstm.runs.series import RunSeries
from charlstm.runs.store import load_state
from charlstm.runs.worker import run_foreground
from charlstm.training.events import Controlled
from killed_runs import BOTTLES, PLAN, SETTINGS, STEPS, differences

pytestmark = [pytest.mark.terminal, pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]

TIMEOUT = 60.0


@pytest.fixture(autouse=True)
def own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARLSTM_RUNS", str(tmp_path / "runs"))


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Makes runs on one small text, with the plan frozen so that no measurement makes two of them differ; kills their
    workers in the end."""
    text = tmp_path / "text.txt"
    text.write_text(BOTTLES)
    made: list[Run] = []

    def new(steps: int = STEPS, niceness: int | None = 0) -> Run:  # 0: does not wait for other programs
        run = create_new_run(NewRun(text, replace(SETTINGS, max_steps=steps, niceness=niceness), "quick"))
        run.write_spec(replace(run.spec(), plan=plain(replace(PLAN, planned_steps=steps))))
        made.append(run)
        return run

    yield new
    for run in made:
        status = run.status()
        if status.alive and status.pid is not None and status.pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(status.pid, signal.SIGKILL)


def wait(condition: Callable[[], Any], what: str) -> Any:
    """Until ``condition`` is true, or fail after a deadline."""
    deadline = time.monotonic() + TIMEOUT
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)
    return found


def until(run: Run, *states: str) -> None:
    """Until the run is in one of ``states``."""
    wait(lambda: run.status().state in states, f"{states}; it is {run.status()} {run.log_path.read_text()}")


def reached(run: Run, step: int) -> Callable[[], bool]:
    """Whether the log of ``run`` has reached ``step``."""
    series, tail = RunSeries(), EventTail(run.events_path)

    def there() -> bool:
        series.feed(tail.read())
        return series.step >= step

    return there


def test_killed_and_resumed_worker_equals_the_uninterrupted_one(make: Callable[..., Run]) -> None:
    """And has no state but those of a run that begins and trains, until it is killed."""
    untouched, killed = make(), make()
    list(run_foreground(untouched))
    pid = launch(killed)
    states, there = {killed.status().state}, reached(killed, 150)
    assert states == {"starting"}

    def trained() -> bool:
        states.add(killed.status().state)
        return there()

    wait(trained, "step 150")
    assert states <= {"starting", "running"}
    send_command(killed, "pause")  # a slow test would find it finished
    until(killed, "paused")
    os.kill(pid, signal.SIGKILL)
    wait(lambda: not killed.status().alive, "the lock to be let go")
    assert killed.status().state == "crashed"
    state, _ = load_state(killed)
    assert state is not None
    assert 100 <= state.step < STEPS
    with pytest.raises(RunError, match="is crashed and takes no commands"):
        send_command(killed, "pause")
    resume_run(killed)
    until(killed, "finished")
    assert any(event.name == "resumed" for event in read_events(killed.events_path))
    assert differences(killed, untouched) == []
    assert killed in known_runs()
    assert find_run(killed.name) == killed


def test_closed_terminal_stops_the_run_with_a_checkpoint(make: Callable[..., Run]) -> None:
    """``charlstm resume`` in a pty that closes meanwhile: SIGHUP, and a terminal that cannot be written to."""
    run = make(steps=1_000_000)
    command = ["-P", "-m", "charlstm", "resume", run.name]
    screen = pexpect.spawn(sys.executable, command, encoding="utf-8", dimensions=(24, 80), timeout=TIMEOUT)
    wait(reached(run, 10), "the first steps")
    pid = run.status().pid
    assert pid == screen.pid
    screen.ptyproc.fileobj.close()  # the terminal is gone, and no process waits for the program
    screen.closed = screen.ptyproc.closed = True  # else its number, by then another file's, is closed once more
    until(run, "stopped")
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    events = list(read_events(run.events_path))
    names = [event.name for event in events]
    told = len(names) - 1 - names[::-1].index("control")
    # Besides the last checkpoint one may have been on its way to the disk when the terminal went.
    assert [name for name, _ in itertools.groupby(names[told:])] == ["control", "checkpoint", "finished"]
    assert len(names[told:]) <= 4
    assert events[-2].step == events[-1].step
    state = load_state(run)[0]
    assert state is not None
    assert state.step == events[-1].step


def test_every_command_works_through_the_folder(make: Callable[..., Run]) -> None:
    run = make(steps=1_000_000, niceness=None)
    pid = launch(run)
    assert os.getsid(pid) == pid  # a session of its own: no terminal can take it along
    wait(reached(run, 10), "the first steps")
    if sys.platform == "linux":
        assert os.getpriority(os.PRIO_PROCESS, pid) >= BACKGROUND_NICENESS
        assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) == system.OOM_SCORE
        group = Path(f"/proc/{pid}/autogroup")
        if group.exists():
            assert group.read_text().split()[-1] == str(BACKGROUND_NICENESS)
        assert os.readlink(f"/proc/{pid}/fd/0") == os.devnull
        assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (1, 2)} == {str(run.log_path)}
    with pytest.raises(RunError, match="is running already"):
        resume_run(run)

    asked = [send_command(run, "pause")]
    until(run, "paused")
    asked.append(send_command(run, "set-lr", 1e-4))
    asked.append(send_command(run, "resume"))
    until(run, "running")

    def rates() -> list[float]:
        return list(RunSeries.of(read_events(run.events_path)).points("lr").y)

    wait(lambda: rates()[-1] == pytest.approx(1e-4, rel=0.05), "steps at the new rate")
    before = load_state(run)[0]
    assert before is not None
    asked.append(send_command(run, "checkpoint"))
    wait(lambda: (load_state(run)[0] or before).step > before.step, "the checkpoint")
    os.kill(pid, signal.SIGTERM)
    until(run, "stopped")
    wait(lambda: system.process_start(pid) is None, "the child to be reaped")
    acted = [event for event in read_events(run.events_path) if isinstance(event, Controlled)]
    assert [event.id for event in acted] == [*(each.id for each in asked), "SIGTERM"]
    series = RunSeries.of(read_events(run.events_path))
    assert rates()[-1] == pytest.approx(1e-4, rel=0.05)
    state = load_state(run)[0]
    assert state is not None
    assert state.step == series.step or state.step == acted[-1].step
