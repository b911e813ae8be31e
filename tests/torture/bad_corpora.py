"""Bad and strange corpora: what must become of each, in the library, the command line, the preview and in training.

``python tests/torture/bad_corpora.py [--train]`` prints each case with its outcome and fails when one is not as stated:
the right characters, or one sentence. Nothing may hang, take much memory or end in any other exception. ``--train``
also trains three steps on every text that can be read.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from charlstm.cli.main import run as command_line
from charlstm.errors import TextError
from charlstm.text import sources
from charlstm.text.catalogue import find_texts
from charlstm.text.corpus import open_corpus, preview
from charlstm.text.reading import TextOptions

SECONDS = 30.0
MEMORY = 400 * 2**20
SENTENCE = "The morning she had not been in the house, and the sea was there.\n"
TEXT = SENTENCE * 40


class Wrong(Exception):
    """An outcome that is not as stated."""


class Late(BaseException):
    """The time is up."""


@dataclass(frozen=True)
class Case:
    """``make`` puts the corpus into an empty folder and returns what a person would name.

    ``expect``: the exact text that is learnt from, a function that checks the corpus's text, or, as a compiled pattern,
    the sentence. ``options`` as for reading. ``meanwhile`` is called in a thread of its own while it is read.
    """

    name: str
    make: Callable[[Path], Any]
    expect: str | re.Pattern[str] | Callable[[str], bool]
    options: TextOptions = field(default_factory=TextOptions)
    long: bool = False
    """Takes seconds: left out of the short form."""
    command: bool = True
    """Whether it can be named on the command line."""


def file(content: bytes | str, name: str = "text.txt") -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        path = place / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def says(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


# ── makers that are more than bytes ─────────────────────────────────────────────────────────────────────────────────


def fifo(place: Path) -> Path:
    os.mkfifo(place / "pipe.txt")
    return place / "pipe.txt"


def unix_socket(place: Path) -> Path:
    with contextlib.chdir(place), socket.socket(socket.AF_UNIX) as made:
        made.bind("socket.txt")
    return place / "socket.txt"


def link_loop(place: Path) -> Path:
    (place / "a.txt").symlink_to("b.txt")
    (place / "b.txt").symlink_to("a.txt")
    return place / "a.txt"


def broken_link(place: Path) -> Path:
    (place / "a.txt").symlink_to("gone.txt")
    return place / "a.txt"


def folder_with_loop(place: Path) -> Path:
    folder = place / "texts"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.txt").write_text(TEXT)
    (folder / "inner" / "up").symlink_to(folder)
    (folder / "inner" / "b.txt").write_text("b\n")
    os.mkfifo(folder / "pipe.txt")
    (folder / "self.txt").symlink_to("self.txt")
    (folder / ".hidden.txt").write_text("hidden")
    return folder


def empty_folder(place: Path) -> Path:
    (place / "texts").mkdir()
    return place / "texts"


def folder_of_empty_files(place: Path) -> Path:
    folder = empty_folder(place)
    for name in ("a.txt", "b.txt"):
        (folder / name).touch()
    return folder


def folder_of_other_files(place: Path) -> Path:
    folder = empty_folder(place)
    for name in ("a.md", "b.md", "c.rst"):
        (folder / name).write_text(TEXT)
    return folder


def mixed_folder(place: Path) -> Path:
    folder = empty_folder(place)
    (folder / "a.txt").write_text("Älter\r\n", encoding="utf-16", newline="")
    (folder / "b.txt").write_bytes("Möwe über Köln, größer, schöner, früher\n".encode("cp1252"))
    (folder / "c.txt").write_text("grün")
    return folder


def folder_with_a_picture(place: Path) -> Path:
    folder = empty_folder(place)
    (folder / "a.txt").write_text(TEXT)
    (folder / "b.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + random.Random(0).randbytes(5000))
    return folder


def many_files(place: Path) -> Path:
    folder = empty_folder(place)
    for number in range(2000):
        (folder / f"{number:04}.txt").write_text(f"{number}\n")
    return folder


def deep_folder(place: Path) -> Path:
    folder = place / "texts"
    for level in range(60):
        folder = folder / f"d{level}"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("deep\n")
    return place / "texts"


def no_permission(place: Path) -> Path:
    path = file(TEXT)(place)
    path.chmod(0)
    return path


def folder_without_permission(place: Path) -> Path:
    folder = empty_folder(place)
    (folder / "a.txt").write_text(TEXT)
    folder.chmod(0)
    return folder


def sparse(place: Path) -> Path:
    with (place / "sparse.txt").open("wb") as made:
        made.truncate(2 * 2**30)
    return place / "sparse.txt"


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


def changing(change: Callable[[Path, int], None]) -> Callable[[Path], Path]:
    """A file of some megabytes that ``change(path, round)`` works on as soon as its first block has been read."""

    def make(place: Path) -> Path:
        path = place / "changing.txt"
        path.write_text(TEXT * CHANGING)
        _MEANWHILE.append(lambda turn: change(path, turn))
        return path

    return make


_MEANWHILE: list[Callable[[int], None]] = []


def grow(path: Path, turn: int) -> None:
    with path.open("a") as open_file:
        open_file.write(TEXT)


def shrink(path: Path, turn: int) -> None:
    os.truncate(path, 1000)


def vanish(path: Path, turn: int) -> None:
    path.unlink(missing_ok=True)


def become_a_pipe(path: Path, turn: int) -> None:
    if turn == 0:
        path.unlink()
        os.mkfifo(path)


def rewrite(path: Path, turn: int) -> None:
    path.write_text(TEXT.upper() * 4000)


def words(count: int, low: int, high: int) -> str:
    """``count`` different characters from ``low`` on."""
    chars = (chr(code) for code in range(low, high) if unicodedata.category(chr(code))[0] in "LNPS")
    return "".join(char for char, _ in zip(chars, range(count), strict=False))


NUL_TEXT = "\0" * 5000
MANY = unicodedata.normalize("NFC", words(60_000, 0x4E00, 0x20000)) + TEXT
BIDI = "abc \u202egnp.exe\u202c \u2066x\u2069 \u200b\u200d\ufeff def\n" * 30
ESCAPES = "\x1b[2J\x1b]0;title\x07\x1b]52;c;AAAA\x07[/red] [bold]x[/bold]\n" * 30
STRANGE = "\ufffe\uffff\ue000\U0010ffff\n" * 100
SEPARATORS = "a\u2028b\u2029c\x85d\x0ce\x0bf\n" * 50
RUSSIAN = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему.\n"
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n"
BINARY = random.Random(1).randbytes(20_000)

CASES: tuple[Case, ...] = (
    # too little
    Case("empty", file(b""), says("is empty")),
    Case("only a byte order mark", file(b"\xef\xbb\xbf"), says("is empty")),
    Case("only a UTF-16 byte order mark", file(b"\xff\xfe"), says("is empty")),
    Case("one character", file("a"), "a"),
    Case("one newline", file("\n"), "\n"),
    Case("two characters", file("ab"), "ab"),
    Case("one line without an end", file(SENTENCE.strip()), SENTENCE.strip()),
    Case("one very long line", file("ab " * 400_000), "ab " * 400_000, long=True),
    Case("all the same character", file("a" * 10_000), "a" * 10_000),
    Case("only newlines", file("\n" * 5000), "\n" * 5000),
    Case("only spaces", file(" " * 5000), " " * 5000),
    Case("a thousand characters", file(TEXT[:1000]), TEXT[:1000]),
    # bytes that are no text
    Case("only NULs", file(NUL_TEXT), says("NUL")),
    Case("NULs among text", file(("a\0b" * 3 + SENTENCE) * 50), lambda text: "\0" in text and len(text) > 3000),
    Case("random bytes", file(BINARY), says("binary|not text")),
    Case("every byte value", file(bytes(range(256)) * 40), says("binary|not text")),
    Case("a picture", file(b"\x89PNG\r\n\x1a\n" + BINARY), says("binary|not text")),
    Case("gzip", file(gzip.compress(TEXT.encode()), "text.txt.gz"), says("compressed|gz")),
    Case("a zip archive", file(b"PK\x03\x04" + BINARY, "a.txt"), says("zip")),
    Case("a PDF", file(b"%PDF-1.7\n" + BINARY), says("PDF")),
    Case("a program", file(b"\x7fELF\x02\x01\x01" + BINARY), says("binary|not text")),
    Case("a pickle", file(b"\x80\x04\x95" + BINARY), says("binary|not text")),
    Case("a model of ours", lambda place: a_model(place), says("binary|not text|model")),
    Case("text, then binary", file(TEXT.encode() * 3 + BINARY * 40), says("not text|binary")),
    # encodings
    Case("UTF-8 with mark", file(b"\xef\xbb\xbf" + TEXT.encode()), TEXT),
    Case("UTF-16 little-endian with mark", file(TEXT.encode("utf-16")), TEXT),
    Case("UTF-16 big-endian with mark", file(b"\xfe\xff" + TEXT.encode("utf-16-be")), TEXT),
    Case("UTF-16 without mark", file(TEXT.encode("utf-16-le")), TEXT),
    Case("UTF-16 big-endian without mark", file(TEXT.encode("utf-16-be")), TEXT),
    Case("UTF-16 cut inside a character", file(TEXT.encode("utf-16") + b"a"), TEXT + "\ufffd"),
    Case("UTF-16 with a lone surrogate",
         file("ab\ud800c\n".encode("utf-16", "surrogatepass") + TEXT.encode("utf-16-le")),
         lambda text: text.startswith("ab\ufffd") and text.endswith(SENTENCE)),
    Case("UTF-32", file(TEXT.encode("utf-32")), TEXT),
    Case("invalid UTF-8 here and there", file((SENTENCE.encode() * 20 + b"\xff\xfe\x80") * 3),
         lambda text: text.count("\ufffd") == 9 and text.count(SENTENCE) == 60),
    Case("UTF-8 cut inside a character", file((SENTENCE * 3 + "é").encode()[:-1]),
         lambda text: text.startswith(SENTENCE * 3) and len(text) == len(SENTENCE * 3) + 1),
    Case("surrogates in UTF-8", file(TEXT.encode() + b"\xed\xa0\x80" + TEXT.encode()), lambda text: "\ufffd" in text),
    Case("overlong UTF-8", file(TEXT.encode() + b"\xc0\xaf\n" + TEXT.encode()),
         lambda text: text.count(SENTENCE) == 80),
    Case("beyond Unicode", file(TEXT.encode() + b"\xf5\x90\x80\x80" + TEXT.encode()), lambda text: "\ufffd" in text),
    Case("Windows-1252", file("“Möwe” – größer über Köln, naïve café, déjà vu\n".encode("cp1252") * 30),
         "“Möwe” – größer über Köln, naïve café, déjà vu\n" * 30),
    Case("KOI8-R", file(RUSSIAN.encode("koi8-r") * 60), RUSSIAN * 60),
    Case("Shift JIS", file(JAPANESE.encode("shift-jis") * 60), JAPANESE * 60),
    Case("named in a wrong encoding", file(RUSSIAN * 60), says("not text in ascii"), TextOptions(encoding="ascii")),
    Case("two encodings in one file", file(TEXT.encode() + "größer\n".encode("cp1252") * 20),
         lambda text: text.startswith(TEXT)),
    Case("UTF-7 lookalike", file("+ADw-script+AD4-\n" * 50), "+ADw-script+AD4-\n" * 50),
    # newlines and strange characters
    Case("CRLF", file(TEXT.replace("\n", "\r\n")), TEXT),
    Case("CR", file(TEXT.replace("\n", "\r")), TEXT),
    Case("mixed newlines", file("a\rb\r\nc\n\r\nd" * 100), "a\nb\nc\n\nd" * 100),
    Case("CR at the edge of blocks", lambda place: file(b"x" * (sources.BLOCK - 1) + b"\r\n" + b"y\n")(place),
         "x" * (sources.BLOCK - 1) + "\ny\n", long=True),
    Case("60,000 distinct characters", file(MANY), MANY),
    Case("bidirectional and invisible controls", file(BIDI), BIDI),
    Case("escape sequences and markup", file(ESCAPES), ESCAPES),
    Case("decomposed accents", file("e\u0301a\u0308" * 500), "éä" * 500),
    Case("a million combining marks", file("a" + "\u0301\u0323" * 500_000), lambda text: len(text) > 900_000,
         long=True),
    Case("emoji, joined and flagged", file("👩‍👩‍👧🇩🇪🏴‍☠️\n" * 200), "👩‍👩‍👧🇩🇪🏴‍☠️\n" * 200),
    Case("noncharacters and private use", file(STRANGE), STRANGE),
    Case("line and paragraph separators", file(SEPARATORS), SEPARATORS),
    # what is no file
    Case("nothing there", under("/nowhere/at/all.txt"), says("There is no file")),
    Case("an empty name", lambda place: "", says("no|folder")),
    Case("a name with a NUL", lambda place: "a\0b", says("not a valid path|no file"), command=False),
    Case("a name that is too long", lambda place: "x" * 5000, says("cannot be read|no file")),
    Case("below a file", lambda place: file(TEXT)(place) / "x", says("cannot be read|no file")),
    Case("a FIFO", fifo, says("pipe")),
    Case("a socket", unix_socket, says("pipe|device|cannot be read")),
    Case("/dev/null", under("/dev/null"), says("device")),
    Case("/dev/zero", under("/dev/zero"), says("device")),
    Case("/dev/stdin as a terminal or pipe", under("/dev/tty"), says("device|cannot be read")),
    Case("/proc/self/mem", under("/proc/self/mem"), says("empty|cannot be read|changed")),
    Case("/proc/self/cmdline", under("/proc/self/cmdline"), says("empty|binary|changed")),
    Case("a link loop", link_loop, says("cannot be read|There is no file")),
    Case("a broken link", broken_link, says("There is no file")),
    Case("no permission", no_permission, says("no permission")),
    # folders
    Case("a folder with a link loop, a pipe and hidden files", folder_with_loop, TEXT + "b\n"),
    Case("an empty folder", empty_folder, says("no files")),
    Case("a folder of empty files", folder_of_empty_files, says("empty")),
    Case("a folder of other files", folder_of_other_files, says(r"\*\.md")),
    Case("a folder of three encodings", mixed_folder, "Älter\nMöwe über Köln, größer, schöner, früher\ngrün"),
    Case("a folder with a picture in it", folder_with_a_picture, says(r"b\.txt looks like binary data")),
    Case("a folder of 2,000 files", many_files, "".join(f"{number}\n" for number in range(2000)),
         long=True),
    Case("a deep folder", deep_folder, "deep\n"),
    Case("a folder without permission", folder_without_permission, says("permission|no files|cannot be")),
    # names that want to get out
    Case("a name of escape sequences", named("\x1b[2J\x1b]0;x\x07[bold].txt"), TEXT),
    Case("a name that turns the writing", named("\u202etxt.exe\n.txt"), TEXT),
    Case("a name that is no UTF-8", named(b"\xff\xfe.txt"), TEXT),
    Case("a name like an option", named("--help.txt"), TEXT),
    # files that do not keep still
    Case("grows while it is read", changing(grow), says("changed")),
    Case("shrinks while it is read", changing(shrink), says("changed")),
    Case("is rewritten while it is read", changing(rewrite), says("changed")),
    Case("vanishes while it is read", changing(vanish), TEXT * CHANGING),
    Case("becomes a pipe while it is read", changing(become_a_pipe), TEXT * CHANGING),
    # much
    Case("2 GB of nothing", sparse, says("NUL")),
    Case("text, then 2 GB of nothing", sparse_after_text, says("NUL"), long=True),
    Case("text, then 2 GB, of which little is asked", sparse_after_text, (TEXT * 20)[:4000],
         TextOptions(max_chars=4000)),
)  # fmt: skip


def a_model(place: Path) -> Path:
    from charlstm.model.file import save_model
    from recorded_run import tiny_model

    save_model(place / "model.txt", tiny_model())
    return place / "model.txt"


# ── trying them ─────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def restless() -> Iterator[None]:
    """While inside, what :func:`changing` asked for happens after the first block of the second look at the file."""
    if not _MEANWHILE:
        yield
        return
    change, turn, real = _MEANWHILE.pop(), 0, sources._blocks

    def blocks(*arguments: Any) -> Iterator[bytes]:
        nonlocal turn
        for block in real(*arguments):
            if turn == 0:
                thread = threading.Thread(target=change, args=(0,))
                thread.start()
                thread.join()
                turn = 1
            yield block

    sources._blocks = blocks  # type: ignore[assignment]
    try:
        yield
    finally:
        sources._blocks = real


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """At most :data:`SECONDS`, and :data:`MEMORY` more than before."""

    def late(*_: Any) -> None:
        raise Late

    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    except Late:
        raise Wrong(f"it took more than {SECONDS:.0f} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if (taken := resident("VmHWM") - before) > MEMORY:
        raise Wrong(f"it took {taken >> 20} MB")


def resident(name: str) -> int:
    """Resident bytes now (``VmRSS``) or at most since they were last forgotten (``VmHWM``)."""
    try:
        return 1024 * int(Path("/proc/self/status").read_text().partition(f"{name}:")[2].split()[0])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def check_sentence(sentence: str, pattern: re.Pattern[str]) -> None:
    if "\n" in sentence or "\x1b" in sentence or not pattern.search(sentence):
        raise Wrong(f"said {sentence[:300]!r}, not {pattern.pattern!r}")


def check_text(case: Case, text: str) -> None:
    if isinstance(case.expect, re.Pattern):
        raise Wrong(f"was read ({text[:60]!r}), not refused")
    right = text == case.expect if isinstance(case.expect, str) else case.expect(text)
    if not right:
        raise Wrong(f"was read as {text[:80]!r} … {text[-80:]!r} ({len(text):,} characters)")


def library(case: Case, source: Any) -> str:
    try:
        with restless():
            text = open_corpus(source, case.options).text()
    except TextError as error:
        if not isinstance(case.expect, re.Pattern):
            raise Wrong(f"was refused: {error}") from None
        check_sentence(str(error), case.expect)
        return "refused"
    check_text(case, text)
    return "read"


def look(case: Case, source: Any) -> None:
    """The app's preview, and its list of the folder: they show the beginning or say why not."""
    try:
        shown = preview(source, 4000, case.options).text
    except TextError as error:
        if not isinstance(case.expect, re.Pattern):
            raise Wrong(f"has no preview: {error}") from None
        return
    if isinstance(case.expect, str) and shown != case.expect[:4000]:
        raise Wrong(f"is previewed as {shown[:80]!r}")
    path = Path(source)
    with contextlib.suppress(TextError):
        find_texts(path if path.is_dir() else path.parent)


