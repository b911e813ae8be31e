"""The log of a session: what was saved is read again after every accident, and nothing in a file is trusted."""

from __future__ import annotations

import base64
import copy
import json
import os
import random
import signal
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from charlstm import storage
from charlstm.errors import GenerationError
from charlstm.generation import saving, session_log
from charlstm.generation.clamp import Clamp
from charlstm.generation.document import Document
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.saved_state import load
from charlstm.generation.saving import copy_tree, load_session, save_session, to_dict
from charlstm.generation.session import Session
from charlstm.generation.session_document import document_of
from charlstm.generation.session_log import (
    LogLostError,
    SessionLog,
    SessionState,
    SessionSummary,
    changes,
    read,
    read_summary,
)
from charlstm.generation.tree import CHOSEN, GENERATED, TYPED
from faulty_disk import FaultyDisk, full, have_no_locks
from played_documents import about, everything, played
from random_examples import examples

KILLED = -signal.SIGKILL

CLAMPS = (Clamp(1, 3, value=0.1 + 0.2), Clamp(2, 1, factor=-1 / 3), Clamp(1, 2, value=1e-9, factor=0.7))


def state_of(document, model, **values):
    return SessionState(document.copy(), tuple(model.vocabulary.symbols), about(document), **values)


def work(document, chance, steps=30):
    """Do something to a document, whatever."""
    for _ in range(steps):
        length, at = len(document), chance.randrange(len(document) + 1)
        match chance.randrange(9):
            case 0 | 1 | 2:
                document.move(at)
                for char in chance.choice(("ab ", "c", "de f")):
                    document.insert(char)
            case 3:
                document.replace(at, min(length, at + 5), chance.choice(("", "ghi\n")))
            case 4:
                document.branch_off(at, chance.choice("abc"), CHOSEN, kind="choosing")
                document.begin_generating(joins=True)
                document.generate("d")
            case 5:
                document.undo()
            case 6:
                document.redo()
            case 7:
                document.switch(chance.choice(list(document.branches)))
                document.rename(document.branch, f"name {at}")
            case 8 if document.branch:
                document.prune(document.branch)
    return document


@pytest.fixture
def begun(tmp_path, model):
    """A document, and a log that was begun with it."""
    document = played()
    document.take_journal()
    log = SessionLog.create(tmp_path / "one.json", state_of(document, model, settings=SamplerSettings(top_k=3)))
    yield document, log
    log.close()


def save(log, document, **changed):
    log.append(changes(document.take_journal(), **changed), about(document))


# ---- what was saved is read again


def test_whole_session_is_read_as_it_was(tmp_path, model):
    document = work(played(), random.Random(5))
    document.rename(0, "[/red]\x1b[2J\ud800")
    state = state_of(
        document, model, settings=SamplerSettings(mirostat=2.5), clamps=CLAMPS, sample=7, unknown={"€": 3},
        weights="x", run="r",
    )  # fmt: skip
    SessionLog.create(tmp_path / "one.json", state).close()
    again = read(tmp_path / "one.json").state
    assert everything(again.document) == everything(document)
    assert again.clamps == CLAMPS  # exactly
    assert (again.settings, again.sample, again.unknown, again.symbols, again.weights, again.run) == (
        state.settings, 7, {"€": 3}, state.symbols, "x", "r",
    )  # fmt: skip
    assert again.summary == state.summary


@pytest.mark.parametrize("seed", range(8))
def test_appended_changes_and_their_history_are_read_again(tmp_path, model, seed):
    document, chance = played(), random.Random(seed)
    work(document, chance)
    document.take_journal()
    log = SessionLog.create(tmp_path / "one.json", state_of(document, model))
    for _ in range(10):
        work(document, chance, 4)
        save(log, document)
    log.close()
    again = read(tmp_path / "one.json").state.document
    assert everything(again) == everything(document)
    for step in ("undo", "redo"):
        while done := getattr(document, step)():
            assert getattr(again, step)() == done
            assert everything(again) == everything(document)


