"""Which parts of a text training reads, and that a resume divides it as before."""

from dataclasses import replace

import pytest

from charlstm.engine.trainer import Trainer
from charlstm.errors import SettingsError, TextError
from charlstm.text.corpus import Corpus, ValidationText
from charlstm.training.settings import Settings, changed
from small_training import log_of, make_corpus, words
from trained import CORPUS, SETTINGS, Trained, assert_same_state, trained

pytestmark = pytest.mark.numeric


def assert_resumes_exactly(whole: Trained, corpus: Corpus = CORPUS, settings: Settings = SETTINGS) -> None:
    resumed = trained(settings, corpus=corpus, state=whole.store.states[0])
    assert log_of(resumed.events) == [line for line in log_of(whole.events) if line in log_of(resumed.events)]
    assert_same_state(resumed.store.states[-1], whole.store.states[-1])


@pytest.mark.parametrize("split", ["tail", "blocks"])
def test_training_never_reads_the_test_part_and_resumes_exactly(split: str) -> None:
    """Other characters in the test part change neither an event nor a weight; in the validation part they do."""
    settings = SETTINGS.with_changes(test_fraction=0.2, split=split)
    parts = CORPUS.split(settings.val_fraction, settings.split, settings.test_fraction)

    def changed_in(*spans: tuple[int, int]) -> Trained:
        chars = list(CORPUS.text())
        for start, stop in spans:
            chars[start:stop] = reversed(chars[start:stop])
        return trained(settings, corpus=make_corpus("".join(chars)))

    run, other = trained(settings), changed_in(*parts.test)
    assert log_of(run.events) == log_of(other.events)
    assert_same_state(run.store.states[-1], other.store.states[-1])
    assert log_of(changed_in(*parts.held_out).events) != log_of(run.events)
    [started] = run.only("started")
    sizes = [sum(stop - start for start, stop in part) for part in (parts.train, parts.held_out, parts.test)]
    assert [started.train_chars, started.val_chars, started.test_chars] == sizes
    assert sizes[2] > 0
    assert_resumes_exactly(run, settings=settings)


def test_test_fraction_cannot_change_in_a_run() -> None:
    with pytest.raises(SettingsError, match="test_fraction cannot change"):
        changed(SETTINGS, SETTINGS.with_changes(test_fraction=0.1))


def test_overlap_of_training_and_test_part_is_a_warning() -> None:
    text = words(600)
    corpus = make_corpus(text + words(100, seed=1) + text)
    run = trained(SETTINGS.with_changes(val_fraction=0.07, test_fraction=0.46), corpus=corpus, steps=1)
    assert "of the test part is word for word in the training part" in run.warnings
    assert "of the held-out part" not in run.warnings


def test_model_of_the_same_text_with_another_test_part_is_a_warning(whole: Trained) -> None:
    child = trained(SETTINGS.with_changes(test_fraction=0.2), start_from=whole.trainer.best, steps=1)
    assert "has learnt 50 % of the test part" in child.warnings
    assert "has learnt 100 % of the held-out part" in child.warnings


def with_validation_text(text: str, validation: str) -> Corpus:
    about = ValidationText("val.txt", ("/val.txt",), len(validation))
    return replace(make_corpus(text + validation), validation=about)


def test_training_reads_all_of_the_text_beside_a_validation_text_and_resumes_exactly() -> None:
    """Another validation text changes the losses on it, but not what is trained on."""
    text = words(1000)
    corpora = [with_validation_text(text, words(150, seed)) for seed in (1, 2)]
    runs = [trained(corpus=corpus) for corpus in corpora]
    [started] = runs[0].only("started")
    assert (started.train_chars, started.val_chars) == (len(text), len(words(150, 1)))
    train = [[event.train_loss for event in run.only("step")] for run in runs]
    validation = [[event.loss for event in run.only("validation")] for run in runs]
    assert train[0] == train[1]
    assert validation[0] != validation[1]
    assert_resumes_exactly(runs[0], corpora[0])
    with pytest.raises(TextError, match="trained on another text"):
        Trainer.resume(corpora[1], SETTINGS, runs[0].store.states[0])
