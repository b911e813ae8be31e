"""The saver: what is done to a session is in its file at once, whatever happens to the file, its run or the disk."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charlstm import storage
from charlstm.generation.clamp import Clamp
from charlstm.generation.document import Document
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.saved_state import load
from charlstm.generation.saving import copy_tree, save_session
from charlstm.generation.session import Session
from charlstm.generation.session_document import document_of
from charlstm.generation.session_log import SeenFile, SessionLog, SessionState, SessionSummary, give_title, read
from charlstm.runs.folder import Run, delete_run, rename_run
from charlstm_tui.player import saved_sessions, session_saver
from charlstm_tui.player.session_saver import SavingStatus, SessionSaver
from played_documents import about
from recorded_run import record, tiny_model

SYMBOLS = tuple(" abcdefgh\n")
TIMEOUT = 60.0


def wait(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)


def state_of(document: Document, **values: Any) -> SessionState:
    return SessionState(document.copy(), SYMBOLS, about(document), **values)


class SlowCache:
    """What the model has read, whose making waits for :attr:`go_on`."""

    def __init__(self) -> None:
        self.began, self.go_on = threading.Event(), threading.Event()

    def __call__(self) -> dict[str, Any]:
        self.began.set()
        assert self.go_on.wait(TIMEOUT)
        return {}


class Played:
    """A session of a test: a document that is typed into and saved."""

    def __init__(self, saver: SessionSaver, place: Path, key: int = 0, run: Path | None = None) -> None:
        self.saver, self.key, self.document = saver, key, Document("abc")
        saver.begin(key, place, state_of(self.document), run=run)

    def type(self, text: str) -> None:
        for char in text:
            self.document.insert(char)
            self.saver.save(self.key, self.document.take_journal(), summary=about(self.document))

    @property
    def status(self) -> SavingStatus:
        return self.saver.status(self.key)

    def wait(self) -> Path:
        """Wait until all is saved; gives the file."""
        wait(lambda: not self.status.unsaved, f"{self.status}")
        assert self.status.path is not None
        return self.status.path

    def check(self, path: Path | None = None) -> Path:
        """What is in the file is what was done."""
        path = path or self.wait()
        wait(lambda: not self.status.unsaved, f"{self.status}")
        found = read(path)
        assert found.state.document.text == self.document.text
        assert found.state.document.undoable == self.document.undoable
        assert found.state.summary == about(self.document)
        assert not found.note
        return path

    def end(self, **values: Any) -> None:
        self.saver.end(self.key, state_of(self.document, **values))


class FailingDisk(storage.Disk):
    """A disk on which nothing can be changed in the folders ``full``."""

    def __init__(self) -> None:
        self.full: set[str] = set()
        self.syncs: list[float] = []
        self.slow = 0.0
        self.no_syncs = False

    def _check(self, path: str) -> None:
        if any(path.startswith(folder) for folder in self.full):
            raise OSError(28, "No space left on device", path)

    def open(self, path: Path, flags: int, mode: int = storage.PRIVATE_FILE) -> int:
        if flags & os.O_CREAT:
            self._check(str(path))
        return super().open(path, flags, mode)

    def write(self, descriptor: int, data: Any) -> int:
        self._check(os.readlink(f"/proc/self/fd/{descriptor}"))
        time.sleep(self.slow)
        return super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        if self.no_syncs:
            raise OSError(5, "Input/output error")
        self.syncs.append(time.monotonic())
        super().sync(descriptor)


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    with storage.use_disk(FailingDisk()) as disk:
        yield disk


@pytest.fixture
def saver() -> Iterator[SessionSaver]:
    saver = SessionSaver()
    yield saver
    saver.close(TIMEOUT)
    wait(lambda: not any("session" in each.name for each in threading.enumerate()), "the threads to end")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return record(tmp_path / "runs", steps=10, name="mine").run


# ---- when it is saved


def test_nothing_is_written_before_something_is_done(saver: SessionSaver, place: Path) -> None:
    played = Played(saver, place)
    time.sleep(0.05)
    assert not place.exists()
    assert played.status == SavingStatus()
    played.type("a")
    path = played.check()
    assert saved_sessions.AUTO_NAME.fullmatch(path.name)
    assert path.parent == place


def test_streamed_text_without_any_work_is_saved_too(saver: SessionSaver, place: Path) -> None:
    played = Played(saver, place)
    for char in "defgh":
        played.document.generate(char)
    saver.save(0, played.document.take_journal(), summary=about(played.document))
    played.check()
    session = saved_sessions.session_at(played.wait())
    assert session is not None
    assert (session.length, session.edited, session.automatic) == (5, False, True)


def test_each_word_is_in_the_file_at_once(saver: SessionSaver, place: Path) -> None:
    played = Played(saver, place)
    played.type("a")
    path = played.wait()
    for word in ("bcd ", "efg ", "\n"):
        played.type(word)
        wait(lambda: read(path).state.document.text == played.document.text, "the word")


def test_settings_and_clamps_are_saved(saver: SessionSaver, place: Path) -> None:
    played = Played(saver, place)
    played.type("a")
    clamps = (Clamp(1, 2, value=0.1 + 0.2),)
    saver.save(0, settings=SamplerSettings(top_k=4), clamps=clamps)
    state = read(played.wait()).state
    assert (state.settings, state.clamps) == (SamplerSettings(top_k=4), clamps)


def test_what_was_written_is_synced_within_two_seconds(saver: SessionSaver, place: Path, disk: FailingDisk) -> None:
    played = Played(saver, place)
    played.type("a")
    path = played.wait()
    count, began = len(disk.syncs), time.monotonic()
    played.type("b")
    wait(lambda: len(disk.syncs) > count, "the sync")
    assert disk.syncs[-1] - began < 2 or time.monotonic() - began > 10  # a machine that does other things
    assert played.wait() == path


# ---- failures


def test_failed_write_is_made_again_and_said_until_it_succeeds(
    saver: SessionSaver, place: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_saver, "FIRST_PAUSE", 0.01)
    played = Played(saver, place)
    played.type("a")
    path = played.wait()
    disk.full.add(str(place))
    played.type("bc ")
    wait(lambda: played.status.failure, "the failure")
    assert played.status.failure.endswith(": No space left on device.")
    played.type("d")
    time.sleep(0.05)
    assert played.status.failure
    assert played.status.unsaved
    disk.full.clear()
    played.wait()
    assert played.status.failure == ""
    assert played.check() == path


def test_pauses_between_tries_grow_to_half_a_minute(place: Path) -> None:
    saver, pauses = SessionSaver(), []
    played = Played(saver, place)
    place.write_text("a file in the place of the folder")
    played.type("a")
    wait(lambda: played.status.failure, "the failure")
    saving = saver._savings[0]
    for _ in range(8):
        saver._failed(saving, OSError(28, "full"), closing=False)
        pauses.append(round(saving.retry_at - time.monotonic()))
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert [status.unsaved for status in saver.close(0.3)] == [True]
    place.unlink()


def test_failure_of_one_session_does_not_touch_another(saver: SessionSaver, place: Path, disk: FailingDisk) -> None:
    played, other = Played(saver, place / "one", 1), Played(saver, place / "two", 2)
    disk.full.add(str(place / "one"))
    played.type("a")
    wait(lambda: played.status.failure, "the failure")
    other.type("b")
    other.check()
    assert other.status.failure == ""
    disk.full.clear()
    played.check()


@pytest.mark.usefixtures("unexpected_errors")
def test_unexpected_error_is_logged_and_said_and_the_thread_lives(
    saver: SessionSaver, place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session_saver, "FIRST_PAUSE", 0.01)
    played = Played(saver, place)
    with monkeypatch.context() as patch:
        patch.setattr(SessionLog, "append", lambda *_, **how: 1 / 0)
        played.type("a")
        wait(lambda: played.status.failure, "the failure")
        assert "ZeroDivisionError" in played.status.failure
        assert "ZeroDivisionError" in caplog.text
    played.check()


def test_file_is_written_anew_after_a_failed_sync(
    saver: SessionSaver, place: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system may have dropped what was not synced, and says so once only."""
    monkeypatch.setattr(session_saver, "SYNC_AFTER", 0.01)
    monkeypatch.setattr(session_saver, "FIRST_PAUSE", 0.01)
    played = Played(saver, place)
    played.type("a")
    path = played.wait()
    disk.no_syncs = True
    played.type("b")
    wait(lambda: played.status.failure, "the failure")
    inode = path.stat().st_ino
    played.type("c")
    time.sleep(0.05)
    assert played.status.failure
    disk.no_syncs = False
    wait(lambda: not played.status.failure, "another sync")
    assert path.stat().st_ino != inode
    played.check(path)


