"""The installed app in a real terminal, on an empty machine, with the real worker: the way of a newcomer."""

import os
import re
import select
import signal
import sys
import termios
import time
from pathlib import Path

import pytest

from terminal_app import TIMEOUT, Terminal, know_speeds, machine, restored, workers

__all__ = ["machine"]  # a fixture

pytestmark = pytest.mark.terminal

BOTTLES = "green bottles hanging on the wall\n" * 2000
TRAINING = 5 * TIMEOUT
"""Seconds that a training of some seconds may take beside many other programs."""


# As when Textual's queue of writes is full, and the terminal takes no output.
BLOCKED = """
import pathlib, time
from charlstm_tui import process
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.main import run

process.LAST_RESORT = 0.5

def look(app):
    play = app.mode_screen.play
    if play.playing and play.text_view.text().endswith("Last words"):
        pathlib.Path("blocked").touch()
        while True:  # one long sleep may begin just after the signal came, and Python would see that at its end
            time.sleep(0.1)
    elif play.playing:
        play.player.insert("Last words")

mount = CharLSTMApp.on_mount
CharLSTMApp.on_mount = lambda app: (mount(app), app.set_interval(0.1, lambda: look(app)))[0]
run(["--model", "demo"])
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, None], ids=["SIGTERM", "closed"])
def test_blocked_app_ends_and_its_session_is_saved(how: int | None, machine: tuple[Path, dict[str, str]]) -> None:
    home, environment = machine
    pid, terminal = os.forkpty()
    if pid == 0:
        os.chdir(home)
        if how is None:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as from a wrapper that keeps it
        os.execve(sys.executable, [sys.executable, "-c", BLOCKED], environment)
    deadline = time.monotonic() + TIMEOUT
    while not (home / "blocked").exists():
        assert time.monotonic() < deadline, "the app did not begin"
        if select.select([terminal], [], [], 0.05)[0]:
            os.read(terminal, 65536)
    if how is None:
        os.close(terminal)
    else:
        os.kill(pid, how)
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise AssertionError("the app does not end")
        time.sleep(0.05)
    assert [path for path in home.rglob("*.json") if "Last words" in path.read_text(encoding="utf-8")]


def test_signal_restores_the_terminal(machine: tuple[Path, dict[str, str]]) -> None:
    app = Terminal([], *machine)
    before = termios.tcgetattr(app.child.child_fd)
    app.until("help")
    assert termios.tcgetattr(app.child.child_fd) != before
    app.child.kill(signal.SIGTERM)
    while b"\x1b[?1004l" not in app.raw:
        assert app.read()
    assert restored(app.raw)
    assert termios.tcgetattr(app.child.child_fd) == before
    assert app.end() == 128 + signal.SIGTERM


def test_newcomer_trains_plays_and_finds_the_run_after_a_kill(machine: tuple[Path, dict[str, str]]) -> None:
    """The third Enter played the model of step 0, and that stayed."""
    home, environment = machine
    (home / "text.txt").write_text(BOTTLES, encoding="utf-8")
    know_speeds(home, BOTTLES, hidden_size=32)
    app = Terminal([], home, environment)
    app.until("text.txt")
    app.key("enter", shows="a all settings")
    app.key("a", shows="ALL SETTINGS")
    # It trains while the next app starts.
    settings = {"hidden_size": "32", "threads": "1", "warmup": "0", "max_steps": "1000000", "max_minutes": "30"}
    settings |= {"val_every": "50", "lr": "0.02"}  # it is played once it has learnt something
    for name, value in settings.items():
        app.key(name, "enter", value, "enter")
    app.key("ctrl+s", shows="2×32")
    app.key("enter", shows="Enter play")
    app.key("enter")
    steps: set[int] = set()

    def shows(words: str) -> bool:
        found = re.search(r"(?<!demo) @ (?:step )?([\d,]+)", app.text)
        steps.update([int(found[1].replace(",", ""))] if found else [])
        return words in app.text

    app.until(lambda: shows(" bottles ") and bool(steps), TRAINING)  # text of real words
    assert min(steps) > 0
    app.child.kill(signal.SIGKILL)
    app.child.close(force=True)
    assert workers(home)
    again = Terminal([], home, environment)
    again.until("Space pause")  # on a busy machine a note stands where the samples would be
    again.key("x", shows="leave it as it is")
    again.key("enter", shows="□ stopped")  # the question before has the word too
    again.key("q")
    assert again.end() == 0
    assert restored(again.raw)
