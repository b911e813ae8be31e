"""Score: how surprising a text is to the model: a figure, a strip along the text, and a list of its most surprising
places or sentences. The list and the text have one cursor: moving it in one moves it in the other.

It opens with the text that was played. Figures are computed by ``charlstm.generation.scoring`` in a thread, or by
``charlstm.generation.dynamic`` those of a copy of the model that learns while it reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.cells import cell_len
from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import var
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import Worker

from charlstm.display import plural, symbol, visible
from charlstm.errors import CharLSTMError
from charlstm.generation.scoring import APART, Place, Scores, Sentence, score
from charlstm.model.file import Model, load_model
from charlstm.text.corpus import preview, read_text
from charlstm.text.reading import TextOptions
from charlstm_tui.actions import key_of
from charlstm_tui.background import in_thread, report_to
from charlstm_tui.dialogs import PathDialog, ask
from charlstm_tui.formatting import from_bits, typed_path, unit
from charlstm_tui.generate.explaining_view import ExplainingView
from charlstm_tui.generate.reading_view import ReadingView
from charlstm_tui.generate.view_bar import char_figures
from charlstm_tui.player.insight_jobs import Tell
from charlstm_tui.player.marks import Origin, pack, uniform
from charlstm_tui.player.opening import ModelFacts
from charlstm_tui.widgets.bars import sparkline
from charlstm_tui.widgets.row_list import Row, RowList

MOST_CHARS = 1_000_000
"""Characters that are scored; of a longer text only the beginning is, and the view says so."""
PLAYED = "prime and text"
PLACES = 40
SENTENCES = 200
"""Places and sentences in the list, at most."""
LONGEST_ROW = 200
"""Characters of a sentence that are drawn in the list, which cuts them to its width."""
SCORING, LEARNING = "scoring", "learning"
"""The jobs of the view."""
STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""How much a copy learns: factors of the learning rate."""


TOP_BITS = 8
"""Bits per character that reach the top of the strip, or as many as its highest bar has."""


class SurpriseStrip(Widget):
    """Mean surprise along the text as a row of blocks, two cells high, with its scale; a click goes there."""

    DEFAULT_CSS = "SurpriseStrip { height: 2; }"

    class Clicked(Message):
        """A share of the text, 0 to 1."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._scores: Scores | None = None
        self._bits = False

    def show(self, scores: Scores | None, bits: bool) -> None:
        """Show these, or nothing."""
        self._scores, self._bits = scores, bits
        self.refresh()

    @property
    def _bars(self) -> int:
        """Columns that bars have, beside the widest scale."""
        return self.content_size.width - len("00 bits┐")

    def render(self) -> Content:
        width = self._bars
        if self._scores is None or width < 2:
            return Content("")
        means = self._scores.strip(width).tolist()
        top = min(99, max(TOP_BITS, math.ceil(max(means))))
        rows = sparkline(means, width, 2, low=0, high=top)
        scales = (f"{round(from_bits(top, self._bits)):2} {unit(self._bits)}┐", "      0┘")
        styles = ("$error", "$kept")
        return Content("\n").join(
            Content.assemble((name, "$quiet"), (row, style))
            for name, row, style in zip(scales, rows, styles, strict=True)
        )

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        left = self.content_size.width - self._bars
        if offset is not None and offset.x >= left:
            self.post_message(self.Clicked((offset.x - left) / self._bars))


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A text, and its scores by the model with its weights as they are, and by copies that learnt while they read.

    Attributes:
        name: what the text is, in words.
        text: as it was read, with characters that the model does not know.
        learnt: by strength, as far as they were asked for.
    """

    name: str
    text: str
    fixed: Scores
    learnt: dict[float, Scores] = field(default_factory=dict)

    def scores(self, strength: float | None, part: slice | None = None) -> Scores:
        """Those of a copy that learns at this strength, or with ``None`` those of the fixed weights; of all of the text
        or of a part, whose figures are those after what is before it."""
        scores = self.fixed if strength is None else self.learnt[strength]
        return scores if part is None else scores.part(part.start, part.stop)


