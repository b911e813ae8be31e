"""Options and arguments that several commands share, with their shell completion."""

from __future__ import annotations

import contextlib
import functools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from charlstm.cli.output import print_note
from charlstm.display import plural, visible
from charlstm.errors import CharLSTMError, RunError, TextError
from charlstm.line import TerminalLine
from charlstm.runs.models import MOST_MODELS
from charlstm.setting_fields import SettingField, setting_fields
from charlstm.text.encoding import check_encoding
from charlstm.text.reading import USUAL, TextOptions

if TYPE_CHECKING:
    from charlstm.model.file import Model
    from charlstm.runs.folder import Run
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


def setting_option(each: SettingField) -> Callable[[F], F]:
    """The option of a setting as it is declared. Its class checks the value, and knows what the default is."""
    names = (each.option_name, each.name)
    default: dict[str, Any] = {} if each.default is None else {"default": each.default}
    shown = {**default, "show_default": bool(each.default)}
    if each.kind is bool:
        both = f"{each.option_name}/--no-{each.option_name.removeprefix('--')}"
        return click.option(both, each.name, help=each.help, **shown)
    if each.words:
        return click.option(*names, type=click.Choice(each.words), help=each.help, **shown)
    if each.kind is str:
        return click.option(*names, metavar=each.metavar or "TEXT", help=each.help, **shown)
    if each.kind is int:
        return integer_option(*names, help=each.help, **default)
    return number_option(*names, metavar=each.metavar or "X", help=each.help, **default)


class _Number(click.FloatRange):
    """Numbers in a range. ``nan`` is none, although it is not outside of any range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


def run_name(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    """A name for a run, which is checked before anything else happens."""
    from charlstm.runs.names import check_name

    with usage_errors():
        return None if name is None else check_name(name)


def complete_run(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Names of runs that begin with ``start``."""
    from charlstm.runs.folder import list_runs
    from charlstm.runs.names import composed

    runs = list_runs(context.params.get("runs_dir"))
    start = composed(start)
    # bash does not quote what it completes: a name that another program made may be a command
    names = [run.name for run in runs if re.fullmatch(r"[\w.,+@:-]+", run.name)]
    return [CompletionItem(name) for name in names if composed(name).startswith(start)]