def command(arguments: list[str], refused: re.Pattern[str] | None) -> str:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command_line(arguments)
    said = err.getvalue()
    if refused is not None:
        if code not in (1, 2):
            raise Wrong(f"{arguments[0]} ended with {code}, not refused")
        check_sentence(said.rstrip("\n").split("\n")[-1], refused)
    elif code != 0:
        raise Wrong(f"{arguments[0]} ended with {code}: {said[-300:]}")
    return out.getvalue()


def given(case: Case) -> list[str]:
    """The case's options for the command line."""
    options = []
    if case.options.encoding:
        options += ["--encoding", case.options.encoding]
    if case.options.max_chars:
        options += ["--max-chars", str(case.options.max_chars)]
    return options


def stats(case: Case, source: Any) -> None:
    refused = case.expect if isinstance(case.expect, re.Pattern) else None
    answer = command(["stats", "--json", *given(case), "--", str(source)], refused)
    if refused is None and isinstance(case.expect, str) and json.loads(answer)["chars"] != len(case.expect):
        raise Wrong(f"stats counts {json.loads(answer)['chars']:,} characters")


def train(case: Case, source: Any, place: Path) -> None:
    """Three steps, or one sentence: too little text is one as well."""
    tiny = ["hidden_size=4", "num_layers=1", "batch_size=2", "seq_length=8", "kernel=nn", "threads=1", "device=cpu"]
    settings = [word for each in tiny for word in ("--set", each)]
    arguments = ["train", *given(case), "--max-steps", "3", "--plain", *settings, "--runs-dir", str(place / "runs")]
    refused = case.expect if isinstance(case.expect, re.Pattern) else None
    nothing = isinstance(case.expect, str) and len(case.expect) < 2
    if nothing:
        refused = re.compile("too little|too short|at least|two characters")
    command([*arguments, "--", str(source)], refused)
    shutil.rmtree(place / "runs", ignore_errors=True)


