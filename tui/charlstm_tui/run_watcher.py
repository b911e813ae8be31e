"""Watch the folder of runs from a background thread, and give the app an immutable state of it.

The thread reads the runs a few times a second, and tells the app only when something changed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from textual.message import Message

from charlstm.errors import RunError
from charlstm.runs import folder
from charlstm.runs.control import ControlReader, pending_commands
from charlstm.runs.folder import RunFolder, RunSpec
from charlstm.runs.liveness import ENDED_STATES
from charlstm.runs.log import EventTail
from charlstm.runs.notes import Notes, notes_if_readable
from charlstm.runs.status import RunStatus, queue_problem, status_of_worker, with_place
from charlstm.storage import FileStamp
from charlstm.training.commands import Command
from charlstm.training.events import Stepped
from charlstm_tui.error_log import LOG, sentence

if TYPE_CHECKING:
    from charlstm.runs.series import RunSeries


T = TypeVar("T")


class RunsChanged(Message):
    """The watcher has a newer state of the runs. At most one of these messages waits at a time."""

    bubble = False


@dataclass(frozen=True, slots=True)
class RunView:
    """One run at the watcher's last read.

    ``text`` is the name of the text, and ``sources`` are the files. ``created`` is in Unix seconds, ``size`` in bytes.
    ``spec`` is the content of ``run.json``, and ``problem`` a message if the file cannot be read, else empty. ``notes``
    are the user's. ``started_from`` is the model with the initial weights; empty for random weights.
    """

    run: RunFolder
    status: RunStatus
    text: str = ""
    preset: str = ""
    created: float = 0.0
    size: int = 0
    problem: str = ""
    sources: tuple[str, ...] = ()
    spec: RunSpec | None = field(default=None, hash=False)
    notes: Notes = Notes()
    started_from: str = ""

    @property
    def name(self) -> str:
        """The name of the run and its folder."""
        return self.run.name

    @property
    def path(self) -> Path:
        """The folder of the run."""
        return self.run.path

    @property
    def live(self) -> bool:
        """Whether a worker on this machine is training the run."""
        return self.status.alive and not self.status.elsewhere

    @property
    def may_begin(self) -> bool:
        """Whether it waits in the queue, and nothing is known against it."""
        return self.status.place is not None and not self.status.start_problem

    def has_model(self) -> bool:
        """Whether there is something to play: looks into the folder."""
        return self.run.model_path.is_file() or bool(self.run.snapshots())


@dataclass(frozen=True, slots=True)
class RunsState:
    """All runs, newest first, and the logged events of the attached run, whose log is followed. It never changes.

    ``series`` holds the events that were logged until this state was read; a later state has another ``RunSeries``.
    ``pending`` are the commands, from wherever they were sent, that the attached run's worker has not handled yet.
    ``other_events`` counts those events that are no figures of steps. ``queue_problem`` is a message if runs of the
    queue could not be started, else empty. ``error`` is one if the log of the attached run cannot be read. ``failure``
    is one if the last reading failed altogether: then the rest of the state is that of the reading before.
    """

    runs: tuple[RunView, ...] = ()
    attached: Path | None = None
    series: RunSeries | None = None
    pending: tuple[Command, ...] = ()
    other_events: int = 0
    queue_problem: str = ""
    error: str = ""
    failure: str = ""

    @property
    def live(self) -> tuple[RunView, ...]:
        """The runs that train on this machine now."""
        return tuple(run for run in self.runs if run.live)

    @property
    def without_figures(self) -> Hashable:
        """What is to be shown at once when it changes: all but the figures that change with every step."""
        runs = tuple(
            (run.path, run.status.state, run.status.alive, run.status.message, run.notes, run.problem)
            for run in self.runs
        )
        return runs, self.attached, self.pending, self.other_events, self.queue_problem, self.error, self.failure

    @property
    def queued(self) -> tuple[Path, ...]:
        """The runs that wait in the queue."""
        return tuple(run.path for run in self.runs if run.status.place is not None)

    @property
    def any_ahead(self) -> bool:
        """Whether a run that is put into the queue now waits."""
        return bool(self.live or self.queued)

    @property
    def attached_run(self) -> RunView | None:
        """The attached run, if listed."""
        return self.find(self.attached)

    def find(self, path: Path | None) -> RunView | None:
        """The run in the folder ``path``, or ``None``."""
        return next((run for run in self.runs if run.path == path), None)


class _Log:
    """The log of a run, and the commands to it."""

    def __init__(self, run: RunFolder) -> None:
        from charlstm.runs.series import RunSeries  # 0.2 s, for numpy: not before the first paint of the table

        self.path = run.path
        self.series = RunSeries()
        self.other_events = 0
        self._tail, self._control = EventTail(run.events_path), ControlReader(run.control_path)
        self._commands: list[Command] = []

    def read(self) -> str:
        """Read new events into the series. Returns an error message, empty without an error."""
        try:
            events = self._tail.read()
        except RunError as problem:
            return str(problem)
        if events:
            self.series = self.series.copy()  # the series of earlier states must not change
            self.series.feed(events)
            self.other_events += sum(not isinstance(event, Stepped) for event in events)
        return ""

    def pending(self) -> tuple[Command, ...]:
        """The commands that the run's worker has not handled yet."""
        self._commands += self._control.read()
        return pending_commands(self._commands, self.series)


