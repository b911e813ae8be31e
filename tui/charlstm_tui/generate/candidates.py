"""The characters that may come next: the model's probabilities, and what the sampler makes of them.

Everything is drawn on one scale, from 0 to 1 over the width of the bars. A bar and the figure under ``model`` are the
model's probability, before temperature and filters: █ where the sampler can draw the character, ░ where a filter cut
it. The mark │ and the figure under ``drawn`` are the probability with which the sampler draws it. Each column adds up
to 100 % over the vocabulary, and the foot gives the part of the model's column that was kept. So temperature shows as
marks that leave the ends of their bars, and a filter as marks that move right by what it cut.
"""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from charlstm.display import percent, symbol, visible
from charlstm.generation.rows import ALTERNATIVES, Alternative, NextCharDistribution
from charlstm.generation.sampler_settings import FILTERS, SamplerSettings
from charlstm_tui.formatting import from_bits, unit
from charlstm_tui.widgets.bars import bar
from charlstm_tui.widgets.painted import Painted

DIGIT_WIDTH = 2
FIGURE_WIDTH = 7
"""Cells of a column of per cents: six, and one before it."""


class Candidates(Painted, Widget):
    """The candidates at the cursor. Hand-made, as a ``DataTable`` is too slow to change with each character."""

    PARTS: ClassVar = {
        "kept": "$kept",
        "cut": "$cut",
        "drawn": "bold $accent",
        "quiet": "$quiet",
        "number": "bold $primary",
        "current": "underline bold",
        "chosen": "bold on $cursor-line",
        "chosen-sign": "reverse",
        "title": "bold $quiet",
    }
    DEFAULT_CSS = "Candidates { height: 1fr; min-height: 4; }"

    choosing: reactive[bool] = reactive(False, init=False)
    """Whether one is being chosen: the list has a cursor then, and scrolls to characters that do not fit."""

    class Picked(Message):
        """A candidate was picked."""

        def __init__(self, char: str) -> None:
            super().__init__()
            self.char = char

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._distribution: NextCharDistribution | None = None
        self._settings = SamplerSettings()
        self._current: str | None = None
        self._before = ""
        self._bits = False
        self._chosen = 0  # the candidate under the list's cursor, in the order of the list
        self._top = 0  # the first line of the list that is shown
        self._chars: dict[int, str] = {}
        """The candidate in each row, for the mouse."""

    def show(
        self,
        distribution: NextCharDistribution | None,
        settings: SamplerSettings,
        current: str | None,
        before: str,
        bits: bool = False,
    ) -> None:
        """Show what may come after the text ``before``; ``current`` is the character at the cursor, if there is one.
        The entropy is in nats or in ``bits``."""
        self._bits = bits
        other = distribution != self._distribution or current != self._current
        self._distribution, self._settings, self._current, self._before = distribution, settings, current, before
        if other and self.choosing:
            self._begin_choosing()
        self.repaint()

    @property
    def shown(self) -> tuple[Alternative, ...]:
        """The candidates that fit, most likely first: the digit n picks the n-th."""
        height = self.content_region.height
        most = min(ALTERNATIVES, _candidates_in(height))
        return () if self._distribution is None else self._distribution.alternatives[:most]

    @property
    def chosen(self) -> Alternative | None:
        """The candidate under the cursor of the list, while one is being chosen."""
        listed = self._listed()
        return listed[self._chosen][1] if self.choosing and self._chosen < len(listed) else None

    def do_choice(self, lines: int) -> None:
        """Move the cursor of the list."""
        self._chosen = max(0, min(len(self._listed()) - 1, self._chosen + lines))
        self.repaint()

    def do_pick_chosen(self) -> None:
        if self.chosen is not None:
            self.post_message(self.Picked(self.chosen.char))

    def do_pick(self, number: int) -> None:
        if number <= len(self.shown):
            self.post_message(self.Picked(self.shown[number - 1].char))

    def _listed(self) -> list[tuple[int, Alternative]]:
        """The candidates in the order of the list, each with its rank: those that the sampler keeps come first."""
        if self._distribution is None:
            return []
        alternatives = self._distribution.alternatives if self.choosing else self.shown
        return sorted(enumerate(alternatives, 1), key=lambda ranked: not ranked[1].kept)

    def _begin_choosing(self) -> None:
        """Put the cursor of the list on the character that is in the text, else on the first."""
        self._top = 0
        chars = [one.char for _, one in self._listed()]
        self._chosen = chars.index(self._current) if self._current in chars else 0

    def watch_choosing(self) -> None:
        self._begin_choosing()
        self.repaint()  # the title says so

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and (char := self._chars.get(offset.y)) is not None:
            event.stop()
            self.post_message(self.Picked(char))

    # ---- drawing

    def draw(self) -> list[Strip]:
        width, height = self.size
        self._chars = {}
        distribution = self._distribution
        if distribution is None or width < 12 or height < 2:
            return []
        listed = self._listed()
        symbol_width = 1 + max((cell_len(symbol(one.char)) for _, one in listed), default=1)
        bar_width = max(0, width - DIGIT_WIDTH - symbol_width - 2 * FIGURE_WIDTH)
        cut = next((index for index, (_, one) in enumerate(listed) if not one.kept), len(listed))
        lines: list[tuple[int, Alternative] | None] = [*listed]  # None: what follows is cut
        if not self.choosing:
            del lines[cut:]
        if cut < len(listed):
            lines.insert(cut, None)
        chosen = self._chosen + (self._chosen >= cut) if self.choosing else -1
        space = max(1, height - 2)
        self._top = min(self._top, max(0, len(lines) - space))
        if self.choosing and not self._top <= chosen < self._top + space:
            self._top = max(0, chosen - (0 if chosen < self._top else space - 1))
        elif not self.choosing:
            self._top = 0
        rows = [self._head(width)]
        if not listed:
            return [*rows, self._line([("once the text is read again", self.look("quiet"))], width)]
        for index, line in enumerate(lines[self._top : self._top + space], self._top):
            if line is None:
                filters = ", ".join(filters_on(self._settings)) or "the sampler"
                share = percent(max(0.0, 1 - distribution.kept_probability))
                words = f"── {distribution.total - distribution.kept:,} cut by {filters}: {share} "
                rows.append(self._line([(words.ljust(width, "─"), self.look("quiet"))], width))
                continue
            rank, one = line
            self._chars[len(rows)] = one.char
            rows.append(self._candidate(one, rank, symbol_width, bar_width, width, index == chosen))
        more = len(lines) - self._top - space
        foot = f"↓ {more:,} more" if self.choosing and more > 0 else self._foot(distribution, width, None in lines)
        rows.append(self._line([(foot, self.look("quiet"))], width))
        return rows

    def _head(self, width: int) -> Strip:
        quiet = self.look("quiet")
        parts = [("█", self.look("kept")), (" model", quiet), (" │", self.look("drawn")), (" sampler", quiet)]
        free = width - sum(len(text) for text, _ in parts) - 1
        title = "CHOOSE" if self.choosing else "NEXT"
        before = visible(self._before, keep="")
        while before and cell_len(before) > free - len(f"{title} “…”"):
            before = before[1:]
        words = f" “…{before}”" if before else ""
        gap = " " * max(1, free + 1 - cell_len(title + words))
        return self._line([(title, self.look("title")), (words + gap, quiet), *parts], width)

    def _candidate(
        self, one: Alternative, digit: int, symbol_width: int, bar_width: int, width: int, chosen: bool
    ) -> Strip:
        row = ("chosen",) if chosen else ()
        sign_of_row = ("chosen-sign",) if chosen else ()  # seen in 16 colours too, which have none for the row
        quiet = () if one.kept else ("quiet",)
        current = ("current",) if one.char == self._current else ()
        number = f"{digit} " if digit < 10 and self.choosing else "  "  # as keys they act only then
        sign = symbol(one.char)
        words, filled = self.look(*row, *quiet), self.look(*row, "kept" if one.kept else "cut")
        cells = bar(one.probability, bar_width, "█" if one.kept else "░").ljust(bar_width)
        # The mark stands in the cell that the drawn probability falls in: at the bar's end where both are the same.
        mark = min(bar_width - 1, int(one.sampled * bar_width)) if one.kept and bar_width else bar_width
        parts = [
            (number, self.look(*row, "number", *sign_of_row)),
            (sign, self.look(*row, *current, *quiet, *sign_of_row)),
            (" " * (symbol_width - cell_len(sign)), words),
            (cells[:mark], filled),
            ("│" if mark < bar_width else "", self.look(*row, "drawn")),
            (cells[mark + 1 :], filled),
            (percent(one.probability).rjust(FIGURE_WIDTH), words),
            (percent(one.sampled).rjust(FIGURE_WIDTH), words),
        ]
        return self._line(parts, width)

    def _foot(self, distribution: NextCharDistribution, width: int, cut_is_shown: bool) -> str:
        """How many characters the sampler keeps and the model's probability of them, in words that fit; the entropy
        where a line above says what is cut."""
        entropy = f"entropy {from_bits(distribution.entropy, self._bits):.1f} {unit(self._bits)}"
        if cut_is_shown and not self.choosing and distribution.kept > 1:
            return entropy
        kept = f"{distribution.kept:,} of {distribution.total:,} kept: {percent(distribution.kept_probability)}"
        if distribution.kept == distribution.total:
            kept = f"all {distribution.total:,} kept"
        elif distribution.kept == 1 and self._settings.temperature:
            entropy = "temperature does nothing here"
        both = f"{kept} · {entropy}"
        return both if len(both) <= width else kept

    def _line(self, parts: list[tuple[str, Style]], width: int) -> Strip:
        return Strip([Segment(text, style) for text, style in parts if text]).adjust_cell_length(width, self.look())


def _candidates_in(height: int) -> int:
    """Candidates that fit in ``height`` lines: head, foot and the rule between kept and cut take three."""
    return max(1, height - 3) if height > 1 else 0


def filters_on(settings: SamplerSettings) -> list[str]:
    """The filters that may cut candidates."""
    if settings.kind == "reference":
        return ["top-k"]
    if settings.temperature == 0:
        return ["temperature 0"]
    return [name.replace("_", "-") for name in FILTERS if getattr(settings, name) is not None]
