"""Bad and strange texts: each is read as stated or refused in a sentence, in a bounded time and memory."""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bounded import MB, bounded, check_sentence
from charlstm.errors import TextError
from charlstm.model.file import save_model
from charlstm.text import cache, sources
from charlstm.text.catalogue import find_texts
from charlstm.text.corpus import open_corpus, preview
from charlstm.text.reading import TextOptions
from recorded_run import tiny_model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and makes devices and pipes")

SECONDS = 30.0
MEMORY = 400 * MB
SENTENCE = "The morning she had not been in the house, and the sea was there.\n"
TEXT = SENTENCE * 40


@dataclass(frozen=True)
class Case:
    """``make`` puts the text into an empty folder and returns what a person would name.

    ``expect``: the exact text that is learnt from, a function that checks it, or, as a compiled pattern, the sentence.
    """

    name: str
    make: Callable[[Path], Any]
    expect: str | re.Pattern[str] | Callable[[str], bool]
    options: TextOptions = field(default_factory=TextOptions)

    def fits(self, text: str) -> bool:
        assert not isinstance(self.expect, re.Pattern), f"was read ({text[:60]!r}), not refused"
        return text == self.expect if isinstance(self.expect, str) else self.expect(text)


def file(content: bytes | str, name: str = "text.txt") -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        path = place / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


says = re.compile


# ── makers that are more than bytes ─────────────────────────────────────────────────────────────────────────────────


def fifo(place: Path) -> Path:
    os.mkfifo(place / "pipe.txt")
    return place / "pipe.txt"


def unix_socket(place: Path) -> Path:
    with contextlib.chdir(place), socket.socket(socket.AF_UNIX) as made:
        made.bind("socket.txt")
    return place / "socket.txt"


def a_model(place: Path) -> Path:
    save_model(place / "model.txt", tiny_model())
    return place / "model.txt"


def link_loop(place: Path) -> Path:
    (place / "a.txt").symlink_to("b.txt")
    (place / "b.txt").symlink_to("a.txt")
    return place / "a.txt"


def folder_with_loop(place: Path) -> Path:
    folder = place / "texts"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.txt").write_text(TEXT)
    (folder / "inner" / "up").symlink_to(folder)
    (folder / "inner" / "b.txt").write_text("b\n")
    os.mkfifo(folder / "pipe.txt")
    (folder / "self.txt").symlink_to("self.txt")
    (folder / "gone.txt").symlink_to("nowhere")
    (folder / ".hidden.txt").write_text("hidden")
    return folder


def folder(files: dict[str, bytes | str]) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        (place / "texts").mkdir()
        for name, content in files.items():
            (place / "texts" / name).parent.mkdir(parents=True, exist_ok=True)
            file(content, name)(place / "texts")
        return place / "texts"

    return make


def sparse_after_text(place: Path) -> Path:
    path = file(TEXT * 20, "sparse.txt")(place)
    os.truncate(path, 2 * 2**30)
    return path


def under(path: str) -> Callable[[Path], Path]:
    return lambda place: Path(path)


def named(name: str | bytes) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        path = Path(os.fsdecode(os.path.join(os.fsencode(place), os.fsencode(name))))
        path.write_text(TEXT)
        return path

    return make


CHANGING = 2000
"""Repetitions of the text in a file that changes: two blocks are read of it."""


def changing(change: Callable[[Path], object]) -> Callable[[Path], Path]:
    """A file of some megabytes that ``change(path)`` works on as soon as its first block has been read."""

    def make(place: Path) -> Path:
        path = place / "changing.txt"
        path.write_text(TEXT * CHANGING)
        _MEANWHILE.append(lambda: change(path))
        return path

    return make


_MEANWHILE: list[Callable[[], object]] = []


def grow(path: Path) -> None:
    with path.open("a") as open_file:
        open_file.write(TEXT)


def shrink(path: Path) -> None:
    os.truncate(path, 1000)