class RunsReader:
    """Read the folder of runs and the log of the attached run. Files that do not change are read only once."""

    SIZES_EVERY = 12
    """After so many readings of all runs, about every ten seconds, their sizes on the disk are measured again."""

    def __init__(self, runs_dir: Path | None = None) -> None:
        self._runs_dir = runs_dir
        self._kept: dict[Path, tuple[FileStamp, Any]] = {}  # what was read of a file that has not changed since
        self._listed = 0  # how often all runs were read
        self._runs: tuple[RunView, ...] = ()
        self._queue_problem = ""
        self._log: _Log | None = None  # of the attached run

    def read(self, attached: Path | None, all_runs: bool) -> RunsState:
        """Read the runs again: all of them with ``all_runs``, else only those that train and the attached one."""
        if all_runs:
            sizes = {} if self._listed % self.SIZES_EVERY == 0 else {view.path: view.size for view in self._runs}
            self._listed += 1
            runs = folder.list_runs(self._runs_dir, elsewhere=True)
            if (
                attached is not None
                and attached not in {run.path for run in runs}
                and folder.RunFolder(attached).exists()
            ):
                runs.append(folder.RunFolder(attached))
            found = [self._view(run, sizes.get(run.path)) for run in runs]
            self._runs = tuple(_with_times(sorted(found, key=lambda view: -view.created)))
            self._queue_problem = queue_problem()
        else:
            self._runs = tuple(
                self._view(view.run, view.size)
                if view.live or (view.path == attached and view.status.place is None)
                else view
                for view in self._runs
            )
        if attached is None:
            self._log = None
            return RunsState(self._runs, queue_problem=self._queue_problem)
        if self._log is None or self._log.path != attached:
            self._log = _Log(folder.RunFolder(attached))
        log = self._log
        error = log.read()
        state = RunsState(self._runs, attached, log.series, (), log.other_events, self._queue_problem, error)
        run = state.attached_run
        return replace(state, pending=log.pending()) if run is not None and run.status.alive else state

    def _view(self, run: RunFolder, size: int | None) -> RunView:
        view: RunView = self._unless_changed(run.spec_path, lambda: _spec(run))
        # One that ended stays as it is until a worker writes another heartbeat: of many runs most have ended, and to
        # parse their heartbeats takes half of the time of a reading.
        status = self._unless_changed(
            run.heartbeat_path, lambda: status_of_worker(run.path), lambda status: status.state in ENDED_STATES
        )
        status = with_place(run.path, status)
        notes = self._unless_changed(run.notes_path, lambda: notes_if_readable(run))
        return replace(view, status=status, size=run.size() if size is None else size, notes=notes)

    def _unless_changed(self, path: Path, read: Callable[[], T], lasts: Callable[[T], bool] = lambda value: True) -> T:
        """What ``read`` gives. Where that ``lasts``, it is kept until the file at ``path`` changes."""
        now = time.time_ns()
        try:
            stamp = FileStamp.of(path.stat())
        except OSError:
            return read()
        if path in self._kept and self._kept[path][0] == stamp:
            kept: T = self._kept[path][1]
            return kept
        value = read()
        if lasts(value) and stamp.is_settled(now):
            self._kept[path] = stamp, value
        return value


