"""A text as units: where they begin, which are held out, and their batches."""

from itertools import chain, pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import TextError
from charlstm.text.batches import NO_TARGET, TrainingText, UnitBatches, trained_share
from charlstm.text.corpus import Corpus, open_corpus
from charlstm.text.reading import TextOptions
from charlstm.text.unit_kinds import proposed, unit_after
from random_examples import examples

POEMS = "\nOne\ntwo\n\nThree\n\n\nFour\n"
TUNES = "a collection\n\nX:1\nK:D\nabc\n\nX:2\nK:G\ndef\n"


def corpus_of(text: str, units: str | None) -> Corpus:
    return open_corpus(text=text, options=TextOptions(units=units))


@pytest.mark.parametrize(
    ("text", "units", "found", "read"),
    [
        ("anna\n\nbo\ncy", "lines", ["anna", "bo", "cy"], ["anna\n\n", "\nbo\n", "\ncy"]),
        (POEMS, "blank-lines", ["One\ntwo", "Three", "Four"], ["\nOne\ntwo\n\n", "\nThree\n\n\n", "\nFour\n"]),
        (TUNES, "X:", ["X:1\nK:D\nabc", "X:2\nK:G\ndef"], [":1\nK:D\nabc\n\nX:", ":2\nK:G\ndef\n"]),
    ],
)
def test_units_are_read_from_end_of_separator_before(text: str, units: str, found: list[str], read: list[str]) -> None:
    corpus = corpus_of(text, units)
    assert [corpus.text(*span) for span in corpus.units] == found
    assert [corpus.text(*span) for span in corpus.reading_spans(corpus.split(0.0).train)] == read


def test_text_without_units_is_refused_with_a_way_out_and_lines_cannot_be_joined() -> None:
    with pytest.raises(TextError, match="no line of it begins with X:; choose lines, blank-lines"):
        corpus_of("no tune\n", "X:").split()
    with pytest.raises(TextError, match="keeps its lines"):
        TextOptions(units="lines", lines="auto")


def test_files_are_units_of_their_own(tmp_path: Path) -> None:
    for name, text in (("a.txt", "one\n"), ("b.txt", "two"), ("c.txt", "three\n\n")):
        (tmp_path / name).write_text(text)
    corpus = open_corpus(tmp_path, TextOptions(units="blank-lines"))
    assert [corpus.text(*span) for span in corpus.units] == ["one", "two", "three"]


NAMES = "".join(f"name {number % 180}\n" for number in range(200))  # 20 of them twice


def parts_of(corpus: Corpus) -> list[list[str]]:
    split = corpus.split(0.2, test_fraction=0.1)
    return [
        [corpus.text(*span).rstrip("\n") for span in corpus.units if any(a <= span.start < b for a, b in part)]
        for part in (split.train, split.held_out, split.test)
    ]


def test_whole_units_are_held_out_and_equal_ones_together() -> None:
    corpus = corpus_of(NAMES, "lines")
    parts = parts_of(corpus)
    assert sorted(chain(*parts)) == sorted(NAMES.splitlines())
    assert sum(len(set(part)) for part in parts) == len(set(NAMES.splitlines()))
    chars = [sum(map(len, part)) / sum(map(len, NAMES.splitlines())) for part in parts]
    assert chars == pytest.approx([0.7, 0.2, 0.1], abs=0.03)


def test_units_stay_in_their_part_when_others_are_added() -> None:
    longer = NAMES + "".join(f"new {number}\n" for number in range(20))
    before, then = (set(parts_of(corpus_of(text, "lines"))[1]) for text in (NAMES, longer))
    assert len(before & then) > 0.8 * len(before)


