"""Kill the real worker before changes of the disk, cut its power or do something to its folder, continue the run, and
compare it with the untouched run: the log as the contracts compare it, the weights, the whole exact state.

Each accident takes a fresh copy of one run, in a process that is forked from one that has torch loaded already: so
hundreds are affordable. What is done to a folder is done between two changes of the disk, so also in the middle of a
checkpoint. The run continues where its folder is then, and another one in its place must not have been touched.
"""

import contextlib
import importlib
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import torch

from charlstm import storage, system
from charlstm.engine import trainer
from charlstm.engine.kernels import fast_bfloat16
from charlstm.engine.recurrence import loops
from charlstm.engine.train_step import StepOutcome, TrainStep
from charlstm.fields import plain
from charlstm.generation import samples
from charlstm.runs import worker
from charlstm.runs.control import send_command
from charlstm.runs.folder import RunFolder
from charlstm.runs.launch import NewRun, control_size, create_new_run
from charlstm.runs.log import read_events
from charlstm.training.clock import Clock
from charlstm.training.events import Decided
from faulty_disk import FaultyDisk, PowerLossDisk, killed
from killed_runs import BOTTLES, PLAN, SETTINGS, differences

STEPS = 60
SETTINGS = SETTINGS.with_changes(
    hidden_size=12, num_layers=2, batch_size=8, seq_length=12, max_steps=STEPS, checkpoint_steps=7, val_every=10
)
PLAN = replace(
    PLAN, batch_size=8, seq_length=12, steps_per_epoch=20, planned_steps=STEPS, warmup_steps=5, log_every=3,
    val_every=10, val_chars=200, snapshot_steps=(0, 20),
)  # fmt: skip
AGAIN = 0.3
"""How likely it is that a resume meets the same accident."""
THREADS_FROM = {20: 2, 41: 1}
"""With ``thread_changes``: the step from which on a run is trained with so many threads."""
ASKED_AFTER = 20
"""The step after which a command is sent."""

MakeDisk = Callable[[RunFolder], storage.Disk]


@dataclass(frozen=True)
class Training:
    """How the run trains, and the command that it gets meanwhile."""

    kernel: str = "nn"
    threads: int = 1
    hidden_size: int = 12
    thread_changes: bool = False
    command: str = ""


class ForcedThreads:
    """Replaces the search for the fastest number of threads: each number of :data:`THREADS_FROM` is used from its step
    on."""

    current: "ForcedThreads"

    def __init__(self, counts: Sequence[int], now: int) -> None:
        self.count = now
        ForcedThreads.current = self

    def add(self, seconds: float, processor_seconds: float) -> None:
        """Called after each step that the log of an earlier process does not decide."""


@contextlib.contextmanager
def forced(training: Training) -> Iterator[None]:
    """Let this process and those that it forks train so. A command is sent whenever the step before it has been taken:
    so also again, where that step is taken again because the command had not acted."""
    take_step = TrainStep.step
    value = {"set-lr": 1e-3, "more": 0.02 / 60}.get(training.command)

    def step(learner: TrainStep, number: int, rate: float) -> StepOutcome:
        if training.thread_changes:
            ForcedThreads.current.count = THREADS_FROM.get(number + 1, ForcedThreads.current.count)
        if training.command and number + 1 == ASKED_AFTER:
            send_command(RunFolder(Path(sys.argv[-1])), training.command, value)
        return take_step(learner, number, rate)

    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(system, "lower_priority"))
        stack.enter_context(patch.object(TrainStep, "step", step))
        stack.enter_context(patch.object(samples, "SAMPLE_CHARS", 20))  # 300 took half of the time
        if training.thread_changes:
            stack.enter_context(patch.object(trainer, "ThreadSearch", ForcedThreads))
        if training.command:
            stack.enter_context(patch.object(Clock, "pace", lambda clock: 0.001))
            stack.enter_context(patch.object(trainer, "FINISH_SECONDS", 0.015))
        yield


def good(_: RunFolder) -> storage.Disk:
    """A disk that works and counts its calls."""
    return FaultyDisk()


def work(run: RunFolder, disk: MakeDisk) -> int:
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


def beside(run: RunFolder, what: str) -> Path:
    """A path next to the folder of ``run``."""
    return run.path.with_name(f"{run.name}.{what}")


def accidents(folder: Path, template: RunFolder, untouched: RunFolder, disks: Iterable[MakeDisk]) -> Iterator[str]:
    """One run for each of ``disks``; what became different. Half of the accidents must have happened."""
    count, number = 0, 0
    for number, disk in enumerate(disks, 1):
        run = RunFolder(folder / f"accident-{number}")
        shutil.copytree(template.path, run.path)
        status = work(run, disk)
        while os.WIFSIGNALED(status):
            count += 1
            status = work(run, disk if random.random() < AGAIN else good)
        wrong = differences(run, untouched) if status == 0 else [f"status {status}: {run.log_path.read_text()[-500:]}"]
        if wrong:
            yield f"accident {number}: {wrong}"
        shutil.rmtree(run.path)
    if count < number / 2:
        yield f"{count} accidents of {number} happened"


