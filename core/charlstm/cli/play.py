"""The command ``play``: write together with a model, line by line.

A line is text that the model continues, or a command that begins with a slash. Generated text goes to stdout, messages
about it to stderr. Nothing is drawn, so that it works with a screen reader, over a slow connection and in scripts.
"""

from __future__ import annotations

import cmd
import contextlib
import difflib
import inspect
import os
import re
import signal
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import click

from charlstm.cli.generate import UNTIL, safe_for_stdout, sampler_options, sampler_settings, unescaped, write_steps
from charlstm.cli.options import (
    MODEL_HELP,
    MOST_CHARS,
    integer_option,
    model_argument,
    open_model,
    runs_dir_option,
    seed_option,
    snapshot_option,
)
from charlstm.cli.output import as_read, print_note
from charlstm.display import plural, visible
from charlstm.errors import CharLSTMError, GenerationError
from charlstm.generation.export import save_as, target
from charlstm.generation.rows import Step
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.sampling import next_seed
from charlstm.generation.session import Session
from charlstm.generation.session_file import load_session
from charlstm.line import TerminalLine
from charlstm.model.file import Model
from charlstm.setting_fields import setting, setting_fields

PROMPT = "> "

CONTEXT = 60
"""Characters before the cursor that are shown after it was moved."""

Until = Literal["line", "paragraph"]


@dataclass(frozen=True, slots=True)
class PlaySettings:
    """The settings of a conversation besides those of the sampler."""

    length: int = setting(200, "most characters to generate at a time", low=1, high=MOST_CHARS)
    until: Until | None = setting(None, "stop earlier, after the line or the paragraph")
    seed: int = setting(0, "the same seed gives the same text", low=-(2**63), high=2**64 - 1)


SETTINGS = {
    **{
        each.option_name.removeprefix("--"): each
        for each in setting_fields(SamplerSettings).values()
        if each.option and not each.words
    },
    **setting_fields(PlaySettings),
}
"""Settings that have a command, by its name: those of the sampler that have an option, and those of the conversation.
"""


@click.command(epilog=f"{MODEL_HELP} /help lists the commands of the conversation.")
@model_argument
@integer_option("--length", minimum=1, maximum=MOST_CHARS, default=200, help="Most characters to generate at a time.")
@click.option("--until", type=click.Choice(list(UNTIL)), help="Stop earlier, after the line or the paragraph.")
@seed_option
@sampler_options
@snapshot_option
@runs_dir_option
def play(model: str, length: int, until: str | None, seed: int, snapshot: int | None, **sampler: Any) -> None:
    """Write together with MODEL line by line: you type a line, the model continues it.

    Reads and prints plain text, for a screen reader, a slow connection or a script. Lines can come from a pipe.
    """
    settings = sampler_settings(sampler)
    loaded = open_model(model, snapshot)
    loaded.check_computable()  # before the user types a line
    size = f"{loaded.config.num_layers} × {loaded.config.hidden_size} LSTM over {loaded.config.vocab_size:,} characters"
    print_note(
        f"{visible(model, keep='')}, a {size}. Type the beginning of a text; Enter alone continues it. "
        "/help lists the commands."
    )
    converse(Conversation(loaded, settings, PlaySettings(length, cast("Until | None", until), seed)))


