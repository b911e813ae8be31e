"""What several commands share: options, opening texts and models, and how results and progress are shown."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from charlstm.text.reading import TextOptions
from charlstm.text.visible import described, symbol, visible

if TYPE_CHECKING:
    from charlstm.runs.folder import Run
    from charlstm.text.corpus import Corpus, Progress


F = TypeVar("F", bound=Callable[..., Any])

MODEL_HELP = "MODEL is a run's name or folder, a .safetensors file, or `demo`, the model in the box."

_Found = list[CompletionItem]


def examples(*lines: str, about: str = "") -> str:
    """What stands below a command's help: ``about``, and lines to copy."""
    shown = "\n".join(f"  {line}" for line in lines)
    return f"{about}\n\n\b\nExamples:\n{shown}" if about else f"\b\nExamples:\n{shown}"


def whole(*names: str, least: int | None = None, **rest: Any) -> Callable[[F], F]:
    """An option that takes a whole number, of at least ``least`` if there is one."""
    kind = int if least is None else click.IntRange(least)
    return click.option(*names, type=kind, metavar="N", show_default="default" in rest, **rest)


def number(*names: str, kind: click.FloatRange | None = None, metavar: str = "X", **rest: Any) -> Callable[[F], F]:
    """An option that takes any number, or one of ``kind``."""
    return click.option(*names, type=kind or float, metavar=metavar, show_default="default" in rest, **rest)


def complete_run(context: click.Context, parameter: click.Parameter, start: str) -> _Found:
    """The runs whose names begin so, for a shell's Tab."""
    from charlstm.runs.folder import list_runs

    runs = list_runs(context.params.get("runs_dir"))
    return [CompletionItem(run.name) for run in runs if run.name.startswith(start)]


def complete_model(context: click.Context, parameter: click.Parameter, start: str) -> _Found:
    """Runs, else files."""
    return complete_run(context, parameter, start) or [CompletionItem(start, type="file")]


def complete_text(context: click.Context, parameter: click.Parameter, start: str) -> _Found:
    """Built-in texts, else files."""
    from charlstm.text.builtin import builtins

    found = [CompletionItem(each.name) for each in builtins() if start and each.name.startswith(start)]
    return found or [CompletionItem(start, type="file")]


model_argument = click.argument("model", shell_complete=complete_model)
run_argument = click.argument("run", shell_complete=complete_run)
text_argument = click.argument("text", nargs=-1, required=True, shell_complete=complete_text)
optional_text_argument = click.argument("text", nargs=-1, shell_complete=complete_text)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
runs_dir_option = click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    help="Where runs are kept (else CHARLSTM_RUNS, ./checkpoints if there is one, or your data folder).",
)


def text_options(command: F) -> F:
    """Options on how a text is read; the command receives them as one ``options: TextOptions``."""

    def gather(
        *args: Any,
        encoding: str | None,
        pattern: str,
        strip_boilerplate: bool,
        clean: bool,
        normalize: bool,
        fold_rare: int,
        max_chars: int | None,
        **rest: Any,
    ) -> Any:
        options = TextOptions(
            encoding=encoding,
            pattern=pattern,
            strip_boilerplate=strip_boilerplate,
            clean=clean,
            normalize=normalize,
            fold_rare=fold_rare,
            max_chars=max_chars,
        )
        return command(*args, options=options, **rest)

    gather.__doc__ = command.__doc__
    gather.__name__ = command.__name__
    # parameters that decorators below have already attached travel along
    gather.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for option in reversed(
        (
            click.option("--encoding", help="Read the text in this encoding instead of detecting it."),
            click.option("--pattern", default="*.txt", show_default=True, help="Which files of a folder are read."),
            click.option("--strip-boilerplate", is_flag=True, help="Leave out a Project Gutenberg header and licence."),
            click.option("--clean", is_flag=True, help="Drop soft hyphens, turn odd spaces into spaces, and the like."),
            click.option("--normalize/--no-normalize", default=True, help="Compose accents (NFC).  [default: yes]"),
            whole("--fold-rare", least=0, default=0, help="Make one symbol of characters rarer than this."),
            whole("--max-chars", least=1, help="Read so many characters at most."),
        )
    ):
        gather = option(gather)
    return gather  # type: ignore[return-value]


def unescaped(text: str) -> str:
    r"""``text`` with \n, \t, \r, \xHH, \uHHHH and \\ turned into what they stand for; other backslashes stay."""
    return re.sub(r"\\(?:[ntr\\]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})", lambda found: _unescaped(found[0]), text)


def _unescaped(escape: str) -> str:
    return {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}.get(escape[1:]) or chr(int(escape[2:], 16))


def says_unknown(unknown: Mapping[str, int], what: str) -> None:
    """A remark on the characters that a model has never seen; ``what`` became of them."""
    if unknown:
        listed = [f"{symbol(char)} ({described(char)}) × {count:,}" for char, count in unknown.items()]
        more = f" and {len(listed) - 6} more" if len(listed) > 6 else ""
        remark(f"The model has never seen {', '.join(listed[:6])}{more}: {what}")


def result(as_json: bool, value: Any, text: str | None = None) -> None:
    """The command's result on stdout: ``value`` as JSON, else ``text``."""
    click.echo(json.dumps(value, ensure_ascii=False) if as_json else text)


def remark(message: str) -> None:
    """One line for the person, on stderr."""
    click.echo(message, err=True)


def minutes(seconds: float) -> str:
    """A stretch of time as `0:42`, `12:05` or `2:10:00`."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def counted(number: int, what: str) -> str:
    """`1 step`, `2,000 steps`."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def megabytes(octets: float) -> str:
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


def load_corpus(sources: tuple[str, ...], options: TextOptions) -> Corpus:
    """Open a text, with a progress bar on a terminal when that takes a while."""
    from charlstm.text.corpus import open_corpus

    with ReadingProgress() as progress:
        return open_corpus(list(sources) if len(sources) > 1 else sources[0], options, progress=progress.show)


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
        width = columns() - 3
        words = cut(words, width)
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

    def show(self, progress: Progress) -> None:
        """For work that reports what it does too."""
        self._show(*progress)

    def _show(self, done: int, total: int, stage: str) -> None:
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._began = stage, now
        part = done / total if total else None
        left = f", {minutes((now - self._began) * (1 - part) / part)} left" if part and now > self._began + 1 else ""
        self._line.draw(part, f"{stage}{left}")

    def __exit__(self, *_: object) -> None:
        self._line.clear()


def columns() -> int:
    """How wide the terminal is that stderr is; else what the environment says, or 80."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns


def cut(text: str, width: int) -> str:
    """``text`` in at most ``width`` cells."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)) + "…"


def find_run(word: str, runs_dir: Path | None) -> Run:
    """The run that ``word`` (a name or a folder) means."""
    from charlstm.runs import folder

    return folder.find_run(word, folder.runs_dir(runs_dir))
