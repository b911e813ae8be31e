"""Multiverse: all likely continuations from the cursor as blocks, to walk, look into and choose, and the next words.

Continuations and words are computed in threads by ``charlstm.insight.multiverse``: the model's own probabilities,
without the sampler. Cells that the session holds are held in them, from the beginning of what is read on.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import ClassVar, TypeVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.strip import Strip
from textual.style import Style as VisualStyle
from textual.widget import Widget
from textual.widgets import Static

from charlstm.display import percent, quoted, symbol, visible
from charlstm.generation.clamp import Clamp
from charlstm.generation.prime import prepare_prime
from charlstm.insight.multiverse import ContinuationNode, NextWord, word_at_end
from charlstm.model.file import Model
from charlstm_tui.actions import key_of
from charlstm_tui.formatting import shorten
from charlstm_tui.generate.continuation_layout import Block, lay_out
from charlstm_tui.generate.explaining_view import ExplainingView
from charlstm_tui.generate.probability_shades import probability_shades
from charlstm_tui.generate.view import GenerateView
from charlstm_tui.generate.view_bar import KeyFigure, held_words
from charlstm_tui.player.insight_jobs import LEAST_READ_CHARS, InsightJobs
from charlstm_tui.player.text_player import TextPlayer
from charlstm_tui.widgets.bars import bar
from charlstm_tui.widgets.painted import Painted

Number = TypeVar("Number", int, float)

DEPTHS = (5, 10, 15, 20, 30, 40, 60)
"""Characters of a continuation, at most."""
CUTOFFS = (0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005)
"""Least probabilities of a continuation."""
WORDS = 8
"""The next words that are shown."""
REST = 0.1
"""Seconds without a step before the words after the chosen continuation are computed."""
FOLLOWING = 200
"""Characters after the cursor that are marked where they are among the continuations."""

WIDEST_CELL = 4
"""Columns of a character of a continuation, at most: further apart its letters are no longer read as a word."""
FIGURE = 7
"""Columns of a probability after a continuation, with the space before it."""
SHADES = (0.01, 0.05, 0.2)
"""From these probabilities on, a block has the next darker shade."""


class ContinuationBlocks(Painted, Widget, can_focus=True):
    """Continuations as blocks: a column for each character, and rows for their probability.

    Blocks have edges, so that none is told by its colour alone. The chosen character is in reverse, those before it are
    bold, and what follows in the text is underlined. The shade shows how probability falls along a single row.
    """

    PARTS: ClassVar = {
        "quiet": "$quiet",
        "path": "bold $accent",
        "chosen": "reverse $foreground on $background",
        "followed": "underline",
    }
    DEFAULT_CSS = "ContinuationBlocks { width: 1fr; height: 1fr; }"

    class Chosen(Message):
        """A block was clicked; ``again`` if it was chosen before."""

        def __init__(self, path: tuple[ContinuationNode, ...], again: bool) -> None:
            super().__init__()
            self.path, self.again = path, again

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._root = ContinuationNode("", 1.0)
        self.reached = 1.0
        """The joint probability of what is before the blocks."""
        self._path: tuple[ContinuationNode, ...] = ()
        self._followed: tuple[ContinuationNode, ...] = ()
        self._cell = self._least = 2
        self._shades: list[Style] = []
        self._blocks: list[Block] = []

    def show(
        self, root: ContinuationNode, path: Sequence[ContinuationNode], followed: Iterable[ContinuationNode]
    ) -> None:
        """Show the continuations after ``root``. ``path`` is chosen, and ``followed`` is what followed in the text."""
        if root is not self._root:
            widest = max((cell_len(symbol(branch.char)) for branch in _every(root)), default=1)
            self._least = 1 + max(1, widest)
        self._root, self._path, self._followed = root, tuple(path), tuple(followed)
        self._measure()
        self.repaint()

    def _measure(self) -> None:
        """Give each character the columns that are free, with space for the figure after the longest continuation.
        Walking along a longer continuation changes nothing."""
        width = self.size.width
        shown = lay_out(self._root, self.rows, max(1, width // self._least), self._followed)
        deepest = max((block.column + 1 for block in shown), default=1)
        self._cell = max(self._least, min(WIDEST_CELL, (width - FIGURE) // deepest))

    @property
    def columns(self) -> int:
        """The characters of a continuation that fit."""
        return max(1, self.size.width // self._cell)

    @property
    def rows(self) -> int:
        """The rows for 100 %."""
        return max(1, self.size.height - 1)

    @property
    def shades(self) -> list[Style]:
        """How blocks look whose probability is below the first of :data:`SHADES`, below the second, and so on. All look
        alike where there are too few colours."""
        self._shades = self._shades or probability_shades(self, "primary")
        return self._shades

    def forget_styles(self) -> None:
        super().forget_styles()
        self._shades = []

    def resized(self) -> None:
        self._measure()
        self.repaint()

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        row, column = offset.y - 1, offset.x // self._cell
        for block in self._blocks:
            if block.column == column and block.top <= row < block.bottom:
                event.stop()
                self.post_message(self.Chosen(block.path, bool(self._path) and block.branch is self._path[-1]))

    # ---- drawing

    def draw(self) -> list[Strip]:
        width, cell, base = self.size.width, self._cell, self.look()
        styles = {name: self.part_style(name) for name in self.PARTS}
        self._blocks = lay_out(self._root, self.rows, self.columns, (*self._path, *self._followed))
        chosen, followed = ({id(branch) for branch in branches} for branches in (self._path, self._followed))
        whole = self._root.probability
        continued = {id(block.path[-2]) for block in self._blocks if len(block.path) > 1}
        grid: list[list[Segment]] = [[] for _ in range(self.rows)]
        for block in self._blocks:
            branch = block.branch
            edge = letter = self.shades[bisect_right(SHADES, branch.probability / whole)]
            if self._path and branch is self._path[-1]:
                edge = letter = base + styles["chosen"]
            elif id(branch) in chosen:
                edge = letter = letter + styles["path"]
            else:
                edge += styles["quiet"]
            if id(branch) in followed:
                letter += styles["followed"]
            char = symbol(branch.char)
            for row in range(block.top, block.bottom):
                shown = char if row == (block.top + block.bottom - 1) // 2 else ""
                space = " " * (cell - 1 - cell_len(shown))
                grid[row] += [Segment(_edge(block, row), edge), Segment(shown, letter), Segment(space, edge)]
                if shown and id(branch) not in continued and (block.column + 1) * cell + FIGURE <= width:
                    figure = percent(self.reached * branch.probability / whole).rjust(FIGURE)
                    grid[row].append(Segment(figure, base + styles["quiet"]))
        ruler = "".join(f"{n}".rjust(cell * 5) if n % 5 == 0 else "" for n in range(1, self.columns + 1))
        rows = [Strip([Segment(ruler, base + styles["quiet"])]), *map(Strip, grid)]
        return [row.simplify().adjust_cell_length(width, base) for row in rows]


SHORTEST_BAR = 4
"""Cells of the bars of the next words, at least."""


class MultiverseKey(Widget):
    """What height, shade and line of the blocks mean. It asks for the shades when it is drawn: with another theme they
    are others."""

    def __init__(self, view: MultiverseView, *, id: str) -> None:
        super().__init__(id=id)
        self._view = view

    def render(self) -> Content:
        return self._view.key_lines()


class MultiverseView(GenerateView):
    """The view. ``before`` is what the model reads of the text that it was called from, up to the cursor."""

    question = "what else could have come"
    returns_to = ("score",)
    MAIN_PANE = "#multiverse-blocks"

    def __init__(self, player: TextPlayer, insight: InsightJobs, *, id: str | None = None) -> None:
        super().__init__(player, id=id)
        self.insight = insight
        self.depth, self.cutoff = 20, 0.001
        self.before = ""
        self.following = ""
        """What follows ``before`` in the text."""
        self.zoomed = ""
        """The continuation from whose end on the blocks are shown."""
        self.path: tuple[ContinuationNode, ...] = ()
        """The chosen continuation, after ``zoomed``."""
        self.root: ContinuationNode | None = None
        """The tree after ``zoomed``; ``None`` while it is computed."""
        self.words: tuple[NextWord, ...] | None = None
        """The next words after the chosen continuation; ``None`` while they are computed."""
        self._zooms: list[tuple[str, tuple[ContinuationNode, ...], ContinuationNode | None, float]] = []
        """What was shown before each zoom: ``zoomed``, ``path``, ``root``, and the probability of ``zoomed``."""
        self._reached = 1.0  # the probability of ``zoomed``
        self._source: ExplainingView | None = None  # the view with the text
        self._is_played = False  # whether the source is Play
        self._model: Model | None = None
        self._position: int | None = None  # where a continuation can be put
        self._clamps: tuple[Clamp, ...] = ()  # the cells that are held

    def compose(self) -> ComposeResult:
        yield Static(id="multiverse-head", classes="view-head")
        with Horizontal(id="multiverse-body"):
            yield ContinuationBlocks(id="multiverse-blocks")
            with Vertical(id="multiverse-side", classes="view-side"):
                yield Static(id="multiverse-words")
                yield MultiverseKey(self, id="multiverse-key")

    # ---- for the screen

    @property
    def blocks(self) -> ContinuationBlocks:
        return self.query_one(ContinuationBlocks)

    @property
    def chosen(self) -> str:
        """The characters of the chosen continuation."""
        return self.zoomed + "".join(branch.char for branch in self.path)

    @property
    def busy(self) -> bool:
        return self._model is None

    def has(self) -> dict[str, bool]:
        return {
            "continuation": self._position is not None and bool(self.chosen),
            "path": bool(self.path),
            "zoom": bool(self.zoomed),
        }

    def figures(self) -> list[KeyFigure]:
        depth = f"{key_of('generate.shallower')} {key_of('generate.deeper')}"
        cutoff = f"{key_of('generate.cutoff_down')} {key_of('generate.cutoff_up')}"
        return [KeyFigure(depth, f"depth {self.depth}"), KeyFigure(cutoff, f"cut-off {percent(self.cutoff)}")]

    def hint(self) -> str:
        if self.root is None:
            return "Computing what could come next …"
        if not self.root.children:
            return f"No continuation is as likely as the cut-off: {key_of('generate.cutoff_down')} lowers it."
        return ""

    @property
    def escape_label(self) -> str:
        return "back to the cursor" if self.zoomed else ""

    def handle_escape(self) -> bool:
        if not self.zoomed:
            return False
        self._restart()
        return True

    def leave(self) -> None:
        self.workers.cancel_group(self, "tree")
        self.workers.cancel_group(self, "words")
        self._source = self.root = None

    def enter(self, source: ExplainingView) -> None:
        """Show what could come next at the cursor of the text of ``source``. In the text of Play a continuation can be
        put there, and the cells that are held for it are held here."""
        self._source, self._is_played = source, source.id == "play"
        self._show_cursor()

    def _show_cursor(self) -> None:
        """Show what could come next at the cursor, unless that is shown."""
        source, state = self._source, self.state
        if source is None or state is None:
            return
        cursor = source.text_start + source.text_view.cursor
        start = max(0, cursor // LEAST_READ_CHARS - 1) * LEAST_READ_CHARS
        before, following = source.whole_text(start, cursor), source.whole_text(cursor, cursor + FOLLOWING)
        self._position = cursor if self._is_played else None
        shown = (self.player.model, before, following, state.clamps if self._is_played else ())
        if shown != (self._model, self.before, self.following, self._clamps):
            self._model, self.before, self.following, self._clamps = shown
            self._restart()
        elif self.root is None and not self.works_at("tree"):  # it was left, and is shown again
            self._compute()

    watch_state = _show_cursor

    # ---- computing

    def _restart(self) -> None:
        """Show the continuations from the cursor on."""
        self._zooms.clear()
        self.zoomed, self.path, self.root, self._reached = "", (), None, 1.0
        self._compute()

    def _compute(self) -> None:
        self.words = None
        self._draw()
        self._compute_tree()
        self._compute_words()

    @work(exclusive=True, group="tree")
    async def _compute_tree(self) -> None:
        if self._model is None:
            return
        root = await self.insight.continuations(
            self._model, self.before + self.zoomed, self.depth, self.cutoff, self._clamps
        )
        path, chars = [], [branch.char for branch in self.path]
        at = root
        for char in chars:
            found = next((child for child in at.children if child.char == char), None)
            if found is None:
                break
            path.append(found)
            at = found
        self.root, self.path = root, tuple(path)
        if len(path) < len(chars):  # the chosen continuation has become a shorter one
            self.words = None
            self._compute_words()
        self._draw()

    @work(exclusive=True, group="words")
    async def _compute_words(self) -> None:
        if self._model is None:
            return
        await asyncio.sleep(REST)
        self.words = tuple(await self.insight.next_words(self._model, self.before + self.chosen, WORDS, self._clamps))
        self._draw_words()

    # ---- drawing

    def followed(self) -> Iterable[ContinuationNode]:
        """The branches of what follows in the text."""
        at = self.root
        if at is None or not self.following.startswith(self.zoomed):
            return
        for char in self.following[len(self.zoomed) :]:
            at = next((child for child in at.children if child.char == char), None)
            if at is None:
                return
            yield at

    def _draw(self) -> None:
        root = self.root or ContinuationNode("", 1.0)
        self.blocks.reached = self._reached
        self.blocks.show(root, self.path, self.followed())
        self._draw_head()
        self._draw_words()
        self.query_one(MultiverseKey).refresh(layout=True)
        self.post_message(self.Changed())

    def _draw_head(self) -> None:
        head = self.query_one("#multiverse-head", Static)
        width = max(20, head.content_size.width or self.size.width - 2)
        before, chosen = (_shown(text) for text in (self.before, self.chosen))
        space = width - cell_len(chosen)
        while cell_len(before) > space - 1 and before:
            before = before[-max(1, space - 1) :] if len(before) > space else before[1:]
        if not self.before and self._model is not None:
            start = self._model.vocabulary.decode(prepare_prime(self._model, "").ids)
            before = f"the beginning of a text, after {_shown(start)} "
        text = Content.assemble((before, "$quiet"), ("▏" if not chosen else "", "$accent"), (chosen, "bold $accent"))
        held = (f"   {held_words(self._clamps)}", "$warning") if self._clamps else ""
        head.update(Content.assemble(text, "\n", self._probability(), held))

    def _probability(self) -> Content:
        """How likely the chosen continuation is, in words."""
        if not self.path or self.root is None:
            if self.zoomed:
                return Content.styled(f"from here on; so far {percent(self._reached)}", "$quiet")
            follows = ""
            if self.root is not None and self.following:
                first, at = quoted(self.following[0]), next(iter(self.followed()), None)
                share = f"below {percent(self.cutoff)}" if at is None else percent(at.probability)
                follows = f"   {first} follows in the text: {share}"
            return Content.styled(f"{key_of('generate.step_on')} walks into what could come{follows}", "$quiet")
        parent = self.path[-2] if len(self.path) > 1 else self.root
        branch = self.path[-1]
        whole = self._reached * branch.probability / self._root_probability
        return Content.assemble(
            (f"{percent(whole)} ", "bold"), ("as a whole (joint)   ", "$quiet"),
            (f"{quoted(branch.char)} {percent(branch.probability / parent.probability)} ", ""),
            ("after those before it (conditional)", "$quiet"),
        )  # fmt: skip

    @property
    def _root_probability(self) -> float:
        return 1.0 if self.root is None else self.root.probability

    def _draw_words(self) -> None:
        panel = self.query_one("#multiverse-words", Static)
        width = max(16, panel.content_size.width or 26)
        text = self.before + self.chosen
        begun = word_at_end(text)
        before = _shown(text.removesuffix(begun))[-max(1, width - len("NEXT WORDS …")) :]
        lines = [Content.assemble(("NEXT WORDS", "bold $quiet"), (f" …{before}", "$quiet"))]
        if self.words is None:
            lines.append(Content.styled("…", "$quiet"))
        space = width - 7
        words = [visible(begun + each.word, keep="") for each in self.words or ()]
        longest = max(map(cell_len, words), default=0)
        size = max(min(18, space // 2), min(longest, space - SHORTEST_BAR - 1))
        for each, word in zip(self.words or (), words, strict=True):
            name = shorten(word, size)
            share = bar(each.probability, space - size - 1)
            lines.append(
                Content.assemble(
                    name, " " * (size + 1 - cell_len(name)),
                    (share.ljust(space - size - 1), "$kept"), percent(each.probability).rjust(7),
                )
            )  # fmt: skip
        panel.update(Content("\n").join(lines))

    def key_lines(self) -> Content:
        """What height, shade and line mean."""
        caption, shades = "bold $quiet", self.blocks.shades
        row = percent(self._reached / self.blocks.rows)
        lines = [
            Content.assemble(("HEIGHT, % ", caption), ("joint probability", "$quiet")),
            Content.styled(f"a block of one row: {row}", "$quiet"),
        ]
        if len(set(shades)) > 1:
            looks = map(VisualStyle.from_rich_style, shades[1:])
            parts = [(f" ≥{100 * least:g} % ", look) for least, look in zip(SHADES, looks, strict=True)]
            lines.append(Content.assemble(("SHADE ", caption), *reversed(parts)))
        if any(True for _ in self.followed()):
            lines.append(Content.assemble(("UNDERLINED", f"{caption} underline"), ("  what follows", "$quiet")))
        return Content("\n").join(lines)

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)  # once its parts have their new sizes too

    # ---- actions

    def _choose(self, path: Sequence[ContinuationNode]) -> None:
        self.path, self.words = tuple(path), None
        self._draw()
        self._compute_words()

    def do_step(self, columns: int, rows: int) -> None:
        """Walk: on to the likeliest next character, back, or to the next continuation of the same length."""
        if self.root is None:
            return
        at = self.path[-1] if self.path else self.root
        if columns > 0:
            if not at.children or len(self.path) >= self.blocks.columns:
                self.do_zoom_in()
            if at.children:
                self._choose((*self.path, at.children[0]))
        elif columns < 0:
            if self.path:
                self._choose(self.path[:-1])
            else:
                self.do_zoom_out()
        elif not self.path:
            self._choose(self.root.children[:1])
        else:
            level = _level(self.root, len(self.path))
            index = next(n for n, path in enumerate(level) if path[-1] is at)
            self._choose(level[min(max(0, index + rows), len(level) - 1)])

    @on(ContinuationBlocks.Chosen)
    def _clicked(self, event: ContinuationBlocks.Chosen) -> None:
        event.stop()
        if event.again:
            self.do_zoom_in()
        else:
            self._choose(event.path)

    def do_zoom_in(self) -> None:
        """Give the chosen continuation all rows, and compute what could come after it."""
        if not self.path:
            return
        self._zooms.append((self.zoomed, self.path, self.root, self._reached))
        self._reached *= self.path[-1].probability / self._root_probability
        self.zoomed, self.root, self.path = self.chosen, self.path[-1], ()
        self._compute()

    def do_zoom_out(self) -> None:
        if self._zooms:
            self.zoomed, self.path, self.root, self._reached = self._zooms.pop()
            self._compute()

    def do_depth(self, direction: int) -> None:
        self.depth = _next(DEPTHS, self.depth, direction)
        self._compute_tree()
        self.post_message(self.Changed())

    def do_cutoff(self, direction: int) -> None:
        self.cutoff = _next(CUTOFFS, self.cutoff, -direction)
        self._compute_tree()
        self.post_message(self.Changed())

    def do_put_in(self) -> None:
        """Put the chosen continuation into the text; what stood there stays as a branch."""
        if self._position is not None and self.chosen:
            self.player.choose(self.chosen, self._position)


def _edge(block: Block, row: int) -> str:
    """The left edge of a block in a row; none where it goes on as the block before it."""
    if not block.splits:
        return " "
    if block.bottom - block.top == 1:
        return "╶"
    return "┌" if row == block.top else "└" if row == block.bottom - 1 else "│"


def _shown(text: str) -> str:
    """The end of a text in one line."""
    return visible(text[-200:], keep="")


def _every(root: ContinuationNode) -> Iterable[ContinuationNode]:
    for child in root.children:
        yield child
        yield from _every(child)


def _level(root: ContinuationNode, length: int) -> list[tuple[ContinuationNode, ...]]:
    """All continuations of a length, in the order in which they are drawn."""
    paths: list[tuple[ContinuationNode, ...]] = [()]
    for _ in range(length):
        paths = [(*path, child) for path in paths for child in (path[-1] if path else root).children]
    return paths


def _next(values: Sequence[Number], value: Number, direction: int) -> Number:
    return values[min(max(0, values.index(value) + direction), len(values) - 1)]
