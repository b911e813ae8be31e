"""What a model has read of a text, whatever was done to that, and how much it reads and keeps for it."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import GenerationError
from charlstm.generation import reading as reading_module
from charlstm.generation.document import Document
from charlstm.generation.prime import read_prime
from charlstm.generation.reading import READ_CHUNK, Reading
from charlstm.generation.recipe import Recipe
from charlstm.generation.rows import NO_DISTRIBUTION, TYPED
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session import Session
from charlstm.generation.text_pieces import Text
from random_examples import examples

pytestmark = pytest.mark.numeric


def played(model, length=40, prime="abc", **sampler):
    reading = Reading(model, read_prime(model, prime), Recipe(3, settings=SamplerSettings(**sampler)))
    document = Document(prime, seed=3)
    generate(document, reading, length)
    return document, reading


def generate(document, reading, length):
    read(document, reading)
    document.begin_generating()
    for _ in range(length):
        document.generate(reading.draw())


def read(document, reading):
    reading.follow(document.text)
    reading.read(len(document))


def counted(monkeypatch):
    """How many characters are read from now on, as a list with one number."""
    count = [0]
    add = Reading._add

    def counting(reading, *given):
        count[0] += 1
        add(reading, *given)

    monkeypatch.setattr(Reading, "_add", counting)
    return count


def check(document, reading):
    """That all figures are those of the text as it is."""
    read(document, reading)
    text, first = document.text.read(), document.prime_length
    assert (reading.read_to, reading.text.read()) == (len(text), text)
    fresh = Session(reading.model, text[:first], seed=document.seed, settings=reading.recipe.settings)
    fresh.type(text[first:])
    for figure in ("probability", "rank", "entropy"):
        assert reading.rows(first, len(text))[figure] == pytest.approx(fresh.rows()[figure], rel=1e-4, abs=1e-6)


def test_what_stands_before_an_edit_is_not_read_again(model, monkeypatch):
    document, reading = played(model, 100)
    count = counted(monkeypatch)
    document.move(60)
    document.insert("a")
    assert reading.follow(document.text) == 60
    reading.read(61)
    assert (count, reading.distribution(61).total) == ([1], len(model.vocabulary))
    document.insert("b")
    reading.follow(document.text)
    reading.read(62)
    assert count == [2]
    check(document, reading)


def test_text_is_read_piece_by_piece_as_far_as_is_asked_for(model):
    document, reading = played(model, 100)
    document.move(13)
    document.insert("ab")
    reading.follow(document.text)
    left = [2]

    def proceed():
        left[0] -= 1
        if left[0] < 0:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        reading.read(100, proceed)
    assert reading.read_to == 13 + 2 * READ_CHUNK
    reading.read(31)
    assert (reading.read_to, len(reading.rows(0, 100)), reading.distribution(32)) == (31, 31 - 3, NO_DISTRIBUTION)
    for unread in (31, 2):
        with pytest.raises(GenerationError, match="no character"):
            reading.step_at(unread)
    assert reading.step_at(30).position == 27
    check(document, reading)


def test_going_back_by_undo_and_to_a_branch_reads_nothing(model, monkeypatch):
    document, reading = played(model, 100)
    figures = reading.rows(3, 103).tobytes()
    document.branch_off(50, "a" if document.text.read(50, 51) != "a" else "b", kind="choosing")
    generate(document, reading, 20)
    other = reading.rows(3, len(document)).tobytes()
    count = counted(monkeypatch)
    document.switch(0)
    assert reading.follow(document.text) == 103
    assert reading.rows(3, 103).tobytes() == figures
    document.undo()
    reading.follow(document.text)
    assert reading.rows(3, len(document)).tobytes() == other
    document.move(60)
    document.insert("a")
    reading.follow(document.text)
    reading.read(61)
    document.undo()
    assert reading.follow(document.text) == len(document)
    assert count == [1]


def test_steps_and_rows_stay_as_they_were_when_their_text_is_cut_off(model):
    document, reading = played(model, 70)
    steps = [reading.step_at(position) for position in range(3, 73)]
    known = [(step.char, step.rank, step.probability) for step in steps[:35]]
    reading.follow(document.text.part(0, 20))
    for _ in range(60):
        reading.draw()
    reading.follow(document.text.part(0, 10) + Text.of("hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh", TYPED))
    reading.read(100)
    assert [(step.char, step.rank, step.probability) for step in steps[:35]] == known
    assert "".join(step.char for step in steps) == document.text.read(3)


def test_drawing_along_a_text_that_was_cut_off_keeps_its_rows(model):
    document, reading = played(model, 60)
    figures = reading.rows(3, 63).tobytes()
    reading.follow(document.text.part(0, 20))
    reading.use(Recipe(3, settings=SamplerSettings(top_k=9)))
    while reading.read_to < 63 and document.text.starts_with(reading.text):
        reading.draw()
    same = reading.text.same_start(document.text, sources=False)
    assert same > 21
    assert reading.rows(3, same).tobytes() == figures[: (same - 3) * reading.rows(0, 0).itemsize]
    check(document, reading)


def test_drawing_with_another_seed_and_what_could_come_change_nothing(model):
    document, reading = played(model, 50)
    before, seed = reading.rows(0, 100).tobytes(), reading.other_seed(20)
    assert reading.draw_at(20) == document.text.read(20, 21)
    assert reading.draw_at(20, seed) != document.text.read(20, 21)
    assert reading.suggest(20, 33) == document.text.read(20)
    assert len(reading.ways_on(20, 3, 10)) == 3
    for wrong in (2, 54):
        with pytest.raises(GenerationError, match="no position"):
            reading.draw_at(wrong)
    assert reading.rows(0, 100).tobytes() == before
    generate(document, reading, 20)
    assert document.text.read(3) == "".join(step.char for step in Session(model, "abc", seed=3).stream(70))


def test_fork_goes_on_as_the_reading_does_and_neither_changes_the_other(model):
    document, reading = played(model, 70)
    other = reading.fork(reading.stepper.for_another_thread())
    drawn = [other.draw() for _ in range(90)]
    assert reading.read_to == len(document)
    reading.follow(document.text.part(0, 10))
    assert other.read_to == 163
    read(document, reading)
    assert [reading.draw() for _ in range(90)] == drawn
    assert reading.rows(0, 200).tobytes() == other.rows(0, 200).tobytes()


def test_what_is_kept_is_bounded(model, monkeypatch):
    monkeypatch.setattr(reading_module, "MOST_KEPT", 300)
    document, reading = played(model, 120)
    numbers = random.Random(3)
    for _ in range(40):
        document.move(numbers.randrange(3, 60))
        document.insert(numbers.choice("abc"))
        read(document, reading)
        held = {id(block): block.size for tail in reading._tails for block in tail.blocks}
        assert sum(held.values()) <= 2 * len(document) + 300
    check(document, reading)


@pytest.mark.parametrize("sampler", [{}, {"repetition": 1.0}])
@pytest.mark.usefixtures("short_repeats")
@examples(30)
@given(data=st.data())
def test_whatever_was_done_figures_are_those_of_the_text(model, sampler, data):
    document, reading = played(model, 12, **sampler)
    symbols = [*model.vocabulary.symbols, "梦"]  # the model does not know the last one
    actions = ("type", "back", "move", "undo", "redo", "choose", "stream", "read", "switch")
    for _ in range(data.draw(st.integers(1, 20))):
        action = data.draw(st.sampled_from(actions))
        first = document.prime_length
        here = data.draw(st.integers(first, len(document)))
        if action == "type":
            document.insert(data.draw(st.sampled_from(symbols)))
        elif action == "back":
            document.erase(before=min(1, document.cursor - first))
        elif action == "move":
            document.move(here)
        elif action == "choose":
            document.branch_off(here, data.draw(st.sampled_from(symbols)), kind="choosing")
        elif action == "stream":
            generate(document, reading, here % 5)
        elif action == "read":
            reading.follow(document.text)
            reading.read(here)
        elif action == "switch":
            numbers = sorted(document.branches)
            document.switch(numbers[here % len(numbers)])
        else:
            getattr(document, action)()
        assert reading.follow(document.text) <= len(document)
    check(document, reading)


def test_arrays_have_few_states_and_damaged_ones_are_refused(model, monkeypatch):
    monkeypatch.setattr(reading_module, "MOST_STATES", 4)
    document, reading = played(model, 300)
    arrays, given = reading.to_arrays(), (model, reading.prime, reading.recipe)
    assert len(arrays["states"]) <= 5
    again = Reading.from_arrays(arrays, *given, stepper=reading.stepper)
    assert again.text.read() == document.text.read()
    assert again.distribution(200).entropy == pytest.approx(reading.distribution(200).entropy)
    for wrong in (
        {"states": arrays["states"] * np.float32("nan")},
        {"places": arrays["places"] + 32},
        {"prime": arrays["prime"][:1]},
        {"rows": arrays["rows"][["id", "ids"]]},
    ):
        with pytest.raises(ValueError, match="it is"):
            Reading.from_arrays({**arrays, **wrong}, *given, stepper=reading.stepper)