def test_settings_and_clamps_are_those_of_the_last_change(begun):
    document, log = begun
    document.insert("a")
    save(log, document, settings=SamplerSettings(temperature=0.1), clamps=[CLAMPS[1]])
    save(log, document, clamps=CLAMPS)
    state = read(log.path).state
    assert (state.settings, state.clamps) == (SamplerSettings(temperature=0.1), CLAMPS)


def test_thousand_changes_can_be_undone_after_opening_again(tmp_path, model):
    document = Document("abc")
    log = SessionLog.create(tmp_path / "one.json", state_of(document, model))
    for number in range(1200):
        document.replace(number % 3, number % 3, "abc"[number % 3])
        save(log, document)
    log.close()
    again = read(tmp_path / "one.json").state.document
    count = 0
    while again.undo():
        count += 1
    assert count == 1000


# ---- accidents


def test_file_that_is_cut_anywhere_is_what_it_was_before_the_last_line(begun, tmp_path):
    document, log = begun
    sizes, texts = [log.size], [everything(document)]
    for word in ("ab ", "c\n", "\U0001f600"):
        document.insert(word)
        save(log, document)
        sizes.append(log.size)
        texts.append(everything(document))
    content, cut = log.path.read_bytes(), tmp_path / "cut.json"
    for size in range(sizes[0], sizes[-1] + 1):
        cut.write_bytes(content[:size])
        found = read(cut)
        whole = max(number for number, known in enumerate(sizes) if known <= size)
        assert everything(found.state.document) == texts[whole]
        assert (found.seen.good_end, found.note, found.seen.can_go_on) == (sizes[whole], "", True)


def test_torn_line_is_removed_before_something_is_appended(begun):
    document, log = begun
    log.close()
    with log.path.open("ab") as file:
        file.write(b'1234abcd {"entries"')
    found = read(log.path)
    again = SessionLog.open(found.seen)
    document.insert("ab")
    save(again, document)
    again.close()
    assert everything(read(log.path).state.document) == everything(document)
    assert b'{"entries"\n' not in log.path.read_bytes()


@pytest.mark.parametrize("damage", [b"\xff", b"\0", b'"'])
def test_damaged_line_is_said_and_what_is_before_it_is_used(begun, damage):
    document, log = begun
    states, sizes = [], []
    for word in ("ab", " cd", " ef"):
        states.append(everything(document))
        sizes.append(log.size)
        document.insert(word)
        save(log, document)
    log.close()
    content = bytearray(log.path.read_bytes())
    content[sizes[1] + 30 : sizes[1] + 31] = damage
    log.path.write_bytes(content)
    found = read(log.path)
    assert everything(found.state.document) == states[1]
    assert found.note == "one.json is damaged. The text is what was saved before the damage; the file stays as it is."
    with pytest.raises(LogLostError):
        SessionLog.open(found.seen)
    assert log.path.read_bytes() == bytes(content)


def test_session_with_a_damaged_head_is_read_from_its_other_lines(begun):
    document, log = begun
    content = log.path.read_bytes()
    log.path.write_bytes(content.replace(b'"summary": {', b'"summary": [', 1))
    found = read(log.path)
    assert everything(found.state.document) == everything(document)
    assert found.note
    assert not found.seen.can_go_on


