"""What the screens know of the world: a thread that watches the runs, jobs off the screen's thread, and questions
that another process answers.

Nothing here touches a widget. The watcher makes one immutable :class:`Snapshot` a few times a second and hands it over
only when it differs from the last. Whatever needs torch is asked of ``python -P -m charlstm``. This module never
imports torch, and numpy only through the core's own modules.
"""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from charlstm.errors import CharLSTMError, RunError
from charlstm.runs import folder
from charlstm.runs.folder import Run, RunSpec
from charlstm.runs.status import RunStatus
from charlstm.storage import FileStamp

if TYPE_CHECKING:
    from charlstm.runs.log import EventTail
    from charlstm.runs.series import RunSeries

Result = TypeVar("Result")


class AskError(CharLSTMError):
    """The command that was asked said no; the sentence is its own."""


@dataclass(frozen=True, slots=True)
class RunView:
    """One run as it was when the watcher looked. ``size`` in bytes, ``created`` in Unix seconds; ``problem`` is a
    sentence when the folder's ``run.json`` cannot be read."""

    run: Run
    status: RunStatus
    text: str = ""
    preset: str = ""
    created: float = 0.0
    size: int = 0
    problem: str = ""
    sources: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.run.name

    @property
    def path(self) -> Path:
        """The folder."""
        return self.run.path

    @property
    def live(self) -> bool:
        """Whether a worker of this machine is at it."""
        return self.status.alive and not self.status.elsewhere

    @property
    def seconds_left(self) -> float | None:
        """Training seconds still to go, at the pace so far; ``None`` before there is a pace."""
        status = self.status
        if not status.step or not status.planned_steps:
            return None
        return status.train_seconds * max(0, status.planned_steps - status.step) / status.step


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All runs, newest first, and what the attached run has logged so far.

    ``series`` is a :class:`charlstm.runs.series.RunSeries` of its own that nobody feeds any more; ``revision`` grows
    with every event of the attached run, so that a chart knows whether to draw. ``error`` is a sentence about the
    attached run's log.
    """

    runs: tuple[RunView, ...] = ()
    attached: Path | None = None
    series: RunSeries | None = None
    revision: int = 0
    error: str = ""

    @property
    def live(self) -> tuple[RunView, ...]:
        """The runs that train on this machine now."""
        return tuple(run for run in self.runs if run.live)

    @property
    def attached_run(self) -> RunView | None:
        """The attached run's row."""
        return self.find(self.attached)

    def find(self, path: Path | None) -> RunView | None:
        """The run in this folder."""
        return next((run for run in self.runs if run.path == path), None)


class RunsReader:
    """Reads the folder of runs and the attached run's log. What does not change is read once."""

    SIZE_EVERY = 10.0  # seconds between two looks at how much room a run takes

    def __init__(self, runs_dir: Path | None = None) -> None:
        self._runs_dir = runs_dir
        self._specs: dict[Path, tuple[FileStamp | None, RunView]] = {}
        self._sizes: dict[Path, tuple[float, int]] = {}
        self._runs: tuple[RunView, ...] = ()
        self._attached: Path | None = None
        self._tail: EventTail | None = None
        self._series: RunSeries | None = None
        self._revision = 0

    def read(self, attached: Path | None, everything: bool) -> Snapshot:
        """One look: at all runs when ``everything``, else only at the attached one."""
        if everything:
            found = [self._view(run, sizes=True) for run in folder.list_runs(self._runs_dir, elsewhere=True)]
            if attached is not None and attached not in {view.path for view in found} and folder.Run(attached).exists():
                found.append(self._view(folder.Run(attached), sizes=True))
            self._runs = tuple(sorted(found, key=lambda view: -view.created))
        else:
            self._runs = tuple(
                self._view(view.run, sizes=False) if view.live or view.path == attached else view for view in self._runs
            )
        error = self._follow(attached)
        return Snapshot(self._runs, attached, self._series, self._revision, error)

    def _view(self, run: Run, sizes: bool) -> RunView:
        return replace(self._spec(run), status=run.status(), size=self._size(run, sizes))

    def _spec(self, run: Run) -> RunView:
        try:
            stamp = FileStamp.of(run.spec_path.stat())
        except OSError:
            stamp = None
        known = self._specs.get(run.path)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            spec = run.spec()
            view = RunView(run, _UNKNOWN, spec.corpus_name, spec.preset, spec.created, sources=_sources(spec))
        except RunError as problem:
            created = 0.0 if stamp is None else stamp.mtime_ns / 1e9
            view = RunView(run, _UNKNOWN, created=created, problem=str(problem))
        self._specs[run.path] = (stamp, view)
        return view

    def _size(self, run: Run, fresh: bool) -> int:
        looked, size = self._sizes.get(run.path, (-math.inf, 0))
        if fresh and time.monotonic() - looked > self.SIZE_EVERY:
            size = run.size()
            self._sizes[run.path] = (time.monotonic(), size)
        return size

    def _follow(self, attached: Path | None) -> str:
        if attached != self._attached:
            self._attached = attached
            self._tail = self._series = None
            self._revision += 1
            if attached is not None:
                from charlstm.runs.log import EventTail
                from charlstm.runs.series import RunSeries  # brings numpy: not before a run is looked at

                self._tail, self._series = EventTail(folder.Run(attached).events_path), RunSeries()
        if self._tail is None or self._series is None:
            return ""
        try:
            events = self._tail.read()
        except RunError as problem:
            return str(problem)
        if events:
            self._series = self._series.copy()  # the one that was handed over stays as it is
            self._series.feed(events)
            self._revision += len(events)
        return ""


