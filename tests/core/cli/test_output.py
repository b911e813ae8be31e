"""What is printed: JSON and text, without control characters on a terminal; progress; into streams that are closed."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pyte
import pytest

from charlstm.cli.main import run
from charlstm.cli.output import print_json, print_note, print_result, to_json
from charlstm.cli.training_view import EventView
from charlstm.line import TerminalLine
from charlstm.runs.folder import RunFolder, find_run
from charlstm.training.events import Sampled, Warned
from command_line import TINY, Cli, Terminal

pytestmark = pytest.mark.usefixtures("workspace")


FOUL = "\x1b[2J\x9b2J\x7f\u202e\u2066\u200b\u2028\u2029\x85\v\f\x1c\r\U000e0001é\t\n\udcff"


def test_json_is_one_line_and_escapes_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", stdout := Terminal())
    print_json(to_json({FOUL: [FOUL]}))
    with EventView(RunFolder(Path("x")), json=True) as view:
        view.show([Warned(step=1, message=FOUL)])
    value, event = stdout.getvalue().splitlines()  # U+2028 and U+0085 end a line here, too
    assert (json.loads(value), json.loads(event)["message"]) == ({FOUL: [FOUL]}, FOUL)
    stdout.getvalue().encode()  # with what is no character too
    assert "é" in stdout.getvalue()
    assert stdout.getvalue().replace("\n", "").isprintable()


def test_results_and_notes_show_control_characters_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", stdout := Terminal())
    monkeypatch.setattr("sys.stderr", stderr := Terminal())
    print_result(None, f"first{FOUL}\nsecond")
    print_note(f"first{FOUL}\nsecond")
    for stream in (stdout, stderr):
        assert stream.getvalue().startswith("first")
        assert stream.getvalue().endswith("\nsecond\n")
        assert stream.getvalue().replace("\n", "").isprintable()


def test_events_show_control_characters_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setattr(TerminalLine, "INTERVAL", 0.0)
    with EventView(RunFolder(Path("x"))) as view:
        view.show([Warned(step=1, message="\x1b[2Jgone"), Sampled(step=1, prime="\x1b[2Jgone", text="")])
        view.show_waiting("waiting: \x1b[2Jgone")
    assert terminal.getvalue().count("␛[2Jgone") == 3
    assert "\x1b[2J" not in terminal.getvalue()


def test_json_has_null_for_non_finite_numbers() -> None:
    values = {"a": math.nan, "b": [1.5, {"c": math.inf}], "d": (-math.inf, "NaN")}
    assert to_json(values) == '{"a": null, "b": [1.5, {"c": null}], "d": [null, "NaN"]}'


def test_result_in_a_pipe_is_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(None, "a path\u202e")
    assert capsys.readouterr().out == "a path\u202e\n"


def test_status_line_clears_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = pyte.Screen(40, 5)
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setattr("charlstm.line.terminal_width", lambda _: 40)
    line = TerminalLine()
    line.INTERVAL = 0.0
    line.draw(0.5, "half of it")
    pyte.Stream(screen).feed(terminal.getvalue())
    assert screen.display[0].startswith("██████████░░░░░░░░░░  50%  half of it")
    for words in ("far more than could ever fit on a line of forty cells", "红楼梦" * 20):
        line.draw(0.9, words)
    terminal.write("^C")  # printed by the terminal
    line.clear()
    terminal.write("done")
    screen.reset()
    pyte.Stream(screen).feed(terminal.getvalue())
    assert [row.rstrip() for row in screen.display] == ["done", "", "", "", ""]


def test_long_work_shows_progress(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for words, stage in (
        ("cells fox data/fox.txt", "reading the text"),
        ("generate fox --length 5 --json", "generating"),
    ):
        drawn: list[str] = []
        monkeypatch.setattr(TerminalLine, "draw", lambda self, part, words, drawn=drawn: drawn.append(words))
        cli(*words.split())
        assert stage in drawn, words


def test_lack_of_memory_is_one_sentence(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("charlstm.engine.evaluation.evaluate", fail)
    out, err = cli("eval", "fox", "--json", code=1)
    assert (out, json.loads(err.splitlines()[-1])["error"]["kind"]) == ("", "memory")
    assert cli("eval", "fox", code=1)[1].splitlines()[-1].startswith("charlstm: There is not enough memory: ")
    monkeypatch.setattr("charlstm.engine.evaluation.evaluate", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # a mistake in the program is not called something else
        cli("eval", "fox")


def shell(line: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``line`` in bash with ``"$@"`` as charlstm with ``words``."""
    command = ["bash", "-c", f"set -o pipefail; {line}", "bash", sys.executable, "-P", "-m", "charlstm", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


GENERATE = "generate fox --length 100000"


@pytest.mark.parametrize(
    ("line", "words", "code"),
    [
        ('"$@" | head -c 5', GENERATE, 141),
        ('"$@" 2>&- | wc -c', "generate fox --length 2000", 0),
        ('"$@" >&- 2>&- <&-', GENERATE, 141),
        ('"$@" | true', "presets --settings", 141),  # which are written at once when it ends
        ('"$@" | true', "compare fox --csv -", 141),
    ],
)
def test_command_with_closed_streams_exits_quietly(line: str, words: str, code: int) -> None:
    done = shell(line, *words.split())
    assert (done.returncode, done.stderr) == (code, "")


def test_closed_stdin_is_empty_input() -> None:
    done = shell('"$@" <&-', "score", "fox", "-")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    done = shell('"$@" <&-', "generate", "fox", "--prime-file", "-", "--length", "3")
    assert (done.returncode, len(done.stdout)) == (0, 4)


class ClosedPipe(Terminal):
    """Takes one line."""

    def write(self, text: str) -> int:
        if "\n" in self.getvalue():
            raise BrokenPipeError
        return super().write(text)


def test_train_writes_a_checkpoint_when_its_pipe_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", pipe := ClosedPipe())
    assert run(["train", "data/fox.txt", *TINY, "--max-steps", "100000", "--name", "left", "--json"]) == 141
    assert json.loads(pipe.getvalue())["event"] == "started"
    assert (find_run("left").status().state, find_run("left").state_path.exists()) == ("stopped", True)
