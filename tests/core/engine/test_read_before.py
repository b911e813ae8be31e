"""What a model has read: passages in its file, and how much of the held-out part was read before a run began."""

from __future__ import annotations

import textwrap
from dataclasses import replace

import numpy as np
import pytest

import charlstm
from charlstm.model.file import Model
from charlstm.text.corpus import Corpus
from charlstm.text.passages import joined, passages_of
from charlstm.training.events import Finished, Started, Warned
from charlstm.training.plan import Plan
from charlstm.training.settings import Settings
from charlstm.training.text_warnings import read_share
from small_training import make_corpus, words
from trained import trained

pytestmark = pytest.mark.numeric

BOOK = words(8_000)


def edition(text: str) -> str:
    """The same words in other lines, after a foreword."""
    return f"A Foreword\n\n{textwrap.fill(text, 50)}"


def train(
    corpus: Corpus, settings: Settings, plan: Plan, start_from: Model | None = None
) -> tuple[Model, Finished, list[str]]:
    """The best model, the last event and all warnings of two steps."""
    run = trained(corpus, settings.with_changes(max_steps=2), plan, start_from=start_from)
    return run.trainer.best, run.last, [event.message for event in run.only(Warned)]


def test_model_that_read_another_edition_two_generations_ago_counts(settings: Settings, plan: Plan) -> None:
    first, clean, _ = train(make_corpus(BOOK + words(2_000, 1), "book.txt"), settings, plan)
    assert (clean.read_share, clean.read_by) == (0.0, "")
    first.info["run"] = "first"
    other = make_corpus(words(6_000, 2), "other.txt")
    child, finished, warnings = train(other, settings, plan, first)
    assert (finished.read_share, finished.read_by) == (0.0, "")
    assert not any("has read" in message for message in warnings)
    child.info["run"] = "child"
    again = make_corpus(edition(BOOK), "edition.txt")
    run = trained(again, settings.with_changes(max_steps=2), plan, start_from=child)
    grandchild, finished, [started] = run.trainer.best, run.last, run.only(Started)
    assert finished.read_share is not None
    assert finished.read_share > 0.9
    assert (started.read_share, started.read_by) == (finished.read_share, "child")
    assert (grandchild.info["read_share"], grandchild.info["read_by"]) == (finished.read_share, "child")
    assert any("child, from which training starts, has read" in event.message for event in run.only(Warned))
    found = charlstm.evaluate(grandchild, again)
    assert (found.read_share, found.read_by) == (finished.read_share, "child")
    assert charlstm.evaluate(child, again, "all").read_share == pytest.approx(0.9, abs=0.1)


def test_passages_of_the_model_are_those_of_the_training_part_and_of_its_ancestors(
    settings: Settings, plan: Plan
) -> None:
    corpus = make_corpus(BOOK)
    parent = replace(train(corpus, settings, plan)[0], passages=passages_of([words(4_000, 3)]))
    model, *_ = train(corpus, settings, plan, parent)
    (span,) = corpus.split(settings.val_fraction, settings.split).train
    expected = joined([parent.passages, passages_of([BOOK[span.start : span.stop]])])
    assert model.passages is not None
    np.testing.assert_array_equal(model.passages, expected)


def test_resume_keeps_passages_and_what_was_read(settings: Settings, plan: Plan) -> None:
    corpus, settings = make_corpus(edition(BOOK)), settings.with_changes(max_steps=2)
    parent = replace(train(make_corpus(words(900, 4)), settings, plan)[0], passages=passages_of([BOOK]))
    run = trained(corpus, settings, plan, start_from=parent)
    resumed = trained(corpus, settings, state=run.store.states[0])
    last, passages = resumed.last, run.trainer.best.passages
    assert (last.read_share, last.read_by) == (run.last.read_share, run.last.read_by) != (0.0, "")
    assert passages is not None
    np.testing.assert_array_equal(resumed.trainer.best.passages, passages)
    np.testing.assert_array_equal(resumed.store.states[-1].tensors["passages"], passages)


def test_state_of_0_3_resumes_without_passages(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    settings = settings.with_changes(max_steps=2)
    state = trained(corpus, settings, plan).store.states[0]
    del state.tensors["passages"], state.record["read_share"], state.record["read_by"]
    run = trained(corpus, settings, state=state)
    assert (run.last.read_share, run.last.read_by, run.trainer.best.passages) == (None, None, None)


def test_text_that_repeats_itself_has_been_read_by_its_own_training_part(settings: Settings, plan: Plan) -> None:
    _, finished, warnings = train(make_corpus(f"{BOOK} {BOOK}"), settings, plan)
    assert (finished.read_share, finished.read_by) == (1.0, "")
    assert any(message.startswith("100 % of the held-out part is word for word") for message in warnings)


def test_larger_answer_counts_of_fingerprint_and_passages(settings: Settings, plan: Plan) -> None:
    """The same text with another split says little where an ancestor has read all of another edition."""
    corpus = make_corpus(BOOK)
    held_out = corpus.split(0.2, "tail").held_out
    model, *_ = train(corpus, settings.with_changes(val_fraction=0.19), plan)
    by_text = replace(model, passages=None)
    assert read_share(by_text, corpus, held_out) == pytest.approx(0.05, abs=0.01)
    both = replace(model, passages=passages_of([BOOK]))
    assert read_share(both, corpus, held_out) == 1.0
    _, finished, warnings = train(corpus, settings.with_changes(val_fraction=0.2), plan, both)
    assert finished.read_share == 1.0
    assert any("has read 100 % of the held-out part" in message for message in warnings)


def test_grown_text_is_new_at_its_end_alone(settings: Settings, plan: Plan) -> None:
    """A chapter more moves the held-out part; what the run before held out is in it, and what it read if that was
    more."""
    grown = make_corpus(f"{BOOK} {words(1_000, 5)}", "grown.txt")
    for val_fraction, read in ((0.1, 0.0), (0.01, 0.37)):
        before = make_corpus(BOOK, "novel.txt")
        model, *_ = train(before, settings.with_changes(val_fraction=val_fraction), plan)
        _, finished, _ = train(grown, settings.with_changes(val_fraction=0.19), plan, model)
        assert finished.read_share == pytest.approx(read, abs=0.1)
        assert (finished.read_share == 0) == (read == 0)
