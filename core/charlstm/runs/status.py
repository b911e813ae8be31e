"""The current status of a run: its state and a few figures, from its heartbeat and lock.

The heartbeat has what the worker last reported; the lock tells whether the worker exists. This module reads only.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

from charlstm import storage, system
from charlstm.display import plural
from charlstm.errors import RunError
from charlstm.runs import liveness, queue_file
from charlstm.runs.contention import slowdown_words
from charlstm.runs.liveness import HeartbeatRecord, RunFigures
from charlstm.runs.log import read_events
from charlstm.text import read_before
from charlstm.training.ending import END_REASONS
from charlstm.training.events import ESTIMATE

if TYPE_CHECKING:
    from charlstm.runs.series import RunSeries

RunState = Literal["queued", "starting", "running", "paused", "waiting", "stopped", "finished", "failed", "crashed"]
STATES = get_args(RunState)
NO_WORKER = (*liveness.ENDED_STATES, "crashed")
"""The states of a run that has ended."""

STARTING = 120.0
"""Seconds that a new worker gets until its first heartbeat, while its process is there: beside other programs it may
take over 15 to import PyTorch."""

LAST_WORDS = 16_000
"""Bytes read at the end of ``worker.log``."""

WORKER_LINE = "— worker "
"""Start of the first line that each worker writes into ``worker.log``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus(RunFigures):
    """The status of a run, with the figures that :class:`~charlstm.runs.liveness.RunFigures` describes.

    Attributes:
        alive: whether the run has a worker, on this host or another.
        message: one sentence for a person, or empty.
        elsewhere: whether the worker is on another host.
        place: of a run that waits in the queue, 1 for the next one.
        start_problem: why the run could not be started when it was its turn, or empty.
        memory: bytes.
        slowdown: how many times as long training takes now because other programs use the processor; None if unknown,
            or if the run does not train.
        updated: Unix seconds of the last heartbeat.
    """

    state: RunState
    alive: bool
    message: str = ""
    host: str = ""
    elsewhere: bool = False
    place: int | None = None
    start_problem: str = ""
    pid: int | None = None
    memory: int | None = None
    slowdown: float | None = None
    updated: float = 0.0

    @property
    def remark(self) -> str:
        """``message``, or else what other programs do to the run while it trains; may be empty."""
        if self.message or self.state != "running":
            return self.message
        return slowdown_words(self.slowdown)

    @property
    def mark(self) -> str:
        """The mark before ``loss``: the model has read the held-out part, or the loss is an estimate."""
        return read_before.mark(self.read_share) or ("" if self.best_whole else ESTIMATE)

    @property
    def percent(self) -> int | None:
        """``progress`` in per cent, which is 100 only when the run is complete."""
        return None if self.progress is None else int(100 * self.progress + 1e-9)


def read_status(path: Path, *, now: float | None = None) -> RunStatus:
    """The status of the run in folder ``path``; ``now`` in Unix seconds (default: the clock)."""
    return with_place(path, status_of_worker(path, now=now))


def with_place(path: Path, status: RunStatus) -> RunStatus:
    """``status`` of the run in folder ``path``; as ``queued`` if it has no worker and waits in the queue."""
    if status.alive or status.state == "finished" or (found := queue_file.place_in_queue(path)) is None:
        return status
    place, waiting = found
    message, problem = f"{ordinal(place)} in the queue", waiting.problem
    if problem == queue_file.NOT_BEGUN and status.message:
        problem += f": {status.message}"
    if problem:
        message += f", but it could not be started: {problem}"
    return replace(status, state="queued", place=place, start_problem=problem, message=message)


def queue_problem() -> str:
    """A sentence about what keeps runs of the queue from being trained: the file cannot be read, or some could not be
    started; empty if nothing is known of that."""
    try:
        waiting = [(each.path.name, read_status(each.path)) for each in queue_file.waiting_runs() if each.problem]
    except RunError as error:
        return str(error)
    found = [(name, status.start_problem) for name, status in waiting if status.start_problem]
    if not found:
        return ""
    [(name, problem), *others] = found
    more = f", as {plural(len(others), 'other run')}" if others else ""
    return f"{name} could not be started and keeps its place in the queue{more}: {problem}"


