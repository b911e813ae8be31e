"""The document: edits, branches and history against a plain string, without a model."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import GenerationError
from charlstm.generation.document import ERASE, GENERATE, TYPE, Document
from charlstm.generation.rows import GENERATED, TYPED
from charlstm.generation.text_pieces import MOST_PIECES, Text
from played_documents import ACTIONS, act, everything, played
from random_examples import examples


def saved(document):
    """The same document, as it is written and read."""
    again = Document.from_dict(json.loads(json.dumps(document.to_dict())))
    again.read_history(json.loads(json.dumps(document.history())))
    return again


def stream(document, text):
    document.begin_generating()
    for char in text:
        document.generate(char)


# ---- texts


@examples(40)
@given(data=st.data())
def test_text_is_a_string_whatever_pieces_it_has(data):
    text, expected = Text(), ""
    for _ in range(data.draw(st.integers(0, 30))):
        start = data.draw(st.integers(0, len(expected)))
        stop = data.draw(st.integers(start, len(expected)))
        new = data.draw(st.text("ab€\U0001f600\ud800", max_size=4))
        added = text.continued(start, new, TYPED) if data.draw(st.booleans()) else Text.of(new, GENERATED)
        text, expected = text.replaced(start, stop, added), expected[:start] + new + expected[stop:]
        assert (text.read(), len(text)) == (expected, len(expected))
    start, stop = sorted(data.draw(st.integers(0, len(expected) + 2)) for _ in range(2))
    assert text.part(start, stop).read() == text.read(start, stop) == expected[start:stop]


written = st.lists(st.tuples(st.text("ab", min_size=1, max_size=3), st.sampled_from([TYPED, GENERATED])), max_size=6)
"""The pieces of a text, and who wrote each."""


@examples(60)
@given(written, written)
def test_texts_are_compared_from_both_ends_whatever_pieces_they_have(first, second):
    one, other = (sum((Text.of(*piece) for piece in each), Text()) for each in (first, second))
    chars, others = ([(char, source) for text, source in each for char in text] for each in (first, second))

    def same(some, more):
        return next((n for n, (a, b) in enumerate(zip(some, more, strict=False)) if a != b), min(len(some), len(more)))

    assert one.same_start(other) == same(chars, others)
    assert one.same_start(other, sources=False) == same(one.read(), other.read())
    assert one.same_end(other, min(len(one), len(other))) == same(chars[::-1], others[::-1])
    assert one.starts_with(other) == one.read().startswith(other.read())
    assert (one == other) == (chars == others)


def test_text_of_many_pieces_is_put_together():
    text = Text.of("a" * 10_000, GENERATED)
    for place in range(0, 2 * MOST_PIECES, 2):
        text = text.replaced(place, place + 1, Text.of("b", TYPED))
    assert len(text.pieces) <= MOST_PIECES
    assert text.read() == "ba" * MOST_PIECES + "a" * (10_000 - 2 * MOST_PIECES)


# ---- edits


def test_typed_text_is_undone_word_by_word_and_redone():
    document = played()
    start = document.text.read()
    for piece in ("a whole page", *"ab cd e"):  # the first one was pasted
        document.insert(piece)
    seen = []
    while document.undo() == TYPE:
        seen.append(document.text.read()[len(start) :])
    assert seen == ["a whole pageab cd ", "a whole pageab ", "a whole page", ""]
    document.redo()
    assert [document.redo() for _ in range(5)] == [TYPE, TYPE, TYPE, TYPE, ""]
    assert document.text.read() == start + "a whole pageab cd e"
    document.undo()
    document.insert("b")
    assert document.redoable == ""


def test_erasing_on_both_sides_is_one_change():
    document = played(10)
    start = document.text.read()
    document.move(8)
    for _ in range(3):
        document.erase(before=1)
    document.erase(after=2)
    assert document.text.read() == start[:5] + start[10:]
    assert document.undo() == ERASE
    assert (document.text.read(), document.cursor) == (start, 8)


def test_text_is_edited_where_something_was_erased_or_accepted():
    """What is left is all generated."""
    edits = lambda text: text.erase(before=3), lambda text: text.insert("ab", GENERATED, kind="accepting")
    for edit in edits:
        document = played(10)
        stream(document, "a")
        document.move(8)
        assert not document.is_edited
        edit(document)
        assert document.is_edited
        assert saved(document).is_edited
        document.undo()
        assert not document.is_edited


def test_edit_of_the_prime_makes_it_text_and_undo_makes_it_the_prime_again():
    document = played(5)
    assert document.prime_length == 3
    document.move(3)
    document.insert("x")  # at its end: after it
    assert document.prime_length == 3
    document.move(1)
    document.insert("y")
    assert (document.text.read()[:6], document.prime_length) == ("aybcxd", 0)
    document.undo()
    assert (document.text.read()[:5], document.prime_length) == ("abcxd", 3)


def test_impossible_edit_changes_nothing():
    document = played()
    document.insert("x")
    document.undo()
    before, state = everything(document), document.state
    for impossible in (
        lambda: document.replace(10, 4, "x"), lambda: document.replace(-1, 4, "x"), lambda: document.replace(60, 70),
        lambda: document.replace_all([(3, 5), (4, 6)], "x"), lambda: document.replace_all([(5, 5)], "x"),
        lambda: document.replace_all([(10, 1000)], "x"), lambda: document.switch(9), lambda: document.prune(9),
        lambda: document.prune(0), lambda: document.rename(9, "x"),
        lambda: document.branch_off(99, "x", kind="choosing"),
    ):  # fmt: skip
        with pytest.raises(GenerationError):
            impossible()
    assert (everything(document), document.redoable) == (before, TYPE)
    assert document.state is state


def test_many_places_are_replaced_as_one_change_that_keeps_sources_and_cursor():
    document = played(20)
    document.move(10)
    document.insert("QQ")
    document.move(13)
    before = everything(document)
    text, sources, *_ = before
    document.replace_all([found.span() for found in re.finditer("d", text)], "xyz")
    assert document.text.read() == text.replace("d", "xyz")
    rest = [each for each in zip(text, sources, strict=True) if each[0] != "d"]
    kept = zip(document.text.read(), document.text.sources().tolist(), strict=True)
    assert [each for each in kept if each[0] not in "xyz"] == rest
    assert document.text.read()[: document.cursor] == text[:13].replace("d", "xyz")
    assert document.undo() == "replacing"
    assert everything(document)[:4] == before[:4]


def test_a_branch_parts_where_it_did_whatever_is_edited_before_in_it_or_in_its_parent():
    document = played(60)
    text = document.text.read()
    document.branch_off(40, "xyz", kind="choosing")
    document.move(5)
    document.insert("corrected")
    found = document.list_branches()[1]
    assert (found.start, found.text, found.before) == (40 + 9 - 3, "xyz", (text[:5] + "corrected" + text[5:40])[-40:])
    document.switch(0)
    document.move(4)
    document.erase(after=6)
    assert document.list_branches()[1] == replace(found, current=False)
    assert saved(document).list_branches() == document.list_branches()
    document.undo()
    document.switch(1)
    document.replace_all([(2, 3), (30, 31), (48, 49)], "")
    assert abs(document.list_branches()[1].start - (found.start - 2)) <= 2
    document.undo()
    assert document.list_branches()[1].text == "xyz"
    document.prune(1)
    document = saved(document)
    document.undo()
    assert document.list_branches()[1].text == "xyz"


def test_moves_are_one_change_and_do_not_prevent_redo():
    document = played()
    for position in (39, 38, 12):
        document.move(position)
    document.insert("a")
    document.undo()
    document.move(3)
    assert document.redo() == TYPE
    assert document.text.read()[12] == "a"
    assert [document.undo(), document.undo()] == [TYPE, "moving"]
    assert document.cursor == 43


def test_words_are_found_around_the_cursor():
    document = Document("ab cd  ef")
    assert (document.word_before(), document.word_after()) == (2, 0)
    document.move(4)
    assert (document.word_before(), document.word_after()) == (1, 1)
    document.move(0)
    assert (document.word_before(), document.word_after()) == (0, 2)


# ---- branches


def test_choice_begins_a_branch_and_the_old_text_stays():
    document = played(10)
    old = document.text.read()
    document.branch_off(5, old[5], kind="choosing")  # which stands there
    assert (document.text.read(), document.cursor, len(document.branches)) == (old, 6, 1)
    document.undo()
    document.branch_off(8, "x", kind="choosing")
    assert (document.text.read(), document.cursor, document.branch) == (old[:8] + "x", 9, 1)
    assert document.branches[0].text.read() == old
    document.branch_off(8, old[8], kind="choosing")  # which branch 0 has there
    assert (document.text.read(), document.cursor, document.branch) == (old, 9, 0)
    assert document.undo() == "choosing"
    assert (document.text.read(), document.branch) == (old[:8] + "x", 1)
    assert document.undo() == "choosing"
    assert (document.text.read(), document.branch, document.cursor) == (old, 0, 13)
    assert len(document.branches) == 2
    document.branch_off(4, "y", kind="choosing")
    branches = [(each.number, each.parent, each.start) for each in document.list_branches()]
    assert branches == [(0, None, 0), (1, 0, 5), (2, 0, 1)]


def test_a_step_that_does_nothing_is_none_and_leaves_what_can_be_redone():
    document = played(10)
    document.insert("a")
    document.undo()
    for nothing in (lambda: document.switch(0), lambda: document.replace(13, 13), lambda: document.move(13)):
        nothing()
        assert (document.undoable, document.redoable) == (GENERATE, TYPE)


def test_generating_the_same_after_undo_is_the_same_branch_and_something_else_another():
    document = played(0)
    stream(document, "defg")
    document.undo()
    assert document.text.read() == "abc"
    stream(document, "def")
    assert (document.text.read(), document.branch) == ("abcdef", 0)
    document.generate("x")
    assert (document.text.read(), document.branch) == ("abcdefx", 1)
    assert document.branches[0].text.read() == "abcdefg"
    assert document.undo() == GENERATE
    assert (document.text.read(), document.branch) == ("abc", 0)
    assert document.redo() == GENERATE
    assert (document.text.read(), document.branch) == ("abcdefx", 1)


def test_each_continuation_that_was_undone_stays_as_a_branch():
    document = Document("T ")
    for text in ("abc", "xyz", "pqr"):
        stream(document, text)
        document.undo()
    stream(document, "last")
    assert sorted(branch.text.read() for branch in document.branches.values()) == ["T abc", "T last", "T pqr", "T xyz"]


def test_what_was_undone_does_not_come_back_by_going_to_another_branch_and_back():
    document = played(10)
    document.branch_off(8, "x", kind="choosing")
    document.switch(0)
    stream(document, "kept")
    kept = document.text.read()
    stream(document, "undone")
    assert document.undo() == GENERATE
    shown = document.list_branches()
    assert (shown[0].start, shown[0].stop, shown[0].text) == (0, 14, kept[3:])
    for again in (document, saved(document)):
        again.switch(1)
        assert (again.redoable, again.undo(), again.undoable) == ("", "switching branches", GENERATE)
        again.redo()
        again.switch(0)
        assert (again.text.read(), again.cursor) == (kept, 14 + 3)
        again.switch(0)  # nor by going to the branch where one is
        assert again.text.read() == kept
        assert again.list_branches() == shown


def test_own_text_that_stands_there_keeps_what_follows_on_its_branch():
    document = played(10)
    old = document.text.read()
    document.branch_off(8, "x", kind="choosing")
    document.switch(0)
    document.branch_off(5, old[5], TYPED, kind="typing", whole=False)
    assert document.text.read() == old[:6]
    document.switch(1)
    document.switch(0)
    assert document.text.read() == old


def test_alternatives_shown_one_after_another_are_one_change_and_branches_beside_each_other():
    document = played(10)
    old = document.text.read()
    for char in "xyz":
        document.branch_off(5, char, kind="alternative", joins=True)
        document.go_on_generating()
        document.generate("d")
        assert document.text.read() == old[:5] + char + "d"
        document.put_cursor(5)
    assert [(each.parent, each.start) for each in document.list_branches()] == [(None, 0), (0, 2), (0, 2), (0, 2)]
    assert document.undo() == "alternative"
    assert (document.text.read(), document.cursor) == (old, 13)
    assert document.redo() == "alternative"
    assert (document.text.read(), document.cursor) == (old[:5] + "zd", 5)


def test_pruned_branch_comes_back_in_its_place_and_goes_again():
    document = played(10)
    document.branch_off(5, "x", kind="choosing")
    document.generate("d")
    document.branch_off(6, "y", kind="choosing")
    document.switch(0)
    document.branch_off(9, "z", kind="choosing")
    document.rename(1, "one")
    document.switch(2)
    before = everything(document)
    document.prune(1)
    assert (sorted(document.branches), document.branch, document.cursor) == ([0, 3], 0, 5)
    after = everything(document)
    assert document.undo() == "pruning"
    assert everything(document)[:3] == before[:3]
    assert document.list_branches() == before[-1]
    assert document.redo() == "pruning"
    assert everything(document) == after
    document.branch_off(5, "x", kind="choosing")
    assert document.branch == 4  # numbers of what undo may bring back are not used again


@pytest.mark.parametrize("prune", [False, True])
def test_branch_that_parted_within_the_prime_has_none(prune):
    document = Document("abc")
    document.erase(before=1)
    document.branch_off(0, "x", kind="choosing")
    document.undo()
    document.undo()
    assert document.prime_length == 3
    document.switch(1)
    assert (document.text.read(), document.prime_length) == ("x", 0)
    if prune:
        document.prune(1)
        assert (document.text.read(), document.prime_length) == ("abc", 0)
        document.undo()
    document.undo()
    assert (document.text.read(), document.prime_length) == ("abc", 3)


# ---- everything at once


@examples(60)
@given(data=st.data())
def test_anything_is_undone_through_every_text_there_was_and_redone_also_after_it_was_saved(data):
    document = Document("abc", seed=3)
    texts = {document.text.read()}
    for _ in range(data.draw(st.integers(1, 25))):
        act(document, data.draw(st.sampled_from(ACTIONS)), lambda most: data.draw(st.integers(0, most)))
        text = document.text
        assert 0 <= document.cursor <= len(text) == len(document)
        assert document.branches[document.branch].text is text
        texts.add(text.read())
    again = saved(document)
    assert everything(again) == everything(document)
    assert (again.to_dict(), again.history()) == (document.to_dict(), document.history())
    end = everything(document)
    undone = 0
    while document.undo():
        undone += 1
        assert again.undo()
        assert everything(again) == everything(document)
        assert document.text.read() in texts
    assert document.text.read() == "abc"
    for _ in range(undone):
        assert document.redo() == again.redo()
    assert end[4] or (everything(document)[:2], document.branch) == (end[:2], end[2][3])  # not every move is undone


def test_history_that_removes_more_than_the_text_has_is_refused_and_changes_nothing():
    document = Document("the ")
    document.insert("cat")
    history = document.history()
    history["undo"][0]["removed"] += 1
    before = everything(document)
    with pytest.raises(ValueError, match="4 is not a whole number from 0 to 3"):
        document.read_history(history)
    assert everything(document) == before


def test_a_thousand_edits_are_undone_and_no_more():
    document = Document("x" * 20_000)
    document.move(0)
    for place in range(1100):
        document.replace(place * 3, place * 3 + 1, "ab")
    count = 0
    while document.undo():
        count += 1
    assert (count, document.text.read(300)) == (1000, "x" * (20_000 - 200))


def test_copy_goes_its_own_way_and_shares_no_characters_that_come_later():
    document = played(20)
    document.insert("a")
    copy = document.copy()
    before = everything(document)
    for one, other in (("b", "x"), ("c", "y")):
        document.insert(one)
        copy.insert(other)
    assert document.text.read() == before[0] + "bc"
    assert copy.text.read() == before[0] + "xy"
    assert len(copy.text.pieces) == len(document.text.pieces) + 1
    copy.undo()
    assert everything(copy)[0] == before[0][:-1]
    document.undo()
    assert everything(document)[0] == before[0][:-1]
