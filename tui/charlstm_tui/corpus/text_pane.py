"""What Corpus shows of the text under the cursor: one widget for each part, drawn from a :class:`TextState`."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from charlstm.display import size, visible
from charlstm.text.sources import ReadProgress
from charlstm_tui.corpus import summary
from charlstm_tui.corpus.text_state import TextState
from charlstm_tui.formatting import shorten
from charlstm_tui.widgets.bars import bar
from charlstm_tui.widgets.changing_text import ChangingText
from charlstm_tui.widgets.find import FindTarget, Search, row_of

BAR = 24


class TextPart(ChangingText):
    """A part of the pane, which says of the text what :meth:`words` returns."""

    state: reactive[TextState | None] = reactive(None)

    def words(self) -> Content:
        """What is said, by state and width."""
        raise NotImplementedError

    def show(self) -> None:
        """Say it again: the state or the size has changed."""
        self.update(self.words())

    watch_state = on_resize = show

    @property
    def width(self) -> int:
        """The cells of a line; before the first layout, an estimate."""
        return self.size.width or 40


class TextHead(TextPart):
    """Name, encoding and figures."""

    def words(self) -> Content:
        state = self.state
        if state is None:
            return Content("")
        about = " · ".join(filter(None, ["built in" if state.built_in else "", summary.encoding_words(state)]))
        name = shorten(visible(state.choice.name, keep=""), max(8, self.width - len(about) - 2))
        gap = " " * max(2, self.width - Content(name).cell_length - len(about))
        title = Content.assemble((name, "bold $accent"), gap, (about, "$quiet"))
        if state.stats is not None:
            joined = state.corpus is not None and bool(state.corpus.report.joined)
            return title + "\n" + summary.figures(state.stats, self.width, joined=joined)
        if state.bytes and not state.built_in:
            files = f" in {state.files:,} files" if state.files > 1 else ""
            return title + f"\n{size(state.bytes)}{files}"
        return title


class TextPreview(FindTarget, VerticalScroll, can_focus=True):
    """The beginning of the text, and where the held-out part begins; or why it cannot be read."""

    state: reactive[TextState | None] = reactive(None)
    otherwise: reactive[str] = reactive("")
    """Shown without a text."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._search = Search()
        self._place: int | None = None

    def compose(self) -> ComposeResult:
        yield ChangingText(id="text-start")

    def watch_state(self, before: TextState | None, state: TextState | None) -> None:
        if before is None or state is None or before.choice.source != state.choice.source:
            self.scroll_home(animate=False)
        self._draw()

    def _content(self) -> Content:
        state = self.state
        if state is None:
            return Content.styled(self.otherwise, "$quiet")
        return summary.problem(state.problem) if state.problem else summary.preview(state)

    def _draw(self) -> None:
        for start in self.query("#text-start").results(Static):
            start.update(self._search.highlight(self._content(), self._place))

    watch_otherwise = _draw

    def find_text(self) -> str:
        return self._content().plain

    def find_scope(self) -> str:
        state = self.state
        if state is None or state.problem or state.complete:
            return ""
        return f"in the {summary.preview_chars(state):,} characters shown"

    def show_search(self, search: Search, place: int | None) -> None:
        self._search, self._place = search, place
        self._draw()
        if place is not None:
            start = self.query_one("#text-start", Static)
            row = row_of(self._content(), place, start.content_region.width)
            self.scroll_to(y=row - self.size.height // 2, animate=False)


class SimpleModels(TextPart):
    """How well simple models predict the held-out part."""

    bits: reactive[bool] = reactive(False)
    watch_bits = TextPart.show

    def words(self) -> Content:
        stats = None if self.state is None else self.state.stats
        if stats is None:
            return Content("")
        lines = [summary.simple_models(stats, self.width, self.bits)]
        if not self.screen.has_class("-wide"):
            lines.append(summary.frequent_line(stats, self.width))
        return Content("\n").join(lines)


class FrequentCharacters(TextPart):
    """The most frequent characters, a bar each; in wide terminals only."""

    def words(self) -> Content:
        stats = None if self.state is None else self.state.stats
        return Content("") if stats is None else summary.frequent_bars(stats, self.width, 8)


class TextHints(TextPart):
    """What a person should know or do about the text; until it is read, how far the reading has come."""

    reading: reactive[ReadProgress | None] = reactive(None)
    watch_reading = TextPart.show

    def words(self) -> Content:
        state = self.state
        if state is None or state.problem:
            return Content("")
        if state.corpus is None:
            return self._progress(state)
        return summary.hints(state, self.width)

    def _progress(self, state: TextState) -> Content:
        if state.beginning is None:
            return Content.styled("Reading …", "$quiet")
        progress = self.reading
        if progress is None or not progress.total:
            return Content.styled("Reading the whole text …", "$quiet")
        share = min(1.0, progress.done / progress.total)
        drawn = bar(share, BAR).ljust(BAR, "░")
        words = f" {100 * share:.0f}%  {progress.stage} {size(progress.total)}"
        return Content.assemble((drawn, "$primary"), words)


class TextPane(Vertical):
    """All parts of one text."""

    state: reactive[TextState | None] = reactive(None)
    otherwise: reactive[str] = reactive("")
    bits: reactive[bool] = reactive(False)
    """Whether losses are shown in bits, not in nats."""

    def compose(self) -> ComposeResult:
        yield TextHead(id="text-head").data_bind(TextPane.state)
        yield TextPreview(id="text-preview").data_bind(TextPane.state, TextPane.otherwise)
        with Horizontal(id="text-made-of"):
            yield SimpleModels(id="text-bits").data_bind(TextPane.state, TextPane.bits)
            yield FrequentCharacters(id="text-frequent").data_bind(TextPane.state)

    def watch_state(self, state: TextState | None) -> None:
        self.set_class(state is None or state.stats is None, "-unknown")
