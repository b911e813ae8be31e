"""The command ``config``: write a configuration file."""

from __future__ import annotations

from pathlib import Path

import click

from charlstm import user_files
from charlstm.cli import options, output
from charlstm.config import example_config
from charlstm.errors import CharLSTMError
from charlstm.paths import config_path


@click.command()
@click.argument("action", type=click.Choice(["init"]))
@click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write.  [default: $CHARLSTM_CONFIG, or config.toml in your folder of configurations]",
)
@options.json_option
def config(action: str, path: Path | None) -> None:
    """Write a configuration file with every entry commented out. Prints its path.

    An existing file is never changed. `charlstm doctor` shows which file is read, the entries, and the mistakes in
    them.

    With --json: {"path", "exists"}.
    """
    path = (path or config_path()).absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # FileExistsError: the parent is a file
        reason = "it is not a folder" if isinstance(error, FileExistsError) else error.strerror
        raise CharLSTMError(f"The folder {path.parent} cannot be created ({reason}): choose another folder") from None
    try:
        user_files.save_text(path, example_config(), overwrite=False)
    except FileExistsError:
        raise CharLSTMError(f"{path} exists already: edit it, or remove it first") from None
    output.print_result({"path": str(path), "exists": True}, str(path))
