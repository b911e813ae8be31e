"""The process that trains: it ties the trainer to a run's folder, and outlives whoever watches.

``python -P -m charlstm.runs.worker FOLDER`` is the detached form, :func:`run_foreground` the same in one's own process.
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
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm import storage
from charlstm.errors import CharLSTMError
from charlstm.runs import launch, lock, system
from charlstm.runs.control import ControlReader
from charlstm.runs.failures import explain, versions
from charlstm.runs.folder import Run, RunSpec
from charlstm.runs.heartbeat import Heartbeat
from charlstm.runs.log import EventLog, read_events
from charlstm.runs.signals import Signals
from charlstm.runs.status import SESSION, final_state
from charlstm.runs.store import RunStore, load_state
from charlstm.training.events import (
    Controlled,
    Event,
    Failed,
    Finished,
    Paused,
    Resumed,
    Started,
    Stepped,
    Validated,
    Warned,
)
from charlstm.training.seams import Command

if TYPE_CHECKING:
    from charlstm.model.file import Model
    from charlstm.text.corpus import Corpus, Progress
    from charlstm.training.trainer import Trainer

RETRY = 1.0
"""Seconds between two tries to write on a disk that is full or gone."""

SAMPLE_CHARS = 300
PRIME_CHARS = 24


class _Ended(Exception):
    """The run was told to stop before training had begun, or while nothing can be written."""


def run_foreground(run: Run, *, changes: Mapping[str, Any] | None = None) -> Iterator[Event]:
    """Be the worker of ``run``: train it, or go on with it, and yield every event once it is in the log.

    The last event is ``finished`` or ``failed``. The first SIGINT, SIGTERM or SIGHUP checkpoints and ends; a second
    raises :class:`KeyboardInterrupt`. Abandoning the iterator counts as the first. Raises :class:`RunError` when
    another worker is on the run or it cannot go on.
    """
    changes = dict(changes or {})
    launch.check_resume(run, changes)
    with Signals() as signals:
        yield from _Worker(run, changes, launch.control_size(run), signals).events()


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
        with Signals() as signals:
            events = _Worker(run, asked.changes, asked.control_from, signals).events()
            last = collections.deque(events, maxlen=1)
    except CharLSTMError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 2 if last and isinstance(last[0], Failed) else 0


class _Worker:
    def __init__(self, run: Run, changes: Mapping[str, Any], control_from: int, signals: Signals) -> None:
        self._run = run
        self._changes = changes
        self._signals = signals
        self._reader = ControlReader(run.control_path, control_from)
        self._signal_told = False
        self._step = 0

    def events(self) -> Iterator[Event]:
        """Everything from taking the lock to letting it go."""
        spec = self._run.spec()
        found = versions()  # asks other programs on some systems, and no process may be forked once the lock is held
        system.step_back()
        with contextlib.ExitStack() as stack:
            stack.callback(lock.take(self._run.lock_path).release)
            self._heart = stack.enter_context(Heartbeat(self._run.heartbeat_path))
            _note(self._run, f"{SESSION}{os.getpid()} on {system.host()}, {time.strftime('%Y-%m-%d %H:%M:%S')} —")
            try:
                for folder in (self._run.path, self._run.snapshots_dir):
                    storage.remove_leftovers(folder)
                self._log = EventLog(self._run.events_path)
                stack.callback(self._log.close)
                yield from self._logged(lambda: self._train(spec, found))
            except _Ended as ended:
                self._heart.update(state="stopped", message=str(ended))
            except KeyboardInterrupt:
                self._heart.update(
                    state="stopped", message="it was cut short; a resume goes on from its last checkpoint"
                )
                raise

    def _logged(self, train: Callable[[], Iterator[Event]]) -> Iterator[Event]:
        """The events of ``train``, each in the log before it is seen; whatever goes wrong becomes the last of them."""
        try:
            for event in train():
                self._record(event)
                try:
                    yield event
                except GeneratorExit:  # whoever drew the events is gone: a terminal that was closed, a broken pipe
                    self._signals.ask("closed")
        except (KeyboardInterrupt, _Ended):
            raise
        except BaseException as error:
            message = explain(error, self._run.spec().settings)
            if not isinstance(error, CharLSTMError):
                _note(self._run, "".join(traceback.format_exception(error)).rstrip())
            _note(self._run, message)
            self._heart.update(state="failed", message=message)
            failed = Failed(step=self._step, message=message)
            with contextlib.suppress(OSError, _Ended):
                self._record(failed)
            yield failed

    def _train(self, spec: RunSpec, found: dict[str, str]) -> Iterator[Event]:
        spec, corpus = self._open(spec, found)
        self._heart.update(message="loading torch")
        from charlstm.training.seams import Plan
        from charlstm.training.trainer import Trainer

        info = {
            "run": self._run.name,
            "corpus": corpus.name,
            "preset": spec.preset,
            "settings": spec.settings.to_dict(),
            "lineage": spec.lineage,
            "prime": opening(corpus),
            "frequent": corpus.vocabulary.symbols[int(corpus.counts.argmax())],
        }
        seams: dict[str, Any] = {
            "sample": sampler(str(info["prime"]), spec.settings.seed),
            "store": RunStore(self._run, self._log.sync),
            "inbox": self._inbox,
            "info": info,
        }
        state, warning = load_state(self._run)
        trainer: Trainer
        if state is None:
            model = _start_model(spec)
            plan = None if spec.plan is None else Plan.from_dict(spec.plan)
            trainer = Trainer(corpus, spec.settings, start_from=model, plan=plan, **seams)
        else:
            asked = [event for event in read_events(self._run.events_path) if isinstance(event, Controlled)]
            trainer = Trainer.resume(corpus, spec.settings, state, replay=asked, **seams)
        self._heart.update(message="")
        for number, event in enumerate(trainer.events()):
            yield event
            if warning is not None and number == 0:
                yield Warned(step=event.step, message=warning)

    def _open(self, spec: RunSpec, found: dict[str, str]) -> tuple[RunSpec, Corpus]:
        """The text, and the spec with what was found out; changes that were asked for become an amendment."""
        from charlstm.text.corpus import open_corpus, reopen_corpus
        from charlstm.text.reading import TextOptions

        self._heart.update(message=f"reading {spec.corpus_name}")
        record = spec.corpus
        if record.get("fingerprint"):
            corpus = reopen_corpus(record, progress=self._reading)
        else:
            sources, options = record["sources"], TextOptions.from_dict(record.get("options", {}))
            corpus = open_corpus(sources if len(sources) > 1 else sources[0], options, progress=self._reading)
        after = replace(
            spec,
            corpus=corpus.to_record(),
            vocabulary=tuple(corpus.vocabulary.symbols),
            versions=spec.versions or found,
        )
        changes = {key: value for key, value in self._changes.items() if getattr(spec.settings, key) != value}
        if changes:
            amendment = {"time": time.time(), "step": self._heart.beat.step, "changes": changes}
            after = replace(
                after, settings=spec.settings.with_changes(**changes), amendments=(*spec.amendments, amendment)
            )
        if after != spec:
            self._patiently(lambda: self._run.write_spec(after))
        return after, corpus

    def _reading(self, progress: Progress) -> None:
        if self._signals.asked:
            raise _Ended("it was stopped while the text was being read")
        done = f", {progress.done / progress.total:.0%}" if progress.total else ""
        self._heart.update(message=f"{progress.stage}{done}")

    def _inbox(self) -> list[Command]:
        """What people asked between two steps; the first signal is a ``stop``."""
        commands = list(self._reader())
        if self._signals.asked and not self._signal_told:
            self._signal_told = True
            commands.append(Command(self._signals.asked, "stop", None, self._reader.position))
        return commands

    def _record(self, event: Event) -> None:
        """Into the log and the heartbeat. What a person must be able to rely on is synced at once."""
        self._step = event.step
        sync = isinstance(event, (Started, Controlled, Resumed, Finished, Failed))
        self._patiently(lambda: self._log.append(event), lambda: self._log.sync() if sync else None)
        self._heart.update(**_figures(event))

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
                    if self._signals.asked:
                        raise _Ended(f"it was stopped while nothing could be written ({error.strerror})") from None
                    why = f"waiting until {self._run.path} can be written again: {error.strerror}"
                    self._heart.update(state="waiting", message=why)
                    time.sleep(RETRY)
        if self._heart.beat.state == "waiting" and before.state != "waiting":
            self._heart.update(state=before.state, message=before.message)


def opening(corpus: Corpus) -> str:
    """The first words of the text's first real line: what all samples of a run start from."""
    start = corpus.text(0, 4000)
    lines = [line.strip() for line in start.split("\n")]
    line = next((line for line in lines if len(line) >= PRIME_CHARS), max(lines, key=len, default=""))
    if len(line) <= PRIME_CHARS:
        return line
    words = line[: PRIME_CHARS + 1].rpartition(" ")[0]
    return words or line[:PRIME_CHARS]


