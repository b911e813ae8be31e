"""A real small file system that fills up while the worker trains: it waits, says so, goes on, and nothing is lost."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from charlstm.fields import plain
from charlstm.runs.folder import RunFolder
from charlstm.runs.launch import NewRun, create_new_run, launch
from charlstm.runs.log import read_events
from charlstm.runs.store import load_state
from killed_runs import BOTTLES, PLAN, SETTINGS
from waiting import wait_until

STEPS = 1_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 KB, where this user may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(path: Path) -> None:
    """Take all space that is left, by pages of the file system."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def last_step(run: RunFolder) -> int:
    return max((event.step for event in read_events(run.events_path)), default=0)


def test_worker_on_a_full_disk_waits_and_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(BOTTLES)
    settings = SETTINGS.with_changes(max_steps=STEPS, checkpoint_steps=200)
    run = create_new_run(NewRun(text, settings, "quick", runs_dir=small_disk / "runs"))
    plan = replace(PLAN, planned_steps=STEPS, log_every=50, val_every=1000, snapshot_steps=(0,))
    run.write_spec(replace(run.spec(), plan=plain(plan)))
    pid = launch(run)
    try:
        wait_until(lambda: last_step(run) >= 300, "the first steps")
        ballast = small_disk / "ballast"
        fill(ballast)
        wait_until(lambda: run.status().state == "waiting", f"the worker to wait; it is {run.status()}")
        status = run.status()
        assert "No space left" in status.message
        assert status.alive
        kept = load_state(run)[0]
        assert kept.step > 0
        ballast.unlink()
        wait_until(lambda: run.status().state == "running", "the worker to go on")
        wait_until(lambda: (load_state(run)[0] or kept).step > kept.step, "the next checkpoint")
    finally:
        os.kill(pid, 15)
    wait_until(lambda: run.status().state == "stopped", "the end")
    steps = [event.step for event in read_events(run.events_path) if event.name == "step"]
    assert steps == list(range(50, steps[-1] + 1, 50))  # each once, none torn