@pytest.mark.parametrize(
    "entry",
    [
        {"do": "move", "position": 1.5}, {"do": "undo", "x": 1}, {"do": "grow", "text": "a", "recorded": 1},
        {"do": "edit", "kind": "typing", "start": 10**9, "text": "a"}, {"do": "__init__"}, {"do": []}, [], None,
        {"do": "go", "kind": "x", "number": 99, "cursor": 0}, {"do": "rename", "number": 0, "name": None},
        {"do": "edit", "kind": "typing", "start": 0, "text": "a", "by": "7"}, {"position": 3},
        {"do": "edit", "kind": "typing", "start": 0, "text": "a", "cursor": 10**6},
        {"do": "edit", "kind": "typing", "start": 0, "text": "a", "cursor": -1},
        {"do": "edit", "kind": "typing", "start": 0, "text": "a", "branch": -5},
    ],
)  # fmt: skip
def test_entry_that_is_none_is_damage_and_nothing_of_its_line_is_used(begun, entry):
    document, log = begun
    document.insert("ab ")
    save(log, document)
    good = {"do": "edit", "kind": "typing", "start": 0, "text": "q"}
    log.append({"entries": [good, entry]}, about(document))
    log.append({"entries": [good]}, about(document))
    found = read(log.path)
    assert everything(found.state.document) == everything(document)
    assert found.note


@pytest.mark.parametrize("half", [True, False])
def test_failed_write_leaves_nothing_and_is_made_again(begun, half):
    document, log = begun
    document.insert("ab ")
    save(log, document)
    before = everything(document)
    document.insert("c")
    record, summary = changes(document.take_journal()), about(document)
    with storage.use_disk(FaultyDisk(0, full, half=half, only=frozenset({"write"}))):
        for _ in range(2):
            with pytest.raises(OSError, match="space"):
                log.append(record, summary)
            assert everything(read(log.path).state.document) == before
            storage.disk.calls = 0
    log.append(record, summary)
    assert everything(read(log.path).state.document) == everything(document)
    assert log.path.stat().st_size == log.size


def test_power_cut_loses_nothing_that_was_synced(tmp_path, model):
    """Before each change of the disk in turn, with the names of files early and late."""
    (tmp_path / "here").mkdir()
    path, done = tmp_path / "here" / "one.json", tmp_path / "done"
    code = "\n".join(
        (
            "import os, sys; sys.path[:0] = sys.argv[3:]",
            "from test_session_log import *",
            "from recorded_run import tiny_model; from faulty_disk import PowerLossDisk",
            "model = tiny_model(symbols=tuple('abc '), hidden_size=4)",
            "path, done = Path(sys.argv[1]), Path(sys.argv[2])",
            "def write(at, early):",
            "    storage.disk = PowerLossDisk(path.parent, at, names_first=early)",
            "    log = SessionLog.create(path, state_of(Document('abc'), model))",
            "    document = log.read().state.document",
            "    for number in range(3):",
            "        document.insert('abc'[number]); done.write_text(document.text.read()[:-1])",
            "        log.append(changes(document.take_journal()), about(document), sync=True)",
            "        if number == 1: log.compact()",
            "    done.write_text(document.text.read())",
            "for line in sys.stdin:",  # a fork for each power cut: Python is started once
            "    at, early = map(int, line.split())",
            "    if not (child := os.fork()):",
            "        write(at, bool(early)); os._exit(0)",
            "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)",
        )
    )
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    run = [sys.executable, "-c", code, str(path), str(done), *folders]
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        at, status = 0, KILLED
        while status == KILLED:
            for early in (0, 1):
                for each in path.parent.iterdir():
                    each.unlink()
                done.unlink(missing_ok=True)
                print(at, early, file=writer.stdin, flush=True)
                status = int(writer.stdout.readline())
                assert status in (0, KILLED)
                if done.exists():
                    text = read(path).state.document.text.read()
                    assert text in (done.read_text(), done.read_text() + "abc"[len(done.read_text()) - 3 :][:1])
            at += 1
    assert at > 10


# ---- two programs


