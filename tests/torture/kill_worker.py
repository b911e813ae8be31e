"""Kills the real worker before changes of the disk, cuts its power or does something to its folder, goes on, and
compares with the untouched run.

``python tests/torture/kill_worker.py [--kills N] [--cuts N] [--folders N] [--kernel K] …`` prints a table and fails
when anything differs: the log as the contracts compare it, the weights, the whole exact state. Each accident takes a
fresh copy of one run; the process is forked from one that has torch loaded already, which makes hundreds affordable.

What is done to a folder is done between two changes of the disk, so also in the middle of a checkpoint: it is moved,
another run takes its place, it is deleted, its lock or its event log is removed. The run goes on where it is then, and
the other one must not have been touched.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from charlstm import storage
from charlstm.engine import trainer
from charlstm.engine.kernels import fast_bfloat16
from charlstm.engine.train_step import StepOutcome, TrainStep
from charlstm.fields import plain
from charlstm.model.file import load_model
from charlstm.runs import worker
from charlstm.runs.control import send_command
from charlstm.runs.folder import Run
from charlstm.runs.launch import NewRun, control_size, create_new_run
from charlstm.runs.log import read_events
from charlstm.runs.store import load_state
from charlstm.training.clock import Clock
from charlstm.training.events import Decided, Event, Sampled, Stepped, Validated
from charlstm.training.plan import Plan
from charlstm.training.settings import Settings
from faulty_disk import FaultyDisk, PowerLossDisk, killed

STEPS = 60
SETTINGS = Settings(
    hidden_size=12, num_layers=2, batch_size=8, seq_length=12, max_steps=STEPS, threads=1, kernel="nn", device="cpu",
    dropout=0.2, checkpoint_steps=7, checkpoint_minutes=None, val_every=10, ema_decay=0.9, state_reset=0.1,
    calibrate=True,
)  # fmt: skip
PLAN = Plan(
    device="cpu", kernel="nn", threads=1, batch_size=8, seq_length=12, steps_per_epoch=20, planned_steps=STEPS,
    warmup_steps=5, log_every=3, val_every=10, val_chars=200, snapshot_steps=(0, 20),
    seconds_per_step=0.001, chars_per_second=10_000.0,
)  # fmt: skip

THREADS_FROM = {20: 2, 41: 1}
"""With ``--thread-changes``: the step from which on a run is trained with so many threads."""

MakeDisk = Callable[[Run], storage.Disk]


def story(events: Iterable[Event]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """What two logs of one run have in common: the replayed events without what a clock says."""
    told: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for event in events:
        if event.name == "resumed":
            told = {key: value for key, value in told.items() if key[1] <= event.step}
        match event:
            case Stepped():
                told["step", event.step] = (event.train_loss, event.lr, event.grad_norm, event.epoch)
            case Validated():
                told["validation", event.step, event.whole] = (event.val_loss, event.best, event.chars)
            case Sampled():
                told["sample", event.step] = (event.prime, event.text)
    return told


def differences(run: Run, untouched: Run) -> list[str]:
    """How ``run`` differs from the uninterrupted run."""
    found = []
    if story(read_events(run.events_path)) != story(read_events(untouched.events_path)):
        found.append("log")
    ours, theirs = load_model(run.model_path).weights, load_model(untouched.model_path).weights
    found += [name for name, array in theirs.items() if not np.array_equal(ours[name], array)]
    one, other = load_state(run)[0], load_state(untouched)[0]
    assert one is not None
    assert other is not None
    found += [name for name, array in other.tensors.items() if not np.array_equal(one.tensors[name], array)]
    if [snapshot.step for snapshot in run.snapshots()] != [snapshot.step for snapshot in untouched.snapshots()]:
        found.append("snapshots")
    return found


class ForcedThreads:
    """Replaces the search for the fastest number of threads: each number of :data:`THREADS_FROM` is used from its step
    on."""

    current: ForcedThreads

    def __init__(self, counts: Sequence[int], now: int) -> None:
        self.count = now
        ForcedThreads.current = self

    def add(self, seconds: float, processor_seconds: float) -> None:
        """Called after each step that the log of an earlier process does not decide."""

    @classmethod
    def force(cls) -> None:
        """Use it in this process and in those that it forks."""
        take_step = TrainStep.step

        def counted(learner: TrainStep, number: int, rate: float) -> StepOutcome:
            cls.current.count = THREADS_FROM.get(number + 1, cls.current.count)
            return take_step(learner, number, rate)

        trainer.ThreadSearch = cls  # type: ignore[attr-defined,misc]
        TrainStep.step = counted  # type: ignore[method-assign]


ASKED_AFTER = 20
"""With ``--ask``: the step after which the command is sent."""


def ask(command: str) -> None:
    """From now on, in this process and those that it forks, send ``command`` to the run that trains once it has taken
    :data:`ASKED_AFTER` steps: so also again, where that step is taken again because the command had not acted."""
    value = {"set-lr": 1e-3, "more": 0.02 / 60}.get(command)
    take_step = TrainStep.step

    def asking(learner: TrainStep, number: int, rate: float) -> StepOutcome:
        if number + 1 == ASKED_AFTER:
            send_command(Run(Path(sys.argv[-1])), command, value)
        return take_step(learner, number, rate)

    TrainStep.step = asking  # type: ignore[method-assign]
    Clock.pace = lambda clock: 0.001  # type: ignore[method-assign]
    trainer.FINISH_SECONDS = 0.015  # type: ignore[misc]


def good(_: Run) -> storage.Disk:
    """A disk that works and counts its calls."""
    return FaultyDisk()


def work(run: Run, disk: MakeDisk) -> int:
    """Train ``run`` in a child process with that disk; returns the wait status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            storage.disk = disk(run)
            sys.argv = ["worker", str(run.path)]
            status = worker.main(["--control-from", str(control_size(run)), str(run.path)])
            beside(run, "calls").write_text(str(getattr(storage.disk, "calls", 0)))
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]


