"""Two single lines of Generate: which view of which model, and what the colours mean and how it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from charlstm_tui.player.marks import LOOKS, OFF, RANK, Scale

ROOMS: tuple[tuple[str, str, str], ...] = (
    ("play", "Esc", "Play"),
    ("write", "w", "Write"),
    ("score", "s", "Score"),
    ("duel", "d", "Duel"),
)


class GenerateBar(Widget):
    """`` [Play] w Write s Score d Duel     novel-quick-2 @ step 400 of 950   [ ] age``."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"generate-bar--here", "generate-bar--key", "generate-bar--other"}
    DEFAULT_CSS = """
    GenerateBar {
        height: 1; padding: 0 1;
        & > .generate-bar--here { text-style: bold; }
        & > .generate-bar--key { color: $primary; text-style: bold; }
        & > .generate-bar--other { color: $quiet; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._room = "play"
        self._rooms: tuple[str, ...] = ("play",)
        self._names: tuple[str, ...] = ("",)
        self._aged = False

    def show(self, room: str, rooms: Sequence[str], names: Sequence[str], aged: bool) -> None:
        """``names`` says which model in falling length; the first that fits is shown. ``aged``: it has ages."""
        state = (room, tuple(rooms), tuple(names), aged)
        if state != (self._room, self._rooms, self._names, self._aged):
            self._room, self._rooms, self._names, self._aged = state
            self.refresh()

    def render(self) -> Content:
        here, key, other = (self.get_visual_style(f"generate-bar--{name}") for name in ("here", "key", "other"))
        width = self.content_size.width
        tabs = []
        for room, letter, title in ROOMS:
            if room not in self._rooms:
                continue
            if room == self._room:
                tabs.append(Content.styled(f"[{title}]", here))
            else:
                click = _click("screen.leave_room" if room == "play" else f"screen.do('generate.{room}')")
                tabs.append(Content.assemble((letter, key + click), (f" {title}", other + click)))
        left = Content("  ").join(tabs) if len(tabs) > 1 else Content("")
        younger, older = (key + _click(f"screen.do('generate.{age}')") for age in ("younger", "older"))
        ages = Content.assemble("   ", ("[", younger), " ", ("]", older), (" age", other))
        age = ages if self._aged else Content("")
        for name in (*self._names, ""):
            right = Content.assemble((name, here), age if name else "")
            if left.cell_length + right.cell_length + 2 <= width:
                break
        if not len(left):
            return right
        return Content.assemble(left, " " * max(1, width - left.cell_length - right.cell_length), right)


def _click(action: str) -> Style:
    return Style.from_meta({"@click": action})


class StatusLine(Widget):
    """``RANK 1  2–3  4–10  > 10        ▶ 60 ch/s   1.9 bits``; a remark takes the legend's place."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"status--quiet", "status--note", "status--figure"}
    DEFAULT_CSS = """
    StatusLine {
        height: 1; padding: 0 1;
        & > .status--quiet { color: $quiet; }
        & > .status--note { color: $warning; }
        & > .status--figure { color: $foreground; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._scale: Scale = RANK
        self._looks: tuple[Style, ...] = ()
        self._note = ""
        self._figures: tuple[str, ...] = ()

    def show(self, scale: Scale, looks: Sequence[Style], figures: Sequence[str], note: str = "") -> None:
        """``looks`` are the styles of the four levels; ``figures`` in falling importance."""
        state = (scale, tuple(looks), tuple(figures), note)
        if state != (self._scale, self._looks, self._figures, self._note):
            self._scale, self._looks, self._figures, self._note = state
            self.refresh()

    def _legend(self, words: bool) -> Content:
        quiet = self.get_visual_style("status--quiet")
        if self._scale is OFF:
            return Content.styled("no colours", quiet)
        parts: list[Content] = [Content.styled(self._scale.title, quiet + Style(bold=True))]
        for label, look, style in zip(self._scale.labels, LOOKS, self._looks, strict=False):
            parts.append(Content.assemble((label, style), (f" {look}" if words else "", quiet)))
        return Content("  ").join(parts)

    def render(self) -> Content:
        width = self.content_size.width
        figure = self.get_visual_style("status--figure")
        figures = list(self._figures)
        legends = [self._legend(True), self._legend(False)]
        if self._note:
            legends = [Content.styled(self._note, self.get_visual_style("status--note"))]
        while True:
            right = Content("   ").join(Content.styled(text, figure) for text in figures)
            for legend in legends:
                if legend.cell_length + right.cell_length + 2 <= width:
                    return Content.assemble(legend, " " * (width - legend.cell_length - right.cell_length), right)
            if not figures:
                return legends[-1].truncate(width, ellipsis=True)
            figures.pop()
