"""The worker: the process that trains a run and writes its log, models and states.

``python -P -m charlstm.runs.worker FOLDER`` is the detached worker; :func:`run_foreground` is the same in the calling
process. Under torchrun that process is rank 0, and the others call :func:`train_as_other_rank`.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import faulthandler
import importlib
import json
import os
import platform
import select
import sys
import time
import traceback
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm import storage, system
from charlstm.errors import CharLSTMError, ExitCode, ModelError, RunError
from charlstm.generation.samples import make_sampler, sample_prime, text_start
from charlstm.runs import launch, liveness, on_end, queue, queue_file
from charlstm.runs.contention import BACKGROUND_NICENESS, FOREGROUND_NICENESS
from charlstm.runs.control import ControlReader
from charlstm.runs.failures import describe_failure
from charlstm.runs.folder import RunFolder, RunSpec
from charlstm.runs.index import remember_run
from charlstm.runs.liveness import Heartbeat, HeartbeatRecord, LockHeldError
from charlstm.runs.log import EventLog, read_events
from charlstm.runs.recording import CommandInbox, EventRecorder, ShowValidation, StoppedEarlyError
from charlstm.runs.series import RunSeries
from charlstm.runs.status import WORKER_LINE, RunState, state_in_log
from charlstm.runs.store import RunStore, load_state, remove_copies
from charlstm.runs.text import keep_text, open_text
from charlstm.system import StopSignals
from charlstm.training.events import Event, Failed, Warned
from charlstm.training.hooks import Hooks
from charlstm.training.plan import MOST_START_SHARE

if TYPE_CHECKING:
    from charlstm.engine.distributed import Ranks
    from charlstm.engine.trainer import Trainer
    from charlstm.text.corpus import Corpus, ReadProgress
    from charlstm.training.commands import Command
    from charlstm.training.settings import Settings
    from charlstm.training.state import TrainingState
    from charlstm.training.torchrun import TorchrunRank


PREPARED_SECONDS = 600.0
"""How long a process that has loaded torch waits for a run: it takes some 200 MB meanwhile."""


def run_foreground(
    run: RunFolder,
    *,
    changes: Mapping[str, Any] | None = None,
    show_validation: ShowValidation | None = None,
) -> Generator[Event]:
    """Train ``run`` in this process, from its start or from its last checkpoint, and yield every event once it is in
    the log. ``show_validation`` is called in the final validation, which has no events.

    The last event is ``finished`` or ``failed``, unless the run is stopped before training begins or while nothing can
    be written. The first SIGINT, SIGTERM or SIGHUP writes a checkpoint and ends the run; a second, or one before there
    is an event, raises :class:`KeyboardInterrupt` with its name. Closing the iterator counts as the first signal; close
    it when handling an event fails (``contextlib.closing``). Raises :class:`RunError` when another worker is on the run
    or it cannot be resumed. Under torchrun only rank 0 calls this.
    """
    changes = dict(changes or {})
    launch.check_resume(run, changes)
    with StopSignals() as signals, _turn(run, signals):
        read = launch.control_size(run)
        began = yield from _work(run, changes, read, signals, foreground=True, show_validation=show_validation)
        if signals.requested is not None and not began:  # no event says that a signal ended the run
            raise KeyboardInterrupt(signals.requested)


def train_as_other_rank(torchrun: TorchrunRank) -> None:
    """Compute for the run of rank 0 until that ends. A signal makes rank 0 checkpoint and end, as if it had been sent
    there. Raises :class:`CharLSTMError` when this process cannot take part or another is lost."""
    system.lower_priority(FOREGROUND_NICENESS)
    system.prepare_for_torch()
    from charlstm.engine import distributed, other_ranks

    with StopSignals() as signals:
        other_ranks.run_other_rank(distributed.join_process_group(torchrun, lambda: signals.requested is not None))


def main(arguments: list[str] | None = None) -> int:
    """Run the detached worker. Nobody waits for it at a terminal, so its exit code is 0 after a first signal too, as
    after every orderly end; after a failure and a second signal it is that of the command."""
    parser = argparse.ArgumentParser(prog="charlstm.runs.worker", description="Train the run in FOLDER.")
    parser.add_argument("folder", help="- to load torch and wait for the arguments on standard input")
    parser.add_argument("--control-from", type=int, default=0, help="bytes of control.jsonl meant for earlier workers")
    parser.add_argument("--changes", type=json.loads, default={}, help="settings to change, as JSON")
    system.own_process()
    options = parser.parse_args(arguments)
    if options.folder == "-":
        if not (given := _wait_for_arguments()):
            return ExitCode.DONE
        options = parser.parse_args(given)
    faulthandler.enable()  # a crash inside a library leaves its reason in worker.log
    run = RunFolder(Path(options.folder).absolute())
    with StopSignals() as signals, _turn(run, signals):
        try:
            events = _work(run, options.changes, options.control_from, signals, foreground=False)
            last = collections.deque(events, maxlen=1)
        except CharLSTMError as error:
            print(error, file=sys.stderr)
            if not isinstance(error, LockHeldError):
                _report_failed_start(run, str(error))
            return ExitCode.FAILED
        except KeyboardInterrupt as error:
            return ExitCode.of_signal(*error.args or ["SIGINT"])
    return ExitCode.FAILED if last and isinstance(last[0], Failed) else ExitCode.DONE


def _wait_for_arguments() -> list[str]:
    """Load torch, and wait for the arguments of a worker, whose ``worker.log`` gets the output from then on. Empty
    where none come: who prepared this process has ended, or starts no run."""
    system.prepare_for_torch()
    importlib.import_module("charlstm.engine.trainer")  # with its imports
    if not select.select([sys.stdin], [], [], PREPARED_SECONDS)[0]:
        return []
    arguments: list[str] = json.loads(sys.stdin.read() or "[]")
    if arguments:
        log = storage.disk.open(RunFolder(Path(arguments[0])).log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for descriptor, opened in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
            os.dup2(opened, descriptor)
    return arguments


@contextlib.contextmanager
def _turn(run: RunFolder, signals: StopSignals) -> Iterator[None]:
    """Take ``run`` out of the queue for the block, in which it is trained, and then call the program of ``on_end`` if
    it has ended, and start the next run. What is wrong with the queue is said in ``worker.log``, and ends no run."""
    try:
        queue_file.remove_from_queue(run.path)
    except RunError as error:
        append_to_worker_log(run, str(error))
    log_size, beat = _log_size(run), liveness.read_heartbeat(run.heartbeat_path)
    try:
        yield
    finally:
        last = liveness.read_heartbeat(run.heartbeat_path)
        ended = {"failed": True, "finished": _log_size(run) != log_size}
        # A worker that ends before its first heartbeat leaves the heartbeat of an earlier worker.
        if last is not None and last != beat and last.pid == os.getpid() and ended.get(last.state):
            call_on_end(run)
        begin_next(run, signals.requested)


def _log_size(run: RunFolder) -> int:
    with contextlib.suppress(OSError):
        return run.events_path.stat().st_size
    return 0


def call_on_end(run: RunFolder) -> None:
    """Call the program of ``on_end`` with ``run``, which has ended. What is wrong with that is said in ``worker.log``
    and in the status of the run."""
    if not (problem := on_end.call_on_end(run)):
        return
    append_to_worker_log(run, problem)
    with contextlib.suppress(OSError, RunError):  # RunError: the run has another worker by now
        lock = liveness.acquire_lock(run.lock_path, patience=0)
        try:
            if (last := liveness.read_heartbeat(run.heartbeat_path)) is not None:
                message = "; ".join(filter(None, (last.message, problem)))
                liveness.write_heartbeat(run.heartbeat_path, replace(last, message=message))
        finally:
            lock.release()


def begin_next(ended: RunFolder, signal: str | None) -> None:
    """Start the next run of the queue after ``ended``, whose ``worker.log`` says what is wrong with the queue, unless
    that was ended by SIGTERM: when the machine is shut down every process gets that, and the next run would be killed
    in its first seconds."""
    if signal == "SIGTERM":
        return
    try:
        queue_file.remove_from_queue(ended.path)  # if that was not possible before
        queue.start_next()
    except RunError as error:
        append_to_worker_log(ended, str(error))


def _work(
    run: RunFolder,
    changes: Mapping[str, Any],
    control_from: int,
    signals: StopSignals,
    *,
    foreground: bool,
    show_validation: ShowValidation | None = None,
) -> Generator[Event, None, bool]:
    """Take the run's lock, start the heartbeat, open the log, train, and release all of them. Returns whether there was
    an event.

    ``control_from``: bytes of ``control.jsonl`` that were meant for earlier workers. ``foreground``: somebody waits for
    this process, and torchrun may have started others with it.
    """
    settings = run.spec().settings  # raises for a folder that is not a run, before anything is created in it
    remember_run(run.path)  # its folder may have been moved or copied
    # both start another program on some systems, and a process must not fork while it holds the lock
    versions, first_record = _software_versions(), HeartbeatRecord(state="starting")
    wanted = changes.get("niceness", settings.niceness)
    usual = FOREGROUND_NICENESS if foreground else BACKGROUND_NICENESS
    niceness = usual if wanted is None else wanted
    recorder: EventRecorder | None = None
    with contextlib.ExitStack() as stack:
        lock = liveness.acquire_lock(run.lock_path)
        stack.callback(lock.release)
        stack.enter_context(storage.anchored(run.path, lock.folder))
        spec = run.spec()
        spec = replace(spec, versions=spec.versions or versions)
        heartbeat = stack.enter_context(Heartbeat(run.heartbeat_path, first_record))
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        append_to_worker_log(run, f"{WORKER_LINE}{os.getpid()} on {system.host()}, {now} —")
        try:
            run.remove_leftovers()
            log = EventLog(run.events_path)
            stack.callback(log.close)
            series = RunSeries.of(read_events(run.events_path))
            inbox = CommandInbox(ControlReader(run.control_path, control_from), signals, lock, log)
            recorder = EventRecorder(run, log, heartbeat, series, inbox, show_validation)
            changes = {name: value for name, value in changes.items() if getattr(spec.settings, name) != value}
            unread = launch.unread_commands(run, series, control_from)
            warnings = [] if unread is None else [unread]
            training = _Training(run, spec, changes, log, heartbeat, inbox, recorder, foreground, warnings, niceness)
            yield from training.events()
        except OSError as error:  # nothing can be written, so nothing can be trained
            problem = lock.problem()
            message = f"The run ended: {problem}" if problem else describe_failure(error, spec.settings)
            heartbeat.update(state="failed", message=message)
            raise RunError(message) from error
        except CharLSTMError as error:
            if heartbeat.record.state == "starting":  # such as a log that cannot be read
                heartbeat.update(state=_state_before(run) or "failed", message=str(error))
            raise
        except KeyboardInterrupt:
            began = recorder is not None and recorder.any_recorded
            if not began and _state_before(run) == "finished":
                heartbeat.update(state="finished", message="a resume was interrupted before it began")
            else:
                message = "it was interrupted; a resume continues from its last checkpoint"
                heartbeat.update(state="stopped", message=message)
            raise
    return recorder.any_recorded


@dataclass(slots=True)
class _Training:
    """The training of a run by one worker, which holds the run's lock."""

    _run: RunFolder
    _spec: RunSpec
    _changes: Mapping[str, Any]
    _log: EventLog
    _heartbeat: Heartbeat
    _inbox: CommandInbox
    _recorder: EventRecorder
    _foreground: bool
    _warnings: list[str]
    """To be logged after the first event."""
    _niceness: int
    """That of the training steps. A person waits for the start, which beside two busy processes on two cores took five
    times as long with a niceness of 10: 51 s instead of 11."""
    _started: float = field(default_factory=time.perf_counter)
    _is_watched: bool = True
    """Whether the caller still takes events."""

    def events(self) -> Iterator[Event]:
        """Train; every event is yielded once it is in the log."""
        try:
            yield from self._recorded_events()
        except StoppedEarlyError as stopped:
            state = "finished" if self._state_before() == "finished" else "stopped"
            self._heartbeat.update(state=state, message=str(stopped))
        if self._inbox.problem and self._heartbeat.record.state == "stopped":
            self._heartbeat.update(message=self._inbox.problem)
            if self._is_watched:
                raise RunError(f"The run {self._run.name} ended: {self._inbox.problem}")

    def _recorded_events(self) -> Iterator[Event]:
        """The events of the trainer, each recorded before it is yielded. An exception becomes a last event,
        ``failed``."""
        try:
            for event in self._trainer_events():
                recorded = self._recorder.record(event)
                try:
                    if self._is_watched:
                        yield recorded
                except GeneratorExit:  # nobody takes events any more: a closed terminal, a broken pipe
                    self._is_watched = False
                    self._inbox.signals.request_stop("closed")
        except (KeyboardInterrupt, StoppedEarlyError):
            raise
        except BaseException as error:
            if storage.is_disk_trouble(error) and self._inbox.stop_requested():
                raise StoppedEarlyError(f"it was stopped while nothing could be written ({error})") from None
            if isinstance(error, OSError) and self._inbox.check_folder():
                raise StoppedEarlyError(self._inbox.problem) from None
            message = describe_failure(error, self._spec.settings)
            if not isinstance(error, CharLSTMError):
                append_to_worker_log(self._run, "".join(traceback.format_exception(error)).rstrip())
            if (state := self._state_before()) is not None:
                self._heartbeat.update(state=state, message=message)
                raise RunError(message) from error
            append_to_worker_log(self._run, message)
            self._heartbeat.update(state="failed", message=message)
            failed = Failed(step=self._heartbeat.record.step, message=message)
            with contextlib.suppress(OSError, StoppedEarlyError):
                self._recorder.record(failed)
            if self._is_watched:
                yield failed

    def _trainer_events(self) -> Iterator[Event]:
        """Read the text, load torch, build the trainer and run it."""
        state, warning = load_state(self._run)
        warnings = list(self._warnings)
        if warning is not None:
            warnings.append(warning)
            # the good one takes the place of the damaged one, which the next checkpoint would put into its place
            self._recorder.retry(lambda: storage.disk.rename(self._run.previous_state_path, self._run.state_path))
        corpus, record = self._open_corpus()
        self._heartbeat.update(message="loading torch")
        system.prepare_for_torch()
        from charlstm.engine.distributed import SINGLE_PROCESS, join_as_rank_0

        with contextlib.closing(join_as_rank_0() if self._foreground else SINGLE_PROCESS) as ranks:
            trainer, spec = self._make_trainer(corpus, record, ranks, state)
            if spec != self._spec:
                self._recorder.retry(lambda: self._run.write_spec(spec))
            starting = "measuring what is fastest on this machine" if state is None else "loading its exact state"
            self._heartbeat.update(message=starting)
            state = None  # the trainer frees the arrays of the state after loading
            waits = True
            for event in trainer.events():
                if waits and event.step:
                    waits = False
                    system.lower_priority(self._niceness)
                yield event
                while warnings:
                    yield Warned(step=event.step, message=warnings.pop(0))
            if state_in_log(self._recorder.series) == "finished" and not self._inbox.check_folder():
                with contextlib.suppress(OSError, ModelError):  # they only take space
                    remove_copies(self._run)

    def _state_before(self) -> RunState | None:
        """The state that the run had before this worker, and has again because nothing was recorded. ``None`` for one
        without a checkpoint, and once an event is recorded."""
        return None if self._recorder.any_recorded else _state_before(self._run, self._recorder.series)

    def _start_seconds(self, settings: Settings) -> float:
        """Seconds since the start of the worker that count as part of ``max_minutes``, so that a run takes that time by
        the clock. To read the text does not: a large one may take longer than the whole run."""
        limit = 60 * settings.max_minutes if settings.max_minutes is not None else 0.0
        return min(time.perf_counter() - self._started, MOST_START_SHARE * limit)

    def _open_corpus(self) -> tuple[Corpus, dict[str, Any]]:
        """The text of the run, or at its first start the one that was named, and what ``run.json`` says of it from now
        on."""
        self._heartbeat.update(message=f"reading {self._spec.corpus_name}")
        before = time.perf_counter()
        try:
            corpus = self._read_corpus()
            return corpus, self._recorder.retry(lambda: keep_text(self._run, corpus))
        finally:
            self._started += time.perf_counter() - before

    def _read_corpus(self) -> Corpus:
        from charlstm.text.corpus import open_corpus
        from charlstm.text.reading import TextOptions

        record = self._spec.corpus
        if record.get("fingerprint"):
            return open_text(self._run, progress=self._show_reading)
        sources, options = record["sources"], TextOptions.from_dict(record["options"])
        validation = self._spec.validation_sources or None
        return open_corpus(sources, options, validation=validation, progress=self._show_reading)

    def _show_reading(self, progress: ReadProgress) -> None:
        if self._inbox.stop_requested():
            raise StoppedEarlyError("it was stopped while the text was being read")
        done = f", {progress.done / progress.total:.0%}" if progress.total else ""
        self._heartbeat.update(message=f"{progress.stage}{done}")

    def _make_trainer(
        self, corpus: Corpus, record: dict[str, Any], ranks: Ranks, state: TrainingState | None
    ) -> tuple[Trainer, RunSpec]:
        """The trainer, and what ``run.json`` says from now on."""
        from charlstm.engine.trainer import Trainer
        from charlstm.model.file import load_model
        from charlstm.runs.start_models import with_passages
        from charlstm.training.plan import read_plan

        spec, changes = self._spec, self._changes
        settings = spec.settings.with_changes(**changes)
        plan = None if state is None and changes else spec.plan  # it was measured for other settings
        new_spec = replace(spec, corpus=record, settings=settings, plan=plan)

        def new_commands() -> list[Command]:
            if ranks.stop_requested:
                self._inbox.signals.request_stop("rank")
            return self._inbox.take()

        prime = sample_prime(corpus)
        connected: dict[str, Any] = {
            "store": RunStore(self._run, new_spec, self._log.sync),
            "hooks": Hooks(
                sample=make_sampler(prime, settings.seed),
                commands=new_commands,
                validation_progress=self._recorder.report_validation,
            ),
            "ranks": ranks,
            "logged_until": self._recorder.series.step,
            "info": {
                "run": self._run.name,
                "corpus": corpus.name,
                "preset": spec.preset,
                "lineage": spec.lineage,
                "prime": prime,
                "start": text_start(corpus),
                "frequent": corpus.vocabulary.symbols[int(corpus.counts.argmax())],
            },
        }
        if state is None:
            trainer = Trainer(
                corpus,
                settings,
                start_from=None if spec.lineage is None else with_passages(load_model(spec.lineage["from"])),
                plan=None if plan is None else read_plan(plan),
                spent=self._start_seconds(settings),
                **connected,
            )
        else:
            trainer = Trainer.resume(corpus, settings, state, **connected)
        return trainer, new_spec


