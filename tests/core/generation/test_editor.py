"""The editor: undo and redo of every change, and edits in the middle of a text that keep what follows."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.errors import GenerationError
from charlstm.generation.editor import CHUNK, READ_CHUNK, Editor
from charlstm.generation.saving import copy, from_dict, to_dict
from charlstm.generation.session import Session
from charlstm.generation.tree import GENERATED, TYPED

pytestmark = pytest.mark.numeric


def played(model, length=40):
    session = Session(model, "abc", seed=3)
    list(session.stream(length))
    return Editor(session)


def state(editor):
    return editor.text, editor.session.position, [branch.number for branch in editor.session.branches()]


def test_typed_text_is_undone_word_by_word_and_redone(model):
    editor = played(model)
    start = editor.text
    for char in "ab cd e":
        editor.insert(char)
    assert editor.text == start + "ab cd e"
    seen = []
    while editor.undo():
        seen.append(editor.text[len(start) :])
    assert seen == ["ab cd ", "ab ", ""]
    assert [editor.redo() for _ in range(4)] == ["typing", "typing", "typing", ""]
    assert editor.text == start + "ab cd e"
    editor.undo()
    editor.insert("b")
    assert editor.redoable == ""
    assert editor.text == start + "ab cd b"


def test_text_is_put_in_and_taken_out_in_the_middle_and_keeps_who_wrote_it(model):
    editor = played(model)
    session, start = editor.session, editor.text
    editor.move(10)
    for char in "abc":
        editor.insert(char)
    editor.erase(before=1)
    editor.erase(after=2)
    expected = start[:10] + "ab" + start[12:]
    assert editor.text == expected
    assert session.position == 12
    editor.join()
    assert session.read() == editor.text == expected
    assert session.position == 12
    sources = [step.source for step in session.steps()]
    assert sources == [GENERATED] * 10 + [TYPED] * 2 + [GENERATED] * (len(start) - 12)
    again = Session(model, "abc")
    again.type(expected)
    assert [step.probability for step in session.steps()] == pytest.approx([s.probability for s in again.steps()])
    seen = []
    while editor.undo():
        seen.append(editor.text)
    assert seen[-1] == start
    assert session.position == len(start)
    while editor.redo():
        pass
    assert editor.text == expected


def test_words_are_found_around_the_cursor_also_where_the_text_is_set_aside(model):
    editor = played(model, 0)
    editor.insert("ab cd  ef")
    assert (editor.word_before(), editor.word_after()) == (2, 0)
    editor.erase(before=editor.word_before())
    assert editor.text == "ab cd  "
    assert editor.word_before() == 4
    editor.move(2)
    editor.insert("f")
    assert (editor.word_before(), editor.word_after()) == (3, 3)
    editor.move(0)
    assert (editor.word_before(), editor.word_after()) == (0, 3)


def test_text_that_is_typed_and_erased_again_leaves_no_branch(model):
    editor = played(model)
    editor.move(10)
    editor.insert(editor.text[10])
    editor.erase(before=1)
    editor.join()
    assert [branch.number for branch in editor.session.branches()] == [0]


def test_pruned_branch_comes_back_and_goes_again(model):
    editor = played(model)
    session = editor.session
    editor.record("choice")
    session.rewind(5)
    other = next(char for char in model.vocabulary.symbols if char != editor.text[5])
    session.choose(other)
    list(session.stream(20))
    session.rewind(12)
    session.choose(next(char for char in model.vocabulary.symbols if char != session.read()[12]))
    before = state(editor)
    editor.prune(1)
    assert len(session.branches()) == 1
    after = state(editor)
    assert editor.undo() == "pruning"
    assert state(editor) == before
    assert editor.redo() == "pruning"
    assert state(editor) == after
    editor.undo()
    assert editor.undo() == "choice"
    assert session.position == len(editor.text) == 40
    with pytest.raises(GenerationError):
        editor.prune(0)
    assert editor.redoable == "choice"


def test_moves_are_one_change_and_do_not_prevent_redo(model):
    editor = played(model)
    for position in (39, 38, 12):
        editor.move(position)
    editor.insert("a")
    editor.undo()
    editor.move(3)
    assert editor.redo() == "typing"
    assert editor.text[12] == "a"
    assert [editor.undo(), editor.undo(), editor.undo()] == ["typing", "moving", ""]
    assert editor.session.position == 40


def test_moving_in_an_edited_text_reads_no_more_than_to_the_cursor(model, monkeypatch):
    editor = played(model, 300)
    session, start = editor.session, editor.text
    editor.move(100)
    editor.insert("ab")
    read = []
    put_back = Session.put_back
    monkeypatch.setattr(Session, "put_back", lambda self, rows: (read.append(len(rows)), put_back(self, rows)))
    for position in (110, 105, 90, 101, 120):
        editor.move(position)
        assert session.position == position
        assert editor.text == start[:100] + "ab" + start[100:]
    assert sum(read) == 8 + 10
    monkeypatch.undo()
    editor.join()
    assert session.read() == editor.text
    assert len(session.branches()) == 2


def test_text_that_is_saved_while_it_is_edited_is_loaded_whole(model):
    editor = played(model)
    editor.move(10)
    editor.insert("ab")
    content = copy(editor.session, editor.rest)()
    session = from_dict(json.loads(content), model)
    assert session.read() == editor.text
    assert session.position == 12
    assert [step.source for step in session.steps(9, 13)] == [GENERATED, TYPED, TYPED, GENERATED]
    for damage in ({"text": editor.text[12:], "sources": [0]}, {"text": "Ω", "sources": [0]}, 3):
        with pytest.raises(GenerationError):
            from_dict({**json.loads(content), "rest": damage}, model)


def test_text_is_read_again_piece_by_piece_and_can_be_changed_meanwhile(model):
    editor = played(model, 300)
    session = editor.session
    editor.move(10)
    editor.insert("ab")
    expected, left = editor.text, [2]

    def proceed():
        left[0] -= 1
        return left[0] >= 0

    editor.read(300, proceed)
    assert (editor.text, session.position, len(session)) == (expected, 12, 12 + 2 * READ_CHUNK)

    def fail():
        raise GenerationError("stop")

    with pytest.raises(GenerationError):
        editor.read(300, fail)
    editor.read(40)
    assert (editor.text, session.position, len(session)) == (expected, 12, 40)
    editor.move(20)
    editor.insert("c")
    expected = expected[:20] + "c" + expected[20:]
    assert (editor.text, session.position, len(session)) == (expected, 21, 21)
    editor.read(30)
    content = copy(session, editor.rest)()
    again = from_dict(json.loads(content), model)
    assert (again.read(), again.position) == (expected, 21)
    assert editor.undo() == "typing"
    editor.redo()
    assert editor.text == expected
    editor.join()
    assert (session.read(), session.position) == (expected, 21)


def test_text_that_was_cut_is_saved_and_grows_again(model):
    session = played(model).session
    whole = session.read()
    session.rewind(10)
    session.cut()
    again = from_dict(to_dict(session), model)
    for each in (session, again):
        assert (each.read(), each.position) == (whole[:10], 10)
        for _ in range(30):
            each.step()
        assert each.read() == whole
        assert len(each.branches()) == 1
    values = to_dict(session)
    del values["cursor"]["length"]  # as sessions were saved before
    assert from_dict(values, model).read() == whole


def test_alternatives_are_walked_by_their_probability_and_undone_together(model):
    editor = played(model)
    session, start = editor.session, editor.text
    editor.move(10)
    chars = [one.char for one in session.next_char_distribution(len(model.vocabulary)).alternatives]
    assert len(chars) == len(model.vocabulary)
    here = chars.index(start[10])
    seen = {here: start}
    for place in range(here - 1, -1, -1):
        assert editor.show_alternative(-1, 20)
        seen[place] = editor.text
    assert not editor.show_alternative(-1, 20)
    for place in range(1, len(chars)):
        assert editor.show_alternative(1, 20)
        assert editor.text == seen.setdefault(place, editor.text)  # one that was shown before is as it was
    assert not editor.show_alternative(1, 20)
    assert [seen[place][10] for place in range(len(chars))] == chars
    assert all(text[:10] == start[:10] and len(text) <= 40 for text in seen.values())
    assert session.position == 10
    assert editor.undo() == "showing alternatives"
    assert editor.text == start
    assert editor.undo() == "moving"


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_edits_are_those_of_a_string_and_undo_leads_back_through_each(model, data):
    editor = played(model, 12)
    text, cursor = editor.text, 12
    symbols = model.vocabulary.symbols
    texts = [text]
    for _ in range(data.draw(st.integers(1, 25))):
        action = data.draw(st.sampled_from(["type", "back", "delete", "move", "join", "undo"]))
        if action == "type":
            char = data.draw(st.sampled_from(symbols))
            editor.insert(char)
            text, cursor = text[:cursor] + char + text[cursor:], cursor + 1
        elif action == "back":
            editor.erase(before=1)
            text, cursor = text[: max(0, cursor - 1)] + text[cursor:], max(0, cursor - 1)
        elif action == "delete":
            editor.erase(after=1)
            text = text[:cursor] + text[cursor + 1 :]
        elif action == "move":
            cursor = data.draw(st.integers(0, len(text)))
            editor.move(cursor)
        elif action == "join":
            editor.join()
        else:
            editor.undo()
            text, cursor = editor.text, editor.session.position
            assert text in texts
        assert (editor.text, editor.session.position) == (text, cursor)
        texts.append(text)
    while editor.undo():
        assert editor.text in texts
    assert editor.text == texts[0]
    while editor.redo():
        pass
    editor.join()
    assert editor.session.read() == editor.text


def test_prime_becomes_the_beginning_of_a_text_that_keeps_who_wrote_it(model):
    editor = played(model)
    editor.insert("ab")
    editor.move(10)
    editor.open()  # so that a part of the text is set aside
    text, sources = editor.text, editor.rows()["source"].tolist()
    other = editor.without_prime()
    assert (other.session.prime, len(other.session), other.undoable) == ("", 0, "")
    assert other.text == "abc" + text
    assert other.rows()["source"].tolist() == [TYPED] * 3 + sources
    other.join()
    assert other.text == "abc" + text
    expected = Session(model, "", seed=3)
    expected.type("abc" + text)
    # Computed in blocks of other sizes, whose last digits may differ.
    assert other.rows()["probability"] == pytest.approx(expected.rows()["probability"], rel=1e-5)
    assert (editor.text, editor.session.prime) == (text, "abc")


def history(editor):
    """All of what an edit that fails must not change."""
    editor.session.next_char_distribution()
    marks = [(change.kind, change.mark) for change in (*editor._undo, *editor._redo)]
    branches = editor.session.branches()
    return state(editor), marks, editor.undoable, editor.redoable, editor.changes, len(editor.rest), branches


def choose_unknown(editor):
    with editor.changing("choosing"):
        editor.session.rewind(3)
        for char in "ajZ":  # the last one is not among the model's
            editor.session.choose(char)


@pytest.mark.parametrize(
    "edit",
    [
        lambda editor: editor.replace(10, 4, "a"),
        lambda editor: editor.replace(99, 100, "a"),
        lambda editor: editor.replace(-1, 4),
        lambda editor: editor.insert("a", at=99),
        lambda editor: editor.insert("a", at=-1),
        lambda editor: editor.insert(5),
        lambda editor: editor.erase(before=-1),
        lambda editor: editor.erase(after=-1),
        lambda editor: editor.put_generated(5, "accepting"),
        lambda editor: editor.prune(0),
        lambda editor: editor.prune(9),
        lambda editor: editor.move(99),
        lambda editor: editor.move(-1),
        choose_unknown,
    ],
)
@pytest.mark.parametrize("waits", [True, False])
def test_edit_that_fails_changes_nothing(model, edit, waits):
    editor = played(model)
    editor.move(20)
    editor.insert("a")
    editor.insert("b c")
    editor.undo()
    editor.undo()
    editor.insert("ab", at=15)
    editor.undo()
    assert editor.redoable
    if waits:
        editor.move(5)
        editor.open()
    else:
        editor.join()
    before = history(editor)
    with pytest.raises(GenerationError):
        edit(editor)
    assert history(editor)[:5] == before[:5]
    editor.join()
    assert history(editor)[:5] == before[:5]


def test_edit_that_fails_leaves_no_branch(model):
    editor = played(model)
    before = history(editor)
    with pytest.raises(GenerationError):
        choose_unknown(editor)
    assert history(editor) == before


def test_text_of_which_the_model_knows_nothing_changes_nothing(model):
    editor = played(model)
    editor.insert("ab")
    editor.undo()
    before = history(editor)
    assert editor.insert("ÄÖÄ") == {"Ä": 2, "Ö": 1}
    assert editor.insert("ÄÖÄ", at=5) == {"Ä": 2, "Ö": 1}
    assert editor.replace(5, 9, "ÄÖÄ") == {"Ä": 2, "Ö": 1}
    assert history(editor) == before


@pytest.mark.parametrize("place", [CHUNK - 1, CHUNK])
def test_long_text_is_put_in_as_one_text(model, place):
    """A line end is not two where the text is put in piece by piece, and unknown characters are counted in all."""
    text = "Ä" + "a" * (place - 1) + "\r\n" + "b" * CHUNK + "Ä"
    editor = Editor(Session(model, "abc"))
    assert editor.insert(text) == {"Ä": 2}
    assert editor.text == "a" * (place - 1) + "\n" + "b" * CHUNK
    editor = played(model)
    assert editor.replace(3, 3, text) == {"Ä": 2}
    editor.join()
    assert editor.text[3:].startswith("a" * (place - 1) + "\n" + "b" * CHUNK)
