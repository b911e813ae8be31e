"""What a model has read: passages in its file, and how much of the held-out part was read before a run began."""

import textwrap
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import charlstm
from charlstm.model.file import Model
from charlstm.text.corpus import Corpus
from charlstm.text.passages import joined, passages_of
from charlstm.training.text_warnings import read_share
from small_training import make_corpus, words
from trained import SETTINGS, Trained, trained

pytestmark = pytest.mark.numeric

BOOK = words(8_000)


def edition(text: str) -> str:
    """The same words in other lines, after a foreword."""
    return f"A Foreword\n\n{textwrap.fill(text, 50)}"


def train(corpus: Corpus, start_from: Model | None = None, **changes: Any) -> Trained:
    """A run of two steps."""
    return trained(SETTINGS.with_changes(**changes), corpus=corpus, start_from=start_from, steps=2)


def test_model_that_read_another_edition_two_generations_ago_counts() -> None:
    first = train(make_corpus(BOOK + words(2_000, 1), "book.txt"))
    child = train(make_corpus(words(6_000, 2), "other.txt"), named(first, "first"))
    for each in (first, child):
        assert (each.last.read_share, each.last.read_by) == (0.0, "")
    assert "has read" not in child.warnings
    parent, again = named(child, "child"), make_corpus(edition(BOOK), "edition.txt")
    run = train(again, parent)
    share, grandchild = run.last.read_share, run.trainer.best
    assert share > 0.9
    for each in (run.last, run.only("started")[0], charlstm.evaluate(grandchild, again)):
        assert (each.read_share, each.read_by) == (share, "child")
    assert (grandchild.info["read_share"], grandchild.info["read_by"]) == (share, "child")
    assert "child, from which training starts, has read" in run.warnings
    assert charlstm.evaluate(parent, again, "all").read_share == pytest.approx(0.9, abs=0.1)


def named(run: Trained, name: str) -> Model:
    """The best model of ``run``, which has this name."""
    return replace(run.trainer.best, info=run.trainer.best.info | {"run": name})


def test_passages_of_the_model_are_those_of_the_training_part_and_of_its_ancestors() -> None:
    corpus = make_corpus(BOOK)
    parent = replace(train(corpus).trainer.best, passages=passages_of([words(4_000, 3)]))
    (span,) = corpus.split(SETTINGS.val_fraction, SETTINGS.split).train
    expected = joined([parent.passages, passages_of([BOOK[span.start : span.stop]])])
    np.testing.assert_array_equal(train(corpus, parent).trainer.best.passages, expected)


def test_resume_keeps_passages_and_what_was_read() -> None:
    corpus = make_corpus(edition(BOOK))
    parent = replace(train(make_corpus(words(900, 4))).trainer.best, passages=passages_of([BOOK]))
    run = train(corpus, parent)
    resumed = trained(corpus=corpus, state=run.store.states[0], steps=2)
    last, passages = resumed.last, run.trainer.best.passages
    assert (last.read_share, last.read_by) == (run.last.read_share, run.last.read_by) != (0.0, "")
    assert len(passages) > 0
    np.testing.assert_array_equal(resumed.trainer.best.passages, passages)
    np.testing.assert_array_equal(resumed.store.states[-1].tensors["passages"], passages)


def test_text_that_repeats_itself_has_been_read_by_its_own_training_part() -> None:
    run = train(make_corpus(f"{BOOK} {BOOK}"))
    assert (run.last.read_share, run.last.read_by) == (1.0, "")
    assert "100 % of the held-out part is word for word" in run.warnings


def test_larger_answer_counts_of_fingerprint_and_passages() -> None:
    """The same text with another split says little where an ancestor has read all of another edition."""
    corpus = make_corpus(BOOK)
    model = train(corpus, val_fraction=0.19).trainer.best
    by_text = replace(model, passages=None)
    assert read_share(by_text, corpus, corpus.split(0.2, "tail").held_out) == pytest.approx(0.05, abs=0.01)
    run = train(corpus, replace(model, passages=passages_of([BOOK])), val_fraction=0.2)
    assert run.last.read_share == 1.0
    assert "has read 100 % of the held-out part" in run.warnings


@pytest.mark.parametrize(("val_fraction", "read"), [(0.1, 0.0), (0.01, 0.37)])
def test_grown_text_is_new_at_its_end_alone(val_fraction: float, read: float) -> None:
    """A chapter more moves the held-out part; what the run before held out is in it, and what it read if that was
    more."""
    before = train(make_corpus(BOOK, "novel.txt"), val_fraction=val_fraction)
    grown = make_corpus(f"{BOOK} {words(1_000, 5)}", "grown.txt")
    found = train(grown, before.trainer.best, val_fraction=0.19).last.read_share
    assert found == pytest.approx(read, abs=0.1)
    assert (found == 0) == (read == 0)
