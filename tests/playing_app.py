"""The app on Generate as tests drive it."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.screen import Screen

from charlstm.generation.stepper import Floats, Ids, Stepper, StepperState
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.app_state import save_state
from charlstm_tui.choices import StartOptions
from charlstm_tui.generate.score_view import ScoreView
from charlstm_tui.generate.screen import GenerateScreen
from charlstm_tui.generate.view_bar import GenerateBar, StatusLine
from charlstm_tui.player.played import FULL, Played
from charlstm_tui.player.preferences import Preferences
from charlstm_tui.player.text_player import TextPlayer
from driven_app import Driven, contains, screen_in_failure, screen_text

PRIME = "The morning"
"""Of the models of the tests that play."""


def at(position: int) -> int:
    """The place so many characters after the prime."""
    return len(PRIME) + position


class PlayingApp(Driven):
    """The app on Generate, and what a test wants to know of it."""

    @property
    def screen(self) -> GenerateScreen:
        screen = self.app.mode_screen
        assert isinstance(screen, GenerateScreen)
        return screen

    @property
    def player(self) -> TextPlayer:
        return self.screen.player

    @property
    def state(self) -> Played:
        return self.screen.play.state

    @property
    def prime(self) -> str:
        return self.screen.play.prime

    @property
    def position(self) -> int:
        """The cursor, counted from the end of the prime."""
        return self.state.position - self.state.prime_length

    @property
    def text(self) -> str:
        return self.screen.play.text_view.text()

    @property
    def model_name(self) -> str:
        """Of the model that is played; empty while there is none."""
        return "" if self.state.facts is None else self.state.facts.name

    @property
    def step(self) -> int | None:
        """After how many steps of training that model is."""
        return None if self.state.facts is None else self.state.facts.step

    async def file(self) -> Path:
        """Wait until the text has a file."""
        await self.until(lambda: self.state.file is not None)
        assert self.state.file is not None
        return self.state.file

    async def opens(self, dialog: type[Screen[Any]]) -> None:
        await self.until(lambda: isinstance(self.app.screen, dialog))

    async def says(self, *words: str) -> None:
        """Wait until all ``words`` are in the line of status."""
        await self.until(lambda: contains(self.status(), *words))

    async def press(self, *keys: str, says: str | tuple[str, ...] = (), gives: str | None = None, **waits: Any) -> None:
        """Press ``keys``, and wait for what they say in the line of status and make of the text, and for what every
        :class:`Driven` waits for."""
        await super().press(*keys, **waits)
        if says:
            await self.says(*((says,) if isinstance(says, str) else says))
        if gives is not None:
            await self.until(lambda: self.text == gives)

    async def go(self, view: str, *keys: str) -> None:
        """Press ``keys``, which lead to ``view``."""
        await self.press(*keys, until=lambda: self.screen.view_name == view)

    async def paused(self, count: int) -> None:
        """Stand still after ``count`` characters, all of which are read."""
        await self.until(lambda: self.screen.play.playing)
        self.player.change_speed(FULL)
        if count > self.state.length:
            self.player.stream(count - self.state.length)
        await self.until(lambda: self.state.length == count and not self.state.running and self.state.is_current)

    async def write_in(self, words: str) -> None:
        """Write at the end of the text, and go back to Play."""
        await self.press("w", *words, "escape", "escape")
        await self.until(lambda: self.text.endswith(words) and self.screen.view_name == "play")

    async def score_part(self, start: int, stop: int) -> None:
        """Select these characters of the text that Score shows, and let it show them alone."""
        view = self.screen.score
        view.text_view._select(start, stop)
        await self.pilot.press("s")
        await self.until(lambda: view.text_view.text() == self.text[start:stop])

    async def burst(self, *keys: str, gives: str | None = None) -> None:
        """Press keys so quickly that all have come before the app reads the first, and wait for the text."""
        super().burst(*keys)
        await self.pilot.pause()
        if gives is not None:
            await self.until(lambda: self.text == gives)

    def status(self) -> str:
        return self.screen.query_one(StatusLine).render().plain

    def bar(self) -> str:
        return self.screen.query_one(GenerateBar).render().plain

    def screen_text(self) -> str:
        return screen_text(self.app)

    def backgrounds(self, *words: str) -> list[str | None]:
        """The background of each of these words on the screen, which are drawn in one style."""
        segments = [segment for strip in self.app.screen._compositor.render_strips() for segment in strip]
        styles = [next(segment.style for segment in segments if segment.text.strip() == word) for word in words]
        return [style.bgcolor.name if style is not None and style.bgcolor is not None else None for style in styles]


class HeldReading:
    """Lets a player read a prime very slowly, so that what it says meanwhile is seen on a busy machine too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._free = threading.Event()
        self._free.set()
        outputs = Stepper.outputs

        def held(stepper: Stepper, ids: Ids, state: StepperState) -> Iterator[tuple[slice, Floats]]:
            for block in outputs(stepper, ids, state):
                yield block
                self._free.wait(1.0)

        monkeypatch.setattr(Stepper, "outputs", held)

    def hold(self) -> None:
        """Take a second for each block from now on."""
        self._free.clear()

    def go_on(self) -> None:
        """Read as quickly as usual again."""
        self._free.set()


@asynccontextmanager
async def playing(
    model: Path | str, size: tuple[int, int] = (80, 24), speed: float | None = 0, *, paused: int | None = None,
    opens: bool = True,
) -> AsyncIterator[PlayingApp]:  # fmt: skip
    """The app on Generate with this model, once that is played, unless the test is about what ``opens`` or does not.
    It stands still after so many characters if that is said."""
    if speed is not None:
        save_state({"preferences": Preferences(speed=speed).to_dict()})
    app = CharLSTMApp(StartOptions(model=str(model)))
    async with app.run_test(size=size) as pilot:
        session = PlayingApp(app, pilot)
        with screen_in_failure(app):
            await session.until(lambda: isinstance(app.mode_screen, GenerateScreen))
            if opens:
                await session.until(lambda: session.screen.play.playing)
            if paused is not None:
                await session.paused(paused)
            yield session
    assert not app.is_running


@asynccontextmanager
async def scored(
    model: Path, size: tuple[int, int] = (80, 24), *, bits: bool = False
) -> AsyncIterator[tuple[PlayingApp, ScoreView]]:
    """The app on Score, with the figures of 60 generated characters."""
    async with playing(model, size, paused=60) as app:
        app.app.bits = bits
        await app.press("s", until=lambda: app.screen.score.scores is not None)
        yield app, app.screen.score
