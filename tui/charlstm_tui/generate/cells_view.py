"""Cells: the played text coloured by one cell of the model, a list of the cells that follow a feature, and a hold; or
coloured by what is worse without the cell, with a list of those that matter.

Cells are computed and named in threads by ``charlstm.insight``, without the held ones.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import OptionList, Static
from textual.worker import Worker

from charlstm.display import cell_name, quoted, visible
from charlstm.errors import CharLSTMError
from charlstm.generation.clamp import Clamp
from charlstm.insight.activations import Activations, likeliest_next
from charlstm.insight.cells import SHORTEST, NamedCell, mean_and_deviation
from charlstm.insight.features import BUILT_IN
from charlstm.insight.lesions import TELLS, MeasuredLesions
from charlstm.insight.sample import step_words
from charlstm.model.file import Model
from charlstm_tui.actions import key_of
from charlstm_tui.dialogs import PromptDialog, ask
from charlstm_tui.formatting import unit
from charlstm_tui.generate.cell_history import CellHistory
from charlstm_tui.generate.cell_lists import Cell, CellList, LesionList
from charlstm_tui.generate.explaining_view import started
from charlstm_tui.generate.hold_dial import HoldDial
from charlstm_tui.generate.next_chars import COUNT, NextChars
from charlstm_tui.generate.reading_view import ReadingView
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.generate.view_bar import held_words
from charlstm_tui.player.insight_jobs import LESION_CHARS, SHOWN_CHARS, CellsAtStep, InsightJobs, NamedCells
from charlstm_tui.player.marks import CELL, DAMAGE, Origin, cell_scale, uniform
from charlstm_tui.player.played import Played
from charlstm_tui.player.text_player import TextPlayer

Floats = npt.NDArray[np.float32]
PLACES = 20
"""The places where a cell is most active, at most."""
APART = 20
"""Characters between two of them, at least."""
PRIME_CHARS = 2_000
"""Characters at the end of the text after which it is measured what a held cell changes."""
REST = 0.5
"""Seconds without another change of a hold before that is measured."""
HOLD_STEP = 0.5
"""A hold begins at, and changes by, this value of the state c."""
MOST_NEW = 40
"""Characters since the last state up to which they are coloured while text streams: computing what the cells do on so
many takes some 15 ms at 2 × 512."""


class CellsView(ReadingView):
    """The view. ``cell`` colours the text that is played, which ``source`` shows."""

    question = "what single cells follow"

    has_own_scale = True
    expecting: reactive[bool] = reactive(True, init=False)
    """Whether the likeliest next characters stand under the line at the cursor."""
    through_training: reactive[bool] = reactive(False, init=False)
    """Whether the text is coloured by what the cell did at a step of the training."""

    lesions: reactive[bool] = reactive(False, init=False)
    """Whether the text is coloured by how much worse the model is without the cell."""

    def __init__(self, player: TextPlayer, insight: InsightJobs, source: StreamView, *, id: str | None = None) -> None:
        super().__init__(player, insight, id=id)
        self.set_reactive(CellsView.scale, CELL)
        self._source = source
        self._side = Vertical(id="cells-side", classes="view-side")
        self._next = NextChars(id="cells-next")
        self._history_bars = CellHistory(id="cells-history")
        self._caption = Static(Content("CELLS THAT FOLLOW"), id="cells-caption", classes="caption")
        self.cell_list = CellList(id="cells-list")
        self.lesion_list = LesionList(id="cells-lesions")
        self._dial = HoldDial(id="cells-dial")
        self.cell: Cell = (1, 1)
        self.named: NamedCells | None = None
        """What was found, for the model that is shown."""
        self.activations: Activations | None = None
        """What all cells do on the text that is shown."""
        self.history: list[CellsAtStep] = []
        """What the cells did during the training, as far as it is computed."""
        self.step = 0
        """The index in it by which the text is coloured."""
        self._model: Model | None = None
        self._session_id: int | None = None  # of the text that is shown
        self._start = 0  # position of the first character shown
        self._wanted: str | None = None  # the text that was played, if the cells are not computed on it yet
        self._job: Worker[None] | None = None  # which computes them
        self._limits = (0.0, 0.0)  # the lowest and the highest state of the cell on the text
        self._mean, self._deviation = 0.0, 1.0  # of the cell's states, from which its colours are counted
        self._chosen = False  # whether the cell was chosen for this model
        self._failure = ""  # why cells are not named
        self._lesions_failure = ""  # why no cells were measured
        self.measured: MeasuredLesions | None = None
        """Which cells matter; ``None`` until it is computed."""
        self._measured_on = ""  # on which text, in words
        self._damage: tuple[Cell, Floats] | None = None  # a cell, and how much worse the text shown is without it
        self.hold_words = ""
        """What the held cells change, or that it is being measured; "" where none is held."""
        self._judged: tuple[Model | None, tuple[Clamp, ...], bool] | None = None  # what ``hold_words`` is about

    def compose(self) -> ComposeResult:
        yield self.head
        with Horizontal(id="cells-body"):
            with Vertical(id="cells-main"):
                yield self.text_view
                yield self._next
                yield self._history_bars
            with self._side:
                yield self._caption
                yield self.cell_list
                yield self.lesion_list
                yield self._dial

    # ---- for the screen

    @property
    def _list(self) -> CellList | LesionList:
        """The list that is shown."""
        return self.lesion_list if self.lesions else self.cell_list

    @property
    def text_start(self) -> int:
        return self._start

    def whole_text(self, start: int, stop: int) -> str:
        return self._source.text(start, stop)

    @property
    def scopes_key(self) -> str:
        return "cells, text" if self.text_view.has_focus else "cells"  # there the arrows are the list's

    @property
    def busy(self) -> bool:
        return self.state is None

    @property
    def opens(self) -> bool:
        return self.activations is None and self.works_at("cells")

    def has(self) -> dict[str, bool]:
        state, measured = self.state, self.activations is not None
        facts = None if state is None else state.facts
        return {
            "held cells": state is not None and bool(state.clamps),
            "activations": measured,
            "snapshots": measured and facts is not None and len(facts.checkpoint_steps) > 1,
            "steps": len(self.history) > 1 and self.through_training,
        }

    def copyable(self) -> None:
        """Nothing: of a long text it shows only the end."""

    def labels(self) -> dict[str, str]:
        stream = "pause" if self.running else "generate"
        return {"generate.cells_stream": stream, "generate.read_left": "", "generate.read_right": ""}

    def figures(self) -> list[str]:
        figures = []
        clamps = () if self.state is None else self.state.clamps
        if clamps:
            figures.append(held_words(clamps))
        (values, start), cursor = self._coloured_by(), self.text_view.cursor
        if values is not None and start <= cursor < start + len(values):
            value, char = values[cursor - start], quoted(self.text_view.text(cursor, cursor + 1))
            if not self.lesions:
                figures.append(f"{value:+.2f} after {char}")
            elif cursor > start:  # the first one is not predicted
                figures.append(f"{value / self._nats:+.2f} {unit(self.bits)} at {char}")
        return figures

    def hint(self) -> str:
        if self.explaining:
            return self.explanation
        if self.activations is not None:
            return ""
        if not (self.running or self.text_view.length):
            return f"The text is empty: {key_of('generate.cells_stream')} generates some."
        return "The text is coloured once it stands still." if self.running else "Computing what the cells do …"

    def _draw_panels(self) -> None:
        self._next.display = self.expecting and not self.through_training
        self._history_bars.display = self.through_training
        self._draw_next()
        self.post_message(self.Changed())

    watch_expecting = _draw_panels

    def do_expect(self) -> None:
        self.expecting = not self.expecting

    @property
    def escape_label(self) -> str:
        opened = {"hide why": self.explaining, "hide training": self.through_training, "hide list": self.lesions}
        return next((label for label, is_open in opened.items() if is_open), "")

    def handle_escape(self) -> bool:
        if self.explaining:
            self.explaining = False
        elif self.through_training:
            self.through_training = False
        elif self.lesions:
            self.lesions = False
        else:
            return False
        return True

    def leave(self) -> None:
        self.player.pause()  # which may begin a measurement
        self.explaining = self.through_training = self.lesions = False
        self.workers.cancel_group(self, "cells")
        self.workers.cancel_group(self, "names")
        self.workers.cancel_group(self, "hold")
        self._judged = None

    def focus_main(self) -> None:
        """Give the focus to the list, where it is shown: its keys choose a cell."""
        (self._list if self._side.display else self.text_view).focus()

    # ---- what is played

    def watch_state(self, before: Played | None, state: Played | None) -> None:
        """Show what has changed. New characters are coloured as they come, unless they come too fast for that."""
        if state is None:  # another view is shown
            return
        if before is None:
            self._use_model(state)
        view, played = self.text_view, self._source.text()
        known, shown = view.text(), played[self._start :]
        new = len(shown) - len(known)
        fits = self._session_id == state.session_id and shown.startswith(known)
        self._session_id = state.session_id
        if not fits or started(before, state):
            self.explaining = self.through_training = self.lesions = False
        if not fits or (new and not state.running and len(shown) > SHOWN_CHARS):
            if not fits:
                self.activations = None
            self._start = max(0, len(played) - SHOWN_CHARS)
            view.clear()
            shown, new = played[self._start :], len(played) - self._start
        if new:
            view.append(shown[-new:], uniform(shown[-new:], Origin.MODEL))
            self._wanted = played
            self.explain()
            if self.through_training:
                self._follow()
            if self.lesions:
                self._read_damage()
        if before is None or (before.running and not state.running):
            self._wanted = played  # the colours are counted from the mean of all of the text again
        computing = self._job is not None and not (self._job.is_finished or self._job.is_cancelled)
        too_fast = state.running and new > MOST_NEW
        if self._wanted and not computing and not too_fast and state.distribution is not None:
            self._job = self._compute()
        if not played:
            self.draw_head()
        self._draw_next()
        self._draw_dial()
        self._judge_hold()
        if before is None or (before.running, before.clamps) != (state.running, state.clamps):
            self.post_message(self.Changed())

    def _use_model(self, state: Played) -> None:
        """Show the cells of the model that is played now."""
        self.activations, model = None, self.player.model
        if model is not self._model:
            self._model, self.named, self._chosen, self.cell = model, None, False, (1, 1)
            self._session_id = None  # what the text was coloured by is of the other model
            self.cell_list.show((), None)

    @work(exclusive=True, group="cells")
    async def _compute(self) -> None:
        """Compute the cells on the text, and again while it grows."""
        model = self._model
        if model is None:
            return
        try:
            while self._wanted is not None:
                played, self._wanted = self._wanted, None
                self._show_activations(await self.insight.activations(model, played, self._start))
        except CharLSTMError as error:
            self._failure = f"{error}."
            self.draw_head()
            return
        if not self.running and (self.named is None or not self._chosen):
            self._find_names(model, played)

    def _show_activations(self, found: Activations) -> None:
        before, self.activations = self.activations, found
        known = 0 if before is None else len(before.text)
        if self.running and known and found.text.startswith(before.text if before else ""):
            values = self._values(found)[known:]
            self.text_view.set_levels_from(CELL, known, CELL.levels((values - self._mean) / self._deviation))
        else:
            self._draw_cell()

    @work(exclusive=True, group="names")
    async def _find_names(self, model: Model, played: str) -> None:
        """Find out what the cells follow, once for each model."""
        if self.state is None or self.state.facts is None:
            return
        self._failure, tell = "", self.begin("names")
        self.draw_head()
        try:
            self.named = await self.insight.name(model, self.state.facts.run, played, tell)
            self._show_named(self.named)
        except CharLSTMError as error:
            self._failure = f"{error}."
            if len(played) < SHORTEST:
                self._failure += f" {key_of('generate.cells_stream')} generates more."
        self.draw_head()

    def _show_named(self, named: NamedCells) -> None:
        self.cell_list.show(named.cells, self._chosen_cell)
        self._judge_hold()
        if self.through_training:
            self._follow()
        if named.cells and not self._chosen:
            self._chosen = True
            self.cell_list.highlighted = 0  # which colours by it

    # ---- drawing

    def draw_head(self) -> None:
        follows = self._follows(self.cell, relation)
        if self.lesions:
            source = self._lesion_words()
        elif self._failure:
            source = Content.styled(visible(self._failure), "$warning")
        elif self.hold_words and not self.through_training:
            source = Content(self.hold_words)
        elif self.named is not None:
            source = Content.styled(named_words(self.named), "$quiet")
            if self.through_training and self.history:  # two steps, beside the one of the bar
                shown = f"colours of the model at step {self.history[self.step].step:,}; "
                source = Content.assemble(shown, source, (", in the model that is played", "$quiet"))
        elif not self.text_view.length:
            source = Content.styled("What the cells follow is found out once there is text", "$quiet")
        else:
            source = Content.styled(f"Finding out what the cells follow … {self.done_words('names')}", "$quiet")
        head = Content.assemble(
            (f"cell {cell_name(self.cell)}", "bold $accent"), f" · {follows}" if follows else "", " · ", source
        )
        self.head.update(head)

    def _follows(self, cell: Cell, words: Callable[[NamedCell], str]) -> str:
        """The features that a cell follows better than chance."""
        return ", ".join(words(each) for each in self.cell_list.cells if each.cell == cell and each.above_chance)

    def _draw_cell(self) -> None:
        """Colour the text by the cell."""
        if self.activations is not None:
            played = self._values(self.activations)
            self._limits = (float(played.min()), float(played.max()))
        values, start = self._coloured_by()
        if self.lesions:
            levels = np.empty(0, np.uint16) if values is None else DAMAGE.levels(values)
            self.text_view.set_levels(DAMAGE, start, levels)
            self.scale = replace(DAMAGE, title=f"WITHOUT {cell_name(self.cell)}")
        elif values is not None:
            title = f"CELL {cell_name(self.cell)}"
            if self.through_training and self.history:
                title += f" @ {self.history[self.step].step:,}"
            self._mean, self._deviation = mean_and_deviation(values)
            self.text_view.set_levels(CELL, 0, CELL.levels((values - self._mean) / self._deviation))
            self.scale = cell_scale(title, self._mean, self._deviation)
        self.draw_head()
        self._draw_dial()
        self._draw_history()
        self._draw_next()
        self.post_message(self.Changed())

    def _draw_dial(self) -> None:
        """The value at which the cell is held, and how to change it."""
        held = None if self.state is None else held_at(self.state.clamps, self.cell)
        self._dial.show(cell_name(self.cell), *self._limits, held)

    def _draw_history(self) -> None:
        """The scores of the cell at the steps of the training."""
        if not self.through_training:
            return
        cells = self.cell_list.cells  # whose scores the history has
        indices = [index for index, named in enumerate(cells) if named.cell == self.cell]
        listed = self.cell_list.highlighted
        index = listed if listed in indices else next(iter(indices), None)
        named = None if index is None else cells[index]
        scores = [] if index is None else [found.scores[index] for found in self.history]
        keys = f"{key_of('generate.earlier_step')} {key_of('generate.later_step')}"
        self._history_bars.show(named, [found.step for found in self.history], scores, self.step, keys)

    def watch_through_training(self, through_training: bool) -> None:
        self.workers.cancel_group(self, "history")
        self.history, self.step = [], 0
        if through_training:
            self.player.pause()
            self.lesions = False
            self._follow()
        self._draw_panels()
        self._draw_cell()

    def do_through_training(self) -> None:
        self.through_training = not self.through_training

    def _follow(self) -> None:
        """Find out what the cells of the list and the chosen one did during the training."""
        self.history, self.step = [], 0
        self._draw_cell()  # by the model that is played, until a step is known
        self._read_models(self.named, self.history)

    @work(exclusive=True, group="history")
    async def _read_models(self, named: NamedCells | None, history: list[CellsAtStep]) -> None:
        state = self.state
        if state is None or state.facts is None or state.facts.run is None:
            return
        tell = partial(self.call_later, self._add_step, history)
        await self.insight.through_training(state.facts.run, self._source.text(), self._start, named, self.cell, tell)

    def _add_step(self, history: list[CellsAtStep], found: CellsAtStep) -> None:
        """Add what the cells did in another model of the run to ``history``, unless another one is shown."""
        if history is not self.history or found.step in [each.step for each in history]:
            return
        history.append(found)
        self.step = len(history) - 1
        self._show_chosen_cell()

    def _show_chosen_cell(self) -> None:
        """Colour by the cell; find out what it did during the training if what is known of that is without it."""
        if self.history and self.cell not in self.history[-1].values:
            self._follow()
        else:
            self._draw_cell()

    def do_other_step(self, direction: int) -> None:
        """Colour by what the cell did at an earlier or later step."""
        if self.history:
            self.step = min(max(0, self.step + direction), len(self.history) - 1)
            self._draw_cell()

    # ---- what matters

    @property
    def _damaged_from(self) -> int:
        """The position in the text from which on it is coloured by what is worse without the cell."""
        return max(0, self.text_view.length - LESION_CHARS)

    def _lesion_words(self) -> Content:
        if self.measured is None:
            failure = self._lesions_failure
            words = failure or f"Measuring what is worse without which cell … {self.done_words('lesions')}"
            return Content.styled(visible(words), "$warning" if failure else "$quiet")
        if self.cell not in self.measured.cells:
            return Content.styled("not among the cells that were measured", "$quiet")
        index = self.measured.cells.index(self.cell)
        rise, error = (float(each[index]) / self._nats for each in (self.measured.means, self.measured.errors))
        words = f"silenced: loss {abs(rise):.4f} ±{TELLS * error:.4f} {unit(self.bits)} "
        words += "higher" if rise >= 0 else "lower"
        if not self.measured.tells[index]:
            words += ", which cannot be told from chance"
        return Content.assemble(words, (f", at {self.measured.chars:,} chars of {self._measured_on}", "$quiet"))

    def do_why(self) -> None:
        self.lesions = False
        super().do_why()

    def do_lesions(self) -> None:
        self.lesions = not self.lesions

    def watch_lesions(self, lesions: bool) -> None:
        had_focus = self.cell_list.has_focus or self.lesion_list.has_focus
        self._draw_caption()
        for group in ("lesions", "damage"):
            self.workers.cancel_group(self, group)
        self.measured, self._lesions_failure, self._damage = None, "", None
        self.lesion_list.show(None, str, self.bits, None)
        self.cell_list.display, self.lesion_list.display = not lesions, lesions
        if had_focus:
            self._list.focus()
        if lesions:
            self.player.pause()
            self.through_training = self.explaining = False
            self._measure()
            self._read_damage()
        self._draw_cell()

    @property
    def _nats(self) -> float:
        """Nats in a unit of the losses that are shown."""
        return math.log(2) if self.bits else 1.0

    def _draw_caption(self) -> None:
        unit_words = (f"  {unit(self.bits)}", "not bold")
        self._caption.update(Content.assemble("CELLS THAT MATTER", unit_words) if self.lesions else "CELLS THAT FOLLOW")

    def watch_bits(self) -> None:
        if self.lesions:
            self._draw_caption()
            self._list_measured()
            self.draw_head()
            self._draw_cell()
        super().watch_bits()

    @work(exclusive=True, group="lesions")
    async def _measure(self) -> None:
        """Find out which cells matter: the named ones, the chosen one, and others."""
        state, model = self.state, self._model
        if state is None or state.facts is None or model is None:
            return
        also = dict.fromkeys([self.cell, *(named.cell for named in self.cell_list.cells)])
        played, tell, self._lesions_failure = self._source.text(), self.begin("lesions"), ""
        try:
            self.measured, self._measured_on = await self.insight.lesions(model, state.facts.run, played, [*also], tell)
        except CharLSTMError as error:
            self._lesions_failure = f"{error}."
        else:
            self._list_measured()
            if self.cell not in also:  # another one was chosen meanwhile
                self.lesion_list.highlighted = 0
        self.draw_head()

    @work(exclusive=True, group="damage")
    async def _read_damage(self) -> None:
        """Colour the end of the text by what is worse without the cell."""
        if self._model is None:
            return
        cell = self.cell
        try:
            self._damage = cell, await self.insight.damage(self._model, self.text_view.text(self._damaged_from), cell)
        except CharLSTMError:  # the text has no character that is predicted; the list says so where it cannot be made
            self._damage = None
        self._draw_cell()

    def _list_measured(self) -> None:
        """List what was measured, each cell with the feature that it follows."""
        words = partial(self._follows, words=lambda named: named.feature)
        self.lesion_list.show(self.measured, words, self.bits, self.cell)

    def _draw_next(self) -> None:
        """The likeliest next characters under the line at the cursor, while the text stands still."""
        panel, view, found = self._next, self.text_view, self.activations
        start, stop = view.row_at(view.cursor)
        if start == stop:
            start, stop = view.row_at(max(0, start - 1))
        if not panel.display:
            return
        if self.running or found is None or self._model is None or stop > len(found.text) or start == stop:
            panel.clear()
            return
        chars, shares = likeliest_next(self._model, found.hidden[start:stop], COUNT)
        panel.show(found.text[start:stop], found.text[stop : stop + 1], chars, shares, view.cursor - start)

    def _coloured_by(self) -> tuple[Floats | None, int]:
        """The values by which the text is coloured, ``None`` while they are not known, and the position of the first:
        how much worse each character is predicted without the cell; else what the cell does on the text in the model
        of the step that is shown, or in the one that is played."""
        if self.lesions:
            cell, rises = self._damage or (None, None)
            return None if rises is None or cell != self.cell else np.nan_to_num(rises), self._damaged_from
        found = self.activations
        if found is None or not self.text_view.text().startswith(found.text):
            return None, 0
        if self.through_training and self.history:
            return self.history[self.step].values.get(self.cell), 0
        return self._values(found), 0

    def _values(self, found: Activations) -> Floats:
        layer, cell = self.cell
        return found.cells[:, layer - 1, cell - 1]

    # ---- which cell

    @property
    def _chosen_cell(self) -> Cell | None:
        """The cell, if it was chosen for this model."""
        return self.cell if self._chosen else None

    def choose(self, cell: Cell) -> None:
        """Colour by this cell."""
        self.cell = cell
        self._chosen = True
        if self.lesions:
            self._read_damage()
        self._show_chosen_cell()

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        shown, index = self._list, event.option_index
        if event.option_list is shown and index < len(shown.listed):
            self.choose(shown.listed[index])

    def do_another_cell(self, direction: int) -> None:
        shown = self._list
        count, listed = len(shown.listed), shown.highlighted
        if count:
            shown.highlighted = 0 if listed is None else (listed + direction) % count

    def do_find_cell(self) -> None:
        about = "Its layer and number, such as 1:7, or a part of the name of a feature."
        ask(self, PromptDialog("Go to a cell", about, check=self._find), self._go_to_cell)

    def _go_to_cell(self, answer: str) -> None:
        cell = self._find(answer)
        self.cell_list.highlight(cell)
        self.lesion_list.highlight(cell)
        self.choose(cell)

    def _find(self, answer: str) -> Cell:
        """The cell that is meant. Raises :class:`CharLSTMError` if there is none."""
        numbers = re.fullmatch(r"\s*(\d{1,9})\s*:\s*(\d{1,9})\s*", answer)
        if numbers is None:
            wanted = answer.strip().lower()
            found = next((each.cell for each in self.cell_list.cells if wanted and wanted in each.feature), None)
            if found is None:
                raise CharLSTMError(f"No feature of the list has “{answer.strip()}” in its name.")
            return found
        cell = int(numbers[1]), int(numbers[2])
        config = None if self._model is None else self._model.config
        if config is None or not (1 <= cell[0] <= config.num_layers and 1 <= cell[1] <= config.hidden_size):
            size = "" if config is None else f": it has {config.num_layers} × {config.hidden_size}, from 1:1"
            raise CharLSTMError(f"The model has no cell {cell_name(cell)}{size}.")
        return cell

    # ---- places

    def do_place(self, direction: int) -> None:
        """Put the cursor on the next place, in the order of the text, where the cell is most active or matters most."""
        values, start = self._coloured_by()
        if values is None:
            return
        cursor = self.text_view.cursor
        places = [start + place for place in most_active(values)]
        if direction > 0:
            position = next((place for place in places if place > cursor), places[0])
        else:
            position = next((place for place in reversed(places) if place < cursor), places[-1])
        self.put_cursor(position)
        self.moved()

    def moved(self) -> None:
        self._draw_next()
        super().moved()

    # ---- holding and generating

    def do_hold(self, direction: int) -> None:
        """Hold the cell at a value, or at the next one; other cells stay held."""
        self._hold(lambda held: (held or 0.0) + direction * HOLD_STEP)

    @on(HoldDial.Moved)
    def _dial_moved(self, event: HoldDial.Moved) -> None:
        event.stop()
        self._hold(lambda held: event.value)

    def _hold(self, value: Callable[[float | None], float]) -> None:
        """Hold the cell at a value that is computed from the one at which it is held."""
        clamps = self.player.recipe.clamps
        others = [each for each in clamps if (each.layer, each.cell) != self.cell]
        self.player.change_clamps([*others, Clamp(*self.cell, value=value(held_at(clamps, self.cell)))])

    def _judge_hold(self) -> None:
        """Find out what the held cells change, once the text stands still and it is known what they follow."""
        state = self.state
        if state is None or state.running or state.distribution is None:
            return
        wanted = self._model, state.clamps, self.named is not None
        if wanted != self._judged:
            self._judged = wanted
            self.workers.cancel_group(self, "hold")
            self.hold_words = ""
            if state.clamps and self.named is not None:
                self._measure_hold(state)
            self.draw_head()

    @work(exclusive=True, group="hold")
    async def _measure_hold(self, state: Played) -> None:
        """Say in a sentence what the held cells change in what is written after this text."""
        model, features = self._model, self.features_of(state.clamps)
        if model is None:
            return
        if not features:
            self.hold_words = "What is held follows no feature that can be counted."
            self.draw_head()
            return
        self.hold_words = "Measuring what the held cell changes …"
        self.draw_head()
        await asyncio.sleep(REST)
        prime = self._source.text()[-PRIME_CHARS:]
        effects = await self.insight.held(model, prime, state.recipe, features, self.begin("hold"))
        self.hold_words = " ".join(each.sentence for each in effects)
        self.draw_head()

    def features_of(self, clamps: Sequence[Clamp]) -> list[str]:
        """The built-in features that held cells follow, as far as cells were named."""
        if self._model is not self.player.model:
            return []
        held = {(each.layer, each.cell) for each in clamps}
        named = (each.feature for each in self.cell_list.cells if each.cell in held and each.above_chance)
        return [feature for feature in named if feature in BUILT_IN]

    def do_let_go(self) -> None:
        self.player.change_clamps(())


def named_words(named: NamedCells) -> str:
    """On what and in which model cells were named: ``named at step 5,088 on 50,000 chars from all over the held-out
    part of anna.txt``."""
    if not named.cells:
        return f"named on {named.source}"
    first = named.cells[0]
    at_step = "" if first.step is None else f"{step_words(first.step)} "
    return f"named {at_step}on {first.chars:,} chars from all over {named.source}"


def held_at(clamps: Sequence[Clamp], cell: Cell) -> float | None:
    """The value at which a cell is held; ``None`` if it is not."""
    return next((each.value for each in clamps if (each.layer, each.cell) == cell), None)


def relation(named: NamedCell) -> str:
    """``inside quotes: 0.97 ±0.02, high (chance 0.58, 140 spans)``: how well the cell follows a feature, as the command
    prints it."""
    return f"{named.feature}: {named.score_words} (chance {named.chance:.2f}, {named.spans_words})"


def most_active(values: Floats) -> list[int]:
    """The places where values are furthest from their mean, apart from one another, in the order of the text."""
    places: list[int] = []
    for place in np.argsort(-np.abs(values - values.mean()), kind="stable").tolist():
        if all(abs(place - other) >= APART for other in places):
            places.append(place)
            if len(places) == PLACES:
                break
    return sorted(places)
