"""Sessions: reproducible text, rewinding, branches, the statistics of each character, and BLAS threads."""

import itertools
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from charlstm.errors import GenerationError
from charlstm.generation import threads
from charlstm.generation.clamp import Clamp, parse_clamp
from charlstm.generation.generate import MOST_DRAWN, generate_many, generate_units
from charlstm.generation.prime import prepare_prime
from charlstm.generation.reading import Reading
from charlstm.generation.recipe import Recipe
from charlstm.generation.rows import CHOSEN, GENERATED, TYPED, in_bits, surprise
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.sampling import Sampler, repetition_penalties
from charlstm.generation.session import Session
from charlstm.generation.stepper import Stepper
from charlstm.generation.threads import blas_threads
from charlstm.library import generate
from charlstm.model.file import Model
from charlstm.text.reading import TextOptions

pytestmark = pytest.mark.numeric

GREEDY = SamplerSettings(temperature=0)
FREE = SamplerSettings(temperature=1, min_p=None)
LOOPING = SamplerSettings(temperature=0.3, repetition=2.0)


def play(session, length):
    return "".join(step.char for step in session.stream(length))


def facts(steps):
    return [(s.char, s.position, s.probability, s.rank, s.entropy, s.alternatives) for s in steps]


def test_same_seed_gives_same_text_in_one_call_or_many(model):
    whole = play(Session(model, "abc", seed=4), 300)
    pieces = Session(model, "abc", seed=4)
    assert "".join(play(pieces, n) for n in (1, 2, 60, 1, 64, 72, 100)) == whole
    assert pieces.text == whole
    assert generate(model, "abc", 300, seed=4) == whole
    assert generate(model, "abc", 300, seed=5) != whole
    assert play(Session(model, "abc", seed=4, sample=1), 300) != whole


@pytest.mark.parametrize(
    ("prime", "chosen"),
    [("ab", SamplerSettings(temperature=0.7, top_k=3, min_p=None)), ("abcabcabc", LOOPING), ("ab" * 60, LOOPING)],
)
@pytest.mark.usefixtures("short_repeats")
def test_step_statistics_are_those_of_the_distribution_which_is_known_ahead(model, prime, chosen):
    session = Session(model, prime, settings=chosen)
    play(session, 30)
    session.rewind(20)
    session.choose("b" if session.peek()[0].char != "b" else "c")  # on a branch
    ahead, steps = zip(*((session.next_char_distribution(), session.step()) for _ in range(130)), strict=True)
    ids, symbols = model.vocabulary.encode(prime + session.read(0, 21))[0].tolist(), model.vocabulary.symbols
    stepper = Stepper(model)
    state = stepper.zero_state()
    logits = stepper.consume(np.array(ids), state)[0].copy()
    for position, (coming, step) in enumerate(zip(ahead, steps, strict=True), 21):
        p = np.exp(logits.astype(float) - logits.max())
        p /= p.sum()
        sampled = Sampler(chosen).weights(logits, repetition_penalties(np.array(ids), len(symbols), chosen.repetition))
        sampled = sampled / sampled.sum()
        which = model.vocabulary.index(step.char)
        assert (step.position, step.rank, step.source) == (position, 1 + (p > p[which]).sum(), GENERATED)
        assert step.probability == pytest.approx(p[which], abs=1e-6)
        assert (step.surprise, step.entropy) == pytest.approx((-math.log2(p[which]), -(p * np.log2(p)).sum()), abs=1e-4)
        best = np.argsort(-p)[:10]
        for given in (step.alternatives, coming.alternatives):
            assert [(each.char, each.kept) for each in given] == [(symbols[one], sampled[one] > 0) for one in best]
            assert [each.probability for each in given] == pytest.approx(p[best], abs=1e-5)
            assert [each.sampled for each in given] == pytest.approx(sampled[best], abs=1e-5)
        assert coming.kept == (sampled > 0).sum()
        assert coming.kept_probability == pytest.approx(p[sampled > 0].sum(), abs=1e-6)
        assert coming.entropy == pytest.approx(step.entropy, rel=1e-5)
        ids.append(which)
        logits = stepper.step(np.array([which]), state)[0].copy()