def _sources(spec: RunSpec) -> tuple[str, ...]:
    named = spec.corpus.get("sources")
    return tuple(source for source in named if isinstance(source, str)) if isinstance(named, list) else ()


_UNKNOWN = RunStatus(state="starting", alive=False)


class Cancelled(Exception):
    """Raised inside a background job, at its next report of progress, when nobody wants its result any more."""


async def ask(*argv: str) -> Any:
    """Run ``charlstm ARGV --json`` in a process of its own and return what it printed, parsed.

    The screen goes on meanwhile; cancelling the caller ends the process. Raises :class:`AskError` with the command's
    own sentence.
    """
    return await in_thread(lambda check: _answer(argv, check))


def _answer(argv: Sequence[str], check: Callable[[], None]) -> Any:
    command = [sys.executable, "-P", "-m", "charlstm", *argv, "--json"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            out, err = _listen(process, check)
        finally:
            process.kill()  # no effect on one that has ended
    said = err.decode("utf-8", "replace").strip().splitlines()
    if process.returncode:
        raise AskError(_error_message(said[-1]) if said else f"charlstm {argv[0]} ended without a word.")
    try:
        return json.loads(out)
    except ValueError:
        raise AskError(f"charlstm {argv[0]} answered with something that is no JSON.") from None


def _error_message(line: str) -> str:
    """The message in the last line on stderr; the line itself when the command ended in another way."""
    try:
        return str(json.loads(line)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return line


def _listen(process: subprocess.Popen[bytes], check: Callable[[], None]) -> tuple[bytes, bytes]:
    while True:
        check()
        try:
            return process.communicate(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue


async def in_thread(job: Callable[[Callable[[], None]], Result]) -> Result:
    """Run ``job(check)`` in a daemon thread and await its result.

    The job calls ``check()`` now and then; it raises :class:`Cancelled` there once the awaiting task was cancelled.
    Unlike :func:`asyncio.to_thread`, a job that still runs does not keep the program from ending.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()
    unwanted = threading.Event()

    def check() -> None:
        if unwanted.is_set():
            raise Cancelled

    def deliver(setter: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            setter(value)

    def run() -> None:
        setter: Callable[[Any], None] = future.set_result
        try:
            value: Any = job(check)
        except Cancelled:
            return
        except BaseException as error:
            setter, value = future.set_exception, error
        if not loop.is_closed():
            loop.call_soon_threadsafe(deliver, setter, value)

    threading.Thread(target=run, name="charlstm-job", daemon=True).start()
    try:
        return await future
    finally:
        unwanted.set()


class Watcher(threading.Thread):
    """Looks at the runs and at the log of the attached one, and hands over a snapshot when something changed.

    ``deliver`` is called from this thread with nothing but the news that :meth:`take` has a newer snapshot; it is not
    called again before ``take`` was, so a busy screen is never flooded.
    """

    INTERVAL = 0.15  # seconds between looks at the attached run's log
    LIST_EVERY = 5  # looks between looks at the whole folder of runs

    def __init__(self, deliver: Callable[[], None], runs_dir: Path | None = None) -> None:
        super().__init__(name="charlstm-watcher", daemon=True)
        self._deliver = deliver
        self._reader = RunsReader(runs_dir)
        self._guard = threading.Lock()
        self._wanted: Path | None = None
        self._latest = Snapshot()
        self._announced = False
        self._wake = threading.Event()
        self._ended = threading.Event()

    def attach(self, path: Path | None) -> None:
        """From now on follow the log of the run in ``path``."""
        with self._guard:
            self._wanted = path
        self.look_now()

    def look_now(self) -> None:
        """Look at everything at once instead of at the next turn, as after an action of the user."""
        self._wake.set()

    def take(self) -> Snapshot:
        """The newest snapshot."""
        with self._guard:
            self._announced = False
            return self._latest

    def look(self, everything: bool = True) -> None:
        """One look at the world. Called by the thread, and once before it starts."""
        with self._guard:
            wanted = self._wanted
        snapshot = self._reader.read(wanted, everything)
        with self._guard:
            changed = snapshot != self._latest
            self._latest = snapshot
            announce = changed and not self._announced
            self._announced = self._announced or announce
        if announce:
            self._deliver()

    def run(self) -> None:
        turn = 0
        while not self._ended.is_set():
            woken = self._wake.is_set()
            self._wake.clear()
            self.look(everything=woken or turn % self.LIST_EVERY == 0)
            turn += 1
            self._wake.wait(self.INTERVAL)

    def close(self) -> None:
        """End the thread and wait for it."""
        self._ended.set()
        self._wake.set()
        if self.is_alive():
            self.join(timeout=2)
