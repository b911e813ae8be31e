"""The command play: the instrument line by line.

A line is text that the model goes on from, or a command that starts with a slash. What it writes goes to stdout,
what is said about it to stderr. Not the app: nothing is drawn, and everything can be read aloud or scripted.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.generate import UNTIL, literal, sampler_options, sampler_settings, unescaped, write_steps
from charlstm.cli.options import MODEL_HELP, model_argument, open_model, runs_dir_option, whole
from charlstm.cli.output import ReadingProgress, plural, print_note, report_unknown_characters, write_stdout
from charlstm.display import described, symbol, visible
from charlstm.errors import CharLSTMError, GenerationError
from charlstm.generation.session import Session
from charlstm.storage import write_all
from charlstm.user_files import STDOUT

if TYPE_CHECKING:
    from charlstm.generation.sampling import SamplerSettings
    from charlstm.generation.tree import Step
    from charlstm.model.file import Model


PROMPT = "> "


CONTEXT = 60
"""Characters that are shown of what stands before the cursor, after it was moved."""

NUMBERS = ("temperature", "top-k", "top-p", "min-p", "typical", "mirostat", "repetition")
"""Sampler settings that are commands of their own, as their options are called."""


@click.command(epilog=f"{MODEL_HELP} Inside, /help lists the commands.")
@model_argument
@whole("--length", least=1, default=200, help="Characters written at a time.")
@click.option("--until", type=click.Choice(list(UNTIL)), help="Stop sooner, with the line or the paragraph.")
@whole("--seed", default=0, help="The same seed gives the same text.")
@sampler_options
@whole("--snapshot", help="Play the run as it was after this many steps.")
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
    """Write together with MODEL line by line, without a full screen: you type, it goes on.

    Plain text in and out, for a screen reader, a slow line or a script: lines are also read from a pipe.
    """
    settings = sampler_settings(sampler)
    loaded = open_model(model, runs_dir, snapshot)
    loaded.check_computable()  # before the first line is asked for
    size = f"{loaded.config.num_layers} × {loaded.config.hidden_size} LSTM over {loaded.config.vocab_size:,} characters"
    print_note(f"{visible(model, keep='')}, a {size}. Type a beginning; Enter alone goes on. /help lists the commands.")
    converse(Player(loaded, settings, seed=seed, length=length, until=UNTIL.get(until or "", "")))


class Quit(Exception):
    """The person has had enough."""


class Player:
    """One session, and a method for each command: ``do_back`` is /back, its docstring what /help says."""

    def __init__(self, model: Model, settings: SamplerSettings, *, seed: int, length: int, until: str) -> None:
        self._model, self._settings, self._seed = model, settings, seed
        self._length, self._until = length, until
        self._session: Session | None = None
        self._from = 0  # where the last continuation began
        self._saved: set[Path] = set()  # may be written over

    def take(self, line: str) -> None:
        """Act on one line. Raises :class:`CharLSTMError` in a sentence for what cannot be done, :class:`Quit`."""
        if not line.startswith("/"):
            self._add(unescaped(line))
            return
        word, _, argument = line[1:].partition(" ")
        if word in NUMBERS:
            self._set(word.replace("-", "_"), argument.strip())
            return
        command = self._commands().get(word)
        if command is None:
            near = difflib.get_close_matches(word, command_words(), n=1)
            hint = f"did you mean /{near[0]}?" if near else "/help lists the commands"
            raise GenerationError(f"There is no command /{visible(word, keep='')[:40]}; {hint}")
        command(argument if word == "new" else argument.strip())

    def _commands(self) -> dict[str, Callable[[str], None]]:
        return {name.removeprefix("do_"): getattr(self, name) for name in dir(self) if name.startswith("do_")}

    # -- writing -------------------------------------------------------------------------------------------------

    def _begin(self, prime: str) -> Session:
        with ReadingProgress() as bar:
            progress = bar.named("reading the prime")
            session = Session(self._model, prime, seed=self._seed, settings=self._settings, progress=progress)
        self._session = session
        return session

    def _playing(self) -> Session:
        """The session; one from nothing if there is none yet."""
        return self._begin("") if self._session is None else self._session

    def _add(self, text: str) -> None:
        """The person's own text at the cursor, and then the model's."""
        unknown = self._begin(text).unknown if self._session is None else self._session.type(text)
        report_unknown_characters(unknown, "left out", self._model.vocabulary)
        self._go_on(text)

    def _go_on(self, start: str = "") -> None:
        session = self._playing()
        self._from = session.position
        steps = session.stream(self._length, stop=[self._until] if self._until else [])
        with contextlib.closing(_until_interrupted(steps)) as steps:
            write_steps(start, steps)

    # -- commands ------------------------------------------------------------------------------------------------

    def do_again(self, argument: str) -> None:
        """Take the last continuation back and write another."""
        session = self._playing()
        session.rewind(min(self._from, len(session)))
        self._seed += 1
        session.seed = self._seed
        self._go_on()

    def do_back(self, argument: str) -> None:
        """N: go N characters back; what you write there takes another way, and so does /again."""
        session = self._playing()
        count = _whole(argument or "1", "/back")
        if count > session.position:
            raise GenerationError(f"There are only {session.position} characters to go back, after the prime")
        session.rewind(session.position - count)
        self._from = session.position
        self._say_where()

    def do_forward(self, argument: str) -> None:
        """N: go N characters forward again, through what stands already."""
        session = self._playing()
        count, room = _whole(argument or "1", "/forward"), len(session) - session.position
        if count > room:
            raise GenerationError(f"Only {room} characters stand after this place")
        session.rewind(session.position + count)
        self._from = session.position
        self._say_where()

    def do_alternatives(self, argument: str) -> None:
        """List what may come next, with probabilities."""
        outlook = self._playing().next_char_distribution()
        for number, each in enumerate(outlook.alternatives, 1):
            cut = "" if each.kept else "   cut"
            click.echo(f"{number:>3}  {_spoken(each.char):<10} {each.probability:7.2%}{cut}")
        print_note(
            f"{outlook.kept} of {outlook.total} characters are kept; the model expects {outlook.entropy:.2f} bits. "
            "/pick N takes one."
        )

    def do_pick(self, argument: str) -> None:
        """N: take the Nth alternative, and go on from there."""
        session = self._playing()
        alternatives, number = session.peek(), _whole(argument, "/pick")
        if not 1 <= number <= len(alternatives):
            raise GenerationError(f"/pick takes a number from 1 to {len(alternatives)}, as /alternatives lists them")
        step = session.choose(alternatives[number - 1].char)
        self._go_on(step.char)

    def do_text(self, argument: str) -> None:
        """Print all that is written so far."""
        session = self._playing()
        click.echo(literal(session.prime + session.text))

    def do_new(self, argument: str) -> None:
        """TEXT: begin anew, from TEXT if there is one."""
        self._session = None
        if argument:
            self._add(unescaped(argument))
        else:
            print_note("Type a beginning")

    def do_length(self, argument: str) -> None:
        """N: write N characters at a time."""
        if argument:
            self._length = _whole(argument, "/length", least=1)
        print_note(f"length {self._length}")

    def do_until(self, argument: str) -> None:
        """line, paragraph or off: stop sooner, at the end of the line or paragraph."""
        if argument and argument != "off" and argument not in UNTIL:
            raise GenerationError(f"/until takes {', '.join(UNTIL)} or off, not {argument[:40]!r}")
        if argument:
            self._until = UNTIL.get(argument, "")
        words = {stop: word for word, stop in UNTIL.items()}
        print_note(f"until {words.get(self._until, 'off')}")

    def do_seed(self, argument: str) -> None:
        """N: other dice; the same seed gives the same text."""
        if argument:
            seed = _whole(argument, "/seed", least=-(2**63))
            if self._session is not None:
                self._session.seed = seed
            self._seed = seed
        print_note(f"seed {self._seed}")

    def do_settings(self, argument: str) -> None:
        """Say how characters are chosen. /temperature 0.7, /top-k 5, /min-p off and the like change it."""
        alone = self._settings.kind == "reference"
        if alone:
            print_note("sampler reference")
        for name in ("top-k",) if alone else NUMBERS:
            self._say_setting(name.replace("-", "_"))
        for say in (self.do_length, self.do_until, self.do_seed):
            say("")

    def do_save(self, argument: str) -> None:
        """FILE: .txt, .md or .html for the text, .json for the whole session with its branches; - prints that."""
        from charlstm.generation.saving import save_as, target, to_bytes

        if not argument:
            raise GenerationError("/save takes the name of a file: .json for the session, .txt, .md or .html")
        session = self._playing()
        if argument == STDOUT:
            content = to_bytes(session) + b"\n"
            write_stdout(lambda file: write_all(file, content))
            return
        path = target(Path(os.path.expanduser(argument)))
        try:
            save_as(session, path, overwrite=path in self._saved)
        except FileExistsError:
            raise GenerationError(f"There is a file {path} already: choose another name") from None
        except OSError as error:
            raise GenerationError(f"{path} cannot be written: {error.strerror}") from None
        self._saved.add(path)
        after = len(session) - session.position
        more = f", with the {plural(after, 'character')} that stand after this place" if after else ""
        print_note(f"Saved {path}{more}")

    def do_open(self, argument: str) -> None:
        """FILE: go on with a session that /save FILE.json kept."""
        from charlstm.generation.saving import load_session

        self._session = load_session(Path(os.path.expanduser(argument)), self._model)
        self._settings, self._seed = self._session.settings, self._session.seed
        self._from = self._session.position
        self._say_where()

    def do_help(self, argument: str) -> None:
        r"""List the commands."""
        print_note(
            "A line of text is put where the cursor is, and the model goes on. \\n in it is a newline, \\\\ a\n"
            "backslash, \\x2f at its beginning a slash; otherwise it is taken exactly as typed.\n"
            "An empty line only goes on. Ctrl-C stops the writing, Ctrl-D or /quit ends."
        )
        for word, command in self._commands().items():
            print_note(f"  /{word:<13} {inspect.getdoc(command)}")
        print_note(f"  /{' /'.join(NUMBERS)}\n{'':17} X or off; without X, say what it is")

    def do_quit(self, argument: str) -> None:
        """End."""
        raise Quit

    # -- settings ------------------------------------------------------------------------------------------------

    def _set(self, name: str, argument: str) -> None:
        """One sampler setting, from the next character on; without an argument only say it."""
        if argument and self._settings.kind == "reference" and name != "top_k":
            raise GenerationError("The reference sampler knows /top-k alone")
        if argument:
            changes: dict[str, Any] = {name: _setting(name, argument)}
            self._settings = replace(self._settings, **changes)
            if self._session is not None:
                self._session.settings = self._settings
        self._say_setting(name)

    def _say_setting(self, name: str) -> None:
        value = getattr(self._settings, name)
        off = value is None or (value == 0 and name != "temperature")
        print_note(f"{name.replace('_', '-')} {'off' if off else format(value, 'g')}")

    def _say_where(self) -> None:
        session = self._playing()
        before = (session.prime + session.text)[-CONTEXT:]
        print_note(f"At character {session.position} of {len(session)}, after: {visible(before, keep='')}")


def command_words() -> list[str]:
    """Every command, without its slash."""
    return [name.removeprefix("do_") for name in dir(Player) if name.startswith("do_")] + list(NUMBERS)


def _until_interrupted(steps: Iterator[Step]) -> Generator[Step, None, None]:
    """``steps`` up to the one during which Ctrl-C came. What stands, stands: on a terminal only the writing ends.

    Ctrl-C only leaves a note: raised as :class:`KeyboardInterrupt` it would strike in the middle of a step, when the
    character stands already and the model has not read it.
    """
    asked = False

    def note(*_: object) -> None:
        nonlocal asked
        asked = True

    before = signal.signal(signal.SIGINT, note)
    try:
        for step in steps:
            yield step
            if asked:
                if not sys.stdin.isatty():  # the lines that are still to come would go on writing
                    raise KeyboardInterrupt
                return
    finally:
        signal.signal(signal.SIGINT, before)


def converse(player: Player) -> None:
    """Hand ``player`` each line of stdin. On a terminal what cannot be done is said and the next line read; elsewhere
    the error is the caller's."""
    live = sys.stdin.isatty()
    with contextlib.suppress(Quit):
        for line in _typed() if live else (line.removesuffix("\n") for line in sys.stdin):
            try:
                player.take(line)
            except CharLSTMError as error:
                if not live:
                    raise
                print_note(str(error))