def test_two_programs_get_two_files(begun, tmp_path, model):
    document, log = begun
    with pytest.raises(LogLostError) as caught:
        SessionLog.create(log.path, state_of(document, model))
    assert caught.value.reason == "in use"
    with pytest.raises(LogLostError) as caught:
        SessionLog.open(read(log.path).seen)
    assert caught.value.reason == "in use"
    code = (
        "import sys; from pathlib import Path; from charlstm.generation.session_log import *\n"
        "try: SessionLog.open(read(Path(sys.argv[1])).seen)\n"
        "except LogLostError as error: print(error.reason)\n"
        "else: print('opened')"
    )
    run = [sys.executable, "-c", code, str(log.path)]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == "in use"
    log.close()
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == "opened"
    with pytest.raises(FileExistsError):
        SessionLog.create(log.path, state_of(document, model))


def test_session_is_saved_on_a_file_system_without_locks(tmp_path, model, monkeypatch):
    have_no_locks(monkeypatch)
    document = played()
    log = SessionLog.create(tmp_path / "one.json", state_of(document, model))
    seen = read(log.path).seen
    SessionLog.open(seen).close()  # nothing that a killed program would leave behind keeps others away
    log.close()


def test_file_that_another_program_wrote_to_is_not_appended_to(begun):
    document, log = begun
    document.insert("ab")
    with log.path.open("ab") as file:
        file.write(b"x")
    content = log.path.read_bytes()
    for change in (lambda: save(log, document), log.compact):
        with pytest.raises(LogLostError) as caught:
            change()
        assert caught.value.reason == "changed"
    assert log.path.read_bytes() == content


def test_file_that_was_replaced_or_deleted_is_noticed_and_can_be_read_still(begun, tmp_path):
    document, log = begun
    other = tmp_path / "other.json"
    other.write_bytes(log.path.read_bytes())
    os.replace(other, log.path)
    content = log.path.read_bytes()
    for reason in ("replaced", "gone"):
        document.insert("a")
        for change in (lambda: save(log, document), log.compact):
            with pytest.raises(LogLostError) as caught:
                change()
            assert caught.value.reason == reason
        assert len(log.read().state.document) == 43
        if reason == "replaced":
            assert log.path.read_bytes() == content
            log.path.unlink()
    assert not log.path.exists()


def test_file_that_was_changed_since_it_was_read_is_not_gone_on_in(begun):
    document, log = begun
    seen = read(log.path).seen
    document.insert("ab")
    save(log, document)
    log.close()
    with pytest.raises(LogLostError) as caught:
        SessionLog.open(seen)
    assert caught.value.reason == "changed"
    SessionLog.open(read(log.path).seen).close()


def test_moved_file_is_appended_to_under_its_new_name(begun, tmp_path):
    document, log = begun
    there = tmp_path / "there"
    there.mkdir()
    log.path.rename(there / log.path.name)
    assert not log.is_at(log.path)
    assert log.is_at(there / log.path.name)
    log.path = there / log.path.name
    document.insert("ab")
    save(log, document)
    assert everything(read(log.path).state.document) == everything(document)


# ---- compacting


def test_compacting_keeps_all_and_shortens_the_file(begun):
    document, log = begun
    for number in range(200):
        document.insert("abcde fg"[number % 8])
        save(log, document, settings=SamplerSettings(top_k=number + 1), clamps=CLAMPS)
    before, size = everything(document), log.size
    log.compact()
    assert log.path.stat().st_size == log.size < size / 5
    assert everything(read(log.path).state.document) == before
    document.insert("h")
    save(log, document)
    found = read(log.path)
    assert everything(found.state.document) == everything(document)
    assert (found.state.settings.top_k, found.state.clamps) == (200, CLAMPS)
    assert found.state.summary == about(document)


def test_what_is_appended_while_the_file_is_compacted_is_kept(begun, monkeypatch, model):
    document, log = begun
    document.insert("ab ")
    save(log, document)
    state, write = state_of(document, model), session_log._write

    def slow(file, *arguments):
        for word in ("cd ", "ef\n"):
            document.insert(word)
            save(log, document)
        return write(file, *arguments)

    monkeypatch.setattr(session_log, "_write", slow)
    log.compact(state)
    assert everything(read(log.path).state.document) == everything(document)
    assert read(log.path).state.summary == about(document)
    assert read_summary(log.path.open("rb")) == about(document)