def sampler(prime: str, seed: int) -> Callable[[Model], tuple[str, str]]:
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


def _figures(event: Event) -> dict[str, Any]:
    """What ``event`` changes in the heartbeat."""
    figures: dict[str, Any] = {"step": event.step}
    match event:
        case Started():
            figures |= {"state": "running", "message": "", "planned": event.planned_steps}
        case Stepped():
            figures |= {"train_seconds": event.train_seconds}
        case Validated(best=True):
            figures |= {"best_val": event.val_loss, "best_step": event.step}
        case Controlled(command="finish" | "replan", value=float(steps)):
            figures |= {"planned": event.step + int(steps)}
        case Paused(reason="asked"):
            figures |= {"state": "paused", "message": ""}
        case Paused():
            figures |= {"state": "waiting", "message": event.reason}
        case Resumed():
            figures |= {"state": "running", "message": ""}
            figures |= {} if event.planned_steps is None else {"planned": event.planned_steps}
        case Finished():
            figures |= {"state": final_state(event.reason), "message": "", "train_seconds": event.train_seconds}
            if event.best_val is not None:
                figures |= {"best_val": event.best_val, "best_step": event.best_step}
            if event.reason == "diverged":
                figures |= {"message": f"the loss was no longer a number at step {event.step:,}; a lower rate may help"}
        case Failed():
            figures |= {"state": "failed", "message": event.message}
        case _:
            pass
    return figures


def _note(run: Run, text: str) -> None:
    """A line for ``worker.log``, whichever streams this process has; never worth failing for."""
    with contextlib.suppress(OSError):
        storage.append_line(run.log_path, text.encode("utf-8", errors="backslashreplace"))


if __name__ == "__main__":
    sys.exit(main())
