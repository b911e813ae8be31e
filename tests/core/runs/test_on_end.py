"""What is told when a run ends: in the terminal, and to the program of ``on_end``."""

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from charlstm.cli.main import run as run_command
from charlstm.config import written
from charlstm.runs import on_end
from charlstm.runs.folder import RunFolder
from charlstm.runs.on_end import call_on_end, end_words, terminal_sequence
from charlstm.runs.status import RunStatus
from recorded_run import record
from waiting import wait_until


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setenv("CHARLSTM_CONFIG", str(tmp_path / "config.toml"))
    with record(tmp_path / "runs", name="fox") as recorded:
        return recorded.run


def configure(tmp_path: Path, *command: str) -> None:
    (tmp_path / "config.toml").write_text(f"on_end = {written(command)}\n")


def test_program_gets_json_without_a_shell(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "import sys; open(sys.argv[1], 'w').write(sys.argv[2] + sys.stdin.read()); print('seen')"
    configure(tmp_path, sys.executable, "-c", code, str(tmp_path / "got"), "$HOME; ")
    before = run.size()
    assert call_on_end(run) == ""
    assert run_command(["runs", "--runs-dir", str(tmp_path / "runs"), "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    got = (tmp_path / "got").read_text()
    assert got.startswith("$HOME; ")
    assert json.loads(got.removeprefix("$HOME; ")) == {**row, "bytes": before}
    assert run.log_path.read_text() == "seen\n"


def test_program_that_hangs_dies_with_children(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_end, "TIME_LIMIT", 0.5)
    os.mkfifo(tmp_path / "held")
    reader = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    configure(tmp_path, "sh", "-c", f"exec 3>{shlex.quote(f'{tmp_path}/held')}; echo begun >&3; sleep 600 & wait")
    assert call_on_end(run) == "The program of on_end, sh, did not end within 0.5 seconds and was killed"
    assert os.read(reader, 100) == b"begun\n"
    wait_until(lambda: _has_no_writer(reader))
    os.close(reader)


def _has_no_writer(pipe: int) -> bool:
    try:
        return os.read(pipe, 100) == b""
    except BlockingIOError:
        return False


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("no-such-program",), "The program of on_end, no-such-program, could not be started: No such file or dir"),
        ((sys.executable, "-c", "raise SystemExit(3)"), "ended with exit code 3"),
        ((sys.executable, "\0"), "could not be started: embedded null byte"),
    ],
)
def test_what_goes_wrong_is_one_sentence(run: RunFolder, tmp_path: Path, command: tuple[str, ...], says: str) -> None:
    configure(tmp_path, *command)
    assert says in call_on_end(run)


def test_program_is_that_of_own_configuration(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch = ("touch", str(tmp_path / "got"))
    monkeypatch.chdir(run.path)
    for name in ("config.toml", "charlstm.toml", ".config/charlstm/config.toml"):
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_text(f"on_end = {written(touch)}\n")
    values = json.loads(run.spec_path.read_text())
    values["on_end"] = values["settings"]["on_end"] = touch
    run.spec_path.write_text(json.dumps(values))
    assert call_on_end(run) == ""
    (run.path / "mine").write_text(f"#!/bin/sh\ntouch {tmp_path / 'got'}\n")
    os.chmod(run.path / "mine", 0o700)
    configure(tmp_path, "./mine")  # is looked for in the home, not in the folder of the run
    assert "could not be started" in call_on_end(run)
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize("value", ['"say done"', '["say", 1]', '["say", ""]'])
def test_wrong_configuration_is_said_at_the_end(run: RunFolder, tmp_path: Path, value: str) -> None:
    (tmp_path / "config.toml").write_text(f'on_end = {value}\nnotify = "loud"\n')
    assert "on_end is a list of words in quotes" in call_on_end(run)


def test_words_for_the_end_of_a_run_of_a_minute() -> None:
    def words(seconds: float = 60.0, **values: object) -> str:
        return end_words("fox", RunStatus(alive=False, work_seconds=seconds, **values))

    assert words(state="finished", loss=1.23456, best_whole=True) == "fox has finished: loss 1.235"
    assert words(state="finished", loss=1.23456) == "fox has finished: loss ~1.235"
    assert words(state="failed", message="the loss was not a number") == "fox has failed: the loss was not a number"
    assert words(state="crashed", message="killed") == "fox has crashed: killed"
    assert [words(state=state) for state in ("stopped", "running", "paused")] == [""] * 3
    assert words(59.0, state="finished") == ""


def test_terminal_sequences() -> None:
    assert terminal_sequence("fox has finished", "both") == "\x1b]9;charlstm: fox has finished\a\a"
    assert terminal_sequence("fox", "desktop") == "\x1b]9;charlstm: fox\a"
    assert terminal_sequence("fox", "bell") == "\a"
    assert terminal_sequence("fox", "off") == terminal_sequence("", "both") == ""
    told = terminal_sequence("a\x1b]0;title\a\x9c\x00\n\u202e" + "b" * 1000, "desktop")
    assert told[4:-1].isprintable()
    assert len(told) < 250
