"""The command ``charlstm-tui``: read the arguments, refuse what is not a terminal, open the app.

Textual and the app, 0.3 s, are imported after the arguments were checked, so that ``--help`` and mistakes answer at
once.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from pathlib import Path

import click

from charlstm.cli.streams import PIPE_CLOSED, PipeClosedError, QuietPipes, discard_unwritten, replace_closed
from charlstm.config import load_config
from charlstm.errors import CharLSTMError, ExitCode
from charlstm.storage import open_file
from charlstm_tui import process
from charlstm_tui.app_state import load_state
from charlstm_tui.error_log import log_to, log_uncaught
from charlstm_tui.terminal_background import ask_background
from charlstm_tui.web.address import Address, parse_address

process.set_frame_rate()  # before anything imports Textual


@click.command(name="charlstm-tui", cls=QuietPipes, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("text", required=False, metavar="[TEXT]")
@click.option("--run", "run", metavar="RUN", help="Open this run in Train, live or finished.")
@click.option(
    "--model", metavar="MODEL", help="Play this model: a run, a .safetensors file, or demo; or a saved session."
)
@click.option(
    "--runs-dir",
    metavar="FOLDER",
    type=click.Path(file_okay=False),
    help="Folder of the runs.  [default: $CHARLSTM_RUNS, ./checkpoints if it exists, or your data folder]",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A configuration file.  [default: $CHARLSTM_CONFIG, or config.toml in your folder of configurations]",
)
@click.option(
    "--log",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write to this file what the app does, and the tracebacks of errors.",
)
@click.option(
    "--serve",
    is_flag=False,
    flag_value=str(Address()),
    metavar="[HOST:PORT]",
    help=f"Serve the app to browsers instead, at {Address()} unless told otherwise. Needs the package textual-serve.",
)
@click.option("--keys", is_flag=True, help="Print the keys of all actions, to be pasted into the configuration.")
@click.version_option(package_name="charlstm-tui", prog_name="charlstm-tui", message="%(prog)s %(version)s")
def command(
    text: str | None,
    run: str | None,
    model: str | None,
    runs_dir: str | None,
    config: Path | None,
    log: Path | None,
    serve: str | None,
    keys: bool,
) -> int:
    """Train a character-level LSTM on any text, follow the training, and generate text with it.

    TEXT is a file, a folder of texts, or a built-in text such as python-reference; a saved session (.json) is continued
    instead. Without arguments the app opens where you left off: at the run that is training, else at the text or
    the run that you worked on last, else at the texts to choose from.
    """
    if keys:
        from charlstm_tui.keymap import written_keys  # which imports Textual

        click.echo(written_keys())
        return 0
    if serve is None and not (os.environ.get("TEXTUAL_DRIVER") or (sys.stdin.isatty() and sys.stderr.isatty())):
        raise click.ClickException("it needs a terminal to draw on; without one, use the command `charlstm`")
    try:
        os.getcwd()
    except FileNotFoundError:
        raise click.ClickException("the current folder was deleted: go to another one with cd") from None
    for name, value in (("TEXT", text), ("--runs-dir", runs_dir)):
        if value == "":
            raise click.UsageError(f"{name} is empty: name a folder, such as . for the current one")
    if text == "demo" and not os.path.exists(text):
        raise click.ClickException("there is no text named demo; charlstm-tui --model demo plays the model in the box")
    if serve is not None:
        options = {"--run": run, "--model": model, "--runs-dir": runs_dir, "--config": config, "--log": log}
        given = [f"{name}={value}" for name, value in options.items() if value is not None]
        _serve(serve, [*given, *(["--", text] if text is not None else [])])
        return 0
    session = next((Path(value) for value in (text, model) if value is not None and is_session(value)), None)
    if log is not None:
        try:
            log_to(log)
        except OSError as error:
            raise click.ClickException(f"the log {log} cannot be written: {error.strerror}") from None
    log_uncaught()
    if config is not None:  # for the commands that the app starts, its presets, and `on_end`
        os.environ["CHARLSTM_CONFIG"] = str(config.absolute())
    question = None if load_config(config)[0].theme or load_state().theme else ask_background()
    try:
        from charlstm_tui.app import CharLSTMApp  # which takes longer than an answer
        from charlstm_tui.choices import StartOptions
        from charlstm_tui.terminal import tolerate_invalid_input
    finally:
        background = None if question is None else question.answer()
    tolerate_invalid_input(question)
    for stream in (sys.__stderr__, sys.__stdout__):
        if isinstance(stream, io.TextIOWrapper):  # terminals know UTF-8, whatever an old locale says
            stream.reconfigure(encoding="utf-8", errors="replace")
    if not os.environ.get("TEXTUAL_DRIVER"):
        for name in ("COLUMNS", "LINES"):  # a size that a shell once exported would hide every change of the real one
            os.environ.pop(name, None)  # a web driver has no other way to tell the size that it starts with
    app = CharLSTMApp(
        StartOptions(
            text=text,
            run=run,
            model=model,
            runs_dir=None if runs_dir is None else Path(runs_dir),
            session=session,
            config=config,
        )
    )
    if background is not None:
        app.suit_background(background)
    app.run(mouse=app.config.mouse)
    for finish in app.unfinished:
        click.echo("Saving the session …", err=True)
        try:
            app.add_farewell(finish())
        except KeyboardInterrupt:
            app.add_farewell("Stopped saving: what was not in its file yet is lost.")
    if app.farewell:
        click.echo(app.farewell, err=True)
    return app.return_code or 0


def is_session(name: str) -> bool:
    """Whether this is the name of a saved session."""
    if not name.endswith(".json"):
        return False
    try:
        with open_file(Path(name)) as file:
            return b'"kind": "charlstm session"' in file.read(100)
    except (OSError, ValueError):
        return False


def _serve(written: str, arguments: list[str]) -> None:
    """Serve the app with these arguments to browsers, until it is ended."""
    if "/" in written or os.path.exists(written):
        raise click.UsageError(
            f"--serve takes HOST:PORT, and {written} is none; name the text first: charlstm-tui {written} --serve"
        )
    try:
        from charlstm_tui.web.server import serve  # an optional package, and 0.3 s
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("aiohttp", "textual_serve"):
            raise
        raise click.ClickException(
            "--serve needs the package textual-serve, which is not installed: pip install textual-serve"
        ) from None
    try:
        address = parse_address(written)
    except CharLSTMError as error:
        raise click.UsageError(str(error)) from None
    command = shlex.join([sys.executable, "-P", "-m", "charlstm_tui", *arguments])
    try:
        serve(address, command, lambda line: click.echo(line, err=True))
    except CharLSTMError as error:
        raise click.ClickException(str(error)) from None


def main() -> None:
    """Run the app with the arguments of this process, and exit with its code."""
    replace_closed()
    code = run()
    discard_unwritten()
    process.exit_now(code)


def run(argv: list[str] | None = None) -> int:
    """Run the app and return its exit code. What is wrong with the arguments is said in one sentence."""
    try:
        code = command.main(args=argv, prog_name="charlstm-tui", standalone_mode=False)
    except click.UsageError as error:
        code = _refuse(f"{error.format_message().rstrip('.')}; see charlstm-tui --help", ExitCode.WRONG_USAGE)
    except click.ClickException as error:
        code = _refuse(error.format_message(), ExitCode.FAILED)
    except PipeClosedError:
        code = PIPE_CLOSED
    return code if isinstance(code, int) else 0


def _refuse(sentence: str, code: ExitCode) -> int:
    with contextlib.suppress(OSError):  # of a closed stderr: the code says it too
        click.echo(f"charlstm-tui: {sentence}", err=True)
    return code