def ways(case: Case, train_too: bool) -> Iterator[Callable[[Any, Path], Any]]:
    """Each way in which a case is read, with a fresh corpus each."""
    yield lambda source, place: library(case, source)
    if not case.name.endswith("while it is read"):
        yield lambda source, place: look(case, source)
        if case.command:
            yield lambda source, place: stats(case, source)
            if train_too:
                yield lambda source, place: train(case, source, place)


def attempt(case: Case, train_too: bool, user: int | None) -> str | None:
    """Why the case is not as stated, or None."""
    for way in ways(case, train_too):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder).resolve()
            os.environ["CHARLSTM_CACHE"], os.environ["CHARLSTM_STATE"] = str(place / "cache"), str(place / "state")
            os.environ["XDG_STATE_HOME"] = str(place / "state-home")
            texts = place / "texts"
            texts.mkdir()
            _MEANWHILE.clear()
            try:
                if user is not None:  # root may read everything
                    os.chown(place, user, -1)
                    os.chown(texts, user, -1)
                    os.seteuid(user)
                source = case.make(texts)
                with limited():
                    way(source, place)
            except Wrong as wrong:
                return str(wrong)
            except Exception as error:
                return "".join(traceback.format_exception(error, limit=-6)).rstrip()
            finally:
                if user is not None:
                    os.seteuid(0)
                for path in (texts / "texts", texts):
                    if path.exists() and not path.is_symlink():
                        path.chmod(0o700)
    return None


NOBODY = 65534


def try_all(cases: list[Case], train_too: bool) -> dict[str, str]:
    """Name → what went wrong."""
    lost = {}
    for case in cases:
        user = NOBODY if "permission" in case.name and hasattr(os, "geteuid") and os.geteuid() == 0 else None
        began = time.monotonic()
        wrong = attempt(case, train_too, user)
        outcome = "refused in a sentence" if isinstance(case.expect, re.Pattern) else "read"
        print(f"{case.name:<52}{outcome if wrong is None else 'LOST':<24}{time.monotonic() - began:6.1f} s", flush=True)
        if wrong is not None:
            lost[case.name] = wrong
            print("    " + wrong.replace("\n", "\n    "), file=sys.stderr)
    return lost


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", action="store_true", help="also train three steps on each")
    parser.add_argument("--short", action="store_true", help="leave out what takes seconds")
    parser.add_argument("--only", help="cases whose name has this in it")
    asked = parser.parse_args()
    cases = [case for case in CASES if not (asked.short and case.long) and (asked.only or "") in case.name]
    began = time.monotonic()
    lost = try_all(cases, asked.train)
    print(f"{len(cases)} kinds of corpus in {time.monotonic() - began:.0f} s, {len(lost)} lost")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