def test_failed_compacting_leaves_the_file_and_no_other(begun, tmp_path):
    document, log = begun
    for number in range(100):
        document.insert("abcde fg"[number % 8])
        save(log, document)
    content = log.path.read_bytes()
    with storage.use_disk(FaultyDisk(alone=True)) as disk:
        log.compact()
    total = disk.calls
    assert total > 4
    for at in range(total - 1):  # the last one syncs the folder
        log.path.write_bytes(content)
        log.size = len(content)
        with storage.use_disk(FaultyDisk(at, full, alone=True)), pytest.raises(OSError, match="space"):
            log.compact()
        assert log.path.read_bytes() == content
        assert not list(tmp_path.glob(".*.tmp"))
        document.insert("a")
        save(log, document)
        assert everything(read(log.path).state.document) == everything(document)
        content = log.path.read_bytes()


def test_log_is_long_when_the_changes_take_more_room_than_half_of_the_text(tmp_path, model):
    document = played(100_000)
    log = SessionLog.create(tmp_path / "one.json", state_of(document, model))
    document.take_journal()
    while not log.is_long:
        document.insert("a" * 5000)
        save(log, document)
    assert 0 < log.size - 1.5 * log.state_end < 6000
    log.close()


def test_thousand_edits_and_their_undo_take_at_most_three_times_the_room_of_the_text(tmp_path, model):
    """At each moment, without figures, which would make the difference smaller."""
    text = "".join(random.Random(1).choices("abcde fgh ij\n", k=20_000))
    largest = []
    for edits in (0, 1000):
        document, chance = Document("abc"), random.Random(2)
        log = SessionLog.create(tmp_path / f"{edits}.json", state_of(document, model))
        sizes = []

        def saved(log=log, document=document, sizes=sizes):
            save(log, document)
            sizes.append(log.size)
            if log.is_long:
                log.compact()

        document.insert(text)
        saved()
        for _ in range(edits):
            at = chance.randrange(len(document))
            document.replace(at, at, chance.choice("abc"))
            saved()
        for _ in range(edits):
            document.undo()
            saved()
        assert document.text.read(3) == text
        largest.append(max(sizes))
        log.close()
    assert largest[1] <= 3 * largest[0]


# ---- summaries


def test_summary_is_read_from_both_ends_of_a_file(begun, monkeypatch):
    document, log = begun
    document.insert("a" * 3_000_000)
    save(log, document)
    document.move(0)
    document.insert("hij ")
    save(log, document)
    log.append(changes(document.take_journal()), SessionSummary(3_000_044, "hij", True, "/x/" + "y" * 3000, "m" * 300))
    reads = []

    class Counted:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            def call(*arguments):
                result = getattr(self.file, name)(*arguments)
                reads.append(len(result) if isinstance(result, bytes) else 0)
                return result

            return call

    with log.path.open("rb") as file:
        found = read_summary(Counted(file))
    assert found == read(log.path).state.summary
    assert found == SessionSummary(3_000_044, "hij", True, "/x/" + "y" * 3000, "m" * 300)
    assert sum(reads) < 20_000
    assert saving.read_summary(log.path) == found


def test_summary_is_that_of_the_last_change_also_where_it_is_again_as_in_the_head(begun):
    document, log = begun
    document.insert("a")
    save(log, document)
    document.undo()
    save(log, document)
    assert saving.read_summary(log.path) == read(log.path).state.summary == about(document)


def test_summary_of_a_file_that_ends_with_a_long_line(begun, model):
    document, log = begun
    document.insert("a" * 100_000)
    save(log, document)
    assert saving.read_summary(log.path) == about(document)
    log.compact(state_of(document, model, cache=lambda: {"figures": "x" * 100_000}))
    assert saving.read_summary(log.path) == about(document)


# ---- what the model had read


