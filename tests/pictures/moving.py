"""An animated SVG of what the app shows: the rows of its screen, each shown while it stands there."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape

from rich.color import Color
from rich.segment import Segment
from textual.strip import Strip

COLUMNS, ROWS = 104, 30
CELL = (8.4, 17)
"""Width and height in pixels."""

FONT = 'font: 14px "DejaVu Sans Mono", Menlo, Consolas, monospace'


@dataclass
class MovingPicture:
    """Pictures of a screen, each shown for some seconds; then it begins again."""

    seconds: float = 0.0
    rows: dict[tuple[int, str], list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    """For each place and content of a row, begins and ends."""

    def add(self, strips: Iterable[Strip], seconds: float) -> None:
        begin, self.seconds = self.seconds, self.seconds + seconds
        for number, strip in enumerate(strips):
            times = self.rows[number, _row(strip)]
            if times and times[-1][1] == begin:
                times[-1][1] = self.seconds
            else:
                times.append([begin, self.seconds])

    def svg(self) -> str:
        shown = (self._shown(row, number, times) for (number, row), times in self.rows.items())
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {CELL[0] * COLUMNS:.0f} {CELL[1] * ROWS}">'
        style = f"<style>text {{ {FONT}; white-space: pre }} rect {{ shape-rendering: crispEdges }}</style>"
        return "\n".join([head, style, *shown, "</svg>\n"])

    def _shown(self, row: str, number: int, times: list[list[float]]) -> str:
        place = f'<g transform="translate(0 {number * CELL[1]})"'
        if times == [[0.0, self.seconds]]:
            return f"{place}>{row}</g>"
        changes = {0.0: "hidden"} | {time: value for pair in times for time, value in zip(pair, WORDS, strict=True)}
        changes = {time: value for time, value in changes.items() if time < self.seconds}
        key_times = ";".join(f"{time / self.seconds:.4f}" for time in changes)
        how = f'values="{";".join(changes.values())}" keyTimes="{key_times}" dur="{self.seconds:.2f}s"'
        animate = f'<animate attributeName="visibility" calcMode="discrete" repeatCount="indefinite" {how}/>'
        return f'{place} visibility="hidden">{row}{animate}</g>'


WORDS = ("visible", "hidden")


def _row(strip: Strip) -> str:
    """The row as SVG: colours behind the text, then the text."""
    behind, text, x = [], [], 0.0
    for segment in Segment.simplify(strip):
        style, width = segment.style, segment.cell_length * CELL[0]
        fore, back = (style.color, style.bgcolor) if style else (None, None)
        if style and style.reverse:
            fore, back = back, fore
        if back is not None:
            behind.append(f'<rect x="{x:.1f}" width="{width:.1f}" height="17" fill="{_hex(back)}"/>')
        words = segment.text.strip(" ")
        if words:
            first = x + CELL[0] * (len(segment.text) - len(segment.text.lstrip(" ")))
            how = f'fill="{_hex(fore) if fore else "#ddd"}"'
            how += ' font-weight="bold"' if style and style.bold else ""
            how += ' font-style="italic"' if style and style.italic else ""
            how += ' text-decoration="underline"' if style and style.underline else ""
            how += ' opacity="0.6"' if style and style.dim else ""
            length = CELL[0] * Segment(words).cell_length
            text.append(f'<text x="{first:.1f}" y="13" textLength="{length:.1f}" {how}>{escape(words)}</text>')
        x += width
    return "".join(behind + text)


def _hex(color: Color) -> str:
    return color.get_truecolor().hex
