"""What several commands share: options, opening texts and models, and how results and progress are shown."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from charlstm.text.reading import TextOptions
from charlstm.text.visible import described, symbol

if TYPE_CHECKING:
    from rich.console import Console

    from charlstm.runs.folder import Run
    from charlstm.text.corpus import Corpus, Progress

F = TypeVar("F", bound=Callable[..., Any])

MODEL_HELP = "MODEL is a run's name or folder, a .safetensors file, or `demo`, the model in the box."

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
            click.option(
                "--fold-rare", type=click.IntRange(0), default=0, help="Make one symbol of characters rarer than this."
            ),
            click.option("--max-chars", type=click.IntRange(1), help="Read so many characters at most."),
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


def console() -> Console:
    """A rich console on stderr, for progress; colours only where a terminal shows them."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False)


def load_corpus(sources: tuple[str, ...], options: TextOptions) -> Corpus:
    """Open a text, with a progress bar on a terminal when that takes a while."""
    from charlstm.text.corpus import open_corpus

    with ReadingProgress() as progress:
        return open_corpus(list(sources) if len(sources) > 1 else sources[0], options, progress=progress.show)


class ReadingProgress:
    """A bar on stderr for work that reports (done, total, stage); silent where stderr is no terminal."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> ReadingProgress:
        return self

    def show(self, progress: Progress) -> None:
        if not sys.stderr.isatty():
            return
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self._bar = Bar(*columns, console=console(), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(progress.stage, total=progress.total)
        self._bar.update(self._task, description=progress.stage, completed=progress.done, total=progress.total)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def find_run(word: str, runs_dir: Path | None) -> Run:
    """The run that ``word`` (a name or a folder) means."""
    from charlstm.runs import folder

    return folder.find_run(word, folder.runs_dir(runs_dir))
