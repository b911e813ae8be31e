"""The process that trains: it ties the trainer to a run's folder, and outlives whoever watches.

``python -P -m charlstm.runs.worker FOLDER`` is the detached form, :func:`run_foreground` the same in one's own process,
which under torchrun is rank 0: the other ranks are in :func:`run_other_rank`.
The one writer of the folder, by its lock. How training goes is the trainer's business, what the files look like that
of ``folder``, ``log`` and ``store``.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import faulthandler
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm import storage
from charlstm.errors import CharLSTMError, RunError
from charlstm.runs import launch, liveness, system
from charlstm.runs.control import ControlReader
from charlstm.runs.folder import Run, RunSpec
from charlstm.runs.liveness import Heartbeat, HeartbeatRecord
from charlstm.runs.log import EventLog, read_events
from charlstm.runs.series import RunSeries
from charlstm.runs.status import SESSION, state_after, state_in_log
from charlstm.runs.store import RunStore, load_state
from charlstm.runs.system import StopSignals
from charlstm.training.commands import Command
from charlstm.training.events import (
    Controlled,
    Event,
    Failed,
    Finished,
    Paused,
    Resumed,
    Started,
    Warned,
)
from charlstm.training.settings import Settings
from charlstm.training.torchrun import torchrun_rank

if TYPE_CHECKING:
    from charlstm.engine.distributed import Ranks
    from charlstm.model.file import Model
    from charlstm.text.corpus import Corpus, ReadProgress


RETRY = 1.0
"""Seconds between two tries to write on a disk that is full or gone."""

SAMPLE_CHARS = 300


PRIME_CHARS = 24


BEGINNING_CHARS = 100_000
"""So much of a text is looked at to learn how a new beginning is set off in it."""


BLANK_LINES = 20
"""One end of a line in so many is followed by an empty line where paragraphs are set off by these."""


REMOVAL = 0.2
"""Seconds in which the rest of a folder goes that is being deleted, when its log was the first to go."""

LOSSES = {
    "moved": "its folder was moved or replaced while it trained; resume it under its new name",
    "deleted": "its folder was deleted while it trained",
    "unlocked": "its file `lock` was removed while it trained, so that another worker may be on it; resume it",
}


LOG_RESTORED = "The event log was removed while the run trained; it was written again"


class _Ended(Exception):
    """The run was told to stop before training had begun, or while nothing can be written; or there is no run left."""


class _Lost(_Ended):
    """The folder is gone, or may be another worker's: nothing more is written."""


def run_foreground(run: Run, *, changes: Mapping[str, Any] | None = None) -> Generator[Event]:
    """Be the worker of ``run``: train it, or go on with it, and yield every event once it is in the log.

    The last event is ``finished`` or ``failed``, unless it was stopped before it began to train, or while nothing could
    be written. The first SIGINT, SIGTERM or SIGHUP checkpoints and ends; a second
    raises :class:`KeyboardInterrupt`. Closing the iterator counts as the first, and it should be closed when what is
    done with the events fails (``contextlib.closing``). Raises :class:`RunError` when another worker is on the run or
    it cannot go on. Under torchrun this is for rank 0, and the others are in :func:`run_other_rank`.
    """
    changes = dict(changes or {})
    launch.check_resume(run, changes)
    with StopSignals() as signals:
        yield from _Worker(run, changes, launch.control_size(run), signals, _join_as_rank_0).events()


def is_other_rank() -> bool:
    """Whether torchrun started this process as another rank than 0. Raises :class:`SettingsError`."""
    torchrun = torchrun_rank()
    return torchrun is not None and torchrun.rank > 0


def run_other_rank() -> None:
    """Compute for the run of rank 0 until that ends. A signal makes rank 0 checkpoint and end, as if it had been sent
    there. Raises :class:`CharLSTMError` when this process cannot take part or another is lost."""
    torchrun = torchrun_rank()
    assert torchrun is not None
    system.lower_priority()
    system.prepare_for_torch()
    from charlstm.engine import distributed, other_ranks

    with StopSignals() as signals:
        other_ranks.run_other_rank(distributed.join_process_group(torchrun, lambda: signals.asked is not None))


