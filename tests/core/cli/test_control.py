"""`charlstm control --wait` returns when the run has carried the command out."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from charlstm.runs.status import RunState
from charlstm.training.events import Checkpointed, Controlled
from command_line import Cli
from recorded_run import Recorded, record

WhileWaiting = Callable[..., Iterator[Callable[[], object]]]


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    monkeypatch.setenv("CHARLSTM_RUNS", str(tmp_path))
    with record(tmp_path, "running", name="live", steps=100) as recorded:
        yield recorded


@pytest.fixture
def while_waiting(monkeypatch: pytest.MonkeyPatch) -> WhileWaiting:
    """Do one of the actions that it is given at each pause of a second of the waiting command. Returns those that are
    left."""

    def do(*actions: Callable[[], object]) -> Iterator[Callable[[], object]]:
        now, left = [0.0], iter(actions)

        def sleep(_: float) -> None:
            now[0] += 1
            next(left)()

        monkeypatch.setattr("charlstm.cli.runs.time", SimpleNamespace(sleep=sleep, monotonic=lambda: now[0]))
        return left

    return do


@pytest.mark.parametrize(
    ("command", "obeys", "done", "state"),
    [
        ("pause", True, True, "paused"),
        ("resume", True, True, "running"),
        ("set-lr 0.001", True, True, "running"),
        ("stop", True, True, "stopped"),
        ("finish", True, True, "finished"),
        ("stop", False, False, "finished"),  # it is over, so that is no failure
        ("finish", False, False, "finished"),
        ("stop", False, True, "stopped"),  # while it reads its text there is no step yet to log the command at
        ("finish", False, None, "stopped"),
        ("stop", False, None, "crashed"),
        *(("pause", False, None, state) for state in ("crashed", "failed", "stopped")),
    ],
)
def test_control_waits_until_the_command_acted_or_the_run_ended(
    live: Recorded, cli: Cli, while_waiting: WhileWaiting, command: str, obeys: bool, done: bool | None, state: RunState
) -> None:
    """Without that it ``obeys`` the run ends in ``state``. ``done`` of None: the command fails."""
    while_waiting(lambda: live.advance(10), live.obey if obeys else lambda: live.end(state, "no memory"))
    out, err = cli("control", "live", *command.split(), "--wait", "--json", code=int(done is None))
    if done is None:
        assert f"live is {state}" in json.loads(err)["error"]["message"]
    else:
        result = json.loads(out)
        assert (result["done"], result["step"], result["state"]) == (done, 110, state)


def test_control_says_what_became_of_the_command(live: Recorded, cli: Cli, while_waiting: WhileWaiting) -> None:
    while_waiting(live.obey)
    out, err = cli("control", "live", "set-lr", "0.001", "--wait")
    assert (out, err.splitlines()[-1]) == ("", "Done at step 100; live is running")
    while_waiting(lambda: live.end("finished"))
    err = cli("control", "live", "stop", "--wait")[1]
    assert err.splitlines()[-1] == "live is finished at step 100; it did not carry out stop"


def test_control_waits_for_the_written_checkpoint(live: Recorded, cli: Cli, while_waiting: WhileWaiting) -> None:
    left = while_waiting(
        live.obey,
        lambda: live.append(Checkpointed(step=99, seconds=0.1)),  # of an earlier checkpoint
        lambda: live.append(Checkpointed(step=100, seconds=0.1)),
    )
    cli("control", "live", "checkpoint", "--wait")
    assert list(left) == []


def test_control_gives_up_after_its_timeout(live: Recorded, cli: Cli, while_waiting: WhileWaiting) -> None:
    while_waiting(*[lambda: None] * 2)
    out, err = cli("control", "live", "pause", "--wait", "--timeout", "2", "--json", code=1)
    error = json.loads(err)["error"]
    assert (out, error["kind"]) == ("", "timeout")
    assert "live has not carried out pause within 2 seconds" in error["message"]
    assert [command.command for command in live.commands()] == ["pause"]


def test_control_without_wait_returns_at_once(live: Recorded, cli: Cli) -> None:
    result = cli.json("control", "live", "set-lr", "0.001")
    [command] = live.commands()
    sent = {"id": command.id, "command": "set-lr", "value": 0.001}
    assert result == {**sent, "done": False, "step": None, "state": None}


def test_control_says_that_a_run_is_paused_when_it_is(live: Recorded, cli: Cli, while_waiting: WhileWaiting) -> None:
    """The command is logged before the heartbeat says so."""

    def log_command() -> None:
        [sent] = live.commands()
        live.append(Controlled(step=100, id=sent.id, command="pause"))

    while_waiting(log_command, lambda: None, lambda: live.beat("paused"))
    result = cli.json("control", "live", "pause", "--wait")
    assert (result["done"], result["step"], result["state"]) == (True, 100, "paused")