def _with_times(views: list[RunView]) -> list[RunView]:
    """The runs, with begin and reason of waiting in the status of queued runs."""
    waiting = sorted((view for view in views if view.status.place is not None), key=lambda view: view.status.place or 0)
    if not waiting:
        return views
    from charlstm.runs.queue import arrange  # 0.3 s, with numpy: not before the first paint of Runs

    live = [(view.run, view.status) for view in views if view.live]
    words = {each.run: each.words for each in arrange(live, [(view.run, view.status) for view in waiting])}
    return [
        view if view.status.place is None else replace(view, status=replace(view.status, message=words[view.run]))
        for view in views
    ]


def _spec(run: RunFolder) -> RunView:
    """A view of a run from its ``run.json`` alone."""
    try:
        spec = run.spec()
    except RunError as problem:
        return RunView(run, _UNKNOWN, problem=str(problem))
    return RunView(
        run,
        _UNKNOWN,
        spec.corpus_name,
        spec.preset,
        spec.created,
        sources=_sources(spec),
        spec=spec,
        started_from=spec.started_from,
    )


def _sources(spec: RunSpec) -> tuple[str, ...]:
    sources = spec.corpus.get("sources")
    return tuple(source for source in sources if isinstance(source, str)) if isinstance(sources, list) else ()


_UNKNOWN = RunStatus(state="starting", alive=False)


class Watcher(threading.Thread):
    """A thread that reads the runs and the log of the attached run again and again.

    When something changed, it calls ``on_change``, from this thread and without arguments. :meth:`latest` then returns
    the new state. ``on_change`` is called again only after :meth:`latest` was, so that a busy screen does not get
    many messages.
    """

    INTERVAL = 0.15
    """Seconds between two reads of the attached run's log."""
    FIGURES_EVERY = 4
    """When only figures have changed, the app is told after four reads. To draw them is most of what it costs a run to
    be watched, some 2 %."""
    LIST_EVERY = 5
    """Every fifth of these reads, all runs are read."""

    def __init__(self, on_change: Callable[[], object], runs_dir: Path | None = None) -> None:
        super().__init__(name="charlstm-watcher", daemon=True)
        self._on_change = on_change
        self._reader = RunsReader(runs_dir)
        self._lock = threading.Lock()
        self._attached: Path | None = None
        self._latest = self._taken = RunsState()  # the second is what the app has asked for last
        self._announced = False  # since then
        self._reads = 0
        self._wake = threading.Event()
        self._ended = threading.Event()

    def attach(self, path: Path | None) -> None:
        """Follow the log of the run in ``path`` from now on; ``None`` for no run."""
        with self._lock:
            self._attached = path
        self.read_soon()

    def read_soon(self) -> None:
        """Make the thread read all runs at once instead of after the interval, for example after a user's action."""
        self._wake.set()

    def latest(self) -> RunsState:
        """The newest state."""
        with self._lock:
            self._taken, self._announced, self._reads = self._latest, False, 0
            return self._taken

    def read(self, all_runs: bool = True) -> None:
        """Read the runs once. The thread calls this, and the app once before it starts the thread.

        If that fails, the state says so in its ``failure``, and the next call tries again.
        """
        with self._lock:
            attached = self._attached
        try:
            state = self._reader.read(attached, all_runs)
        except Exception as error:  # no exception may end the thread
            failure = sentence(error, "reading the runs")
            with self._lock:
                state = replace(self._latest, failure=failure)
            if state != self._latest:  # one that lasts is logged once, not several times a second
                LOG.exception("reading the runs")
        with self._lock:
            self._latest, self._reads = state, self._reads + 1
            due = self._reads >= self.FIGURES_EVERY or state.without_figures != self._taken.without_figures
            announce = due and state != self._taken and not self._announced
            self._announced = self._announced or announce
        if announce:
            self._on_change()

    def run(self) -> None:
        """Read the runs until :meth:`close` is called. The first time after the interval: the app has just read them,
        and draws its first screen meanwhile."""
        turn = 1
        self._wake.wait(self.INTERVAL)
        while not self._ended.is_set():
            woken = self._wake.is_set()
            self._wake.clear()
            try:
                self.read(all_runs=woken or turn % self.LIST_EVERY == 0)
            except Exception:  # of ``on_change``: without this thread the app would show the past
                if not self._ended.is_set():  # the app that is told may have ended meanwhile
                    LOG.exception("reporting the runs")
            turn += 1
            self._wake.wait(self.INTERVAL)

    def close(self) -> None:
        """Tell the thread to end. It is not waited for: it only reads, and a slow disk would delay the exit."""
        self._ended.set()
        self._wake.set()
