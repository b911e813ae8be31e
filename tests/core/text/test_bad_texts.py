"""Bad and strange texts: each is read as stated or refused in a sentence, in a bounded time and memory."""

import os
import random
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bounded import MB, bounded, check_sentence
from charlstm.errors import TextError
from charlstm.text import cache, sources
from charlstm.text.corpus import open_corpus, preview

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and makes devices and pipes")

SECONDS = 30.0
MEMORY = 400 * MB
SENTENCE = "The morning she had not been in the house, and the sea was there.\n"
TEXT = SENTENCE * 40


def file(content: bytes | str, name: str | bytes = "text.txt") -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        path = place / os.fsdecode(name)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def folder(files: dict[str, bytes | str]) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        for name, content in files.items():
            file(content, name)(place)
        return place

    return make


def fifo(place: Path) -> Path:
    os.mkfifo(place / "pipe.txt")
    return place / "pipe.txt"


def link_loop(place: Path) -> Path:
    (place / "a.txt").symlink_to("b.txt")
    (place / "b.txt").symlink_to("a.txt")
    return place / "a.txt"


def folder_with_loop(place: Path) -> Path:
    (place / "inner").mkdir(parents=True)
    (place / "a.txt").write_text(TEXT)
    (place / "inner" / "up").symlink_to(place)
    (place / "inner" / "b.txt").write_text("b\n")
    os.mkfifo(place / "pipe.txt")
    (place / "self.txt").symlink_to("self.txt")
    (place / "gone.txt").symlink_to("nowhere")
    (place / ".hidden.txt").write_text("hidden")
    return place


def sparse_after_text(place: Path) -> Path:
    path = file(TEXT * 20)(place)
    os.truncate(path, 600 * MB)
    return path


says = re.compile
NULS = ("a\0b" * 3 + SENTENCE) * 50
BINARY = random.Random(1).randbytes(20_000)
PICTURE = b"\x89PNG\r\n\x1a\n" + BINARY
MIXED = {
    "a.txt": "Älter\r\n".encode("utf-16"),
    "b.txt": "Möwe über Köln, größer, schöner, früher\n".encode("cp1252"),
    "c.txt": "grün",
}

CASES: dict[str, tuple[Callable[[Path], Any], str | re.Pattern[str]]] = {
    "empty": (file(b""), says("is empty")),
    "only a byte order mark": (file(b"\xef\xbb\xbf"), says("is empty")),
    "only NULs": (file("\0" * 5000), says("NUL")),
    "NULs among text": (file(NULS), NULS),
    "every byte value": (file(bytes(range(256)) * 40), says("binary|not text")),
    "text, then binary": (file(TEXT.encode() * 3 + BINARY * 40), says("not text|binary")),
    "text, then 600 MB of nothing": (sparse_after_text, says("NUL")),
    "UTF-16 cut inside a character": (file(TEXT.encode("utf-16") + b"a"), TEXT + "\ufffd"),
    "UTF-16 with a lone surrogate": (
        file("ab\ud800c\n".encode("utf-16", "surrogatepass") + TEXT.encode("utf-16-le")), "ab\ufffdc\n" + TEXT
    ),
    "invalid UTF-8": (file((SENTENCE.encode() * 20 + b"\xff\xfe\x80") * 3), (SENTENCE * 20 + "\ufffd" * 3) * 3),
    "an empty name": (lambda place: "", says("no|folder")),
    "a name with a NUL": (lambda place: "a\0b", says("not a valid path|no file")),
    "a name that is too long": (lambda place: "x" * 5000, says("cannot be read|no file")),
    "a name of escape sequences": (file(TEXT, "\x1b[2J\x1b]0;x\x07[bold].txt"), TEXT),
    "a name that is no UTF-8": (file(TEXT, b"\xff\xfe.txt"), TEXT),
    "a FIFO": (fifo, says("is a pipe.*standard input")),
    "/dev/zero": (lambda place: Path("/dev/zero"), says("device")),
    "a link loop": (link_loop, says("cannot be read|There is no file")),
    "a folder with a link loop, a pipe and hidden files": (folder_with_loop, TEXT + "b\n"),
    "an empty folder": (folder({}), says("no files")),
    "a folder with an empty file": (folder({"a.txt": TEXT, "b.txt": b""}), TEXT),
    "a folder of other files": (
        folder({"a.md": TEXT, "b.md": TEXT, "c.rst": TEXT}), says(r"no files that match \*.txt, but 2 that match \*.md")
    ),
    "a folder of three encodings": (folder(MIXED), "Älter\nMöwe über Köln, größer, schöner, früher\ngrün"),
    "a folder with a picture": (folder({"a.txt": TEXT, "b.txt": PICTURE}), says(r"b\.txt looks like binary data")),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_text_is_read_as_stated_or_refused_in_a_sentence(case: str, tmp_path: Path) -> None:
    make, expected = CASES[case]
    source = make(tmp_path)
    with bounded(SECONDS, MEMORY):
        shown = outcome(lambda: preview(source).text)
        found = outcome(lambda: open_corpus(source).text())
    if isinstance(expected, str):
        assert (found, shown) == (expected, expected[:4000])
    else:
        assert isinstance(found, TextError), f"was read ({found[:60]!r}), not refused"
        assert expected.search(str(found)), str(found)
        assert not list(cache.texts_dir().glob("*"))


def outcome(call: Callable[[], Any]) -> Any:
    """What ``call`` returns, or its refusal."""
    try:
        return call()
    except TextError as error:
        check_sentence(str(error))
        return error


LONG = TEXT * 100


def rewrite(path: Path) -> None:
    path.write_text(LONG.upper())
    os.utime(path, (1000, 1000))  # the clock may not have advanced


CHANGES: dict[str, Callable[[Path], object]] = {
    "grows": lambda path: os.truncate(path, 2 * len(LONG)),
    "shrinks": lambda path: os.truncate(path, 1000),
    "is rewritten": rewrite,
    "vanishes": Path.unlink,
}


@pytest.mark.parametrize("change", CHANGES)
def test_text_that_changes_meanwhile_is_refused(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = file(LONG)(tmp_path), sources._blocks

    def blocks(*arguments: Any) -> Iterator[bytes]:
        for number, block in enumerate(real(*arguments)):
            if number == 0:
                CHANGES[change](path)
            yield block

    monkeypatch.setattr(sources, "BLOCK", len(LONG) // 4)
    monkeypatch.setattr(sources, "_blocks", blocks)
    if change == "vanishes":
        assert open_corpus(path).text() == LONG
    else:
        with pytest.raises(TextError, match="changed while it was being read"):
            open_corpus(path)
