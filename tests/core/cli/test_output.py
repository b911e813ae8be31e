"""JSON contains no control characters, and printed text none on a terminal. In a pipe text is unchanged."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from charlstm.cli.output import print_json, print_note, print_result, to_json
from charlstm.cli.training_view import EventView
from charlstm.line import TerminalLine
from charlstm.runs.folder import Run
from charlstm.training.events import Resumed, Warned
from charlstm.training.presets import preset
from command_line import Terminal
from recorded_run import record, started, stepped, validated

FOUL = "\x1b[2J\x9b2J\x7f\u202e\u2066\u200b\u2028\u2029\x85\v\f\x1c\r\U000e0001é\t\n\udcff"


def test_json_is_one_line_and_escapes_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = Terminal()
    monkeypatch.setattr("sys.stdout", stdout)
    print_json(to_json({FOUL: [FOUL]}))
    with EventView(Run(Path("x")), json=True) as view:
        view.show([Warned(step=1, message=FOUL)])
    value, event = stdout.getvalue().splitlines()  # U+2028 and U+0085 end a line here, too
    assert json.loads(value) == {FOUL: [FOUL]}
    assert json.loads(event)["message"] == FOUL
    stdout.getvalue().encode()  # with what is no character too
    assert "é" in stdout.getvalue()
    assert stdout.getvalue().replace("\n", "").isprintable()


def test_results_and_notes_show_control_characters_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout, stderr = Terminal(), Terminal()
    monkeypatch.setattr("sys.stdout", stdout)
    monkeypatch.setattr("sys.stderr", stderr)
    print_result(None, f"first{FOUL}\nsecond")
    print_note(f"first{FOUL}\nsecond")
    for stream in (stdout, stderr):
        assert stream.getvalue().startswith("first")
        assert stream.getvalue().endswith("\nsecond\n")
        assert stream.getvalue().replace("\n", "").isprintable()


def test_divergence_is_printed_once_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with EventView(Run(Path("x")), plain=True) as view:
        view.show([started(symbols=98), validated(0, 4.5), *(stepped(number, 9.0 * number) for number in range(1, 9))])
        view.show([stepped(9, 99.0)])
    err = capsys.readouterr().err
    assert err.count("note: Diverging: the training loss rose from 4.50 to 63.00 nats") == 1
    assert "or lower it now: charlstm control x set-lr 0.0001\n" in err


def test_resumed_run_is_judged_by_what_it_did_before(capsys: pytest.CaptureFixture[str]) -> None:
    before = [started(symbols=98), validated(0, 4.5), *(stepped(number, 2.0) for number in range(1, 9))]
    with EventView(Run(Path("x")), plain=True, before=before) as view:
        view.show([Resumed(step=8), *(stepped(number, 1.4 * number) for number in range(9, 14))])
    err = capsys.readouterr().err
    assert err.count("note: Diverging: the training loss rose from 2.00") == 1
    assert "step      0" not in err


def test_progress_says_what_a_run_will_come_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with record(tmp_path, "running", settings=preset("quick")) as recorded:
        for run in (recorded.run, Run(tmp_path / "gone")):
            with EventView(run, plain=True) as view:
                view.show(recorded.run.events())
    [line] = {line for line in capsys.readouterr().err.splitlines() if " at the end · " in line}
    assert re.search(r" · best ~[\d.]+ · [\d.]+ to [\d.]+ at the end · ", line)


@pytest.mark.parametrize(("columns", "shown"), [(80, "at the end"), (60, "best ~"), (40, "loss ")])
def test_progress_in_a_narrow_terminal_keeps_the_time_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int, shown: str
) -> None:
    stderr = Terminal()
    monkeypatch.setattr("sys.stderr", stderr)
    monkeypatch.setattr(TerminalLine, "INTERVAL", 0.0)
    monkeypatch.setenv("COLUMNS", str(columns))
    with record(tmp_path, "running", settings=preset("quick")) as recorded, EventView(recorded.run) as view:
        view.show(recorded.run.events())
        last = stderr.getvalue().rsplit("\r\x1b[K", 1)[-1]
    assert re.search(rf"{shown}.* · [\d:]+ left$", last)
    assert "█░" in last  # the bar
    assert len(last) < columns


def test_result_in_a_pipe_is_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(None, "a path\u202e")
    assert capsys.readouterr().out == "a path\u202e\n"