def complete_model(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Names of runs, or files if no run matches."""
    return complete_run(context, parameter, start) or [CompletionItem(start, type="file")]


def complete_text(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Names of built-in and fetched texts, or files if none matches."""
    from charlstm.text.builtin import builtins
    from charlstm.text.remote import configured_catalogue

    fetched = [name for name, text in configured_catalogue().items() if text.is_here]
    names = [*(each.name for each in builtins()), *fetched]
    found = [CompletionItem(name) for name in names if start and name.startswith(start)]
    return found or [CompletionItem(start, type="file")]


def complete_remote(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Names of texts that can be fetched."""
    from charlstm.text.remote import configured_catalogue

    return [CompletionItem(name) for name in configured_catalogue() if name.startswith(start)]


def complete_setting(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """KEY= for every setting that begins with ``start``; after KEY=, the values, where they can be listed."""
    from charlstm.training.settings import Settings

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
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout; errors as JSON to stderr.")


_TEXT = setting_fields(TextOptions)


def _checked_encoding(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    with usage_errors():
        return None if name is None else check_encoding(name)


encoding_option = click.option(
    "--encoding",
    metavar="NAME",
    callback=_checked_encoding,
    help=_TEXT["encoding"].help,
)
max_chars_option = integer_option("--max-chars", minimum=1, help=_TEXT["max_chars"].help)
settings_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=complete_setting,
    help="Change any setting; may be repeated. `charlstm presets --settings` lists them.",
)


def _to_folder(context: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    """The folder that was given. An empty name is an error: it is usually a shell variable that is not set."""
    if value == "":
        raise click.BadParameter("the name is empty: give a folder, such as . for the current one")
    return None if value is None else Path(value)


runs_dir_option = click.option(
    "--runs-dir",
    metavar="FOLDER",
    type=click.Path(),
    callback=_to_folder,
    help="Folder of the runs.  [default: $CHARLSTM_RUNS, ./checkpoints if it exists, or your data folder]",
)


clamp_option = click.option(
    "--clamp",
    "clamps",
    multiple=True,
    metavar="L:C=X",
    help="Hold cell C of layer L at X, or scale it by X with L:C*X; may be repeated.",
)


def snapshot_option_to(use: str) -> Callable[[F], F]:
    """The option --snapshot of a command, which is to ``use`` that model."""
    return integer_option("--snapshot", minimum=0, help=f"{use} the model of the run after N steps.")


snapshot_option = snapshot_option_to("Use")


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


MAX_CHARS_ADVICE = ": --max-chars changes that"


@dataclass(frozen=True, slots=True)
class ModelAndText:
    """What a command got that reads a text with a model."""

    model: str
    text: tuple[str, ...]
    snapshot: int | None
    encoding: str | None
    max_chars: int | None
    runs_dir: Path | None

    def open_model(self) -> Model:
        """Load the model: see :func:`open_model`."""
        return open_model(self.model, self.runs_dir, self.snapshot)

    @property
    def run(self) -> Run | None:
        """The run that the model belongs to, if there is one: see :func:`run_of`."""
        return run_of(self.model, self.runs_dir)

    def models_of_run(self, most: int = MOST_MODELS) -> list[tuple[int, Path]]:
        """The models of the run: see :func:`models_of_run`."""
        return models_of_run(self.model, self.runs_dir, most)

    def open_text(self, model: Model) -> Corpus:
        """Open the text with the options that ``model`` was trained with, except those that concern only its own
        text."""
        return self._open(model, self.max_chars)

    def own_or_start_of_text(
        self,
        model: Model,
        own: Callable[[Run, int | None], OwnText],
        usual: int | None = None,
        advice: str = MAX_CHARS_ADVICE,
    ) -> tuple[str, str]:
        """The text as :meth:`start_of_text` gives it, or without one that of the run which ``own`` gives, as long.
        Raises :class:`TextError` where the model is not a run."""
        if self.text:
            return self.start_of_text(model, usual, advice)
        run = self.run
        if run is None:
            raise TextError(f"Give a TEXT to measure {self.model} on: it is not a run, so it has no text of its own")
        if self.encoding is not None:
            raise click.UsageError("--encoding needs a TEXT: a run's own text is read as it was for training")
        found = own(run, self.max_chars or usual)
        return found.text, found.words

    def start_of_text(self, model: Model, usual: int | None = None, advice: str = MAX_CHARS_ADVICE) -> tuple[str, str]:
        """The first characters of the text, ``usual`` ones unless the user said how many; and what they are in words.
        Where some are left out, that is noted with ``advice``."""
        corpus = self._open(model, None)
        count = usual if self.max_chars is None else self.max_chars
        name = visible(corpus.name, keep="")
        if count is None or corpus.chars <= count:
            return corpus.text(), f"{plural(corpus.chars, 'character')} of {name}"
        if self.max_chars is None:
            print_note(f"Only the first {count:,} of {corpus.chars:,} characters are read{advice}")
        return corpus.text(0, count), f"the first {count:,} of {corpus.chars:,} characters of {name}"

    def _open(self, model: Model, max_chars: int | None) -> Corpus:
        return load_corpus(self.text, model.text_options.for_another_text(self.encoding, max_chars))


def model_and_text_options(command: F) -> F:
    """Add the options of commands that read a text with a model. The command receives them, and the arguments MODEL and
    TEXT, as one argument, ``given: ModelAndText``."""

    @functools.wraps(command)
    def gather(*args: Any, **values: Any) -> Any:
        given = ModelAndText(**{each.name: values.pop(each.name) for each in fields(ModelAndText)})
        return command(*args, given=given, **values)

    result: Any = gather
    for option in (runs_dir_option, json_option, max_chars_option, encoding_option, snapshot_option):
        result = option(result)
    return cast(F, result)


AS_IS: dict[str, Any] = {"lines": "keep", "strip_boilerplate": False}
"""The text options that --as-is sets."""


def text_options(command: F) -> F:
    """Add options for reading a text; the command receives them as one argument, ``options: TextOptions``."""

    @functools.wraps(command)
    def gather(*args: Any, as_is: bool, **values: Any) -> Any:
        given = {name: values.pop(name) for name in _TEXT}
        if as_is:
            refuse_unused("--as-is", *AS_IS)
            given |= AS_IS
        given |= _lines_for(given["units"])
        with usage_errors():
            options = TextOptions(**given)
        return command(*args, options=options, **values)

    result: Any = gather
    usual = [replace(each, default=getattr(USUAL, name)) for name, each in _TEXT.items()]
    as_is = click.option("--as-is", is_flag=True, help="Read the text as it is: --lines keep --no-strip-boilerplate.")
    for option in (as_is, *map(setting_option, reversed(usual))):
        result = option(result)
    return cast(F, result)


def _lines_for(units: str | None) -> dict[str, Any]:
    """The text options that follow from ``units``, unless the current command was given others."""
    given = click.get_current_context().get_parameter_source("lines") is ParameterSource.COMMANDLINE
    return {} if units is None or given else {"lines": "keep"}


def text_options_over(base: TextOptions) -> TextOptions:
    """``base`` with the text options that the current command was given."""
    context = click.get_current_context()
    given = {
        name: context.params[name]
        for name in _TEXT
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    given |= AS_IS if context.params["as_is"] else {}
    return replace(base, **given | _lines_for(given.get("units")))


def refuse_unused(option: str, *names: str) -> None:
    """Raise :class:`click.UsageError` if the current command was given one of the options ``names``, by the names of
    its parameters, on which the result does not depend with ``option``."""
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if parameter.name in names and given:
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
        entries = "1 file or folder" if count == 1 else f"{count:,} files or folders"
        print_note(
            f"{entries} of {corpus.name} could not be read and {'is' if count == 1 else 'are'} left out: {names}"
        )
    return corpus


def open_model(name: str, runs_dir: Path | None, snapshot: int | None = None) -> Model:
    """Load the model of a run (or its ``snapshot`` after so many steps), a model file or ``demo``.

    Prints a note about a run whose best model is the network from before training.
    """
    from charlstm.model.file import load_model
    from charlstm.runs.models import find_model
    from charlstm.runs.playable import is_untrained

    model = load_model(find_model(name, runs_dir, snapshot=snapshot))
    if snapshot is None and is_untrained(model.info) and (run := run_of(name, runs_dir)) is not None:
        later = ": try again when it has learnt something" if run.status().alive else ""
        print_note(f"The model of {run.name} is still the one from before training and writes noise{later}")
    return model


def find_run(name: str, runs_dir: Path | None) -> Run:
    """The run with this name or folder."""
    from charlstm.runs import folder

    return folder.find_run(name, folder.runs_dir(runs_dir))


def run_of(model: str, runs_dir: Path | None) -> Run | None:
    """The run that MODEL names; None for a file and for the model that comes with charlstm."""
    if model == "demo" or model.endswith(".safetensors"):
        return None
    return find_run(model, runs_dir)


def models_of_run(model: str, runs_dir: Path | None, most: int = MOST_MODELS) -> list[tuple[int, Path]]:
    """The models of the run MODEL with their steps: its snapshots, and the best model; up to ``most`` of them."""
    from charlstm.runs import models

    run = run_of(model, runs_dir)
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
