"""`charlstm`: finds the command that was asked for, and turns what goes wrong into one sentence.

Commands live in modules by family and are imported only when they run, so that `charlstm generate` does not pay for
what `charlstm train` needs. stdout carries the result and nothing else; progress and remarks go to stderr. Exit
codes: 0 success, 2 something the user can put right, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib import metadata

import click

from charlstm.errors import CharLSTMError

_COMMANDS = {
    "corpora": "texts",
    "stats": "texts",
    "cache": "texts",
    "paths": "texts",
    "presets": "training",
    "train": "training",
    "resume": "training",
    "runs": "runs",
    "watch": "runs",
    "control": "runs",
    "rename": "runs",
    "delete": "runs",
    "generate": "models",
    "eval": "models",
    "info": "models",
}
"""Each command and the module of this package that defines it; `eval` there is ``eval_``, the others are themselves."""


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"charlstm.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, "eval_" if cmd_name == "eval" else cmd_name)
        return command


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start here:  charlstm train python-reference --preset quick,  then  charlstm generate RUN --prime 'The '.  "
    "The full-screen app is charlstm-tui.",
)
@click.version_option(metadata.version("charlstm-tui"), prog_name="charlstm", message="%(prog)s %(version)s")
def cli() -> None:
    """Train a character-level LSTM on any text, watch it learn, and let it write."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(argv))


def run(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # a text may hold what a terminal's encoding has no sign for; that must not end the command
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        code = cli.main(args=argv, prog_name="charlstm", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.UsageError as error:
        words = error.ctx.command_path if error.ctx else "charlstm"
        return _refuse(f"{error.format_message().rstrip('.')}; see {words} --help")
    except click.ClickException as error:
        return _refuse(error.format_message())
    except CharLSTMError as error:
        return _refuse(str(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted", err=True)
        return 130
    except BrokenPipeError:
        # the reader (head, less) has seen enough; keep Python from complaining when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{where}{error.strerror or error}")


def _refuse(sentence: str) -> int:
    click.echo(f"charlstm: {sentence}", err=True)
    return 2


if __name__ == "__main__":
    main()