@pytest.fixture
def session(model):
    session = Session(model, "abZ", seed=5, sample=2, settings=SamplerSettings(mirostat=2.0))
    list(session.stream(300))
    session.rewind(130)
    session.choose("a" if session.at(130).char != "a" else "b")
    session.type("hij\n")
    list(session.stream(100))
    session.rename(1, "[/red]\x1b[2J")
    session.rewind(50)
    return session


def saved_with_cache(path, session, values=None):
    document = document_of(session)
    state = state_of(
        document, session.model, settings=session.settings, sample=session.sample, unknown=session.unknown,
        cache=copy_tree(session) if values is None else lambda: values,
    )  # fmt: skip
    return document, SessionLog.create(path, state)


def test_session_with_what_the_model_had_read_is_opened_exactly(session, model, tmp_path):
    _, log = saved_with_cache(tmp_path / "one.json", session)
    log.close()
    again = load_session(log.path, model)
    assert to_dict(again) == to_dict(session)
    assert again.steps() == session.steps()
    state = load(log.path, model)
    assert state.session is not None
    assert state.session.steps() == session.steps()
    assert (state.session.position, state.document.cursor) == (50, 52)


def test_session_without_what_the_model_had_read_is_read_again(session, model, tmp_path):
    state = state_of(document_of(session), model, settings=session.settings, sample=2)
    log = SessionLog.create(tmp_path / "one.json", state)
    log.close()
    again = load_session(log.path, model)
    assert load(log.path, model).session is None
    assert [(b.number, b.parent, b.start, b.stop, b.name) for b in again.branches()] == [
        (b.number, b.parent, b.start, b.stop, b.name) for b in session.branches()
    ]
    assert (again.read(), again.position, again.prime, again.seed) == (
        session.read(), session.position, session.prime, 5
    )  # fmt: skip
    for number in (0, 1):
        again.switch(number)
        session.switch(number)
        assert again.read() == session.read()
        assert (again.rows()["source"] == session.rows()["source"]).all()
    assert again.peek() == session.peek()


@pytest.mark.parametrize("place", [0, 20, 131, 200])
def test_what_was_read_before_an_edit_is_used(session, model, tmp_path, place):
    document, log = saved_with_cache(tmp_path / "one.json", session)
    document.move(3 + place)
    document.insert("ccc")
    document.switch(0)
    document.switch(1)
    save(log, document)
    log.close()
    state = load(log.path, model)
    assert state.session is not None
    assert state.session.read() == state.document.text.read(2, 2 + len(state.session))
    assert len(state.session) >= min(place, 130)
    again = load_session(log.path, model)
    assert again.prime + again.read() == document.text.read()
    assert sorted(b.stop for b in again.branches()) == sorted(len(b.text) - 2 for b in document.branches.values())


def test_compacting_keeps_what_the_model_had_read(session, model, tmp_path):
    document, log = saved_with_cache(tmp_path / "one.json", session)
    for _ in range(2):
        document.insert("ab ")
        save(log, document)
        log.compact()
        document.insert("c")
        save(log, document)
        log.compact(state_of(document, model))
        log.close()
        log = SessionLog.open(read(log.path).seen)
    log.close()
    found = load(log.path, model)
    assert found.session is not None
    assert found.session.read() == session.read(0, 50)
    assert to_dict(found.session)["branches"] == to_dict(session)["branches"]
    values = to_dict(Session(model, "ab"))
    log = SessionLog.open(found.seen)
    log.compact(state_of(document, model, cache=lambda: values))
    log.close()
    assert read(log.path).state.cache() == values