def _typed() -> Iterator[str]:
    """Lines from a terminal, with history, editing and completion of commands where the system has them."""
    with contextlib.suppress(ImportError):  # Windows
        import readline

        def complete(start: str, number: int) -> str | None:
            fitting = [f"/{word} " for word in command_words() if f"/{word}".startswith(start)] if start else []
            return fitting[number] if number < len(fitting) else None

        readline.set_completer(complete)
        readline.set_completer_delims(" ")
        readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")
    while True:
        try:
            if sys.stdout.isatty():
                line = input(PROMPT)
            else:  # the prompt is no part of the result
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


def _setting(name: str, argument: str) -> float | int | None:
    if argument == "off":
        if name == "temperature":
            raise GenerationError("The temperature cannot be off: 1 leaves the model as it is")
        return 0.0 if name == "repetition" else None
    try:
        return int(argument) if name == "top_k" else float(argument)
    except ValueError:
        raise GenerationError(f"/{name.replace('_', '-')} takes a number or off, not {argument[:40]!r}") from None


def _whole(argument: str, what: str, *, least: int = 0) -> int:
    digits = argument.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20 and int(argument) >= least):
        of_at_least = f" of at least {least}" if least == 1 else ""
        raise GenerationError(f"{what} takes a whole number{of_at_least}, not {argument[:40]!r}")
    return int(argument)


def _spoken(char: str) -> str:
    """A character for the eye and, where its sign says little, in words."""
    words = {" ": "space", "\n": "newline", "\t": "tab"}.get(char)
    sign = symbol(char)
    return f"{sign} {words or ('' if sign == char else described(char))}".rstrip()
