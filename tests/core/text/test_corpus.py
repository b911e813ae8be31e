from __future__ import annotations

import errno
import json
import os
import tracemalloc
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from charlstm.errors import TextError
from charlstm.text import cache, preparing
from charlstm.text.corpus import Corpus, Progress, Span, open_corpus, reopen_corpus
from charlstm.text.reading import Boilerplate, TextOptions
from charlstm.text.vocabulary import REPLACEMENT, Vocabulary

LICENCE = "\n*** END OF THE PROJECT GUTENBERG EBOOK NOTHING ***\nLicence…\n"


def written(path: Path, content: str | bytes, *, old: bool = True) -> Path:
    """A file, old enough for the cache to believe its stamp."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if old:
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return written(tmp_path / "story.txt", "Hello, wörld.\r\nAgain.\r\n")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.text(min_size=1))
@example("".join(map(chr, [*range(1, 0xD800), *range(0xE000, 0xFFFF)])))  # 63,000 distinct characters
@example("字" * 10 + "\x00")
def test_any_text_is_kept_as_it_is(tmp_path: Path, content: str) -> None:
    options = TextOptions(normalize=False, encoding="utf-8")
    corpus = open_corpus(written(tmp_path / "any.txt", content, old=False), options)
    expected = options.apply(content.removeprefix("\ufeff"))
    assert corpus.text() == expected
    assert corpus.chars == len(expected)
    assert corpus.vocabulary == Vocabulary.from_text(expected)
    counts = Counter(expected)
    assert corpus.counts.tolist() == [counts[char] for char in corpus.vocabulary.symbols]


def test_what_a_corpus_says(text: Path) -> None:
    corpus = open_corpus(str(text))
    assert (corpus.name, corpus.sources) == ("story.txt", (str(text),))
    assert (corpus.chars, corpus.lines) == (21, 2)
    assert corpus.ids.dtype == np.uint8
    assert not corpus.ids.flags.writeable
    assert (corpus.report.encoding, corpus.report.newlines, corpus.report.bytes) == ("utf-8", "CRLF", 24)
    assert (corpus.text(0, 5), corpus.text(-7)) == ("Hello", "Again.\n")


def test_anna_is_what_everybody_measures_on(shared_data: Path) -> None:
    corpus = open_corpus(shared_data / "anna.txt")
    assert (corpus.chars, len(corpus.vocabulary)) == (1_985_223, 83)
    assert corpus.split().held_out_chars == 198_523
    assert corpus.report.newlines == "CRLF"
    [licence] = corpus.report.boilerplate
    assert licence.kind == "licence"
    assert 18_600 <= licence.chars <= 19_200
    stripped = open_corpus(shared_data / "anna.txt", TextOptions(strip_boilerplate=True))
    assert stripped.chars == corpus.chars - licence.chars
    assert stripped.text(-5) == 'it."\n'


def test_the_second_time_it_comes_from_the_cache(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_corpus(text)
    monkeypatch.setattr("charlstm.text.corpus.prepare", None)
    again = open_corpus(text)
    assert again.fingerprint == first.fingerprint
    assert again.report == first.report
    assert again.text() == first.text()


def test_a_text_that_was_cut_short_comes_from_the_cache_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        written(tmp_path / f"{name}.txt", 5 * name)
    asked = TextOptions(max_chars=8)
    first = open_corpus(tmp_path, asked)
    assert first.text() == "aaaaa\nbb"
    with monkeypatch.context() as patch:
        patch.setattr("charlstm.text.corpus.prepare", None)
        again = open_corpus(tmp_path, asked)
        assert (again.fingerprint, again.report) == (first.fingerprint, first.report)
        written(tmp_path / "c.txt", "after the end, never opened")
        assert open_corpus(tmp_path, asked).text() == first.text()
    written(tmp_path / "b.txt", "BBB")
    assert open_corpus(tmp_path, asked).text() == "aaaaa\nBB"
    (tmp_path / "b.txt").unlink()
    assert open_corpus(tmp_path, asked).text() == "aaaaa\naf"


@pytest.mark.parametrize("old", [True, False])
def test_a_changed_file_is_read_again(text: Path, old: bool) -> None:
    written(text, "aaaa", old=old)
    assert open_corpus(text).text() == "aaaa"
    written(text, "bbbb", old=False)  # the same size, within the clock's grain
    assert open_corpus(text).text() == "bbbb"


def test_the_same_text_is_kept_once(text: Path, tmp_path: Path) -> None:
    other = written(tmp_path / "other.txt", "Hello, wörld.\nAgain.\n".encode("utf-16"))
    assert open_corpus(text).fingerprint == open_corpus(other).fingerprint
    assert len(cache.entries()) == 1
    assert open_corpus(text).report.encoding == "utf-8"
    assert open_corpus(other).report.encoding == "utf-16-le"


@pytest.mark.parametrize("damage", ["short", "gone", "about"])
def test_a_damaged_cache_is_made_again(text: Path, damage: str) -> None:
    first = open_corpus(text)
    folder = cache.texts_dir() / first.fingerprint
    if damage == "short":
        (folder / "ids.bin").write_bytes(b"x")
    elif damage == "gone":
        (folder / "ids.bin").unlink()
    else:
        (folder / "corpus.json").write_text('{"format": 1, "vocabulary": {"symbols": ["a", 7]}}')
    assert open_corpus(text).text() == "Hello, wörld.\nAgain.\n"


def test_a_record_reopens_the_very_text(text: Path) -> None:
    first = open_corpus(text, TextOptions(clean=True))
    record = json.loads(json.dumps(first.to_record()))
    cache.prune_cache()
    again = reopen_corpus(record)
    assert (again.fingerprint, again.options, again.name) == (first.fingerprint, first.options, "story.txt")
    text.unlink()
    assert reopen_corpus(record).text() == first.text()
    cache.prune_cache()
    with pytest.raises(TextError, match=r"There is no file .*story.txt"):
        reopen_corpus(record)
    written(text, "Something else.")
    with pytest.raises(TextError, match=r"story.txt is not what it was"):
        reopen_corpus(record)
    with pytest.raises(TextError, match="standard input"):
        reopen_corpus({**record, "sources": ["-"]})
    with pytest.raises(TextError, match="makes no sense"):
        reopen_corpus({"name": "x"})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "story.txt is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (bytes(100), "nothing but NUL"),
        (b"\xff\xfe", "is empty"),
        (bytes(range(128, 256)) * 9, "choose a text file"),
    ],
)
def test_no_text_gets_a_sentence(text: Path, content: bytes, says: str) -> None:
    written(text, content)
    with pytest.raises(TextError, match=says):
        open_corpus(text)
    assert list(cache.texts_dir().iterdir()) == []


def test_a_sparse_giant_is_refused_at_once(text: Path) -> None:
    with text.open("wb") as file:
        file.truncate(2 * 1024**3)
    with pytest.raises(TextError, match="nothing but NUL"):
        open_corpus(text)


@pytest.mark.parametrize("content", ["x", "\n", "aaaaaaaa", "one line", "a\x00bcd" * 9])
def test_tiny_texts_are_texts(text: Path, content: str) -> None:
    corpus = open_corpus(written(text, content))
    assert corpus.text() == content
    for mode in ("tail", "blocks"):
        split = corpus.split(0.1, mode)  # type: ignore[arg-type]
        assert split.train_chars + split.held_out_chars == len(content)


def test_rare_characters_are_folded(text: Path) -> None:
    corpus = open_corpus(written(text, "aaaabbbbxy" + REPLACEMENT), TextOptions(fold_rare=3))
    assert corpus.text() == "aaaabbbb" + 3 * REPLACEMENT
    assert corpus.counts.tolist() == [4, 4, 3]
    assert corpus.vocabulary.replacement == REPLACEMENT
    assert open_corpus(text).vocabulary.replacement is None


def test_lone_surrogates_are_no_characters(text: Path) -> None:
    corpus = open_corpus(written(text, b"ab+2AA-c"), TextOptions(encoding="utf-7"))
    assert corpus.text() == f"ab{REPLACEMENT}c"


def test_reading_can_be_capped(text: Path) -> None:
    assert open_corpus(text, TextOptions(max_chars=7)).text() == "Hello, "
    assert open_corpus([text, text], TextOptions(max_chars=24)).text() == "Hello, wörld.\nAgain.\nHel"


def test_boilerplate_is_left_out_of_every_file(tmp_path: Path) -> None:
    for name in "ab":
        body = f"*** START OF THE PROJECT GUTENBERG EBOOK {name} ***\n\nOnce {name}.\n{LICENCE}"
        written(tmp_path / f"{name}.txt", body)
    noticed = open_corpus(tmp_path)
    assert [stretch.kind for stretch in noticed.report.boilerplate] == ["header", "licence"] * 2
    stripped = open_corpus(tmp_path, TextOptions(strip_boilerplate=True))
    assert stripped.text() == "Once a.\nOnce b.\n"
    assert stripped.vocabulary == Vocabulary.from_text("Once a.\nOnce b.\n")
    assert stripped.report.boilerplate == noticed.report.boilerplate
    header = noticed.report.boilerplate[2]
    assert header == Boilerplate("header", noticed.text().index("*** START", 60), 48)
    with pytest.raises(TextError, match="without its licence"):
        open_corpus(written(tmp_path / "c.txt", LICENCE), TextOptions(strip_boilerplate=True))


@given(st.integers(1, 100_000), st.floats(0, 0.9), st.sampled_from(["tail", "blocks"]))
def test_a_split_is_the_whole_text_once(chars: int, fraction: float, mode: str) -> None:
    ids = np.zeros(chars, np.uint8)
    corpus = Corpus("x", (), TextOptions(), None, None, None, ids, "")  # type: ignore[arg-type]
    split = corpus.split(fraction, mode)  # type: ignore[arg-type]
    spans = sorted([*split.train, *split.held_out])
    assert spans[0].start == 0
    assert spans[-1].stop == chars
    assert all(one.stop == other.start for one, other in pairwise(spans))
    assert all(span.start < span.stop for span in spans)
    assert split.train_chars == int(chars * (1 - fraction))
    assert split == corpus.split(fraction, mode)  # type: ignore[arg-type]


def test_blocks_are_spread_over_the_text() -> None:
    ids = np.zeros(100_000, np.uint8)
    split = Corpus("x", (), TextOptions(), None, None, None, ids, "").split(0.1, "blocks")  # type: ignore[arg-type]
    assert [stop - start for start, stop in split.held_out] == [1000] * 10
    assert [start // 10_000 for start, _ in split.held_out] == list(range(10))
    assert Span(0, 100_000) not in split.train


def test_another_models_numbers(text: Path) -> None:
    corpus = open_corpus(text)
    model = Vocabulary(list("zolHe"))
    for _ in range(2):  # made, then from the cache
        ids, unknown = corpus.encoded_for(model)
        assert model.decode(ids) == "Hellol"
    assert unknown == {char: corpus.text().count(char) for char in ", wörd.\nAgain" if char not in "olHe"}
    folding = Vocabulary(["H", REPLACEMENT], REPLACEMENT)
    assert folding.decode(corpus.encoded_for(folding)[0]) == "H" + 20 * REPLACEMENT
    assert len(corpus.encoded_for(Vocabulary(["q"]))[0]) == 0
    assert corpus.encoded_for(corpus.vocabulary)[0] is corpus.ids


def test_progress_goes_up_to_the_end(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.text.sources.BLOCK", 10)
    seen: list[Progress] = []
    open_corpus([text, text], progress=seen.append)
    assert {step.stage for step in seen} == {"checking", "reading", "encoding"}
    assert all(step.done <= step.total for step in seen)
    reading = [step for step in seen if step.stage == "reading"]
    assert reading == sorted(reading)
    assert reading[-1].done == reading[-1].total == 48


def test_giving_up_leaves_nothing(text: Path) -> None:
    def give_up(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_corpus(text, progress=give_up)
    assert list(cache.texts_dir().iterdir()) == []


def test_a_full_disk_gets_a_sentence(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(preparing.os, "fsync", full)
    with pytest.raises(TextError, match=r"No space left on device.*make room.*CHARLSTM_CACHE"):
        open_corpus(text)
    assert list(cache.texts_dir().iterdir()) == []


def test_pruning_keeps_what_was_used_last_or_is_asked_for(tmp_path: Path) -> None:
    corpora = [open_corpus(written(tmp_path / f"{name}.txt", name * 1000)) for name in "abc"]
    for age, corpus in enumerate(corpora):
        os.utime(cache.texts_dir() / corpus.fingerprint, (1000 - age, 1000 - age))
    sizes = {entry.fingerprint: entry.bytes for entry in cache.entries()}
    freed = cache.prune_cache(max_bytes=max(sizes.values()) * 2, keep=[corpora[2].fingerprint])
    assert freed == sizes[corpora[1].fingerprint]
    assert {entry.fingerprint for entry in cache.entries()} == {corpora[0].fingerprint, corpora[2].fingerprint}
    assert corpora[1].text(0, 3) == "bbb"  # a map outlives its name
    assert open_corpus(tmp_path / "b.txt").text(0, 3) == "bbb"
    cache.prune_cache()
    assert cache.entries() == []


def test_the_cache_is_private(text: Path) -> None:
    corpus = open_corpus(text)
    if os.name != "nt":
        assert cache.texts_dir().parent.stat().st_mode & 0o777 == 0o700
        assert (cache.texts_dir() / corpus.fingerprint).stat().st_mode & 0o777 == 0o700


def test_memory_does_not_grow_with_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.text.sources.BLOCK", 256 * 1024)
    monkeypatch.setattr("charlstm.text.encoding._BLOCK", 256 * 1024)
    monkeypatch.setattr("charlstm.text.preparing._PIECE", 256 * 1024)
    peaks = []
    for megabytes in (1, 12):
        path = written(tmp_path / f"{megabytes}.txt", "Größe, wie sie ist.\n".encode() * (megabytes * 50_000))
        tracemalloc.start()
        open_corpus(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1_000_000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    st.binary(max_size=300)
    | st.tuples(
        st.sampled_from(["Größe, wie sie ist. ", "字面 ", "plain text\r\n"]),
        st.sampled_from(["utf-8", "utf-16", "utf-16-be", "gb18030", "utf-32-le"]),
        st.binary(max_size=4),
        st.integers(0, 200),
    ).map(
        lambda made: (
            (made[0] * 9).encode(made[1], "ignore")[: made[3]] + made[2] + (made[0] * 9).encode(made[1], "ignore")
        )
    )
)
def test_any_bytes_are_a_text_or_get_one_sentence(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path / "any.txt", data, old=False)
    try:
        corpus = open_corpus(path)
    except TextError as error:
        said = str(error)
    else:
        said = ""
        assert corpus.chars == len(corpus.text()) > 0
        assert int(corpus.counts.sum()) == corpus.chars
        assert corpus.fingerprint == open_corpus(path).fingerprint
    assert not said or said.isprintable()


def test_a_disk_that_fills_up_later_costs_only_time(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    corpus = open_corpus(text)
    monkeypatch.setattr(cache.storage, "replace_bytes", full)
    cache.remember("key", [], corpus.to_record())
    cache.remember_figures(corpus.fingerprint, "name", {"bits": 1})
    assert cache.recall_figures(corpus.fingerprint, "name") is None
    monkeypatch.setattr(cache.storage, "replace_file", full)
    with pytest.raises(TextError, match="make room"):
        corpus.encoded_for(Vocabulary(["H"]))


def test_what_a_killed_preparation_left_is_swept(text: Path) -> None:
    left = cache.texts_dir() / ".making-xyz"
    left.mkdir()
    os.utime(left, (1000, 1000))
    open_corpus(text)
    assert not left.exists()


def test_a_cache_that_is_not_what_it_was_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("the quick brown fox\n" * 50)
    os.utime(path, (1e9, 1e9))
    expected = open_corpus(path).text()
    folder = next(cache.texts_dir().iterdir())
    for name, content in (
        ("ids.bin", lambda old: bytes([old[0] ^ 1]) + old[1:]),
        ("ids.bin", lambda old: b"\xff" * len(old)),
        ("corpus.json", lambda old: old.replace(b'"q"', b'"Q"')),
        ("corpus.json", lambda old: b"[" * 100_000),
    ):
        (folder / name).write_bytes(content((folder / name).read_bytes()))
        assert open_corpus(path).text() == expected