# ---- quitting


def test_closing_writes_all_that_waits(place: Path, disk: FailingDisk) -> None:
    saver = SessionSaver()
    played = [Played(saver, place, key) for key in range(3)]
    disk.slow = 0.02
    for each in played:
        each.type("abc def ")
    assert saver.close(TIMEOUT) == []
    paths = [each.status.path for each in played]
    assert len(set(paths)) == 3
    for each in played:
        each.check(each.status.path)
    SessionLog.open(read(paths[0]).seen).close()  # type: ignore[arg-type]  # it is not locked any more


def test_closing_says_what_is_not_saved(place: Path, disk: FailingDisk) -> None:
    saver = SessionSaver()
    played, other = Played(saver, place / "one", 1), Played(saver, place / "two", 2)
    disk.full.add(str(place / "one"))
    played.type("a")
    other.type("b")
    began = time.monotonic()
    (left,) = saver.close(0.5)
    assert time.monotonic() - began < 10
    assert left.failure
    other.check(other.status.path)


def test_closing_tries_again_at_once_what_had_failed(place: Path, disk: FailingDisk) -> None:
    saver = SessionSaver()
    played = Played(saver, place)
    disk.full.add(str(place))
    played.type("a")
    wait(lambda: played.status.failure, "the failure")
    saver._savings[0].retry_at += 1000
    disk.full.clear()
    assert saver.close(TIMEOUT) == []
    played.check(played.status.path)


