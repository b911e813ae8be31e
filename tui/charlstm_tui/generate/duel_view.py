"""Duel: one beginning and seed with two settings or models, or with cells held and without, streaming side by side.

Both end at the end of a sentence. Then each has a verdict, figures of its text, one sentence says how they differ, and
both can be saved with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import var
from textual.widgets import Static

from charlstm import user_files
from charlstm.errors import CharLSTMError
from charlstm.generation.clamp import Clamp
from charlstm.generation.novelty import MIN_LENGTH, Novelty
from charlstm.generation.sampling import next_seed
from charlstm.insight.duel import Side, TextFigures, in_words, text_figures, to_html, to_markdown
from charlstm.insight.holding import PAIRS
from charlstm.model.file import Model
from charlstm_tui.actions import key_of
from charlstm_tui.background import Check, threaded
from charlstm_tui.dialogs import ask
from charlstm_tui.formatting import from_bits, unit
from charlstm_tui.generate.explaining_view import ExplainingView
from charlstm_tui.generate.sampler_dialog import SamplerDialog
from charlstm_tui.generate.sampler_panel import DECLARED, adjust, faster, other_settings, speed_words
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.generate.view import GenerateView
from charlstm_tui.generate.view_bar import KeyFigure, held_words
from charlstm_tui.player.insight_jobs import InsightJobs
from charlstm_tui.player.overlap import open_novelty
from charlstm_tui.player.played import NORMAL_SPEED, Played
from charlstm_tui.player.text_player import TextPlayer
from charlstm_tui.save_dialog import Format

SIDES = (1, 2)
"""The numbers of the two sides."""
LENGTH = 600
"""Characters of each side; then it goes on to the end of the sentence."""
READ = 2000
"""Characters before the cursor of Play that both sides continue: models forget what stands further back."""
FORMATS = (Format(".html", "a web page, side by side"), Format(".md", "Markdown, one below the other"))


class DuelView(GenerateView):
    """Two sides. The keys change the settings of the one in focus."""

    question = "two side by side"
    returns_to = ("cells",)
    sides: var[Mapping[int, Played]] = var[Mapping[int, Played]]({}, init=False)
    """The last state of each side that has one."""

    class Kept(Message):
        """What a side generated is to go into the text of Play, which it continues."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(
        self,
        player: TextPlayer,
        insight: InsightJobs,
        make_player: Callable[[int, StreamView, Callable[[Played], object]], TextPlayer],
        features_of: Callable[[Sequence[Clamp]], list[str]],
        *,
        id: str | None = None,
    ) -> None:
        super().__init__(player, id=id)
        self._insight = insight
        self._views = {number: StreamView(id=f"duel-{number}") for number in SIDES}
        self.players = {
            number: make_player(number, self._views[number], partial(self._show, number)) for number in SIDES
        }
        """The texts of the sides."""
        self._features_of = features_of
        self._features: list[str] = []  # that the held cells follow
        self.seed: int | None = None
        """Of both sides. Each duel has another one, as one seed often draws the same text at other positions."""
        self._held = ""  # what the held cells change
        self._figures: dict[int, TextFigures] = {}  # of both sides, or empty while one is not at its end
        self._novelties: dict[Path, Novelty | None] = {}  # by run; None where its training text is gone

    def compose(self) -> ComposeResult:
        with Horizontal(id="duel-body"):
            for number in SIDES:
                with Vertical(classes="duel-side", id=f"side-{number}"):
                    yield Static(classes="duel-head", id=f"head-{number}")
                    yield self._views[number]
                    yield Static(classes="duel-verdict", id=f"verdict-{number}")
        yield Static(id="duel-words")

    # ---- for the screen

    def view(self, number: int) -> StreamView:
        """The text of one side."""
        return self._views[number]

    @property
    def text_view(self) -> StreamView:
        return self.view(self.chosen)

    @property
    def chosen(self) -> int:
        """The side in focus."""
        return SIDES[1] if self.view(SIDES[1]).has_focus else SIDES[0]

    @property
    def running(self) -> bool:
        return _runs(self.sides)

    @property
    def busy(self) -> bool:
        return not self.sides

    def has(self) -> dict[str, bool]:
        state = self.sides.get(self.chosen) if self.sides else None
        return {
            "saveable": bool(self._figures),
            "text": state is not None and state.length > 0 and not self._holds,  # else it continues another text
            "seed": bool(self.seed),
        }

    def labels(self) -> dict[str, str]:
        return {"generate.stream": "pause" if self.running else "generate"}

    def figures(self) -> list[str | KeyFigure]:
        speed = next((state.speed for state in self.sides.values()), NORMAL_SPEED)
        less, more = key_of("generate.temperature_down"), key_of("generate.temperature_up")
        return [
            f"▶ {speed_words(speed)}" if self.running else "‖ ended" if _ended(self.sides) else "‖ paused",
            KeyFigure(key_of("app.next_pane"), "other side"),
            KeyFigure(f"{less} {more} …", "its settings"),
        ]

    @property
    def _holds(self) -> bool:
        """Whether a side has held cells; then both continue the prime, else the text at the cursor of Play."""
        return any(state.clamps for state in self.sides.values())

    def enter(self, source: ExplainingView) -> None:
        """Continue the text up to the cursor of ``source`` on both sides, on the second with a higher temperature; or
        if cells are held, the prime, on the second with them."""
        played, text = self.state, source.text_view
        if played is None:
            return
        self.player.move(text.cursor)
        self.sides = {}
        self._features = self._features_of(played.clamps)
        self.view(SIDES[0]).focus()
        settings = played.settings
        hotter = replace(settings, temperature=round(min(2.0, settings.temperature + 0.4), 2))
        second = settings if played.clamps else hotter
        stop = self.player.document.prime_length if played.clamps else text.cursor
        prime = text.text(0 if played.clamps else max(0, stop - READ), stop)
        self.seed = played.request.seed if self.seed is None else next_seed(self.seed)
        for number, chosen, clamps in zip(SIDES, (settings, second), ((), played.clamps), strict=True):
            request = replace(
                played.request, prime=prime, settings=chosen, speed=played.speed or NORMAL_SPEED, stream=True,
                session=None, clamps=clamps, to_sentence=LENGTH, seed=self.seed,
            )  # fmt: skip
            self.players[number].open(request)

    def leave(self) -> None:
        """End both sides."""
        for player in self.players.values():
            player.close_text()
        self.sides = {}

    def open_model(self, model_name: str, step: int | None) -> None:
        self._load(self.chosen, model_name=model_name, step=step, clamps=())

    # ---- what is played

    def _show(self, number: int, played: Played) -> None:
        """A side is another now."""
        self.sides = {**self.sides, number: played}

    def watch_sides(self, before: Mapping[int, Played], sides: Mapping[int, Played]) -> None:
        """Show how each side is."""
        for number in SIDES:
            state = sides.get(number)
            if state is not None and state is not before.get(number) and (state.note or state.failure):
                self.say(state.failure or state.note, error=bool(state.failure))
        self._draw_heads()
        if not _ended(sides):
            self._show_figures({})
        elif not _ended(before):
            self._compute_figures()
        if len(before) != len(sides) or _runs(before) != _runs(sides):
            self.post_message(self.Changed())

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw_heads)  # when the heads have their size

    def on_descendant_focus(self) -> None:
        """The keys are the other side's now."""
        self._draw_heads()
        self.post_message(self.Changed())

    @on(StreamView.CursorMoved)
    def _cursor_moved(self, event: StreamView.CursorMoved) -> None:
        event.stop()

    def _draw_heads(self) -> None:
        drawn = {number: self._head(number, state) for number, state in self.sides.items()}
        highest = max((head.plain.count("\n") for head in drawn.values()), default=0)
        for number, content in drawn.items():
            head = self.query_one(f"#head-{number}", Static)
            head.set_class(number == self.chosen, "-chosen")
            head.update(content + "\n" * (highest - content.plain.count("\n")))  # the texts begin on the same row

    def _head(self, number: int, state: Played) -> Content:
        if state.error or state.busy or state.facts is None:
            return Content.styled(state.error or state.busy, "$error" if state.error else "$quiet")
        settings = state.settings
        values = []
        if self._holds:
            values = [held_words(state.clamps) if state.clamps else "no cell held"]
        values.append(f"{DECLARED['temperature'].label} {settings.temperature:.2f}")
        values += [
            f"{DECLARED[name].label} {value:g}"
            for name in ("top_k", "top_p", "min_p")
            if (value := getattr(settings, name))
        ]
        values += other_settings(settings)
        figure = state.bits_per_char
        mean = "" if figure is None else f"  mean {from_bits(figure, self.bits):.2f} {unit(self.bits)}"
        mark = ("▸ " if number == self.chosen else "  ", "$accent")
        width = max(10, self.query_one(f"#head-{number}").content_size.width - len(mark[0]))
        name = Content.styled(_model_name(state), "bold").truncate(max(1, width - len(mean)), ellipsis=True)
        about = [Content.styled(line, "$quiet").truncate(width, ellipsis=True) for line in _lines(values, width)]
        return Content("\n  ").join([Content.assemble(mark, name, mean), *about])

    # ---- the verdict

    @work(exclusive=True)
    async def _compute_figures(self) -> None:
        """Find the figures of both sides, which are at their end, and show them."""
        states = self.sides
        models = {number: player.model for number, player in self.players.items()}
        figures = await self._text_figures(states, models)
        if not _ended(self.sides):
            return
        self._held = ""
        self._show_figures(figures)
        held, model = self.sides[SIDES[1]], models[SIDES[1]]
        if held.clamps and self._features and model is not None:  # two texts are too few to tell
            effects = await self._insight.held(model, self._prime(held), held.recipe, self._features, lambda done: None)
            if not _ended(self.sides):
                return
            self._held = f"In {PAIRS} pairs of texts: {' '.join(each.sentence for each in effects)}"
            self._show_figures(figures)

    @threaded
    def _text_figures(
        self, check: Check, states: Mapping[int, Played], models: Mapping[int, Model | None]
    ) -> dict[int, TextFigures]:
        found = {}
        for number, other in (SIDES, SIDES[::-1]):
            check()
            state, model, others = states[number], models[number], models[other]
            if model is not None and others is not None:
                novelty = self._novelty(state)
                found[number] = text_figures(model, others, self._prime(state), self._generated(state), novelty)
        return found

    def watch_bits(self) -> None:
        self._draw_heads()
        self._show_figures(self._figures)
        super().watch_bits()

    def _novelty(self, state: Played) -> Novelty | None:
        """The search in the training text of a side's run. Not on the message loop."""
        run = None if state.facts is None else state.facts.run
        if run is None:
            return None
        if run not in self._novelties:
            try:
                self._novelties[run] = open_novelty(run, MIN_LENGTH)[0]
            except (CharLSTMError, OSError):
                self._novelties[run] = None
        return self._novelties[run]

    def _generated(self, state: Played) -> str:
        """The text of a side without its prime."""
        return state.text.text.read(state.prime_length)

    def _prime(self, state: Played) -> str:
        return state.text.text.read(0, state.prime_length)

    def _show_figures(self, figures: dict[int, TextFigures]) -> None:
        if not figures and not self._figures:
            return
        self._figures = figures
        words = self.query_one("#duel-words", Static)
        words.display = bool(figures)
        if figures:
            words.update(
                Content(f"{in_words(figures[SIDES[0]], figures[SIDES[1]], bits=self.bits)} {self._held}".strip())
            )
        for number in SIDES:
            pane = self.query_one(f"#verdict-{number}", Static)
            pane.display = bool(figures)
            if figures:
                rows = figures[number].rows(self.bits)
                width = max(len(value) for value, _ in rows)
                lines = [
                    Content.assemble((f"{value:>{width}}", "bold"), (f" {words}", "$quiet")) for value, words in rows
                ]
                pane.update(Content("\n").join(lines))
                view = self.view(number)
                if view.at_end:  # which the figures would cover
                    self.call_after_refresh(view.reveal, view.length)
        self.post_message(self.Changed())

    def do_save(self) -> None:
        """Save both texts with their settings and figures."""
        sides = [
            Side(
                _model_name(state),
                state.recipe.facts(),
                self._prime(state),
                self._generated(state),
                self._figures[number],
            )
            for number, state in sorted(self.sides.items())
            if number in self._figures
        ]

        write, name = partial(_write, sides), f"duel{FORMATS[0].ending}"
        self.charlstm.save_file("Save both texts and their figures", name, FORMATS, write)

    # ---- actions

    def do_stream(self) -> None:
        """Pause, or go on; a side that is at its end stays there until the other one is at its own."""
        running, ended = self.running, _ended(self.sides)
        for number, player in self.players.items():
            state = self.sides.get(number)
            if state is not None and state.ended and not ended:
                continue
            left = LENGTH if state is None or ended else max(1, LENGTH - state.length)
            if running:
                player.pause()
            else:
                player.stream(left)

    def do_speed(self, direction: int) -> None:
        for player in self.players.values():
            player.change_speed(faster(player.speed, direction))

    def do_adjust(self, name: str, direction: int) -> None:
        state = self.sides.get(self.chosen)
        symbols = math.inf if state is None or state.facts is None else state.facts.vocab_size
        player = self.players[self.chosen]
        player.change_settings(adjust(player.recipe.settings, name, direction, symbols))

    def do_all_settings(self) -> None:
        number = self.chosen
        state = self.sides.get(number)
        if state is None:
            return
        side = "left" if number == SIDES[0] else "right"
        dialog = SamplerDialog(f"How characters are chosen on the {side}", state.settings)
        ask(self, dialog, lambda answer: self.players[number].change_settings(answer[0]))

    def do_keep_side(self) -> None:
        """Put the text of a side into that of Play, as far as it is generated."""
        state = self.sides.get(self.chosen)
        if state is not None:
            self.post_message(self.Kept(self._generated(state)))

    def do_duel_again(self, by: int) -> None:
        """Generate both sides with the next seed (1) or the one before (-1)."""
        assert self.seed is not None
        self.seed = next_seed(self.seed, by)
        for number in SIDES:
            self._load(number, seed=self.seed)

    def _load(self, number: int, **changes: Any) -> None:
        """Play a side from the prime, with ``changes`` and the settings that it has."""
        state = self.sides.get(number)
        if state is not None:
            request = replace(state.request, settings=None, speed=None, stream=True, **changes)
            self.players[number].open(request)


def _write(sides: Sequence[Side], path: Path) -> None:
    """Write both texts with their settings and figures."""
    user_files.save_text(path, to_markdown(sides) if path.suffix.lower() == ".md" else to_html(sides))


def _runs(sides: Mapping[int, Played]) -> bool:
    """Whether a side streams."""
    return any(state.running for state in sides.values())


def _ended(sides: Mapping[int, Played]) -> bool:
    """Whether both are at their end."""
    return len(sides) == len(SIDES) and all(state.ended for state in sides.values())


def _model_name(state: Played) -> str:
    """``novel-quick-1 @ 400``."""
    facts = state.facts
    if facts is None:
        return state.request.model_name
    return facts.name if facts.step is None else f"{facts.name} @ {facts.step:,}"


def _lines(values: Sequence[str], width: int) -> list[str]:
    """``values`` in lines of at most ``width`` characters; one that is longer has a line of its own."""
    lines: list[str] = []
    for value in values:
        if lines and len(lines[-1]) + len(" · ") + len(value) <= width:
            lines[-1] += f" · {value}"
        else:
            lines.append(value)
    return lines
