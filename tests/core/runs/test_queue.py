"""The queue and sweeps: order, who may begin, and what becomes of them when processes are killed or disks are full."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from charlstm.errors import CharLSTMError, RunError, SettingsError
from charlstm.runs import folder, launch, liveness, queue, queue_file, worker
from charlstm.runs.folder import RunFolder, RunSpec, create_run, delete_run, list_runs, rename_run
from charlstm.runs.launch import NewRun
from charlstm.runs.liveness import HeartbeatRecord
from charlstm.runs.notes import read_notes, sweep_runs
from charlstm.runs.queue import arrange
from charlstm.runs.status import STATES, RunState, RunStatus, ordinal, queue_problem
from charlstm.runs.sweep import best_of, cells_of, grid_trials, parse_grid, parse_ranges, queue_sweep, random_trials
from charlstm.runs.text import open_text
from charlstm.text.corpus import open_corpus
from charlstm.training.plan import MeasuredSpeed
from charlstm.training.settings import Settings
from faulty_disk import FaultyDisk, killed, use_disk
from queued_runs import launched, pretend_start, waiting
from recorded_run import LIVE, record
from small_training import words
from waiting import wait_until

__all__ = ["launched"]  # a fixture

TEXT = "the quick brown fox jumps over the lazy dog.\n" * 200
SETTINGS = Settings(
    hidden_size=12, num_layers=1, batch_size=4, seq_length=16, max_steps=20, threads=1, kernel="nn", niceness=0
)
TAKES_SPACE = frozenset({"write", "truncate", "sync", "rename", "link", "sync_folder"})
"""What a full disk refuses: it lets files be removed."""
NAMING = frozenset({"rename", "link", "unlink"})
"""Between these calls a kill leaves the same files, but for temporary ones."""


def unstarted(place: Path, name: str, **settings: Any) -> RunFolder:
    spec = RunSpec(corpus={"name": "fox.txt"}, settings=SETTINGS.with_changes(**settings))
    return create_run(spec, name=name, folder=place)


@pytest.fixture
def runs(tmp_path: Path) -> list[RunFolder]:
    """Three runs that wait in the queue."""
    found = [unstarted(tmp_path, name) for name in ("one", "two", "three")]
    for run in found:
        queue.add_run(run)
    return found


def status(state: RunState, **figures: Any) -> RunStatus:
    return RunStatus(state=state, alive=state in ("starting", "running", "paused"), **figures)


def test_times_add_up_until_one_is_not_known(tmp_path: Path) -> None:
    first, other = unstarted(tmp_path, "first"), unstarted(tmp_path, "other", max_minutes=2.0)
    minute = status("stopped", progress=0.5, work_seconds=60.0)
    live = [(RunFolder(Path("busy")), status("running", seconds_left=30.0))]
    rows = arrange(live, [(RunFolder(Path("half")), minute), (other, status("queued")), (first, status("queued"))])
    assert [(row.place, row.begins, row.ends, row.why) for row in rows] == [
        (0, 0.0, 30.0, ""),
        (1, 30.0, 90.0, "busy is running"),
        (2, 90.0, 210.0, "half comes first"),
        (3, 210.0, None, "other comes first"),
    ]
    assert rows[1].words == "1st in the queue, begins in about 30 s: busy is running"
    live += [(RunFolder(Path("held")), status("paused", seconds_left=9.0))]
    row = arrange(live, [(first, status("queued"))])[-1]
    assert row.words == "1st in the queue, begins at a time not known: held is paused"
    assert [ordinal(place) for place in (1, 2, 3, 4, 11, 22)] == ["1st", "2nd", "3rd", "4th", "11th", "22nd"]


def test_time_of_a_new_run_follows_from_the_measured_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "fox.txt"
    text.write_text(TEXT)
    run = queue.add_new_run(NewRun(str(text), SETTINGS.with_changes(max_minutes=60.0), runs_dir=tmp_path))
    assert queue.seconds_needed(run, run.status()) == 3600.0  # its limit, before anything was measured
    monkeypatch.setattr(queue, "find_speed", lambda *_: MeasuredSpeed("nn", 0.5, 64))
    assert 10 < (queue.seconds_needed(run, run.status()) or 0) < 60  # 20 steps
    monkeypatch.setattr(queue, "estimate", lambda settings, chars, *_, **__: SimpleNamespace(seconds=chars))
    run = queue.add_new_run(NewRun(str(text), SETTINGS, runs_dir=tmp_path, validation=str(text)))
    assert queue.seconds_needed(run, run.status()) == len(TEXT)  # a text to validate on is not trained on


@pytest.mark.parametrize("state", STATES[1:])
def test_queue_waits_for_a_run_that_trains_or_is_paused_and_for_no_other(
    state: RunState, runs: list[RunFolder], launched: list[str], tmp_path: Path
) -> None:
    with record(tmp_path / "other", state, name="other"):  # never in the queue, and in another folder
        why = f"other is {state}" if state in LIVE else "no run trains now"
        assert [row.why for row in queue.read_queue() if row.place] == [why, "one comes first", "two comes first"]
        assert [(run.status().state, run.status().place) for run in runs] == [("queued", place) for place in (1, 2, 3)]
        assert queue.start_next() == (None if state in LIVE else runs[0])
    assert launched == ([] if state in LIVE else ["one"])


def test_renamed_run_keeps_its_place_and_deleted_one_leaves(runs: list[RunFolder]) -> None:
    folder.rename_run(runs[1], "second")
    folder.delete_run(runs[0])
    assert waiting() == ["second", "three"]
    assert [runs[2].status().place, queue.read_queue()[0].place] == [2, 1]
    queue.add_run(RunFolder(runs[1].path.with_name("second")))  # again: at the end
    assert waiting() == ["three", "second"]
    copied = RunFolder(shutil.copytree(runs[2].path, runs[2].path.with_name("copy") / "three"))
    assert copied not in folder.known_runs()
    queue.add_run(copied)
    assert copied in folder.known_runs()  # the queue waits for these
    with pytest.raises(RunError, match="three has no model yet; it is 3rd in the queue"):
        copied.model_file()


def test_run_that_cannot_be_started_keeps_its_place_with_the_reason_and_the_next_one_begins(
    runs: list[RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch_run(run: RunFolder) -> None:
        if run.name == "three" and not names:
            raise RunError("The worker of three cannot be started: too many processes")
        pretend_start(run, names)

    names: list[str] = []
    monkeypatch.setattr(launch, "launch", launch_run)
    text = runs[0].spec_path.read_text()
    runs.append(unstarted(tmp_path, "four"))
    queue.add_run(runs[3])
    runs[0].spec_path.write_text("{")
    runs[1].pruned_path.touch()

    assert (queue.start_next(), names) == (runs[3], ["four"])
    assert [each.path for each in queue_file.waiting_runs()] == [run.path for run in runs]
    _, *rows = queue.read_queue()
    whys = ["The run one cannot be read", "The run two was pruned", "The worker of three cannot be started"]
    assert [row.why.split(":")[0] for row in rows] == whys
    assert "1st in the queue, but it could not be started: The run one cannot be read: it has" in rows[0].words
    assert runs[0].status().message == rows[0].words
    says = "one could not be started and keeps its place in the queue, as 2 other runs: The run one cannot be read"
    assert queue_problem().startswith(says)

    runs[0].spec_path.write_text(text)
    runs[3].heartbeat_path.unlink()  # its worker has ended
    assert (queue.start_next(), names, runs[0].status().start_problem) == (runs[0], ["four", "one"], "")


def test_run_whose_worker_never_begins_comes_last(runs: list[RunFolder], monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    def launch_run(run: RunFolder) -> None:
        names.append(run.name)
        run.log_path.write_text("ImportError: numpy\n")
        liveness.write_heartbeat(run.heartbeat_path, HeartbeatRecord(state="starting", pid=2**31 - 2, start="1"))

    monkeypatch.setattr(launch, "launch", launch_run)
    for _ in range(4):
        queue.start_next()
    assert names == ["one", "two", "three", "one"]
    says = "1st in the queue, but it could not be started: its worker ended before it began: ImportError: numpy"
    assert runs[0].status().message == says


def test_finished_run_leaves_the_queue_and_is_not_added(runs: list[RunFolder], launched: list[str]) -> None:
    liveness.write_heartbeat(runs[0].heartbeat_path, HeartbeatRecord(state="finished"))
    assert (runs[0].status().state, queue.start_next()) == ("finished", runs[1])
    with pytest.raises(RunError, match=r"is finished|has no exact state"):
        queue.add_run(runs[0])
    assert waiting() == ["two", "three"]


def test_run_is_found_when_a_link_stands_for_the_folder_of_runs(tmp_path: Path) -> None:
    run = unstarted(tmp_path / "before", "one")
    queue.add_run(run)
    (tmp_path / "before").rename(tmp_path / "after")
    (tmp_path / "before").symlink_to(tmp_path / "after")
    queue_file._parse.cache_clear()  # as in the process of a worker
    assert run.status().place == 1
    queue_file.remove_from_queue(run.path)
    assert waiting() == []


def test_full_disk_leaves_the_queue_as_it_was(runs: list[RunFolder], new: NewRun) -> None:
    before = waiting()
    for at in itertools.count():
        with use_disk(FaultyDisk(at, again=True, only=TAKES_SPACE)):
            try:
                added = queue.add_new_run(new)
                break
            except CharLSTMError as error:
                said = str(error)
        assert "No space left" in said
        assert not list_runs(new.runs_dir)
        # where only the folder could not be synced, the queue has the run, and will say that it is gone
        assert waiting() in (before, [*before, "s"])
    assert at > 5
    assert waiting() == [*before, "s"]
    with use_disk(FaultyDisk(0, again=True)), pytest.raises(RunError, match="The queue cannot be changed: No"):
        queue_file.remove_from_queue(added.path)
    assert waiting() == [*before, "s"]


def test_damaged_file_is_named_and_hides_no_run(runs: list[RunFolder], launched: list[str]) -> None:
    queue_file.queue_path().write_text('{"format": 2, "runs": []}')
    assert runs[0].status().state == "stopped"
    for use in (partial(queue.add_run, runs[0]), queue.read_queue, queue.start_next):
        with pytest.raises(RunError, match="is damaged or from a newer charlstm; remove it"):
            use()
    assert launched == []


def test_queue_goes_on_after_kills_of_a_starter_and_of_a_worker(new: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    for name, steps in (("a", 1), ("b", 10**9), ("c", 1)):
        # A worker that outlives tests that were killed ends by itself.
        settings = SETTINGS.with_changes(max_steps=steps, max_minutes=1.0, device="cpu")
        runs.append(queue.add_new_run(replace(new, settings=settings, name=name)))
    a, b, c = runs
    if (child := os.fork()) == 0:
        monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: killed())  # with the queue's lock
        queue.start_next()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert waiting() == ["a", "b", "c"]

    assert list(worker.run_foreground(a))[-1].name == "finished"
    wait_until(lambda: waiting() == ["c"])  # the worker of a has started that of b
    assert queue.start_next() is None
    os.kill(b.status().pid or 0, signal.SIGKILL)
    wait_until(lambda: not b.status().alive)
    assert (b.status().state, waiting()) == ("crashed", ["c"])
    monkeypatch.setattr(launch, "launch", lambda run: 0)
    assert queue.start_next() == c


# ---- sweeps


SWEPT = Settings(hidden_size=64, num_layers=1, max_steps=80)


@pytest.fixture
def new(tmp_path: Path) -> NewRun:
    return NewRun(open_corpus(text=words(500)), SWEPT, runs_dir=tmp_path / "runs", name="s")


def test_grid_has_every_combination_of_checked_values() -> None:
    assert grid_trials(parse_grid(["lr=1e-3,3e-3", "clip=none,1"])) == (
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
def test_wrong_settings_are_a_sentence(read: Callable[[list[str]], object], word: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        read([word])


def test_random_draws_are_in_range_and_spread_over_the_factors_of_a_rate() -> None:
    ranges = parse_ranges(["lr=1e-4..1e-2", "dropout=0..0.5", "hidden_size=16..256"])
    drawn = random_trials({"schedule": ("linear", "cosine")}, ranges, 400, seed=1)
    assert drawn == random_trials({"schedule": ("linear", "cosine")}, ranges, 400, seed=1)
    for trial in drawn:
        assert SWEPT.with_changes(**trial)
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
def test_best_cell_has_the_lowest_mean_of_those_with_most_runs(losses: list[float | None], best: int | None) -> None:
    cells = cells_of([({"lr": place // 2, "seed": place % 2}, loss) for place, loss in enumerate(losses)])
    assert [cell.runs for cell in cells] == [2, 2]
    assert best_of(cells) is (None if best is None else cells[best])


@pytest.mark.parametrize(
    ("grid", "says"), [("lr=0.01", "A sweep has 2 to 999 runs, not 1"), ("val_fraction=0.1,0.8", "text to train on")]
)
def test_wrong_run_keeps_the_others_out_of_the_queue(new: NewRun, grid: str, says: str) -> None:
    new = replace(new, settings=SWEPT.with_changes(test_fraction=0.5))
    with pytest.raises(SettingsError, match=says):
        queue_sweep(grid_trials(parse_grid([grid])), new)
    assert (waiting(), list_runs(new.runs_dir)) == ([], [])


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
    assert queue.start_next() == RunFolder(new.runs_dir / "s-1")


@pytest.mark.parametrize("end", [killed, partial(signal.raise_signal, signal.SIGINT)])
def test_end_while_runs_are_added_leaves_whole_runs(new: NewRun, end: Callable[[], object]) -> None:
    """A run without its tag was left by a kill, and one that was not in the queue by Ctrl-C."""
    trials = grid_trials(parse_grid(["lr=0.1,0.2"]))
    with use_disk(disk := FaultyDisk(only=NAMING)):
        first = queue_sweep(trials, replace(new, name="first"))
    for run in first:
        delete_run(run)
    for at in range(disk.calls):
        before, name = len(list_runs(new.runs_dir)), f"s{at}"
        if (child := os.fork()) == 0:
            with use_disk(FaultyDisk(at, end, only=NAMING)), contextlib.suppress(KeyboardInterrupt):
                queue_sweep(trials, replace(new, name=name))
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == (-signal.SIGKILL if end is killed else 0)
        added = sweep_runs(name, new.runs_dir)
        assert len(list_runs(new.runs_dir)) == before + len(added)
        assert [run.name for run in added][: len(waiting())] == waiting()
        assert end is killed or not added
        if added:
            with pytest.raises(RunError, match=f"The sweep {name} has {len(added)} run"):
                queue_sweep(trials, replace(new, name=name))
        for run in added:
            open_text(run)
            delete_run(run)