class Conversation(cmd.Cmd):
    """Carries out the lines of a conversation on one session.

    ``do_back`` is the command /back, and its docstring is what /help prints. Lines come from :func:`converse` and not
    from ``cmdloop``, which would end at a typed "EOF" and print its prompt to stdout.
    """

    def __init__(self, model: Model, sampler: SamplerSettings, settings: PlaySettings) -> None:
        super().__init__()
        self._model, self._sampler, self._settings = model, sampler, settings
        self._session: Session | None = None
        self._last_start = 0  # position at which the last continuation began
        self._saved: set[Path] = set()  # files that this conversation may replace

    # -- lines ---------------------------------------------------------------------------------------------------

    def parseline(self, line: str) -> tuple[str | None, str | None, str]:
        """Split a line into command and argument. A line without a slash is text, and kept exactly as typed."""
        if not line.startswith("/"):
            return None, None, line
        word, _, argument = line[1:].partition(" ")
        return word, argument if word == "new" else argument.strip(), line

    def emptyline(self) -> bool:
        """Continue the text."""
        self._continue()
        return False

    def default(self, line: str) -> None:
        """Add text, or change a setting. Raises :class:`GenerationError` for an unknown command."""
        word, argument, _ = self.parseline(line)
        if word is None:
            self._add(unescaped(line))
        elif word in SETTINGS:
            self._set(word, argument or "")
        else:
            commands = [name.removeprefix("do_") for name in self.get_names() if name.startswith("do_")]
            near = difflib.get_close_matches(word, [*commands, *SETTINGS], n=1)
            hint = f"did you mean /{near[0]}?" if near else "/help lists the commands"
            raise GenerationError(f"There is no command /{visible(word, keep='')[:40]}; {hint}")

    # -- writing -------------------------------------------------------------------------------------------------

    def _begin(self, prime: str) -> Session:
        with TerminalLine() as bar:
            progress = bar.stage("reading the prime")
            session = Session(self._model, prime, seed=self._settings.seed, settings=self._sampler, progress=progress)
        self._session = session
        return session

    def _current(self) -> Session:
        """The session; a new one with an empty prime if there is none yet."""
        return self._begin("") if self._session is None else self._session

    def _add(self, text: str) -> None:
        """Add the user's text at the cursor, and let the model continue it."""
        text = as_read(self._model, text)
        if self._session is None:
            self._begin(text)
        else:
            self._session.type(text)
        self._continue(text)

    def _continue(self, start: str = "") -> None:
        """Generate from the cursor, and print ``start`` and what was generated."""
        session = self._current()
        self._last_start = session.position
        until = self._settings.until
        steps = session.stream(self._settings.length, stop=[] if until is None else [UNTIL[until]])
        with contextlib.closing(_until_interrupted(steps)) as steps:
            write_steps(start, steps)

    # -- commands ------------------------------------------------------------------------------------------------

    def do_again(self, argument: str) -> None:
        """Replace the last continuation by another one."""
        session = self._current()
        session.rewind(min(self._last_start, len(session)))
        session.seed = next_seed(session.seed)
        self._settings = replace(self._settings, seed=session.seed)
        self._continue()

    def do_back(self, argument: str) -> None:
        """N: move the cursor N characters back. What is written there becomes another branch; so does /again."""
        session = self._current()
        most, count = session.position, argument or "1"
        if not re.fullmatch("[0-9]{1,9}", count) or int(count) > most:
            raise GenerationError(f"/back takes a whole number up to {most}, the characters since the prime")
        session.rewind(most - int(count))
        self._last_start = session.position
        self._print_position()

    def do_text(self, argument: str) -> None:
        """Print the text from the beginning to the cursor."""
        session = self._current()
        click.echo(safe_for_stdout(session.prime + session.text))

    def do_new(self, argument: str) -> None:
        """TEXT: begin a new text, with TEXT if given."""
        self._session = None
        if argument:
            self._add(unescaped(argument))
        else:
            print_note("Type the beginning of a text")

    def do_settings(self, argument: str) -> None:
        """Show all settings. /temperature 0.7, /top-k 5, /min-p off, /until line and the like change them."""
        if self._sampler.kind == "reference":
            print_note("sampler reference")
        for word in SETTINGS:
            if self._has(word):
                self._set(word, "")

    def do_save(self, argument: str) -> None:
        """FILE: save the text (.txt, .md, .html) or the session with all branches (.json)."""
        if not argument:
            raise GenerationError("/save takes the name of a file: .json for the session, .txt, .md or .html for text")
        session = self._current()
        path = target(Path(os.path.expanduser(argument)))
        try:
            save_as(session, path, overwrite=path in self._saved)
        except FileExistsError:
            raise GenerationError(f"The file {path} already exists: choose another name") from None
        except OSError as error:
            raise GenerationError(f"{path} cannot be written: {error.strerror}") from None
        self._saved.add(path)
        after = len(session) - session.position
        more = f", with the {plural(after, 'character')} after the cursor" if after else ""
        print_note(f"Saved {path}{more}")

    def do_open(self, argument: str) -> None:
        """FILE: continue a session that was saved with /save FILE.json."""
        self._session = load_session(Path(os.path.expanduser(argument)), self._model)
        self._sampler = self._session.settings
        self._settings = replace(self._settings, seed=self._session.seed)
        self._last_start = self._session.position
        self._print_position()

    def do_help(self, argument: str) -> None:
        """List the commands."""
        print_note(
            "A line of text is added at the cursor, and the model continues it. \\n in it is a\n"
            "newline, \\\\ a backslash, and \\x2f at its beginning a slash. An empty line continues the text.\n"
            "Ctrl-C stops the generation, Ctrl-D or /quit ends the program."
        )
        for name in self.get_names():
            if name.startswith("do_"):
                print_note(f"  /{name.removeprefix('do_'):<13} {inspect.getdoc(getattr(self, name))}")
        print_note(f"  /{' /'.join(SETTINGS)}\n{'':17} X, or mostly off: change a setting; without X, show it")

    def do_quit(self, argument: str) -> bool:
        """End the program."""
        return True

    # -- settings and position -----------------------------------------------------------------------------------

    def _has(self, word: str) -> bool:
        """Whether the setting acts: of those of the sampler the reference has one."""
        return self._sampler.kind != "reference" or word == "top-k" or hasattr(self._settings, word)

    def _set(self, word: str, argument: str) -> None:
        """Change a setting from the next character on, and print it; without an argument only print it."""
        each = SETTINGS[word]
        if argument and not self._has(word):
            raise GenerationError("The reference sampler has only /top-k")
        if argument:
            changes: dict[str, Any] = {each.name: each.parse(argument, GenerationError)}
            if hasattr(self._settings, each.name):
                self._settings = replace(self._settings, **changes)
            else:
                self._sampler = replace(self._sampler, **changes)
            if self._session is not None:
                self._session.settings, self._session.seed = self._sampler, self._settings.seed
        value = getattr(self._settings if hasattr(self._settings, each.name) else self._sampler, each.name)
        print_note(f"{word} {each.write(value)}")

    def _print_position(self) -> None:
        session = self._current()
        before = (session.prime + session.text)[-CONTEXT:]
        print_note(f"At character {session.position} of {len(session)}, after: {visible(before, keep='')}")


