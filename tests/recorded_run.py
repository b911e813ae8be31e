"""Run folders as a worker leaves them, created in milliseconds and without torch, for tests of code that reads runs.

``record(folder, "finished")`` is a run of 200 reports, 20 validations, samples, snapshots and a tiny random model.
A live state (``running``, ``paused``, ``waiting``, ``starting``) holds the lock and writes a heartbeat in this process
until ``close()``; meanwhile ``advance`` adds training steps and ``obey`` handles commands. Use it as a context manager.
"""

import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from charlstm import storage
from charlstm.model.file import Model, ModelConfig, save_model
from charlstm.runs import liveness, queue
from charlstm.runs.control import ControlReader
from charlstm.runs.folder import RunFolder, RunSpec, create_run
from charlstm.runs.liveness import Heartbeat, HeartbeatRecord
from charlstm.runs.log import EventLog
from charlstm.runs.status import RunState
from charlstm.text.reading import TextOptions
from charlstm.text.vocabulary import Vocabulary
from charlstm.training import events
from charlstm.training.commands import Command
from charlstm.training.events import Event, Finished, Paused, Started, Stepped, Validated
from charlstm.training.settings import Settings

SYMBOLS = tuple(sorted(set("\n abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,;:!?'\"-")))
PRIME = "The morning"
TEXTS = (
    "qZ;f Kx,,e w rT ohn a e  s e.n",
    " an ther the sore and he th and\nsat he won",
    " she had not been in the hou, and the sea was there.\n",
    " she had not been in the house, and the light was on the stairs\nwhere he had left it.",
)
NASTY = "[/red] [bold]\x1b[2J\x1b]0;title\x07 \x00NUL \u202egnp.exe \u200bzero e\u0301 你好 \ufffd ]["
LIVE = ("starting", "running", "paused", "waiting")
STEP_EVERY, VALIDATE_EVERY = 5, 50
PAIRS_LOSS = 2.07
"""What counting the pairs of letters would give on the text of a run, which it does not have."""
LONG_AGO = 120.0


def tiny_model(
    *, seed: int = 0, symbols: Sequence[str] = SYMBOLS, hidden_size: int = 8, num_layers: int = 1, scale: float = 1.0,
    **info: Any,
) -> Model:  # fmt: skip
    """A small random model over ``symbols``."""
    config = ModelConfig(len(symbols), hidden_size, num_layers)
    random = np.random.default_rng(seed)
    weights = {name: random.normal(0, scale / 2, shape).astype(np.float32) for name, shape in config.shapes.items()}
    return Model(config, Vocabulary(symbols), weights, TextOptions(), dict(info))


def train_loss(step: int) -> float:
    """A plausible loss curve, starting at the uniform guess; the same every time."""
    wobble = 0.03 * math.sin(step * 1.7) * math.cos(step * 0.31)
    return 1.3 + (math.log(len(SYMBOLS)) - 1.3) * math.exp(-step / 220) + wobble


def val_loss(step: int, *, overfits: bool = False) -> float:
    """The same for the held-out part, a little higher; with ``overfits`` it turns after step 400."""
    turn = 0.0012 * max(0, step - 400) if overfits else 0.0
    return 1.42 + (math.log(len(SYMBOLS)) - 1.42) * math.exp(-step / 200) + turn


