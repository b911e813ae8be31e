"""The saver: the newest text is soon in its file, whatever happens to the file, its run or the disk."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self
from unittest.mock import Mock

import pytest

from charlstm import storage
from charlstm.generation.clamp import Clamp
from charlstm.generation.document import Document
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session_file import OwnFile, SessionState, read, write
from charlstm.runs.folder import RunFolder, delete_run, rename_run
from charlstm_tui.formatting import home
from charlstm_tui.player import saved_sessions, session_saver
from charlstm_tui.player.session_saver import SavingStatus, SessionSaver
from faulty_disk import use_disk
from played_documents import about, everything, state_of, text_of
from recorded_run import record
from waiting import wait_until

TIMEOUT = 60.0


class Played:
    """A session of a test: a document that is typed into and saved."""

    def __init__(self, saver: SessionSaver, place: Path, key: int = 0, run: Path | None = None) -> None:
        self.saver, self.key, self.document = saver, key, Document("abc")
        saver.begin(key, place, run=run)

    @classmethod
    def again(cls, path: Path, saver: SessionSaver, key: int = 7, place: Path | None = None, **run: Path) -> Self:
        """The session in a file, opened."""
        played, found = cls.__new__(cls), read(path)
        played.saver, played.key, played.document = saver, key, found.state.document
        saver.go_on(key, place or path.parent, found, **run)
        return played

    def type(self, text: str) -> None:
        for char in text:
            self.document.insert(char)
            self.saver.keep(self.key, state_of(self.document))

    @property
    def status(self) -> SavingStatus:
        return self.saver.status(self.key)

    def check(self) -> Path:
        """Wait until all is saved: what is in the file is what was done. Gives the file."""
        wait_until(lambda: not self.status.unsaved, f"{self.status}")
        found = read(self.status.path)
        assert everything(found.state.document) == everything(self.document)
        assert (found.note, found.state.summary) == ("", replace(about(self.document), words=self.document.words))
        return self.status.path

    def saved(self, text: str) -> Path:
        """Type ``text``, and wait until all is saved. Gives the file."""
        self.type(text)
        return self.check()

    def leave(self, text: str = "") -> Path:
        """Type ``text``, leave the session, and wait until all is saved. Gives the file."""
        self.type(text)
        self.saver.leave(self.key)
        wait_until(lambda: self.saver._savings[self.key].file is None, "the end")
        return self.check()


class FailingDisk(storage.Disk):
    """A disk on which nothing can be changed in the folders ``full``."""

    def __init__(self) -> None:
        self.full: set[str] = set()

    def open(self, path: Path, flags: int, mode: int = storage.PRIVATE_FILE) -> int:
        if flags & os.O_CREAT and any(str(path).startswith(folder) for folder in self.full):
            raise OSError(28, "No space left on device", str(path))
        return super().open(path, flags, mode)


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    with use_disk(FailingDisk()) as disk:
        yield disk


@pytest.fixture
def saver() -> Iterator[SessionSaver]:
    saver = SessionSaver()
    yield saver
    saver.close(TIMEOUT)
    wait_until(lambda: not any("session" in each.name for each in threading.enumerate()), "the threads to end")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture
def played(saver: SessionSaver, place: Path) -> Played:
    return Played(saver, place)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return record(tmp_path / "runs", steps=10, name="mine").run


def ended(place: Path) -> Path:
    """The file of a session that a program has left."""
    saver = SessionSaver()
    played = Played(saver, place)
    played.type("ab ")
    saver.close(TIMEOUT)
    return played.check()


def mine(folder: Path, name: str = "page.json") -> Path:
    """A session that the user saved, which their group may read."""
    path = folder / name
    write(path, state_of(Document("abc")))
    path.chmod(0o640)
    return path


# ---- when it is saved


def test_newest_of_many_changes_is_written_at_once_if_asked(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_saver, "BYTES_PER_SECOND", 1)  # so that it is written again after some minutes
    played.saved("a")
    played.type("bc def " * 20)
    clamps = (Clamp(1, 2, value=0.1 + 0.2),)
    played.saver.keep(0, state_of(played.document, settings=SamplerSettings(top_k=4), clamps=clamps))
    assert played.saver.write_all(TIMEOUT)
    state = read(played.check()).state
    assert (state.settings, state.clamps) == (SamplerSettings(top_k=4), clamps)


def test_saver_that_has_nothing_to_write_does_nothing(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    played.saved("a")
    monkeypatch.setattr(session_saver, "time", Mock(wraps=time))
    time.sleep(0.1)
    assert session_saver.time.monotonic.call_count <= 2, "it may look once more after the write"


def test_what_is_kept_during_a_write_is_written_afterwards(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    writing, go_on, write_file = threading.Event(), threading.Event(), OwnFile.write

    def slow(file: OwnFile, state: SessionState) -> None:
        writing.set()
        assert go_on.wait(TIMEOUT)
        write_file(file, state)

    monkeypatch.setattr(OwnFile, "write", slow)
    played.type("a")
    assert writing.wait(TIMEOUT)
    played.type("b")
    played.saver.leave(0)
    go_on.set()
    assert text_of(played.leave()) == "abcab"


# ---- failures


def test_failed_write_is_made_again_and_said_until_it_succeeds(
    saver: SessionSaver, place: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_saver, "RETRY_AFTER", 0.01)
    played, other = Played(saver, place / "one", 1), Played(saver, place / "two", 2)
    path = played.saved("a")
    disk.full.add(str(place / "one"))
    played.type("bc ")
    wait_until(lambda: played.status.failure, "the failure")
    assert played.status.failure.endswith(": No space left on device.")
    other.saved("b")  # which the failure does not touch
    assert other.status.failure == ""
    assert not saver.flush(path, TIMEOUT)
    assert [state.document.text.read() for _, state in saver.unsaved()] == ["abcabc "]
    disk.full.clear()
    assert (played.check(), played.status.failure) == (path, "")


@pytest.mark.usefixtures("unexpected_errors")
def test_unexpected_error_is_logged_and_said_and_the_thread_lives(
    played: Played, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session_saver, "RETRY_AFTER", 0.01)
    with monkeypatch.context() as patch:
        patch.setattr(OwnFile, "write", lambda *_: 1 / 0)
        played.type("a")
        wait_until(lambda: "ZeroDivisionError" in played.status.failure, "the failure")
        assert not played.status.failure.endswith("..")
        assert "ZeroDivisionError" in caplog.text
    played.check()


def test_closing_writes_what_waits_and_what_had_failed(place: Path, disk: FailingDisk) -> None:
    saver = SessionSaver()
    played, failed = (Played(saver, place / str(key), key) for key in range(2))
    disk.full.add(str(place / "1"))
    for each in (played, failed):
        each.type("ab")
    wait_until(lambda: failed.status.failure, "the failure")
    saver._savings[1].due += 1000
    disk.full.clear()
    assert saver.close(TIMEOUT) == []
    for each in (played, failed):
        file = OwnFile(path := each.check(), read(path).stamp)  # it is not locked any more
        file.close()


def test_closing_says_what_cannot_be_written(place: Path, disk: FailingDisk) -> None:
    saver = SessionSaver()
    lost = Played(saver, place)
    disk.full.add(str(place))
    lost.type("ab")
    wait_until(lambda: lost.status.failure, "the failure")
    [left] = saver.close(0.2)
    assert left.failure == lost.status.failure


# ---- opening again


def test_session_goes_on_in_its_file_also_through_a_link(saver: SessionSaver, place: Path, tmp_path: Path) -> None:
    path = ended(place)
    (link := tmp_path / "link").symlink_to(place)
    for key, there in enumerate((place, link, link / ".." / place.relative_to(tmp_path))):
        found = read(there / path.name)
        saver.go_on(key, place, found)
        assert saver.status(key) == SavingStatus(path)
        other = Played.again(path, saver, key)
        assert (other.leave("cd"), other.status.note) == (path, "")
    assert list(place.glob("*.json")) == [path]


@pytest.mark.parametrize("automatic", [True, False])
def test_session_open_or_continued_elsewhere_gets_a_new_file(saver: SessionSaver, place: Path, automatic: bool) -> None:
    path, program = ended(place) if automatic else mine(place.parent), SessionSaver()
    theirs, here = Played.again(path, program, place=place), Played.again(path, saver, 1, place=place)
    assert theirs.saved("gh") == path
    assert here.saved("cd") != path
    assert "has changed the file of this session: here it goes on in a file of its own" in here.status.note
    third = Played.again(path, saver, 3, place=place)  # as it is now
    assert third.saved("e") not in (path, here.status.path)
    assert third.status.note == "Another program has this session open: here it goes on in a file of its own."
    assert theirs.check() == path
    program.close(TIMEOUT)


@pytest.mark.parametrize("how", ["elsewhere", "through a link", "beside the others"])
def test_file_of_the_users_is_gone_on_in_and_stays_theirs(saver: SessionSaver, place: Path, how: str) -> None:
    place.mkdir()
    path = opened = mine(place if how == "beside the others" else place.parent)
    if how == "through a link":
        opened = place.parent / "link.json"
        opened.symlink_to(path)
    content, played = path.read_bytes(), Played.again(opened, saver, place=place)
    assert played.status == SavingStatus(path, automatic=False)
    assert saver.write_all(TIMEOUT)
    assert path.read_bytes() == content  # opening writes nothing
    assert played.saved("de") == path
    assert storage.lock_path(path).exists()
    assert played.leave() == path
    assert (path.stat().st_mode & 0o777, read(path).automatic, played.status.note) == (0o640, False, "")
    assert opened is path or opened.is_symlink()
    assert not list(path.parent.glob(".*"))  # no lock is left


@pytest.mark.parametrize("how", ["damaged", "linked", "file is read-only", "folder is read-only"])
def test_unwritable_file_is_kept(saver: SessionSaver, place: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = mine(place.parent)
    if how == "damaged":
        path.write_bytes(path.read_bytes()[:-20])
    elif how == "linked":
        os.link(path, path.with_name("other.json"))
    else:  # root may write everywhere
        refused = path if how.startswith("file") else path.parent
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != refused)
    content, note = path.read_bytes(), read(path).note
    played = Played.again(path, saver, place=place)
    played.document.insert("gh")
    saver.keep(played.key, state_of(played.document))
    assert played.check().parent == place
    assert path.read_bytes() == content
    said = {"damaged": "", "linked": "hard links"}.get(how, "cannot be written")
    assert said in played.status.note
    assert bool(played.status.note or note)
    assert not storage.lock_path(path).exists()


@pytest.mark.parametrize("how", ["changed", "deleted"])
@pytest.mark.parametrize("automatic", [True, False])
def test_changed_or_deleted_file_is_not_written(saver: SessionSaver, place: Path, how: str, automatic: bool) -> None:
    path = ended(place) if automatic else mine(place.parent)
    played = Played.again(path, saver, place=place)
    played.saved("d")
    if how == "changed":
        path.with_name("other").write_text("by hand")
        os.replace(path.with_name("other"), path)
    else:
        path.unlink()
    new = played.saved("e")
    assert (new.parent, played.status.automatic) == (place, True)
    assert how in played.status.note
    assert how == "deleted" or (new != path and path.read_text() == "by hand")


class Told:
    """What is said of a session that is saved by name."""

    def __init__(self, played: Played, path: Path) -> None:
        self.saved, self.failed = list[str](), list[str]()
        played.saver.keep(played.key, state_of(played.document))
        played.saver.move(played.key, path, self.saved.append, self.failed.append)
        wait_until(lambda: self.saved or self.failed, "a word")


def test_text_that_is_saved_by_name_goes_on_there_and_has_no_other_file(played: Played, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    own, path = played.saved("d"), folder / "page.json"
    told = Told(played, folder / "page")
    assert told.saved == [f"Saved as page.json in {home(folder)}; the text goes on there."]
    assert played.check() == path
    wait_until(lambda: not own.exists(), "the app's own file to be deleted")
    wait_until(lambda: not storage.lock_path(own).exists(), "its lock")
    assert (played.saved("e"), read(path).automatic) == (path, False)
    other = mine(tmp_path, "other.json")
    assert Told(played, other).saved
    assert played.leave("f") == other
    assert (text_of(path), text_of(other)) == ("abcde", "abcdef")
    assert saved_sessions.own_files() == [other, path]
    assert [each.path for each in saved_sessions.everywhere(own.parent)] == [other, path]


def test_text_that_cannot_be_saved_by_name_stays_where_it_is(played: Played, tmp_path: Path, disk: FailingDisk) -> None:
    program = SessionSaver()
    own, full, used = played.saved("d"), tmp_path / "full", mine(tmp_path)
    disk.full.add(str(full))
    [failure] = Told(played, full / "page.json").failed
    assert failure == f"{full / 'page.json'} cannot be written: No space left on device."
    assert "is a folder" in Told(played, tmp_path).failed[0]
    theirs = Played.again(used, program, place=own.parent)
    theirs.saved("x")
    assert Told(played, used).failed == ["page.json is open in another program: choose another name."]
    assert (played.saved("e"), played.status.automatic) == (own, True)
    assert not saved_sessions.own_files()
    theirs.check()
    program.close(TIMEOUT)


def test_session_that_was_left_goes_on_in_its_file(saver: SessionSaver, played: Played) -> None:
    path = played.leave("ab ")
    assert played.leave("c") == path  # undo has gone back to it
    other = Played.again(path, saver)  # it was opened from the list
    assert not saver.knows(0)
    assert (other.saved("d"), other.status.note) == (path, "")


# ---- runs


def test_sessions_follow_their_run_through_a_rename(saver: SessionSaver, run: RunFolder, place: Path) -> None:
    opened, own = ended(run.sessions_dir), mine(run.sessions_dir)
    played, later = Played(saver, run.sessions_dir, 0, run.path), Played(saver, run.sessions_dir, 1, run.path)
    again, another = Played.again(opened, saver, 2, run=run.path), Played.again(own, saver, 3, place=place)
    path = played.saved("ab ")
    assert another.saved("ab ") == own
    renamed = rename_run(run, "other")
    saver.rename_run(run.path, renamed.path)
    record(run.path.parent, steps=10, name="mine")  # another one, which has its name now
    before = sorted(each.name for each in run.path.rglob("*"))
    for each, name in ((played, path.name), (later, None), (again, opened.name), (another, own.name)):
        file = each.leave("cd")
        assert (file.parent, each.status.note) == (renamed.sessions_dir, "")
        assert name in (None, file.name)
    assert sorted(each.name for each in run.path.rglob("*")) == before
    assert not storage.lock_path(renamed.sessions_dir / own.name).exists()


def test_session_of_a_deleted_run_goes_on_in_the_folder_of_the_app(saver: SessionSaver, run: RunFolder) -> None:
    played = Played(saver, run.sessions_dir, run=run.path)
    path = played.saved("ab ")
    assert delete_run(run) == []  # its locks go with it
    played.type("cd")
    wait_until(lambda: played.status.path != path, "another file")
    new = played.check()
    assert "sessions" in new.parts
    assert played.status.note == f"The run mine is not there any more; the text is kept in {home(new.parent)}."
    assert not run.path.exists()


# ---- names and old sessions


def test_newest_open_and_named_sessions_are_kept(played: Played, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_sessions, "MOST_AUTO", 3)
    monkeypatch.setattr(saved_sessions, "MOST_OTHERS", 2)
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now - 2e4)  # so that it is the oldest
        path = played.saved("ab ")
        assert played.saver._jobs.wait(TIMEOUT)  # it deletes old sessions, too

    def saved(name: str, moment: float, *, edited: bool = True, automatic: bool = True) -> Path:
        summary = replace(about(played.document), edited=edited)
        write(place / name, SessionState(played.document.copy(), summary), automatic=automatic)
        os.utime(place / name, (moment, moment))
        return place / name

    stories = [saved(f"auto-20990101-00000{age}.json", now - 1e4 - age) for age in range(4)]
    grown = [saved(f"auto-20990102-00000{age}.json", now - age, edited=False) for age in range(4)]
    named = [saved(name, now - 1e6, automatic=False) for name in ("auto-20260101-000000.json", "mine.json")]
    future = saved("auto-20990101-000050.json", now + 1e6)
    saved_sessions.forget_old(place)  # as another program does it, without knowing of this one
    assert set(place.glob("*.json")) == {path, *stories[:3], *grown[:2], *named, future}
    assert not storage.lock_path(stories[3]).exists()
    assert played.saved("cd") == path


def test_session_is_as_old_as_its_last_change_of_the_text(played: Played) -> None:
    path = played.saved("x")
    before = saved_sessions.session_at(path)
    played.document.move(1)
    settings = SamplerSettings(temperature=0.5)
    played.saver.keep(played.key, state_of(played.document, settings=settings))
    wait_until(lambda: read(path).state.settings == settings, "the settings")
    assert saved_sessions.session_at(path).saved == before.saved