def beside(run: Run, what: str) -> Path:
    """A path next to the folder of ``run``."""
    return run.path.with_name(f"{run.name}.{what}")


def accidents(folder: Path, template: Run, untouched: Run, disks: list[MakeDisk], again: float) -> tuple[int, int]:
    """One run for each of ``disks``; ``again`` is the chance that a resume meets the same accident.

    How many accidents there were, and how many runs ended differently from the untouched one.
    """
    count, different = 0, 0
    for number, disk in enumerate(disks):
        run = Run(folder / f"accident-{number}")
        shutil.copytree(template.path, run.path)
        status = work(run, disk)
        while os.WIFSIGNALED(status):
            count += 1
            status = work(run, disk if random.random() < again else good)
        wrong = differences(run, untouched) if status == 0 else [f"status {status}: {run.log_path.read_text()[-500:]}"]
        if wrong:
            different += 1
            print(f"accident {number}: {wrong}", file=sys.stderr)
        shutil.rmtree(run.path)
    return count, different


def move(run: Run) -> None:
    run.path.rename(beside(run, "moved"))


def replace_folder(run: Run) -> None:
    move(run)
    beside(run, "other").rename(run.path)


def delete(run: Run) -> None:
    while run.path.exists():  # the heartbeat may write into it meanwhile, and then the folder is not empty
        shutil.rmtree(run.path, ignore_errors=True)


def remove_lock(run: Run) -> None:
    run.lock_path.unlink()


def remove_log(run: Run) -> None:
    run.events_path.unlink()


FOLDERS: dict[str, Callable[[Run], None]] = {
    "folder: moved": move,
    "folder: another run in its place": replace_folder,
    "folder: deleted": delete,
    "folder: lock removed": remove_lock,
    "folder: event log removed": remove_log,
}
"""What is done to the folder while its worker trains."""