class Recorded:
    """A run folder and, while its state is a live one, the worker that it pretends to have."""

    def __init__(self, run: RunFolder, state: RunState, planned: int, overfits: bool, sample: str | None) -> None:
        self.run, self.step, self.planned = run, 0, planned
        self._overfits, self._sample = overfits, sample
        self.read: dict[str, Any] = {}
        """What the model had read of the held-out part: ``read_share`` and ``read_by``."""
        self._best, self._best_step, self._best_is_saved = math.inf, 0, True
        self._whole = False
        self._now = time.time() - LONG_AGO - planned * 0.05
        self._log = EventLog(run.events_path)
        self._inbox = ControlReader(run.control_path)
        self._lock: Any = None
        self._heart: Heartbeat | None = None
        if state in LIVE:
            self._lock = liveness.acquire_lock(run.lock_path)
            self._heart = Heartbeat(run.heartbeat_path, HeartbeatRecord(state="starting"), interval=0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the pretended worker as by kill -9. Does nothing to a run whose state is not live."""
        if self._heart is not None:
            self._heart.close()
            self._lock.release()
            self._heart = None
        self._log.close()

    def append(self, *logged: Event) -> None:
        """Log events as they are."""
        for event in logged:
            self._log.append(event)

    def advance(self, steps: int) -> None:
        """Add training steps: everything that a worker would log, and its heartbeat. Of the best models that come
        meanwhile the last one is written, so that a reader finds that or the one from before."""
        for step in range(self.step + 1, self.step + steps + 1):
            self.step = step
            self._now += 0.05
            if step % STEP_EVERY == 0:
                self._report()
            if step % VALIDATE_EVERY == 0:
                self._validate()
        self._save_best()
        self.beat("running" if self._heart else None)

    def beat(self, state: RunState | None, message: str = "", *, validated: float | None = None) -> None:
        """Write ``state`` into the heartbeat (``None``: only the figures), and how far the final validation is."""
        if self._heart is None:
            return
        word = self._heart.record.state if state is None else state
        self._heart.update(state=word, message=message, validated=validated, **self._figures())

    def commands(self) -> list[Command]:
        """The commands since the last call."""
        return list(self._inbox.read())

    def obey(self) -> list[Command]:
        """Handle the commands since the last call as a worker would, and return them."""
        commands = self.commands()
        for command in commands:
            event = events.Controlled(step=self.step, id=command.id, command=command.command, value=command.value)
            if command.command == "more":  # at 20 steps a second
                self.planned += round((command.value or 0.0) * 1200)
                event = dataclasses.replace(event, value=float(self.planned - self.step), minutes=command.value)
            self.append(event)
            if command.command == "pause":
                self.append(Paused(step=self.step))
                self.beat("paused")
            elif command.command == "resume":
                self.append(events.Resumed(step=self.step))
                self.beat("running")
            elif command.command in ("stop", "finish"):
                self.end("stopped" if command.command == "stop" else "finished")
        return commands

    def end(self, state: RunState, message: str = "") -> None:
        """End in ``state`` (stopped, finished, failed, crashed), as a worker would."""
        if state in ("stopped", "finished"):
            reason = "stopped" if state == "stopped" else "done"
            best = None if math.isinf(self._best) else self._best
            self._whole = state == "finished" and best is not None
            if self._whole:
                whole: dict[str, Any] = {"loss": self._best, "whole": True, "chars": 44_999, "best": False}
                self.append(Validated(**self._at, **whole, train_seconds=self._seconds))
            model: dict[str, Any] = {"loss": best, "best_step": self._best_step, "best_whole": self._whole}
            self.append(
                events.Checkpointed(**self._at, seconds=0.01),
                Finished(**self._at, **model, **self._worked, **self.read, reason=reason),
            )
        elif state == "failed":
            self.append(events.Failed(**self._at, message=message))
        if self._heart is not None:
            if state != "crashed":
                self.beat(state, message)
            self._heart.close()
            self._lock.release()
            self._heart = None
        else:
            word = "running" if state == "crashed" else state
            # a process number that no system gives away: its worker is gone
            gone: dict[str, Any] = {"time": self._now, "pid": 2**31 - 2, "start": "1"}
            ended = HeartbeatRecord(state=word, message=message, **gone, **self._figures())
            self.run.heartbeat_path.write_bytes(ended.to_bytes())

    @property
    def _seconds(self) -> float:
        return self.step * 0.05

    @property
    def _worked(self) -> dict[str, Any]:
        return {"train_seconds": self._seconds, "work_seconds": self._seconds}

    @property
    def _at(self) -> dict[str, Any]:
        return {"step": self.step, "time": self._now}

    def _figures(self) -> dict[str, Any]:
        best = None if math.isinf(self._best) else self._best
        return {
            "step": self.step, "planned_steps": self.planned, "progress": min(1.0, self.step / self.planned),
            "seconds_left": 0.05 * max(0, self.planned - self.step) if self.step else None,
            "loss": best, "best_whole": self._whole, "best_step": None if best is None else self._best_step,
            **self._worked, **self.read,
        }  # fmt: skip

    def start(self) -> None:
        """Log the beginning: plan, first validation, first sample, first snapshot."""
        sizes = {"train_chars": 409_600, "val_chars": 45_000, "steps_per_epoch": 200, "symbols": len(SYMBOLS)}
        sizes["parameters"] = ModelConfig(len(SYMBOLS), 256, 2).parameters
        how = {"device": "cpu", "kernel": "fused-bf16", "threads": 2}
        self.append(started(**self._at, **sizes, **how, **self.read, planned_steps=self.planned))
        self._validate()
        self._save_best()

    def _report(self) -> None:
        warm = min(1.0, self.step / (0.1 * self.planned))
        self.append(
            Stepped(
                epoch=self.step / 200, train_loss=train_loss(self.step),
                lr=3e-3 * warm * (1 - self.step / (self.planned + 1)), grad_norm=0.8 + 0.1 * math.sin(self.step),
                chars_per_second=21_000 + 500 * math.sin(self.step / 7), **self._at, **self._worked,
            )
        )  # fmt: skip

    def _validate(self) -> None:
        loss = val_loss(self.step, overfits=self._overfits)
        best = loss < self._best
        if best:
            self._best, self._best_step, self._best_is_saved = loss, self.step, False
        text = TEXTS[min(len(TEXTS) - 1, self.step * len(TEXTS) // max(1, self.planned))]
        self.append(
            Validated(**self._at, loss=loss, chars=45_000, best=best, train_seconds=self._seconds),
            events.Sampled(**self._at, prime=PRIME, text=text if self._sample is None else self._sample),
        )
        if self.step in (0, 50, 100, 200, 400, 700, 1000):
            self.run.snapshots_dir.mkdir(mode=storage.PRIVATE_FOLDER, exist_ok=True)
            path = self.run.snapshots_dir / f"{self.step}.safetensors"
            save_model(path, tiny_model(seed=self.step, run=self.run.name, step=self.step))

    def _save_best(self) -> None:
        if not self._best_is_saved:
            self._best_is_saved = True
            save_model(self.run.model_path, tiny_model(run=self.run.name, step=self._best_step, val_loss=self._best))


def record(
    folder: Path, state: RunState = "finished", *, name: str | None = None, text: str = "novel.txt",
    preset: str = "quick", steps: int | None = None, planned: int = 1000, settings: Settings | None = None,
    overfits: bool = False, sample: str | None = None, message: str = "", last_words: str = "",
    lineage: dict[str, Any] | None = None, read: tuple[float, str] | None = None,
) -> Recorded:  # fmt: skip
    """Make a run in ``folder`` that has come to ``state`` after ``steps`` of ``planned`` steps.

    ``sample`` replaces the text that the model wrote (try ``NASTY``); ``message`` is what the heartbeat says,
    ``last_words`` what stands in ``worker.log``, and ``read`` how much of the held-out part which model had read. The
    run's own texts need not exist.
    """
    if steps is None:
        steps = {"finished": planned, "starting": 0}.get(state, planned * 2 // 5)
    corpus = {"name": text, "sources": [f"/texts/{text}"], "options": TextOptions().to_dict(), "fingerprint": "0" * 64}
    settings = settings or Settings(hidden_size=256, epochs=5)
    versions = {"charlstm": "0.1.0", "torch": "2.13.0", "python": "3.11"}
    spec = RunSpec(corpus=corpus, settings=settings, preset=preset, lineage=lineage, versions=versions)
    recorded = Recorded(create_run(spec, name=name, folder=folder), state, planned, overfits, sample)
    if read is not None:
        recorded.read = {"read_share": read[0], "read_by": read[1]}
    if last_words:
        recorded.run.log_path.write_text(last_words + "\n", encoding="utf-8")
    if state != "starting":
        recorded.start()
        recorded.advance(steps)
    if state in LIVE:
        if state == "paused":
            recorded.append(Paused(step=recorded.step))
        recorded.beat(state, message)
    else:
        said = message or {"failed": "The graphics card ran out of memory: halve batch_size"}.get(state, "")
        recorded.end("stopped" if state == "queued" else state, said)
    if state == "queued":
        queue.add_run(recorded.run)
    return recorded


def started(**changes: Any) -> Started:
    """A ``started`` event of a run of 100 steps, for tests that feed a series by hand."""
    values: dict[str, Any] = {
        "step": 0, "time": 0.0, "planned_steps": 100, "steps_per_epoch": 10, "parameters": 1, "train_chars": 1,
        "val_chars": 0, "device": "cpu", "kernel": "nn", "threads": 1,
    }  # fmt: skip
    return Started(**values | changes)


def stepped(step: int, loss: float = 1.0, *, time: float | None = None, worked: float | None = None) -> Stepped:
    """A ``step`` event; half a second of training each step, and a second of work."""
    return Stepped(
        step=step, time=float(step) if time is None else time, epoch=step / 10, train_loss=loss, lr=1e-3, grad_norm=0.5,
        chars_per_second=1000.0, train_seconds=step * 0.5, work_seconds=float(step) if worked is None else worked,
    )  # fmt: skip


def validated(step: int, loss: float, *, best: bool = True, whole: bool = False) -> Validated:
    """A ``validation`` event in the same time."""
    return Validated(step=step, time=float(step), loss=loss, chars=9, best=best, whole=whole, train_seconds=step * 0.5)


def log_events(path: Path, *logged: Event) -> None:
    """Append these events to the log in ``path``."""
    log = EventLog(path)
    for event in logged:
        log.append(event)
    log.close()


def ended(step: int, loss: float, best_step: int, *, whole: bool = True, **more: Any) -> Finished:
    """A ``finished`` event of a run that is done, if ``more`` gives no other reason; 0.05 seconds of training each
    step."""
    values: dict[str, Any] = {"reason": "done", "train_seconds": step * 0.05, "best_whole": whole, **more}
    return Finished(step=step, loss=loss, best_step=best_step, **values)


def with_settings(run: RunFolder, **changes: Any) -> None:
    """Rewrite the run's ``run.json`` with some settings changed, for tests that compare runs."""
    spec = run.spec()
    run.write_spec(dataclasses.replace(spec, settings=spec.settings.with_changes(**changes)))
