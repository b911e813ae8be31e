"""Arguments and options that several commands share, how they are completed by a shell, and how help shows examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from charlstm.cli.output import ReadingProgress, print_note
from charlstm.text.reading import TextOptions

if TYPE_CHECKING:
    from charlstm.model.file import Model
    from charlstm.runs.folder import Run
    from charlstm.text.corpus import Corpus


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
    from charlstm.runs.names import composed

    runs = list_runs(context.params.get("runs_dir"))
    start = composed(start)
    # the shells read one name a line
    return [CompletionItem(run.name) for run in runs if run.name.isprintable() and composed(run.name).startswith(start)]


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


def folder_of(context: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    """The folder that an option names. An empty name is none: a shell's variable that is not set."""
    if value == "":
        raise click.BadParameter("it is empty: name a folder, such as . for the current one")
    return None if value is None else Path(value)


runs_dir_option = click.option(
    "--runs-dir",
    type=click.Path(),
    callback=folder_of,
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
            click.option(
                "--strip-boilerplate/--no-strip-boilerplate", help="Leave out a Project Gutenberg header and licence."
            ),
            click.option("--clean/--no-clean", help="Drop soft hyphens, turn odd spaces into spaces, and the like."),
            click.option("--normalize/--no-normalize", default=True, help="Compose accents (NFC).  [default: yes]"),
            whole("--fold-rare", least=0, default=0, help="Make one symbol of characters rarer than this."),
            whole("--max-chars", least=1, help="Read so many characters at most."),
        )
    ):
        gather = option(gather)
    return gather  # type: ignore[return-value]


def text_options_over(base: TextOptions) -> TextOptions:
    """``base`` with the text options that the current command was given."""
    context = click.get_current_context()
    given = {
        spec.name: context.params[spec.name]
        for spec in fields(TextOptions)
        if context.get_parameter_source(spec.name) is ParameterSource.COMMANDLINE
    }
    return replace(base, **given)


def load_corpus(sources: tuple[str, ...], options: TextOptions) -> Corpus:
    """Open a text, with a progress bar on a terminal when that takes a while."""
    from charlstm.text.corpus import open_corpus

    with ReadingProgress() as progress:
        corpus = open_corpus(list(sources) if len(sources) > 1 else sources[0], options, progress=progress.show)
    if number := len(corpus.skipped):
        named = ", ".join(corpus.skipped[:3]) + ", …" * (number > 3)
        entries = "1 file or folder" if number == 1 else f"{number:,} files or folders"
        are = "is" if number == 1 else "are"
        print_note(f"{entries} of {corpus.name} cannot be read and {are} left out: {named}")
    return corpus


def open_model(word: str, runs_dir: Path | None, snapshot: int | None = None) -> Model:
    """The model that ``word`` means: of a run, as it was after ``snapshot`` steps, if that is asked."""
    from charlstm.model.file import load_model
    from charlstm.runs.models import find_model

    return load_model(find_model(word, runs_dir, snapshot=snapshot))


def find_run(word: str, runs_dir: Path | None) -> Run:
    """The run that ``word`` (a name or a folder) means."""
    from charlstm.runs import folder

    return folder.find_run(word, folder.runs_dir(runs_dir))
