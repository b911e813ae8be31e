"""The samples that the model wrote during training, a line for each, all with the same prime and the same seed.

The newest is selected until the user selects another. With enough rows, the selected sample is shown in full. Texts are
shown literally, control characters made visible.
"""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from charlstm.display import visible
from charlstm.training.events import Sampled
from charlstm_tui.clipboard import Copyable
from charlstm_tui.widgets.find import FindTarget, Search
from charlstm_tui.widgets.painted import Painted

FULL_FROM = 7  # rows from which on the selected sample is shown in full, in at most half of them
ROWS_FOR_A_LINE = 16  # the others get a line for each of these
EXCERPT = 600  # characters of a sample that are ever laid out


class Samples(FindTarget, Painted, ScrollView, can_focus=True):
    """The list of samples."""

    PARTS: ClassVar = {
        "step": "$quiet",
        "prime": "italic $quiet",
        "text": "$foreground",
        "selected": "on $foreground 12%",
        "quiet": "$quiet",
        "found": "reverse $accent",
        "found-current": "bold reverse $foreground",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "walk(-1)", "Earlier sample", show=False),
        Binding("down", "walk(1)", "Later sample", show=False),
        Binding("pageup", "walk(-5)", "Earlier", show=False),
        Binding("pagedown", "walk(5)", "Later", show=False),
    ]
    DEFAULT_CSS = """
    Samples { height: 1fr; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; overflow-x: hidden; }
    """

    samples: reactive[tuple[Sampled, ...]] = reactive(())
    selected: reactive[int] = reactive(-1)
    """The index of the selected sample."""
    empty: reactive[str] = reactive("")
    """The words to show while there are no samples."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: list[tuple[int, str, str]] = []  # (sample, step or blank, text); the prime is found by its length
        self._laid = (0, 0)
        self._search = Search()

    # ---- finding: in all samples, a line each
    def _lines(self) -> list[str]:
        return [_line(sample.prime + sample.text[:EXCERPT]) for sample in self.samples]

    def find_text(self) -> str:
        return "\n".join(self._lines())

    def find_start(self) -> int:
        return sum(len(line) + 1 for line in self._lines()[: max(self.selected, 0)])

    def show_search(self, search: Search, place: int | None) -> None:
        self._search = search
        if place is not None:
            self.selected = self.find_text().count("\n", 0, place)
        self.repaint()

    def copyable(self) -> Copyable | None:
        """The selected sample, with the prime that it continues."""
        if not self.samples:
            return None
        sample = self.samples[self.selected]
        return Copyable(f"the sample of step {sample.step:,}", sample.prime + sample.text)

    @property
    def following(self) -> bool:
        """Whether the newest sample is selected; then the next one will be."""
        return self.selected >= len(self.samples) - 1

    def watch_samples(self, before: tuple[Sampled, ...], samples: tuple[Sampled, ...]) -> None:
        if self.selected >= len(before) - 1 or samples[: len(before)] != before:
            self.selected = len(samples) - 1
        self._lay_out(force=True)

    def watch_selected(self) -> None:
        self._lay_out(force=True)

    def watch_empty(self) -> None:
        self.repaint()

    def action_walk(self, by: int) -> None:
        if self.samples:
            self.selected = min(max(self.selected + by, 0), len(self.samples) - 1)

    def resized(self) -> None:
        self._lay_out()

    def on_click(self, event: Click) -> None:
        offset = event.get_content_offset(self)
        row = -1 if offset is None else self.scroll_offset.y + offset.y
        if 0 <= row < len(self._rows):
            self.selected = self._rows[row][0]

    def _lay_out(self, force: bool = False) -> None:
        width, height = self.scrollable_content_region.width, self.size.height
        if not force and self._laid == (width, height):
            return
        self._laid = (width, height)
        gutter, space = self._gutter(), self._space()
        self._rows = []
        for index, sample in enumerate(self.samples):
            step = f"{sample.step:,}".rjust(gutter)
            text = self._prime(sample, space) + _line(sample.text[:EXCERPT])
            lines = [text]
            if height >= FULL_FROM:
                most = height // 2 if index == self.selected else max(1, height // ROWS_FOR_A_LINE)
                lines = [str(line) for line in Content(text).wrap(space)][:most] if most > 1 else [text]
            self._rows += [(index, step if number == 0 else "", line) for number, line in enumerate(lines)]
        self.virtual_size = Size(width, len(self._rows))
        self._reveal()
        self.repaint()

    @staticmethod
    def _prime(sample: Sampled, space: int) -> str:
        """The prime's end: it is the same in every sample, so a fifth of the line is enough for it."""
        shown, most = _line(sample.prime), max(space // 5, 4)
        if len(shown) <= most:
            return shown
        tail = shown[-most:]
        return "…" + (tail[tail.index(" ") + 1 :] if " " in tail.rstrip() else tail)

    def _space(self) -> int:
        """Cells of a line for text, beside the mark of the selected sample, the step and two blanks."""
        return max(self._laid[0] - self._gutter() - 3, 4)

    def _gutter(self) -> int:
        return max([len(f"{sample.step:,}") for sample in self.samples[-1:]] + [5]) + 1

    def _reveal(self) -> None:
        rows = [number for number, row in enumerate(self._rows) if row[0] == self.selected]
        if rows:
            self.scroll_to_region(Region(0, rows[0], 1, len(rows)), animate=False, force=True)

    def line_key(self, y: int) -> tuple[int, bool] | None:
        """The row, and whether it is that of the selected sample with the focus."""
        row = y + self.scroll_offset.y
        if not self.samples:
            return row, False
        return (row, self.has_focus and self._rows[row][0] == self.selected) if row < len(self._rows) else None

    def draw_line(self, key: tuple[int, bool]) -> Strip:
        width, (row, in_focus) = self.size.width, key
        if not self.samples:
            lines = Content(self.empty).wrap(max(1, width - 2))
            words = lines[row].plain if row < len(lines) else ""
            return Strip([Segment(set_cell_size(f" {words}", width), self.look("quiet"))])
        index, step, text = self._rows[row]
        styles = {name: self.look(name) for name in ("step", "prime", "text")}
        if in_focus:
            shade = self.look("selected").background_style
            styles = {name: style + shade for name, style in styles.items()}
        gutter = self._gutter()
        marker = "▸" if index == self.selected and step else " "
        space = self._space()
        prime = len(self._prime(self.samples[index], space)) if step else 0
        body = set_cell_size(text, space) if cell_len(text) > space else text
        shown = Text(body)
        shown.stylize(styles["text"])  # as a span: Text.render() leaves the base style out where there is no span
        shown.stylize(styles["prime"], 0, prime)
        for place in self._search.places(body):
            name = "found-current" if index == self.selected else "found"
            found = self.look(name)
            shown.stylize(found, place, place + len(self._search.needle))
        segments = [Segment(f"{marker}{step.rjust(gutter)}  ", styles["step"]), *shown.render(self.app.console)]
        return Strip(segments).adjust_cell_length(width, styles["text"])


def _line(text: str) -> str:
    """A text on one line, shown literally."""
    return visible(text).replace("\n", "↵ ")
