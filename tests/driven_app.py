"""The app driven by a test: keys in, the screen's characters out, and waiting for a condition with a deadline."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.events import Event, Key
from textual.pilot import Pilot
from textual.screen import Screen

from charlstm_tui.app import CharLSTMApp
from charlstm_tui.base import ModeScreen
from charlstm_tui.choices import StartOptions

DEADLINE = 60.0


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
        assert screen is not None
        return screen

    def text(self) -> str:
        """Everything on the screen, as characters."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    def burst(self, *keys: str | Event) -> None:
        """Press keys so quickly that all have come before the app reads the first."""
        for key in keys:
            self.app.post_message(Key(key, key if len(key) == 1 else None) if isinstance(key, str) else key)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for ``condition``, at most until the deadline."""
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, f"never came true; the screen was:\n{self.text()}"
            await self.pilot.pause(0.01)

    async def shows(self, *words: str) -> str:
        """Wait until all ``words`` are on the screen, and give all of it."""
        await self.until(lambda: all(word in self.text() for word in words))
        return self.text()

    async def lacks(self, *words: str) -> None:
        """Wait until none of ``words`` is on the screen."""
        await self.until(lambda: not any(word in self.text() for word in words))

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
        yield Driven(app, pilot)