def _until_interrupted(steps: Iterator[Step]) -> Generator[Step, None, None]:
    """``steps`` up to the one during which Ctrl-C was pressed. On a terminal the conversation continues afterwards.

    The signal only sets a flag. A :class:`KeyboardInterrupt` could be raised within a step, when the session has the
    character but the model has not read it yet.
    """
    interrupted = False

    def set_flag(*_: object) -> None:
        nonlocal interrupted
        interrupted = True

    before = signal.signal(signal.SIGINT, set_flag)
    try:
        for step in steps:
            yield step
            if interrupted:
                if not sys.stdin.isatty():  # else the next lines of a pipe would continue the text
                    raise KeyboardInterrupt
                return
    finally:
        signal.signal(signal.SIGINT, before)


def converse(conversation: Conversation) -> None:
    """Pass each line of stdin to ``conversation`` until /quit or the end.

    On a terminal an error is printed and the next line is read; elsewhere it is raised.
    """
    on_terminal = sys.stdin.isatty()
    for line in _typed_lines() if on_terminal else (line.removesuffix("\n") for line in sys.stdin):
        try:
            if conversation.onecmd(line):
                return
        except CharLSTMError as error:
            if not on_terminal:
                raise
            print_note(str(error))


def _typed_lines() -> Iterator[str]:
    """Lines from a terminal, with history and editing where the system has readline."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - input() uses it
    while True:
        try:
            if sys.stdout.isatty():
                line = input(PROMPT)
            else:  # the prompt is not part of the result
                sys.stderr.write(PROMPT)
                sys.stderr.flush()
                line = input()
        except KeyboardInterrupt:
            print_note("\nCtrl-D or /quit ends")
            continue
        except EOFError:
            print_note("")
            return
        yield line
