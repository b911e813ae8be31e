"""The installed app in a real terminal, on an empty machine, with the real worker: the way of a newcomer."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from terminal_app import TIMEOUT, Terminal, machine, restored, workers

__all__ = ["machine"]  # a fixture

pytestmark = pytest.mark.terminal


def test_first_run_in_three_enters_then_quit(machine: tuple[Path, dict[str, str]]) -> None:
    home, environment = machine
    app = Terminal([], home, environment)
    app.until("python-reference")
    app.until("Welcome")
    app.key("enter")  # this text
    app.until("quick")
    app.until("Enter start")
    app.key("enter")  # this preset
    app.until("chars/s")
    app.until("Enter play")
    app.key("enter")  # play what it has learnt
    app.until("█ model")
    before = app.text
    app.until(lambda: app.text != before and "%" in app.text)  # it streams
    assert len(workers(home)) >= 1
    app.key("q")
    app.until("stop")
    app.key("s")
    assert app.end() == 0
    assert restored(app.raw)
    deadline = time.monotonic() + TIMEOUT
    while workers(home):
        assert time.monotonic() < deadline, "a worker is left"
        time.sleep(0.05)


def test_killing_the_app_leaves_the_run_and_a_new_app_finds_it(machine: tuple[Path, dict[str, str]]) -> None:
    home, environment = machine
    (home / "text.txt").write_text("green bottles hanging on the wall\n" * 2000, encoding="utf-8")
    app = Terminal(["text.txt"], home, environment)
    app.until("text.txt")
    app.key("enter")
    app.until("Enter start")
    app.key("enter")
    app.until("chars/s")
    app.child.kill(signal.SIGKILL)
    app.child.close(force=True)
    assert workers(home)
    again = Terminal([], home, environment)
    again.until("text-quick-1")
    again.until("SAMPLES")
    again.key("x")
    again.until("stop")
    again.key("enter")
    again.until("stopped")
    again.key("q")
    assert again.end() == 0
    assert restored(again.raw)
