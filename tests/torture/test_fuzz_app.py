"""The real app under a pty: random keys, mouse events, pastes and resizes while a run trains and text streams.

It fails on a traceback, on an app that does not take its input or does not draw, on one that after Escapes neither
helps nor quits, on a terminal that is not left as it was found, and on a worker that came to harm without having been
told to stop. A failure shows the last events and the screen; the same seed sends the same events.
"""

import collections
import contextlib
import os
import random
import re
import select
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from charlstm.errors import CharLSTMError
from charlstm.runs.control import send_command
from charlstm.runs.folder import RunFolder, list_runs
from charlstm.runs.launch import NewRun, launch, start_run
from charlstm.runs.log import read_events
from charlstm.training.events import Controlled
from charlstm.training.settings import Settings
from charlstm_tui.error_log import log_path
from killed_runs import BOTTLES
from recorded_run import NASTY, record
from terminal_app import COLUMNS, ROWS, UNKNOWN, Terminal, pyte, restored

pytestmark = [
    pytest.mark.terminal,
    pytest.mark.torture,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and the terminal at its other end"),
]

EVENTS = 100
"""So many times --times."""
SEEDS = 8
"""At most, with more times. With odd ones, what the thread of the model computes comes up to 0.3 seconds late."""
LATE = """
import random, time
from charlstm_tui.main import main
from charlstm_tui.player.model_thread import ModelThread

post = ModelThread._post
def post_late(self, number, batch):
    time.sleep(random.choice((0, 0.01, 0.05, 0.3)))
    post(self, number, batch)
ModelThread._post = post_late
main()
"""
TIMEOUT = 30.0
"""Seconds without an answer after which the app is stuck."""
START = 180.0
"""The same for the first step of a run, which loads torch and measures beside whatever else the machine does."""
LOOK_EVERY = 250
"""Events between two looks at the app and its worker."""
PACE = 0.004
"""Seconds that the app gets to draw something after each event."""
KEPT = 40
"""Events that are shown after a failure."""

SETTINGS = Settings(
    hidden_size=16, num_layers=1, batch_size=4, seq_length=16, max_steps=100_000_000, threads=1, kernel="nn",
    device="cpu", checkpoint_steps=500, val_every=500,
)  # fmt: skip

NAMED = [
    *("\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[H", "\x1b[F", "\x1b[5~", "\x1b[6~", "\x1b[2~", "\x1b[3~"),
    *("\x1bOP", "\x1b[15~", "\x1b[1;5C", "\x1b[1;5D", "\x1b[1;2A", "\x1b[Z", "\t", "\r", "\n", " ", "\x1b", "\x7f"),
    *(chr(code) for code in range(1, 27)),
]
MEANT = [*"1234", *"1234", *"oelhnfarxmgsut,.+-=z/:?bcdiwTKPMtkpm[]D", " ", " ", "\r", "\r", "\r", "\x1b", "\x1b"]
HELP, QUIT, QUIT_ANYWHERE = "?", "q", "\x11"

HOSTILE = [
    NASTY,
    "\x1b]0;FUZZED\x07\x1b]52;c;RlVaWkVE\x07\x1b[?1049l\x1b[2J\x1b[31m",
    "[bold red]x[/] [/nothing] [@click=app.quit]quit[/] {{}} %s \\[ ]]]",
    "\u202e\u2066\u200b\u200d\ufeff\u0301\u0301 👩‍👩‍👧 你好",
    "line\n" * 300,
    "x" * 20_000,
    "\0\x01\x02\x03\x7f\x80\x9b31m",
    "/etc/passwd", "~", "../../..", "", " ", "1e999", "-1", "nan", "hidden_size=0",
]  # fmt: skip
BROKEN = [
    *(b"\xff\xfe\x80", b"\xc3", b"\xe2\x82", b"\xf5\x90\x80\x80", b"\x1b[", b"\x1b[999999999999999999A", b"\x1b[<0;0M"),
    *(b"\x1b[<99999;99999;99999M", b"\x1b[<;;M", b"\x1b[200~", b"\x1b[201~", b"\x1bO", b"\x1b]", b"\x1bP", b"\x1b[?1u"),
    *(b"\x1b[I", b"\x1b[O", b"\x1b[?2026;2$y", b"\x1b[48;24;80;0;0t", b"\x1b[48;0;0;0;0t", b"\x1b[97;5u"),
    *(b"\0", b"\x1b\x1b"),
]


