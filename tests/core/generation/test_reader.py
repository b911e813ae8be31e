"""The reader: what a model makes of a document, whatever was done to that, and how much it reads and keeps for it."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.generation import reader as reader_module
from charlstm.generation.document import Document
from charlstm.generation.reader import READ_CHUNK, Reader
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session import Session
from charlstm.generation.tree import GENERATED
from random_examples import examples

pytestmark = pytest.mark.numeric


def played(model, length=40, prime="abc", **sampler):
    session = Session(model, prime, seed=3, **sampler)
    document = Document(prime, seed=3)
    reader = Reader(document, session)
    document.begin_generating()
    for _ in range(length):
        reader.generate()
    return document, reader


def counted(reader, monkeypatch):
    """How many characters are read from now on, as a list with one number."""
    count = [0]
    put_back = Session.put_back

    def counting(session, rows):
        count[0] += len(rows)
        put_back(session, rows)

    monkeypatch.setattr(Session, "put_back", counting)
    return count


def check(document, reader):
    """That all figures are those of the text as it is."""
    assert reader.read(len(document))
    text, first = document.text.read(), document.prime_length
    assert reader.read_to == len(text)
    fresh = Session(reader.session.model, text[:first], seed=document.seed, settings=reader.settings)
    fresh.type(text[first:])
    assert reader.session.read() == fresh.read() == text[first:]
    for figure in ("probability", "rank", "entropy"):
        assert reader.rows(first, len(text))[figure] == pytest.approx(fresh.rows()[figure], rel=1e-4, abs=1e-6)


def test_generated_text_is_that_of_a_session(model):
    document, _ = played(model)
    expected = Session(model, "abc", seed=3)
    assert document.text.read() == "abc" + "".join(step.char for step in expected.stream(40))
    assert document.text.sources(3).tolist() == [GENERATED] * 40


def test_what_stands_before_an_edit_is_not_read_again(model, monkeypatch):
    document, reader = played(model, 100)
    count = counted(reader, monkeypatch)
    document.move(60)
    document.insert("a")
    assert reader.read_to == 60
    reader.read(61)
    assert count == [1]
    assert reader.distribution(61, 5).total == len(model.vocabulary)
    document.insert("b")
    reader.read(62)
    assert count == [2]
    check(document, reader)


def test_text_is_read_piece_by_piece_as_far_as_is_asked_for(model):
    document, reader = played(model, 100)
    document.move(13)
    document.insert("ab")
    left = [2]

    def proceed():
        left[0] -= 1
        return left[0] >= 0

    assert not reader.read(100, proceed)
    assert reader.read_to == 13 + 2 * READ_CHUNK
    assert reader.read(31)
    assert reader.read_to == 31
    assert reader.distribution(32, 5).alternatives == ()
    assert reader.at(31) is None
    assert reader.at(30) is not None
    check(document, reader)


def test_text_with_a_character_that_the_model_does_not_know_is_read_and_goes_on(model):
    document, reader = played(model)
    document.insert("x梦y")
    assert "梦" not in model.vocabulary
    assert reader.read(len(document))
    assert reader.read_to == len(document)
    document.begin_generating()
    reader.generate()
    assert "x梦y" in document.text.read()
    document.undo()
    document.undo()
    check(document, reader)


def test_going_back_by_undo_and_to_a_branch_reads_nothing(model, monkeypatch):
    document, reader = played(model, 100)
    figures = reader.rows(3, 103).tobytes()
    document.branch_off(50, "a" if document.text.read(50, 51) != "a" else "b", kind="choosing")
    reader.read(len(document))
    for _ in range(20):
        reader.generate()
    other = reader.rows(3, len(document)).tobytes()
    count = counted(reader, monkeypatch)
    document.switch(0)
    assert reader.read_to == 103
    assert reader.rows(3, 103).tobytes() == figures
    document.undo()
    assert reader.rows(3, len(document)).tobytes() == other
    document.move(60)
    document.insert("a")
    reader.read(61)
    document.undo()
    assert reader.read_to == len(document)
    assert count == [1]


def test_text_whose_prime_was_edited_is_read_without_one_until_that_is_undone(model):
    document, reader = played(model, 30)
    before = reader.rows(3, 33).tobytes()
    document.move(1)
    document.insert("b")
    assert reader.read_to == 0
    check(document, reader)
    assert reader.session.prime == ""
    document.undo()
    assert reader.read_to == 33
    assert reader.rows(3, 33).tobytes() == before


def test_position_in_the_prime_has_no_figures(model):
    document, reader = played(model, 5)
    assert reader.distribution(2, 5).alternatives == ()
    assert reader.at(1) is None
    assert reader.at(3) is not None
    assert document.prime_length == 3


def test_seed_of_the_document_draws(model):
    document, reader = played(model, 10)
    document.branch_off(5, document.text.read(5, 6), kind="regenerating", seed=8)
    document.replace(6, len(document))
    reader.read(6)
    chars = [reader.generate() for _ in range(10)]
    expected = Session(model, "abc", seed=8)
    expected.type(document.text.read(3, 6))
    assert chars == [step.char for step in expected.stream(10)]


def test_settings_and_clamps_are_those_of_every_prime(model):
    document, reader = played(model, 10)
    document.move(0)
    document.insert("a")
    reader.follow()
    reader.settings = SamplerSettings(temperature=0)
    document.undo()
    reader.follow()
    assert reader.session.settings.temperature == 0


def test_what_is_kept_is_bounded(model, monkeypatch):
    monkeypatch.setattr(reader_module, "MOST_KEPT", 1000)
    document, reader = played(model, 300)
    numbers = random.Random(3)
    for _ in range(200):
        document.move(numbers.randrange(3, 60))
        document.insert(numbers.choice("abc"))
        reader.read(len(document))
        assert reader.session.held <= 2 * len(document) + 1000 + len(document)
    check(document, reader)
    while document.undo():
        pass
    check(document, reader)


@pytest.mark.parametrize("sampler", [{}, {"mirostat": 3.0}, {"repetition": 1.0, "repetition_length": 1}])
@examples(40)
@given(data=st.data())
def test_whatever_was_done_figures_are_those_of_the_text(model, sampler, data):
    document, reader = played(model, 12, **sampler)
    symbols = model.vocabulary.symbols
    for _ in range(data.draw(st.integers(1, 20))):
        action = data.draw(
            st.sampled_from(["type", "back", "move", "undo", "redo", "choose", "stream", "read", "switch"])
        )
        here = data.draw(st.integers(0, len(document)))
        if action == "type":
            document.insert(data.draw(st.sampled_from(symbols)))
        elif action == "back":
            document.erase(before=1)
        elif action == "move":
            document.move(here)
        elif action == "choose":
            document.branch_off(max(here, document.prime_length), data.draw(st.sampled_from(symbols)), kind="choosing")
        elif action == "stream":
            reader.read(len(document))
            document.begin_generating()
            for _ in range(here % 5):
                reader.generate()
        elif action == "read":
            reader.read(here)
        elif action == "switch":
            numbers = sorted(document.branches)
            document.switch(numbers[here % len(numbers)])
        else:
            getattr(document, action)()
        assert reader.read_to <= len(document.text)
    check(document, reader)


def test_forgetting_keeps_the_current_text_and_those_asked_for(model):
    session = Session(model, "abc", seed=3)
    list(session.stream(50))
    first = session.path_end
    figures = session.rows().tobytes()
    session.rewind(20)
    session.choose(next(char for char in model.vocabulary.symbols if char != session.read(20, 21)))
    list(session.stream(30))
    second, other = session.path_end, session.rows().tobytes()
    session.rewind(10)
    session.cut()
    session.keep_only([first, second])
    assert session.held == 50 + 31
    session.go_to(first, 50)
    assert session.rows().tobytes() == figures
    session.keep_only([])
    assert session.held == 50
    session.go_to(session.path_end, 40)
    session.keep_only([])
    assert (session.held, len(session)) == (40, 40)
    again = Session(model, "abc", seed=3)
    list(again.stream(50))
    assert [step.char for step in session.stream(10)] == [step.char for step in again.steps(40, 50)]
    assert np.frombuffer(other, np.uint8).size
