"""List the texts to choose from: built in, in ``data/``, used before, in the folder that is being browsed, fetched and
to be fetched.

Names and sizes only. A slow disk may take a moment for a folder, so call this in a thread other than the screen's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from charlstm.runs.lesson import lesson_path
from charlstm.runs.models import DEMO, demo_path
from charlstm.text import remote
from charlstm.text.builtin import builtins
from charlstm.text.remote import RemoteText
from charlstm_tui.formatting import working_folder

MOST = 1_000  # listed entries of a folder
RECENT = 8
NOT_TEXT = frozenset((
    ".7z", ".a", ".avi", ".bin", ".bz2", ".class", ".db", ".dll", ".dylib", ".exe", ".gif", ".ico", ".jar",
    ".jpeg", ".jpg", ".lock", ".mkv", ".mo", ".mov", ".mp3", ".mp4", ".npy", ".npz", ".o", ".ogg", ".onnx", ".otf",
    ".pkl", ".png", ".pt", ".pth", ".net", ".pyc", ".pyd", ".rar", ".safetensors", ".so", ".sqlite", ".tar", ".tgz",
    ".ttf", ".wav", ".webm", ".webp", ".whl", ".woff", ".woff2", ".zst",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class ListedText:
    """A text: ``source`` is what ``open_corpus`` takes; ``chars`` of a built-in, ``octets`` of a file."""

    source: str
    name: str
    chars: int | None = None
    octets: int | None = None

    @property
    def key(self) -> str:
        return self.source


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder to go into; ``up``: the parent folder."""

    path: Path
    name: str
    up: bool = False

    @property
    def key(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class BoxModel:
    """The model in the box, to be played at once."""

    name: str = "the model in the box"
    key: str = DEMO


@dataclass(frozen=True, slots=True)
class Lesson:
    """The runs of the lesson, to be put among the user's."""

    name: str = "a lesson"
    key: str = "lesson"


@dataclass(frozen=True, slots=True)
class ToFetch:
    """A text of the catalogue that is not here yet."""

    text: RemoteText

    @property
    def name(self) -> str:
        return self.text.name

    @property
    def key(self) -> str:
        return self.text.name


Entry = ListedText | Folder | BoxModel | Lesson | ToFetch


@dataclass(frozen=True, slots=True)
class Section:
    """A caption and the entries under it; ``problem`` says why they cannot be listed."""

    title: str
    about: str
    entries: tuple[Entry, ...]
    problem: str = ""


def sections(browsed: Path, recent: Iterable[str], given: str | None = None) -> tuple[Section, ...]:
    """All texts to choose from. ``recent`` are the sources of runs, the newest first.

    The user's own come first: the text of the command line, the texts of the folder, those in ``data/``, and those of
    runs. Then come the model in the box and the lesson, the built-in texts and those that were fetched. A folder
    without a text by its name comes after them: it has none, or, like a clone of a repository, other files that few
    want to train on. Last are the texts that can be fetched.
    """
    fetchable = remote.catalogue()
    first: list[Section] = []
    known: set[str] = set()
    if given is not None and (text := _given_text(given)) is not None:
        known.add(text.source)
        first.append(Section("GIVEN", "", (text,)))
    texts, folders, problem = _entries(browsed)
    texts = [text for text in texts if text.source not in known]
    up = () if browsed.parent == browsed else (Folder(browsed.parent, "..", up=True),)
    folder = Section("FOLDER", str(browsed), (*texts, *up, *folders), problem)
    here = working_folder()
    in_data, _, _ = _entries(here / "data")
    listed = [Section("DATA/", "", tuple(in_data))]
    known |= {text.source for text in (*texts, *in_data)}
    here_already = [_fetched(each.name, each.path) for each in fetchable.values() if each.path]
    fetched = tuple(each for each in here_already if each.source not in known)
    known |= {each.source for each in fetched}
    listed.append(Section("RECENT", "", _recent(recent, known)))
    shipped: dict[Entry, Path | None] = {BoxModel(): demo_path(), Lesson(): lesson_path()}
    listed.append(Section("TRY AT ONCE", "", tuple(entry for entry, path in shipped.items() if path is not None)))
    built_in = tuple(
        ListedText(each.name, each.name, chars=each.chars) for each in builtins() if each.name not in known
    )
    listed.append(Section("BUILT IN", "", built_in))
    listed.append(Section("FETCHED", "", fetched))
    to_fetch = tuple(ToFetch(each) for each in fetchable.values() if not each.path)
    has_texts = browsed != here or any(is_likely_text(text) for text in texts)
    return (
        *first,
        *([folder] if has_texts else ()),
        *(one for one in listed if one.entries),
        *([] if has_texts else [folder]),
        *([Section("TO FETCH", "not here yet", to_fetch)] if to_fetch else []),
    )


def is_likely_text(text: ListedText) -> bool:
    """Whether the name of a file says that it is a text."""
    return text.name.lower().endswith((".txt", ".epub", ".docx", ".odt"))


def first_entry(found: Sequence[Section]) -> ListedText | BoxModel | None:
    """What the cursor is on at first: the text that was given, else a likely text, else the model in the box."""
    entries = [entry for section in found for entry in section.entries if isinstance(entry, (ListedText, BoxModel))]
    likely = (each for each in entries if isinstance(each, BoxModel) or is_likely_text(each) or not _is_file(each))
    return entries[0] if found and found[0].title == "GIVEN" else next(likely, entries[0] if entries else None)


def _is_file(text: ListedText) -> bool:
    return os.path.isabs(text.source)


def _given_text(source: str) -> ListedText | None:
    """The text of the command line; ``None`` for one that can be fetched and is not here."""
    path = Path(os.path.expanduser(source))
    if source == path.name and not os.path.exists(path):
        for builtin in builtins():
            if builtin.name == source:
                return ListedText(source, source, chars=builtin.chars)
        if (text := remote.catalogue().get(source)) is not None:
            return _fetched(source, text.path) if text.path else None
    return ListedText(str(path.absolute()), path.name or source, octets=_octets(path))


def _fetched(name: str, path: Path) -> ListedText:
    return ListedText(str(path), name, octets=_octets(path))


def _octets(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _recent(sources: Iterable[str], known: set[str]) -> tuple[ListedText, ...]:
    own = dict.fromkeys(source for source in sources if os.path.isabs(source) and source not in known)
    there = (source for source in own if os.path.exists(source))  # Path.exists raises in a folder that is closed
    return tuple(ListedText(each, Path(each).name, octets=_octets(Path(each))) for each in islice(there, RECENT))


def _entries(folder: Path) -> tuple[list[ListedText], list[Folder], str]:
    """The texts and folders of a folder, and why it cannot be listed."""
    folders: list[Folder] = []
    texts: list[ListedText] = []
    try:
        with os.scandir(folder) as found:
            for entry in islice(found, MOST):
                if entry.name.startswith(".") or os.path.splitext(entry.name)[1].lower() in NOT_TEXT:
                    continue
                try:
                    if entry.is_dir():
                        folders.append(Folder(Path(entry.path), entry.name + "/"))
                    elif entry.is_file():  # neither pipe nor device, and no broken link
                        texts.append(ListedText(entry.path, entry.name, octets=entry.stat().st_size))
                except OSError:
                    continue
    except FileNotFoundError:
        return [], [], "This folder is gone."
    except OSError as error:
        return [], [], f"This folder cannot be listed: {error.strerror}."
    return sorted(texts, key=_name), sorted(folders, key=_name), ""


def _name(entry: ListedText | Folder) -> str:
    return entry.name.casefold()
