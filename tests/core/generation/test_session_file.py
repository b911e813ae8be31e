"""Session files: what is written is read, also by other versions and programs; what is damaged is said."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charlstm.errors import GenerationError
from charlstm.generation import reading_cache, session_file
from charlstm.generation.clamp import Clamp
from charlstm.generation.document import Document
from charlstm.generation.reading import Reading
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session import Session
from charlstm.generation.session_file import FileLostError, OwnFile, delete, give_title, read, read_summary, write
from charlstm.generation.stepper import Stepper
from charlstm.model.file import Model
from charlstm.paths import cache_dir
from faulty_disk import FaultyDisk, have_no_locks, use_disk
from played_documents import about, everything, load_session, played, save_session, state_of, text_of, work_on


def worked_on(seed: int = 0) -> Document:
    document = work_on(played(), 60, seed)
    document.insert("\U0001f600é")
    document.rename(0, "[/red]\x1b[2J")
    return document


@pytest.mark.parametrize("seed", range(8))
def test_what_is_written_is_read_with_its_branches_and_its_history(seed: int, tmp_path: Path) -> None:
    document, path = worked_on(seed=seed), tmp_path / "a.json"
    state = state_of(
        document, settings=SamplerSettings(top_k=4), clamps=(Clamp(1, 2, 0.1 + 0.2),), sample=2, weights="w",
        run="mine",
    )  # fmt: skip
    write(path, state, automatic=True)
    found = read(path)
    again = found.state.document
    assert everything(again) == everything(document)
    assert (found.note, found.is_session, found.can_go_on) == ("", True, True)
    assert replace(found.state, document=document, summary=state.summary) == replace(state, document=document)
    for _ in range(30):
        assert again.undo() == document.undo()
        assert everything(again) == everything(document)


def test_history_of_a_file_is_bounded_and_has_the_last_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_file, "MOST_HISTORY", 100)
    document = Document("b" * 1000)
    for size, count in ((9, 30), (500, 1)):
        for _ in range(count):
            document.replace(0, size)
        write(tmp_path / "a.json", state_of(document))
        again = read(tmp_path / "a.json").state.document
        assert again.text == document.text
        undone = 0
        while again.undo():
            undone += 1
        assert undone == (11 if size == 9 else 1)


def test_saved_session_continues_alike(model: Model, tmp_path: Path) -> None:
    session = Session(model, "abZ", seed=5, sample=2, settings=SamplerSettings(top_k=4), clamps=[Clamp(1, 2, 0.5)])
    list(session.stream(150))
    session.rewind(130)
    session.choose("a" if session.at(130).char != "a" else "b")
    session.type("hij\n")
    session.rename(1, "second")
    session.rewind(50)
    save_session(session, tmp_path / "one.json")
    loaded = load_session(tmp_path / "one.json", model)
    assert loaded.branches() == session.branches()
    for name in ("position", "seed", "sample", "settings", "clamps", "prime"):
        assert getattr(loaded, name) == getattr(session, name)
    for number in (0, 1):
        loaded.switch(number)
        session.switch(number)
        assert [step.char for step in loaded.stream(100)] == [step.char for step in session.stream(100)]
    assert [one.probability for one in loaded.steps()] == pytest.approx([one.probability for one in session.steps()])


def test_session_goes_on_with_any_other_model(model: Model, make_model: Callable[..., Model], tmp_path: Path) -> None:
    session = Session(model, "abé", seed=5, clamps=[Clamp(1, 2, 0.5)])
    session.type("c ç£\n")
    session.choose("a")
    save_session(session, tmp_path / "a.json")
    found = read(tmp_path / "a.json").state
    write(tmp_path / "a.json", replace(found, clamps=(*found.clamps, Clamp(9, 9, 0.5))))
    loaded = load_session(tmp_path / "a.json", make_model("é£ ca"))
    assert (loaded.prime, loaded.read(), loaded.clamps) == ("abé", "c ç£\na", session.clamps)
    assert loaded.rows()["source"].tolist() == session.rows()["source"].tolist()
    save_session(loaded, tmp_path / "b.json")
    again = load_session(tmp_path / "b.json", model)  # and back
    assert (again.prime, again.read()) == ("abé", "c ç£\na")
    assert [step.probability for step in again.steps()] == pytest.approx([step.probability for step in session.steps()])


def test_summary_is_read_from_the_first_line(tmp_path: Path) -> None:
    document, path = played(), tmp_path / "a.json"
    document.insert("two words")
    summary = replace(about(document), title="The bell", model="x" * 40_000, saved=5.0)
    write(path, replace(state_of(document), summary=summary), automatic=True)
    path.write_bytes(path.read_bytes().split(b"\n")[0] + b"\n")
    found = read_summary(path)
    assert (found, found.saved) == (replace(summary, words=document.words), 5.0)


def test_title_is_given_and_the_time_of_the_last_change_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write(path, state_of(played()), automatic=True)
    os.utime(path, (5, 5))
    give_title(path, "The bell")
    assert (read(path).state.summary.title, path.stat().st_mtime, read(path).automatic) == ("The bell", 5, True)
    mine = tmp_path / "mine.json"
    write(mine, state_of(played()))
    mine.chmod(0o640)
    give_title(mine, "My bell")
    found = read(mine)
    assert (found.state.summary.title, found.automatic, mine.stat().st_mode & 0o777) == ("My bell", False, 0o640)
    holder = OwnFile(path, read(path).stamp)
    with pytest.raises(FileLostError, match="another program has it open"):
        give_title(path, "Another")
    holder.close()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(GenerationError, match="damaged"):
        give_title(path, "Another")


# ---- what is damaged


def test_cut_file_has_its_text_or_is_said_to_be_damaged(tmp_path: Path) -> None:
    path, document = tmp_path / "a.json", worked_on()
    write(path, state_of(document), automatic=True)
    content = path.read_bytes()
    history = content.index(session_file.HISTORY.encode())
    for end in range(0, len(content) - 2, max(1, len(content) // 200)):
        path.write_bytes(content[:end])
        if end < history + len(session_file.HISTORY):
            with pytest.raises(GenerationError):
                read(path)
        else:
            found = read(path)
            assert "is damaged. The text is what was saved" in found.note
            assert not found.can_go_on
            assert found.state.document.text == document.text
            assert len(found.state.document.branches) == len(document.branches)


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (["format"], "1"), (["kind"], "other"),
        (["settings"], {"temperature": -1}), (["settings"], None), (["clamps"], [["a"]]),
        (["sample"], -1), (["model"], None), (["document"], None), (["document", "branches"], []),
        (["document", "place"], [10**9, 0, 0, 0]), (["document", "place"], [0, 2**64, 0, 0]),
        (["document", "place"], [0, 0, 10**9, 0]), (["document", "place"], [0, 0, 0, 99]),
        (["document", "branches", 0, "parent"], 0), (["document", "branches", 0, "by"], "9"),
        (["document", "branches", 0, "text"], 5), (["document", "branches", 0, "parted"], -1),
    ],
)  # fmt: skip
def test_wrong_values_are_refused_with_one_line(way: list[Any], value: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write(path, state_of(worked_on()))
    values = inner = json.loads(path.read_text())
    *parents, last = way
    for key in parents:
        inner = inner[key]
    inner[last] = value
    path.write_text(json.dumps(values))
    with pytest.raises(GenerationError, match=r"\A.*\Z"):
        read(path)


def test_what_is_no_session_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (b"", b"[" * 100_000, b"null", b"\xff\xfe", b"{}"):
        (tmp_path / "x.json").write_bytes(content)
        for reads in (read, read_summary):
            with pytest.raises(GenerationError):
                reads(tmp_path / "x.json")
    with pytest.raises(GenerationError, match="no session file"):
        read(tmp_path / "none.json")
    write(tmp_path / "x.json", state_of(worked_on()))
    monkeypatch.setattr(session_file, "MAX_BYTES", 1000)
    with pytest.raises(GenerationError, match=r"longer than 1\.0 kB"):
        read(tmp_path / "x.json")


def test_session_of_another_format_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    log = '{"format": 3, "kind": "charlstm session", "automatic": true, "summary": {}}\n0123abcd {"state": {}}\n'
    for content, why in (
        ('{"kind": "charlstm session", "format": 9}', "newer charlstm; update charlstm"),
        ('{"format": 2, "kind": "charlstm session", "branches": []}', "before 1.0, .*; begin a new one"),
        (log, "before 1.0, .*; begin a new one"),
    ):
        path.write_text(content)
        for reads in (read, read_summary):
            with pytest.raises(GenerationError, match=rf"\A.*{why}.*\Z"):
                reads(path)


def test_names_in_a_summary_that_are_not_known_are_ignored_and_wrong_values_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write(path, state_of(played()))
    path.write_text(path.read_text().replace('"summary": {', '"summary": {"continues": "", ', 1))
    assert read_summary(path) == read(path).state.summary == replace(about(played()), words=played().words)
    path.write_text(path.read_text().replace('"saved": ', '"saved": true, "was": ', 1))
    with pytest.raises(GenerationError, match="its summary is not one"):
        read_summary(path)


# ---- one writer


@pytest.fixture
def file(tmp_path: Path) -> Iterator[OwnFile]:
    """One that is written and open."""
    file = OwnFile(tmp_path / "a.json", None)
    file.write(state_of(played()))
    yield file
    file.close()


def test_own_file_is_lost_to_another_program(file: OwnFile, tmp_path: Path) -> None:
    path, other, state = file.path, tmp_path / "other", state_of(played())
    for reason, change in (
        ("another program has written to it", lambda: path.write_bytes(path.read_bytes() + b"\n")),
        ("another program has written to it", lambda: (other.write_text("b"), os.replace(other, path))),
        ("another program has written to it", lambda: (path.rename(other), path.symlink_to(other))),
        ("it is not there any more", path.unlink),
    ):
        change()
        content = path.read_bytes() if path.exists() else None
        with pytest.raises(FileLostError, match=reason):
            file.write(state)
        assert (path.read_bytes() if path.exists() else None) == content
    with pytest.raises(FileLostError, match="open"):
        OwnFile(path, None)
    file.close()
    OwnFile(path, None).close()


def test_own_file_goes_on_beside_a_hard_link_and_through_a_rename(file: OwnFile, tmp_path: Path) -> None:
    state = state_of(played())
    os.link(file.path, tmp_path / "backup.json")
    file.write(state)
    file.path = file.path.rename(tmp_path / "b.json")
    file.write(state)
    assert text_of(tmp_path / "b.json") == text_of(tmp_path / "backup.json")


def test_new_file_replaces_none_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("mine")
    file = OwnFile(path, None)
    with pytest.raises(FileExistsError):
        file.write(state_of(played()))
    file.close()
    assert path.read_text() == "mine"


def test_new_file_that_cannot_be_written_leaves_no_lock(tmp_path: Path) -> None:
    """While the disk was full, each attempt took another name and left its lock."""
    file = OwnFile(tmp_path / "a.json", None)
    with use_disk(FaultyDisk(0)), pytest.raises(OSError, match="No space"):
        file.write(state_of(played()))
    file.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("fault", [None, lambda: (_ for _ in ()).throw(KeyboardInterrupt)])
def test_old_file_is_whole_whatever_change_of_the_disk_fails(file: OwnFile, fault: Any) -> None:
    path, document = file.path, played()
    for at in range(3):
        document.insert("word ")
        before = text_of(path)
        with use_disk(FaultyDisk(at, fault, half=True)), pytest.raises((OSError, KeyboardInterrupt)):
            file.write(state_of(document))
        assert text_of(path) == before
    file.write(state_of(document))
    assert text_of(path) == document.text.read()


def test_leftovers_of_a_killed_program_are_removed_by_the_next_writer(tmp_path: Path) -> None:
    path, leftover, others = (tmp_path / name for name in ("[a].json", ".[a].json.1.2.tmp", ".a.json.1.2.tmp"))
    write(path, state_of(played()))
    leftover.write_text("half")
    others.write_text("half")
    OwnFile(path, read(path).stamp).close()
    assert (leftover.exists(), others.exists()) == (False, True)


def test_file_is_deleted_with_its_lock_unless_it_is_open(file: OwnFile, tmp_path: Path) -> None:
    assert not delete(file.path)
    file.close()
    assert delete(file.path)
    assert not list(tmp_path.iterdir())


def test_file_system_without_locks_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    have_no_locks(monkeypatch)
    file = OwnFile(tmp_path / "a.json", None)
    file.write(state_of(played()))
    file.close()
    assert text_of(tmp_path / "a.json") == played().text.read()


# ---- readings in the cache


FILE = Path("auto-20260101-000000.json")


def recalled(session: Session, document: Document, model: Model | None = None) -> Reading | None:
    model = model or session.model
    return reading_cache.recall(FILE, document, model, Stepper(model), session.recipe)


@pytest.fixture
def session(model: Model) -> Session:
    session = Session(model, "abc", seed=3, settings=SamplerSettings(temperature=1.5))
    list(session.stream(300))
    session.settings = SamplerSettings()
    list(session.stream(100))
    reading_cache.keep(session.reading, FILE)
    return session


def test_text_that_was_kept_is_not_read_again(session: Session) -> None:
    document = session.document
    found = recalled(session, document)
    assert found.follow(document.text) == len(document)
    assert found.rows(0, 500).tobytes() == session.rows().tobytes()
    again = Session.of_document(Document.of(document.state, {}), found)
    for each in (again, session):
        each.settings = SamplerSettings(temperature=1.5)
        each.rewind(250)
    assert [step.char for step in again.stream(20)] == [step.char for step in session.stream(20)]


def test_text_that_was_changed_since_is_read_from_there_on(session: Session) -> None:
    document = session.document
    document.replace(200, 201, "j")
    assert recalled(session, document).follow(document.text) == 200


def test_other_weights_primes_and_damaged_entries_are_read_anew(session: Session, make_model: object) -> None:
    document = session.document
    assert recalled(session, document, make_model(seed=1)) is None
    assert recalled(session, Document("abd")) is None
    (entry,) = (cache_dir() / "readings").glob("*.npz")
    content = entry.read_bytes()
    for size in range(0, len(content), len(content) // 20):
        entry.write_bytes(content[:size])
        assert recalled(session, document) is None
    entry.unlink()
    assert recalled(session, document) is None


def test_oldest_entries_are_forgotten(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    (entry,) = (cache_dir() / "readings").glob("*.npz")
    monkeypatch.setattr(reading_cache, "MOST_BYTES", 3.5 * entry.stat().st_size)
    for number in range(5):
        reading_cache.keep(session.reading, Path(f"auto-{number}.json"))
        (entry,) = (cache_dir() / "readings").glob(f"auto-{number}-*.npz")
        os.utime(entry, (1e9 + number, 1e9 + number))
    assert len(list((cache_dir() / "readings").glob("*.npz"))) == 3
    reading_cache.keep(Session(session.model, "abc").reading, Path("auto-short.json"))  # which is read faster
    assert not list((cache_dir() / "readings").glob("auto-short*"))