def test_text_to_validate_on_is_not_trained_on_before_its_first_unit(tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("% made by hand\n\nX:9\ndef\n")
    tunes = "".join(f"X:{number}\nabc\n\n" for number in range(20))
    options = TextOptions(units="X:")
    corpus = open_corpus(text=tunes, options=options, validation=other)
    split = corpus.split(0.1)
    assert "hand" not in "".join(corpus.text(*span) for span in split.train)
    assert "def" in "".join(corpus.text(*span) for span in split.held_out)
    other.write_text("no tune\n")
    with pytest.raises(TextError, match=r"other.txt has no units: no line of it begins with X:"):
        _ = open_corpus(text=tunes, options=options, validation=other).unit_edges


def test_split_of_equal_units_leaves_something_to_train_on() -> None:
    text = TrainingText.of(corpus := corpus_of("same\n" * 30, "lines"), corpus.vocabulary, 0.1, "tail")
    assert text.train
    assert not text.held_out


def test_share_that_was_trained_on_is_that_of_the_units_of_the_model() -> None:
    corpus, long = corpus_of(NAMES, "lines"), corpus_of(NAMES, None)
    assert corpus.fingerprint == long.fingerprint
    by_tail = {"fingerprint": long.fingerprint, "val_fraction": 0.2, "split": "tail", "test_fraction": 0.0}
    by_units = {**by_tail, "units": "lines"}
    for one, same, other in ((corpus, by_units, by_tail), (long, by_tail, by_units)):
        held_out = one.split(0.2).held_out
        assert trained_share([same], one, held_out) == (0.0, None)
        assert trained_share([other], one, held_out)[0] == pytest.approx(0.8, abs=0.15)


@examples(40)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(1, 8), st.integers(1, 12), st.integers(0, 9))
def test_unit_batches_read_whole_units_afresh(lengths: list[int], batch_size: int, seq_length: int, seed: int) -> None:
    edges = np.concatenate([[0], np.cumsum(lengths)]).tolist()
    spans = [(max(0, start - 1), stop) for start, stop in pairwise(edges)]
    firsts, wanted = {start + 1 for start, _ in spans}, {at for start, stop in spans for at in range(start + 1, stop)}
    batches = UnitBatches(np.arange(edges[-1]), spans, batch_size, seq_length, seed)
    for epoch in range(2):
        steps = [batches.batch(epoch * batches.steps_per_epoch + step) for step in range(batches.steps_per_epoch)]
        assert all(batch.chars for batch in steps)
        read: list[int] = []
        for row in range(batch_size):
            before = None
            for batch, t in product(steps, range(seq_length)):
                target = int(batch.targets[t, row])
                if target == NO_TARGET:
                    before = None
                    continue
                assert batch.inputs[t, row] == target - 1
                empty = batch.resets[row] if t == 0 else batch.inner_resets is not None and batch.inner_resets[t, row]
                assert empty or (target not in firsts and before == target - 1), "it goes on only within its unit"
                before = target
                read.append(target)
        assert len(set(read)) == len(read)
        assert set(read) <= wanted
        assert len(read) >= len(wanted) - batch_size * max(lengths)


def test_order_of_units_depends_on_seed_and_epoch_alone() -> None:
    spans = [(4 * number, 4 * number + 4) for number in range(50)]

    def batches(seed: int) -> UnitBatches:
        return UnitBatches(np.arange(200), spans, 3, 10, seed)

    def order(found: UnitBatches, epoch: int) -> list[int]:
        steps = found.steps_per_epoch
        return np.concatenate([found.batch(epoch * steps + step).inputs.T for step in range(steps)]).tolist()

    assert order(batches(1), 0) != order(batches(1), 1)
    assert order(batches(1), 0) != order(batches(2), 0)
    later = batches(1)
    later.batch(5 * later.steps_per_epoch)
    assert order(later, 1) == order(batches(1), 1)


@pytest.mark.parametrize(
    ("text", "units", "whole"),
    [
        ("", "lines", "anna\n"), ("bo", "lines", "bo\nanna\n"), ("bo\n", "lines", "bo\nanna\n"),
        ("bo", "blank-lines", "bo\n\nanna\n\n"), ("", "an", "anna\nan"), ("an", "an", "anna\nan"),
        ("and", "an", "and\nanna\nan"), ("and\nan", "an", "and\nanna\nan"),
    ],
)  # fmt: skip
def test_unit_is_added_behind_a_separator(text: str, units: str, whole: str) -> None:
    assert text + unit_after(text, "anna", units) == whole


def test_units_are_proposed_for_names_and_tunes_alone() -> None:
    assert proposed(NAMES) == "lines"
    assert proposed(TUNES) == "X:"
    assert proposed("A line of prose that goes on for far longer than any name could be.\n" * 30) == ""
    assert proposed("x = 1\n\ny = 2\n" * 30) == ""
