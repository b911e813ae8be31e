"""Options and arguments that several commands share, with their shell completion."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from charlstm import user_files
from charlstm.cli import output
from charlstm.display import visible
from charlstm.errors import CharLSTMError, RunError, TextError
from charlstm.line import TerminalLine
from charlstm.runs import folder, models
from charlstm.runs.folder import RunFolder, list_runs
from charlstm.runs.models import MOST_MODELS, find_model
from charlstm.runs.names import check_name, composed
from charlstm.runs.notes import sweep_runs
from charlstm.runs.playable import is_untrained
from charlstm.setting_fields import SettingField, setting_fields
from charlstm.text import remote, sources
from charlstm.text.builtin import builtins
from charlstm.text.reading import USUAL, TextOptions
from charlstm.training.settings import Settings

if TYPE_CHECKING:
    from charlstm.model.file import Model
    from charlstm.runs.own_text import OwnText
    from charlstm.text.corpus import Corpus

F = TypeVar("F", bound=Callable[..., Any])

MODEL_HELP = "MODEL is the name or folder of a run, a .safetensors file, or `demo`, the model that is included."


def examples(*lines: str, about: str = "") -> str:
    """The text below a command's help: ``about``, then examples to copy."""
    shown = "\n".join(f"  {line}" for line in lines)
    return f"{about}\n\n\b\nExamples:\n{shown}" if about else f"\b\nExamples:\n{shown}"


def integer_option(
    *names: str, minimum: int | None = None, maximum: int | None = None, **rest: Any
) -> Callable[[F], F]:
    """An option that takes a whole number from ``minimum`` to ``maximum``."""
    kind = int if minimum is None and maximum is None else click.IntRange(minimum, maximum)
    return click.option(*names, type=kind, metavar="N", show_default="default" in rest, **rest)


def number_option(
    *names: str, minimum: float | None = None, maximum: float | None = None, metavar: str = "X", **rest: Any
) -> Callable[[F], F]:
    """An option that takes a number from ``minimum`` to ``maximum``; without them, the command checks it."""
    kind = float if minimum is None else _Number(minimum, maximum)
    return click.option(*names, type=kind, metavar=metavar, show_default="default" in rest, **rest)


def setting_option(each: SettingField, **rest: Any) -> Callable[[F], F]:
    """The option of a setting as it is declared. Its class checks the value, and knows what the default is."""
    names = (each.option_name, each.name)
    rest |= {"help": each.help} if each.default is None else {"help": each.help, "default": each.default}
    if each.kind is int:
        return integer_option(*names, **rest)
    if each.kind is float:
        return number_option(*names, metavar=each.metavar or "X", **rest)
    rest["show_default"] = bool(each.default)
    if each.kind is bool:
        return click.option(f"{each.option_name}/{each.opposite_name}", each.name, **rest)
    if each.words:
        return click.option(*names, type=click.Choice(each.words), **rest)
    return click.option(*names, metavar=each.metavar or "TEXT", **rest)


class _Number(click.FloatRange):
    """Numbers in a range. ``nan`` is none, although it is not outside of any range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


def run_name(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    """A name for a run, which is checked before anything else happens."""
    with usage_errors():
        return None if name is None else check_name(name)


def complete_run(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Names of runs that begin with ``start``."""
    runs = list_runs(context.meta.get(RUNS_DIR))
    start = composed(start)
    # bash does not quote what it completes: a name that another program made may be a command
    names = [run.name for run in runs if re.fullmatch(r"[\w.,+@:-]+", run.name)]
    return [CompletionItem(name) for name in names if composed(name).startswith(start)]