# ---- opening again


def again(played: Played, saver: SessionSaver, key: int = 7) -> Played:
    """The session, opened from its file."""
    path = played.status.path or next(iter(saver.files))
    found = read(path)
    other = Played.__new__(Played)
    other.saver, other.key, other.document = saver, key, found.state.document
    saver.go_on(key, path.parent, state_of(other.document), found.seen)
    return other


def ended(place: Path) -> Played:
    saver = SessionSaver()
    played = Played(saver, place)
    played.type("ab ")
    saver.close(TIMEOUT)
    return played


def test_session_goes_on_in_its_file(saver: SessionSaver, place: Path) -> None:
    played = ended(place)
    path = played.status.path
    other = again(played, saver)
    assert other.status == SavingStatus(path)
    other.type("cd")
    assert other.check() == path
    assert other.status.note == ""
    assert list(place.glob("*.json")) == [path]


def test_session_that_is_opened_through_a_link_goes_on_in_its_file(
    saver: SessionSaver, place: Path, tmp_path: Path
) -> None:
    path = ended(place).wait()
    (link := tmp_path / "link").symlink_to(place)
    for key, there in enumerate((link, link / ".." / place.relative_to(tmp_path)), 7):
        found = read(there / path.name)
        document = found.state.document
        saver.go_on(key, place, found.state, found.seen)
        document.insert("c")
        saver.save(key, document.take_journal(), summary=about(document))
        wait(lambda key=key: not saver.status(key).unsaved, "the change")
        assert saver.status(key).path == path
        saver.end(key, state_of(document))
        wait(lambda key=key: saver._savings[key].log is None, "the end")
    assert list(place.glob("*.json")) == [path]


