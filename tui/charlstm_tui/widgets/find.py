"""Find in a text: a line to type in, with the number of places, next and previous, case and whole words by choice.
Where the text can be changed, a second line says what to put in the place of what is found.

A widget whose text can be searched is a :class:`FindTarget`. The bar asks it for the text, and tells it the spans to
highlight and the span to show. What is to be replaced it tells the screen (:class:`FindBar.Replaced`).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Static

from charlstm_tui.ordered_keys import TakesHeldKeys
from charlstm_tui.widgets.text_input import LinesInput, TextInput

if TYPE_CHECKING:
    from textual.widget import Widget as _Widget
else:
    _Widget = object  # a second widget class among the bases would hide the style sheets of the first

FOUND, CURRENT = "reverse $accent", "reverse bold $foreground"
"""How places are drawn, and the one that is shown. Reversed, as they must be seen without colours too."""


FIND_KEYS = (("↑ ↓", "step"),)
REPLACE_KEYS = (("Enter", "this one"), ("Ctrl+G", "all"), ("Tab", "find"), ("Ctrl+J", "line break"))
CHOICE_KEYS = (("Ctrl+L", "case"), ("Ctrl+O", "words"))
CLOSE_KEY = ("Esc", "close")
"""The keys of the lines and of what is found, for the key bar."""

_WORD = re.compile(r".\S*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for."""

    needle: str = ""
    match_case: bool = False
    whole_words: bool = False

    @property
    def pattern(self) -> re.Pattern[str]:
        """What finds it."""
        written = re.escape(self.needle)
        if self.whole_words:  # an end of the needle that is no letter may stand beside one
            before = r"(?<!\w)" if re.match(r"\w", self.needle) else ""
            after = r"(?!\w)" if re.search(r"\w\Z", self.needle) else ""
            written = f"{before}{written}{after}"
        return re.compile(written, 0 if self.match_case else re.IGNORECASE)

    def places(self, text: str) -> list[int]:
        """The positions in ``text`` at which the needle stands."""
        return [found.start() for found in self.pattern.finditer(text)] if self.needle else []

    def highlight(self, content: Content, place: int | None = None) -> Content:
        """``content`` with all places marked, the one at ``place`` more than the others."""
        for start in self.places(content.plain):
            content = content.stylize(CURRENT if start == place else FOUND, start, start + len(self.needle))
        return content


def row_of(content: Content, place: int, width: int) -> int:
    """The row of the character at ``place`` when ``content`` is wrapped at ``width`` cells."""
    text = content.plain
    word = _WORD.match(text, place)
    return len(content[: word.end() if word else place].wrap(max(1, width))) - 1


class FindTarget(_Widget):
    """A base for widgets with a text that can be searched. Name it before the widget's own base class."""

    can_replace = False
    """Whether what is found can be replaced."""

    def find_text(self) -> str:
        """The text that is searched."""
        raise NotImplementedError

    def find_scope(self) -> str:
        """What is searched, for the count, where it is not the whole text: "in the 14,000 characters shown"."""
        return ""

    def find_start(self) -> int:
        """Where in the text the search begins: at a cursor, for example."""
        return 0

    def show_search(self, search: Search, place: int | None) -> None:
        """Highlight all places of ``search``, bring the one at ``place`` into view, and put a cursor there.

        Without a needle nothing is highlighted any more. ``place`` is ``None`` where nothing is found.
        """
        raise NotImplementedError


def find_target(screen: Screen[Any]) -> FindTarget | None:
    """The text that is in focus, else the first that is shown."""
    focused = screen.focused
    for node in focused.ancestors_with_self if focused is not None else ():
        if isinstance(node, FindTarget):
            return node
    for target in screen.walk_children(FindTarget):
        if all(node.display for node in target.ancestors_with_self if isinstance(node, Widget)):
            return target
    return None


