"""`charlstm play`: the instrument line by line, from a pipe and at a terminal."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charlstm.generation.stepper import Stepper
from command_line import ErrorOf, RunCli, RunJson

Played = Callable[..., tuple[str, str]]


@pytest.fixture
def played(workspace: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> Played:
    """stdout and stderr of `charlstm play fox` that is given some lines."""

    def ask(
        *lines: str, length: int = 20, code: int = 0, options: tuple[str, ...] = (), live: bool = False
    ) -> tuple[str, str]:
        stdin = io.StringIO("".join(f"{line}\n" for line in lines))
        monkeypatch.setattr(stdin, "isatty", lambda: live)
        monkeypatch.setattr("sys.stdin", stdin)
        return run_cli("play", "fox", "--length", str(length), *options, code=code)

    return ask


def last(out: str, length: int) -> str:
    """The last ``length`` characters that were said, which may well be of several lines."""
    assert out.endswith("\n")
    return out[:-1][-length:]


def test_it_goes_on_from_what_is_typed(played: Played, run_json: RunJson) -> None:
    ask = ("generate", "fox", "--prime", "the ", "--length")
    assert played("the ")[0] == f"the {run_json(*ask, '20')['text']}\n"
    # an empty line goes on where it stopped
    whole = run_json(*ask, "40")["text"]
    assert played("the ", "", "/text")[0] == f"the {whole[:20]}\n{whole[20:]}\nthe {whole}\n"


def test_from_nothing(played: Played, run_json: RunJson) -> None:
    assert played("")[0] == run_json("generate", "fox", "--length", "20")["text"] + "\n"


def test_back_and_another_way(played: Played) -> None:
    kept = last(played("the quick ", "/text")[0], len("the quick ") + 20)[:-15]
    out, err = played("the quick ", "/back 15", "dog ", "/text")
    assert last(out, len(f"{kept}dog ") + 20).startswith(f"{kept}dog ")
    assert "At character 5 of 20" in err
    assert "At character 20 of 20" in played("the ", "/back 5", "/forward 5")[1]


def test_again_takes_the_last_back(played: Played) -> None:
    first = played("the ")[0]
    out, _ = played("the ", "/again", "/text")
    second, whole = out.removeprefix(first)[:20], out.removeprefix(first)[21:]
    assert whole == f"the {second}\n"
    assert first != whole


def test_alternatives_and_picking_one(played: Played) -> None:
    out, err = played("the quick brow", "/back 20", "/alternatives", "/pick 2", "/text")
    rows = [line.split() for line in out.splitlines() if "%" in line]
    assert [row[0] for row in rows[:3]] == ["1", "2", "3"]
    assert "The sampler keeps" in err
    second = {"space": " ", "newline": "\n"}.get(rows[1][2], rows[1][1])
    assert out[out.rindex("the quick brow") :].startswith(f"the quick brow{second}")


def test_settings_act_on_what_comes_next(played: Played, run_json: RunJson) -> None:
    greedy = run_json("generate", "fox", "--prime", "the ", "--length", "20", "--temperature", "0")["text"]
    out, err = played("/temperature 0", "/seed 4", "the ")
    assert out == f"the {greedy}\n"
    assert "temperature 0\nseed 4\n" in err
    assert "min-p off" in played("/min-p off")[1]
    assert "top-k 5" in played("/top-k 5", "/settings")[1]
    assert "mirostat off" in played("/mirostat")[1]
    line = played("/until line", "/length 300", "the quick ")[0]
    assert line.endswith("\n\n")
    assert line.count("\n") == 2
    assert "until off" in played("/until off", options=("--until", "line"))[1]


def test_a_session_is_saved_and_opened(played: Played, tmp_path: Path) -> None:
    session, page = tmp_path / "s.json", tmp_path / "s.html"
    out, _ = played("the ", f"/save {session}", f"/save {page}", "/text")
    text = last(out, len("the ") + 20)
    assert json.loads(session.read_text())["kind"] == "charlstm session"
    assert "<pre" in page.read_text()
    assert played(f"/open {session}", "/text")[0] == f"{text}\n"


def test_new_forgets_and_help_tells(played: Played) -> None:
    assert last(played("the ", "/new dog ", "/text")[0], len("dog ") + 20).startswith("dog ")
    _, err = played("/help", "/quit", "never")
    for word in ("/again", "/back", "/pick", "/save", "/temperature"):
        assert word in err


def test_the_reference_sampler_has_one_setting(played: Played, tmp_path: Path) -> None:
    page = tmp_path / "s.md"
    _, err = played("/settings", "the ", f"/save {page}", options=("--sampler", "reference", "--top-k", "3"))
    assert "sampler reference\ntop-k 3\nlength" in err
    assert "temperature" not in page.read_text()
    refusal = played("/temperature 0.2", options=("--sampler", "reference"), code=2)[1]
    assert "has only /top-k" in refusal


def test_what_is_saved_is_said(played: Played, tmp_path: Path) -> None:
    _, err = played("the ", "/back 5", f"/save {tmp_path / 'a.TXT'}", f"/save {tmp_path / 'b'}")
    assert f"Saved {tmp_path / 'a.TXT'}, with the 5 characters after the cursor" in err
    assert json.loads((tmp_path / "b.json").read_text())["kind"] == "charlstm session"
    assert "is a folder" in played("the ", f"/save {tmp_path}", code=2)[1]
    # what somebody else wrote is not written over, what was saved here is
    novel = tmp_path / "novel.txt"
    novel.write_text("mine")
    assert "already" in played("the ", f"/save {novel}", code=2)[1]
    assert novel.read_text() == "mine"
    assert played("the ", f"/save {tmp_path / 'c.txt'}", "", f"/save {tmp_path / 'c.txt'}")[1].count("Saved") == 2


def test_unknown_characters_are_said(played: Played) -> None:
    assert "Ω" in played("the Ω")[1]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/fly", "There is no command /fly"),
        ("/bakc 3", "did you mean /back?"),
        ("/back many", "takes a whole number"),
        ("/back 21", "at most 20 characters"),
        ("/forward", "at most 0 characters"),
        ("/pick 0", "from 1 to"),
        ("/pick", "takes a whole number"),
        ("/temperature hot", "takes a number or off"),
        ("/temperature off", "cannot be off"),
        ("/top-k 0", "top_k takes"),
        ("/until sunset", "line, paragraph or off"),
        ("/seed pi", "takes a whole number"),
        ("/save", "takes the name of a file"),
        ("/save x.doc", ".txt, .md or .html"),
        ("/save /nowhere/x.txt", "cannot be written"),
        ("/save ~nobody-here/x.txt", "cannot be written"),
        ("/open nowhere.json", "There is no session file"),
        ("/open ~nobody-here/x.json", "There is no session file"),
        ("/length 0", "1"),
    ],
)
def test_in_a_pipe_what_cannot_be_done_ends_it(played: Played, line: str, sentence: str) -> None:
    _, err = played("the ", line, code=2)
    assert sentence in err.splitlines()[-1]
    assert err.count("\n") == 2


def test_ctrl_c_ends_the_writing_after_a_whole_character(
    played: Played, run_json: RunJson, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_json("generate", "fox", "--prime", "the ", "--length", "25")["text"]
    before, handler, fed = Stepper.advance, signal.getsignal(signal.SIGINT), []

    def interrupted(stepper: Stepper, which: int, state: Any) -> None:
        fed.append(which)
        if len(fed) == 5:
            signal.raise_signal(signal.SIGINT)
        before(stepper, which, state)

    monkeypatch.setattr(Stepper, "advance", interrupted)
    # in a pipe the lines that are still to come would go on writing
    assert played("the ", "", "/text", code=130)[0] == f"the {whole[:5]}"
    fed.clear()
    # all of the fifth character was done, and what comes then is as if nothing had happened
    out, _ = played("the ", "", "/text", live=True)
    assert out == f"the {whole[:5]}\n{whole[5:]}\nthe {whole}\n"
    assert signal.getsignal(signal.SIGINT) is handler


def test_lines_that_are_no_utf_8_are_read(workspace: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"the caf\xe9 \n"), encoding="utf-8"))
    out, err = run_cli("play", "fox", "--length", "5")
    assert out.startswith("the caf\ufffd ")
    assert "U+FFFD" in err  # left out, as any character that the model has never seen


def test_play_refuses_like_generate(workspace: Path, error_of: ErrorOf) -> None:
    assert "no run" in error_of("play", "nobody")
    assert "has only --top-k" in error_of("play", "fox", "--sampler", "reference", "--min-p", "0.1")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys")
@pytest.mark.terminal
def test_at_a_terminal_a_mistake_does_not_end_it(workspace: Path) -> None:
    import pexpect

    child = pexpect.spawn(
        sys.executable, ["-P", "-m", "charlstm", "play", "fox", "--length", "30"], timeout=20, encoding="utf-8",
        env=os.environ | {"TERM": "dumb"},
    )  # fmt: skip
    child.expect("/help lists the commands")
    child.expect("> ")
    child.sendline("/fly")
    child.expect("There is no command /fly")
    child.expect("> ")
    child.sendline("the quick ")
    child.expect("the quick .+\r\n> ")
    child.sendline("/length 1000000")
    child.expect("length 1000000\r\n> ")
    child.sendline("")
    child.expect("[a-z]{2}")
    child.sendintr()  # ends the writing, not the program
    child.expect("> ", timeout=20)
    child.sendline("/temperature")
    child.expect("temperature 0.8")
    child.expect("> ")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