@pytest.mark.parametrize("position", [0, 63, 64, 65, 130, 200])
def test_rewinding_and_generating_again_gives_the_same_text(model, position):
    session = Session(model, "ab", seed=3)
    text = play(session, 200)
    known = facts(session.steps())
    session.rewind(position)
    assert (session.position, len(session), session.text) == (position, 200, text[:position])
    assert session.read() == text
    assert play(session, 200 - position) == text[position:]
    assert facts(session.steps()) == known
    assert len(session.branches()) == 1
    assert play(session, 50) == play(Session(model, "ab", seed=3), 250)[200:]


def test_choosing_another_character_begins_a_branch_and_keeps_the_old_one(model):
    session = Session(model, "ab", seed=3)
    text = play(session, 150)
    session.rewind(100)
    other = next(char for char in "abcdefghij" if char != text[100])
    step = session.choose(other)
    assert (step.char, step.position, step.source) == (other, 100, CHOSEN)
    on = play(session, 80)
    assert session.read() == text[:100] + other + on
    session.rewind(100)
    session.choose(text[100])
    assert session.read() == text
    for wrong in ("€", "ab", ""):
        with pytest.raises(GenerationError, match="choose one of its"):
            session.choose(wrong)
    session.switch(1, 120)
    assert session.text == text[:100] + other + on[:19]
    session.prune(1)
    assert (session.read(), session.position) == (text, 100)
    assert play(session, 50) == text[100:]


def test_branch_with_another_prime_is_read_from_that(model):
    session = Session(model, "abc", seed=3)
    text = play(session, 20)
    document = session.document
    document.replace(1, 1, "h")
    document.branch_off(14, "j", TYPED, kind="branching off")
    number = document.state.branch
    document.undo()
    document.undo()
    session.reading.follow(document.text)
    session.switch(number)
    assert (session.prime + session.read(), len(session.rows())) == ("ahbc" + text[:10] + "j", len(session))


def test_typed_text_is_prepared_and_unknown_characters_are_counted(model):
    session = Session(model, "ab")
    assert session.type("ca\r\nbZ€Z") == {"Z": 2, "€": 1}
    assert session.text == "ca\nbZ€Z"
    assert {step.source for step in session.steps()} == {TYPED}


def test_primes_are_normalised_and_empty_ones_start_a_text(make_model):
    model = make_model()
    session = Session(model, "aXb\r\nX")
    assert (session.prime, session.unknown) == ("aXb\nX", {"X": 2})
    assert play(session, 50) == generate(model, "aXb\nX".replace("X", model.vocabulary.read_as("X")), 50)
    # An empty prime starts from a newline that is not shown.
    assert Session(model, "").prime == ""
    assert generate(model, "", 50) == generate(model, "\n", 50)
    # info["start"] of the model comes first, if the model knows its characters.
    model.info["start"] = "\n\n"
    assert generate(model, "", 50) == generate(model, "\n\n", 50) != generate(model, "\n", 50)
    model.info["start"] = "\nX"
    assert generate(model, "", 50) == generate(model, "\n", 50)
    without = make_model("xyz ")
    without.info["frequent"] = "y"
    assert generate(without, "", 30) == generate(without, "y", 30)
    assert Session(make_model("\n\u00e9"), "e\u0301").prime == "\u00e9"
    as_found = replace(make_model("\ne\u0301"), text_options=TextOptions(normalize=False))
    assert Session(as_found, "e\u0301").prime == "e\u0301"


