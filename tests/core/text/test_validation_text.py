"""A corpus with a separate text to validate on."""

import io
import json
from collections.abc import Callable
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
Open = Callable[..., Corpus]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Writes ``train.txt`` and ``val.txt`` with these texts, and opens both."""

    def write_and_open(train: str, validation: str, options: TextOptions | None = None) -> Corpus:
        (tmp_path / "train.txt").write_text(train, encoding="utf-8")
        (tmp_path / "val.txt").write_text(validation, encoding="utf-8")
        return open_corpus(tmp_path / "train.txt", options, validation=tmp_path / "val.txt")

    return write_and_open


@pytest.fixture
def corpus(opened: Open) -> Corpus:
    return opened(TRAIN, VALIDATION)


def test_validation_text_follows_the_training_text(corpus: Corpus, tmp_path: Path) -> None:
    assert (corpus.text(), corpus.text_chars) == (TRAIN + VALIDATION, len(TRAIN))
    assert corpus.validation == ValidationText("val.txt", (str(tmp_path / "val.txt"),), len(VALIDATION))
    assert (corpus.name, corpus.sources) == ("train.txt", (str(tmp_path / "train.txt"),))
    assert corpus.vocabulary.symbols == tuple(sorted(set(TRAIN + VALIDATION)))


@pytest.mark.parametrize("mode", ["tail", "blocks"])
def test_nothing_of_the_training_text_is_held_out_for_validation(corpus: Corpus, mode: str) -> None:
    split, whole = corpus.split(0.5, mode), Span(0, len(TRAIN))
    assert (split.train, split.held_out, split.test) == ((whole,), (Span(len(TRAIN), corpus.chars),), ())


def test_test_part_is_of_the_training_text_unless_that_is_too_short(corpus: Corpus, opened: Open) -> None:
    parts = TrainingText.of(corpus, corpus.vocabulary, 0.1, "tail", 0.2)
    assert (parts.train, parts.test, parts.held_out) == ((Span(0, 12),), (Span(12, 15),), (Span(15, 26),))
    assert describe(corpus, corpus.split()).held_out_chars == len(VALIDATION)
    short = opened("ab", VALIDATION)
    parts = TrainingText.of(short, short.vocabulary, 0.1, "tail", 0.5)
    assert (parts.train, parts.test, parts.held_out) == ((Span(0, 2),), (), (Span(2, 13),))


def test_fingerprint_covers_both_texts_and_where_they_meet(corpus: Corpus, opened: Open) -> None:
    others = ((TRAIN + "a", VALIDATION[1:]), (TRAIN, VALIDATION + "!"), (TRAIN + "!", VALIDATION))
    fingerprints = {opened(*texts).fingerprint for texts in others}
    fingerprints |= {open_corpus(text=text).fingerprint for text in (TRAIN, TRAIN + VALIDATION)}
    assert len({corpus.fingerprint, *fingerprints}) == 6
    assert opened(TRAIN, VALIDATION).fingerprint == corpus.fingerprint


@pytest.mark.parametrize("emptied", [False, True])
def test_record_opens_both_texts_again(corpus: Corpus, tmp_path: Path, emptied: bool) -> None:
    record = json.loads(json.dumps(corpus.to_record()))
    assert record["validation"] == {"name": "val.txt", "sources": [str(tmp_path / "val.txt")], "chars": 11}
    if emptied:
        cache.prune_cache()
    again = reopen_corpus(record)
    assert (again.text(), again.validation, again.fingerprint) == (corpus.text(), corpus.validation, corpus.fingerprint)
    del record["validation"]
    with pytest.raises(TextError, match="of another text"):
        reopen_corpus(record)


def test_changed_validation_text_is_not_opened_again(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text(VALIDATION + "more", encoding="utf-8")
    cache.prune_cache()
    with pytest.raises(TextError, match=r"train\.txt, or its validation text val\.txt, has changed"):
        reopen_corpus(corpus.to_record())


def test_text_options_apply_to_each_text(opened: Open) -> None:
    texts = "train" + LICENCE, "validation" + LICENCE
    corpus = opened(*texts, TextOptions(strip_boilerplate=True))
    assert corpus.text(0, corpus.text_chars).strip() == "train"
    assert corpus.text(corpus.text_chars).strip() == "validation"
    short = opened(*texts, TextOptions(max_chars=4))
    assert (short.text(), short.text_chars) == ("traivali", 4)
    with pytest.raises(TextError, match=r"val\.txt has nothing but Project Gutenberg licence"):
        opened(TRAIN, LICENCE, TextOptions(strip_boilerplate=True))
    with pytest.raises(TextError, match=r"val\.txt is empty"):
        opened(TRAIN, "")


def test_standard_input_can_be_one_text(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stdin(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    stdin("piped")
    assert open_corpus("-", validation=tmp_path / "val.txt").text() == "piped" + VALIDATION
    stdin("piped")
    corpus = open_corpus(tmp_path / "train.txt", validation="-")
    assert corpus.text() == TRAIN + "piped"
    assert reopen_corpus(corpus.to_record()).text() == corpus.text()
    cache.prune_cache()
    with pytest.raises(TextError, match="standard input"):
        reopen_corpus(corpus.to_record())
    with pytest.raises(TextError, match="cannot be both"):
        open_corpus("-", validation="-")


def test_several_files_are_one_validation_text(corpus: Corpus, tmp_path: Path) -> None:
    train, validation = (tmp_path / name for name in ("train.txt", "val.txt"))
    several = open_corpus(train, validation=[validation, train])
    assert several.text(several.text_chars) == VALIDATION + "\n" + TRAIN
    assert several.validation == ValidationText("val.txt+1", (str(validation), str(train)), 27)
    assert open_corpus([train, validation], validation=train).fingerprint != several.fingerprint
