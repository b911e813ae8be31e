"""The app driven by a test: keys in, the screen's characters out, and waiting for a condition with a deadline."""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.events import Event, Key
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from charlstm.runs.folder import RunFolder
from charlstm.runs.status import RunState
from charlstm.training.commands import Command
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.choices import StartOptions
from charlstm_tui.dialogs import Choice, ChoiceDialog
from charlstm_tui.mode_screen import ModeScreen
from charlstm_tui.ordered_keys import Typed
from charlstm_tui.run_watcher import RunsReader, RunView
from recorded_run import Recorded, record

DEADLINE = 60.0
Check = Callable[[], object]
LOOK_AGAIN = 0.25
"""Seconds after which a condition reads the screen again although nothing was drawn."""


class Look:
    """The text of the screen, for conditions that are asked fifty times a second: reading it takes 3 ms, so what was
    read holds until something is drawn."""

    def __init__(self) -> None:
        self.drawings = 0
        """How often an app has drawn something. The fixtures of the app's tests count it."""
        self._asking = False
        self._text, self._seen, self._until = "", (0, 0), 0.0

    def text(self, app: App[Any]) -> str:
        """Everything on the screen, as characters."""
        seen, now = (id(app.screen), self.drawings), time.monotonic()
        if not self._asking or seen != self._seen or now >= self._until:
            self._text = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
            self._seen, self._until = seen, now + LOOK_AGAIN
        return self._text

    def ask(self, condition: Check) -> bool:
        """Whether ``condition`` is true of the app as it was drawn last."""
        self._asking = True
        try:
            return bool(condition())
        finally:
            self._asking = False


LOOK = Look()
screen_text = LOOK.text


@contextmanager
def screen_in_failure(app: App[Any]) -> Iterator[None]:
    """The report of a failure shows the screen and the last messages."""
    try:
        yield
    except Exception as error:
        messages = "\n".join(each.message for each in app._notifications) or "none"
        shown = screen_text(app) if app.screen_stack else ""
        error.add_note(f"The screen was:\n{shown}\nThe last messages: {messages}")
        raise


def contains(text: str, *words: str) -> bool:
    """Whether all ``words`` are in a text, wherever its lines are broken."""
    joined = " ".join(text.split())
    return all(word in text or word in joined for word in words)


