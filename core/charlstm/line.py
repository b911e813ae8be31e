"""One line that shows how far something is, in a terminal, in a notebook or in a file."""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self, TextIO

from charlstm.display import duration

if TYPE_CHECKING:
    from charlstm.text.corpus import ReadProgress

NOTEBOOK_WIDTH = 100


class TerminalLine:
    """A line that is drawn again and again.

    A terminal or a notebook writes over it. Elsewhere, such as in a file, a new line comes ``every`` so many seconds,
    by default never. The last cells of a terminal's row stay free, so that the ^C which it prints does not move the
    line to a second row. It is not one of Rich, which hides the cursor meanwhile: a command that is killed or suspended
    would leave it hidden. As a context manager it is removed at the end.

    Args:
        stream: where to print, standard error by default; asked each time.
        enabled: False draws nothing.
    """

    INTERVAL = 0.1
    """Least seconds between two drawings."""
    DELAY = 0.4
    """Seconds before the progress of work is drawn; shorter work needs no line."""
    BAR = 6
    """Columns of the shortest bar; it has a percentage after it."""

    def __init__(
        self, stream: Callable[[], TextIO] = lambda: sys.stderr, *, enabled: bool = True, every: float = math.inf
    ) -> None:
        self._stream, self._every = stream, every
        self.enabled = enabled and (every < math.inf or self._is_written_over)
        self._made, self._next, self._shown = time.monotonic(), -math.inf, ""
        self._stage, self._began = "", 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    @property
    def columns(self) -> int:
        """Columns for words beside the shortest bar."""
        return self._width - self.BAR - len(" 100%  ")

    def stage(self, name: str) -> Callable[[int, int], None]:
        """A progress callback that takes (done, total) of the stage ``name``: it draws a bar, the name and the time
        that is left."""
        return lambda done, total: self._draw_part(done, total, name)

    def update(self, progress: ReadProgress) -> None:
        """A progress callback that takes (done, total, stage)."""
        self._draw_part(*progress)

    def draw(self, fraction: float | None, words: str) -> None:
        """Show a bar filled to ``fraction`` (0 to 1; None: no bar) and ``words``, unless drawn just before."""
        now, stream = time.monotonic(), self._stream()
        if not self.enabled or now < self._next:
            return
        if not self._is_written_over:
            self._next = now + self._every
            print(words, file=stream, flush=True)
            return
        from rich.cells import cell_len

        self._next = now + self.INTERVAL
        words = truncate(words, self._width)
        bar_width = min(60, self._width - cell_len(words) - len(" 100%  "))
        if fraction is not None and bar_width >= self.BAR:
            full, empty = "█░" if "utf" in (stream.encoding or "").lower() else "#-"
            filled = round(bar_width * min(max(fraction, 0.0), 1.0))
            words = f"{full * filled}{empty * (bar_width - filled)} {fraction:4.0%}  {words}"
        self._show(words)

    def print_above(self, line: str) -> None:
        """Print a line that stays, above the status line."""
        shown = self._shown
        self.clear()
        print(line, file=self._stream(), flush=True)
        if shown:
            self._show(shown)

    def clear(self) -> None:
        """Remove the line."""
        if self._shown:
            self._show("")

    def end(self) -> None:
        """Leave the line as it is and begin a new one."""
        if self._shown:
            self._shown = ""
            print(file=self._stream(), flush=True)

    def _draw_part(self, done: int, total: int, stage: str) -> None:
        now, self._next = time.monotonic(), max(self._next, self._made + self.DELAY)
        if stage != self._stage:
            self._stage, self._began = stage, now
        fraction = done / total if total else None
        left = ""
        if fraction and now > self._began + 1:
            left = f", {duration((now - self._began) * (1 - fraction) / fraction)} left"
        self.draw(fraction, f"{stage}{left}")

    def _show(self, words: str) -> None:
        stream = self._stream()
        erased = "\r\x1b[K" if stream.isatty() else f"\r{' ' * len(self._shown)}\r"
        self._shown = words
        print(f"{erased}{words}", end="", file=stream, flush=True)

    @property
    def _is_written_over(self) -> bool:
        """Whether a carriage return goes back to the start of the line: in a terminal, and in Jupyter's output."""
        stream = self._stream()
        return stream.isatty() or type(stream).__module__.partition(".")[0] == "ipykernel"

    @property
    def _width(self) -> int:
        stream = self._stream()
        return terminal_width(stream) - 3 if stream.isatty() else NOTEBOOK_WIDTH


def terminal_width(stream: TextIO | None = None) -> int:
    """Columns of the terminal on ``stream``, by default stderr; without one, the COLUMNS of the environment, or 80."""
    try:
        return os.get_terminal_size((stream or sys.stderr).fileno()).columns or 80
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns


def truncate(text: str, width: int) -> str:
    """``text``, shortened to at most ``width`` terminal cells."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)) + "…"
