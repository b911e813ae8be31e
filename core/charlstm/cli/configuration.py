"""The command ``config``: where the configuration is, what it says, and whether it is right."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from charlstm import user_files
from charlstm.cli.json_schemas import ConfigCheck, ConfigPath, ConfigValues
from charlstm.cli.options import json_option
from charlstm.cli.output import print_note, print_result
from charlstm.config import example_config, load_config, written
from charlstm.errors import CharLSTMError, ExitCode, SettingsError
from charlstm.paths import config_path
from charlstm.toml_files import read_toml
from charlstm.training.presets import preset_table

config_option = click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A configuration file.  [default: $CHARLSTM_CONFIG, or config.toml in your folder of configurations]",
)


@click.group(invoke_without_command=True)
@click.pass_context
def config(context: click.Context) -> None:
    """Show, create or check the configuration of the app, a TOML file that the program never changes."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@config.command("path")
@json_option
def path_() -> None:
    """Show where the configuration is read from.

    With --json: {"path", "exists"}.
    """
    place = config_path()
    result: ConfigPath = {"path": str(place), "exists": place.exists()}
    print_result(result, str(place))


@config.command()
@config_option
@json_option
def show(path: Path | None) -> None:
    """Show every entry with the value that is used. Exit code 1 when the file of --config cannot be read.

    With --json: the entries by name.
    """
    if path is not None:
        try:
            read_toml(path)
        except SettingsError as error:  # the app starts with the defaults, but they are not what was asked for
            raise CharLSTMError(str(error)) from None
    loaded, problems = load_config(path)
    for problem in problems:
        print_note(problem)
    keys = {action: list(keys) for action, keys in loaded.keys.items()}
    presets = {each.name: {"preset": each.base, **dict(each.changes)} for each in loaded.presets}
    result = cast(ConfigValues, {**loaded.values, "keys": keys, "presets": presets})
    lines = [f"{name} = {written(value)}" for name, value in loaded.values.items()]
    lines += ["", "[keys]", *(f"{written(action)} = {written(tuple(each))}" for action, each in keys.items())]
    for own in loaded.presets:
        lines += ["", preset_table(own.name, own.base, dict(own.changes))]
    print_result(result, "\n".join(lines))


@config.command(short_help="Write a configuration file with every entry commented out.")
@config_option
@json_option
def init(path: Path | None) -> None:
    """Write a configuration file with every entry commented out. Prints its path.

    An existing file is never changed.

    With --json: {"path", "exists"}.
    """
    place = (path or config_path()).absolute()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # FileExistsError: the parent is a file
        reason = "it is not a folder" if isinstance(error, FileExistsError) else error.strerror
        raise CharLSTMError(f"The folder {place.parent} cannot be created ({reason}): choose another place") from None
    try:
        user_files.save_text(place, example_config(), overwrite=False)
    except FileExistsError:
        raise CharLSTMError(f"{place} exists already: edit it, or remove it first") from None
    result: ConfigPath = {"path": str(place), "exists": True}
    print_result(result, str(place))


@config.command(short_help="Check the configuration.")
@config_option
@json_option
def check(path: Path | None) -> None:
    """Check the configuration: a sentence with file and line for each wrong entry. Exit code 1 when there is one.

    Names of themes and actions are checked by the app when it starts.

    With --json: {"path", "exists", "problems"}.
    """
    place = (path or config_path()).absolute()
    _, problems = load_config(path)
    result: ConfigCheck = {"path": str(place), "exists": place.exists(), "problems": list(problems)}
    right = "The configuration is right. Names of themes and the actions of [keys] are checked when the app starts."
    none = f"There is no configuration {place}, so everything has its default; `charlstm config init` writes one."
    print_result(result, "\n".join(problems) or (right if result["exists"] else none))
    if problems:
        raise click.exceptions.Exit(ExitCode.FAILED)
