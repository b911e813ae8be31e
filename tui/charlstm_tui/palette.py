"""Textual's command palette, filled from the action table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from textual.app import ComposeResult
from textual.command import CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider

from charlstm_tui.actions import key_name
from charlstm_tui.base import ModeApp, ModeScreen
from charlstm_tui.widgets.option_list import SteadyOptionList


class SteadyCommandList(CommandList, SteadyOptionList):
    """The palette's list, for keys and clicks that come before it is laid out or after it was filled anew."""


class Palette(CommandPalette):
    """Textual's palette with a list that outlives quick keys."""

    def compose(self) -> ComposeResult:
        for widget in super().compose():
            yield SteadyCommandList() if type(widget) is CommandList else widget


class Themes(Provider):
    """All themes, the one in use first. The one that is chosen is remembered."""

    def _names(self) -> list[str]:
        names = sorted(self.app.available_themes)
        return [self.app.theme, *(name for name in names if name != self.app.theme)]

    async def discover(self) -> Hits:
        for name in self._names():
            yield DiscoveryHit(name, partial(self._choose, name))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name in self._names():
            if (score := matcher.match(name)) > 0:
                yield Hit(score, matcher.highlight(name), partial(self._choose, name), text=name)

    def _choose(self, name: str) -> None:
        if isinstance(self.app, ModeApp):
            self.app.choose_theme(name)


class Actions(Provider):
    """Every action of the mode on screen that has something to act on, then Textual's system commands.

    Both come from one provider, because Textual shows those of several in no fixed order.
    """

    def _commands(self) -> Iterator[tuple[str, str, Callable[[], Awaitable[None] | None]]]:
        """Name, help and what to call: what belongs to the pane in focus first, then the mode's, then the app's."""
        screen = self.screen
        if isinstance(screen, ModeScreen):
            shown = (action for action in screen.palette_actions() if action.palette)
            for action in sorted(shown, key=lambda action: (action.mode is None, -action.scope.count("."))):
                keys = " ".join(key_name(key) for key in action.keys)
                yield _capital(action.label), f"{action.help}  [{keys}]", partial(screen.action_do, action.id)
        for command in self.app.get_system_commands(screen):
            yield command.title, command.help, command.callback

    async def discover(self) -> Hits:
        for name, about, act in self._commands():
            yield DiscoveryHit(name, act, help=_literal(about))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, about, act in self._commands():
            score = max(matcher.match(name) * 1.5, matcher.match(about))
            if score > 0:
                yield Hit(score, matcher.highlight(name), act, text=name, help=_literal(about))


def _capital(label: str) -> str:
    return label[:1].upper() + label[1:]


def _literal(text: str) -> str:
    """``text`` as markup that shows it as it is."""
    return text.replace("[", r"\[")
