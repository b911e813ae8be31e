"""The installed app in a real terminal: a pty, the screen that the app draws, keys, and waiting with a deadline.

Not a test. ``machine`` is a fixture to import: an empty home, and no process of the test's left running in the end.
"""

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from charlstm.model.file import load_model
from charlstm.runs.folder import RunFolder
from charlstm.runs.models import find_model
from charlstm.training.estimate import batch_shape, store_speed
from charlstm.training.plan import MeasuredSpeed
from charlstm.training.presets import PRESETS, preset

pexpect = pytest.importorskip("pexpect", reason="a pty")
pyte = pytest.importorskip("pyte")

TIMEOUT = 60.0
COLUMNS, ROWS = 80, 24
KEYS = {"enter": "\r", "ctrl+s": "\x13"}
# pyte knows neither the keyboard protocol nor the queries that Textual sends
UNKNOWN = re.compile(rb"\x1b\[[<>=?]\d*u|\x1b\[\?\d+\$p|\x1b\[>[\d;]*[qm]|\x1bP.*?\x1b\\")
# synchronized output: what stands between its beginning and its end is drawn at once
ASKED, SUPPORTED = b"\x1b[?2026$p", "\x1b[?2026;2$y"
DRAWING_BEGINS, DRAWING_ENDS = b"\x1b[?2026h", b"\x1b[?2026l"


class Terminal:
    """A program in a pty, and the screen that it draws."""

    def __init__(
        self, arguments: list[str], folder: Path, environment: dict[str, str], command: Sequence[str] = ()
    ) -> None:
        installed = shutil.which("charlstm-tui", path=str(Path(sys.executable).parent))
        assert installed, "charlstm-tui is not installed beside this Python"
        self.raw = b""
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        words = [*(command or [installed]), *arguments]  # pexpect splits a program alone at its spaces
        size = (ROWS, COLUMNS)
        self.child = pexpect.spawn("/usr/bin/env", words, TIMEOUT, cwd=str(folder), env=environment, dimensions=size)

    def read(self) -> bool:
        """Draw what came; False at the end of the program."""
        try:
            data = self.child.read_nonblocking(65536, timeout=0.05)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        if ASKED not in self.raw and ASKED in self.raw[-len(ASKED) :] + data:
            self.child.send(SUPPORTED)
        self.raw += data
        self._stream.feed(UNKNOWN.sub(b"", data))
        return True

    @property
    def complete(self) -> bool:
        """Whether the app has sent to its end what it draws at once."""
        return self.raw.rfind(DRAWING_ENDS) >= self.raw.rfind(DRAWING_BEGINS)

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def until(self, what: str | Callable[[], bool], seconds: float = TIMEOUT) -> None:
        """Read until the screen holds ``what``, or until it is true; fail after ``seconds``, showing the screen."""
        seen = what if callable(what) else lambda: what in self.text
        deadline = time.monotonic() + seconds
        while not (self.complete and seen()):
            assert self.read(), f"the app ended while waiting for {what!r}: {self.raw[-2000:]!r}"
            assert time.monotonic() < deadline, f"waited in vain for {what!r}:\n{self.text}"

    def key(self, *names: str, shows: str = "") -> None:
        """Press keys one after the other: names of :data:`KEYS`, or what a key types. Then wait for what they show."""
        for name in names:
            self.child.send(KEYS.get(name, name))
        if shows:
            self.until(shows)

    def end(self) -> int:
        """Read to the end of the program; its exit code."""
        deadline = time.monotonic() + TIMEOUT
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
        os.kill(process, signal.SIGKILL)


def know_speeds(home: Path, text: str, **changes: Any) -> None:
    """Store in ``home`` how fast a run of each preset on ``text`` is, with and without ``changes``. Train measures that
    for ten seconds else, and a run for four."""
    demo, symbols = load_model(find_model("demo")).config, len(set(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARLSTM_CACHE", str(home / ".cache" / "charlstm"))
        for name, start, changed in product(PRESETS, (None, demo), ({}, changes)):
            settings = preset(name, len(text), symbols, start).with_changes(**changed)
            rows, length = batch_shape(settings, len(text))
            store_speed(settings, symbols, rows, length, MeasuredSpeed("nn", 0.01, rows * length))


def workers(folder: Path) -> list[int]:
    """Processes that train a run in ``folder``. A worker that was prepared has no run in its command line."""
    found = (RunFolder(path.parent).status() for path in folder.rglob("run.json"))
    return [status.pid for status in found if status.alive and status.pid]


def restored(raw: bytes) -> bool:
    """Whether, last of all, the alternate screen, two ways to track the mouse and bracketed pastes were left, and the
    cursor shown again."""
    is_left = [raw.rfind(b"\x1b[?%dl" % mode) > raw.rfind(b"\x1b[?%dh" % mode) for mode in (1049, 1000, 1003, 2004)]
    return all(is_left) and raw.rfind(b"\x1b[?25h") > raw.rfind(b"\x1b[?25l")