def folder_accidents(
    folder: Path, template: Run, untouched: Run, act: Callable[[Run], None], changes: list[int]
) -> tuple[int, int]:
    """One run for each of ``changes``, the number of the change of the disk before which ``act`` is done to its folder.

    How many of them it was done to, and how many runs ended differently from the untouched one or touched another.
    """
    count, different = 0, 0
    for number, change in enumerate(changes):
        run = Run(folder / f"folder-{number}")
        shutil.copytree(template.path, run.path)
        shutil.copytree(untouched.path, beside(run, "other"))

        def strike(run: Run = run) -> None:
            act(run)
            beside(run, "struck").touch()

        status = os.waitstatus_to_exitcode(work(run, lambda run, at=change, strike=strike: FaultyDisk(at, strike)))
        count += beside(run, "struck").exists()
        wrong = folder_trouble(run, untouched, act, status)
        if wrong:
            different += 1
            print(f"{act.__name__} before change {change}: {wrong}", file=sys.stderr)
        for path in folder.glob(f"{run.name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return count, different


def folder_trouble(run: Run, untouched: Run, act: Callable[[Run], None], status: int) -> list[str]:
    """What is wrong after ``act`` was done to the folder of ``run`` and its worker ended with ``status``."""
    if not beside(run, "struck").exists():
        return [] if status == 0 else [f"status {status}"]
    wrong = [] if status in (0, 1) else [f"status {status}"]
    if act in (move, delete) and run.path.exists():
        wrong.append(f"a folder was made: {[path.name for path in run.path.iterdir()]}")
    if act is replace_folder and content(run.path) != content(untouched.path):
        wrong.append("the other run was changed")
    if act is delete:
        return wrong
    left = Run(beside(run, "moved")) if act in (move, replace_folder) else run
    if left.status().state != "finished" and (status := work(left, good)):
        return [*wrong, f"status {status} when it went on: {left.log_path.read_text()[-500:]}"]
    found = differences(left, untouched)
    return wrong + [each for each in found if act is not remove_log or each != "log"]


def content(folder: Path) -> dict[str, bytes]:
    """All files below ``folder``."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=250, help="before so many changes of the disk, spread evenly")
    parser.add_argument("--cuts", type=int, default=200, help="the same for power cuts")
    parser.add_argument("--folders", type=int, default=40, help="so many runs for each thing done to their folders")
    parser.add_argument("--again", type=float, default=0.3, help="chance that a resume meets the same accident")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kernel", choices=("nn", "fused"), default="nn", help="that trains")
    parser.add_argument("--threads", type=int, default=1, help="that train")
    parser.add_argument("--thread-changes", action="store_true", help="train with 1, 2 and 1 threads, a third each")
    parser.add_argument("--ask", choices=("set-lr", "more", "finish"), help="send the run this command")
    parser.add_argument("--hidden-size", type=int, default=12)
    asked = parser.parse_args()
    random.seed(asked.seed)
    kernel = "nn" if asked.kernel == "nn" else "fused-bf16" if fast_bfloat16() else "fused-f32"
    trains = f"{kernel} on {'1, 2, 1' if asked.thread_changes else asked.threads}"
    torch.set_num_threads(1)
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])  # imports half of torch when it is first made
    worker.system.lower_priority = lambda niceness: None  # the accidents are what takes time here, not their politeness
    if asked.thread_changes:
        ForcedThreads.force()
    if asked.ask:
        ask(asked.ask)
        trains += f", {asked.ask}"
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME"):
            os.environ[name] = str(folder / name)
        text = folder / "text.txt"
        text.write_text("".join(f"{n} green bottles hanging on the wall, and if one falls\n" for n in range(60)))
        threads = None if asked.thread_changes else asked.threads
        settings = SETTINGS.with_changes(kernel=asked.kernel, threads=threads, hidden_size=asked.hidden_size)
        template = create_new_run(NewRun(text, settings, "quick", runs_dir=folder / "runs"))
        plan = replace(PLAN, kernel=kernel, threads=asked.threads)
        template.write_spec(replace(template.spec(), plan=plain(plan)))
        untouched = Run(folder / "untouched")
        shutil.copytree(template.path, untouched.path)
        if status := work(untouched, good):
            print(f"the untouched run failed with {status}:\n{untouched.log_path.read_text()}", file=sys.stderr)
            return 1
        if asked.thread_changes:
            changes = [e.threads for e in read_events(untouched.events_path) if isinstance(e, Decided)]
            assert changes == list(THREADS_FROM.values()), changes
        total = int(beside(untouched, "calls").read_text())

        def at(count: int) -> list[int]:
            """Which changes to stop before: spread evenly, each somewhere in its stretch; all if there are fewer."""
            count = min(count, total)
            return [min(total - 1, int((place + random.random()) * total / count)) for place in range(count)]

        kinds: dict[str, list[MakeDisk]] = {
            f"kill -9, some in the middle of a write, {trains}": [
                lambda run, n=n: FaultyDisk(n, killed, half=n % 2 == 0) for n in at(asked.kills)
            ],
            f"power cut, names late, {trains}": [
                lambda run, n=n: PowerLossDisk(run.path, n) for n in at(asked.cuts // 2)
            ],
            f"power cut, names early, {trains}": [
                lambda run, n=n: PowerLossDisk(run.path, n, names_first=True) for n in at(asked.cuts - asked.cuts // 2)
            ],
        }
        print(f"{total} changes of the disk in the untouched run of {STEPS} steps")
        print(f"{'what':<62}{'runs':>6}{'accidents':>11}{'different':>11}")
        lost = 0
        for what, disks in kinds.items():
            count, different = accidents(folder, template, untouched, disks, asked.again)
            lost += different + (count < len(disks) / 2)  # what never struck proves nothing
            print(f"{what:<62}{len(disks):>6}{count:>11}{different:>11}", flush=True)
        for what, act in FOLDERS.items() if asked.folders else ():
            count, different = folder_accidents(folder, template, untouched, act, at(asked.folders))
            lost += different + (count < asked.folders / 2)
            print(f"{what:<62}{asked.folders:>6}{count:>11}{different:>11}", flush=True)
        print(f"{time.monotonic() - began:.0f} s")
    return 1 if lost else 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main())