@dataclass(frozen=True)
class Event:
    """Bytes to type, or a size to take."""

    data: bytes = b""
    size: tuple[int, int] | None = None

    def __str__(self) -> str:
        return f"resize to {self.size[0]}×{self.size[1]}" if self.size else repr(self.data)[1:][:80]


def events(seed: int) -> Iterator[Event]:
    """Endless, and the same for the same seed."""
    dice = random.Random(seed)
    while True:
        kind = dice.random()
        if kind < 0.45:
            yield Event(dice.choice(MEANT).encode())
        elif kind < 0.62:
            yield Event(dice.choice(NAMED).encode())
        elif kind < 0.72:
            yield Event(chr(dice.choice((*range(32, 127), 0xE9, 0x4F60, 0x1F600))).encode())
        elif kind < 0.87:
            button = dice.choice((0, 0, 0, 1, 2, 32, 35, 64, 65, 66, 4, 16, 128))
            x, y = dice.choice((dice.randrange(1, 100), dice.randrange(0, 420))), dice.randrange(0, 130)
            yield Event(f"\x1b[<{button};{x};{y}M\x1b[<{button};{x};{y}m".encode())
        elif kind < 0.91:
            yield Event(b"\x1b[200~" + dice.choice(HOSTILE).encode("utf-8", "replace") + b"\x1b[201~")
        elif kind < 0.94:
            yield Event(dice.choice(BROKEN))
        elif kind < 0.995:
            yield Event(size=(dice.randrange(20, 401), dice.randrange(5, 121)) if dice.random() < 0.5 else (80, 24))
        else:
            yield Event(dice.choice((QUIT, QUIT_ANYWHERE)).encode())


class Failure(AssertionError):
    """What must not happen."""


