"""Which parts of a text training reads, and that a resume divides it as before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from charlstm.engine.trainer import Trainer
from charlstm.errors import SettingsError, TextError
from charlstm.text.corpus import Corpus, ValidationText
from charlstm.training.events import Event, Finished, Started, Stepped, Validated, Warned
from charlstm.training.plan import Plan
from charlstm.training.settings import Settings, changed
from small_training import MemoryStore, log_of, make_corpus, words

pytestmark = pytest.mark.numeric


def started(events: list[Event]) -> Started:
    return next(event for event in events if isinstance(event, Started))


@pytest.mark.parametrize("split", ["tail", "blocks"])
def test_training_never_reads_the_test_part(corpus: Corpus, settings: Settings, plan: Plan, split: str) -> None:
    """Other characters in the test part change neither an event nor a weight; in the validation part they do."""
    settings = settings.with_changes(test_fraction=0.2, split=split)
    parts = corpus.split(settings.val_fraction, settings.split, settings.test_fraction)
    text = corpus.text()

    def trained(changed_spans: tuple[tuple[int, int], ...]) -> tuple[list[str], MemoryStore, list[Event]]:
        chars = list(text)
        for start, stop in changed_spans:
            chars[start:stop] = reversed(chars[start:stop])
        store = MemoryStore()
        events = list(Trainer(make_corpus("".join(chars)), settings, plan=plan, store=store).events())
        return log_of(events), store, events

    log, store, events = trained(())
    other_log, other_store, _ = trained(parts.test)
    assert log == other_log
    for name, array in store.models[-1][2].weights.items():
        assert np.array_equal(array, other_store.models[-1][2].weights[name])
    assert trained(parts.held_out)[0] != log
    assert started(events).test_chars == sum(stop - start for start, stop in parts.test) > 0


def test_resume_with_test_part_is_exact(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    settings = settings.with_changes(test_fraction=0.2, checkpoint_steps=20)
    store = MemoryStore()
    whole = list(Trainer(corpus, settings, plan=plan, store=store).events())
    state = next(state for state in store.states if state.step == 0)
    assert state.record["settings"]["test_fraction"] == 0.2
    again = MemoryStore()
    resumed = list(Trainer.resume(corpus, settings, state, store=again).events())
    assert log_of(resumed) == [line for line in log_of(whole) if line in log_of(resumed)]
    for name, array in store.models[-1][2].weights.items():
        assert np.array_equal(array, again.models[-1][2].weights[name])


def test_test_fraction_cannot_change_in_a_run(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="test_fraction cannot change"):
        changed(settings, settings.with_changes(test_fraction=0.1))
    with pytest.raises(SettingsError, match="together"):
        settings.with_changes(val_fraction=0.5, test_fraction=0.5)


def test_overlap_of_training_and_test_part_is_a_warning(settings: Settings, plan: Plan) -> None:
    text = words(600)
    corpus = make_corpus(text + words(100, seed=1) + text)
    fractions = {"val_fraction": 0.07, "test_fraction": 0.46}
    trainer = Trainer(corpus, settings.with_changes(max_steps=2, **fractions), plan=plan)
    warnings = [event.message for event in trainer.events() if isinstance(event, Warned)]
    assert any("of the test part is word for word in the training part" in message for message in warnings)
    assert not any("of the held-out part" in message for message in warnings)


def test_model_of_the_same_text_with_another_test_part_is_a_warning(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    parent = MemoryStore()
    list(Trainer(corpus, settings, plan=plan, store=parent).events())
    child = Trainer(corpus, settings.with_changes(test_fraction=0.2), plan=plan, start_from=parent.models[-1][2])
    warnings = [event.message for event in child.events() if isinstance(event, Warned)]
    assert any("has learnt 50 % of the test part" in message for message in warnings)
    assert any("has learnt 100 % of the held-out part" in message for message in warnings)


def with_validation_text(text: str, validation: str) -> Corpus:
    about = ValidationText("val.txt", ("/val.txt",), len(validation))
    return replace(make_corpus(text + validation), validation=about)


def test_training_reads_all_of_the_text_beside_a_validation_text(settings: Settings, plan: Plan) -> None:
    """Another validation text changes the losses on it, but not what is trained on."""
    text = words(1000)
    logs = []
    for seed in (1, 2):
        store = MemoryStore()
        corpus = with_validation_text(text, words(150, seed=seed))
        events = list(Trainer(corpus, settings, plan=plan, store=store).events())
        assert started(events).train_chars == len(text)
        assert started(events).val_chars == len(words(150, seed=seed))
        train = [event.train_loss for event in events if isinstance(event, Stepped)]
        validation = [event.val_loss for event in events if isinstance(event, Validated)]
        logs.append((train, validation))
    assert logs[0][0] == logs[1][0]
    assert logs[0][1] != logs[1][1]


def test_resume_with_a_validation_text_is_exact(settings: Settings, plan: Plan) -> None:
    corpus = with_validation_text(words(1000), words(150, seed=1))
    store, again = MemoryStore(), MemoryStore()
    whole = list(Trainer(corpus, settings, plan=plan, store=store).events())
    resumed = list(Trainer.resume(corpus, settings, store.states[0], store=again).events())
    assert log_of(resumed) == [line for line in log_of(whole) if line in log_of(resumed)]
    assert isinstance(resumed[-1], Finished)
    for name, array in store.models[-1][2].weights.items():
        assert np.array_equal(array, again.models[-1][2].weights[name])
    other = with_validation_text(words(1000), words(150, seed=2))
    with pytest.raises(TextError, match="trained on another text"):
        Trainer.resume(other, settings, store.states[0])
