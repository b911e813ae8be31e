"""`charlstm queue`, and what other commands say of it."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from charlstm.errors import ExitCode
from charlstm.runs import launch, queue_file
from charlstm.runs.folder import RunFolder
from command_line import TEXT, TINY, Cli
from queued_runs import pretend_start
from recorded_run import Recorded, record

ADD = ("queue", "add", "fox.txt", *TINY, "--from", "none")


@pytest.fixture(autouse=True)
def launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs that are started, where there is the text fox.txt."""
    monkeypatch.setenv("CHARLSTM_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fox.txt").write_text(TEXT)
    names: list[str] = []
    monkeypatch.setattr(launch, "launch", lambda run, **_: pretend_start(run, names))
    return names


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Recorded]:
    with record(tmp_path / "runs", "running", name="busy") as running:
        yield running


def test_queue_add_puts_runs_behind_the_one_that_trains(cli: Cli, busy: Recorded, launched: list[str]) -> None:
    out, err = cli(*ADD, "--name", "one")
    assert out == "one\n"
    assert "It is 1st in the queue, begins in about" in err
    assert err.strip().endswith(": busy is running")
    row = cli.json(*ADD, "--name", "two")
    assert row.keys() == {"name", "path", "place", "state", "begins", "ends", "why"}
    assert (row["place"], row["state"], row["why"]) == (2, "queued", "one comes first")
    assert [each["place"] for each in cli.json("queue", "list")] == [0, 1, 2]
    _, first, *_, last = cli("queue", "list")[0].splitlines()
    assert (first.split()[:2], last.split()[:4]) == (["busy", "running"], ["2", "two", "queued", "2nd"])
    assert [row["name"] for row in cli.json("runs", "--state", "queued")] == ["one", "two"]
    assert launched == []


def test_missing_device_is_said_by_the_command(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``launch`` imports no torch for it, as the app calls that."""
    monkeypatch.setattr(launch, "sys", SimpleNamespace(modules={}, executable="python"))
    assert "This machine has no device cuda:99" in cli(*ADD, "--device", "cuda:99", code=ExitCode.WRONG_USAGE)[1]
    assert not (tmp_path / "runs").exists()


def test_queue_add_resumes_a_run_and_takes_no_settings_for_it(cli: Cli, busy: Recorded, tmp_path: Path) -> None:
    record(tmp_path / "runs", "stopped", name="half")
    assert "1st in the queue" in cli("queue", "add", "--resume", "half")[1]
    assert "--lr has no effect with --resume" in cli("queue", "add", "--resume", "half", "--lr", "1", code=2)[1]


def test_queue_remove_keeps_the_folder(cli: Cli, busy: Recorded, tmp_path: Path) -> None:
    cli(*ADD, "--name", "one")
    assert [row["name"] for row in cli.json("queue", "remove", "one")] == ["busy"]
    assert RunFolder(tmp_path / "runs" / "one").status().state == "stopped"
    assert "does not wait in the queue: it is stopped" in cli("queue", "remove", "one", code=1)[1]


@pytest.mark.parametrize("words", [("runs",), ("queue", "list"), ("watch", "old")])
def test_command_continues_a_queue(words: tuple[str, ...], cli: Cli, tmp_path: Path, launched: list[str]) -> None:
    record(tmp_path / "runs", "stopped", name="old")
    record(tmp_path / "runs", "queued", name="one")
    assert "The queue goes on: one trains now, in the background\n" in cli(*words)[1]
    assert launched == ["one"]


def test_queue_that_cannot_be_continued_is_said_and_ends_no_command(cli: Cli, tmp_path: Path) -> None:
    record(tmp_path / "runs", "queued", name="one")
    lock = queue_file.queue_path().with_name(".queue.json.lock")
    lock.unlink()
    lock.mkdir()
    out, err = cli("runs")
    assert "queued 1st" in out
    assert "in the queue" not in out, "the state says it"
    assert err.startswith("The queue cannot be changed: Is a directory")


def test_run_that_is_gone_is_said_and_can_be_taken_out(cli: Cli, tmp_path: Path, launched: list[str]) -> None:
    record(tmp_path / "runs", "queued", name="one").close()
    record(tmp_path / "runs", "queued", name="two").close()
    (tmp_path / "runs" / "one").rename(tmp_path / "elsewhere")
    assert "one could not be started and keeps its place in the queue: There is no run in" in cli("runs")[1]
    assert launched == ["two"]
    two, one = cli.json("queue", "list")
    assert (two["name"], one["name"], one["why"].partition(" in ")[0]) == ("two", "one", "There is no run")
    assert [row["name"] for row in cli.json("queue", "remove", "one")] == ["two"]


def test_damaged_queue_is_said_by_runs(cli: Cli, tmp_path: Path) -> None:
    record(tmp_path / "runs", "queued", name="one").close()
    queue_file.queue_path().write_text('{"format": 1, "runs": [')
    out, err = cli("runs")
    assert "stopped" in out
    assert err.startswith("The queue cannot be read: ")
    assert "damaged" in cli("queue", "list", code=1)[1]


def test_train_says_that_the_queue_waits_for_it(cli: Cli, busy: Recorded) -> None:
    cli(*ADD, "--name", "one")
    out, err = cli("train", *ADD[2:], "--name", "now", "--detach")
    assert out == "now\n"
    assert "1 run of the queue will begin when it has ended\n" in err
