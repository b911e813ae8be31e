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
import signal
import sys
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

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
from charlstm.cli.output import as_read, print_note, write_stdout
from charlstm.display import described, plural, symbol, visible
from charlstm.errors import CharLSTMError, GenerationError
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.sampling import next_seed
from charlstm.generation.session import Session
from charlstm.line import TerminalLine
from charlstm.setting_fields import SettingField, setting_fields
from charlstm.storage import write_all
from charlstm.user_files import STDOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from charlstm.generation.rows import Step
    from charlstm.model.file import Model

PROMPT = "> "

CONTEXT = 60
"""Characters before the cursor that are shown after it was moved."""

SAMPLER_COMMANDS = {
    each.option_name.removeprefix("--"): each
    for each in setting_fields(SamplerSettings).values()
    if each.option and not each.words
}
"""Sampler settings that have a command, by the names of their options."""


@click.command(epilog=f"{MODEL_HELP} /help lists the commands of the conversation.")
@model_argument
@integer_option("--length", minimum=1, maximum=MOST_CHARS, default=200, help="Most characters to generate at a time.")
@click.option("--until", type=click.Choice(list(UNTIL)), help="Stop earlier, after the line or the paragraph.")
@seed_option
@sampler_options
@snapshot_option
@runs_dir_option
def play(
    model: str,
    length: int,
    until: str | None,
    seed: int,
    snapshot: int | None,
    runs_dir: Path | None,
    **sampler: Any,
) -> None:
    """Write together with MODEL line by line: you type a line, the model continues it.

    Reads and prints plain text, for a screen reader, a slow connection or a script. Lines can come from a pipe.
    """
    settings = sampler_settings(sampler)
    loaded = open_model(model, runs_dir, snapshot)
    loaded.check_computable()  # before the user types a line
    size = f"{loaded.config.num_layers} × {loaded.config.hidden_size} LSTM over {loaded.config.vocab_size:,} characters"
    print_note(
        f"{visible(model, keep='')}, a {size}. Type the beginning of a text; Enter alone continues it. "
        "/help lists the commands."
    )
    converse(Conversation(loaded, settings, seed=seed, length=length, until=UNTIL.get(until or "", "")))


