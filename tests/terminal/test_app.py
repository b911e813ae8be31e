"""The installed app in a real terminal, on an empty machine, with the real worker: the way of a newcomer."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pexpect = pytest.importorskip("pexpect", reason="a pty")
pyte = pytest.importorskip("pyte")
psutil = pytest.importorskip("psutil", reason="looks for processes that are left")

pytestmark = pytest.mark.terminal

PATIENCE = 60.0
COLUMNS, ROWS = 80, 24
KEYS = {"enter": "\r", "escape": "\x1b", "right": "\x1b[C", "space": " "}
# pyte knows neither the keyboard protocol nor the queries that Textual sends
UNKNOWN = re.compile(rb"\x1b\[[<>=?]\d*u|\x1b\[\?\d+\$p|\x1b\[>[\d;]*[qm]|\x1bP.*?\x1b\\")


class Terminal:
    """A program in a pty, and the screen that it draws."""

    def __init__(self, arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
        program = shutil.which("charlstm-tui", path=str(Path(sys.executable).parent))
        assert program, "charlstm-tui is not installed beside this Python"
        self.raw = b""
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self.child = pexpect.spawn(
            program, arguments, cwd=str(folder), env=environment, dimensions=(ROWS, COLUMNS), timeout=PATIENCE
        )

    def read(self) -> bool:
        """Draw what came; False at the end of the program."""
        try:
            data = self.child.read_nonblocking(65536, timeout=0.05)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += data
        self._stream.feed(UNKNOWN.sub(b"", data))
        return True

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def until(self, what: str | Callable[[], bool]) -> None:
        """Read until the screen holds ``what``, or until it is true; fail after a deadline, showing the screen."""
        seen = what if callable(what) else lambda: what in self.text
        deadline = time.monotonic() + PATIENCE
        while not seen():
            assert self.read(), f"the app ended while waiting for {what!r}: {self.raw[-2000:]!r}"
            assert time.monotonic() < deadline, f"waited in vain for {what!r}:\n{self.text}"

    def key(self, name: str) -> None:
        self.child.send(KEYS.get(name, name))

    def end(self) -> int:
        """Read to the end of the program; its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self.read():
            assert time.monotonic() < deadline, f"the app does not end:\n{self.text}"
        self.child.close()
        assert self.child.exitstatus is not None, f"ended by signal {self.child.signalstatus}"
        return int(self.child.exitstatus)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """An empty home, and nothing left running in the end."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CHARLSTM_", "XDG_"))}
    environment |= {"HOME": str(home), "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
    yield home, environment
    for process in workers(tmp_path):
        process.kill()


def workers(folder: Path) -> list[psutil.Process]:
    """Processes whose command line names something in ``folder``."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or ()):
            found.append(process)
    return found


def restored(raw: bytes) -> bool:
    """Whether the alternate screen was left and the cursor shown again, last of all."""
    return raw.rfind(b"\x1b[?1049l") > raw.rfind(b"\x1b[?1049h") and raw.rfind(b"\x1b[?25h") > raw.rfind(b"\x1b[?25l")


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
    app.until("NEXT after")
    before = app.text
    app.until(lambda: app.text != before and "%" in app.text)  # it streams
    assert len(workers(home)) >= 1
    app.key("q")
    app.until("stop")
    app.key("s")
    assert app.end() == 0
    assert restored(app.raw)
    deadline = time.monotonic() + PATIENCE
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


def test_without_a_terminal_it_says_so(machine: tuple[Path, dict[str, str]]) -> None:
    home, environment = machine
    answer = subprocess.run(
        [sys.executable, "-m", "charlstm_tui"],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert "terminal" in answer.stderr
