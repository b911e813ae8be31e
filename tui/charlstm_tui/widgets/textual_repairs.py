"""Repairs of Textual 8.2, all in one place. Without them the app ends with a traceback.

Each says what goes wrong. With a newer Textual, take one out and run ``tests/tui/test_textual_repairs.py``: what passes
without it can go.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, cast

from rich.console import RenderableType
from textual import on
from textual.app import App, ComposeResult, ScreenStackError
from textual.await_complete import AwaitComplete
from textual.command import CommandList, CommandPalette
from textual.errors import NoWidget
from textual.events import Click, Mount, MouseDown
from textual.geometry import Offset
from textual.message_pump import MessagePump
from textual.renderables.background_screen import BackgroundScreen
from textual.renderables.blank import Blank
from textual.screen import Screen
from textual.style import Style
from textual.timer import Timer
from textual.widgets import OptionList, TextArea, _toast
from textual.widgets._toast import Toast

SHORTEST_TOAST = 0.1
"""Seconds for which a toast is shown at least."""

if TYPE_CHECKING:
    _Base = Screen[Any]
else:
    _Base = object  # Textual looks for styles in the first base that is a widget


class SteadyScreen(_Base):
    """A base of all screens. Goes before ``Screen`` among the bases."""

    def render(self) -> RenderableType:
        """Find the screen below by its index among the screens.

        Textual takes the next of a list that is shared by all screens that are drawn, and keeps what it took. Where a
        screen is drawn anew and those above it are not, as when three dialogs stand above each other, it takes one of
        those. Each of the two is then the background of the other: a RecursionError (Textual's issue 6340).
        """
        background, below = self.styles.background, self._below()
        if below is not None and background.a < 1:
            return BackgroundScreen(below, background)
        return cast(RenderableType, self.app.render() if background.is_transparent else Blank(background))

    def _below(self) -> Screen[Any] | None:
        try:
            screens = self.app.screen_stack
        except ScreenStackError:
            return None
        index = screens.index(self) if self in screens else 0
        return screens[index - 1] if index else None


class SteadyTimers(MessagePump):
    """A base of the app. Goes before ``App`` among the bases."""

    def set_timer(self, delay: float, *args: Any, **options: Any) -> Timer:
        """As of Textual, whose timer never calls if it gets the processor more than ``delay`` too late. For the timer
        of 8 ms after which a new size of the terminal is drawn that happens on a busy machine, and then no later size
        is drawn either."""
        timer = super().set_timer(delay, *args, **options)
        timer._skip = False
        return timer


class SteadyToast(Toast):
    """Textual's toast, for a notification whose time ends between two looks at it, as when another mode is shown just
    then. Textual's timer never gives the event loop back when its delay is negative: the app stood still for good."""

    def set_timer(self, delay: float, *args: Any, **options: Any) -> Timer:
        return super().set_timer(max(delay, SHORTEST_TOAST), *args, **options)


_toast.Toast = SteadyToast  # type: ignore[misc]  # ToastRack makes toasts of this name


class SteadyOptionList(OptionList):
    """Textual's list, for keys and clicks that come before it is laid out or after it was filled anew, and whose cursor
    may be reversed."""

    def get_visual_style(self, *component_classes: str, partial: bool = False) -> Style:
        """The style of its parts. Textual leaves out what is reversed, which shows the cursor in few colours."""
        style = super().get_visual_style(*component_classes, partial=partial)
        styles = (self.get_component_styles(name) for name in component_classes)
        return style + Style(reverse=True) if any(each.text_style.reverse for each in styles) else style

    @on(Click)
    def _list_clicked(self, event: Click) -> None:
        """Ignore a click on a line that was still drawn but holds no option any more: an IndexError."""
        clicked = event.style.meta.get("option")
        if clicked is not None and clicked >= self.option_count:
            event.prevent_default()

    def action_page_up(self) -> None:
        """Only once the list is laid out: Textual's would look for lines that are not there yet."""
        if self.scrollable_content_region.height:
            super().action_page_up()

    def action_page_down(self) -> None:
        """See :meth:`action_page_up`."""
        if self.scrollable_content_region.height:
            super().action_page_down()


class SteadyTextArea(TextArea):
    """Textual's editor, in which the undo of a line may make the text fit again."""

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        """Only where the cursor is in the text: when a scrollbar goes with a line that is undone, Textual looks for the
        cursor before it has put it back, in a line that is gone: a ValueError."""
        if self.cursor_location[0] >= self.document.line_count:
            return Offset(0, 0)
        return super().scroll_cursor_visible(center, animate)


class SteadyCommandList(CommandList, SteadyOptionList):
    """The same for the list of the command palette."""


class SteadyPalette(SteadyScreen, CommandPalette):
    """Textual's command palette, which quick keys may leave at any moment."""

    def compose(self) -> ComposeResult:
        for widget in super().compose():
            yield SteadyCommandList() if type(widget) is CommandList else widget

    def on_mount(self, event: Mount) -> None:
        """Pass over the rest if it was left before it was there: Textual would look for the screen below it."""
        if self not in self.app.screen_stack:
            event.prevent_default()

    def on_click(self, event: Click) -> None:
        """Pass over a click outside of the screen, which has become smaller: Textual would look for a widget there."""
        if not self.region.contains(event.screen_x, event.screen_y):
            event.prevent_default()

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """Close, unless it is closed already or below another dialog, which Textual would close in its place."""
        return super().dismiss(result) if self.is_active else AwaitComplete.nothing()


def is_on_what_goes(app: App[Any], event: MouseDown) -> bool:
    """Whether the mouse was pressed on what is just being taken away, such as a notification whose time is up: Textual
    would look for its parent."""
    with contextlib.suppress(NoWidget):
        widget, _ = app.get_widget_at(event.x, event.y)
        return widget.parent is None
    return False