def _join_as_rank_0() -> Ranks:
    from charlstm.engine.distributed import join_as_rank_0

    return join_as_rank_0()


def _single_process() -> Ranks:
    from charlstm.engine.distributed import SINGLE_PROCESS

    return SINGLE_PROCESS


def main(arguments: list[str] | None = None) -> int:
    """The detached worker: its exit status is 0 after an orderly end, 2 after a failure, 130 when cut short."""
    parser = argparse.ArgumentParser(prog="charlstm.runs.worker", description="Train the run in FOLDER.")
    parser.add_argument("folder")
    parser.add_argument("--control-from", type=int, default=0, help="bytes of control.jsonl meant for earlier workers")
    parser.add_argument("--changes", type=json.loads, default={}, help="settings to change, as JSON")
    asked = parser.parse_args(arguments)
    faulthandler.enable()  # a crash inside a library leaves its last words in worker.log
    run = Run(Path(asked.folder).absolute())
    try:
        with StopSignals() as signals:
            events = _Worker(run, asked.changes, asked.control_from, signals).events()
            last = collections.deque(events, maxlen=1)
    except CharLSTMError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 2 if last and isinstance(last[0], Failed) else 0


class _Worker:
    def __init__(
        self,
        run: Run,
        changes: Mapping[str, Any],
        control_from: int,
        signals: StopSignals,
        join: Callable[[], Ranks] = _single_process,
    ) -> None:
        """``join`` finds the other processes of the training, once there is something to train on."""
        self._run = run
        self._join = join
        self._ranks: Ranks | None = None
        self._changes = changes
        self._signals = signals
        self._reader = ControlReader(run.control_path, control_from)
        self._heard: list[Command] = []
        self._stop_heard = False
        self._signal_told = False
        self._going_on = False
        self._begun = False
        self._watched = True
        self._moved = False
        self._warnings: list[str] = []

    def events(self) -> Iterator[Event]:
        """Everything from taking the lock to letting it go."""
        self._run.spec()  # before anything is made in a folder that is no run
        # both ask other programs on some systems, and no process may be forked once the lock is held
        found, beat = versions(), HeartbeatRecord(state="starting")
        system.lower_priority()
        with contextlib.ExitStack() as stack:
            self._lock = liveness.acquire_lock(self._run.lock_path)
            stack.callback(self._lock.release)
            stack.enter_context(storage.anchored(self._run.path, self._lock.folder))
            spec = self._run.spec()
            self._heart = stack.enter_context(Heartbeat(self._run.heartbeat_path, beat))
            _note(self._run, f"{SESSION}{os.getpid()} on {system.host()}, {time.strftime('%Y-%m-%d %H:%M:%S')} —")
            try:
                for folder in (self._run.path, self._run.snapshots_dir):
                    storage.remove_leftovers(folder)
                self._log = EventLog(self._run.events_path)
                stack.callback(self._log.close)
                self._series = RunSeries.of(read_events(self._run.events_path))
                stack.callback(self._close_ranks)
                yield from self._logged(spec, lambda: self._train(spec, found))
                if self._log.removed and self._lock.loss() is None and self._log.restore():
                    _note(self._run, LOG_RESTORED)  # since the last step, and no event comes after the last
                if self._moved and self._heart.beat.state == "stopped":
                    raise _Lost(LOSSES["moved"])
            except _Ended as ended:
                message = LOSSES["moved"] if self._moved else str(ended)
                if isinstance(ended, _Lost) and not self._moved:
                    self._heart.fall_silent()
                self._heart.update(state="stopped", message=message)
                if self._watched and (self._moved or isinstance(ended, _Lost)):
                    raise RunError(f"The run {self._run.name} ended: {message}") from None
            except OSError as error:  # nothing to write into, nothing to train for
                loss = self._lock.loss()
                message = explain(error, spec.settings) if loss is None else f"The run ended: {LOSSES[loss]}"
                self._heart.update(state="failed", message=message)
                raise RunError(message) from error
            except KeyboardInterrupt:
                self._heart.update(
                    state="stopped", message="it was cut short; a resume goes on from its last checkpoint"
                )
                raise

    def _close_ranks(self) -> None:
        if self._ranks is not None:
            self._ranks.close()

    def _logged(self, spec: RunSpec, train: Callable[[], Iterator[Event]]) -> Iterator[Event]:
        """The events of ``train``, each in the log before it is seen; whatever goes wrong becomes the last of them."""
        try:
            for event in train():
                self._record(event)
                try:
                    if self._watched:
                        yield event
                except GeneratorExit:  # whoever drew the events is gone: a terminal that was closed, a broken pipe
                    self._watched = False
                    self._signals.ask("closed")
        except (KeyboardInterrupt, _Ended):
            raise
        except BaseException as error:
            if storage.is_disk_trouble(error) and self._listen():
                raise _Ended(f"it was stopped while nothing could be written ({error})") from None
            message = explain(error, spec.settings)
            if not isinstance(error, CharLSTMError):
                _note(self._run, "".join(traceback.format_exception(error)).rstrip())
            if self._going_on and not self._begun:  # nothing has happened to the run
                self._heart.update(state=state_in_log(self._series), message=message)
                raise RunError(message) from error
            _note(self._run, message)
            self._heart.update(state="failed", message=message)
            failed = Failed(step=self._heart.beat.step, message=message)
            with contextlib.suppress(OSError, _Ended):
                self._record(failed)
            if self._watched:
                yield failed

    def _train(self, spec: RunSpec, found: dict[str, str]) -> Iterator[Event]:
        self._going_on = self._run.state_path.exists() or self._run.previous_state_path.exists()
        state, warning = load_state(self._run)
        if warning is not None:
            self._warnings.append(warning)
        corpus = self._corpus(spec)
        self._heart.update(message="loading torch")
        system.prepare_for_torch()
        from charlstm.engine.trainer import Trainer
        from charlstm.training.plan import Plan

        self._ranks = self._join()
        changes = {key: value for key, value in self._changes.items() if getattr(spec.settings, key) != value}
        settings = spec.settings.with_changes(**changes)
        vocabulary, model, plan = spec.vocabulary, None, spec.plan
        if state is None:
            plan = None if changes else plan  # what was measured was measured for other settings
            model = _start_model(spec)
            known = corpus.vocabulary if model is None else model.vocabulary.extended(corpus.vocabulary)
            vocabulary = tuple(known.symbols)
        amendment = {"time": time.time(), "step": 0 if state is None else state.step, "changes": changes}
        after = replace(
            spec,
            corpus=corpus.to_record(),
            settings=settings,
            vocabulary=vocabulary,
            versions=spec.versions or found,
            amendments=(*spec.amendments, amendment) if changes else spec.amendments,
            plan=plan,
        )
        prime = sample_prime(corpus)
        hooks: dict[str, Any] = {
            "sample": make_sampler(prime, settings.seed),
            "store": RunStore(self._run, after, self._log.sync),
            "commands": self._new_commands,
            "ranks": self._ranks,
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
            frozen = None if plan is None else Plan.from_dict(plan)
            trainer = Trainer(corpus, settings, start_from=model, plan=frozen, **hooks)
        else:
            replay = self._series.every_control
            trainer = Trainer.resume(corpus, settings, state, replay=replay, **hooks)
        state = model = None  # the trainer lets go of them in time; held here they would stay to the end
        if after != spec:
            self._patiently(lambda: self._run.write_spec(after))
        self._heart.update(message="taking up its exact state" if self._going_on else "measuring what is fastest here")
        for event in trainer.events():
            yield event
            while self._warnings:
                yield Warned(step=event.step, message=self._warnings.pop(0))

    def _corpus(self, spec: RunSpec) -> Corpus:
        """The text: the very one that the run knows, or at its first start what was named."""
        from charlstm.text.corpus import open_corpus, reopen_corpus
        from charlstm.text.reading import TextOptions

        self._heart.update(message=f"reading {spec.corpus_name}")
        record = spec.corpus
        if record.get("fingerprint"):
            return reopen_corpus(record, progress=self._reading)
        sources, options = record["sources"], TextOptions.from_dict(record.get("options", {}))
        return open_corpus(sources if len(sources) > 1 else sources[0], options, progress=self._reading)

    def _reading(self, progress: ReadProgress) -> None:
        self._check_folder()
        if self._signals.asked:
            raise _Ended("it was stopped while the text was being read")
        done = f", {progress.done / progress.total:.0%}" if progress.total else ""
        self._heart.update(message=f"{progress.stage}{done}")

    def _listen(self) -> bool:
        """Take in what people asked, and say whether somebody, or a signal, asked to end. The trainer hears of it
        between two steps only, and while nothing can be written there are none."""
        self._check_folder()
        if not self._moved:  # else these may be another run's
            self._heard += self._reader()
        self._stop_heard = self._stop_heard or any(command.command == "stop" for command in self._heard)
        return self._stop_heard or self._signals.asked is not None

    def _check_folder(self) -> None:
        """See to it that this process writes into its own run only. One that was moved is told to stop and keeps its
        state where it is now; in one that is gone, or may be another worker's, nothing more is written."""
        loss = self._lock.loss()
        if loss is None and not self._moved and self._log.removed:
            time.sleep(REMOVAL)
            loss = self._lock.loss() or (None if self._lock.is_a_run else "deleted")
        if loss == "moved":
            self._moved = True
            self._signals.ask("moved")
        elif loss is not None:
            raise _Lost(LOSSES[loss])
        elif not self._moved and self._log.removed and self._log.restore():
            self._warnings.append(LOG_RESTORED)

    def _new_commands(self) -> list[Command]:
        """What people asked between two steps; the first signal is a ``stop``."""
        self._listen()
        commands, self._heard = self._heard, []
        if self._ranks is not None and self._ranks.stop_requested:
            self._signals.ask("rank")
        if self._signals.asked and not self._signal_told:
            self._signal_told = True
            commands.append(Command(self._signals.asked, "stop"))
        return commands

    def _record(self, event: Event) -> None:
        """Into the log and the heartbeat. What a person must be able to rely on is synced at once."""
        sync = isinstance(event, (Started, Controlled, Resumed, Finished, Failed))
        self._patiently(lambda: self._log.append(event), lambda: self._log.sync() if sync else None)
        self._series.feed([event])
        self._begun = True
        self._heart.update(**_said(event), **_figures(self._series))

    def _patiently(self, *writes: Callable[[], None]) -> None:
        """Do each of ``writes`` once, waiting while the disk is full, read-only or gone."""
        before = self._heart.beat
        for write in writes:
            while True:
                try:
                    write()
                    break
                except OSError as error:
                    if not storage.is_disk_trouble(error):
                        raise
                    if self._listen():
                        raise _Ended(f"it was stopped while nothing could be written ({error.strerror})") from None
                    why = f"waiting until {self._run.path} can be written again: {error.strerror}"
                    self._heart.update(state="waiting", message=why)
                    time.sleep(RETRY)
        if self._heart.beat.state == "waiting" and before.state != "waiting":
            self._heart.update(state=before.state, message=before.message)


def sample_prime(corpus: Corpus) -> str:
    """The first words of the text's first real line: what all samples of a run start from."""
    start = corpus.text(0, 4000)
    lines = [line.strip() for line in start.split("\n")]
    line = next((line for line in lines if len(line) >= PRIME_CHARS), max(lines, key=len, default=""))
    if len(line) <= PRIME_CHARS:
        return line
    words = line[: PRIME_CHARS + 1].rpartition(" ")[0]
    return words or line[:PRIME_CHARS]


def text_start(corpus: Corpus) -> str:
    """What comes before a new beginning in this text: an empty line where it has such lines, else the end of a line."""
    text = corpus.text(0, BEGINNING_CHARS)
    return "\n\n" if BLANK_LINES * text.count("\n\n") >= text.count("\n") > 0 else "\n"


def make_sampler(prime: str, seed: int) -> Callable[[Model], tuple[str, str]]:
    """Writes ``(prime, text)`` with a model; prime and seed are the same each time, so that one sees it learn."""

    def sample(model: Model) -> tuple[str, str]:
        from charlstm.generation.session import Session
        from charlstm.generation.threads import blas_threads

        with blas_threads(1):  # and give training its threads back
            session = Session(model, prime, seed=seed)
            return prime, "".join(step.char for step in session.stream(SAMPLE_CHARS))

    return sample


def _start_model(spec: RunSpec) -> Model | None:
    if spec.lineage is None:
        return None
    from charlstm.model.file import load_model

    return load_model(spec.lineage["from"])


def _figures(series: RunSeries) -> dict[str, Any]:
    """What a list of runs shows, for the heartbeat."""
    return {
        "step": series.step,
        "planned": series.planned_steps,
        "best_val": series.best_val,
        "best_whole": series.best_whole,
        "best_step": series.best_step,
        "train_seconds": series.train_seconds,
    }


def _said(event: Event) -> dict[str, Any]:
    """How ``event`` changes the state and what is said of it."""
    match event:
        case Started() | Resumed():
            return {"state": "running", "message": ""}
        case Paused(reason="asked"):
            return {"state": "paused", "message": ""}
        case Paused():
            return {"state": "waiting", "message": event.reason}
        case Finished(reason="diverged"):
            message = f"the loss was no longer a number after step {event.step:,}; a lower rate may help"
            return {"state": state_after("diverged"), "message": message}
        case Finished():
            return {"state": state_after(event.reason), "message": ""}
        case Failed():
            return {"state": "failed", "message": event.message}
        case _:
            return {}


def _note(run: Run, text: str) -> None:
    """A line for ``worker.log``, whichever streams this process has; never worth failing for."""
    with contextlib.suppress(OSError):
        storage.append_line(run.log_path, text.encode("utf-8", errors="backslashreplace"))


_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "alloc failed",
)


def explain(error: BaseException, settings: Settings) -> str:
    """One sentence on ``error``: what happened, and what to do."""
    if isinstance(error, CharLSTMError):
        return str(error)
    if is_out_of_memory(error):
        return (
            f"Memory ran out: reduce batch_size (it is {settings.batch_size}), seq_length ({settings.seq_length}) "
            f"or hidden_size ({settings.hidden_size}), then start anew"
        )
    if storage.is_disk_trouble(error):
        assert isinstance(error, OSError)
        where = f" ({error.filename})" if error.filename else ""
        return f"The disk could not be used: {error.strerror}{where}; make room or mend it, then resume"
    words = " ".join(str(error).split())[:200]
    return (
        f"The program made a mistake ({type(error).__name__}: {words}); worker.log in the run's folder has the details"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` is Python's, numpy's, the CPU allocator's or a graphics card's way to say that."""
    if isinstance(error, MemoryError):
        return True
    named = type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _MEMORY_WORDS))


def versions() -> dict[str, str]:
    """What a run is made with: program, Python, libraries, system."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for name, package in (("charlstm", "charlstm-tui"), ("torch", "torch"), ("numpy", "numpy")):
        try:
            found[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
