"""`charlstm`: finds the command that was asked for, and turns what goes wrong into one sentence.

Commands live in modules by family and are imported only when they run, so that `charlstm generate` does not pay for
what `charlstm train` needs. stdout carries the result and nothing else; progress and remarks go to stderr. Exit
codes: 0 success, 2 something the user can put right, 130 interrupted, 141 nobody reads what it writes (`| head`).
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import sys
from importlib import metadata

import click

from charlstm.cli.streams import PIPE_CLOSED, PipeClosedError, QuietPipes, discard_unwritten, replace_closed
from charlstm.display import shell_command, shell_word
from charlstm.errors import Advice, CharLSTMError

_COMMANDS = {
    "corpora": ("texts", "The texts at hand"),
    "stats": ("texts", "What a text is made of, and how hard it is to predict"),
    "presets": ("training", "The presets, all settings, and what they would cost here"),
    "train": ("training", "Train on a text"),
    "resume": ("training", "Go on with a run from its last checkpoint"),
    "runs": ("runs", "List the runs"),
    "watch": ("runs", "Follow a run until it ends"),
    "control": ("runs", "Pause, go on, stop, finish, checkpoint or change the rate of a run"),
    "rename": ("runs", "Give a run another name"),
    "delete": ("runs", "Delete a run"),
    "generate": ("generate", "Let a model write"),
    "play": ("play", "Write together with a model, line by line"),
    "eval": ("evaluate", "How well a model predicts a text"),
    "score": ("evaluate", "How surprised a model is by each character of a text"),
    "novelty": ("evaluate", "What of a text is copied word for word, and from where"),
    "info": ("models", "What a model is and where it comes from"),
    "import": ("models", "Use a checkpoint of the reference script"),
    "export": ("models", "Write a model for the reference script, or as ONNX"),
    "paths": ("texts", "Where things are kept"),
    "cache": ("texts", "Show or remove the prepared texts"),
}
"""Each command: the module of this package that defines it, and its line in the list. Kept here so that `--help`
imports nothing."""


class _LazyGroup(QuietPipes, click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"charlstm.cli.{_COMMANDS[cmd_name][0]}")
        # two are called as Python's own words are
        name = f"{cmd_name}_" if cmd_name in ("eval", "import") else cmd_name
        command: click.Command = getattr(module, name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
        if args[0] not in _COMMANDS and near:
            ctx.fail(f"There is no command {args[0]!r}: did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
    epilog="""\b
    Start here:
      charlstm train python-reference --preset quick
      charlstm generate RUN --prime 'The '

    The full-screen app is charlstm-tui.""",
)
@click.version_option(metadata.version("charlstm-tui"), prog_name="charlstm", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Train a character-level LSTM on any text, watch it learn, and let it write."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    replace_closed()
    if "_CHARLSTM_COMPLETE" in os.environ:
        from charlstm.cli.completion import register

        register()
    code = run(argv)
    discard_unwritten()
    sys.exit(code)


def run(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        # a text may hold what a terminal's encoding has no sign for, or come in another; that must not end the command
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        code = cli.main(args=argv, prog_name="charlstm", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.UsageError as error:
        words = error.ctx.command_path if error.ctx else "charlstm"
        sentence = " ".join(error.format_message().split()).rstrip(".?")  # click lists choices line by line
        return _refuse(f"{sentence}; see {words} --help")
    except click.ClickException as error:
        return _refuse(error.format_message())
    except CharLSTMError as error:
        return _refuse(f"{error}{_how(error)}")
    except (KeyboardInterrupt, click.Abort):
        return _end("Interrupted", 130)
    except (PipeClosedError, BrokenPipeError):
        return PIPE_CLOSED
    except MemoryError:
        return _refuse("This machine has not the memory for so much: ask for less at once")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{where}{error.strerror or error}")


def _how(error: CharLSTMError) -> str:
    """The commands that solve the problem, in brackets; nothing for an error that has no advice."""
    found = [_command(advice) for advice in error.advice]
    return f" ({', or '.join(found)})" if found else ""


def _command(advice: Advice) -> str:
    match advice.action:
        case "train":
            return "`charlstm train TEXT`"
        case "resume":
            option = f" --{advice.setting.replace('_', '-')} …" if advice.setting else ""
            return f"`{shell_command('resume', advice.target)}{option}`"
        case "stop":
            return f"`{shell_command('control', advice.target, 'stop')}`"
        case "watch" | "import" | "generate":
            return f"`{shell_command(advice.action, advice.target)}`"
        case "use_folder":
            return f"such as {shell_word(advice.target)}"
        case "choose_runs_dir":
            return "`--runs-dir FOLDER`"


def _refuse(sentence: str) -> int:
    if _current_folder_is_gone():  # whatever it was, this is why, or will be next
        sentence = f"The current folder was deleted: go to another one with cd ({sentence})"
    return _end(f"charlstm: {sentence}", 2)


def _current_folder_is_gone() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _end(words: str, code: int) -> int:
    with contextlib.suppress(OSError):  # of a closed stderr: the code says it too
        click.echo(words, err=True)
    return code


if __name__ == "__main__":
    main()
