"""What a screen shows behind itself: the screen below it, if its background lets that through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from rich.console import RenderableType
from textual.app import ScreenStackError
from textual.renderables.background_screen import BackgroundScreen
from textual.renderables.blank import Blank
from textual.screen import Screen

if TYPE_CHECKING:
    _Base = Screen[Any]
else:
    _Base = object  # Textual looks for styles in the first base that is a widget


class CoveringScreen(_Base):
    """A screen that finds the one below it by its place among the screens. Goes before ``Screen`` among the bases.

    Textual takes the next of a list that is shared by all screens that are drawn, and keeps what it took. Where a
    screen is drawn anew and those above it are not, as when three dialogs stand above each other, it takes one of
    those. Each of the two is then the background of the other, and drawing them ends the app with a RecursionError.
    """

    def render(self) -> RenderableType:
        background, below = self.styles.background, self._below()
        if below is not None and background.a < 1:
            return BackgroundScreen(below, background)
        return cast(RenderableType, self.app.render() if background.is_transparent else Blank(background))

    def _below(self) -> Screen[Any] | None:
        try:
            screens = self.app.screen_stack
        except ScreenStackError:
            return None
        place = screens.index(self) if self in screens else 0
        return screens[place - 1] if place else None
