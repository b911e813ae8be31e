"""`charlstm play` from a pipe and at a terminal, and `session`, which prints and exports what it saved."""

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

from charlstm.generation.document import Document
from charlstm.generation.session_file import SessionState, write
from charlstm.generation.stepper import Stepper
from command_line import Cli
from played_documents import about, work_on

Played = Callable[..., tuple[str, str]]


@pytest.fixture
def played(workspace: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Played:
    """Run `charlstm play fox` with lines on stdin; returns its stdout and stderr."""

    def ask(*lines: str, code: int = 0, options: tuple[str, ...] = (), live: bool = False) -> tuple[str, str]:
        stdin = io.StringIO("".join(f"{line}\n" for line in lines))
        monkeypatch.setattr(stdin, "isatty", lambda: live)
        monkeypatch.setattr("sys.stdin", stdin)
        return cli("play", "fox", "--length", "20", *options, code=code)

    return ask


def last(out: str, length: int) -> str:
    """The last ``length`` characters of the output before its final newline; they may contain newlines."""
    assert out.endswith("\n")
    return out[:-1][-length:]


def test_play_continues_the_typed_text(played: Played, cli: Cli) -> None:
    ask = ("generate", "fox", "--prime", "the ", "--length")
    assert played("the ")[0] == f"the {cli.json(*ask, '20')['text']}\n"
    # an empty line continues the text,
    whole = cli.json(*ask, "40")["text"]
    assert played("the ", "", "/text")[0] == f"the {whole[:20]}\n{whole[20:]}\nthe {whole}\n"
    # or starts one with an empty prime
    assert played("")[0] == cli.json("generate", "fox", "--length", "20")["text"] + "\n"


def test_back_starts_another_branch(played: Played) -> None:
    kept = last(played("the quick ", "/text")[0], len("the quick ") + 20)[:-15]
    out, err = played("the quick ", "/back 15", "dog ", "/text")
    assert last(out, len(f"{kept}dog ") + 20).startswith(f"{kept}dog ")
    assert "At character 5 of 20" in err


def test_again_replaces_the_last_continuation(played: Played) -> None:
    first = played("the ")[0]
    out, _ = played("the ", "/again", "/text")
    second, whole = out.removeprefix(first)[:20], out.removeprefix(first)[21:]
    assert whole == f"the {second}\n"
    assert first != whole


def test_settings_change_the_following_text(played: Played, cli: Cli) -> None:
    greedy = cli.json("generate", "fox", "--prime", "the ", "--length", "20", "--temperature", "0")["text"]
    out, err = played("/temperature 0", "/seed 4", "the ", f"/seed {2**64 - 1}", "/mirostat")
    assert out == f"the {greedy}\n"
    assert err.endswith(f"temperature 0\nseed 4\nseed {2**64 - 1}\nmirostat off\n")
    line = played("/until line", "/length 300", "the quick ")[0]
    assert line.endswith("\n\n")
    assert line.count("\n") == 2
    assert "until off" in played("/until off", options=("--until", "line"))[1]


def test_saved_session_is_opened(played: Played, tmp_path: Path) -> None:
    session, page = tmp_path / "s.json", tmp_path / "s.html"
    out, _ = played("the ", f"/save {session}", f"/save {page}", "/text")
    text = last(out, len("the ") + 20)
    assert json.loads(session.read_text())["kind"] == "charlstm session"
    assert "<pre" in page.read_text()
    assert played(f"/open {session}", "/text")[0] == f"{text}\n"


def test_new_begins_a_text_and_help_lists_commands(played: Played) -> None:
    assert last(played("the ", "/new dog ", "/text")[0], len("dog ") + 20).startswith("dog ")
    out, err = played("/help", "/quit", "never")
    assert (out, "/again" in err, "/temperature" in err) == ("", True, True)


def test_reference_sampler_has_only_top_k(played: Played, tmp_path: Path) -> None:
    page = tmp_path / "s.md"
    _, err = played("/settings", "the ", f"/save {page}", options=("--sampler", "reference", "--top-k", "3"))
    assert "sampler reference\ntop-k 3\nlength" in err
    assert "temperature" not in page.read_text()
    refusal = played("/temperature 0.2", options=("--sampler", "reference"), code=1)[1]
    assert "has only /top-k" in refusal


def test_save_reports_the_file_and_keeps_other_files(played: Played, tmp_path: Path) -> None:
    _, err = played("the ", "/back 5", f"/save {tmp_path / 'a.TXT'}", f"/save {tmp_path / 'b'}")
    assert f"Saved {tmp_path / 'a.TXT'}, with the 5 characters after the cursor" in err
    assert (tmp_path / "b.json").exists()
    # only files that this conversation saved are replaced
    novel = tmp_path / "novel.txt"
    novel.write_text("mine")
    assert "already" in played("the ", f"/save {novel}", code=1)[1]
    assert novel.read_text() == "mine"
    assert played("the ", f"/save {tmp_path / 'c.txt'}", "", f"/save {tmp_path / 'c.txt'}")[1].count("Saved") == 2


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/fly", "There is no command /fly"),
        ("/bakc 3", "did you mean /back?"),
        ("/back many", "takes a whole number"),
        ("/temperature hot", "temperature takes a number from 0"),
        ("/seed 18446744073709551616", "takes a whole number"),
        ("/save", "takes the name of a file"),
        ("/save x.doc", ".txt, .md or .html"),
        ("/save /nowhere/x.txt", "There is no folder /nowhere"),
        ("/open nowhere.json", "There is no session file"),
    ],
)
def test_error_in_a_pipe_ends_play(played: Played, line: str, sentence: str) -> None:
    _, err = played("the ", line, code=1)
    assert sentence in err.splitlines()[-1]
    assert err.count("\n") == 2