def move(run: RunFolder) -> None:
    run.path.rename(beside(run, "moved"))


def replace_folder(run: RunFolder) -> None:
    move(run)
    beside(run, "other").rename(run.path)


def delete(run: RunFolder) -> None:
    while run.path.exists():  # the heartbeat may write into it meanwhile, and then the folder is not empty
        shutil.rmtree(run.path, ignore_errors=True)


def remove_lock(run: RunFolder) -> None:
    run.lock_path.unlink()


def remove_log(run: RunFolder) -> None:
    run.events_path.unlink()


FOLDER_ACCIDENTS = (move, replace_folder, delete, remove_lock, remove_log)
"""What is done to the folder while its worker trains."""


def folder_accidents(
    folder: Path, template: RunFolder, untouched: RunFolder, act: Callable[[RunFolder], None], changes: list[int]
) -> Iterator[str]:
    """One run for each of ``changes``, the number of the change of the disk before which ``act`` is done to its folder;
    what became different. Half of the accidents must have happened."""
    count = 0
    for number, change in enumerate(changes):
        run = RunFolder(folder / f"folder-{number}")
        shutil.copytree(template.path, run.path)
        shutil.copytree(untouched.path, beside(run, "other"))

        def strike(run: RunFolder = run) -> None:
            act(run)
            beside(run, "struck").touch()

        status = os.waitstatus_to_exitcode(work(run, lambda run, at=change, strike=strike: FaultyDisk(at, strike)))
        count += beside(run, "struck").exists()
        if wrong := folder_trouble(run, untouched, act, status):
            yield f"{act.__name__} before change {change}: {wrong}"
        for path in folder.glob(f"{run.name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if count < len(changes) / 2:
        yield f"{act.__name__}: {count} accidents of {len(changes)} happened"


def folder_trouble(run: RunFolder, untouched: RunFolder, act: Callable[[RunFolder], None], status: int) -> list[str]:
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
    left = RunFolder(beside(run, "moved")) if act in (move, replace_folder) else run
    if left.status().state != "finished" and (status := work(left, good)):
        return [*wrong, f"status {status} when it went on: {left.log_path.read_text()[-500:]}"]
    found = differences(left, untouched)
    return wrong + [each for each in found if act is not remove_log or each != "log"]


def content(folder: Path) -> dict[str, bytes]:
    """All files below ``folder``."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def try_accidents(training: Training, kills: int, cuts: int, folders: int) -> list[str]:
    """What went wrong after so many kills, power cuts, and accidents of each kind to the folder."""
    random.seed(0)
    torch.set_num_threads(1)
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])  # imports half of torch when it is first made
    for module in ("charlstm.generation.session", "numpy.ma"):  # each forked process would import them
        importlib.import_module(module)
    with tempfile.TemporaryDirectory() as place, forced(training):
        return list(_try_accidents(Path(place), training, kills, cuts, folders))


def _try_accidents(folder: Path, training: Training, kills: int, cuts: int, folders: int) -> Iterator[str]:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = str(folder / name)
    kernel = "nn" if training.kernel == "nn" else "fused-bf16" if fast_bfloat16() else "fused-f32"
    text = folder / "text.txt"
    text.write_text(BOTTLES)
    threads = None if training.thread_changes else training.threads
    settings = SETTINGS.with_changes(kernel=training.kernel, threads=threads, hidden_size=training.hidden_size)
    template = create_new_run(NewRun(text, settings, "quick", runs_dir=folder / "runs"))
    plan = replace(PLAN, kernel=kernel, threads=training.threads)
    template.write_spec(replace(template.spec(), plan=plain(plan)))
    untouched = RunFolder(folder / "untouched")
    shutil.copytree(template.path, untouched.path)
    if kernel != "nn":
        loops()  # compiled once, before the processes that are forked from this one
    status = work(untouched, good)
    assert status == 0, untouched.log_path.read_text()
    if training.thread_changes:
        changes = [event.threads for event in read_events(untouched.events_path) if isinstance(event, Decided)]
        assert changes == list(THREADS_FROM.values()), changes
    total = int(beside(untouched, "calls").read_text())

    def at(count: int) -> list[int]:
        """Which changes to stop before: spread evenly, each somewhere in its stretch; all if there are fewer."""
        count = min(count, total)
        end = total if count > 1 else 3 * total // 4  # a busy machine makes fewer changes: the only one must happen
        return [min(end - 1, int((place + random.random()) * end / count)) for place in range(count)]

    yield from accidents(
        folder, template, untouched, [lambda run, n=n: FaultyDisk(n, killed, half=n % 2 == 0) for n in at(kills)]
    )
    for names_first in (False, True):
        cut = [lambda run, n=n, first=names_first: PowerLossDisk(run.path, n, names_first=first) for n in at(cuts)]
        yield from accidents(folder, template, untouched, cut)
    for act in FOLDER_ACCIDENTS if folders else ():
        yield from folder_accidents(folder, template, untouched, act, at(folders))