@pytest.mark.parametrize("damage", ["kind", "branches", "figures", "weights", "symbols", "prime", "text"])
def test_damaged_or_foreign_figures_are_left_out(session, model, make_model, tmp_path, damage):
    values = copy.deepcopy(to_dict(session))
    match damage:
        case "kind":
            values = {"kind": 1}
        case "branches":
            values["branches"][1]["parent"] = 7
        case "figures":
            values["branches"][1]["figures"] = "AAAA"
        case "weights":
            values = to_dict(_typed(make_model(seed=4), session))
        case "symbols":
            values["symbols"] = ["x"]
        case "prime":
            values = to_dict(Session(model, "b"))
        case "text":
            values = to_dict(_typed(model, session, "ggg"))
    document, log = saved_with_cache(tmp_path / "one.json", session, values)
    log.close()
    state = load(log.path, model)
    assert everything(state.document) == everything(document)
    assert state.note == ""
    if damage == "text":  # of another text, of which nothing is this one's
        assert state.session is not None
        assert state.session.read() in session.read()[:1]
    else:
        assert state.session is None
    assert load_session(log.path, model).read() == session.read()


def _typed(model, session, before=""):
    other = Session(model, session.prime, seed=5)
    other.type(before + session.read())
    return other


def test_session_of_other_characters_or_cells_is_refused(session, model, make_model, tmp_path):
    _, log = saved_with_cache(tmp_path / "one.json", session)
    log.append(changes(clamps=[Clamp(9, 1)]), about(document_of(session)))
    log.close()
    for open_it in (load, load_session):
        with pytest.raises(GenerationError, match="other characters"):
            open_it(log.path, make_model("xyz"))
        with pytest.raises(GenerationError, match="no cell 9:1"):
            open_it(log.path, model)


# ---- older formats


@pytest.mark.parametrize("cut", [None, 80, 131])
@pytest.mark.parametrize("rest", ["", "hhh abc"])
def test_session_of_format_2_is_a_document(session, model, tmp_path, cut, rest):
    path = tmp_path / "one.json"
    if cut is not None:
        session.rewind(cut)
        session.cut()
    values = to_dict(session)
    values["summary"]["continues"] = "/x"
    if rest:  # as version 0.2 wrote it
        values["rest"] = {"text": rest, "sources": [TYPED] * len(rest)}
    path.write_text(json.dumps(values))
    state, tree = load(path, model), load_session(path, model)
    assert state.document.text.read() == tree.prime + tree.read() == "ab" + session.read() + rest
    assert (state.document.text.sources(2) == tree.rows()["source"]).all()
    assert (state.document.cursor, state.document.seed, state.document.prime_length) == (2 + session.position, 5, 2)
    assert {b.name for b in state.document.branches.values()} == {b.name for b in tree.branches()}
    assert state.summary.continues == "/x"
    assert state.session is not None
    assert state.session.read() == session.read()
    assert (state.sample, state.settings) == (2, session.settings)
    texts = set()
    for number in tree.tree:
        tree.switch(number)
        texts.add("ab" + tree.read())
    assert texts <= {b.text.read() for b in state.document.branches.values()}
    assert not state.seen.can_go_on
    assert state.document.undoable == ""


@pytest.mark.parametrize(("position", "cursor"), [(None, 40), (403, 405), (404, 406), (405, None), ("3", None)])
def test_cursor_may_be_in_what_the_model_had_not_read(model, tmp_path, position, cursor):
    session = Session(model, "ab", seed=5)
    list(session.stream(400))
    session.rewind(38)
    path, values = tmp_path / "one.json", to_dict(session)
    values["rest"] = {"text": "hhhh", "sources": [1, 1, 1, 1]} | ({} if position is None else {"position": position})
    path.write_text(json.dumps(values))
    if cursor is None:
        with pytest.raises(GenerationError, match="damaged"):
            load(path, model)
    else:
        assert load(path, model).document.cursor == cursor