def test_generation_ends_after_a_stop_string(model):
    text = generate(model, "ab", 400, seed=9, settings=FREE)
    assert generate(model, "ab", 400, seed=9, settings=FREE, stop="\n") == text[: text.index("\n") + 1]
    first = min((text.index(s) + len(s), s) for s in ("ab", "cd", " a") if s in text)[0]
    assert generate(model, "ab", 400, seed=9, settings=FREE, stop=("ab", "cd", " a")) == text[:first]
    assert generate(model, "ab", 400, seed=9, settings=FREE, stop="\n\n") == text[: text.index("\n\n") + 2]
    with pytest.raises(GenerationError, match="stop string"):
        generate(model, "ab", 10, stop="")
    assert generate(model, "ab", 0) == ""


@pytest.mark.parametrize("places", [[50], [49], [33], [0], [40, 50]])
def test_interrupted_computation_is_repeated(model, monkeypatch, places):
    """An interrupt leaves the hidden state half updated: at a new character, an existing one, or while rewinding."""
    whole = Session(model, "ab", seed=3)
    play(whole, 120)
    session = Session(model, "ab", seed=3)
    play(session, 50)
    for place in places:
        session.peek()
        session.rewind(place)
    before, left = Stepper.advance, 3

    def interrupted(stepper, which, state):
        nonlocal left
        left -= 1
        if left == 0:
            state.cells[0] += 1
            raise KeyboardInterrupt
        before(stepper, which, state)

    monkeypatch.setattr(Stepper, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        play(session, 70)
    play(session, 120 - session.position)
    assert session.text == whole.text
    assert np.array_equal(session.rows()["rank"], whole.rows()["rank"])
    assert np.allclose(session.rows()["probability"], whole.rows()["probability"], rtol=1e-5)


def suggest(session, length, **values):
    session.peek()  # what stands before the cursor is read then
    return session.reading.suggest(session.document.cursor, length, **values)


def continuations(session, count, length, **values):
    session.peek()
    return session.reading.ways_on(session.document.cursor, count, length, **values)


def test_session_that_read_a_text_as_its_prime_suggests_with_the_numbers_of_the_position(model):
    session = Session(model, "ab", seed=3)
    play(session, 41)
    other = Session(model, "ab" + session.text, seed=3)
    assert suggest(other, 60, drawn_at=41) == suggest(session, 60) != suggest(other, 60)
    assert continuations(other, 3, 40, drawn_at=41) != continuations(other, 3, 40)
    texts = [[each.text for each in continuations(one, 3, 40, drawn_at=41)] for one in (session, other)]
    assert texts[0] == texts[1] == [each.text for each in continuations(session, 3, 40)]


def test_continuations_are_those_of_other_samples_and_change_nothing(model):
    session = Session(model, "abc", seed=2)
    play(session, 50)
    session.rewind(30)
    before = (session.read(), session.position, len(session.branches()))
    told = []
    found = continuations(session, 4, 40, grown=told.append)
    assert (session.read(), session.position, len(session.branches())) == before
    assert [[each.text for each in texts] for texts in told] == [
        [text[:n] for text in (each.text for each in told[-1])] for n in (8, 16, 24, 32, 40)
    ]
    for sample, (whole, each) in enumerate(zip(told[-1], found, strict=True), 1):
        other = Session(model, "abc", seed=2, sample=sample)
        other.type(session.text)
        text = play(other, 40)
        assert whole.text == text
        assert text.startswith(each.text)
        assert len(each.text) == 40 or not text[len(each.text)].strip()  # whole words
        bits = np.mean([step.surprise for step in other.steps(30)][: len(each.text)])
        assert each.bits_per_char == pytest.approx(bits, rel=1e-3)
    for each in continuations(session, 4, 400, lines=2, first=9):
        assert sum(bool(line.strip()) for line in each.text.split("\n")) <= 2
    session.settings = GREEDY
    assert len(continuations(session, 4, 40)) == 1


@pytest.mark.parametrize(
    "chosen",
    [SamplerSettings(), GREEDY, SamplerSettings(kind="reference", top_k=3), SamplerSettings(top_p=0.9), LOOPING],
)
@pytest.mark.usefixtures("short_repeats")
def test_generate_many_gives_the_texts_of_single_sessions(model, chosen):
    texts = generate_many(model, ["ab", "", "b" * 40], 60, Recipe(7, settings=chosen), samples=3, threads=1)
    for text, (prime, sample) in zip(texts, itertools.product(["ab", "", "b" * 40], range(3)), strict=True):
        assert text == play(Session(model, prime, seed=7, sample=sample, settings=chosen), 60)
    assert generate_many(model, []) == []


def test_generate_many_ends_each_text_at_its_own_stop_string(model):
    reported = []
    texts = generate_many(model, "ab", 200, Recipe(settings=FREE), samples=4, stop="a", progress=reported.append)
    for sample, text in enumerate(texts):
        whole = play(Session(model, "ab", sample=sample, settings=FREE), 200)
        assert text == whole[: whole.index("a") + 1]
    assert reported == sorted(reported)
    with pytest.raises(GenerationError):
        generate_many(model, "ab", 10, samples=0)


def test_rewinding_computes_from_the_nearest_stored_state(model):
    session = Session(model, "ab", seed=1)
    play(session, 600)
    session.rewind(311)
    before = session.reading.stepper.advance
    fed = []
    session.reading.stepper.advance = lambda which, state: (fed.append(which), before(which, state))
    session.peek()
    assert len(fed) == 311 % 32  # from the stored state before it


def test_long_prime_reports_progress(model):
    reported = []
    Session(model, "ab" * 300, progress=lambda *done: reported.append(done))
    assert reported == [(256, 600), (512, 600), (600, 600)]


def test_session_restores_the_number_of_blas_threads(model):
    with blas_threads(2):
        session = Session(model, "ab" * 300)
        assert set(blas_now()) == {2}
        during = []
        advance = session.reading.stepper.advance
        session.reading.stepper.advance = lambda which, state: (during.extend(blas_now()), advance(which, state))
        for _ in session.stream(5):
            assert set(blas_now()) == {2}
        session.rewind(2)
        session.peek()
        session.choose("a")
        session.type("ab")
        suggest(session, 3)
        assert set(during) == {1}
        assert set(blas_now()) == {2}


def test_blas_threads_are_restored_when_the_last_of_overlapping_blocks_ends(model):
    block = blas_threads(1)
    with ThreadPoolExecutor(1) as other, blas_threads(2):
        with blas_threads(1):
            other.submit(block.__enter__).result()
        assert set(blas_now()) == {1}
        other.submit(block.__exit__).result()
        assert set(blas_now()) == {2}


class Library:
    """A BLAS library with a number of threads for each thread of Python; setting it may be interrupted once."""

    threading_layer = "openmp"
    num_threads = property(lambda self: getattr(self.own, "count", 4))

    def __init__(self, *, is_interrupted=False):
        self.own, self.is_interrupted = threading.local(), is_interrupted

    def set_num_threads(self, count):
        self.own.count = count
        if self.is_interrupted:
            self.is_interrupted = False
            raise KeyboardInterrupt


def test_blas_with_a_limit_per_thread_is_limited_in_each(monkeypatch):
    library, limits, seen = Library(), threads._LimitsPerThread(), []
    monkeypatch.setattr(threads, "_libraries", lambda: ((library, limits),))

    def look():
        with blas_threads(1):
            seen.append(library.num_threads)
        seen.append(library.num_threads)

    with ThreadPoolExecutor(1) as other, blas_threads(1):
        other.submit(look).result()
        assert library.num_threads == 1
    assert (seen, library.num_threads) == ([1, 4], 4)


def test_blas_block_that_is_interrupted_as_it_begins_limits_nothing_afterwards(monkeypatch):
    library, limits = Library(is_interrupted=True), threads._Limits()
    monkeypatch.setattr(threads, "_libraries", lambda: ((library, limits),))
    with pytest.raises(KeyboardInterrupt), blas_threads(1):
        pass
    with blas_threads(2):
        assert library.num_threads == 2
    assert library.num_threads == 4


def blas_now():
    return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas" and "numpy" in lib["filepath"]]


def test_surprise_of_many_probabilities_is_that_of_each_and_finite_for_none() -> None:
    probabilities = np.array([1, 0.5, 0.1, 0], np.float32)
    assert in_bits(probabilities).tolist() == [surprise(float(each)) for each in probabilities]
    assert in_bits(probabilities)[[0, 1, 3]].tolist() == [0, 1, 149]


# ---- whole units


@pytest.fixture
def names(make_model) -> Model:
    """Writes a or b, or ends the unit."""
    return replace(make_model("\nab", scale=0.3), text_options=TextOptions(units="lines"))


def test_units_are_whole_and_known_or_repeated_ones_are_left_out(names: Model) -> None:
    some = generate_units(names, 30, 40)
    assert len(set(some)) < len(some) == 30
    assert set("".join(some)) <= set("ab")
    new = generate_units(names, 10, 40, known={"a", "b"}, unique=True)
    assert len(set(new) - {"a", "b"}) == len(new) == 10


def test_search_for_new_units_ends(names: Model) -> None:
    every = [a + b + c for a in ("", "a", "b") for b in ("", "a", "b") for c in ("", "a", "b")]
    progress: list[int] = []
    assert generate_units(names, 3, 2, known=every, progress=progress.append) == []
    assert len(progress) <= MOST_DRAWN


def test_search_for_new_units_can_be_cancelled_before_a_unit_has_ended(make_model) -> None:
    def cancel(done: int) -> None:
        raise TimeoutError(f"{done} units")

    endless = replace(make_model("ab"), text_options=TextOptions(units="lines"))
    with pytest.raises(TimeoutError, match="0 units"):
        generate_units(endless, 20, 5000, progress=cancel)


def test_unit_begins_with_the_prefix(make_model) -> None:
    model = replace(make_model("\nX:ab", scale=0.3), text_options=TextOptions(units="X:"))
    assert all(unit.startswith("X:") and "\nX:" not in unit for unit in generate_units(model, 20, 60))


def test_model_without_units_is_refused(make_model) -> None:
    with pytest.raises(GenerationError, match="--split-units"):
        generate_units(make_model(), 3)


def test_reading_goes_back_into_a_unit_as_it_was_read(make_model) -> None:
    """A separator may stand across the place of a stored state."""
    model = replace(make_model("\nab"), text_options=TextOptions(units="blank-lines"))
    prime = prepare_prime(model, "")
    reading = Reading(model, prime, Recipe(3))
    for _ in range(200):
        reading.draw()
    before = [reading.distribution(at).entropy for at in range(200)]
    again = Reading(model, prime, Recipe(3))
    again.follow(reading.text)
    again.read(200)
    assert [again.distribution(at).entropy for at in reversed(range(200))] == pytest.approx(before[::-1], abs=1e-4)
    assert np.ptp(before) > 0


# ---- clamps


@pytest.mark.parametrize(("text", "value"), [("2:3=1", 1.0), (" 2 : 3 = -0.5 ", -0.5), ("2:3=-2E+3", -2e3)])
def test_clamp_is_read_with_its_value(text, value):
    assert parse_clamp(text) == parse_clamp(str(parse_clamp(text))) == Clamp(2, 3, value)


@pytest.mark.parametrize("text", ["2:3=1+1", "2:3=", "2:3*0.5", "2:3=e-5", "2:3", "2=1", ""])
def test_other_texts_are_no_clamps(text):
    with pytest.raises(GenerationError, match="is not a clamp"):
        parse_clamp(text)
