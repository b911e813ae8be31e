"""Training with two real processes, as torchrun starts them: losses, signals, a lost process, resume."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from charlstm.engine.distributed import SINGLE_PROCESS, ProcessGroup
from charlstm.errors import SettingsError
from charlstm.fields import plain
from charlstm.runs import launch
from charlstm.runs.folder import RunFolder
from charlstm.runs.log import read_events
from charlstm.runs.store import load_state
from charlstm.runs.worker import run_foreground
from charlstm.text.corpus import reopen_corpus
from charlstm.training.events import Event
from charlstm.training.state import load_state as read_state
from charlstm.training.torchrun import TorchrunRank, torchrun_rank
from small_training import make_plan, words
from trained import SETTINGS, trained

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
STEPS = 100


class OtherRank:
    """Rank 1 of two, as torchrun would start it. It waits until this process joins as rank 0."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        self._environment = dict(zip(VARIABLES, ("0", "2", "0", "2", "127.0.0.1", port), strict=True))
        environment = os.environ | self._environment | {"RANK": "1", "LOCAL_RANK": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-P", "-m", "charlstm", "resume", "any name: only rank 0 opens the run"]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def train(self, run: RunFolder, step: int, act: Callable[[], None]) -> list[Event]:
        """Train ``run`` with this process as rank 0, and ``act`` after that step."""
        events = []
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._environment.items():
                patch.setenv(name, value)
            for event in run_foreground(run):
                events.append(event)
                if event.name == "step" and event.step == step:
                    act()
        return events


@pytest.fixture
def other_ranks() -> Iterator[list[OtherRank]]:
    """Two processes, started in parallel because starting takes seconds; they are killed after the test."""
    both = [OtherRank(), OtherRank()]
    yield both
    for each in both:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


def make_run(folder: Path, name: str) -> RunFolder:
    """A run that uses all random regularisation, with a plan that needs no measurement and five rows for two ranks."""
    text = folder / "words.txt"
    text.write_text(words(2000))
    changes = {"batch_size": 5, "max_steps": STEPS, "shared_masks": False, "schedule": "constant", "calibrate": False}
    settings = SETTINGS.with_changes(**changes)
    run = launch.create_new_run(launch.NewRun(text, settings, name=name, runs_dir=folder))
    plan = make_plan(batch_size=5, planned_steps=STEPS, log_every=1, val_every=20)
    run.write_spec(replace(run.spec(), plan=plain(plan)))
    return run


def losses(events: list[Event]) -> dict[int, float]:
    return {event.step: event.train_loss for event in events if event.name == "step"}


def test_two_ranks_train_stop_and_resume_with_the_losses_of_one(tmp_path: Path, other_ranks: list[OtherRank]) -> None:
    alone, shared = (make_run(tmp_path, name) for name in ("alone", "shared"))
    one, (rank_1, again_1) = losses(list(run_foreground(alone))), other_ranks

    # Two ranks have the losses of one; a signal to rank 1 makes rank 0 write a checkpoint and stop.
    events = rank_1.train(shared, 52, rank_1.process.terminate)
    output, _ = rank_1.process.communicate(timeout=300)
    assert (rank_1.process.returncode, output) == (0, "")  # only rank 0 prints anything
    two = losses(events)
    assert max(abs(two[step] - one[step]) / one[step] for step in range(1, 51)) < 1e-4
    assert losses(list(read_events(shared.events_path))) == two
    end, status, state = events[-1], shared.status(), read_state(shared.state_path)
    assert (end.reason, status.state) == ("stopped", "stopped")
    assert status.step == state.step == end.step

    # One process resumes the run of two.
    rest = trained(shared.spec().settings, corpus=reopen_corpus(shared.spec().corpus), state=state).events
    assert rest[0].inexact == "processes 2 → 1"
    assert losses(rest) == pytest.approx({step: one[step] for step in range(end.step + 1, STEPS + 1)}, rel=1e-4)

    # Two ranks resume it exactly, until one of them is killed.
    events = again_1.train(shared, end.step + 10, again_1.process.kill)
    assert (events[0].step, events[0].inexact) == (end.step, None)
    again = losses(events)
    assert len(again) >= 10
    assert again == pytest.approx({step: one[step] for step in again}, rel=1e-4)
    lost = events[-1].message
    assert lost.startswith("One of the 2 processes that train together was lost, so training ends here: resume")
    assert (shared.status().state, shared.status().message) == ("failed", lost)
    kept, warning = load_state(shared)
    assert (kept.step, warning) == (end.step, None)


@pytest.mark.parametrize(("rows", "size"), [(7, 3), (64, 2), (3, 3)])
def test_rows_of_all_ranks_cover_the_batch_once_and_evenly(rows: int, size: int) -> None:
    parts = [ProcessGroup(TorchrunRank(rank, size, 0, 1)).rows(rows) for rank in range(size)]
    assert [row for part in parts for row in range(rows)[part]] == list(range(rows))
    lengths = [part.stop - part.start for part in parts]
    assert max(lengths) - min(lengths) <= 1


def test_more_ranks_than_rows_are_refused_and_each_has_a_thread() -> None:
    group = ProcessGroup(TorchrunRank(0, 4, 0, 4))
    with pytest.raises(SettingsError, match=r"too few rows of text \(2\) for 4 processes to share"):
        group.rows(2)
    assert (group.threads(8), group.threads(3), SINGLE_PROCESS.threads(3)) == (2, 1, 3)


def test_torchrun_rank_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert torchrun_rank() is None
    for name, value in zip(VARIABLES, ("3", "4", "1", "2", "somewhere", "29500"), strict=True):
        monkeypatch.setenv(name, value)
    assert torchrun_rank() == TorchrunRank(3, 4, 1, 2)
    monkeypatch.setenv("RANK", "")
    with pytest.raises(SettingsError, match="start the processes with torchrun"):
        torchrun_rank()
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert torchrun_rank() is None
