"""The command `charlstm`: finds the command to run, and prints errors.

The commands are in modules by topic, which are imported only when one of their commands runs, so that `charlstm
generate` does not import what `charlstm train` needs.

stdout carries the result and nothing else; progress, notes and errors go to stderr. The exit code is one of
``errors.ExitCode``, or 141 when the reader of a stream has ended (`| head`).

With --json an error is one line of JSON with ``kind`` and ``message``, the last line on stderr. It is not on stdout, so
that a script which reads the result never takes an error for one: ``gh``, ``kubectl`` and ``ruff`` keep stdout for
results in the same way.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import itertools
import sys
from collections.abc import Sequence

import click

from charlstm.cli.streams import PIPE_CLOSED, PipeClosedError, QuietPipes, discard_unwritten, replace_closed
from charlstm.display import shell_command, shell_word
from charlstm.errors import (
    Advice,
    CharLSTMError,
    DivergedError,
    ExitCode,
    GenerationError,
    ModelError,
    RunError,
    SettingsError,
    TextError,
    is_out_of_memory,
)
from charlstm.system import own_process

_COMMANDS = {
    "corpora": ("texts", "List the texts here and in ./data, and the built-in texts"),
    "fetch": ("texts", "Fetch a text of the catalogue, or list these"),
    "stats": ("texts", "Show statistics of a text, and how hard it is to predict"),
    "presets": ("training", "List the presets or all settings, or estimate what presets take"),
    "train": ("training", "Train on a text"),
    "resume": ("training", "Continue a run from its last checkpoint"),
    "queue": ("queue", "Train runs one after another"),
    "sweep": ("sweep", "Train with several settings, and find the best"),
    "lesson": ("runs", "Put the three small runs of the lesson into the folder of the runs"),
    "runs": ("runs", "List the runs"),
    "watch": ("runs", "Follow a run until it ends"),
    "control": ("runs", "Pause, stop, finish or lengthen a run, or set its rate"),
    "compare": ("runs", "Compare runs: results, differences, curves"),
    "log": ("runs", "Write the log of a run for TensorBoard, as CSV or as JSON"),
    "tag": ("notes", "Give a run tags, or remove them"),
    "note": ("notes", "Write a note on a run"),
    "rename": ("runs", "Rename a run"),
    "delete": ("runs", "Delete runs"),
    "prune": ("runs", "Remove what finished runs can do without"),
    "generate": ("generate", "Generate text with a model"),
    "eval": ("evaluate", "Measure how well a model predicts a text"),
    "score": ("evaluate", "Measure how surprising each character of a text is to a model"),
    "novelty": ("evaluate", "Find what a text copies word for word, and from where"),
    "cells": ("cells", "Find the cells of a model that follow features of a text"),
    "report": ("report", "Write a web page that explains a model"),
    "info": ("models", "Show the size, the origin and the loss of a model"),
    "import": ("models", "Convert a checkpoint of the reference script"),
    "export": ("models", "Write a model for the reference script, as ONNX, or to give away"),
    "config": ("configuration", "Write a configuration file"),
    "doctor": ("doctor", "Show machine, terminal and folders, and what is wrong with them"),
    "cache": ("texts", "Empty the cache of prepared texts"),
}
"""Commands with their module in this package and their line in `--help`, which thus imports no module."""

_KINDS: dict[type[BaseException], str] = {
    click.UsageError: "usage",
    TextError: "text",
    ModelError: "model",
    SettingsError: "settings",
    DivergedError: "diverged",
    RunError: "run",
    GenerationError: "generation",
    TimeoutError: "timeout",
    OSError: "system",
    KeyboardInterrupt: "interrupted",
    click.Abort: "interrupted",
    click.ClickException: "other",
    CharLSTMError: "other",
}
"""The kinds of errors that are told in a sentence; the first class that fits counts. Any other error, but a lack of
memory (of the kind ``memory``), is a mistake in the program."""

_CODES: dict[str, int] = {
    "usage": ExitCode.WRONG_USAGE,
    "settings": ExitCode.WRONG_USAGE,
    "diverged": ExitCode.DIVERGED,
    "interrupted": ExitCode.INTERRUPTED,
}
"""The exit codes of kinds of errors; of the others it is that of a failure."""


class _LazyGroup(QuietPipes, click.Group):
    """A group that imports the module of a command when the command is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"charlstm.cli.{_COMMANDS[cmd_name][0]}")
        # import is a keyword and eval a built-in function of Python
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

    The full-screen app is charlstm-tui.

    Exit codes: 0 done, 1 it could not be done, 2 wrong options, arguments or settings, 3 the
    training diverged, 130 Ctrl-C, 143 SIGTERM.""",
)
@click.version_option(package_name="charlstm-tui", prog_name="charlstm", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Train a character-level LSTM on any text, follow the training, and generate text with it."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    own_process()
    replace_closed()
    code = run(argv)
    discard_unwritten()
    sys.exit(code)


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        # texts may hold characters that the terminal's encoding lacks; these must not end the command
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        code = cli.main(args=words, prog_name="charlstm", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (PipeClosedError, BrokenPipeError):
        return PIPE_CLOSED
    except (Exception, KeyboardInterrupt) as error:
        if not isinstance(error, tuple(_KINDS)) and not is_out_of_memory(error):
            raise
        as_json = "--json" in itertools.takewhile(lambda word: word != "--", words)
        command = " ".join(["charlstm", *(word for word in words[:1] if word in _COMMANDS)])
        return _print_error(error, command, as_json=as_json)


def _print_error(error: BaseException, command: str, *, as_json: bool) -> int:
    """Print an error of ``command`` to stderr, as a sentence or as JSON; returns the exit code."""
    kind = next((kind for cls, kind in _KINDS.items() if isinstance(error, cls)), "other")
    if is_out_of_memory(error):
        kind = "memory"
    elif kind == "settings" and isinstance(error.__cause__, OSError):
        kind = "other"  # a file with settings could not be read, and no setting is wrong
    message = _message(error, command)
    with contextlib.suppress(OSError):  # stderr may be closed; the exit code still tells
        if as_json:
            from charlstm.cli.output import print_json, to_json

            print_json(to_json({"error": {"kind": kind, "message": message}}), err=True)
        elif kind == "interrupted":
            click.echo(message, err=True)
        else:
            click.echo(f"charlstm: {message}{_format_advice(error)}", err=True)
    interrupt = error.__cause__ if isinstance(error, click.Abort) else error  # click makes the one of the other
    if isinstance(interrupt, KeyboardInterrupt) and interrupt.args:  # a second signal, see system.StopSignals
        return ExitCode.of_signal(interrupt.args[0])
    return _CODES.get(kind, ExitCode.FAILED)


def _message(error: BaseException, command: str) -> str:
    """One sentence: the problem, and how to solve it."""
    match error:
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else command  # click has none where a value is missing
            sentence = " ".join(error.format_message().split()).rstrip(".?")  # click prints choices on several lines
            return f"{sentence}; see {command} --help"
        case click.ClickException():
            return error.format_message()
        case KeyboardInterrupt() | click.Abort():
            return "Interrupted"
        case _ if is_out_of_memory(error):
            return "There is not enough memory: use a smaller network or batch, or fewer or shorter texts at once"
        case FileNotFoundError() if not error.filename:  # of os.getcwd
            return "The current folder was deleted: change to another one with cd"
        case OSError():
            return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    return str(error)


def _format_advice(error: BaseException) -> str:
    """The shell commands that solve the problem, in brackets; empty for an error without advice."""
    commands = [_advised_command(advice) for advice in error.advice] if isinstance(error, CharLSTMError) else []
    return f" ({', or '.join(commands)})" if commands else ""


def _advised_command(advice: Advice) -> str:
    match advice.action:
        case "train":
            return "`charlstm train TEXT`"
        case "stop":
            return f"`{shell_command('control', advice.target, 'stop')}`"
        case "use_folder":
            return f"such as {shell_word(advice.target)}"
        case "choose_runs_dir":
            return "`--runs-dir FOLDER`"
    option = f" --{advice.setting.replace('_', '-')} …" if advice.setting else ""
    return f"`{shell_command(advice.action, advice.target)}{option}`"


if __name__ == "__main__":
    main()