def vanish(path: Path) -> None:
    path.unlink(missing_ok=True)


def rewrite(path: Path) -> None:
    path.write_text(TEXT.upper() * CHANGING)


def words(count: int, low: int, high: int) -> str:
    """``count`` different characters from ``low`` on."""
    chars = (chr(code) for code in range(low, high) if unicodedata.category(chr(code))[0] in "LNPS")
    return "".join(char for char, _ in zip(chars, range(count), strict=False))


NUL_TEXT = "\0" * 5000
MANY = unicodedata.normalize("NFC", words(60_000, 0x4E00, 0x20000)) + TEXT
BIDI = "abc \u202egnp.exe\u202c \u2066x\u2069 \u200b\u200d\ufeff def\n" * 30
ESCAPES = "\x1b[2J\x1b]0;title\x07\x1b]52;c;AAAA\x07[/red] [bold]x[/bold]\n" * 30
SEPARATORS = "a\u2028b\u2029c\x85d\x0ce\x0bf\n" * 50
MIXED = {
    "a.txt": "Älter\r\n".encode("utf-16"),
    "b.txt": "Möwe über Köln, größer, schöner, früher\n".encode("cp1252"),
    "c.txt": "grün",
}
BINARY = random.Random(1).randbytes(20_000)
PICTURE = b"\x89PNG\r\n\x1a\n" + BINARY

CASES: tuple[Case, ...] = (
    # too little
    Case("empty", file(b""), says("is empty")),
    Case("only a byte order mark", file(b"\xef\xbb\xbf"), says("is empty")),
    Case("one character", file("a"), "a"),
    Case("one line without an end", file(SENTENCE.strip()), SENTENCE.strip()),
    Case("all the same character", file("a" * 10_000), "a" * 10_000),
    # bytes that are no text
    Case("only NULs", file(NUL_TEXT), says("NUL")),
    Case("NULs among text", file(("a\0b" * 3 + SENTENCE) * 50), lambda text: "\0" in text and len(text) > 3000),
    Case("every byte value", file(bytes(range(256)) * 40), says("binary|not text")),
    Case("a picture", file(PICTURE), says("binary|not text")),
    Case("a model of ours", a_model, says("binary|not text|model")),
    Case("text, then binary", file(TEXT.encode() * 3 + BINARY * 40), says("not text|binary")),
    # encodings
    Case("UTF-16 cut inside a character", file(TEXT.encode("utf-16") + b"a"), TEXT + "\ufffd"),
    Case("UTF-16 with a lone surrogate",
         file("ab\ud800c\n".encode("utf-16", "surrogatepass") + TEXT.encode("utf-16-le")),
         lambda text: text.startswith("ab\ufffd") and text.endswith(SENTENCE)),
    Case("invalid UTF-8 here and there", file((SENTENCE.encode() * 20 + b"\xff\xfe\x80") * 3),
         lambda text: text.count("\ufffd") == 9 and text.count(SENTENCE) == 60),
    Case("UTF-8 cut inside a character", file((SENTENCE * 3 + "é").encode()[:-1]),
         lambda text: text.startswith(SENTENCE * 3) and len(text) == len(SENTENCE * 3) + 1),
    Case("two encodings in one file", file(TEXT.encode() + "größer\n".encode("cp1252") * 20),
         lambda text: text.startswith(TEXT)),
    # newlines and strange characters
    Case("CR at the edge of blocks", lambda place: file(b"x" * (sources.BLOCK - 1) + b"\r\n" + b"y\n")(place),
         "x" * (sources.BLOCK - 1) + "\ny\n"),
    Case("60,000 distinct characters", file(MANY), MANY),
    Case("bidirectional and invisible controls", file(BIDI), BIDI),
    Case("escape sequences and markup", file(ESCAPES), ESCAPES),
    Case("line and paragraph separators", file(SEPARATORS), SEPARATORS),
    # what is no file
    Case("nothing there", under("/nowhere/at/all.txt"), says("There is no file")),
    Case("an empty name", lambda place: "", says("no|folder")),
    Case("a name with a NUL", lambda place: "a\0b", says("not a valid path|no file")),
    Case("a name that is too long", lambda place: "x" * 5000, says("cannot be read|no file")),
    Case("a FIFO", fifo, says("is a pipe.*standard input")),
    Case("a socket", unix_socket, says("pipe|device|cannot be read")),
    Case("/dev/zero", under("/dev/zero"), says("device")),
    Case("a link loop", link_loop, says("cannot be read|There is no file")),
    # folders
    Case("a folder with a link loop, a pipe and hidden files", folder_with_loop, TEXT + "b\n"),
    Case("an empty folder", folder({}), says("no files")),
    Case("a folder with an empty file", folder({"a.txt": TEXT, "b.txt": b""}), TEXT),
    Case("a folder of other files", folder({"a.md": TEXT, "b.md": TEXT, "c.rst": TEXT}),
         says(r"no files that match \*\.txt, but 2 that match \*\.md")),
    Case("a folder of three encodings", folder(MIXED), "Älter\nMöwe über Köln, größer, schöner, früher\ngrün"),
    Case("a folder with a picture in it", folder({"a.txt": TEXT, "b.txt": PICTURE}),
         says(r"b\.txt looks like binary data")),
    Case("a folder of 2,000 files", folder({f"{number:04}.txt": "a\n" for number in range(2000)}), "a\n" * 2000),
    # names that want to get out
    Case("a name of escape sequences", named("\x1b[2J\x1b]0;x\x07[bold].txt"), TEXT),
    Case("a name that is no UTF-8", named(b"\xff\xfe.txt"), TEXT),
    # files that do not keep still
    Case("grows while it is read", changing(grow), says("changed")),
    Case("shrinks while it is read", changing(shrink), says("changed")),
    Case("is rewritten while it is read", changing(rewrite), says("changed")),
    Case("vanishes while it is read", changing(vanish), TEXT * CHANGING),
    # much
    Case("text, then 2 GB of nothing", sparse_after_text, says("NUL")),
    Case("text, then 2 GB, of which little is asked", sparse_after_text, (TEXT * 20)[:4000],
         TextOptions(max_chars=4000)),
)  # fmt: skip


