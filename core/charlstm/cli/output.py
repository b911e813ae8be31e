"""How results, remarks, tables and progress are shown: results on stdout, all else on stderr."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from charlstm.display import described, symbol, visible
from charlstm.errors import CharLSTMError

if TYPE_CHECKING:
    from charlstm.text.corpus import ReadProgress
    from charlstm.text.vocabulary import Vocabulary


def report_unknown_characters(unknown: Mapping[str, int], what: str, vocabulary: Vocabulary) -> None:
    """A remark on the characters that are not in a model's ``vocabulary``; ``what`` became of them, unless it has a
    symbol that stands for all such."""
    if unknown:
        listed = [f"{symbol(char)} ({described(char)}) × {count:,}" for char, count in unknown.items()]
        more = f" and {len(listed) - 6} more" if len(listed) > 6 else ""
        names = f"{', '.join(listed[:6])}{more}"
        if (stands := vocabulary.replacement) is not None:
            print_note(
                f"The model has no symbol of its own for {names}: read as {symbol(stands)} ({described(stands)})"
            )
        else:
            print_note(f"The model has never seen {names}: {what}")


def print_result(as_json: bool, value: Any, text: str | None = None) -> None:
    """The command's result on stdout: ``value`` as JSON, else ``text``."""
    if as_json:
        echo_json(to_json(value))
    else:
        click.echo(visible(text or "") if sys.stdout.isatty() else text)


def echo_json(line: str) -> None:
    """A line of JSON on stdout; as escapes what would act on a terminal that it is, and what is no character."""
    live = sys.stdout.isatty()
    if not line.isprintable():
        line = "".join(char if _may_stand(char, live) else _json_escape(char) for char in line)
    click.echo(line)


def _may_stand(char: str, live: bool) -> bool:
    return char.isprintable() or not (live or "\ud800" <= char <= "\udfff")


def _json_escape(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) > 0xFFFF else f"\\u{ord(char):04x}"


def to_json(value: Any) -> str:
    """``value`` as JSON, in which there is neither NaN nor Infinity: what is no finite number becomes null."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _finite(each) for key, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
    return value


def write_stdout(write: Callable[[BinaryIO], None]) -> None:
    """Let ``write`` write a file to standard output. Raises :class:`CharLSTMError` where that is a terminal."""
    if sys.stdout.isatty():
        raise CharLSTMError("Standard output is a terminal: redirect it into a file, or name a file instead of -")
    content = io.BytesIO()  # whole, since not every writer can write to a pipe or says when that is closed
    write(content)
    sys.stdout.flush()
    sys.stdout.buffer.write(content.getbuffer())
    sys.stdout.buffer.flush()


def print_note(message: str) -> None:
    """One line for the person, on stderr; literally, as it may quote a path or a name."""
    click.echo(visible(message), err=True)


def format_duration(seconds: float) -> str:
    """A stretch of time as `0:42`, `12:05` or `2:10:00`."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def plural(number: int, what: str) -> str:
    """`1 step`, `2,000 steps`."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def format_size(octets: float) -> str:
    """A size on disk."""
    return f"{octets / 1e6:,.1f} MB"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], right: Container[str] = ()) -> list[str]:
    """Lines of columns under ``titles``; those of ``right`` end below each other, the others begin there."""
    from rich.cells import cell_len

    rows = [list(titles), *([visible(cell, keep="") for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        padded = [(cell, " " * (width - cell_len(cell))) for cell, width in zip(row, widths, strict=True)]
        cells = [
            pad + cell if title in right else cell + pad for title, (cell, pad) in zip(titles, padded, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


class StatusLine:
    """One line at the foot of stderr, drawn over and over and gone in the end; nothing where stderr is no terminal.

    It leaves the last cells free, so that the ^C which a terminal echoes does not push it onto a second line.
    """

    EVERY = 0.1
    """Seconds between two drawings at least."""

    def __init__(self, *, draws: bool = True, after: float = 0.0) -> None:
        self.draws = draws and sys.stderr.isatty()
        self._next = time.monotonic() + after
        self._shown = ""

    def draw(self, part: float | None, words: str) -> None:
        """Show a bar of ``part`` (0 to 1; None: no bar yet) and ``words`` behind it, if it is time again."""
        if not self.draws or time.monotonic() < self._next:
            return
        from rich.cells import cell_len

        self._next = time.monotonic() + self.EVERY
        width = terminal_width() - 3
        words = truncate(words, width)
        room = min(60, width - cell_len(words) - 7)
        if part is not None and room >= 8:
            full, empty = "█░" if "utf" in (sys.stderr.encoding or "").lower() else "#-"
            done = round(room * min(max(part, 0.0), 1.0))
            words = f"{full * done}{empty * (room - done)} {part:4.0%}  {words}"
        self._show(words)

    def say(self, line: str) -> None:
        """Write ``line`` above it."""
        shown = self._shown
        self.clear()
        click.echo(line, err=True)
        if shown:
            self._show(shown)

    def clear(self) -> None:
        """Take it away."""
        if self._shown:
            self._show("")

    def _show(self, words: str) -> None:
        self._shown = words
        sys.stderr.write(f"\r\x1b[K{words}")
        sys.stderr.flush()


class ReadingProgress:
    """A status line for work that takes a while."""

    PATIENCE = 0.4
    """Seconds of work that nobody wants a bar for."""

    def __init__(self) -> None:
        self._line = StatusLine(after=self.PATIENCE)
        self._stage, self._began = "", 0.0

    def __enter__(self) -> ReadingProgress:
        return self

    def named(self, stage: str) -> Callable[[int, int], None]:
        """For work that reports (done, total) alone."""
        return lambda done, total: self._show(done, total, stage)

    def show(self, progress: ReadProgress) -> None:
        """For work that reports what it does too."""
        self._show(*progress)

    def _show(self, done: int, total: int, stage: str) -> None:
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._began = stage, now
        part = done / total if total else None
        left = (
            f", {format_duration((now - self._began) * (1 - part) / part)} left"
            if part and now > self._began + 1
            else ""
        )
        self._line.draw(part, f"{stage}{left}")

    def __exit__(self, *_: object) -> None:
        self._line.clear()


def terminal_width() -> int:
    """How wide the terminal is that stderr is; else what the environment says, or 80."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns


def truncate(text: str, width: int) -> str:
    """``text`` in at most ``width`` cells."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)) + "…"