def test_session_that_another_program_has_open_goes_on_in_a_new_file(saver: SessionSaver, place: Path) -> None:
    played = ended(place)
    path = played.status.path
    assert path is not None
    holder = SessionLog.open(read(path).seen)
    content = path.read_bytes()
    other = again(played, saver)
    other.type("cd")
    assert other.check() != path
    assert other.status.note == "Another program has this session open: here it goes on in a file of its own."
    assert path.read_bytes() == content
    holder.close()


def test_session_that_another_program_has_continued_goes_on_in_a_new_file(saver: SessionSaver, place: Path) -> None:
    played = ended(place)
    path = played.status.path
    other, program = again(played, saver), SessionSaver()
    third = again(played, program)
    third.type("gh")
    program.close(TIMEOUT)
    other.type("cd")
    assert other.check() != path
    assert "has continued this session" in other.status.note
    third.check(path)


def test_session_whose_file_another_program_replaces_goes_on_in_a_new_file(saver: SessionSaver, place: Path) -> None:
    played = Played(saver, place)
    played.type("ab ")
    path = played.wait()
    other = place / "other"
    other.write_text("something else")
    os.replace(other, path)
    played.type("cd")
    wait(lambda: played.status.path != path, "another file")
    played.check()
    assert "has replaced the file" in played.status.note
    assert path.read_text() == "something else"


def test_session_whose_file_is_deleted_goes_on_in_a_new_one(saver: SessionSaver, place: Path) -> None:
    played = Played(saver, place)
    played.type("ab ")
    played.wait().unlink()
    played.type("cd")
    played.check()
    assert "was deleted" in played.status.note


def test_session_of_an_older_format_goes_on_in_a_new_file(saver: SessionSaver, place: Path) -> None:
    model = tiny_model(symbols=SYMBOLS, hidden_size=4)
    session = Session(model, "abc", seed=3)
    session.type("def ")
    place.mkdir()
    path = place / "auto-20260101-000000.json"
    save_session(session, path)
    found = load(path, model)
    content, document = path.read_bytes(), found.document
    saver.go_on(1, place, state_of(document), found.seen)
    document.insert("gh")
    saver.save(1, document.take_journal(), summary=about(document))
    wait(lambda: not saver.status(1).unsaved, "the file")
    new = saver.status(1).path
    assert new is not None
    assert new != path
    assert read(new).state.document.text.read() == "abcdef gh"
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["mine.json", "auto-mine.json", "auto-20260101-000000.json"])
def test_session_that_the_user_saved_stays_as_it_is(saver: SessionSaver, place: Path, name: str) -> None:
    place.mkdir()
    document = Document("abc")
    SessionLog.create(place / name, state_of(document), automatic=False).close()
    content = (place / name).read_bytes()
    found = read(place / name)
    saver.go_on(1, place, state_of(document), found.seen)
    document.insert("d")
    saver.save(1, document.take_journal(), summary=about(document))
    wait(lambda: not saver.status(1).unsaved, "the file")
    assert saver.status(1).path != place / name
    assert (place / name).read_bytes() == content


# ---- the end of a session


def test_ended_session_has_what_the_model_had_read_and_can_be_saved_again(saver: SessionSaver, place: Path) -> None:
    model = tiny_model(symbols=SYMBOLS, hidden_size=4)
    played = Played(saver, place)
    played.type("def gh ")
    session = Session(model, "abc")
    session.type("def gh ")
    played.end(cache=copy_tree(session))
    path = played.wait()
    wait(lambda: load(path, model).session is not None, "the whole state")
    wait(lambda: saver._savings[0].log is None, "the end")
    SessionLog.open(read(path).seen).close()  # others can go on in it
    played.type("ab")
    assert played.check() == path
    state = load(path, model)
    assert state.session is not None
    assert state.session.read() == "def gh "


