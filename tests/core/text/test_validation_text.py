"""A corpus with a separate text to validate on."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from charlstm.errors import TextError
from charlstm.text import cache
from charlstm.text.batches import TrainingText
from charlstm.text.corpus import Corpus, Span, ValidationText, open_corpus, reopen_corpus
from charlstm.text.reading import TextOptions
from charlstm.text.statistics import describe

TRAIN, VALIDATION = "abc abc abc\nabd", "abc xyz\nabc"
LICENCE = "\n*** END OF THE PROJECT GUTENBERG EBOOK A ***\nmuch about it\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "train.txt", tmp_path / "val.txt"
    for path, text in zip(paths, (TRAIN, VALIDATION), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


@pytest.fixture
def corpus(files: tuple[Path, Path]) -> Corpus:
    return open_corpus(files[0], validation=files[1])


def test_validation_text_follows_the_training_text(corpus: Corpus, files: tuple[Path, Path]) -> None:
    assert corpus.text() == TRAIN + VALIDATION
    assert corpus.text_chars == len(TRAIN)
    assert corpus.validation == ValidationText("val.txt", (str(files[1]),), len(VALIDATION))
    assert (corpus.name, corpus.sources) == ("train.txt", (str(files[0]),))
    assert corpus.vocabulary.symbols == tuple(sorted(set(TRAIN + VALIDATION)))


@pytest.mark.parametrize("mode", ["tail", "blocks"])
def test_nothing_of_the_training_text_is_held_out_for_validation(corpus: Corpus, mode: str) -> None:
    split = corpus.split(0.5, mode)  # type: ignore[arg-type]
    assert split.train == (Span(0, len(TRAIN)),)
    assert split.held_out == (Span(len(TRAIN), corpus.chars),)
    assert split.test == ()


def test_test_part_is_of_the_training_text(corpus: Corpus) -> None:
    parts = TrainingText.of(corpus, corpus.vocabulary, 0.1, "tail", 0.2)
    assert (parts.train, parts.test) == ((Span(0, 12),), (Span(12, 15),))
    assert parts.held_out == (Span(15, 26),)
    assert describe(corpus, corpus.split()).held_out_chars == len(VALIDATION)


def test_short_training_text_takes_nothing_of_the_validation_text(files: tuple[Path, Path]) -> None:
    files[0].write_text("ab", encoding="utf-8")
    corpus = open_corpus(files[0], validation=files[1])
    parts = TrainingText.of(corpus, corpus.vocabulary, 0.1, "tail", 0.5)
    assert (parts.train, parts.test, parts.held_out) == ((Span(0, 2),), (), (Span(2, corpus.chars),))


def test_fingerprint_covers_both_texts_and_where_they_meet(corpus: Corpus, files: tuple[Path, Path]) -> None:
    fingerprints = {corpus.fingerprint, open_corpus(files[0]).fingerprint}
    for train, validation in ((TRAIN + "a", VALIDATION[1:]), (TRAIN, VALIDATION + "!"), (TRAIN + "!", VALIDATION)):
        files[0].write_text(train, encoding="utf-8")
        files[1].write_text(validation, encoding="utf-8")
        fingerprints.add(open_corpus(files[0], validation=files[1]).fingerprint)
    files[0].write_text(TRAIN + VALIDATION, encoding="utf-8")
    fingerprints.add(open_corpus(files[0]).fingerprint)
    assert len(fingerprints) == 6
    files[0].write_text(TRAIN, encoding="utf-8")
    files[1].write_text(VALIDATION, encoding="utf-8")
    assert open_corpus(files[0], validation=files[1]).fingerprint == corpus.fingerprint


@pytest.mark.parametrize("emptied", [False, True])
def test_record_opens_both_texts_again(corpus: Corpus, emptied: bool) -> None:
    record = json.loads(json.dumps(corpus.to_record()))
    assert record["validation"] == {"name": "val.txt", "sources": [corpus.validation.sources[0]], "chars": 11}  # type: ignore[union-attr]
    if emptied:
        cache.prune_cache()
    again = reopen_corpus(record)
    assert (again.text(), again.validation, again.fingerprint) == (corpus.text(), corpus.validation, corpus.fingerprint)
    del record["validation"]
    with pytest.raises(TextError, match="of another text"):
        reopen_corpus(record)


def test_changed_validation_text_is_not_opened_again(corpus: Corpus, files: tuple[Path, Path]) -> None:
    files[1].write_text(VALIDATION + "more", encoding="utf-8")
    cache.prune_cache()
    with pytest.raises(TextError, match=r"train\.txt, or its validation text val\.txt, has changed"):
        reopen_corpus(corpus.to_record())


def test_text_options_apply_to_each_text(files: tuple[Path, Path]) -> None:
    files[0].write_text("train\u00ad" + LICENCE, encoding="utf-8")
    files[1].write_text("valid\u00adation" + LICENCE, encoding="utf-8")
    corpus = open_corpus(files[0], TextOptions(clean=True, strip_boilerplate=True), validation=files[1])
    assert corpus.text(0, corpus.text_chars).strip() == "train"
    assert corpus.text(corpus.text_chars).strip() == "validation"
    short = open_corpus(files[0], TextOptions(max_chars=4), validation=files[1])
    assert (short.text(), short.text_chars) == ("traivali", 4)
    files[1].write_text(LICENCE, encoding="utf-8")
    with pytest.raises(TextError, match=r"val\.txt has nothing but Project Gutenberg licence"):
        open_corpus(files[0], TextOptions(strip_boilerplate=True), validation=files[1])


def test_rare_characters_are_counted_in_both_texts(files: tuple[Path, Path]) -> None:
    files[0].write_text("aaab", encoding="utf-8")
    files[1].write_text("abbc", encoding="utf-8")
    corpus = open_corpus(files[0], TextOptions(fold_rare=3), validation=files[1])
    assert corpus.text() == "aaababb\ufffd"


def test_standard_input_can_be_one_of_the_texts(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def stdin(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    stdin("piped")
    corpus = open_corpus("-", validation=files[1])
    assert corpus.text() == "piped" + VALIDATION
    stdin("piped")
    corpus = open_corpus(files[0], validation="-")
    assert corpus.text() == TRAIN + "piped"
    assert reopen_corpus(corpus.to_record()).text() == corpus.text()
    cache.prune_cache()
    with pytest.raises(TextError, match="standard input"):
        reopen_corpus(corpus.to_record())
    with pytest.raises(TextError, match="cannot be both"):
        open_corpus("-", validation="-")


def test_several_files_are_one_validation_text(files: tuple[Path, Path]) -> None:
    corpus = open_corpus(files[0], validation=[files[1], files[0]])
    assert corpus.text(corpus.text_chars) == VALIDATION + "\n" + TRAIN
    assert corpus.validation is not None
    assert corpus.validation.name == "val.txt+1"
    assert open_corpus([files[0], files[1]], validation=files[0]).fingerprint != corpus.fingerprint
    files[1].write_text("", encoding="utf-8")
    with pytest.raises(TextError, match=r"val\.txt is empty"):
        open_corpus(files[0], validation=files[1])