@examples(30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chance=st.randoms(use_true_random=False))
def test_any_session_is_a_document_and_a_session_again(model, tmp_path, chance):
    session = Session(model, chance.choice(("", "ab", "abc\n")), seed=chance.randrange(9))
    for _ in range(chance.randrange(8)):
        list(session.stream(chance.randrange(20)))
        session.rewind(chance.randrange(len(session) + 1))
        session.type(chance.choice(("a", "b c", "")))
        session.switch(chance.choice(list(session.tree)))
        if chance.randrange(3) == 0 and len(session.tree) > 1:
            session.prune(chance.choice(list(session.tree)[1:]))
        session.rewind(chance.randrange(len(session) + 1))
    if chance.randrange(2) and session.position > session.tip.start:
        session.cut()
    document = document_of(session)
    path = tmp_path / "one.json"
    path.unlink(missing_ok=True)
    SessionLog.create(path, state_of(document, model)).close()
    again = load_session(path, model)
    assert (again.read(), again.position, again.prime) == (session.read(), session.position, session.prime)
    expected, texts = {}, {}
    for each, kept in ((session, expected), (again, texts)):
        for branch in each.branches():
            each.switch(branch.number)
            kept[branch.number] = each.read(), each.rows()["source"].tolist()
    longer = {text for text, _ in expected.values()}
    needed = [
        (text, sources)
        for text, sources in expected.values()
        if not any(other != text and other.startswith(text) for other in longer)
    ]
    assert all(each in texts.values() for each in needed)


# ---- nothing in a file is trusted


def test_history_cannot_fill_the_memory(begun):
    _, log = begun
    lines = log.path.read_bytes().split(b"\n")
    state = json.loads(lines[1][9:])
    packed = zlib.compress(b'{"undo": [' + b" " * 30_000_000 + b'], "redo": []}', 9)
    state["state"]["document"]["history"] = base64.b64encode(packed).decode()
    lines[1] = session_log._line(state).rstrip(b"\n")
    log.path.write_bytes(b"\n".join(lines))
    tracemalloc.start()
    found = read(log.path)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    assert (len(found.state.document), found.state.document.undoable) == (43, "")
    assert found.note


def test_history_that_does_not_fit_is_left_out_and_the_text_stays(begun):
    document, log = begun
    document.insert("ab ")
    save(log, document)
    far = {"do": "edit", "kind": "typing", "start": 0, "text": "q", "joins": True}
    log.append({"entries": [far]}, about(document))
    found = read(log.path)
    assert found.state.document.text.read() == "q" + document.text.read()
    assert found.state.document.undoable == ""
    assert found.note
    assert not found.seen.can_go_on


def test_file_longer_than_any_limit_is_read(begun, model, monkeypatch):
    document, log = begun
    session = Session(model, "ab")
    session.type("cde")
    save_session(session, log.path.with_name("two.json"))
    monkeypatch.setattr(saving, "MAX_BYTES", 10)
    assert load_session(log.path, model).read() == document.text.read(3)
    assert load(log.path.with_name("two.json"), model).document.text.read() == "abcde"


@pytest.mark.parametrize("content", [b"", b"{}", b"\n", b'{"format": 3, "kind": "charlstm session", ', b"[1]", b"null"])
def test_files_without_a_text_are_refused_in_one_sentence(tmp_path, model, content):
    path = tmp_path / "one.json"
    path.write_bytes(content)
    for open_it in (load, load_session, saving.read_summary):
        arguments = (path,) if open_it is saving.read_summary else (path, model)
        with pytest.raises(GenerationError):
            open_it(*arguments)
    with pytest.raises(GenerationError, match="There is no session file"):
        load(tmp_path / "none.json", model)
    with pytest.raises(GenerationError, match="is a folder"):
        load(tmp_path, model)


def test_sources_are_those_of_each_character(begun):
    document, log = begun
    document.insert("a")
    document.branch_off(10, "b", CHOSEN, kind="choosing")
    save(log, document)
    sources = read(log.path).state.document.text.sources().tolist()
    assert sources == [TYPED] * 3 + [GENERATED] * 7 + [CHOSEN]
    assert np.unique(sources).tolist() == [GENERATED, TYPED, CHOSEN]
