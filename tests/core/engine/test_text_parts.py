"""Which parts of a text training reads, and that a resume divides it as before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from charlstm.engine.trainer import Trainer
from charlstm.errors import SettingsError, TextError
from charlstm.text.corpus import Corpus, ValidationText
from charlstm.training.events import Started, Stepped, Validated, Warned
from charlstm.training.plan import Plan
from charlstm.training.settings import Settings, changed
from small_training import log_of, make_corpus, words
from trained import Trained, assert_same_state, trained

pytestmark = pytest.mark.numeric


def assert_resumes_exactly(whole: Trained, corpus: Corpus, settings: Settings) -> None:
    resumed = trained(corpus, settings, state=whole.store.states[0])
    assert log_of(resumed.events) == [line for line in log_of(whole.events) if line in log_of(resumed.events)]
    assert_same_state(resumed.store.states[-1], whole.store.states[-1])


@pytest.mark.parametrize("split", ["tail", "blocks"])
def test_training_never_reads_the_test_part(corpus: Corpus, settings: Settings, plan: Plan, split: str) -> None:
    """Other characters in the test part change neither an event nor a weight; in the validation part they do."""
    settings = settings.with_changes(test_fraction=0.2, split=split)
    parts = corpus.split(settings.val_fraction, settings.split, settings.test_fraction)

    def changed_in(*spans: tuple[int, int]) -> Trained:
        chars = list(corpus.text())
        for start, stop in spans:
            chars[start:stop] = reversed(chars[start:stop])
        return trained(make_corpus("".join(chars)), settings, plan)

    run, other = changed_in(), changed_in(*parts.test)
    assert log_of(run.events) == log_of(other.events)
    assert_same_state(run.store.states[-1], other.store.states[-1])
    assert log_of(changed_in(*parts.held_out).events) != log_of(run.events)
    [started] = run.only(Started)
    sizes = [sum(stop - start for start, stop in part) for part in (parts.train, parts.held_out, parts.test)]
    assert [started.train_chars, started.val_chars, started.test_chars] == sizes
    assert sizes[2] > 0


def test_resume_with_test_part_is_exact(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    settings = settings.with_changes(test_fraction=0.2)
    run = trained(corpus, settings, plan)
    assert run.store.states[0].record["settings"]["test_fraction"] == 0.2
    assert_resumes_exactly(run, corpus, settings)


def test_test_fraction_cannot_change_in_a_run(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="test_fraction cannot change"):
        changed(settings, settings.with_changes(test_fraction=0.1))
    with pytest.raises(SettingsError, match="together"):
        settings.with_changes(val_fraction=0.5, test_fraction=0.5)


def test_overlap_of_training_and_test_part_is_a_warning(settings: Settings, plan: Plan) -> None:
    text = words(600)
    corpus = make_corpus(text + words(100, seed=1) + text)
    fractions = {"val_fraction": 0.07, "test_fraction": 0.46}
    run = trained(corpus, settings.with_changes(max_steps=2, **fractions), plan)
    warnings = [event.message for event in run.only(Warned)]
    assert any("of the test part is word for word in the training part" in message for message in warnings)
    assert not any("of the held-out part" in message for message in warnings)


def test_model_of_the_same_text_with_another_test_part_is_a_warning(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    parent = trained(corpus, settings, plan).trainer.best
    child = trained(corpus, settings.with_changes(test_fraction=0.2), plan, start_from=parent)
    warnings = [event.message for event in child.only(Warned)]
    assert any("has learnt 50 % of the test part" in message for message in warnings)
    assert any("has learnt 100 % of the held-out part" in message for message in warnings)


def with_validation_text(text: str, validation: str) -> Corpus:
    about = ValidationText("val.txt", ("/val.txt",), len(validation))
    return replace(make_corpus(text + validation), validation=about)


def test_training_reads_all_of_the_text_beside_a_validation_text(settings: Settings, plan: Plan) -> None:
    """Another validation text changes the losses on it, but not what is trained on."""
    text = words(1000)
    runs = [trained(with_validation_text(text, words(150, seed)), settings, plan) for seed in (1, 2)]
    [started] = runs[0].only(Started)
    assert (started.train_chars, started.val_chars) == (len(text), len(words(150, 1)))
    train = [[event.train_loss for event in run.only(Stepped)] for run in runs]
    validation = [[event.val_loss for event in run.only(Validated)] for run in runs]
    assert train[0] == train[1]
    assert validation[0] != validation[1]


def test_resume_with_a_validation_text_is_exact(settings: Settings, plan: Plan) -> None:
    corpus = with_validation_text(words(1000), words(150, seed=1))
    run = trained(corpus, settings, plan)
    assert_resumes_exactly(run, corpus, settings)
    with pytest.raises(TextError, match="trained on another text"):
        Trainer.resume(with_validation_text(words(1000), words(150, seed=2)), settings, run.store.states[0])