class FindBar(TakesHeldKeys, Vertical):
    """The line. Enter and ↓ go to the next place, ↑ to the previous one, Esc leaves; Tab goes to the
    line for the replacement."""

    DEFAULT_CSS = """
    FindBar { height: auto; background: $panel; color: $quiet; }
    FindBar > Horizontal { height: 1; }
    FindBar > .find-replace { display: none; }
    FindBar.-replacing > .find-replace { display: block; }
    FindBar Static { width: auto; padding: 0 1; }
    FindBar Input { width: 1fr; min-width: 8; }
    FindBar .find-count { color: $foreground; }
    FindBar.-replacing .find-label { width: 9; }
    """
    BINDINGS: ClassVar = [
        ("escape", "close", "close"),
        ("down", "step(1)", "next"),
        ("up", "step(-1)", "previous"),
        ("ctrl+l", "case", "case"),
        ("ctrl+o", "words", "whole words"),
        ("tab", "other_field", "replace"),
        ("ctrl+g", "replace_all", "replace all"),
    ]

    class Closed(Message):
        """The bar was left; ``search`` is what to offer next time."""

        def __init__(self, search: Search) -> None:
            super().__init__()
            self.search = search

    class Replaced(Message):
        """What is found is to be replaced by ``text``: at ``place``, or everywhere."""

        def __init__(self, bar: FindBar, text: str, place: int | None) -> None:
            super().__init__()
            self.bar, self.text, self.place = bar, text, place

    def __init__(self, target: FindTarget, search: Search, *, replace: bool = False) -> None:
        """With ``replace`` the second line is open from the beginning."""
        super().__init__(classes="-replacing" if replace and target.can_replace else "")
        self.target, self.search = target, search
        self._start = target.find_start()
        self._place: int | None = None

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static(Content("Find"), classes="find-label")
            replaces = (("Tab", "replace"),) if self.target.can_replace else ()
            keys = (*FIND_KEYS, *replaces, CLOSE_KEY, *CHOICE_KEYS)
            yield TextInput(self.search.needle, compact=True, id="find-needle", typing_keys=keys)
            yield Static(classes="find-count")
        if self.target.can_replace:
            with Horizontal(classes="find-replace"):
                yield Static(Content("Replace"), classes="find-label")
                keys = (*REPLACE_KEYS, CLOSE_KEY)
                yield LinesInput(compact=True, id="find-replacement", placeholder="by nothing", typing_keys=keys)

    def on_mount(self) -> None:
        if not self.children:  # taken away again at once
            return
        self.screen.add_class("-finding")
        self.query_one("#find-needle", Input).focus()
        self._find_from(self._start)

    @on(Input.Changed, "#find-needle")
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value != self.search.needle:
            self.search = replace(self.search, needle=event.value)
            self._find_from(self._start)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input.id == "find-replacement":
            self._replace(self._place)
        else:
            self.action_step(1)

    # ---- replacing

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where nothing can be replaced, Tab goes to the next pane as elsewhere."""
        return self.target.can_replace or action not in ("other_field", "replace_all")

    def action_other_field(self) -> None:
        """Go to what replaces the places, or back to what is looked for."""
        fields = [*self.query(Input)]
        if not fields:  # a second key before the bar is there
            return
        self.add_class("-replacing")
        fields[0 if fields[1].has_focus else 1].focus()

    def action_replace_all(self) -> None:
        """Replace what is found everywhere; before the second line was open, open it."""
        if self.has_class("-replacing"):
            self._replace(None, everywhere=True)
        else:
            self.action_other_field()

    def _replace(self, place: int | None, *, everywhere: bool = False) -> None:
        if self.search.needle and (everywhere or place is not None):
            self.post_message(self.Replaced(self, self.query_one(LinesInput).text, place))

    def text_changed(self, start: int) -> None:
        """The text of the target is another one: find the next place from ``start`` on."""
        if self.is_attached and self.children:
            self._find_from(start)

    def action_case(self) -> None:
        """Tell capital letters from small ones, or no longer."""
        self.search = replace(self.search, match_case=not self.search.match_case)
        self._find_from(self._start)

    def action_words(self) -> None:
        """Find whole words alone, or parts of words too."""
        self.search = replace(self.search, whole_words=not self.search.whole_words)
        self._find_from(self._start)

    def take_key(self, key: str, times: int) -> int:
        by = {"down": 1, "up": -1}.get(key)
        if by is None:
            return 0
        self.action_step(by * times)
        return times

    def action_step(self, by: int) -> None:
        """Go so many places on, or back where negative; after the last comes the first."""
        if not self.children:  # a second key before the bar is there
            return
        places = self.search.places(self.target.find_text())
        if self._place is None or not places:
            self._show(places, places[0] if places else None)
        else:
            index = bisect_left(places, self._place + 1) - 1 if by > 0 else bisect_left(places, self._place)
            self._show(places, places[(index + by) % len(places)])

    def _find_from(self, start: int) -> None:
        places = self.search.places(self.target.find_text())
        self._show(places, places[bisect_left(places, start) % len(places)] if places else None)

    def _show(self, places: list[int], place: int | None) -> None:
        self._place = place
        if place is not None:
            self._start = place
        self.target.show_search(self.search, place)
        if place is not None:
            count = f"{bisect_left(places, place) + 1:,} of {len(places):,}"
        else:
            count = "not found" if self.search.needle else ""
        chosen = (self.search.match_case and "case as typed", self.search.whole_words and "whole words")
        words = (count, count and self.target.find_scope(), *(f"· {each}" for each in chosen if each))
        self.query_one(".find-count", Static).update(Content(" ".join(filter(None, words))))

    def action_close(self) -> None:
        """Leave the bar; the cursor of the text stays where it is."""
        self.close()
        self.target.focus()

    def close(self) -> None:
        """Remove the highlights and the bar, and leave the focus where it is."""
        if self.target.is_attached:
            self.target.show_search(replace(self.search, needle=""), None)
        self.screen.remove_class("-finding")
        self.post_message(self.Closed(self.search))
        self.remove()
