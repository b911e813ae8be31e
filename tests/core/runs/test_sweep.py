"""Sweeps: which settings are tried, and that a sweep is in the queue as a whole or not at all."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from charlstm.errors import RunError, SettingsError
from charlstm.runs import queue
from charlstm.runs.folder import Run, delete_run, list_runs, rename_run
from charlstm.runs.launch import NewRun
from charlstm.runs.notes import read_notes, sweep_runs
from charlstm.runs.sweep import (
    best_of,
    cells_of,
    grid_trials,
    parse_grid,
    parse_ranges,
    queue_sweep,
    random_trials,
)
from charlstm.runs.text import open_text
from charlstm.text.corpus import open_corpus
from charlstm.training.settings import Settings
from faulty_disk import FaultyDisk, killed, use_disk
from queued_runs import launched, waiting
from small_training import words

__all__ = ["launched"]  # a fixture

SETTINGS = Settings(hidden_size=64, num_layers=1, max_steps=80)


@pytest.fixture
def new(tmp_path: Path) -> NewRun:
    return NewRun(open_corpus(text=words(500)), SETTINGS, runs_dir=tmp_path / "runs", name="s")


def test_grid_has_every_combination_of_checked_values() -> None:
    grid = parse_grid(["lr=1e-3,3e-3", "clip=none,1"])
    assert grid_trials(grid) == (
        {"lr": 1e-3, "clip": None}, {"lr": 1e-3, "clip": 1.0}, {"lr": 3e-3, "clip": None}, {"lr": 3e-3, "clip": 1.0}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("read", "word", "says"),
    [
        (parse_grid, "rate=1", "rate is called lr here"),
        (parse_grid, "lr=1e-3,-1", "lr takes a number above 0, not -1.0"),
        (parse_grid, "lr", "is written as lr=1e-3,3e-3, not 'lr'"),
        (parse_grid, "lr=", "is written as"),
        (parse_ranges, "lr=1e-3", "from where to where"),
        (parse_ranges, "lr=1e-2..1e-3", "from where to where"),
        (parse_ranges, "schedule=linear..cosine", "a setting that is a number"),
        (parse_ranges, "clip=none..3", "from where to where"),
        (parse_ranges, "dropout=0..2", "dropout takes a number from 0 to 0.95"),
    ],
)
def test_wrong_settings_are_a_sentence(read: object, word: str, says: str) -> None:
    assert callable(read)
    with pytest.raises(SettingsError, match=says.replace("(", r"\(")):
        read([word])


def test_random_draws_are_in_range_and_spread_over_the_factors_of_a_rate() -> None:
    ranges = parse_ranges(["lr=1e-4..1e-2", "dropout=0..0.5", "hidden_size=16..256"])
    drawn = random_trials({"schedule": ("linear", "cosine")}, ranges, 400, seed=1)
    assert drawn == random_trials({"schedule": ("linear", "cosine")}, ranges, 400, seed=1)
    for trial in drawn:
        assert SETTINGS.with_changes(**trial)
        assert 1e-4 <= trial["lr"] <= 1e-2
        assert 16 <= trial["hidden_size"] <= 256
    assert {trial["schedule"] for trial in drawn} == {"linear", "cosine"}
    for name, middle in (("lr", 1e-3), ("dropout", 0.25), ("hidden_size", 64)):
        assert 150 < sum(trial[name] < middle for trial in drawn) < 250


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([1.0, 3.0, 1.5, 1.6], 1),  # the lowest loss of all is luck
        ([1.0, None, 1.5, 1.6], 1),
        ([1.0, None, None, 0.9], 1),
        ([None] * 4, None),
    ],
)
def test_best_cell_has_the_lowest_mean_of_those_with_most_finished_runs(
    losses: list[float | None], best: int | None
) -> None:
    cells = cells_of([({"lr": place // 2, "seed": place % 2}, loss) for place, loss in enumerate(losses)])
    assert [cell.runs for cell in cells] == [2, 2]
    assert best_of(cells) is (None if best is None else cells[best])


@pytest.mark.parametrize(
    ("grid", "says"), [("lr=0.01", "A sweep has 2 to 999 runs, not 1"), ("val_fraction=0.1,0.8", "text to train on")]
)
def test_wrong_run_keeps_the_others_out_of_the_queue(new: NewRun, grid: str, says: str) -> None:
    new = replace(new, settings=SETTINGS.with_changes(test_fraction=0.5))
    with pytest.raises(SettingsError, match=says):
        queue_sweep(grid_trials(parse_grid([grid])), new)
    assert not waiting()
    assert not list_runs(new.runs_dir)


def test_name_that_a_sweep_or_a_run_has_is_taken(new: NewRun) -> None:
    trials = grid_trials(parse_grid(["lr=0.1,0.2"]))
    first, second = queue_sweep(trials, replace(new, name="a b, c"))
    assert {read_notes(run).tags for run in (first, second)} == {("sweep:a-b-c",)}
    rename_run(first, "other-2")
    for name, says in (("a b, c", "The sweep a b, c has 2 runs already"), ("other", "There is other-2 in .* already")):
        with pytest.raises(RunError, match=says):
            queue_sweep(trials, replace(new, name=name))
    assert waiting() == ["other-2", "a b, c-2"]


def test_disk_that_is_full_keeps_no_part_of_a_sweep(new: NewRun, launched: list[str]) -> None:
    trials = grid_trials(parse_grid(["lr=0.1,0.2,0.3"]))
    with use_disk(disk := FaultyDisk(only=frozenset({"write"}))):
        queue_sweep(trials, new)
    full = FaultyDisk(disk.calls // 2, again=True, only=frozenset({"write"}))
    with use_disk(full), pytest.raises(RunError, match="space"):
        queue_sweep(trials, replace(new, name="full"))
    assert [run.name for run in list_runs(new.runs_dir)] == ["s-1", "s-2", "s-3"]
    assert queue.start_next() == Run(new.runs_dir / "s-1")


@pytest.mark.parametrize("end", [killed, partial(signal.raise_signal, signal.SIGINT)])
def test_end_while_runs_are_added_leaves_whole_runs(new: NewRun, end: Callable[[], object]) -> None:
    """A run without its tag was left by a kill, and one that was not in the queue by Ctrl-C."""
    trials = grid_trials(parse_grid(["lr=0.1,0.2"]))
    with use_disk(disk := FaultyDisk()):
        first = queue_sweep(trials, replace(new, name="first"))
    for run in first:
        delete_run(run)
    for at in range(disk.calls):
        before, name = len(list_runs(new.runs_dir)), f"s{at}"
        child = os.fork()
        if child == 0:
            try:
                with use_disk(FaultyDisk(at, end)):
                    queue_sweep(trials, replace(new, name=name))
            except KeyboardInterrupt:
                os._exit(130)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        added = sweep_runs(name, new.runs_dir)
        assert code == (-signal.SIGKILL if end is killed else 130)
        assert len(list_runs(new.runs_dir)) == before + len(added)
        assert [run.name for run in added][: len(waiting())] == waiting()
        assert end is killed or not added
        if added:
            with pytest.raises(RunError, match=f"The sweep {name} has {len(added)} run"):
                queue_sweep(trials, replace(new, name=name))
        for run in added:
            open_text(run)
            delete_run(run)
