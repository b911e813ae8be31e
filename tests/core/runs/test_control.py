import json
import math
from pathlib import Path

import pytest

from charlstm.errors import Advice, RunError
from charlstm.runs.control import ControlReader, check_command, pending_commands, send_command
from charlstm.runs.series import RunSeries
from charlstm.training.events import Controlled, Resumed
from recorded_run import record


def test_commands_arrive_once_and_in_order(tmp_path: Path) -> None:
    with record(tmp_path, "running") as recorded:
        sent = (("pause", None), ("set-lr", 1e-3), ("resume", None))
        asked = [send_command(recorded.run, command, value) for command, value in sent]
        assert [recorded.commands(), recorded.commands()] == [asked, []]
        first_line = recorded.run.control_path.read_bytes().index(b"\n") + 1
        assert ControlReader(recorded.run.control_path, first_line).read() == asked[1:]
        line = json.loads(recorded.run.control_path.read_text().splitlines()[1])
        assert set(line) == {"id", "time", "command", "value"}


def test_command_is_pending_until_its_worker_has_handled_it_or_ended(tmp_path: Path) -> None:
    with record(tmp_path, "running") as recorded:
        first, second = send_command(recorded.run, "checkpoint"), send_command(recorded.run, "stop")
        commands = ControlReader(recorded.run.control_path).read()

        def pending() -> list[str]:
            return [each.id for each in pending_commands(commands, RunSeries.of(recorded.run.events()))]

        assert pending() == [first.id, second.id]
        recorded.append(Controlled(step=recorded.step, id=first.id, command="checkpoint"))
        assert pending() == [second.id]
        recorded.append(Resumed(step=recorded.step))  # by a worker that a stop of the earlier one is not meant for
        assert pending() == []


@pytest.mark.parametrize("state", ["finished", "crashed"])
def test_send_command_refuses_a_run_without_a_worker(tmp_path: Path, state: str) -> None:
    run = record(tmp_path, state).run
    with pytest.raises(RunError, match="takes no commands") as caught:
        send_command(run, "pause")
    assert "\n" not in str(caught.value)
    assert ("with a later end" in str(caught.value)) == (state == "finished")
    assert (caught.value.advice, run.control_path.exists()) == ((Advice("resume", run.name),), False)


@pytest.mark.parametrize(
    ("command", "value"),
    [("jump", None), ("pause", 1.0), ("set-lr", None), ("set-lr", math.nan), ("set-lr", 1e9), ("more", 0.0)],
)
def test_check_command_refuses_unknown_commands_and_wrong_values(command: str, value: float | None) -> None:
    with pytest.raises(RunError):
        check_command(command, value)


def test_control_reader_skips_what_is_no_command_and_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "control.jsonl"
    path.write_bytes(b'\xff\0{\n[]\n{"id":"x","command":"fly"}\n{"id":"x","command":"stop"}\n{"id":"torn","comm')
    reader = ControlReader(path)
    assert [each.command for each in reader.read()] == ["stop"]
    with path.open("ab") as file:
        file.write(b'and":"pause"}\n')
    assert [each.id for each in reader.read()] == ["torn"]
    assert reader.position == path.stat().st_size


def test_run_that_has_taken_its_last_step_takes_only_a_stop(tmp_path: Path) -> None:
    """Nothing reads other commands any more during the final validation: they were accepted and lost."""
    with record(tmp_path, "starting") as recorded:
        recorded.beat("running", validated=0.1)
        for command, value in (("pause", None), ("finish", None), ("more", 5.0), ("set-lr", 1e-3)):
            with pytest.raises(RunError, match=f"so {command} would come too late") as caught:
                send_command(recorded.run, command, value)
            assert caught.value.advice == (Advice("resume", recorded.run.name),)
        send_command(recorded.run, "stop")
        assert [each.command for each in recorded.commands()] == ["stop"]
