"""`charlstm control --wait` returns when the run has carried the command out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from command_line import RunCli
from recorded_run import Recorded, record


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Recorded]:
    with record(tmp_path, "running", name="live", steps=100) as recorded:
        yield recorded


def while_waiting(monkeypatch: pytest.MonkeyPatch, *actions: Callable[[], object]) -> None:
    """Run one of ``actions`` at each pause of a second of the waiting command."""
    now, left = [0.0], iter(actions)

    def sleep(_: float) -> None:
        now[0] += 1
        next(left)()

    monkeypatch.setattr("charlstm.cli.runs.time", SimpleNamespace(sleep=sleep, monotonic=lambda: now[0]))


@pytest.mark.parametrize("words", [("pause",), ("resume",), ("set-lr", "0.001")])
def test_control_waits_for_the_control_event(
    live: Recorded, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...]
) -> None:
    while_waiting(monkeypatch, lambda: live.advance(10), live.obey)
    out, err = run_cli("control", "live", *words, "--wait", "--runs-dir", str(tmp_path))
    assert out == ""
    assert err.splitlines()[-1].startswith("Done at step 110; live is ")


@pytest.mark.parametrize(("command", "state"), [("stop", "stopped"), ("finish", "finished")])
def test_control_waits_for_the_end_of_the_run(
    live: Recorded, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, state: str
) -> None:
    while_waiting(monkeypatch, lambda: live.advance(1), live.obey)
    out, _ = run_cli("control", "live", command, "--wait", "--json", "--runs-dir", str(tmp_path))
    result = json.loads(out)
    assert (result["done"], result["step"], result["state"]) == (True, 101, state)


def test_control_waits_for_the_written_checkpoint(
    live: Recorded, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from charlstm.training.events import Checkpointed

    steps: list[str] = []
    actions: tuple[Callable[[], object], ...] = (
        live.obey,
        lambda: live.append(Checkpointed(step=99, seconds=0.1)),  # of an earlier checkpoint
        lambda: live.append(Checkpointed(step=100, seconds=0.1)),
    )
    while_waiting(monkeypatch, *(lambda action=action: (steps.append(""), action()) for action in actions))
    run_cli("control", "live", "checkpoint", "--wait", "--runs-dir", str(tmp_path))
    assert len(steps) == 3


@pytest.mark.parametrize("state", ["crashed", "failed", "stopped"])
def test_control_fails_when_the_run_ends_first(
    live: Recorded, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str
) -> None:
    while_waiting(monkeypatch, lambda: live.end(state, "no memory"))  # type: ignore[arg-type]
    err = run_cli("control", "live", "pause", "--wait", "--runs-dir", str(tmp_path), code=1)[1]
    assert f"live is {state} and did not carry out pause" in err


def test_control_fails_when_a_stopping_run_crashes(
    live: Recorded, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    while_waiting(monkeypatch, lambda: live.end("crashed"))
    assert "live is crashed" in run_cli("control", "live", "stop", "--wait", "--runs-dir", str(tmp_path), code=1)[1]


def test_control_gives_up_after_its_timeout(
    live: Recorded, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    while_waiting(monkeypatch, *[lambda: None] * 2)
    words = ("control", "live", "pause", "--wait", "--timeout", "2", "--json", "--runs-dir", str(tmp_path))
    out, err = run_cli(*words, code=1)
    assert out == ""
    error = json.loads(err)["error"]
    assert error["kind"] == "timeout"
    assert "live has not carried out pause within 2 seconds" in error["message"]
    assert [command.command for command in live.commands()] == ["pause"]


def test_control_without_wait_returns_at_once(live: Recorded, run_cli: RunCli, tmp_path: Path) -> None:
    out, _ = run_cli("control", "live", "set-lr", "0.001", "--json", "--runs-dir", str(tmp_path))
    result = json.loads(out)
    [command] = live.commands()
    assert result == {
        "id": command.id,
        "command": "set-lr",
        "value": 0.001,
        "done": False,
        "step": None,
        "state": None,
    }
    assert "--timeout needs --wait" in run_cli("control", "live", "pause", "--timeout", "1", code=2)[1]
