"""Train runs one after another: put them into the queue, start the next one, and say when each will be trained.

No process of its own looks after the queue: a worker that ends starts the next run, under the lock of the queue. After
a worker or the machine was killed, the next command that lists runs or the app does (:func:`start_next`). The queue
waits for every run that trains or is paused on this machine, also for runs outside the queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from charlstm.errors import Advice, CharLSTMError, RunError, SettingsError
from charlstm.runs import folder, launch, queue_file
from charlstm.runs.folder import RunFolder, RunSpec
from charlstm.runs.index import located, remember_run
from charlstm.runs.launch import NewRun
from charlstm.runs.queue_file import NOT_BEGUN, Waiting
from charlstm.runs.series import RunSeries
from charlstm.runs.status import RunStatus, ago, ordinal, status_of_worker
from charlstm.text.corpus import open_corpus
from charlstm.training.estimate import batch_shape, estimate, find_speed


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run that trains or waits in the queue.

    Attributes:
        place: 0: it trains; 1: it is the next one.
        begins, ends: seconds from now, estimated; None if not known.
        why: why it does not train yet, or why it could not be started when it was its turn; empty if it trains.
    """

    JSON_FIELDS: ClassVar = ("run.name", "run.path", "place", "status.state", "begins", "ends", "why")

    run: RunFolder
    status: RunStatus
    place: int
    begins: float | None
    ends: float | None
    why: str = ""

    @property
    def words(self) -> str:
        """Rank in the queue, time until the begin, why it waits: ``2nd in the queue, begins in about 8 min: …``."""
        if not self.place:
            return self.status.state
        if self.status.start_problem:
            return self.status.message
        begins = f"begins in about {ago(self.begins)}" if self.begins is not None else "begins at a time not known"
        return f"{ordinal(self.place)} in the queue, {begins}: {self.why}"


def add_new_run(new: NewRun) -> RunFolder:
    """Create a run and put it at the end of the queue. Its text is read now, so that it may change or go until the run
    is trained. Raises as :func:`~charlstm.runs.launch.start_run` and :func:`add_run` do."""
    if isinstance(new.source, (str, Path, Sequence)):
        corpus = open_corpus(new.source, new.text_options, validation=new.validation)
        new = replace(new, source=corpus, text_options=None, validation=None)
    run = launch.create_new_run(new, here=False)
    try:
        add_run(run)
    except BaseException:  # with Ctrl-C too, else it would be a run that never begins
        folder.delete_run(run)
        raise
    return run


def add_run(run: RunFolder) -> None:
    """Put a run that is not trained now at the end of the queue. Raises :class:`RunError` or :class:`SettingsError` if
    it cannot be resumed or would diverge again, or the queue cannot be changed."""
    launch.check_resume(run, {})
    finished = RunSeries.of(run.events()).finished
    if finished is not None and finished.reason == "diverged":
        raise RunError(
            f"The run {run.name} has diverged and would again: resume it with a lower learning rate",
            Advice("resume", run.name, setting="lr"),
        )
    remember_run(run.path)  # the queue waits for runs that the index has, and the folder may be a copy
    with queue_file.changing_queue() as waiting:
        path = located(run.path)
        waiting[:] = [*(each for each in waiting if each.path != path), Waiting(path)]


def start_next() -> RunFolder | None:
    """Start the next run of the queue unless a run trains on this machine; returns the one that was started, which its
    worker takes out of the queue. If the worker ends before that, the run is started again after all others. Where a
    run cannot be started, its entry says why from now on, and the one after it is tried. Runs that have been finished
    since they were put into the queue are taken out.

    Raises :class:`RunError` when the queue cannot be read or changed.
    """
    if not queue_file.waiting_runs() or live_runs():
        return None
    with queue_file.changing_queue() as waiting:
        if live_runs():  # another process was first
            return None
        for each in sorted(waiting, key=lambda each: each.problem == NOT_BEGUN):
            run = RunFolder(each.path)
            if status_of_worker(run.path).state == "finished":
                waiting.remove(each)
                continue
            problem = _start(run)
            waiting[waiting.index(each)] = Waiting(each.path, problem or NOT_BEGUN)
            if not problem:
                return run
    return None


