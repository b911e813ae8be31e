"""What may come next: a bar for each candidate that moves as the settings do, kept and cut told apart.

█ is a candidate's chance after the sampler, ░ what the sampler took from it; a rule parts the kept from the cut and
names the filter. Knows nothing of sessions: it is shown an outlook.
"""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from charlstm.display import symbol, visible
from charlstm.generation.sampling import SamplerSettings
from charlstm.generation.session import NextCharDistribution
from charlstm.generation.tree import Alternative
from charlstm_tui.widgets.bars import bar

MARGIN = 1


class Candidates(Widget):
    """The candidates at the cursor."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "candidates--kept",
        "candidates--cut",
        "candidates--quiet",
        "candidates--number",
        "candidates--standing",
    }
    DEFAULT_CSS = """
    Candidates {
        height: 1fr; min-height: 4;
        & > .candidates--kept { color: $kept; }
        & > .candidates--cut { color: $cut; }
        & > .candidates--quiet { color: $quiet; }
        & > .candidates--number { color: $quiet; }
        & > .candidates--standing { text-style: underline; }
    }
    """

    class Picked(Message):
        """A candidate was clicked."""

        def __init__(self, char: str) -> None:
            super().__init__()
            self.char = char

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._outlook: NextCharDistribution | None = None
        self._settings = SamplerSettings()
        self._standing: str | None = None
        self._after = ""
        self._rows: list[Strip] = []
        self._clicks: dict[int, str] = {}
        self._base = Style()
        self._styles: dict[str, Style] = {}  # asking for one takes as long as drawing a row

    def show(
        self, outlook: NextCharDistribution | None, settings: SamplerSettings, standing: str | None, after: str
    ) -> None:
        """Show what may come after the text ``after``; ``standing`` is the character that stands there already."""
        self._outlook, self._settings, self._standing, self._after = outlook, settings, standing, after
        self._rows = []
        self.refresh()

    @property
    def shown(self) -> tuple[Alternative, ...]:
        """What there is room for, in order: the digit n picks the n-th."""
        return () if self._outlook is None else self._outlook.alternatives[: _room(self.content_region.height)]

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._rows = []
        self._styles.clear()

    def on_resize(self) -> None:
        self._rows = []
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and (char := self._clicks.get(offset.y)) is not None:
            event.stop()
            self.post_message(self.Picked(char))

    def render_line(self, y: int) -> Strip:
        if not self._rows:
            self._rows = self._draw()
        return self._rows[y] if y < len(self._rows) else Strip.blank(self.size.width, self._base)

    # ---- drawing

    def _draw(self) -> list[Strip]:
        width, height = self.size
        self._clicks = {}
        self._base = self.rich_style
        if self._outlook is None or width < 12 or height < 2:
            return [Strip.blank(width, self.rich_style)]
        rows = [self._title(width)]
        alternatives = self._outlook.alternatives
        shown = alternatives[: _room(height)]
        kept = [one for one in shown if one.kept]
        cut = [one for one in shown if not one.kept]
        digits = {one.char: number for number, one in enumerate(alternatives, 1)}
        column = 1 + max((cell_len(symbol(one.char)) for one in shown), default=1)
        for one in kept:
            self._clicks[len(rows)] = one.char
            rows.append(self._candidate(one, digits[one.char], column, width))
        if cut:
            names = ", ".join(cut_by(self._settings, alternatives)) or "the sampler"
            line = f"── cut by {names} "
            rows.append(self._line([(line + "─" * (width - len(line)), self._style("quiet"))], width))
            for one in cut:
                self._clicks[len(rows)] = one.char
                rows.append(self._candidate(one, digits[one.char], column, width))
        outlook = self._outlook
        foot = f"{outlook.kept} of {outlook.total} kept, {_percent(outlook.kept_probability).strip()}"
        if len(foot) + 12 < width:
            foot += f" · {outlook.entropy:.1f} bits"
        rows.append(self._line([(foot, self._style("quiet"))], width))
        return rows

    def _title(self, width: int) -> Strip:
        lead = "CHOOSE after " if self.screen.has_class("-choosing") else "NEXT after "
        tail = visible(self._after, keep="")
        while tail and cell_len(tail) > width - len(lead) - 3:
            tail = tail[1:]
        words = [(lead, self._style("quiet") + Style(bold=True))]
        words.append((f"“…{tail}”" if tail else "the start", self._style("quiet")))
        return self._line(words, width)

    def _candidate(self, one: Alternative, digit: int, column: int, width: int) -> Strip:
        sign = symbol(one.char)
        sign += " " * (column - cell_len(sign))
        percent = _percent(one.sampled if one.kept else one.probability)
        room = max(0, width - 2 - column - len(percent) - MARGIN - 1)
        after = one.sampled * room
        solid = bar(int(8 * after))
        hollow = "░" * max(0, round(one.probability * room) - len(solid))
        if not one.kept and not hollow:
            hollow = "░"
        gap = " " * (room - len(solid) - len(hollow) + 1)
        standing = Style(underline=True, bold=True) if one.char == self._standing else Style()
        number = f"{digit} " if digit < 10 and not self.has_class("-typing") else "  "
        return self._line(
            [
                (number, self._style("number")),
                (sign, standing + (Style() if one.kept else self._style("cut"))),
                (solid, self._style("kept")),
                (hollow, self._style("cut")),
                (gap + percent, Style() if one.kept else self._style("cut")),
            ],
            width,
        )

    def _style(self, name: str) -> Style:
        if (style := self._styles.get(name)) is None:
            style = self._styles[name] = self.get_component_rich_style(f"candidates--{name}", partial=True)
        return style

    def _line(self, parts: list[tuple[str, Style]], width: int) -> Strip:
        base = self._base
        return Strip([Segment(text, base + style) for text, style in parts if text]).adjust_cell_length(width, base)


def _room(height: int) -> int:
    """Candidates in so many lines: title, foot and the rule between kept and cut take three."""
    return max(1, height - 3) if height > 1 else 0


def _percent(share: float) -> str:
    if share >= 0.9995:
        return "100 %"
    if share < 0.001:
        return " <.1%" if share else "  0 %"
    return f"{100 * share:3.0f} %" if share >= 0.0095 else f" {100 * share:.1f}%"


def cut_by(settings: SamplerSettings, alternatives: tuple[Alternative, ...]) -> list[str]:
    """The filters that cut what was cut of these (most likely first), as far as each can be told by itself."""
    if settings.kind == "reference":
        return ["top-k"]
    names: dict[str, None] = {}
    best = alternatives[0].probability if alternatives else 0.0
    for rank, one in enumerate(alternatives):
        if one.kept or not best:
            continue
        if settings.temperature == 0:
            names["temperature 0"] = None
        elif settings.top_k is not None and rank >= settings.top_k:
            names["top-k"] = None
        elif settings.min_p and (one.probability / best) ** (1 / settings.temperature) < settings.min_p:
            names["min-p"] = None
        else:
            others = ("top_p", "typical", "mirostat")
            names.update({name.replace("_", "-"): None for name in others if getattr(settings, name) is not None})
    return list(names)