def _software_versions() -> dict[str, str]:
    """What the run is made with: the versions of the program, Python and libraries, and the system."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for name, package in (("charlstm", "charlstm-tui"), ("torch", "torch"), ("numpy", "numpy")):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(package)
    return found


def _report_failed_start(run: RunFolder, message: str) -> None:
    """Say in the heartbeat that ``launch`` wrote why this worker, whose process it names, has none of its own. Else the
    run would be taken for one whose worker was killed."""
    beat = liveness.read_heartbeat(run.heartbeat_path)
    if beat is not None and beat.state == "starting" and beat.pid == os.getpid():
        state = _state_before(run) or "failed"
        with contextlib.suppress(OSError):
            liveness.write_heartbeat(run.heartbeat_path, replace(beat, state=state, message=message, time=time.time()))


def _state_before(run: RunFolder, series: RunSeries | None = None) -> RunState | None:
    """The state in which an earlier worker left a run that has a checkpoint, by its log, whose ``series`` may be given.
    ``None`` without a checkpoint, or when either cannot be read."""
    with contextlib.suppress(OSError, RunError):
        if storage.exists(run.state_path) or storage.exists(run.previous_state_path):
            return state_in_log(RunSeries.of(read_events(run.events_path)) if series is None else series)
    return None


def append_to_worker_log(run: RunFolder, text: str) -> None:
    """Append ``text`` to ``worker.log``, whichever streams this process has. A full disk is ignored."""
    with contextlib.suppress(OSError):
        storage.append_line(run.log_path, text.encode("utf-8", errors="backslashreplace"))


if __name__ == "__main__":
    sys.exit(main())
