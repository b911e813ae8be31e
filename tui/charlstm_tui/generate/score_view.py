"""Score: how surprising a text is to the model: a figure, a strip along the text, and its most surprising places.

It opens with the text that was played. Figures are computed by ``charlstm.generation.scoring`` in a thread.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from rich.cells import cell_len
from textual import events, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import Worker

from charlstm.display import symbol, visible
from charlstm.errors import CharLSTMError, TextError
from charlstm.generation.scoring import Place, Scores, score
from charlstm.model.file import Model, load_model
from charlstm.text.corpus import preview
from charlstm_tui.actions import key_of
from charlstm_tui.background import in_thread
from charlstm_tui.dialogs import PromptDialog
from charlstm_tui.formatting import clock, typed_path
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.generate.view import GenerateView
from charlstm_tui.generate.view_bar import char_figures
from charlstm_tui.player.marks import Origin, pack
from charlstm_tui.player.state import ModelFacts
from charlstm_tui.widgets.bars import sparkline

MOST_CHARS = 1_000_000
"""Characters that are scored; of a longer text only the beginning is, and the view says so."""
PLAYED = "the played text"
PLACES = 40


def _opens() -> tuple[tuple[str, str], str]:
    """The words that name the key for another text."""
    return (key_of("generate.score_open"), "bold $primary"), " opens a text"


TOP_BITS = 8.0
"""Bits per character that reach the top of the strip."""
SCALE = (f"{TOP_BITS:.0f} bits┤", "     0┤")
"""What stands before the two rows of the strip."""


class SurpriseStrip(Widget):
    """Mean surprise along the text as a row of blocks, two cells high, with its scale; a click goes there."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"strip--calm", "strip--high", "strip--scale"}
    DEFAULT_CSS = """
    SurpriseStrip { height: 2;
        & > .strip--calm { color: $kept; }
        & > .strip--high { color: $error; }
        & > .strip--scale { color: $quiet; }
    }
    """

    class Clicked(Message):
        """A share of the text, 0 to 1."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._scores: Scores | None = None

    def show(self, scores: Scores | None) -> None:
        """Show these, or nothing."""
        self._scores = scores
        self.refresh()

    def render(self) -> Content:
        width = self.content_size.width - len(SCALE[0])
        if self._scores is None or width < 2:
            return Content("")
        rows = sparkline(self._scores.strip(width).tolist(), width, 2, low=0, high=TOP_BITS)
        styles = (self.get_visual_style("strip--high"), self.get_visual_style("strip--calm"))
        scale = self.get_visual_style("strip--scale")
        return Content("\n").join(
            Content.assemble((name, scale), (row, style)) for name, row, style in zip(SCALE, rows, styles, strict=True)
        )

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        width, left = self.content_size.width, len(SCALE[0])
        if offset is not None and offset.x >= left:
            self.post_message(self.Clicked((offset.x - left) / (width - left)))


class ScoreView(GenerateView):
    """The view."""

    class Progress(Message):
        """So much of the text is scored, 0 to 1, and so many seconds are left."""

        def __init__(self, share: float, left: float) -> None:
            super().__init__()
            self.share, self.left = share, left

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._facts: ModelFacts | None = None
        self._model: Model | None = None
        self._job: Worker[None] | None = None
        self._scores: Scores | None = None
        self._places: list[Place] = []
        self._text_name = ""

    def compose(self) -> ComposeResult:
        yield Static(id="score-head")
        yield SurpriseStrip(id="score-strip")
        with Horizontal():
            yield StreamView(id="score-text")
            with Vertical(id="score-side"):
                yield Static(Content("MOST SURPRISING, in bits"), classes="caption")
                yield Static(id="score-places")

    @property
    def text_view(self) -> StreamView:
        return self.query_one("#score-text", StreamView)

    @property
    def scores(self) -> Scores | None:
        """What is shown."""
        return self._scores

    def scopes(self) -> tuple[str, ...]:
        return ("generate.score",)

    def figures(self) -> list[str]:
        scores, cursor = self._scores, self.text_view.cursor
        if scores is None or cursor >= len(scores.nats):
            return []
        char, rank = scores.text[cursor], int(scores.ranks[cursor])
        if not rank:
            return [f"{symbol(char)} is the first character"]
        return [char_figures(char, float(np.exp(-scores.nats[cursor])), rank)]

    def enter(self, facts: ModelFacts, model: Model | None, played: str) -> None:
        """Show the view for this model, with the text that was played unless another was opened.

        ``model`` is the one at ``facts.path`` where it is loaded already.
        """
        self.text_view.focus()
        if self._facts != facts or self._text_name in ("", PLAYED):
            self._facts, self._model = facts, model
            self.score(played, PLAYED)

    def open(self, path: Path) -> None:
        """Score a file."""

        def read() -> tuple[str, str]:
            if not path.is_file():
                raise TextError(f"There is no file {path}")
            found = preview(path, chars=MOST_CHARS)
            return found.text, path.name if found.complete else f"{path.name}, its beginning"

        self._job = self._score(read, path.name)

    def score(self, text: str, name: str) -> None:
        """Score a text."""
        beginning = len(text) > MOST_CHARS
        self._job = self._score(lambda: (text[:MOST_CHARS], f"{name}, its beginning" if beginning else name), name)

    def handle_escape(self) -> bool:
        if self._job is None or not self._job.is_running:
            return False
        self._job.cancel()
        self._text_name = ""
        self._show(None)
        self._show_head(Content.assemble(("Stopped. ", "$warning"), *_opens()))
        return True

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        self.score(event.text, "the pasted text")

    @work(exclusive=True)
    async def _score(self, read: Callable[[], tuple[str, str]], name: str) -> None:
        """Score what ``read`` gives: a text and what it is, in words."""
        facts, model = self._facts, self._model
        if facts is None:
            return
        self._text_name = name = visible(name, keep="")
        self._show_head(Content.styled(f"Scoring {name} …", "$quiet"))

        def job(check: Callable[[], None]) -> tuple[Scores, str]:
            text, words = read()
            begun = told = time.monotonic()

            def progress(done: int, total: int) -> None:
                nonlocal told
                check()
                now = time.monotonic()
                if now - told > 0.2:
                    told = now
                    self.post_message(self.Progress(done / total, (now - begun) * (total - done) / done))

            return score(model or load_model(facts.path), text, progress=progress), words

        try:
            scores, words = await in_thread(job)
        except (CharLSTMError, OSError) as error:
            self._text_name = ""
            self._show(None)
            self._show_head(
                Content.assemble(
                    (visible(str(error)), "$error"),
                    "\n",
                    (key_of("generate.score_open"), "bold $primary"),
                    " opens a text",
                )
            )
            return
        self._show(scores, words)

    def on_score_view_progress(self, event: ScoreView.Progress) -> None:
        event.stop()
        if self._job is not None and self._job.is_running:
            far = f"Scoring {self._text_name} … {100 * event.share:.0f} %, left {clock(event.left)}   "
            self._show_head(
                Content.assemble((far, "$quiet"), (key_of("app.back"), "bold $primary"), (" stops", "$quiet"))
            )

    def _show(self, scores: Scores | None, words: str = "") -> None:
        self._scores, self._places = scores, [] if scores is None else scores.places(PLACES)
        view = self.text_view
        view.clear()
        if scores is not None:
            origins = np.full(len(scores.nats), Origin.MODEL, np.uint16)
            chances = np.exp(-np.nan_to_num(scores.nats))
            view.append(scores.text, pack(origins, chances, scores.ranks, np.nan_to_num(scores.entropy)))
            view.cursor = 0
            view.scroll_to(y=0, animate=False, force=True)
            unknown = sum(scores.unknown.values())
            self._show_head(
                Content.assemble(
                    (f"{scores.bits_per_char:.3f}", "bold $accent"),
                    " bits per character",
                    (f" · perplexity {scores.perplexity:.1f}", ""),
                    (f" · {scores.chars:,} characters of {visible(words, keep='')}", "$quiet"),
                    (f" · {unknown:,} that it does not know" if unknown else "", "$warning"),
                )
            )
        self.query_one(SurpriseStrip).show(scores)
        self._draw_places()
        self.post_message(self.Changed())

    def _show_head(self, words: Content) -> None:
        self.query_one("#score-head", Static).update(words)

    def _draw_places(self) -> None:
        width = max(16, self.query_one("#score-side").content_size.width)
        lines = []
        for place in self._places[: max(1, self.size.height - 2)]:
            sign = symbol(place.char)
            figure = f"{place.bits:4.1f} "
            here = "▸" if place.position == self.text_view.cursor else " "
            free = width - len(figure) - cell_len(sign) - 2
            before = visible(place.before, keep="").replace("\n", "↵")
            after = visible(place.after, keep="").replace("\n", "↵")
            while before and cell_len(before) > free * 2 // 3:
                before = before[1:]
            while after and cell_len(before + after) > free:
                after = after[:-1]
            lines.append(
                Content.assemble(
                    (figure, "$quiet"), (here, "$accent"), (before, "$quiet"), (sign, "bold $error"), (after, "$quiet")
                )
            )
        self.query_one("#score-places", Static).update(Content("\n").join(lines))

    def on_resize(self) -> None:
        self._draw_places()

    # ---- actions

    def do_score_open(self) -> None:
        def named(path: str | None) -> None:
            if path:
                self.open(typed_path(path))

        self.app.push_screen(PromptDialog("Score a text", "The path of a text; or paste a text into the view."), named)

    def do_score_next(self) -> None:
        """Put the cursor on the next surprising place, after the last on the first."""
        positions = sorted(place.position for place in self._places)
        if positions:
            self._go(positions[bisect_right(positions, self.text_view.cursor) % len(positions)])

    def do_score_walk(self, characters: int, lines: int) -> None:
        self.text_view.walk(characters, lines)
        self._moved()

    def _go(self, position: int) -> None:
        self.text_view.cursor = position
        self.text_view.reveal(position)
        self._moved()

    def _moved(self) -> None:
        """Show what the character at the cursor is worth."""
        self._draw_places()
        self.post_message(self.Changed())

    def on_surprise_strip_clicked(self, event: SurpriseStrip.Clicked) -> None:
        self._go(int(event.share * self.text_view.length))

    def on_stream_view_cursor_moved(self, event: StreamView.CursorMoved) -> None:
        event.stop()
        self._moved()