def test_session_that_is_opened_again_while_it_is_compacted_goes_on_in_its_file(
    saver: SessionSaver, place: Path
) -> None:
    played = Played(saver, place)
    played.type("ab ")
    path = played.wait()
    slow = SlowCache()
    played.type("cd ")
    played.end(cache=slow)
    Played(saver, place)  # another one is played meanwhile
    assert saver.flush(path, TIMEOUT)
    assert slow.began.wait(TIMEOUT)
    other = again(played, saver, key=3)
    Played(saver, place, key=3)
    other = again(played, saver, key=3)
    other.type("ef")
    assert other.check() == path
    slow.go_on.set()
    wait(lambda: not saver._compacting, "the whole state")
    other.type("gh")
    assert other.check() == path
    assert other.status.note == ""
    assert other.document.text.read() == "abcab cd efgh"


def test_session_that_is_opened_again_after_its_end_goes_on_in_its_file(saver: SessionSaver, place: Path) -> None:
    played = Played(saver, place)
    played.type("ab ")
    path = played.wait()
    found = read(path)
    played.end()
    wait(lambda: saver._savings[0].log is None, "the end")
    saver.go_on(5, place, state_of(found.state.document), found.seen)  # read before it was compacted
    played.key = 5
    played.type("cd")
    assert played.check() == path
    assert played.status.note == ""


@pytest.mark.parametrize("ended", [True, False])
def test_title_of_a_session_that_was_played_is_in_its_file_and_stays(
    ended: bool, saver: SessionSaver, place: Path
) -> None:
    """Also where it was given before the file was made small."""
    played = Played(saver, place)
    played.type("ab ")
    path = played.wait()
    before = read(path).state.summary.saved
    slow = SlowCache()
    played.end(cache=slow)
    slow.began.wait(TIMEOUT)
    if ended:
        slow.go_on.set()
        wait(lambda: saver._savings[0].log is None, "the end")
    assert saver.give_title(path, "The bell") == 0
    slow.go_on.set()
    wait(lambda: not played.status.unsaved and saver._savings[0].log is None, "the title")
    summary = read(path).state.summary
    assert (summary.title, summary.saved) == ("The bell", before)
    assert saver.give_title(path.with_stem("another"), "None") is None
    played.type("cd")
    played.check(path)


def test_session_that_got_a_title_elsewhere_goes_on_in_its_file(saver: SessionSaver, place: Path) -> None:
    played = Played(saver, place)
    played.type("ab ")
    path = played.wait()
    played.end()
    wait(lambda: saver._savings[0].log is None, "the end")
    give_title(path, "The bell")
    assert saver.give_title(path, "Another") is None
    found = read(path)
    saver.go_on(5, place, state_of(found.state.document), found.seen)
    assert not saver.knows(0)
    played.key = 5
    played.type("cd")
    assert played.check() == path
    assert played.status.note == ""


