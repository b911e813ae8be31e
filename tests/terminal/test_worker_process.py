"""The real worker in its own process: started, controlled, killed and resumed through the folder alone."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pexpect
import pytest

from charlstm import system
from charlstm.errors import RunError
from charlstm.fields import plain
from charlstm.runs.control import send_command
from charlstm.runs.folder import RunFolder
from charlstm.runs.launch import NewRun, create_new_run, launch, prepare_worker, resume_run
from charlstm.runs.log import read_events
from charlstm.runs.series import RunSeries
from charlstm.runs.store import load_state
from charlstm.training.events import Controlled
from killed_runs import BOTTLES, PLAN, SETTINGS
from waiting import wait_until

pytestmark = pytest.mark.terminal

TIMEOUT = 60.0
STEPS, NICENESS = 1_000_000, 3


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunFolder]:
    """A run on a small text that nobody trains yet. Its worker is killed in the end."""
    monkeypatch.setenv("CHARLSTM_RUNS", str(tmp_path / "runs"))
    (tmp_path / "text.txt").write_text(BOTTLES)
    settings = replace(SETTINGS, max_steps=STEPS, niceness=NICENESS)
    run = create_new_run(NewRun(tmp_path / "text.txt", settings, "quick"))
    run.write_spec(replace(run.spec(), plan=plain(replace(PLAN, planned_steps=STEPS))))
    yield run
    status = run.status()
    if status.alive and status.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(status.pid, signal.SIGKILL)


def until(run: RunFolder, state: str) -> None:
    wait_until(lambda: run.status().state == state, f"{state}; it was {run.status()}")


def series_of(run: RunFolder) -> RunSeries:
    return RunSeries.of(read_events(run.events_path))


def test_closed_terminal_stops_the_run_with_a_checkpoint(run: RunFolder) -> None:
    """``charlstm resume`` in a pty that closes meanwhile: SIGHUP, and a terminal that cannot be written to."""
    command = ["-P", "-m", "charlstm", "resume", run.name]
    screen = pexpect.spawn(sys.executable, command, encoding="utf-8", dimensions=(24, 80), timeout=TIMEOUT)
    wait_until(lambda: series_of(run).step >= 10, "the first steps")
    pid = run.status().pid
    assert pid == screen.pid
    screen.ptyproc.fileobj.close()  # the terminal is gone, and no process waits for the program
    screen.closed = screen.ptyproc.closed = True  # else its number, by then another file's, is closed once more
    until(run, "stopped")
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    events = list(read_events(run.events_path))
    assert [event.name for event in events[-2:]] == ["checkpoint", "finished"]
    assert len([event for event in events if isinstance(event, Controlled)]) == 1
    assert load_state(run)[0].step == events[-2].step == events[-1].step


def test_worker_does_what_is_sent_and_goes_on_after_a_kill(run: RunFolder) -> None:
    """And has no state but those of a run that begins and trains, until it is told. It was prepared; a prepared one
    that has ended, as after ten minutes, is not taken."""
    with prepare_worker() as ended:
        ended.communicate(timeout=TIMEOUT)
    assert ended.returncode == 0
    prepared = prepare_worker()
    pid = launch(run, prepared=prepared)
    assert os.getsid(pid) == pid == prepared.pid  # a session of its own: no terminal can take it along
    states = {run.status().state}
    assert states == {"starting"}

    def trained() -> bool:
        states.add(run.status().state)
        return series_of(run).step >= 10

    wait_until(trained, "the first steps")
    assert states <= {"starting", "running"}
    if sys.platform == "linux":
        assert os.getpriority(os.PRIO_PROCESS, pid) >= NICENESS
        assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) == system.OOM_SCORE
        group = Path(f"/proc/{pid}/autogroup")
        if group.exists():
            assert int(group.read_text().split()[-1]) >= NICENESS
        assert os.readlink(f"/proc/{pid}/fd/0") == os.devnull
        assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (1, 2)} == {str(run.log_path)}
    with pytest.raises(RunError, match="is running already"):
        resume_run(run)

    asked = [send_command(run, "pause")]
    until(run, "paused")
    asked += [send_command(run, "set-lr", 1e-4), send_command(run, "resume")]
    until(run, "running")

    def has_new_rate() -> bool:
        return series_of(run).points("lr").y[-1] == pytest.approx(1e-4, rel=0.05)

    wait_until(has_new_rate, "steps at the new rate")
    asked.append(send_command(run, "checkpoint"))
    wait_until(lambda: asked[-1].id in series_of(run).handled, "the checkpoint")

    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not run.status().alive, "the lock to be let go")
    wait_until(lambda: system.process_start(pid) is None, "the child to be reaped")
    assert run.status().state == "crashed"
    with pytest.raises(RunError, match="is crashed and takes no commands"):
        send_command(run, "pause")
    launch(run, prepared=ended)
    until(run, "running")
    wait_until(has_new_rate, "steps at this rate")
    again = run.status().pid
    assert again is not None
    os.kill(again, signal.SIGTERM)
    until(run, "stopped")
    events = list(read_events(run.events_path))
    handled = dict.fromkeys(event.id for event in events if isinstance(event, Controlled))  # a resume may repeat some
    assert list(handled) == [*(each.id for each in asked), "SIGTERM"]
    assert [event.name for event in events].count("started") == 1
    assert load_state(run)[0].step == events[-1].step
