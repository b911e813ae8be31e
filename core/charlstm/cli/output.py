"""Print results, messages, tables and progress: results to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from charlstm import user_files
from charlstm.display import described, symbol, visible
from charlstm.errors import CharLSTMError
from charlstm.fields import plain
from charlstm.line import terminal_width
from charlstm.user_files import STDOUT

if TYPE_CHECKING:
    from charlstm.model.file import Model
    from charlstm.text.vocabulary import Vocabulary

JSON = "charlstm.json"
"""What the option --json is called in click's context of a command."""


def wants_json() -> bool:
    """Whether the command that runs was given --json."""
    context = click.get_current_context(silent=True)
    return context is not None and context.meta.get(JSON, False)


def print_result(value: Any, text: str | None = None) -> None:
    """Print the result of a command to stdout: with --json ``value``, of dataclasses and what JSON has, else ``text``,
    if there is one."""
    if wants_json():
        print_json(to_json(plain(value)))
    elif text is not None:
        click.echo(visible(text) if sys.stdout.isatty() else text)


def joined(*parts: object) -> dict[str, Any]:
    """One object for JSON: the fields of a result of the core, and those that a command adds."""
    return {name: value for part in parts for name, value in plain(part).items()}


def print_json(line: str, *, err: bool = False) -> None:
    """Print a line of JSON to stdout, or to stderr with ``err``.

    Printed as JSON escapes are control characters and unpaired surrogates, which UTF-8 cannot encode, and where the
    encoding of the stream is another one, all characters beyond ASCII.
    """
    encoding = (sys.stderr if err else sys.stdout).encoding or "utf-8"
    if not encoding.lower().startswith("utf"):
        line = json.dumps(json.loads(line))
    elif not line.isprintable():
        line = "".join(char if char.isprintable() else _json_escape(char) for char in line)
    click.echo(line, err=err)


def _json_escape(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) > 0xFFFF else f"\\u{ord(char):04x}"


def to_json(value: Any) -> str:
    """``value`` as JSON, with null for NaN and Infinity, which JSON does not have."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_with_null(value), ensure_ascii=False, allow_nan=False)


def _with_null(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _with_null(each) for key, each in value.items()}
        case list() | tuple():
            return [_with_null(each) for each in value]
    return value


def check_stdout(**files: str | None) -> None:
    """Raise :class:`click.UsageError` if more than one result would go to stdout: that of --json, and the ``files``, by
    the names of their options, which are ``-``."""
    writers = ["--json"] if wants_json() else []
    writers += [f"--{option} -" for option, name in files.items() if name == STDOUT]
    if len(writers) > 1:
        first, second = writers[:2]
        raise click.UsageError(f"{first} and {second} would both write to standard output: remove one of them")


def write_stdout(write: Callable[[BinaryIO], object]) -> None:
    """Call ``write`` with a file whose content then goes to stdout. Raises :class:`CharLSTMError` on a terminal."""
    if sys.stdout.isatty():
        raise CharLSTMError("Standard output is a terminal: redirect it to a file, or give a file name instead of -")
    content = io.BytesIO()  # some writers need to seek, or do not report a closed pipe
    write(content)
    sys.stdout.flush()
    sys.stdout.buffer.write(content.getbuffer())
    sys.stdout.buffer.flush()


def check_output_file(name: str | None, suffix: str) -> None:
    """Raise before the work what :func:`write_text` would raise after it. A file that exists is replaced if it has the
    ``suffix``, such as ``.html``, as what was written last time has; another one may be a text of the user's."""
    if name is None or name == user_files.STDOUT:
        return
    file = user_files.check_destination(name)
    if file.is_file() and file.suffix.lower() != suffix:
        raise CharLSTMError(f"{name} exists and is no {suffix} file: choose another name, so that it is not lost")


@contextlib.contextmanager
def output_errors(out: str, error: type[CharLSTMError]) -> Iterator[None]:
    """Turn an :class:`OSError` at a file of --out into an ``error`` that says what to do."""
    try:
        yield
    except FileExistsError:
        what_to_do = "replace it with --force, or choose another one with --out"
        raise error(f"The file {out} already exists: {what_to_do}") from None
    except OSError as problem:
        raise error(f"{out} cannot be written: {problem.strerror}. Choose another file with --out") from None


def write_text(name: str, text: str) -> int:
    """Write ``text`` in UTF-8 to the file ``name``, or to stdout for ``-``; returns how many bytes it has."""
    content = text.encode("utf-8", "replace")
    if name == user_files.STDOUT:
        write_stdout(lambda file: file.write(content))
    else:
        user_files.save_bytes(name, content)
    return len(content)


def write_page(name: str, page: str) -> None:
    """Write a web page as :func:`write_text` does, and print its path unless it went to stdout."""
    size = write_text(name, page)
    if name != user_files.STDOUT:
        print_result({"out": os.path.abspath(name), "bytes": size}, name)
        print_remark("Open it in a browser")


def print_note(message: str) -> None:
    """Print a line for the user to stderr. Control characters, which may come from a name, are made visible."""
    click.echo(visible(message), err=True)


def print_remark(message: str) -> None:
    """Print a note that a script has no use for: it is left out with --json."""
    if not wants_json():
        print_note(message)


def as_read(model: Model, text: str) -> str:
    """``text`` under the model's text options. A note says as which other characters the model reads some."""
    text = model.text_options.apply(text)
    report_unknown_characters(model.vocabulary.encode(text)[1], model.vocabulary)
    return text


def report_unknown_characters(unknown: Mapping[str, int], vocabulary: Vocabulary, also: str = "") -> None:
    """Print a note on ``unknown`` characters, with their counts: how the model with ``vocabulary`` reads them, and
    ``also``."""
    if not unknown:
        return
    listed = []
    for char, count in unknown.items():
        read = vocabulary.read_as(char)
        shown = "a space" if read == " " else symbol(read)
        listed.append(f"{symbol(char)} ({described(char)}) × {count:,}, read as {shown}")
    more = f"; and {len(listed) - 6} more" if len(listed) > 6 else ""
    print_note(f"Characters that the model does not know: {'; '.join(listed[:6])}{more}{also and f'. {also}'}")


def paragraph(text: str) -> list[str]:
    """The lines of a paragraph, at most 80 columns wide."""
    return textwrap.wrap(text, min(80, terminal_width()), break_on_hyphens=False)
