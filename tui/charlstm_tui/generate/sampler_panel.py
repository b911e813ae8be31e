"""The sampler's settings beside the text, each with its two keys, and the values that the keys step through."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.setting_fields import setting_fields
from charlstm_tui.actions import key_of
from charlstm_tui.player.played import FULL, SPEEDS
from charlstm_tui.widgets.painted import Painted

TOP_K: tuple[float, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 50, 100)
TOP_P: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)
MIN_P: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
TEMPERATURE: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(41))
DECLARED = setting_fields(SamplerSettings)
WITH_KEYS = ("temperature", "top_k", "top_p", "min_p")


FIRST_TOP_K = 40
"""The usual top-k: the first one below off."""


def adjust(settings: SamplerSettings, name: str, direction: int, symbols: float = math.inf) -> SamplerSettings:
    """The settings with ``name`` at its next lower (-1) or higher (1) value. A top-k is less than the ``symbols`` of
    the model, as it would cut none of them."""
    value = getattr(settings, name)
    if name == "temperature":
        return replace(settings, temperature=_next(TEMPERATURE, value, direction) or 0.0)
    if name == "min_p":  # off is below its values
        return replace(settings, min_p=_next(MIN_P, value or -math.inf, direction) or None)
    # off is above the values of the others
    if name == "top_p":
        return replace(settings, top_p=_next(TOP_P, math.inf if value is None else value, direction))
    stepped = _next(TOP_K, FIRST_TOP_K + 1 if value is None and direction < 0 else value or math.inf, direction)
    while stepped is not None and stepped >= symbols and stepped > 1:
        stepped = _next(TOP_K, stepped, direction)
    return replace(settings, top_k=None if stepped is None else int(stepped))


def faster(speed: float, direction: int) -> float:
    """The next higher (1) or lower (-1) speed."""
    stepped = _next(SPEEDS, speed, direction)
    return SPEEDS[0 if direction < 0 else -1] if stepped is None else stepped


def _next(values: Sequence[float], value: float, direction: int) -> float | None:
    """The value next to ``value``. Beyond an end it is ``None`` if off is there, else the end itself, or ``value`` if
    that is farther still."""
    if direction > 0:
        index = bisect_right(values, value)
        if index < len(values):
            return values[index]
        return max(values[-1], value) if values in (TEMPERATURE, MIN_P, SPEEDS) else None
    index = bisect_left(values, value) - 1
    if index >= 0:
        return values[index]
    return min(values[0], value) if values in (TEMPERATURE, TOP_K, TOP_P, SPEEDS) else None


def speed_words(speed: float) -> str:
    """``60 ch/s``, ``full``, ``one a key``."""
    if speed == FULL:
        return "full"
    return f"{speed:.0f} ch/s" if speed else "one a key"


def other_settings(settings: SamplerSettings) -> list[str]:
    """The settings without keys of their own that are on, in words."""
    if settings.kind == "reference":
        return ["reference: top-k alone"]
    shown = (each for name, each in DECLARED.items() if name not in WITH_KEYS and each.can_be_off)
    values = ((each, getattr(settings, each.name)) for each in shown)
    return [f"{each.label} {each.write(value)}" for each, value in values if not each.is_off(value)]


HIDING = {"top_k": 3, "top_p": 0.3, "min_p": 0.5}
"""A top-k or top-p of at most, or a min-p of at least these hides much of what temperature does. On a novel with the
model in the box, the mean difference between the distributions at temperatures 0.7 and 1.3 was 55 %, 51 % and 61 % of
that without a filter; with the usual min-p of 0.05 it was 94 %."""


def hides_temperature(settings: SamplerSettings) -> str:
    """Which filter hides what temperature does, or that temperature 0 does without filters; "" where neither is so."""
    if settings.kind == "reference":
        return ""
    top_k, top_p, min_p = settings.top_k, settings.top_p, settings.min_p
    if settings.temperature == 0:
        return "temperature 0: filters do nothing" if (top_k, top_p, min_p) != (None, None, None) else ""
    hiding = [
        *([f"top-k {top_k}"] if top_k is not None and top_k <= HIDING["top_k"] else []),
        *([f"top-p {top_p:.2f}"] if top_p is not None and top_p <= HIDING["top_p"] else []),
        *([f"min-p {min_p:.2f}"] if min_p is not None and min_p >= HIDING["min_p"] else []),
    ]
    if not hiding:
        return ""
    return f"{hiding[0]} hides temperature" if top_k == 1 or min_p == 1 else f"{hiding[0]} hides much of temperature"


WIDEST = 46
"""Columns from a setting's keys to its figure, at most: farther away, a figure is looked for in the wrong row."""


class SamplerPanel(Painted, Widget):
    """The settings with their keys, which can be clicked: temperature, speed, and what is not as usual."""

    PARTS: ClassVar = {"key": "bold $primary", "name": "$quiet", "off": "$quiet", "value": "$foreground"}
    DEFAULT_CSS = "SamplerPanel { height: auto; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._settings = SamplerSettings()
        self._speed = 0.0

    def show(self, settings: SamplerSettings, speed: float) -> None:
        """Show these settings and this speed, in characters a second."""
        if (settings, speed) == (self._settings, self._speed):
            return
        height = self._height
        self._settings, self._speed = settings, speed
        self.repaint()
        if self._height != height:
            self.refresh(layout=True)

    def _figures(self) -> list[tuple[str, str, str, str]]:
        """The name and the figure of each line, and what its two keys do: temperature, the filters that are not as
        usual, and the speed."""
        settings, usual = self._settings, SamplerSettings()
        filters = [
            (name.replace("_", "-"), DECLARED[name].write(getattr(settings, name)), f"{name}_down", f"{name}_up")
            for name in WITH_KEYS[1:]
            if getattr(settings, name) != getattr(usual, name)
        ]
        return [
            ("temperature", f"{settings.temperature:.2f}", "temperature_down", "temperature_up"),
            *filters,
            ("speed", speed_words(self._speed), "slower", "faster"),
        ]

    def _more(self) -> list[str]:
        """What stands below: the other settings that are on, and which filter hides what temperature does."""
        others, hidden = " · ".join(other_settings(self._settings)), hides_temperature(self._settings)
        return [others or "all settings", *([hidden] if hidden else [])]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self._height

    @property
    def _height(self) -> int:
        return len(self._figures()) + len(self._more())

    def draw_line(self, y: int) -> Strip:
        width, base = self.size.width, self.look()
        figures, more = self._figures(), self._more()
        parts: list[tuple[str, Style]] = []
        if y < len(figures):
            caption, figure, down, up = figures[y]
            parts = [self._key(down), (" ", base), self._key(up), (f"  {caption}", self.look("name"))]
            gap = " " * max(1, min(width, WIDEST) - sum(len(text) for text, _ in parts) - len(figure))
            parts += [(gap, base), (figure, self.look("off" if figure == "off" else "value"))]
        elif y < len(figures) + len(more):
            words = more[y - len(figures)]
            hidden = words == hides_temperature(self._settings)
            key = ("!", self.look("name")) if hidden else self._key("all_settings")
            parts = [key, (f"    {words}", self.look("value"))]
        strip = Strip([Segment(text, style) for text, style in parts])
        if strip.cell_length > width:
            strip = Strip.join([strip.crop(0, width - 1), Strip([Segment("…", base)])])
        return strip.adjust_cell_length(width, base)

    def _key(self, action: str) -> tuple[str, Style]:
        click = Style(meta={"@click": f"screen.do('generate.{action}')"})
        return key_of(f"generate.{action}"), self.look("key") + click
