"""Read several continuations of the text at the cursor, and pick one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from charlstm.display import visible
from charlstm.generation.reading import Continuation
from charlstm.text.sentences import sentence_ends
from charlstm_tui.dialogs import Dialog
from charlstm_tui.formatting import from_bits, unit
from charlstm_tui.player.played import Continuations
from charlstm_tui.widgets.textual_repairs import SteadyOptionList

COUNT = 6
"""Continuations that are shown together."""
LENGTH = 160
"""Characters of each, at most."""
LINES = 2
"""Lines of each, at most."""
CONTEXT = 40
"""Characters before the cursor that the title may show."""


class Picked(NamedTuple):
    """A continuation that was picked; ``first`` is the number of the first one that was shown, where it is to go on to
    the end of its sentence."""

    text: str
    first: int | None = None


class ContinuationsDialog(Dialog):
    """Returns what was :class:`Picked`, or ``None``. ``find`` is called with the number of the first continuation to
    generate; :meth:`show` shows continuations while they grow."""

    VERTICAL_BREAKPOINTS = [(0, "-short"), (18, "-medium"), (30, "-tall")]  # noqa: RUF012

    def __init__(self, before: str, find: Callable[[int], object], bits: bool = False) -> None:
        super().__init__()
        self._bits = bits
        self._before, self._find, self._first = visible(before[-CONTEXT:], keep="").lstrip(), find, 1
        self._found: tuple[Continuation, ...] = ()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(classes="dialog-title")
            words = Content.assemble((f"{unit(self._bits)} per character, after ", "$quiet"), f"“…{self._before}”")
            yield Static(words, classes="dialog-text")
            yield SteadyOptionList(compact=True)
            yield Static(classes="dialog-keys")

    def opened(self) -> None:
        self.query_one(OptionList).focus()
        self._generate()

    def _generate(self) -> None:
        self._draw_words(complete=False)
        self._find(self._first)

    def show(self, continuations: Continuations) -> None:
        """Show continuations that may still grow."""
        if continuations.first != self._first or not self.is_mounted:
            return
        options, self._found = self.query_one(OptionList), continuations.found
        lines = [self._line(number, each) for number, each in enumerate(self._found, 1)]
        if options.option_count == len(lines):
            for index, line in enumerate(lines):
                options.replace_option_prompt_at_index(index, line)
        else:
            options.clear_options().add_options(Option(line) for line in lines)
            options.highlighted = 0
        self._draw_words(complete=continuations.complete)

    def _draw_words(self, *, complete: bool) -> None:
        """Say whether the continuations still grow, and name the keys, which act meanwhile too."""
        self.query_one(".dialog-title", Static).update(Content(f"Continuations{'' if complete else ': generating …'}"))
        number = len(self._found)
        few = "There is only one way on with these settings.   " if complete and number == 1 else ""
        digits = f" or 1–{number}" if number > 1 else ""
        words = f"{few}Enter{digits} put in   s put in one sentence   r others   Esc cancel"
        self.query_one(".dialog-keys", Static).update(Content(words))

    def _line(self, number: int, continuation: Continuation) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(width=2, justify="right")
        table.add_column(ratio=1)
        table.add_column(width=9, justify="right", style="dim")
        figure = f"{from_bits(continuation.bits_per_char, self._bits):.1f} {unit(self._bits)}"
        table.add_row(Text(str(number), style="bold"), Text(visible(rows(continuation.text))), Text(figure))
        return table

    def on_key(self, event: Any) -> None:
        if event.character == "r":
            event.stop()
            self._first += COUNT
            self._generate()
        elif event.character == "s":
            event.stop()
            self._pick(self.query_one(OptionList).highlighted or 0, sentence=True)
        elif event.character is not None and event.character.isdecimal():
            event.stop()
            self._pick(int(event.character) - 1)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self._pick(event.option_index)

    def _pick(self, index: int, *, sentence: bool = False) -> None:
        if 0 <= index < len(self._found) and (text := self._found[index].text):
            end = next(sentence_ends(text), None) if sentence else len(text)
            self.dismiss(Picked(text, self._first) if end is None else Picked(text[:end]))


def rows(text: str) -> str:
    """``text`` with a sign for each line break. Empty lines have no row of their own: the dialog shows as many
    continuations as it can."""
    start = len(text) - len(text.lstrip("\n"))
    return "↵" * start + re.sub(r"\n+", lambda breaks: "↵" * len(breaks[0]) + "\n", text[start:]).rstrip("\n")