def _start(run: RunFolder) -> str:
    """Start the worker of ``run``. Returns why it cannot be started; empty if it was."""
    try:
        launch.check_resume(run, {})
        launch.launch(run)
    except (CharLSTMError, OSError) as error:
        return str(error)
    return ""


def begin_or_wait(run: RunFolder) -> QueuedRun:
    """Start the next run, and say where ``run`` is now, which was put into the queue. Raises as :func:`start_next`
    does."""
    start_next()
    ended = QueuedRun(run, run.status(), 0, None, None)
    return next((each for each in read_queue() if each.run.path == located(run.path)), ended)


def live_runs() -> list[tuple[RunFolder, RunStatus]]:
    """The runs of this user that train or are paused on this machine."""
    found = ((run, run.status()) for run in folder.known_runs())
    return [(run, status) for run, status in found if status.alive and not status.elsewhere]


def read_queue() -> list[QueuedRun]:
    """The runs that train, then the waiting runs in order. Raises :class:`RunError` when the queue cannot be read."""
    waiting = [(run, run.status()) for run in (RunFolder(each.path) for each in queue_file.waiting_runs())]
    return arrange(live_runs(), [each for each in waiting if each[1].place is not None])


def arrange(
    live: Sequence[tuple[RunFolder, RunStatus]], waiting: Sequence[tuple[RunFolder, RunStatus]]
) -> list[QueuedRun]:
    """The runs that train and the runs that wait in this order, with begin and end where known."""
    found = []
    for run, status in live:
        left = None if status.state == "paused" else seconds_needed(run, status)
        found.append(QueuedRun(run, status, 0, 0.0, left))
    # one that is paused comes first: it alone needs somebody who does something
    ahead = min(live, key=lambda each: each[1].state != "paused", default=None)
    why = "no run trains now" if ahead is None else f"{ahead[0].name} is {ahead[1].state}"
    free = _latest([each.ends for each in found])
    for place, (run, status) in enumerate(waiting, 1):
        if status.start_problem:  # the others do not wait for it
            found.append(QueuedRun(run, status, place, None, None, status.start_problem))
            continue
        needed = seconds_needed(run, status)
        ends = None if free is None or needed is None else free + needed
        found.append(QueuedRun(run, status, place, free, ends, why))
        why, free = f"{run.name} comes first", ends
    return found


def _latest(ends: Sequence[float | None]) -> float | None:
    known = [each for each in ends if each is not None]
    return max(known, default=0.0) if len(known) == len(ends) else None


def seconds_needed(run: RunFolder, status: RunStatus) -> float | None:
    """Seconds for which ``run`` will still be trained: by its own figures, else by the speed that was measured for such
    a run on this machine, else its time limit; ``None`` without any of them."""
    if status.seconds_left is not None:
        return status.seconds_left
    if status.progress and status.work_seconds:
        return status.work_seconds * (1 / status.progress - 1)
    try:
        spec = run.spec()
    except RunError:
        return None
    estimated, minutes = _estimate(spec), spec.settings.max_minutes
    return 60 * minutes if estimated is None and minutes is not None else estimated


def _estimate(spec: RunSpec) -> float | None:
    """Seconds of the whole run; ``None`` where no speed was measured, or its text is not read yet."""
    settings, corpus = spec.settings, spec.corpus
    try:
        chars, symbols, validation = int(corpus["chars"]), len(corpus["counts"]), corpus.get("validation")
        val_chars = None if validation is None else int(validation["chars"])
        if val_chars is not None:
            chars, settings = chars - val_chars, settings.with_changes(val_fraction=0.0)
        measured = find_speed(settings, symbols, *batch_shape(settings, chars))
        if measured is None:
            return None
        return estimate(settings, chars, symbols, measured, val_chars=val_chars).seconds
    except (KeyError, TypeError, ValueError, SettingsError):
        return None