def test_ctrl_c_stops_after_a_complete_character(played: Played, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cli.json("generate", "fox", "--prime", "the ", "--length", "25")["text"]
    before, handler, fed = Stepper.advance, signal.getsignal(signal.SIGINT), []

    def interrupted(stepper: Stepper, which: int, state: Any) -> None:
        fed.append(which)
        if len(fed) == 5:
            signal.raise_signal(signal.SIGINT)
        before(stepper, which, state)

    monkeypatch.setattr(Stepper, "advance", interrupted)
    # in a pipe, play ends: the remaining lines would continue the text
    assert played("the ", "", "/text", code=130)[0] == f"the {whole[:5]}"
    fed.clear()
    # the fifth character was completed, and the text continues as without the interrupt
    out, _ = played("the ", "", "/text", live=True)
    assert out == f"the {whole[:5]}\n{whole[5:]}\nthe {whole}\n"
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.terminal
def test_neither_an_error_nor_ctrl_c_ends_play_at_a_terminal(workspace: Path) -> None:
    import pexpect

    words = ["-P", "-m", "charlstm", "play", "fox", "--length", "1000000"]
    child = pexpect.spawn(sys.executable, words, timeout=60, encoding="utf-8", env=os.environ | {"TERM": "dumb"})
    for line, answer in (("/fly", "There is no command /fly"), ("the quick ", r"\r\nthe quick .*[a-z]{2}")):
        child.expect("> ")
        child.sendline(line)
        child.expect(answer)
    child.sendintr()  # stops the generation, not the program
    child.expect("> ")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_session_is_printed_or_exported_and_replaces_a_file_only_when_forced(tmp_path: Path, cli: Cli) -> None:
    document, saved, out = work_on(Document("abc"), 30), str(tmp_path / "saved.json"), tmp_path / "poem.txt"
    write(Path(saved), SessionState(document, about(document)))
    assert cli("session", saved) == (f"{document.text.read()}\n", "")
    assert cli("session", saved, "--out", str(out)) == (f"{out}\n", "")
    assert out.read_text() == document.text.read()
    assert "already exists: replace it with --force" in cli.error("session", saved, "--out", str(out))
    cli("session", saved, "--out", str(out), "--force")