class App(Terminal):
    """The app in a pty of its own whose other end stays open, so that it can be looked at when the app has gone."""

    def __init__(self, arguments: list[str], folder: Path, *, late: bool = False) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CHARLSTM_")}
        environment |= {"PYTHONFAULTHANDLER": "1", "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        command = [sys.executable, "-c", LATE] if late else []
        super().__init__(arguments, folder, environment | {"LANG": "C.UTF-8"}, command)
        self._how = arguments, folder, late
        self.raw, self.size, self.drawn = bytearray(), (COLUMNS, ROWS), 0
        self._master = self.child.child_fd
        self._slave = os.open(f"/proc/{self.child.pid}/fd/0", os.O_RDWR | os.O_NOCTTY)
        quiet = termios.tcgetattr(self._slave)
        quiet[0] &= ~termios.IXON
        quiet[3] &= ~termios.ISIG  # keys that come after the end are to stop nothing
        termios.tcsetattr(self._slave, termios.TCSANOW, quiet)
        self._before = termios.tcgetattr(self._slave)
        self.answered(lambda: b"\x1b[?2004h" in self.raw and self.drawn > 3000, "its first picture")

    @property
    def is_alive(self) -> bool:
        return bool(self.child.isalive())

    def resize(self, size: tuple[int, int]) -> None:
        self.child.setwinsize(size[1], size[0])
        self.size = size

    def read(self, patience: float = 0.0) -> bool:
        """Take what was drawn. Whether there was anything."""
        found = False
        while select.select([self._master], [], [], 0 if found else patience)[0]:
            data = os.read(self._master, 65536)
            found = True
            self.drawn += len(data)
            self.raw += data
            if any(command in self.raw[-len(data) - 30 :] for command in PASTED):
                raise Failure("pasted text reached the terminal as commands")
            if len(self.raw) > 4_000_000:
                del self.raw[:2_000_000]
        return found

    def pause(self, seconds: float) -> None:
        """Type nothing for so long: what follows an Escape at once makes another key of it."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.read(left)

    def type(self, data: bytes) -> None:
        """Write all of ``data``, however slowly the app takes it."""
        deadline = time.monotonic() + TIMEOUT
        while data:
            self.read()
            if select.select([], [self._master], [], 0.05)[1]:
                written = os.write(self._master, data[:512])
                data = data[written:]
                deadline = time.monotonic() + TIMEOUT
            if not self.is_alive:
                return
            if time.monotonic() > deadline:
                raise Failure("it does not take its input")

    def answered(self, condition: Callable[[], bool], what: str) -> None:
        """Read until ``condition`` or the end of the app; a failure when neither comes."""
        deadline = time.monotonic() + TIMEOUT
        while not condition() and self.is_alive:
            self.read(0.05)
            if time.monotonic() > deadline:
                raise Failure(f"waited in vain for {what}")
        self.read()

    def check_log(self) -> None:
        """No unexpected error was caught and logged."""
        log = log_path()
        if log.exists():
            raise Failure(f"an unexpected error was logged:\n{log.read_text(encoding='utf-8')[-12_000:]}")

    def redraws(self) -> None:
        """It draws itself anew in another size, so it is alive."""
        self.check_log()
        before = self.drawn
        self.resize((101, 31) if self.size != (101, 31) else (100, 30))
        self.answered(lambda: self.drawn > before + 500, "a picture in a new size")

    def text_since(self, since: int) -> str:
        """What is on the screen, by what was drawn since so many bytes (a whole picture)."""
        screen = pyte.Screen(*self.size)
        stream = pyte.ByteStream(screen)
        stream.feed(UNKNOWN.sub(b"", bytes(self.raw[-(self.drawn - since) or len(self.raw) :])))
        return "\n".join(line.rstrip() for line in screen.display)

    def check_end(self) -> None:
        """It ended in order, and the terminal is as it was."""
        self.read(0.2)
        self.check_log()
        if b"Traceback" in self.raw or self.child.exitstatus != 0:
            raise Failure(f"it ended with {self.child.exitstatus}")
        if not restored(self.raw):
            raise Failure("the terminal was left in another mode")
        if termios.tcgetattr(self._slave) != self._before:
            raise Failure("the terminal's settings are not what they were")

    def close(self) -> None:
        self.child.close(force=True)
        os.close(self._slave)

    def again(self) -> "App":
        """A new app after this one, which was told to quit."""
        self.check_end()
        self.close()
        arguments, folder, late = self._how
        return App(arguments, folder, late=late)


PASTED = (b"\x1b]0;FUZZED", b"\x1b]52;c;RlVaWkVE")
"""Parts of :data:`HOSTILE` that must never come out as they went in."""
COLOURS = re.compile(r"\x1b\[[\d;]*m|\r")


def look_after(run: RunFolder, begin: Callable[[], RunFolder]) -> RunFolder:
    """The worker trains, or was told to end; then it goes on. Runs that the keys started are stopped. Returns the run,
    a new one where the keys gave it another name, or stopped and deleted it."""
    for other in list_runs(run.path.parent):
        if other.path != run.path and other.status().alive:
            with contextlib.suppress(CharLSTMError):
                send_command(other, "stop")
    if not run.exists():
        return begin()
    status = run.status()
    if status.state in ("crashed", "failed"):
        raise Failure(f"the worker is {status.state}: {status.message}")
    if status.state == "paused":
        with contextlib.suppress(CharLSTMError):
            send_command(run, "resume")
    elif status.state in ("stopped", "finished"):
        commands = [each.command for each in read_events(run.events_path) if isinstance(each, Controlled)]
        if not {"stop", "finish"} & set(commands):
            raise Failure(f"the worker is {status.state}, and nobody told it to")
        launch(run, {"max_steps": (status.planned_steps or 0) + 100_000_000} if status.state == "finished" else None)
    return run


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("seed", range(min(SEEDS, metafunc.config.getoption("--times"))))


def test_app_and_worker_outlive_random_keys(seed: int, times: int, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(BOTTLES * 4)
    runs = tmp_path / "runs"
    record(runs, "finished", steps=300, planned=300, sample=NASTY, name="old")

    def begin() -> RunFolder:
        run = start_run(NewRun(text, SETTINGS, "quick", name="trains", runs_dir=runs))
        deadline = time.monotonic() + START
        while not run.status().step:
            assert time.monotonic() < deadline, f"the run does not train: {run.status()}"
            time.sleep(0.05)
        return run

    run = begin()
    history = collections.deque[str](maxlen=KEPT)
    app = App(["--runs-dir", str(runs)], tmp_path, late=bool(seed % 2))
    try:
        for number, event in zip(range(EVENTS * times), events(seed), strict=False):
            history.append(f"{number}: {event}")
            if event.size is not None:
                app.resize(event.size)
            else:
                app.type(event.data)
            app.read(PACE)
            if number % LOOK_EVERY == LOOK_EVERY - 1:
                app.redraws()
                run = look_after(run, begin)
            if not app.is_alive:  # it was told to quit
                app = app.again()
        while not escapes(app):
            app = app.again()
        finish(app)
        look_after(run, begin)
    except Failure:
        print("the last events:\n  " + "\n  ".join(history))
        show(app)
        raise
    finally:
        app.close()
        for each in list_runs(runs):
            status = each.status()
            if status.alive and status.pid and status.pid != os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(status.pid, signal.SIGKILL)


def show(app: App) -> None:
    """Print the screen, where each thread of the app is, and its traceback."""
    print(f"\nthe screen, {app.size[0]}×{app.size[1]}:\n{app.text_since(0)}")
    if app.is_alive:
        app.child.kill(signal.SIGABRT)  # says where each of its threads is
        app.pause(0.5)
        stacks = app.raw[app.raw.rfind(b"Fatal Python error") :].decode("utf-8", "replace")
        print(COLOURS.sub("", stacks)[:10_000])
    if (at := app.raw.rfind(b"Traceback")) >= 0:
        traceback = COLOURS.sub("", bytes(app.raw[at:]).decode("utf-8", "replace"))
        print(traceback[:12_000])  # where it begins tells more than where it ends


def escapes(app: App) -> bool:
    """Escapes lead out of everything, and then a key helps; whether the app is still there, which what was typed before
    may have quit: on a busy machine it reads late, so it is asked again until the time is up."""
    app.type(b"\x1b[201~")  # a paste that never ended
    app.redraws()
    before = app.drawn
    app.redraws()
    deadline = time.monotonic() + TIMEOUT
    while ": keys" not in app.text_since(before) and app.is_alive:
        if time.monotonic() > deadline:
            raise Failure("Escapes do not lead to where a key helps")
        for _ in range(10):
            app.type(b"\x1b")
            app.pause(0.15)
        app.pause(1.0)  # an Escape that is still on its way would make another key of the next
        app.type(HELP.encode())
        app.pause(1.0)
    app.type(b"\x1b")
    app.pause(1.0)
    return app.is_alive


def finish(app: App) -> None:
    """A key quits; while a run trains, after a question."""
    before = app.drawn
    app.type(QUIT.encode())
    app.answered(lambda: "Quit while" in app.text_since(before), "the question before the end")
    app.type(b"l")
    app.answered(lambda: False, "its end")
    app.check_end()
