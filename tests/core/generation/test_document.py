"""The document: edits, branches and history against a plain string, without a model."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import GenerationError
from charlstm.generation.document import ERASE, GENERATE, TYPE, Document
from charlstm.generation.rows import GENERATED, TYPED
from charlstm.generation.text_pieces import MOST_PIECES, Text
from played_documents import everything, played
from random_examples import examples


def saved(document):
    """The same document, as it is written and read."""
    again = Document.from_dict(json.loads(json.dumps(document.to_dict())))
    again.read_history(json.loads(json.dumps(document.history())))
    return again


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


@examples(40)
@given(one=st.text("ab", max_size=12), other=st.text("ab", max_size=12), cuts=st.randoms())
def test_texts_are_compared_from_both_ends_whatever_pieces_they_have(one, other, cuts):
    def in_pieces(text):
        pieces = Text()
        while text:
            length = cuts.randint(1, len(text))
            pieces, text = pieces + Text.of(text[:length], TYPED), text[length:]
        return pieces

    texts = in_pieces(one), in_pieces(other)
    same = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    assert texts[0].same_start(texts[1]) == same
    backwards = zip(reversed(one), reversed(other), strict=False)
    same = next((n for n, (a, b) in enumerate(backwards) if a != b), min(len(one), len(other)))
    assert texts[0].same_end(texts[1], min(len(one), len(other))) == same
    assert texts[0].starts_with(texts[1]) == one.startswith(other)
    assert (texts[0] == texts[1]) == (one == other)


def test_texts_of_other_sources_differ_but_read_the_same():
    typed, generated = Text.of("ab", TYPED), Text.of("ab", GENERATED)
    assert typed != generated
    assert typed.starts_with(generated)
    assert typed.same_start(generated) == 0
    assert typed.same_start(generated, sources=False) == 2


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
    for char in "ab cd e":
        document.insert(char)
    seen = []
    while document.undo() == TYPE:
        seen.append(document.text.read()[len(start) :])
    assert seen == ["ab cd ", "ab ", ""]
    document.redo()
    assert [document.redo() for _ in range(4)] == [TYPE, TYPE, TYPE, ""]
    assert document.text.read() == start + "ab cd e"
    document.undo()
    document.insert("b")
    assert document.redoable == ""
    assert document.text.read() == start + "ab cd b"


def test_letters_after_a_paste_are_undone_without_it():
    document = Document("abc")
    document.insert("a whole page")
    document.insert("s")
    document.undo()
    assert document.text.read() == "abca whole page"


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
        document.begin_generating()
        document.generate("a")
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


@pytest.mark.parametrize("edit", [(10, 4), (-1, 4), (60, 70)])
def test_impossible_edit_changes_nothing(edit):
    document = played()
    document.insert("x")
    document.undo()
    before, state = everything(document), document.state
    for impossible in (
        lambda: document.replace(*edit, "x"), lambda: document.switch(9), lambda: document.prune(9),
        lambda: document.prune(0), lambda: document.rename(9, "x"),
        lambda: document.branch_off(99, "x", kind="choosing"),
    ):  # fmt: skip
        with pytest.raises(GenerationError):
            impossible()
    assert everything(document) == before
    assert document.redoable == TYPE
    assert document.state is state


def test_many_places_are_replaced_as_one_change_that_keeps_sources_and_cursor():
    document = played(20)
    document.move(10)
    document.insert("QQ")
    document.move(13)
    before = everything(document)
    text, sources = document.text.read(), document.text.sources().tolist()
    spans = [found.span() for found in re.finditer("d", text)]
    assert len(spans) > 2
    document.replace_all(spans, "xyz")
    assert document.text.read() == text.replace("d", "xyz")
    rest = [source for char, source in zip(text, sources, strict=True) if char != "d"]
    kept = zip(document.text.read(), document.text.sources().tolist(), strict=True)
    assert [source for char, source in kept if char not in "xyz"] == rest
    assert document.text.read()[: document.cursor] == text[:13].replace("d", "xyz")
    assert document.undo() == "replacing"
    assert everything(document)[:4] == before[:4]
    assert document.redo() == "replacing"

    state = document.state
    for wrong in ([(3, 5), (4, 6)], [(5, 5)], [(10, 1000)]):
        with pytest.raises(GenerationError):
            document.replace_all(wrong, "x")
    assert document.state is state


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
    again = saved(document)
    assert again.list_branches() == document.list_branches()
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
    assert [(each.number, each.parent, each.start) for each in document.list_branches()] == [
        (0, None, 0),
        (1, 0, 5),
        (2, 0, 1),
    ]


def test_choosing_what_stands_there_moves_along_the_text():
    document = played(10)
    old = document.text.read()
    document.branch_off(5, old[5], kind="choosing")
    assert (document.text.read(), document.cursor, len(document.branches)) == (old, 6, 1)


def test_a_step_that_does_nothing_is_none_and_leaves_what_can_be_redone():
    document = played(10)
    document.insert("a")
    document.undo()
    for nothing in (lambda: document.switch(0), lambda: document.replace(13, 13), lambda: document.move(13)):
        nothing()
        assert (document.undoable, document.redoable) == (GENERATE, TYPE)


def test_generating_the_same_after_undo_is_the_same_branch_and_something_else_another():
    document = played(0)
    document.begin_generating()
    for char in "defg":
        document.generate(char)
    document.undo()
    assert document.text.read() == "abc"
    document.begin_generating()
    for char in "def":
        document.generate(char)
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
        document.begin_generating()
        document.generate(text)
        document.undo()
    document.begin_generating()
    document.generate("last")
    assert sorted(branch.text.read() for branch in document.branches.values()) == ["T abc", "T last", "T pqr", "T xyz"]


def test_what_was_undone_does_not_come_back_by_going_to_another_branch_and_back():
    document = played(10)
    document.branch_off(8, "x", kind="choosing")
    document.switch(0)
    document.begin_generating()
    for char in "kept":
        document.generate(char)
    kept = document.text.read()
    document.begin_generating()
    for char in "undone":
        document.generate(char)
    assert document.undo() == GENERATE
    shown = [(each.start, each.stop, each.text) for each in document.list_branches()]
    assert shown[0] == (0, 14, kept[3:])
    for again in (document, saved(document)):
        again.switch(1)
        assert (again.redoable, again.undo(), again.undoable) == ("", "switching branches", GENERATE)
        again.redo()
        again.switch(0)
        assert (again.text.read(), again.cursor) == (kept, 14 + 3)
        again.switch(0)  # nor by going to the branch where one is
        assert again.text.read() == kept
        assert [(each.start, each.stop, each.text) for each in again.list_branches()] == shown


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
    assert sorted(document.branches) == [0, 3]
    assert (document.branch, document.cursor) == (0, 5)
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


ACTIONS = (
    "type", "paste", "back", "delete", "word", "replace", "move", "undo", "redo", "choose", "stream", "one", "switch",
    "prune", "rename", "alternative", "regenerate",
)  # fmt: skip


def act(document, action, choose):
    """Do something that a user can do. ``choose(n)`` gives a number from 0 to n."""
    length = len(document)
    if action in ("type", "paste"):
        document.insert("abc d\n"[choose(5)] if action == "type" else "xyz uvw"[: choose(7)])
    elif action in ("back", "delete"):
        document.erase(before=action == "back", after=action == "delete")
    elif action == "word":
        document.erase(before=document.word_before())
    elif action == "replace":
        start = choose(length)
        document.replace(start, start + choose(length - start), "new"[: choose(3)])
    elif action == "move":
        document.move(choose(length), undoable=choose(1) == 0)
    elif action in ("undo", "redo"):
        getattr(document, action)()
    elif action in ("choose", "alternative", "regenerate"):
        place = document.prime_length + choose(length - document.prime_length)
        seed = document.seed + 1 if action == "regenerate" else None
        document.branch_off(place, "abcd"[choose(3)], kind=action, seed=seed, joins=action == "alternative")
        if action == "alternative":
            document.go_on_generating()
            document.generate("abcd"[choose(3)])
            document.put_cursor(place)
    elif action in ("stream", "one"):
        document.begin_generating(joins=action == "one")
        for _ in range(1 if action == "one" else choose(5)):
            document.generate("abcd"[choose(3)])
    elif action == "grow":
        document.generate("abcd"[choose(3)])
    elif action == "rename":
        document.rename(random.choice(sorted(document.branches)), "name")
    else:
        numbers = sorted(document.branches)
        number = numbers[choose(len(numbers) - 1)]
        if action == "switch":
            document.switch(number)
        elif number:
            document.prune(number)


@examples(100)
@given(data=st.data())
def test_anything_is_undone_and_redone_also_after_it_was_saved(data):
    document = Document("abc", seed=3)
    for _ in range(data.draw(st.integers(1, 25))):
        act(document, data.draw(st.sampled_from(ACTIONS)), lambda most: data.draw(st.integers(0, most)))
        text = document.text
        assert 0 <= document.cursor <= len(text) == len(document)
        assert document.branches[document.branch].text is text
    again = saved(document)
    assert everything(again) == everything(document)
    assert (again.to_dict(), again.history()) == (document.to_dict(), document.history())
    end = everything(document)
    undone = 0
    while document.undo():
        undone += 1
        assert again.undo()
        assert everything(again) == everything(document)
    assert document.text.read()[: document.prime_length] == "abc"[: document.prime_length]
    while undone:
        assert document.redo() == again.redo()
        undone -= 1
    assert end[4] or (everything(document)[:2], document.branch) == (end[:2], end[2][3])  # not every move is undone


@examples(66)
@given(data=st.data())
def test_undo_goes_back_through_every_text_there_was(data):
    document = Document("abc", seed=3)
    texts = {document.text.read()}
    for _ in range(data.draw(st.integers(1, 20))):
        act(document, data.draw(st.sampled_from(ACTIONS)), lambda most: data.draw(st.integers(0, most)))
        texts.add(document.text.read())
    while document.undo():
        assert document.text.read() in texts
    assert document.text.read() == "abc"


def test_a_thousand_edits_are_undone_and_no_more():
    document = Document("x" * 20_000)
    document.move(0)
    for place in range(1100):
        document.replace(place * 3, place * 3 + 1, "ab")
    count = 0
    while document.undo():
        count += 1
    assert count == 1000
    assert document.text.read(300) == "x" * (20_000 - 200)


def test_damaged_history_is_refused():
    document = played(10)
    document.branch_off(5, "x", kind="choosing")
    document.insert("yz")
    document.prune(1)
    text, history = json.dumps(document.to_dict()), json.dumps(document.history())
    for damage in (
        lambda saved: saved["undo"][0].update(start=99),
        lambda saved: saved["undo"][0].update(removed=99),
        lambda saved: saved["undo"][0].update(branches=[]),
        lambda saved: saved["undo"][0]["place"].__setitem__(0, 1000),
        lambda saved: saved["undo"][0]["place"].__setitem__(3, 4),
        lambda saved: saved["undo"][0]["branches"][0].update(same=1000),
        lambda saved: saved.update(undo=3),
    ):
        values = json.loads(history)
        damage(values)
        again = Document.from_dict(json.loads(text))
        with pytest.raises((ValueError, KeyError, TypeError, GenerationError)):
            again.read_history(values)
        assert (again.undoable, again.text) == ("", document.text)


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
