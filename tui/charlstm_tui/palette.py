"""Textual's command palette, filled from the action table."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from textual import on
from textual.await_complete import AwaitComplete
from textual.command import Command, DiscoveryHit, Hit, Hits, Provider
from textual.events import Mount
from textual.theme import Theme, ThemeProvider
from textual.widgets import OptionList

from charlstm_tui.actions import ACTIONS, MODES, Action, key_name
from charlstm_tui.mode_app import ModeApp
from charlstm_tui.mode_screen import ModeScreen
from charlstm_tui.widgets.textual_repairs import SteadyPalette

WORD = re.compile(r"[^\W_]+")
OTHER_MODE = 0.25
"""How much less an action of another mode counts."""

Entry = tuple[str, str, str, Callable[[], Awaitable[None] | None]]
"""Name, help, other words for it, and what to call."""


SYSTEM_WORDS = {"Theme": "dark light colours"}
"""What else people call the app's own commands."""
ELSEWHERE = (
    (
        "Sweep over settings",
        "On the command line: charlstm sweep TEXT --grid lr=1e-3,2e-3",
        "grid search tune hyperparameters",
    ),
)
"""What the command line does and people look for in the app: name, where it is done, and other words for it."""


class Actions(Provider):
    """Every action of the mode on screen that has something to act on, then Textual's system commands.

    Both come from one provider, because Textual shows those of several in no fixed order.
    """

    def _commands(self) -> Iterator[Entry]:
        """What belongs to the pane in focus first, then the mode's, then the app's."""
        screen = self.screen
        if isinstance(screen, ModeScreen):
            shown = (action for action in screen.palette_actions() if action.palette)
            for action in sorted(shown, key=lambda action: (action.mode is None, -action.scope.count("."))):
                about = _about(action, typing=screen.in_input())
                yield _capital(action.label), about, action.words, partial(screen.do_if_possible, action)
        for command in self.app.get_system_commands(screen):
            yield command.title, command.help, SYSTEM_WORDS.get(command.title, ""), command.callback

    def _in_other_modes(self) -> Iterator[Entry]:
        """The actions of the other modes, which are shown first, and what the command line does. Only in a search, as
        they are many. Of those with the same name, such as undo in two views, only the first."""
        app, screen, titles = self.app, self.screen, dict(MODES)
        if isinstance(app, ModeApp) and isinstance(screen, ModeScreen):
            named: set[str] = set()
            for action in ACTIONS:
                name = f"{titles.get(action.mode or '')}: {action.label}"
                if action.palette and action.mode not in (None, screen.MODE) and name not in named:
                    named.add(name)
                    yield name, _about(action), action.words, partial(_do_in_mode, app, action)
            for name, about, words in ELSEWHERE:
                yield name, about, words, partial(app.notify_info, f"{about}.")

    async def discover(self) -> Hits:
        for name, about, _, act in self._commands():
            yield DiscoveryHit(name, act, help=_literal(about))

    async def search(self, query: str) -> Hits:
        here, elsewhere = list(self._commands()), list(self._in_other_modes())
        found = [
            (relevance(query, name, words, about) - part, name, about, act)
            for part, entries in ((0.0, here), (OTHER_MODE, elsewhere))
            for name, about, words, act in entries
        ]
        found = [hit for hit in found if hit[0] > 0]
        matcher = self.matcher(query)
        if not found:  # perhaps letters are missing, or some of them are of other words
            found = [(matcher.match(name), name, about, act) for name, about, _, act in (*here, *elsewhere)]
        for score, name, about, act in found:
            if score > 0:
                yield Hit(score, matcher.highlight(name), act, text=name, help=_literal(about))


class Themes(ThemeProvider):
    """All themes, the one that is on first."""

    async def startup(self) -> None:
        self._on = self.app.theme

    @property
    def commands(self) -> list[tuple[str, Callable[[], None]]]:
        app = self.app
        assert isinstance(app, ModeApp)
        names = sorted(app.available_themes, key=lambda name: (name != self._on, name))
        return [(name, partial(app.choose_theme, name)) for name in names]

    async def discover(self) -> Hits:
        for name, act in self.commands:
            yield DiscoveryHit(f"{name}  [$quiet]is on[/]" if name == self._on else name, act, text=name)


class ThemePalette(SteadyPalette):
    """The list of themes. Each draws the app while it is highlighted; leaving the list brings back the one before."""

    def __init__(self) -> None:
        super().__init__([Themes], placeholder="Which theme?")
        self._before = self.app.theme

    def on_mount(self, event: Mount) -> None:
        self.app.theme_changed_signal.subscribe(self, self._restyle)

    def _restyle(self, theme: Theme) -> None:
        """Draw the list in the theme too: Textual restyles every screen but a palette on top."""
        self.app.stylesheet.update(self)

    @on(OptionList.OptionHighlighted)
    def _draw_in_theme(self, event: OptionList.OptionHighlighted) -> None:
        if self.is_active and isinstance(event.option, Command):
            self.app.theme = event.option.hit.text or self._before

    def dismiss(self, result: Any = None) -> AwaitComplete:
        if self.is_active:
            self.app.theme = self._before
        return super().dismiss(result)


def _do_in_mode(app: ModeApp, action: Action) -> None:
    """Go to the mode of an action and carry it out there, if it has something to act on."""
    app.go(action.mode or "")
    if isinstance(app.mode_screen, ModeScreen):
        app.mode_screen.call_after_refresh(app.mode_screen.do_if_possible, action)


def relevance(query: str, name: str, words: str, about: str) -> float:
    """How well an action answers to what was typed: 0 is not at all.

    Every word typed has to begin a word of the name, else of its other words too, else of what the action does. So
    "undo" finds no sentence that merely holds these letters.
    """
    typed = WORD.findall(query.lower())
    texts = ((3.0, name), (2.0, f"{name} {words}"), (1.0, f"{name} {words} {about}"))
    for score, text in texts if typed else ():
        own = WORD.findall(text.lower())
        if all(any(word.startswith(each) for word in own) for each in typed):
            return score + (typed == own[: len(typed)])  # entries that begin with the typed words come first
    return 0.0


def _about(action: Action, typing: bool = False) -> str:
    """The help of an action with its keys; while ``typing`` without keys that would be typed."""
    keys = () if typing and not action.acts_in_inputs else action.keys
    return f"{action.help}  [{' '.join(map(key_name, keys))}]" if keys else action.help


def _capital(label: str) -> str:
    return label[:1].upper() + label[1:]


def _literal(text: str) -> str:
    """``text`` as markup, shown literally."""
    return text.replace("[", r"\[")
