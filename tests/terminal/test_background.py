"""The app asks the terminal for its background at the first start, whatever the terminal answers."""

import os
import pty
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from charlstm_tui.terminal_background import LIMIT, QUESTIONS, BackgroundQuestion, ask_background
from terminal_app import Terminal, machine

__all__ = ["machine"]  # a fixture

pytestmark = pytest.mark.terminal

WHITE, DEVICE = b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\", b"\x1b[?62;22c"
ON_LIGHT = b"48;2;251;250;247"


class AnsweringTerminal(Terminal):
    """A terminal that answers the question for its background once ``after`` was drawn or asked."""

    answer, after = b"", QUESTIONS

    def read(self) -> bool:
        going = super().read()
        if self.answer and self.after in self.raw:
            self.child.send(self.answer)
            self.answer = b""
        return going


@pytest.mark.parametrize("late", [False, True])
def test_first_start_suits_the_background_and_takes_keys(late: bool, machine: tuple[Path, dict[str, str]]) -> None:
    """Before and after the answer, which is none."""
    app = AnsweringTerminal([], *machine)
    app.answer, app.after = (WHITE + DEVICE, b"Welcome") if late else (b"2" + WHITE + DEVICE, QUESTIONS)
    app.until(lambda: not app.answer)
    if late:
        app.key("2")  # goes to Train, if it is the first key
    app.until("No text is chosen yet")
    app.until(lambda: late or ON_LIGHT in app.raw)
    assert app.raw.count(QUESTIONS) == 1
    assert "rgb" not in app.text
    app.key("q")
    assert app.end() == 0


@pytest.mark.parametrize("variable", ["TEXTUAL_DRIVER=some.web:Driver", "TERM=dumb", "TERM=linux", "TERM="])
def test_terminal_that_cannot_answer_is_not_asked(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    name, value = variable.split("=")
    assert ask_background({"TERM": "xterm", name: value}) is None


@pytest.fixture
def ask() -> Iterator[Callable[[], tuple[int, BackgroundQuestion]]]:
    """A new pty with a question: the descriptor of its other end, and the question. In the end each is as it was."""
    made = []

    def make() -> tuple[int, BackgroundQuestion]:
        outer, inner = pty.openpty()
        made.append((outer, termios.tcgetattr(outer)))
        question = BackgroundQuestion(inner)
        assert os.read(outer, 100) == QUESTIONS
        return outer, question

    yield make
    for outer, before in made:
        assert termios.tcgetattr(outer) == before
        os.close(outer)


Ask = Callable[[], tuple[int, BackgroundQuestion]]


@pytest.mark.parametrize(
    ("reply", "rgb"),
    [
        (b"\x1b]11;rgb:ffff/8080/0000\x07", (255, 128, 0)), (b"\x1b]11;rgb:ff/80/00\x1b\\", (255, 128, 0)),
        (b"\x1b]11;rgba:f/8/0/ffff\x07", (255, 136, 0)), (b"\x1b]11;rgb:\x07", None), (b"", None),
        (b"\xff\xfe\x1b]12;rgb:ff/80/00\x07", None),
    ],
)  # fmt: skip
def test_answer_is_read(ask: Ask, reply: bytes, rgb: tuple[int, int, int] | None) -> None:
    outer, question = ask()
    os.write(outer, reply + DEVICE)
    begun = time.monotonic()
    assert question.answer() == rgb
    assert time.monotonic() - begun < LIMIT  # the second answer ends it


def test_answers_are_cut_out_wherever_they_are_split(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm_tui.terminal_background.LIMIT", 0.0)
    whole = (b"a" + WHITE + b"b" + DEVICE + b"c\x1b[A").decode()
    for split in range(1, len(whole)):
        if whole[split - 1] == "\x1b" and split - 1 != whole.index("\x1b\\"):
            continue  # Escape is a key; it is not held back for what may follow
        _, question = ask()
        assert question.answer() is None
        found = question.without_answers(whole[:split]) + question.without_answers(whole[split:])
        assert found == "abc\x1b[A", split
        assert question.without_answers("\x1b[?1;2c\x1b]1") == "\x1b[?1;2c\x1b]1"  # both were answered
