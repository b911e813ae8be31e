"""A view that can show which earlier characters decide the one at the cursor."""

from __future__ import annotations

import math

import numpy as np
from textual import work
from textual.reactive import reactive

from charlstm.display import plural, quoted
from charlstm.errors import GenerationError
from charlstm.insight.influence import Influence
from charlstm_tui.formatting import unit
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.generate.view import GenerateView
from charlstm_tui.player.insight_jobs import INFLUENCE_CHARS, InsightJobs
from charlstm_tui.player.marks import INFLUENCE, Scale
from charlstm_tui.player.played import Played
from charlstm_tui.player.text_player import TextPlayer

LEAST = 0.005
"""A smaller influence is 0.00 where it is shown."""


class ExplainingView(GenerateView):
    """While ``explaining``, the text is coloured by the influence on the character at the cursor, and
    ``explanation`` names the most important one. It is computed in a thread, anew for each position of the cursor."""

    explaining: reactive[bool] = reactive(False, init=False)

    def __init__(self, player: TextPlayer, insight: InsightJobs, *, id: str | None = None) -> None:
        super().__init__(player, id=id)
        self.insight = insight
        self.explanation = ""
        self._explained: tuple[str, int] | None = None  # the text that the colours are about, and its position
        self._influence: tuple[Influence, str] | None = None  # what ``explanation`` says, and the explained text

    @property
    def text_view(self) -> StreamView:
        raise NotImplementedError

    @property
    def text_start(self) -> int:
        """The position of the first character of ``text_view`` in the whole text, of which it may show only a part."""
        return 0

    def whole_text(self, start: int, stop: int) -> str:
        """The whole text from ``start`` to ``stop``."""
        return self.text_view.text(start, stop)

    def do_stream(self) -> None:
        self.say("")
        if self.running:
            self.player.pause()
        else:
            self.text_view.go_to_end()
            self.player.stream()

    def do_why(self) -> None:
        self.say("")
        self.explaining = not self.explaining

    def do_colour(self) -> None:
        self.explaining = False
        super().do_colour()

    def watch_scale(self, scale: Scale) -> None:
        if not self.explaining:  # else it colours the text afterwards
            super().watch_scale(scale)

    def watch_explaining(self, explaining: bool) -> None:
        self._explained = None
        self.text_view.scale = INFLUENCE if explaining else self.scale
        if explaining:
            self.player.pause()
            self.explain()
        else:
            self.workers.cancel_group(self, "why")
        self.post_message(self.Changed())

    def watch_bits(self) -> None:
        """Say it in the other unit."""
        if self.explaining and self._influence is not None:
            self.explanation = in_words(*self._influence, self.bits)
        super().watch_bits()

    @property
    def has_influence(self) -> bool:
        """Whether ``explanation`` says what was computed, and not why nothing could be."""
        return self._influence is not None

    def explain(self) -> None:
        """Explain the character at the cursor, unless it is explained already; at the end, the last one."""
        if not self.explaining:
            return
        view = self.text_view
        position = self.text_start + min(view.cursor, view.length - 1)
        start = max(0, position - INFLUENCE_CHARS)
        explained = (self.whole_text(start, position + 1), start)
        if explained != self._explained:
            self._explained = explained
            self._explain(*explained)

    @work(exclusive=True, group="why")
    async def _explain(self, text: str, start: int) -> None:
        """Explain the last character of ``text``, which begins at ``start`` of the whole one."""
        model = self.player.model
        if model is None:
            return
        try:
            found = await self.insight.influence(model, text)
        except GenerationError:
            self._influence = None
            self.explanation = "The first character is not predicted, so there is nothing to explain."
            self.text_view.set_levels(INFLUENCE, 0, np.empty(0, np.uint16))
        else:
            self._influence = found, text
            self.explanation = in_words(found, text, self.bits)
            first, levels = start + found.start - self.text_start, INFLUENCE.levels(found.changes)
            self.text_view.set_levels(INFLUENCE, max(0, first), levels[max(0, -first) :])
        self.post_message(self.Changed())


def started(before: Played | None, state: Played) -> bool:
    """Whether text has begun to stream. What explains a text ends then, but not by the last characters of a stream that
    it has just ended."""
    return state.running and (before is None or not before.running)


def in_words(found: Influence, text: str, bits: bool) -> str:
    """``Why “e”? Most important: “"” 26 characters before, +0.73 nats``, or in bits. A change that is shown as 0.00 is
    not called important."""
    strongest = found.strongest
    if strongest is None:
        return f"There is nothing before {quoted(found.char)} that explains it."
    change = found.changes[strongest - found.start] / (math.log(2) if bits else 1)
    if abs(change) < LEAST:
        hidden = plural(len(found.changes), "character")
        return f"Why {quoted(found.char)}? None of the {hidden} before it matters alone: 0.00 {unit(bits)} each."
    before = found.position - strongest
    distance = "just before" if before == 1 else f"{before} characters before"
    return f"Why {quoted(found.char)}? Most important: {quoted(text[strongest])} {distance}, {change:+.2f} {unit(bits)}"
