"""Context: how many characters before a place the model uses, for the whole model and for the place at the cursor.

Both are measured in threads by ``charlstm.insight.context``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from textual import work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from charlstm.display import plural, quoted, visible
from charlstm.errors import GenerationError
from charlstm.insight.context import CERTAIN, LENGTHS, Context
from charlstm.insight.sample import step_words
from charlstm.model.file import Model
from charlstm_tui.formatting import loss, unit
from charlstm_tui.generate.cell_history import columns
from charlstm_tui.generate.explaining_view import ExplainingView
from charlstm_tui.generate.reading_view import ReadingView
from charlstm_tui.player.insight_jobs import SHOWN_CHARS, InsightJobs, ModelContext
from charlstm_tui.player.marks import INFLUENCE, Origin, uniform
from charlstm_tui.player.text_player import TextPlayer
from charlstm_tui.widgets.bars import sparkline

SCALE = replace(
    INFLUENCE, name="context", title="READ TOO", ends=("misleads", "helps"),
)  # fmt: skip
"""How much the loss of the character at the cursor falls when the model has read this one and those as far away too."""
REST = 0.1
"""Seconds without a step of the cursor before its place is measured."""
WIDEST = 8
"""Columns of a length, at most."""
FOLLOWING = 200
"""Characters after the cursor that are shown."""
HIGH = 50
"""Rows of a terminal in which the bars are higher."""
NARROWEST = 5
"""And at least: where there is less space, every other length is left out, if it is not marked."""


@dataclass(frozen=True, slots=True)
class ContextCurve:
    """What a curve is about, and its values: ``found`` is ``None`` until it is measured, or where ``note`` says why it
    cannot be."""

    title: str
    note: str = ""
    found: Context | None = None


class ContextCurves(Static):
    """Losses by how many characters were read, as bars with their figures, all on one scale. The shortest context that
    is enough is marked."""

    DEFAULT_CSS = """
    ContextCurves { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._curves: tuple[ContextCurve, ...] = ()
        self._rows = 2
        self._bits = False

    def show(self, curves: Sequence[ContextCurve], rows: int, bits: bool) -> None:
        """Show curves below one another, with bars of so many rows, in nats or in bits."""
        self._curves, self._rows, self._bits = tuple(curves), rows, bits
        self._draw()

    def _draw(self) -> None:
        space = self.content_size.width or 76
        used = {curve.found.used for curve in self._curves if curve.found is not None}
        every = space >= NARROWEST * len(LENGTHS)
        lengths = LENGTHS if every else sorted({*LENGTHS[::2], *used})
        width = min(WIDEST, max(4, space // len(lengths)))
        highest = max((max(curve.found.losses) for curve in self._curves if curve.found is not None), default=1.0)
        lines = []
        for curve in self._curves:
            lines.append(Content.assemble((curve.title, "bold"), (f"  {curve.note}", "$quiet")))
            found = curve.found
            if found is None:
                lines += [Content("")] * (self._rows + 1)
                continue
            known = dict(zip(found.lengths, found.losses, strict=True))
            losses = [known.get(length, float("nan")) for length in lengths]
            for row in sparkline(losses, len(losses), self._rows, low=0, high=highest):
                parts = [
                    (cell * (width - 1) + " ", "$accent" if length == found.used else "$kept")
                    for length, cell in zip(lengths, row.ljust(len(lengths)), strict=True)
                ]
                lines.append(Content.assemble(*parts))
            figures = [loss(known[length], self._bits, decimals=2) if length in known else "" for length in lengths]
            used_at = lengths.index(found.used) if found.used in lengths else None
            lines.append(columns(figures, width, used_at, "bold $accent"))
        lines.append(columns([str(length) for length in lengths], width, None, ""))
        self.update(Content("\n").join(lines))

    on_resize = _draw


class ContextView(ReadingView):
    """The view: the text, coloured by what reading further back does for the character at the cursor, and the curves of
    the model and of that character."""

    question = "how far it looks back"
    returns_to = ("score",)
    has_own_scale = True

    def __init__(self, player: TextPlayer, insight: InsightJobs, *, id: str | None = None) -> None:
        super().__init__(player, insight, id=id)
        self.set_reactive(ContextView.scale, SCALE)
        self._curves = ContextCurves(id="context-curves")
        self.whole: ModelContext | None = None
        """That of the model; ``None`` until it is measured."""
        self.here: Context | None = None
        """That of the place at the cursor."""
        self._model: Model | None = None
        self._measured_on: tuple[Path | None, str] = (None, "")  # the run, and the text where that has none
        self._place: int | None = None  # that ``here`` is about
        self._failure = ""

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.text_view
        yield self._curves

    # ---- for the screen

    def copyable(self) -> None:
        """Nothing: it shows only a part of the text."""

    def leave(self) -> None:
        self.workers.cancel_group(self, "whole")
        self.workers.cancel_group(self, "place")

    def enter(self, source: ExplainingView) -> None:
        """Show the text before the cursor of ``source`` and a little after it, and measure the model, and there."""
        self.player.pause()
        cursor = source.text_start + source.text_view.cursor
        stop = min(source.text_start + source.text_view.length, cursor + FOLLOWING)
        start = max(0, stop - SHOWN_CHARS)
        text, facts = source.whole_text(start, stop), None if self.state is None else self.state.facts
        model, before, self._place, self.here = self.player.model, self._measured_on, None, None
        self._measured_on = None if facts is None else facts.run, text
        of_other = self.whole is not None and not self.whole.of_run and before != self._measured_on
        if model is not self._model or of_other:
            self._model, self.whole = model, None
        view = self.text_view
        view.scale = SCALE
        view.clear()
        view.append(text, uniform(text, Origin.MODEL))
        self.put_cursor(cursor - start)
        if self.whole is None:
            self._failure = ""
            self._measure_model()
        self.moved()

    # ---- measuring

    @work(exclusive=True, group="whole")
    async def _measure_model(self) -> None:
        if self._model is None:
            return
        try:
            self.whole = await self.insight.model_context(self._model, *self._measured_on, self.begin("whole"))
        except GenerationError as error:
            self._failure = f"{error}."
        self._draw()

    def moved(self) -> None:
        """Measure the place at the cursor, unless that is done; at the end, that of the last character."""
        place = min(self.text_view.cursor, self.text_view.length - 1)
        if place != self._place:
            self._place, self.here = place, None
            self.text_view.set_levels(SCALE, 0, np.empty(0, np.uint16))
            self._measure_place(place)
        self._draw()

    @work(exclusive=True, group="place")
    async def _measure_place(self, place: int) -> None:
        if self._model is None or place < 1:
            return
        await asyncio.sleep(REST)
        text = self.text_view.text(max(0, place - LENGTHS[-1]), place + 1)
        found = self.here = await self.insight.place_context(self._model, text)
        gains = np.zeros(found.lengths[-1], np.float32)
        for (nearer, more), (length, less) in pairwise(zip(found.lengths, found.losses, strict=True)):
            gains[len(gains) - length : len(gains) - nearer] = more - less
        self.text_view.set_levels(SCALE, place - len(gains), SCALE.levels(gains))
        self._draw()

    # ---- drawing

    def draw_head(self) -> None:
        whole, here = self.whole, self.here
        parts: list[tuple[str, str]] = []
        if whole is not None:
            parts += [("The model uses about ", ""), (plural(whole.context.used, "character"), "bold $accent")]
            if whole.context.used_range is not None:
                low, high = whole.context.used_range
                parts.append((f" ({low} to {high}, {100 * CERTAIN:.0f} %)", "$quiet"))
        elif self._failure:
            parts.append((visible(self._failure), "$warning"))
        else:
            parts.append((f"Measuring how far the model looks back … {self.done_words('whole')}", "$quiet"))
        if here is not None:
            parts += [(" · at the cursor ", ""), (f"{here.used}", "bold $accent")]
        self.head.update(Content.assemble(*parts))

    def _draw(self) -> None:
        self.draw_head()
        whole, here = self.whole, self.here
        about = ""
        if whole is not None:
            at_step = "" if whole.context.step is None else f", {step_words(whole.context.step)}"
            places = f"{whole.context.places} places in {whole.source}{at_step}"
            about = f"loss in {unit(self.bits)} at {places}"
        note = self._place_note()
        curves = (
            ContextCurve("MODEL", about, whole.context if whole else None),
            ContextCurve("HERE", note, here),
        )
        rows = 2 if not self.screen.has_class("-tall") else 4 if self.screen.size.height < HIGH else 8
        self._curves.show(curves, rows, self.bits)
        self.post_message(self.Changed())

    def _place_note(self) -> str:
        if self._place is None or self._place < 1:
            return "The first character is not predicted."
        char = quoted(self.text_view.text(self._place, self._place + 1))
        return f"loss of {char} in {unit(self.bits)} by characters read, bars on the same scale"

    def watch_bits(self) -> None:
        """Show everything in the other unit."""
        if self._model is not None:
            self._draw()
        super().watch_bits()

    def on_resize(self) -> None:
        if self._model is not None:
            self._draw()
