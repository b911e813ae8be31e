"""The five characters that the model expects next under each character of a line."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from charlstm.display import symbol
from charlstm_tui.generate.probability_shades import probability_shades
from charlstm_tui.widgets.painted import Painted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

COUNT = 5
"""Characters under each one."""
SHADES = (0.05, 0.2, 0.5)
"""From these probabilities on, a character has the next darker shade. Below the first it is grey,
from the last on bold, so that colours are not needed."""


class NextChars(Painted, Widget):
    """A line of text, and under each character what the model expects after it, the likeliest first. Underlined is what
    came."""

    PARTS: ClassVar = {
        "quiet": "$quiet",
        "cursor": "reverse $foreground on $background",
        "followed": "underline",
        "sure": "bold",
    }
    DEFAULT_CSS = "NextChars { height: 7; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._text = self._following = ""
        self._chars: Sequence[str] = ()
        self._shares: npt.NDArray[np.float32] | None = None
        self._cursor = 0
        self._shades: list[Style] = []

    def show(
        self, text: str, following: str, chars: Sequence[str], shares: npt.NDArray[np.float32], cursor: int
    ) -> None:
        """Show a line.

        Args:
            following: the character after ``text``, or "".
            chars: for each character the likeliest next ones, most likely first, and ``shares`` their probabilities
                ``(N, K)``.
            cursor: the position of the cursor in ``text``.
        """
        self._text, self._following, self._chars, self._shares, self._cursor = text, following, chars, shares, cursor
        self.repaint()

    def clear(self) -> None:
        if self._text:  # while text streams this is called for each frame
            self._text, self._chars = "", ()
            self.repaint()

    def forget_styles(self) -> None:
        super().forget_styles()
        self._shades = []

    def draw(self) -> list[Strip]:
        width, base = self.size.width, self.look()
        style = {name: self.part_style(name) for name in self.PARTS}
        shades = self._shades = self._shades or probability_shades(self, "success")  # the others are those of the cells
        caption = [Segment("LIKELIEST ", base + style["quiet"] + Style(bold=True))]
        for level in range(len(SHADES), 0, -1):
            caption.append(Segment(f" ≥{100 * SHADES[level - 1]:.0f} % ", self._look(level, shades, style)))
        caption += [Segment("  ", base), Segment("what came", base + style["followed"])]
        if not self._text:
            caption = [Segment("The likeliest next, once the text stands still.", base + style["quiet"])]
        rows = [caption, *([] for _ in range(1 + COUNT))]
        for at, (char, expected) in enumerate(zip(self._text, self._chars, strict=False)):
            after = self._text[at + 1] if at + 1 < len(self._text) else self._following
            cells = max(cell_len(symbol(each)) for each in (char, *expected))
            shown = char if char.isprintable() else symbol(char)
            look = base + style["cursor"] if at == self._cursor else base
            rows[1].append(Segment(shown + " " * (cells - cell_len(shown)), look))
            assert self._shares is not None
            for index, (each, share) in enumerate(zip(expected, self._shares[at].tolist(), strict=False)):
                look = self._look(bisect_right(SHADES, share), shades, style)
                if each == after:
                    look += style["followed"]
                rows[2 + index].append(Segment(symbol(each) + " " * (cells - cell_len(symbol(each))), look))
        return [Strip(row).simplify().adjust_cell_length(width, base) for row in rows]

    def _look(self, level: int, shades: Sequence[Style], style: dict[str, Style]) -> Style:
        if level == 0:
            return shades[0] + style["quiet"]
        return shades[level] + style["sure"] if level == len(SHADES) else shades[level]
