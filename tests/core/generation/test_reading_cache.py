"""What a model has read of a text is kept in the cache, and used for the same weights alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from charlstm.generation import reading_cache
from charlstm.generation.document import Document
from charlstm.generation.reading import Reading
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session import Session
from charlstm.generation.stepper import Stepper
from charlstm.model.file import Model
from charlstm.paths import cache_dir

FILE = Path("auto-20260101-000000.json")


def recalled(session: Session, document: Document, model: Model | None = None) -> Reading | None:
    model = model or session.model
    return reading_cache.recall(FILE, document, model, Stepper(model), session.recipe)


@pytest.fixture
def session(model: Model) -> Session:
    session = Session(model, "abc", seed=3, settings=SamplerSettings(temperature=1.5))
    list(session.stream(300))
    session.settings = SamplerSettings()
    list(session.stream(100))
    reading_cache.keep(session.reading, FILE)
    return session


def test_text_that_was_kept_is_not_read_again(session: Session) -> None:
    document = session.document
    found = recalled(session, document)
    assert found.follow(document.text) == len(document)
    assert found.rows(0, 500).tobytes() == session.rows().tobytes()
    again = Session.of_document(Document.of(document.state, {}), found)
    for each in (again, session):
        each.settings = SamplerSettings(temperature=1.5)
        each.rewind(250)
    assert [step.char for step in again.stream(20)] == [step.char for step in session.stream(20)]


def test_text_that_was_changed_since_is_read_from_there_on(session: Session) -> None:
    document = session.document
    document.replace(200, 201, "j")
    found = recalled(session, document)
    assert found.follow(document.text) == 200


def test_other_weights_primes_and_damaged_entries_are_read_anew(session: Session, make_model: object) -> None:
    document = session.document
    assert recalled(session, document, make_model(seed=1)) is None
    assert recalled(session, Document("abd")) is None
    (entry,) = (cache_dir() / "readings").glob("*.npz")
    content = entry.read_bytes()
    for size in range(0, len(content), len(content) // 20):
        entry.write_bytes(content[:size])
        assert recalled(session, document) is None
    entry.unlink()
    assert recalled(session, document) is None


def test_oldest_entries_are_forgotten(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    (entry,) = (cache_dir() / "readings").glob("*.npz")
    monkeypatch.setattr(reading_cache, "MOST_BYTES", 3.5 * entry.stat().st_size)
    for number in range(5):
        reading_cache.keep(session.reading, Path(f"auto-{number}.json"))
        (entry,) = (cache_dir() / "readings").glob(f"auto-{number}-*.npz")
        os.utime(entry, (1e9 + number, 1e9 + number))
    assert len(list((cache_dir() / "readings").glob("*.npz"))) == 3
    short = Session(session.model, "abc")
    reading_cache.keep(short.reading, Path("auto-short.json"))  # which is read faster
    assert not list((cache_dir() / "readings").glob("auto-short*"))