class ScoreView(ReadingView):
    """The view."""

    question = "what surprised the model"

    by_sentence: var[bool] = var(False)
    """Whether the list has sentences, not single characters."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._strip = SurpriseStrip(id="score-strip")
        self._caption = Static(classes="caption", id="score-caption")
        self._rows = RowList(id="score-list")
        self._facts: ModelFacts | None = None
        self._model: Model | None = None
        self._job: Worker[None] | None = None  # scores a text
        self._learning: Worker[None] | None = None  # lets a copy learn from the text that is shown
        self._learns = False  # whether the figures of a copy are wanted, which may still have to be computed
        self._strength = 1.0  # of that copy
        self._scored: ScoredText | None = None
        self.scores: Scores | None = None
        """The figures that are shown."""
        self._shown_strength: float | None = None  # of the copy whose figures they are
        self._shown_part: slice | None = None  # of the text, if it is not all of it
        self._begun = False  # whether the cursor of the text was moved since it is shown
        self._places: list[Place] = []
        self._sentences: list[Sentence] = []  # the most surprising first
        self._reason: Content | None = None  # why no new figures came
        self._text_name = ""  # of what is shown or, while a text is scored, of that one
        self._shown_name = ""

    def compose(self) -> ComposeResult:
        yield self.head
        yield self._strip
        with Horizontal(id="score-body"):
            yield self.text_view
            with Vertical(id="score-side", classes="view-side"):
                yield self._caption
                yield self._rows

    @property
    def text_start(self) -> int:
        return 0 if self._shown_part is None else self._shown_part.start

    def whole_text(self, start: int, stop: int) -> str:
        return "" if self._scored is None else self._scored.fixed.text[start:stop]

    def has(self) -> dict[str, bool]:
        return {"learning": self._learns}

    def labels(self) -> dict[str, str]:
        labels = {"generate.read_right": ""}  # the key before it stands for both
        if self._learns:
            labels |= {"generate.score_learn": "fixed weights", "generate.score_learn_more": "strength"}
            labels["generate.score_learn_less"] = ""
        if self.by_sentence:
            labels |= {"generate.score_list": "characters", "generate.score_next": "next sentence"}
        return labels

    def figures(self) -> list[str]:
        scores, cursor = self.scores, self.text_view.cursor
        if scores is None or cursor >= len(scores.nats):
            return []
        char, rank = scores.text[cursor], int(scores.ranks[cursor])
        if not rank:
            return ["the first character: not predicted"]
        return [char_figures(char, float(np.exp(-scores.nats[cursor])), rank, self.bits)]

    def hint(self) -> str:
        if not self.explaining:
            return ""
        learnt = self._shown_strength is not None and self.has_influence
        return f"Fixed weights: {self.explanation}" if learnt else self.explanation

    def leave(self) -> None:
        self.explaining = False

    def enter(self, source: ExplainingView) -> None:
        """Score the text of ``source`` with the model that is played, unless another text was opened: all of it, or
        what is selected, after the text before the selection. In Score itself, show only what is selected, or all."""
        facts, part = None if self.state is None else self.state.facts, source.text_view.selected
        if source is self:
            self._show_selected(part)
        elif part is not None or self._facts != facts or self._text_name in ("", PLAYED):
            if self._facts != facts:
                self._show(None)  # another model's figures
            self._facts, self._model = facts, self.player.model
            self.score(source.text_view.text(), PLAYED, part)

    def open(self, path: Path) -> None:
        """Score a file."""
        self._job = self._score(partial(_beginning_of_file, path), path.name)

    def score(self, text: str, name: str, part: tuple[int, int] | None = None) -> None:
        """Score a text, and show the figures of all of it or of a part."""
        self._job = self._score(lambda options: _beginning(text, name), name, part)

    @property
    def escape_label(self) -> str:
        return "hide why" if self.explaining else ""

    def handle_escape(self) -> bool:
        if self.explaining:
            self.explaining = False
            return True
        for job in (self._job, self._learning):
            if job is not None and not job.is_finished:
                job.cancel()
                self._job = self._learning = None
                before = "" if self.scores is None else " These are the figures from before:"
                self._keep_shown(Content.styled(f"Stopped.{before}", "$warning"))
                return True
        return False

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        name = "the pasted text"
        self._job = self._score(lambda options: _beginning(read_text(event.text, options), name), name)

    @work(exclusive=True)
    async def _score(
        self, read: Callable[[TextOptions], tuple[str, str]], name: str, part: tuple[int, int] | None = None
    ) -> None:
        """Score what ``read`` gives, a text and what it is, in words, and show all of it or a part."""
        facts, model = self._facts, self._model
        if facts is None:
            return
        self._stop_learning()
        self._text_name = visible(name, keep="")
        tell = self.begin(SCORING)
        self.draw_head()
        try:
            if model is None:
                model = self._model = await in_thread(lambda check: load_model(facts.path))
            scored = await _score_text(model, read, tell)
        except (CharLSTMError, OSError) as error:
            self._job = None
            self._keep_shown(Content.styled(visible(str(error)), "$error"))
            return
        self._job = None
        if self._scored is not None and self._scored.text == scored.text:
            scored.learnt.update(self._scored.learnt)
        self._show(scored)
        if part is not None:
            self._show_part(*part)
        self._show_chosen()

    # ---- the learning copy

    def do_score_learn(self) -> None:
        """Show the figures of a copy that learns while it reads, or those of the fixed weights."""
        self._learns = not self._learns
        self._show_chosen()

    def do_score_strength(self, by: int) -> None:
        """Let the copy learn more, or less."""
        at = STRENGTHS.index(self._strength) + by
        if 0 <= at < len(STRENGTHS):
            self._strength = STRENGTHS[at]
            self._show_chosen()
        else:
            self.say(f"Strength {self._strength:g} is the {'highest' if by > 0 else 'lowest'} here.")

    def _show_chosen(self) -> None:
        """Show the figures of the fixed weights, or of a copy that learns at the chosen strength, which are computed
        if they are not known. While a text is scored, they come after that."""
        self._stop_learning()
        if self._scored is not None and (self._job is None or self._job.is_finished):
            strength = self._strength if self._learns else None
            self._reason = None
            if strength is not None and strength not in self._scored.learnt:
                self._learning = self._learn(self._scored, strength)
            elif strength != self._shown_strength:
                self._show_figures(strength)
            self.draw_head()
        self.post_message(self.Changed())

    def _stop_learning(self) -> None:
        if self._learning is not None:
            self._learning.cancel()
            self._learning = None

    @work(group="learning")
    async def _learn(self, scored: ScoredText, strength: float) -> None:
        """Compute the figures of a copy that learns at this strength from the text that is shown."""
        assert self._model is not None
        tell = self.begin(LEARNING)
        self.draw_head()
        try:
            scored.learnt[strength] = await self.insight.learnt_scores(self._model, scored.text, strength, tell)
        except CharLSTMError as error:
            self._learning = None
            self._keep_shown(Content.styled(visible(str(error)), "$error"))
            return
        self._learning = None
        self._show_figures(strength)

    # ---- what is shown

    def draw_head(self) -> None:
        """What is shown; above it why nothing else is, or in its place how far a text is scored, or below its mean how
        far a copy has learnt."""
        if self._scored is None:
            shown = Content.assemble((key_of("generate.score_open"), "bold $primary"), " opens a text")
        else:
            shown = self._summary()
        if self._job is not None and not self._job.is_finished:
            shown = _with_stop(f"Scoring {self._text_name} … {self.done_words(SCORING)}")
        elif self._learning is not None and not self._learning.is_finished:
            learns = f"A copy learns while it reads, strength {self._strength:g} … {self.done_words(LEARNING)}"
            shown = shown.split("\n")[0] + "\n" + _with_stop(learns)
        elif self._reason is not None:
            shown = self._reason + "\n" + shown
        self.head.update(shown)

    def _keep_shown(self, reason: Content) -> None:
        """Say why there are no other figures, and leave those that are shown."""
        self._text_name = self._shown_name
        if self._scored is not None:
            self._learns, self._strength = self._shown_strength is not None, self._shown_strength or self._strength
        self._reason = reason
        self.draw_head()
        self.post_message(self.Changed())

    def _show_part(self, start: int, stop: int) -> None:
        """Show only a part of the text that is shown."""
        if self.scores is None or min(stop, len(self.scores.text)) - start < 2:
            return
        before = 0 if self._shown_part is None else self._shown_part.start
        stop = min(stop, len(self.scores.text))
        self._show_text(slice(before + start, before + stop))
        self.say(f"{key_of('generate.score')} shows all of the text again.")

    def _show_selected(self, selected: tuple[int, int] | None) -> None:
        """Show the figures of what is selected, or of all of the text again."""
        if selected is not None:
            self._show_part(*selected)
        elif self._shown_part is not None:
            self._show_text(None)
        else:
            self.say("Select a part of the text first, by the mouse.")

    def _show(self, scored: ScoredText | None) -> None:
        """Show another text with the figures of the fixed weights, or nothing."""
        self._scored, self._shown_strength = scored, None
        self._shown_name = "" if scored is None else self._text_name
        self._show_text(None)

    def _show_text(self, part: slice | None) -> None:
        """Show all of the text, or a part of it, from its beginning."""
        self._shown_part, self._begun = part, False
        view = self.text_view
        view.clear()
        if self._scored is not None:
            text = self._scored.scores(None, part).text
            view.append(text, uniform(text, Origin.MODEL))
            view.cursor = 0
            view.scroll_to(y=0, animate=False, force=True)
        self._show_figures(self._shown_strength)

    def _show_figures(self, strength: float | None) -> None:
        """Show the figures of a copy that learnt at this strength, or with ``None`` those of the fixed weights."""
        self._shown_strength, self._reason = strength, None
        scores = None if self._scored is None else self._scored.scores(strength, self._shown_part)
        self.scores = scores
        self._places = [] if scores is None else scores.places(PLACES, least=scores.surprising)
        found = [] if scores is None else scores.sentences()
        self._sentences = sorted(found, key=lambda each: -each.bits_per_char)[:SENTENCES]
        self.explaining = False
        if scores is not None:
            origins = np.full(len(scores.nats), Origin.MODEL, np.uint16)
            chances = np.exp(-np.nan_to_num(scores.nats))
            ranks = np.where(scores.counted, scores.ranks, 0)
            self.text_view.set_marks(0, pack(origins, chances, ranks, np.nan_to_num(scores.entropy)), None)
        self.draw_head()
        self._strip.show(scores, self.bits)
        self._fill_list()
        self.post_message(self.Changed())

    def watch_bits(self) -> None:
        self.draw_head()
        self._strip.show(self.scores, self.bits)
        self._fill_list()
        super().watch_bits()

    def _summary(self) -> Content:
        """The mean over what is shown, and what that is; in two lines if the figures are those of a copy."""
        scores, scored, strength = self.scores, self._scored, self._shown_strength
        assert scores is not None
        assert scored is not None
        unknown = sum(scores.unknown.values())
        name = scored.name if self._shown_part is None else f"what is selected of {scored.name}"
        mean = (f"{from_bits(scores.bits_per_char, self.bits):.3f}", "bold $accent")
        each = f"{unit(self.bits)} per character"
        what = Content.assemble(
            (f" · {plural(scores.chars, 'character')} of {name}", "$quiet"),
            (f" · {unknown:,} that it reads as others" if unknown else "", "$quiet"),
        )
        if strength is None:
            return Content.assemble(mean, f" {each} · perplexity {scores.perplexity:.1f}", what)
        fixed = from_bits(scored.scores(None, self._shown_part).bits_per_char, self.bits)
        more, less = (key_of(f"generate.score_learn_{way}") for way in ("more", "less"))
        key = "bold $primary"
        return Content.assemble(
            f"{fixed:.3f} {each} with fixed weights → ", mean, f" as it learns, strength {strength:g}\n",
            "Shown: a copy that learns · ", (more, key), " more ", (less, key), " less", what,
        )  # fmt: skip

    # ---- the list: the key of a row is the position of its character, or of the start of its sentence

    def watch_by_sentence(self) -> None:
        self._fill_list()
        self.post_message(self.Changed())

    @on(RowList.Resized)
    def _fill_list(self) -> None:
        rows = self._rows
        what = "HARDEST SENTENCES, {}/char" if self.by_sentence else "MOST SURPRISING, in {}"
        self._caption.update(Content(what.format(unit(self.bits))))
        listed = list(
            map(self._sentence_row, self._sentences) if self.by_sentence else map(self._place_row, self._places)
        )
        if self.scores is not None and not self.by_sentence:
            listed += [Row(None, Content.styled(words, "$quiet")) for words in self._unlisted_words(self.scores)]
        with rows.prevent(RowList.Moved):
            rows.show(listed)
        self._follow_text()

    def _unlisted_words(self, scores: Scores) -> tuple[str, ...]:
        """What is true of all characters that the list does not have."""
        least, most = scores.surprising, scores.unlisted(self._places)
        lowest, highest = (f"{from_bits(value, self.bits):.1f} {unit(self.bits)}" for value in (least, most))
        if not self._places:
            return (f"none: all below {lowest}",)
        if most < least:
            return (f"elsewhere: below {lowest}",)
        if most <= self._places[-1].bits:
            return (f"elsewhere: up to {highest}",)
        return (f"elsewhere: up to {highest},", f"within {APART} of a place")

    def _place_row(self, place: Place) -> Row:
        sign, figure = symbol(place.char), f"{from_bits(place.bits, self.bits):4.1f} "
        free = max(16, self._rows.size.width) - len(figure) - cell_len(sign) - 2
        before, after = visible(place.before, keep=""), visible(place.after, keep="")
        while before and cell_len(before) > free * 2 // 3:
            before = before[1:]
        while after and cell_len(before + after) > free:
            after = after[:-1]
        content = Content.assemble((figure, "$quiet"), (before, "$quiet"), (sign, "bold $error"), (after, "$quiet"))
        return Row(str(place.position), content)

    def _sentence_row(self, sentence: Sentence) -> Row:
        shown = "" if self.scores is None else self.scores.text[sentence.start : sentence.stop][:LONGEST_ROW]
        return Row(
            str(sentence.start),
            Content.assemble(
                (f"{from_bits(sentence.bits_per_char, self.bits):4.1f} ", "$quiet"), visible(shown, keep="")
            ),
        )

    def _follow_text(self) -> None:
        """Put the list's cursor on the row whose place, or sentence, is nearest to the text's cursor; on the first row
        until that is moved."""
        cursor = self.text_view.cursor
        if not self._begun:
            keys = [row.key for row in self._rows.rows if row.key is not None]
            if keys:
                with self._rows.prevent(RowList.Moved):
                    self._rows.move_to(keys[0])
            return
        if self.by_sentence:
            distances = [(max(each.start - cursor, cursor + 1 - each.stop, 0), each.start) for each in self._sentences]
        else:
            distances = [(abs(each.position - cursor), each.position) for each in self._places]
        if distances:
            with self._rows.prevent(RowList.Moved):
                self._rows.move_to(str(min(distances)[1]))

    @on(RowList.Moved)
    def _follow_list(self, event: RowList.Moved) -> None:
        event.stop()
        if event.key is not None:
            self._show_position(int(event.key))

    @on(RowList.Chosen)
    def _row_clicked(self, event: RowList.Chosen) -> None:
        """The row was marked before, which the text's cursor need not have followed."""
        event.stop()
        if self._rows.cursor is not None:
            self._show_position(int(self._rows.cursor))

    # ---- actions

    def do_score_open(self) -> None:
        about = "The path of a text; or paste a text into the view."
        ask(self, PathDialog("Score a text", about), lambda path: self.open(typed_path(path)))

    def do_score_list(self) -> None:
        """List the sentences, or single characters again."""
        self.by_sentence = not self.by_sentence

    def do_score_next(self) -> None:
        """Go to the place, or sentence, of the row that is marked; from there to that of the next row, after the last
        to the first."""
        keys = [row.key for row in self._rows.rows if row.key is not None]
        if self._rows.cursor in keys:
            row = keys.index(self._rows.cursor)
            if self.text_view.cursor == int(keys[row]):
                row = (row + 1) % len(keys)
            self._show_position(int(keys[row]))
            self._follow_text()

    def _show_position(self, position: int) -> None:
        self._begun = True
        self.put_cursor(position)
        super().moved()

    def moved(self) -> None:
        """The text's cursor is elsewhere: show what the character there is worth, and where it is in the list."""
        self._begun = True
        self._follow_text()
        super().moved()

    @on(SurpriseStrip.Clicked)
    def _strip_clicked(self, event: SurpriseStrip.Clicked) -> None:
        event.stop()
        self._show_position(int(event.share * self.text_view.length))
        self._follow_text()


def _with_stop(doing: str) -> Content:
    """Words for a task in progress, and the key that stops it."""
    return Content.assemble((f"{doing}   ", "$quiet"), (key_of("app.back"), "bold $primary"), (" stops", "$quiet"))


async def _score_text(model: Model, read: Callable[[TextOptions], tuple[str, str]], tell: Tell) -> ScoredText:
    """Score in a thread what ``read`` gives for the model; ``tell`` is called from there with how much is done."""
    text, words = await in_thread(lambda check: read(model.text_options.for_another_text()))
    scores = await in_thread(lambda check: score(model, text, progress=report_to(check, tell)))
    return ScoredText(visible(words, keep=""), text, scores)


def _beginning_of_file(path: Path, options: TextOptions) -> tuple[str, str]:
    """The scored part of a file, and words for that part."""
    found = preview(path, MOST_CHARS, options)
    return found.text, path.name if found.complete else f"{path.name}, its beginning"


def _beginning(text: str, name: str) -> tuple[str, str]:
    """The scored part of ``text``, and words for that part."""
    return text[:MOST_CHARS], f"{name}, its beginning" if len(text) > MOST_CHARS else name