class Driven:
    """The running app and what a test wants of it."""

    def __init__(self, app: CharLSTMApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def screen(self) -> Screen[Any]:
        return self.app.screen

    @property
    def mode(self) -> ModeScreen:
        screen = self.app.mode_screen
        assert isinstance(screen, ModeScreen)
        return screen

    def text(self) -> str:
        """Everything on the screen, as characters."""
        return screen_text(self.app)

    async def press(
        self, *keys: str, shows: str | tuple[str, ...] = (), lacks: str = "", mode: str = "", until: Check | None = None
    ) -> None:
        """Press ``keys``, and wait for what they show, what they take away, the mode that they lead to and ``until``
        it is true."""
        await self.pilot.press(*keys)
        if lacks:
            await self.lacks(lacks)
        if mode:
            await self.in_mode(mode)
        if shows:
            await self.shows(*((shows,) if isinstance(shows, str) else shows))
        if until is not None:
            await self.until(until)

    def burst(self, *keys: str | Event) -> None:
        """Press keys so quickly that all have come before the app reads the first."""
        for is_key, together in itertools.groupby(keys, lambda key: isinstance(key, str)):
            sent = list(together)
            for event in [Typed([Key(key, key if len(key) == 1 else None) for key in sent])] if is_key else sent:
                self.app.post_message(event)

    async def until(self, condition: Check, *, settle: bool = True) -> None:
        """Wait for ``condition``, at most until the deadline; with ``settle`` then for the app to have nothing left to
        do, which a busy player keeps it from. A screen that has come has all of its parts then: where other programs
        take the processor, :meth:`Pilot.pause` takes an app that still makes them for an idle one."""
        app, end = self.app, time.monotonic() + DEADLINE
        while not LOOK.ask(condition) or (app.screen_stack and not app.screen.is_mounted):
            assert time.monotonic() < end, "never came true"
            await asyncio.sleep(0.01)  # pilot.pause() instead would ask each widget, which takes longer
        if settle:
            await self.pilot.pause()

    async def shows(self, *words: str) -> str:
        """Wait until all ``words`` are on the screen, and give all of it."""
        await self.until(lambda: contains(screen_text(self.app), *words))
        return screen_text(self.app)

    async def lacks(self, *words: str) -> None:
        """Wait until none of ``words`` is on the screen."""

        await self.until(lambda: not any(word in screen_text(self.app) for word in words))

    async def answer(self, text: str, **waits: Any) -> None:
        """Enter ``text`` in the line of the dialog that opens, and wait for what :meth:`press` waits for."""
        await self.until(lambda: not isinstance(self.app.screen, ModeScreen) and self.app.screen.query(Input))
        self.app.screen.query_one(Input).value = text
        await self.press("enter", **waits)

    async def enter(self, key: str, text: str, **waits: Any) -> None:
        """Press ``key``, which opens a dialog, and answer it."""
        await self.press(key)
        await self.answer(text, **waits)
        await self.shows()

    async def obeys(self, recorded: Recorded, *commands: str) -> list[float | None]:
        """Wait until the run has obeyed so many commands, which have to be these, and give their values."""
        found: list[Command] = []
        await self.until(lambda: found.extend(recorded.obey()) or len(found) >= len(commands))
        assert [each.command for each in found] == [*commands]
        return [each.value for each in found]

    async def resize(self, width: int, height: int) -> None:
        """Give the terminal another size, and wait until the screen is laid out for it."""
        await self.pilot.resize_terminal(width, height)
        await self.until(lambda: self.app.screen._compositor.size == (width, height))

    async def go(self, mode: str) -> None:
        """Go to ``mode``."""
        self.app.go(mode)
        await self.in_mode(mode)

    async def in_mode(self, mode: str) -> None:
        """Wait until ``mode`` is on screen and has been drawn."""
        await self.until(lambda: self.app.mode_screen is not None and mode == self.mode.MODE and self.mode.is_mounted)


@asynccontextmanager
async def driven(
    runs_dir: Path, size: tuple[int, int] = (80, 24), *, text: str | None = None, run: str | None = None
) -> AsyncIterator[Driven]:
    """The app on a folder of runs."""
    app = CharLSTMApp(StartOptions(text=text, run=run, runs_dir=runs_dir))
    async with app.run_test(size=size, notifications=True) as pilot:
        with screen_in_failure(app):
            yield Driven(app, pilot)


@asynccontextmanager
async def training(
    folder: Path, state: RunState = "running", size: tuple[int, int] = (80, 24), **options: Any
) -> AsyncIterator[tuple[Recorded, Driven]]:
    """A recorded run, and the app on Train with it."""
    with record(folder, state, **options) as recorded:
        async with on_run(folder, recorded.run.name, size) as app:
            yield recorded, app


@asynccontextmanager
async def on_run(folder: Path, run: str, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Driven]:
    """The app on Train with the run of this name."""
    async with driven(folder, size, run=run) as app:
        await app.in_mode("train")
        await app.until(lambda: app.app.runs_state.series is not None)
        yield app


def question(title: str) -> ChoiceDialog:
    """A dialog that asks for yes or no."""
    return ChoiceDialog(title, "", [Choice("y", "yes", True), Choice("n", "no", False)])


def seen(run: RunFolder) -> RunView:
    """The run as the app sees it."""
    return RunsReader(run.path.parent).read(run.path, all_runs=True).attached_run


class Held:
    """A function that is called in a thread and returns when it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> None:
        self._function, self._free, self.called = getattr(module, name), threading.Event(), threading.Event()
        monkeypatch.setattr(module, name, self)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.called.set()
        assert self._free.wait(DEADLINE)
        return self._function(*arguments, **options)

    def release(self) -> None:
        self._free.set()