def complete_model(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Names of runs, or files if no run matches."""
    return complete_run(context, parameter, start) or [CompletionItem(start, type="file")]


def complete_text(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Names of built-in and fetched texts, or files if none matches."""
    fetched = [name for name, text in remote.catalogue().items() if text.path]
    names = [*(each.name for each in builtins()), *fetched]
    found = [CompletionItem(name) for name in names if start and name.startswith(start)]
    return found or [CompletionItem(start, type="file")]


def complete_remote(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Names of texts that can be fetched."""
    return [CompletionItem(name) for name in remote.catalogue() if name.startswith(start)]


def complete_setting(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """KEY= for every setting that begins with ``start``; after KEY=, the values, where they can be listed."""
    settings = setting_fields(Settings)
    typed, equals, value = start.partition("=")
    key = typed.replace("-", "_")
    if equals:
        found = settings[key].values if key in settings else ()
        return [CompletionItem(f"{typed}={each}") for each in found if each.startswith(value)]
    return [CompletionItem(f"{name}=", help=each.about) for name, each in settings.items() if name.startswith(key)]


model_argument = click.argument("model", shell_complete=complete_model)
run_argument = click.argument("run", shell_complete=complete_run)
runs_argument = click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=complete_run)
text_argument = click.argument("text", nargs=-1, required=True, shell_complete=complete_text)
optional_text_argument = click.argument("text", nargs=-1, shell_complete=complete_text)


def _keep_json(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[output.JSON] = value


json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    expose_value=False,  # see output.wants_json
    callback=_keep_json,
    help="Print JSON to stdout; errors as JSON to stderr.",
)


_TEXT = setting_fields(TextOptions)


encoding_option = setting_option(_TEXT["encoding"])
max_chars_option = integer_option("--max-chars", minimum=1, help=_TEXT["max_chars"].help)
settings_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=complete_setting,
    help="Change any setting; may be repeated. `charlstm presets --settings` lists them.",
)


RUNS_DIR = "charlstm.runs_dir"
"""What the option --runs-dir is called in click's context of a command."""


def _keep_runs_dir(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Keep the folder. An empty name is an error: it is usually a shell variable that is not set."""
    if value == "":
        raise click.BadParameter("the name is empty: give a folder, such as . for the current one")
    context.meta[RUNS_DIR] = None if value is None else Path(value)


runs_dir_option = click.option(
    "--runs-dir",
    metavar="FOLDER",
    type=click.Path(),
    expose_value=False,  # see given_runs_dir
    callback=_keep_runs_dir,
    help="Folder of the runs.  [default: $CHARLSTM_RUNS, ./checkpoints if it exists, or your data folder]",
)


def common_options(command: F) -> F:
    """Add --json and --runs-dir."""
    return json_option(runs_dir_option(command))


def given_runs_dir() -> Path | None:
    """The folder of --runs-dir; None for the usual one."""
    folder_of_runs: Path | None = click.get_current_context().meta.get(RUNS_DIR)
    return folder_of_runs


clamp_option = click.option(
    "--clamp",
    "clamps",
    multiple=True,
    metavar="L:C=X",
    help="Hold cell C of layer L at X; may be repeated.",
)


snapshot_option = integer_option("--snapshot", minimum=0, help="Take the model of the run after N steps.")


def _checked_seed(context: click.Context, parameter: click.Parameter, value: int) -> int:
    if not -(2**63) <= value < 2**64:
        raise click.BadParameter("a seed is a whole number of at most 64 bits")
    return value


seed_option = click.option(
    "--seed",
    type=int,
    metavar="N",
    default=0,
    show_default=True,
    callback=_checked_seed,
    help="The same seed gives the same text.",
)

MOST_CHARS = 10_000_000
"""Characters that a command generates, at most: they take 125 bytes each, and some 100 minutes at 2 × 256."""


@dataclass(frozen=True, slots=True)
class ModelAndText:
    """What a command got that reads a text with a model."""

    model: str
    text: tuple[str, ...]
    snapshot: int | None
    encoding: str | None
    max_chars: int | None

    def open_model(self) -> Model:
        """Load the model: see :func:`open_model`."""
        return open_model(self.model, self.snapshot)

    def open_text(self, own: TextOptions) -> Corpus:
        """Open the text with the options that a model was trained with, except those that concern only its ``own``
        text."""
        corpus = self._open(own, self.max_chars)
        if corpus.report.joined:
            output.print_note(f"The text is read as paragraphs: {corpus.report.joined}")
        return corpus

    def own_or_start_of_text(self, model: Model) -> OwnText:
        """The first characters of the text, or without one those of the run on which its cells are named:
        :data:`TEXT_CHARS` unless the user said how many, with a note where that leaves some of the text out.
        Raises :class:`TextError` where the model is not a run."""
        from charlstm.insight.sample import TEXT_CHARS
        from charlstm.runs.own_text import OwnText, text_for_cells

        most = self.max_chars or TEXT_CHARS
        if self.text:
            corpus = self._open(model.text_options, None)
            if self.max_chars is None and corpus.chars > most:
                output.print_note(
                    f"Only the first {most:,} of {corpus.chars:,} characters are read: --max-chars changes that"
                )
            return OwnText(corpus.text(0, most), corpus.chars, visible(corpus.name, keep=""))
        run = run_of(self.model)
        if run is None:
            raise TextError(f"Give a TEXT to measure {self.model} on: it is not a run, so it has no text of its own")
        if self.encoding is not None:
            raise click.UsageError("--encoding needs a TEXT: a run's own text is read as it was for training")
        return text_for_cells(run, most)

    def _open(self, own: TextOptions, max_chars: int | None) -> Corpus:
        with usage_errors():
            options = own.for_another_text(self.encoding, max_chars)
        return load_corpus(self.text, options)


def model_and_text_options(command: F) -> F:
    """Add the options of commands that read a text with a model. The command receives them, and the arguments MODEL and
    TEXT, as one argument, ``given: ModelAndText``."""

    @functools.wraps(command)
    def gather(*args: Any, **values: Any) -> Any:
        given = ModelAndText(**{each.name: values.pop(each.name) for each in fields(ModelAndText)})
        return command(*args, given=given, **values)

    result: Any = gather
    for option in (common_options, max_chars_option, encoding_option, snapshot_option):
        result = option(result)
    return cast(F, result)


AS_IS: dict[str, Any] = {"lines": "keep", "strip_boilerplate": False}
"""The text options that --as-is sets."""


TEXT_OPTIONS = "charlstm.text_options"
"""What the text options that a command was given are called in click's context of it."""


def _keep_text_option(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE:
        context.meta.setdefault(TEXT_OPTIONS, {})[parameter.name] = value


def text_options(command: F) -> F:
    """Add the options for reading a text: see :func:`given_text_options`."""
    kept: dict[str, Any] = {"expose_value": False, "callback": _keep_text_option}
    as_is = "Read the text as it is: --lines keep --no-strip-boilerplate."
    command = click.option("--as-is", is_flag=True, help=as_is, **kept)(command)
    for name, each in reversed(_TEXT.items()):
        command = setting_option(replace(each, default=getattr(USUAL, name)), **kept)(command)
    return command


def given_text_options(usual: TextOptions = USUAL) -> TextOptions:
    """The text options that the current command was given, and the ``usual`` ones for the others."""
    given = dict(click.get_current_context().meta.get(TEXT_OPTIONS, {}))
    if given.pop("as_is", False):
        refuse_unused("--as-is", *AS_IS)
        given |= AS_IS
    if given.get("units") is not None:
        given.setdefault("lines", "keep")
    with usage_errors():
        return replace(usual, **given)


def refuse_unused(option: str, *names: str) -> None:
    """Raise :class:`click.UsageError` if the current command was given one of the options ``names``, by the names of
    its parameters, on which the result does not depend with ``option``."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        is_absent = context.params.get(name) == ()  # with click 8.2, an argument that is absent is given too
        if name in names and given and not is_absent:
            raise click.UsageError(f"{parameter.opts[0]} has no effect with {option}: remove one of them")


def refuse_all_but(option: str, *names: str) -> None:
    """As :func:`refuse_unused`, for all options but ``option``, whose parameter is the first of ``names``, and those
    of the others."""
    others = {each.name or "" for each in click.get_current_context().command.params} - {*names}
    refuse_unused(option, *others)


def load_corpus(sources: Sequence[str], options: TextOptions, validation: Sequence[str] = ()) -> Corpus:
    """Open a text, and the text to validate on if there is a separate one, with a progress bar on a terminal.

    Prints a note about files that could not be read.
    """
    from charlstm.text.corpus import open_corpus

    with TerminalLine() as bar:
        corpus = open_corpus(list(sources), options, validation=list(validation) or None, progress=bar.update)
    if count := len(corpus.skipped):
        names = ", ".join(corpus.skipped[:3]) + ", …" * (count > 3)
        output.print_note(
            f"Left out of {corpus.name}, since they could not be read, {count:,} files or folders: {names}"
        )
    return corpus


def open_model(name: str, snapshot: int | None = None) -> Model:
    """Load the model of a run (or its ``snapshot`` after so many steps), a model file or ``demo``.

    Prints a note about a run whose best model is the network from before training.
    """
    from charlstm.model.file import load_model

    model = load_model(find_model(name, given_runs_dir(), snapshot=snapshot))
    if snapshot is None and is_untrained(model.info) and (run := run_of(name)) is not None:
        later = ": try again when it has learnt something" if run.status().alive else ""
        output.print_note(f"The model of {run.name} is still the one from before training and writes noise{later}")
    return model


def find_run(name: str) -> RunFolder:
    """The run with this name or folder."""
    return folder.find_run(name, given_runs_dir())


def find_runs(names: Sequence[str]) -> list[RunFolder]:
    """The runs with these names or folders, each once; the name of a sweep stands for all of its runs."""
    found: list[RunFolder] = []
    for name in names:
        try:
            found.append(find_run(name))
        except RunError:
            if not (of_sweep := sweep_runs(name, given_runs_dir())):
                raise
            found += of_sweep
    return list({run.path.resolve(): run for run in found}.values())


def run_of(model: str) -> RunFolder | None:
    """The run that MODEL names; None for a file and for the model that comes with charlstm."""
    if model == "demo" or model.endswith(".safetensors"):
        return None
    return find_run(model)


def check_page_file(name: str | None, model: str, text: Sequence[str] = ()) -> None:
    """Raise before the work what :func:`write_page` would raise after it, and if the file is one of the text, or of the
    text of the run MODEL without one: a text may be a web page, too."""
    output.check_output_file(name, ".html")
    if name is None or not os.path.exists(name):
        return
    run = run_of(model)
    named = text or (() if run is None else [*run.spec().corpus.get("sources", ()), *run.spec().validation_sources])
    for each in named:
        with contextlib.suppress(TextError):  # it is gone
            found = sources.resolve(each, TextOptions())
            user_files.refuse_sources(name, (item.path for item in found.items if item.path is not None))


def models_of_run(model: str, most: int = MOST_MODELS) -> list[tuple[int, Path]]:
    """The models of the run MODEL with their steps: its snapshots, and the best model; up to ``most`` of them."""
    run = run_of(model)
    if run is None:
        raise RunError(f"{model} is not a run, so it has no snapshots: give the name of a run")
    return models.models_of_run(run, most)


@contextlib.contextmanager
def usage_errors() -> Iterator[None]:
    """What is refused inside the block stands on the command line, so it is a usage error, whichever class it has."""
    try:
        yield
    except CharLSTMError as error:
        raise click.UsageError(str(error)) from None