def test_saving_while_a_session_is_compacted_loses_nothing(
    saver: SessionSaver, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Played(saver, place)
    played.type("ab ")
    path = played.wait()
    slow = SlowCache()
    played.end(cache=slow)
    assert slow.began.wait(TIMEOUT)
    played.type("cd")
    played.check(path)  # it is in the old file meanwhile
    slow.go_on.set()
    wait(lambda: not saver._savings[0].compacting, "the whole state")
    played.type("ef")
    played.check(path)


def test_title_that_is_given_during_a_write_is_written(
    saver: SessionSaver, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, titles = SessionLog.append, ["A title"]
    played = Played(saver, place)

    def append_after_a_title(log: SessionLog, record: Any, summary: SessionSummary, **how: Any) -> None:
        if titles:
            saver.save(played.key, summary=replace(about(played.document), title=titles.pop()))
        append(log, record, summary, **how)

    monkeypatch.setattr(SessionLog, "append", append_after_a_title)
    played.type("d")
    assert read(played.wait()).state.summary.title == "A title"


def test_what_is_written_at_the_end_of_a_compaction_is_synced(
    saver: SessionSaver, place: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_saver, "SYNC_AFTER", 0.05)
    compact, synced = SessionLog.compact, threading.Event()
    played = Played(saver, place)
    played.type("d")
    played.wait()

    def write_after(log: SessionLog, *arguments: Any) -> Any:
        size = compact(log, *arguments)
        played.type("e")
        played.wait()
        monkeypatch.setattr(log, "sync", synced.set)
        return size

    monkeypatch.setattr(SessionLog, "compact", write_after)
    played.end()
    assert synced.wait(TIMEOUT)


def test_long_log_is_compacted_by_itself(saver: SessionSaver, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.generation.session_log.LEAST_LOG", 2000)
    played = Played(saver, place)
    played.type("a")
    path, sizes = played.wait(), []
    for _ in range(150):
        played.type("bc ")
        played.wait()
        sizes.append(path.stat().st_size)
    wait(lambda: not saver._savings[0].compacting, "the whole state")
    assert any(after < before for before, after in itertools.pairwise(sizes))
    assert played.check() == path
    assert not list(place.glob(".*.tmp"))


@pytest.mark.usefixtures("unexpected_errors")
def test_changes_that_cannot_be_made_again_are_read_from_the_file(
    saver: SessionSaver, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Played(saver, place)
    played.type("ab ")
    path = played.wait()
    with monkeypatch.context() as patch:
        patch.setattr(Document, "replay", lambda *_: 1 / 0)
        played.type("c")
        played.wait()
    path.unlink()
    played.type("d")
    assert played.check().exists()


def test_long_log_is_compacted_without_reading_it(
    saver: SessionSaver, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charlstm.generation.session_log.LEAST_LOG", 100)
    monkeypatch.setattr(SessionLog, "read", lambda *_: 1 / 0)
    played = Played(saver, place)
    chance = random.Random(3)
    for _ in range(60):
        played.document.move(chance.randrange(len(played.document) + 1))
        played.type(chance.choice(("ab ", "c", "def")))
        if chance.random() < 0.3:
            played.document.undo()
            played.document.branch_off(chance.randrange(len(played.document)), "h", kind="choosing")
        played.wait()
    wait(lambda: not saver._savings[0].compacting, "the whole state")
    path = played.wait()
    monkeypatch.undo()
    played.type("x")
    played.check(path)
    assert read(path).state.document.list_branches() == played.document.list_branches()


# ---- runs


def test_session_follows_its_run_through_a_rename(saver: SessionSaver, run: Run) -> None:
    played = Played(saver, run.sessions_dir, run=run.path)
    played.type("ab ")
    path = played.wait()
    renamed = rename_run(run, "other")
    played.type("cd")
    assert played.check() == renamed.sessions_dir / path.name
    assert not run.path.exists()
    assert played.status.note == ""


def test_session_without_a_file_follows_its_run_too(saver: SessionSaver, run: Run) -> None:
    played = Played(saver, run.sessions_dir, run=run.path)
    wait(lambda: not saver._savings[0].is_new, "a look at the run")
    renamed = rename_run(run, "other")
    played.type("cd")
    assert played.check().parent == renamed.sessions_dir


def test_opened_session_follows_its_run_too(saver: SessionSaver, run: Run) -> None:
    played = ended(run.sessions_dir)
    path = played.status.path
    assert path is not None
    found = read(path)
    saver.go_on(1, path.parent, state_of(played.document), found.seen, run=run.path)
    wait(lambda: not saver._savings[1].is_new, "a look at the run")
    renamed = rename_run(run, "other")
    played.saver, played.key = saver, 1
    played.type("x")
    assert played.check() == renamed.sessions_dir / path.name


def test_session_of_a_deleted_run_goes_on_in_the_folder_of_the_app(saver: SessionSaver, run: Run) -> None:
    played = Played(saver, run.sessions_dir, run=run.path)
    played.type("ab ")
    path = played.wait()
    assert delete_run(run) == []
    played.type("cd")
    wait(lambda: played.status.path != path, "another file")
    new = played.check()
    assert "sessions" in new.parts
    assert played.status.note.startswith("The run mine was deleted; the text is kept in ")
    assert new.name in played.status.note
    assert not run.path.exists()


def test_another_run_of_the_same_name_is_not_touched(saver: SessionSaver, run: Run, tmp_path: Path) -> None:
    played = Played(saver, run.sessions_dir, run=run.path)
    played.type("ab ")
    path = played.wait()
    renamed = rename_run(run, "other")
    record(tmp_path / "runs", steps=10, name="mine")
    before = sorted(each.name for each in run.path.rglob("*"))
    played.type("cd")
    assert played.check() == renamed.sessions_dir / path.name
    assert sorted(each.name for each in run.path.rglob("*")) == before


def test_locks_go_with_the_run(run: Run) -> None:
    played = ended(run.sessions_dir)
    path = played.status.path
    assert path is not None
    assert storage.lock_path(path).exists()
    assert delete_run(run) == []
    assert not run.path.exists()


# ---- names and old sessions


def test_programs_that_start_in_the_same_second_get_files_of_their_own(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "strftime", lambda form, *_: "20260101-000000")
    savers = [SessionSaver() for _ in range(3)]
    played = [Played(saver, place) for saver in savers]
    threads = [threading.Thread(target=each.type, args=("abc def ",)) for each in played]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    paths = {each.check() for each in played}
    assert len(paths) == 3
    for saver in savers:
        saver.close(TIMEOUT)


def test_session_that_is_open_stays_whatever_the_clock_says(
    saver: SessionSaver, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_sessions, "MOST_AUTO", 5)
    monkeypatch.setattr(saved_sessions, "MOST_OTHERS", 5)
    earlier = time.time() - 1e4
    for number in range(8):
        path = place / f"auto-20990101-00000{number}.json"
        place.mkdir(exist_ok=True)
        SessionLog.create(path, state_of(_edited())).close()
        os.utime(path, (earlier + number, earlier + number))
    later = place / "auto-20990101-000050.json"
    SessionLog.create(later, state_of(_edited())).close()
    os.utime(later, (time.time() + 1e6, time.time() + 1e6))
    mine = place / "auto-20990101-000099.json"
    SessionLog.create(mine, state_of(_edited()), automatic=False).close()
    named = place / "auto-mine.json"
    SessionLog.create(named, state_of(_edited())).close()
    played = Played(saver, place)
    played.type("ab ")
    path = played.wait()
    oldest = [place / f"auto-20990101-00000{number}.json" for number in range(3)]
    wait(lambda: not any(map(os.path.exists, oldest)), "old sessions to be deleted")
    left = {each.name for each in place.glob("*.json")}
    assert {path.name, mine.name, named.name, later.name, "auto-20990101-000007.json"} <= left
    wait(lambda: not any(map(os.path.exists, map(storage.lock_path, oldest))), "their locks to be deleted")
    saved_sessions.forget_old(place)  # as another program does it, without knowing of this one
    played.type("cd")
    assert played.check() == path


def _edited() -> Document:
    document = Document("abc")
    document.insert("work ")
    return document


def test_document_of_a_session_is_saved_with_all_its_branches(saver: SessionSaver, place: Path) -> None:
    model = tiny_model(symbols=SYMBOLS, hidden_size=4)
    session = Session(model, "abc", seed=3)
    list(session.stream(50))
    session.rewind(20)
    session.choose("a" if session.at(20).char != "a" else "b")
    document = document_of(session)
    saver.begin(1, place, state_of(document))
    saver.save(1)
    wait(lambda: not saver.status(1).unsaved, "the file")
    path = saver.status(1).path
    assert path is not None
    assert read(path).state.document.list_branches() == document.list_branches()


def test_file_that_was_not_read_whole_is_not_gone_on_in(saver: SessionSaver, place: Path) -> None:
    played = ended(place)
    path = played.status.path
    assert path is not None
    seen = SeenFile(path, read(path).seen.stamp)
    saver.go_on(1, place, state_of(played.document), seen)
    assert saver.status(1).path is None