def status_of_worker(path: Path, *, now: float | None = None) -> RunStatus:
    """As :func:`read_status`, without a look at the queue."""
    now = time.time() if now is None else now
    beat = liveness.read_heartbeat(path / "heartbeat")
    if beat is None:
        return _from_log(path, locked=bool(system.is_locked(path / "lock")))
    if beat.state not in STATES:
        return _status(beat, "crashed", False, "its heartbeat is damaged")
    state = cast(RunState, beat.state)
    if beat.state in liveness.ENDED_STATES:
        return _status(beat, state, False, beat.message)
    if not beat.is_from_this_machine:
        fresh = beat.age(now) < liveness.FRESH_SECONDS
        words = f"on {beat.host}" if fresh else f"on {beat.host}, no heartbeat for {ago(beat.age(now))}"
        return _status(beat, state, fresh, f"{words}: {beat.message}" if beat.message else words, elsewhere=True)
    locked = system.is_locked(path / "lock")
    if locked is None or (not locked and beat.age(now) < liveness.FRESH_SECONDS and not os.path.exists(path / "lock")):
        # the lock cannot be read, or was removed while its worker runs: rely on the process table
        locked = beat.process_is_alive
    if locked:
        silent = beat.age(now) > liveness.FRESH_SECONDS and beat.state != "starting"
        message = (
            f"its worker (process {beat.pid}) has not answered for {ago(beat.age(now))}" if silent else beat.message
        )
        return _status(beat, state, True, message)
    if beat.state == "starting" and beat.age(now) < STARTING and system.is_same_process(beat.pid, beat.start):
        return _status(beat, "starting", True, beat.message)
    if liveness.read_heartbeat(path / "heartbeat") != beat:  # the worker ended, or another started, in the meantime
        return status_of_worker(path, now=now)
    return _status(beat, "crashed", False, _crash(path, beat))


def _crash(path: Path, beat: HeartbeatRecord) -> str:
    """What is known about how the worker ended."""
    words = last_words(path / "worker.log")
    if re.match(r"Fatal|[\w.]*(Error|Exception)\b", words):
        return words
    if beat.boot != system.boot_id():
        cause = "the machine was restarted; resume it"
    else:
        cause = "its worker was killed; resume it, or if memory ran out start a new run with a smaller batch or network"
    return f"{cause}. Its last output: {words}" if words else cause


def last_words(log: Path) -> str:
    """The last line that the last worker wrote to its streams, without control characters; empty when it wrote none."""
    with contextlib.suppress(OSError), storage.open_file(log) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_WORDS))
        text = file.read(LAST_WORDS).decode("utf-8", errors="replace")
        lines = [re.sub(r"[\x00-\x1f\x7f-\x9f]", "", line).strip() for line in text.splitlines()]
        lines = [line for line in lines if line]
        begins = max((number for number, line in enumerate(lines) if line.startswith(WORKER_LINE)), default=-1)
        lines = lines[begins + 1 :]
        # a crash inside a library is named above its long stack trace
        fatal = [line for line in lines if line.startswith("Fatal Python error")]
        return (fatal or lines or [""])[-1][:300]
    return ""


def state_after(reason: str) -> RunState:
    """The state of a run whose last event is ``finished`` with ``reason``."""
    return END_REASONS.get(reason, END_REASONS["done"]).state


def state_in_log(series: RunSeries) -> RunState:
    """The state of a run without a worker, by its log."""
    if series.failed is not None:
        return "failed"
    return "stopped" if series.finished is None else state_after(series.finished.reason)


def ordinal(place: int) -> str:
    """A place in a list: ``1st``, ``2nd``, ``11th``."""
    return f"{place}{'th' if place % 100 in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(place % 10, 'th')}"


def ago(seconds: float) -> str:
    """A duration in words: ``12 s``, ``5 min``, ``3 h``, ``2 days``."""
    for limit, size, unit in ((90, 1, " s"), (5400, 60, " min"), (48 * 3600, 3600, " h")):
        if seconds < limit:
            return f"{round(seconds / size)}{unit}"
    return f"{round(seconds / 86400)} days"


def _status(beat: HeartbeatRecord, state: RunState, alive: bool, message: str, *, elsewhere: bool = False) -> RunStatus:
    found = beat.still_true()
    if alive:
        found = beat.by_name() | {"pid": beat.pid, "memory": beat.memory, "slowdown": beat.slowdown}
    elif state == "finished":
        found["progress"] = 1.0
    return RunStatus(
        state=state, alive=alive, message=message, host=beat.host, elsewhere=elsewhere, updated=beat.time, **found
    )


def _from_log(path: Path, *, locked: bool) -> RunStatus:
    """The status of a run without a heartbeat: it never started, or is a copy without that file."""
    from charlstm.runs.series import RunSeries

    series, trouble = RunSeries(), ""
    try:
        series.feed(read_events(path / "events.jsonl"))
    except RunError as error:  # one log that cannot be read must not break the list of all runs
        trouble = str(error)
    state: RunState = "starting" if locked else state_in_log(series)
    never = (
        "it was never started; resume it" if os.path.exists(path / "run.json") else "its folder was deleted or moved"
    )
    message = trouble or ("" if series.started or locked else never)
    if state == "failed" and series.failed is not None:
        message = series.failed.message
    return RunStatus(
        state=state,
        alive=locked,
        **series.figures().still_true(),
        message=message,
    )