@contextlib.contextmanager
def restless() -> Iterator[None]:
    """While inside, what :func:`changing` asked for happens after the first block of the second look at the file."""
    change, changed, real = _MEANWHILE.pop() if _MEANWHILE else None, False, sources._blocks

    def blocks(*arguments: Any) -> Iterator[bytes]:
        nonlocal changed
        for block in real(*arguments):
            if change and not changed:
                thread = threading.Thread(target=change)
                thread.start()
                thread.join()
                changed = True
            yield block

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "_blocks", blocks)
        yield


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_text_is_read_as_stated_or_refused_in_a_sentence(case: Case, tmp_path: Path) -> None:
    _MEANWHILE.clear()
    source = case.make(tmp_path)
    if case.name.endswith("while it is read"):
        shown = None
    else:
        with bounded(SECONDS, MEMORY):
            shown = outcome(lambda: preview(source, 4000, case.options).text)
            outcome(lambda: find_texts(tmp_path))
    with bounded(SECONDS, MEMORY), restless():
        found = outcome(lambda: open_corpus(source, case.options).text())
    if isinstance(found, TextError):
        assert isinstance(case.expect, re.Pattern), str(found)
        assert case.expect.search(str(found)), str(found)
        assert not list(cache.texts_dir().glob("*"))
    else:
        assert case.fits(found), f"{found[:80]!r} … {found[-80:]!r} ({len(found):,} characters)"
        if isinstance(case.expect, str) and shown is not None:
            assert shown == case.expect[:4000]


def outcome(call: Callable[[], Any]) -> Any:
    """What ``call`` returns, or its refusal."""
    try:
        return call()
    except TextError as error:
        check_sentence(str(error))
        return error