class Conversation(cmd.Cmd):
    """Carries out the lines of a conversation on one session.

    ``do_back`` is the command /back, and its docstring is what /help prints. Lines come from :func:`converse` and not
    from ``cmdloop``, which would end at a typed "EOF" and print its prompt to stdout.
    """

    def __init__(self, model: Model, settings: SamplerSettings, *, seed: int, length: int, until: str) -> None:
        super().__init__()
        self._model, self._settings, self._seed = model, settings, seed
        self._length, self._until = length, until
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
        """Add text, or change a sampler setting. Raises :class:`GenerationError` for an unknown command."""
        word, argument, _ = self.parseline(line)
        if word is None:
            self._add(unescaped(line))
        elif word in SAMPLER_COMMANDS:
            self._set(SAMPLER_COMMANDS[word], argument or "")
        else:
            near = difflib.get_close_matches(word, self.words(), n=1)
            hint = f"did you mean /{near[0]}?" if near else "/help lists the commands"
            raise GenerationError(f"There is no command /{visible(word, keep='')[:40]}; {hint}")

    def words(self) -> list[str]:
        """All commands, without the slash."""
        names = self.get_names()
        return [name.removeprefix("do_") for name in names if name.startswith("do_")] + list(SAMPLER_COMMANDS)

    def completenames(self, text: str, *ignored: Any) -> list[str]:
        """Commands that begin with ``text``, for Tab."""
        return [f"/{word} " for word in self.words() if f"/{word}".startswith(text)] if text else []

    def complete_until(self, text: str, *ignored: Any) -> list[str]:
        """Arguments of /until that begin with ``text``, for Tab."""
        return [word for word in (*UNTIL, "off") if word.startswith(text)]

    # -- writing -------------------------------------------------------------------------------------------------

    def _begin(self, prime: str) -> Session:
        with TerminalLine() as bar:
            progress = bar.stage("reading the prime")
            session = Session(self._model, prime, seed=self._seed, settings=self._settings, progress=progress)
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
        steps = session.stream(self._length, stop=[self._until] if self._until else [])
        with contextlib.closing(_until_interrupted(steps)) as steps:
            write_steps(start, steps)

    # -- commands ------------------------------------------------------------------------------------------------

    def do_again(self, argument: str) -> None:
        """Replace the last continuation by another one."""
        session = self._current()
        session.rewind(min(self._last_start, len(session)))
        self._seed = next_seed(self._seed)
        session.seed = self._seed
        self._continue()

    def do_back(self, argument: str) -> None:
        """N: move the cursor N characters back. What is written there becomes another branch; so does /again."""
        session = self._current()
        count = _whole(argument or "1", "/back")
        if count > session.position:
            raise GenerationError(f"/back can go back at most {session.position} characters, to the end of the prime")
        self._move_to(session.position - count)

    def do_forward(self, argument: str) -> None:
        """N: move the cursor N characters forward, over text that is already written."""
        session = self._current()
        count, after = _whole(argument or "1", "/forward"), len(session) - session.position
        if count > after:
            raise GenerationError(f"/forward can go at most {after} characters, to the end of the text")
        self._move_to(session.position + count)

    def do_alternatives(self, argument: str) -> None:
        """List the characters that may come next, with their probabilities."""
        distribution = self._current().next_char_distribution()
        for number, each in enumerate(distribution.alternatives, 1):
            cut = "" if each.kept else "   cut"
            click.echo(f"{number:>3}  {_symbol_and_name(each.char):<10} {each.probability:7.2%}{cut}")
        print_note(
            f"The sampler keeps {distribution.kept} of {distribution.total} characters; the entropy is "
            f"{distribution.entropy:.2f} bits. /pick N takes one of the list."
        )

    def do_pick(self, argument: str) -> None:
        """N: take the Nth of the /alternatives, and continue from there."""
        session = self._current()
        alternatives, number = session.peek(), _whole(argument, "/pick")
        if not 1 <= number <= len(alternatives):
            raise GenerationError(f"/pick takes a number from 1 to {len(alternatives)}, as listed by /alternatives")
        step = session.choose(alternatives[number - 1].char)
        self._continue(step.char)

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

    def do_length(self, argument: str) -> None:
        """N: generate at most N characters at a time."""
        if argument:
            self._length = _whole(argument, "/length", minimum=1, maximum=MOST_CHARS)
        print_note(f"length {self._length}")

    def do_until(self, argument: str) -> None:
        """line, paragraph or off: stop earlier, after the line or the paragraph."""
        if argument and argument != "off" and argument not in UNTIL:
            raise GenerationError(f"/until takes {', '.join(UNTIL)} or off, not {argument[:40]!r}")
        if argument:
            self._until = UNTIL.get(argument, "")
        names = {stop: name for name, stop in UNTIL.items()}
        print_note(f"until {names.get(self._until, 'off')}")

    def do_seed(self, argument: str) -> None:
        """N: set the random seed. The same seed gives the same text."""
        if argument:
            seed = _whole(argument, "/seed", minimum=-(2**63))
            if self._session is not None:
                self._session.seed = seed
            self._seed = seed
        print_note(f"seed {self._seed}")

    def do_settings(self, argument: str) -> None:
        """Show the sampler settings. /temperature 0.7, /top-k 5, /min-p off and the like change them."""
        is_reference = self._settings.kind == "reference"
        if is_reference:
            print_note("sampler reference")
        for each in SAMPLER_COMMANDS.values():
            if each.name == "top_k" or not is_reference:
                self._print_setting(each)
        for print_value in (self.do_length, self.do_until, self.do_seed):
            print_value("")

    def do_save(self, argument: str) -> None:
        """FILE: save the text (.txt, .md, .html) or the session with all branches (.json); - prints the session."""
        from charlstm.generation.export import save_as, target
        from charlstm.generation.session_file import to_bytes

        if not argument:
            raise GenerationError("/save takes the name of a file: .json for the session, .txt, .md or .html for text")
        session = self._current()
        if argument == STDOUT:
            content = to_bytes(session) + b"\n"
            write_stdout(lambda file: write_all(file, content))
            return
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
        from charlstm.generation.session_file import load_session

        self._session = load_session(Path(os.path.expanduser(argument)), self._model)
        self._settings, self._seed = self._session.settings, self._session.seed
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
        print_note(
            f"  /{' /'.join(SAMPLER_COMMANDS)}\n{'':17} X, or mostly off: change a sampler setting; without X, show it"
        )

    def do_quit(self, argument: str) -> bool:
        """End the program."""
        return True

    # -- settings and position -----------------------------------------------------------------------------------

    def _set(self, each: SettingField, argument: str) -> None:
        """Change a sampler setting from the next character on, and print it; without an argument only print it."""
        if argument and self._settings.kind == "reference" and each.name != "top_k":
            raise GenerationError("The reference sampler has only /top-k")
        if argument:
            changes: dict[str, Any] = {each.name: each.parse(argument, GenerationError)}
            self._settings = replace(self._settings, **changes)
            if self._session is not None:
                self._session.settings = self._settings
        self._print_setting(each)

    def _print_setting(self, each: SettingField) -> None:
        value = getattr(self._settings, each.name)
        print_note(f"{each.option_name.removeprefix('--')} {each.write(value)}")

    def _move_to(self, position: int) -> None:
        self._current().rewind(position)
        self._last_start = position
        self._print_position()

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
    for line in _typed_lines(conversation) if on_terminal else (line.removesuffix("\n") for line in sys.stdin):
        try:
            if conversation.onecmd(line):
                return
        except CharLSTMError as error:
            if not on_terminal:
                raise
            print_note(str(error))


def _typed_lines(conversation: Conversation) -> Iterator[str]:
    """Lines from a terminal, with history, editing and completion where the system has readline."""
    with contextlib.suppress(ImportError):
        import readline

        readline.set_completer(cast("Callable[[str, int], str | None]", conversation.complete))  # typeshed says a list
        readline.set_completer_delims(" ")
        readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")
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


def _whole(argument: str, command: str, *, minimum: int = 0, maximum: int = 2**64 - 1) -> int:
    """Parse a whole number."""
    digits = argument.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 20 and minimum <= int(argument) <= maximum):
        limits = f" from {minimum:,} to {maximum:,}" if minimum else ""
        raise GenerationError(f"{command} takes a whole number{limits}, not {argument[:40]!r}")
    return int(argument)


def _symbol_and_name(char: str) -> str:
    """A character with its name, if the symbol alone does not show what it is."""
    name = {" ": "space", "\n": "newline", "\t": "tab"}.get(char)
    shown = symbol(char)
    return f"{shown} {name or ('' if shown == char else described(char))}".rstrip()
