"""The base of widgets that draw their own lines: which lines are kept, and when they are drawn anew."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from textual.cache import LRUCache
from textual.geometry import Region
from textual.strip import Strip
from textual.style import Style as PartStyle

if TYPE_CHECKING:
    from textual.widget import Widget as _Widget
else:
    _Widget = object  # a second widget class among the bases would hide the style sheets of the first

MOST_LINES = 512
"""Lines that a widget keeps."""


class Painted(_Widget):
    """A base for widgets whose lines are drawn once and kept until :meth:`repaint`, another size or other styles.

    Name this class before Textual's. A subclass draws all lines together, in :meth:`draw`, or each by itself, in
    :meth:`draw_line`. A line is kept under a key, its number unless :meth:`line_key` says otherwise. Lines with the
    same key look the same, so what scrolls keeps its lines under the rows of its content.
    """

    PARTS: ClassVar[Mapping[str, str]] = {}
    """How its parts look, by name, as in Textual's markup: ``bold $accent``, ``$foreground on $background``. Component
    classes would be looked up in all style sheets whenever the widget or its focus changes."""
    ANSI_PARTS: ClassVar[Mapping[str, str]] = {}
    """Parts that look different in the terminal's own colours."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._kept_lines: LRUCache[Hashable, Strip] = LRUCache(MOST_LINES)
        self._looks: dict[tuple[str, ...], Style] = {}

    # ---- what a subclass fills in

    def draw(self) -> Sequence[Strip]:
        """All lines from the top; below them it is blank."""
        return ()

    def line_key(self, y: int) -> Hashable | None:
        """The key of the line ``y`` of those in view; ``None`` for a blank one."""
        return y

    def draw_line(self, key: Any) -> Strip:
        """The line with this key. By default all lines are drawn, and kept, when one of them is asked for."""
        drawn = self.draw()
        for y in range(max(self.size.height, key + 1)):
            self._kept_lines[y] = drawn[y] if y < len(drawn) else self.blank_line()
        return self._kept_lines[key]

    def blank_line(self) -> Strip:
        """A line without anything."""
        return Strip.blank(self.size.width, self.look())

    def resized(self) -> None:
        """The widget has another size."""
        self.repaint()

    def forget_styles(self) -> None:
        """Forget what was made from the styles, which have changed."""
        self._looks.clear()

    # ---- for a subclass

    def repaint(self) -> None:
        """Draw all lines anew."""
        self._kept_lines.clear()
        self.refresh()

    def repaint_changed(self) -> None:
        """Draw all lines anew, and have the terminal get only those that differ. For what changes several times a
        second, and mostly a little."""
        before, self._kept_lines = self._kept_lines, LRUCache(MOST_LINES)
        for y in range(self.size.height):
            if self.render_line(y) != before.get(self.line_key(y)):
                self.refresh(Region(0, y, self.size.width, 1))

    def forget_lines(self, *keys: Hashable) -> None:
        """Draw the lines with these keys anew when they are shown next."""
        for key in keys:
            self._kept_lines.discard(key)

    def look(self, *names: str) -> Style:
        """The widget's style overlaid with the styles of these parts in order. Kept: making a style takes as long as
        drawing a line."""
        if (style := self._looks.get(names)) is None:
            style = self._looks[names] = Style.combine([self.rich_style, *map(self.part_style, names)])
        return style

    def part_style(self, name: str) -> Style:
        """The style of a part alone, to be put on another one; where it is transparent it shows the widget's own
        background."""
        ansi = self.ANSI_PARTS if self.has_pseudo_class("ansi") else {}
        style, behind = PartStyle.parse(ansi.get(name) or self.PARTS[name]), self.background_colors[1]
        if style.background is not None:
            behind += style.background
            style += PartStyle(background=behind)
        if style.foreground is not None:
            style += PartStyle(foreground=behind + style.foreground)
        return style.rich_style

    # ---- Textual

    def render_line(self, y: int) -> Strip:
        key = self.line_key(y)
        if key is None:
            return self.blank_line()
        if (line := self._kept_lines.get(key)) is None:
            line = self._kept_lines[key] = self.draw_line(key)
        return line

    def on_resize(self) -> None:
        self.resized()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.forget_styles()
        self._kept_lines.clear()
