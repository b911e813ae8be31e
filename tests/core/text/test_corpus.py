from __future__ import annotations

import errno
import json
import os
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from charlstm import storage
from charlstm.errors import TextError
from charlstm.text import cache, prepare
from charlstm.text.corpus import ReadProgress, open_corpus, reopen_corpus
from charlstm.text.reading import Boilerplate, TextOptions
from charlstm.text.vocabulary import REPLACEMENT, Vocabulary
from random_examples import examples

LICENCE = "\n*** END OF THE PROJECT GUTENBERG EBOOK NOTHING ***\nLicence…\n"


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture
def trust_stamps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stamps count at once, also those of files that a test has just written."""
    monkeypatch.setattr(storage, "CLOCK_GRAIN_NS", 0)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return written(tmp_path / "story.txt", "Hello, wörld.\r\nAgain.\r\n")


@examples(30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1).filter(lambda text: text.count("\0") <= len(text.encode()) // 2))  # else it is refused
@example("".join(map(chr, [*range(1, 0xD800), *range(0xE000, 0xFFFF)])))  # 63,000 distinct characters
@example("字" * 10 + "\x00")
def test_corpus_has_the_characters_of_any_text(tmp_path: Path, content: str) -> None:
    options = TextOptions(normalize=False, encoding="utf-8")
    corpus = open_corpus(written(tmp_path / "any.txt", content), options)
    expected = options.apply(content.removeprefix("\ufeff"))
    assert corpus.text() == expected
    assert corpus.chars == len(expected)
    assert corpus.vocabulary == Vocabulary(sorted(set(expected)))
    counts = Counter(expected)
    assert corpus.counts.tolist() == [counts[char] for char in corpus.vocabulary.symbols]


@examples(30)
@given(st.text(st.characters(exclude_categories=()), min_size=1))
@example("a\ud800b\udfff")
def test_open_corpus_takes_any_string(content: str) -> None:
    corpus = open_corpus(text=content)
    expected = TextOptions().apply(content)
    assert corpus.text() == "".join(REPLACEMENT if "\ud800" <= char <= "\udfff" else char for char in expected)
    assert (corpus.name, corpus.sources) == ("text", ())


def test_corpus_of_a_string_is_that_of_the_same_file(text: Path) -> None:
    corpus = open_corpus(text="Hello, wörld.\r\nAgain.\r\n", name="greeting")
    assert corpus.fingerprint == open_corpus(text).fingerprint
    assert (corpus.name, corpus.report.newlines) == ("greeting", "CRLF")


def test_corpus_of_a_string_reopens_only_from_the_cache() -> None:
    corpus = open_corpus(text="Hello", name="greeting")
    record = json.loads(json.dumps(corpus.to_record()))
    assert reopen_corpus(record).text() == "Hello"
    assert reopen_corpus(record).name == "greeting"
    cache.prune_cache()
    with pytest.raises(TextError, match="greeting came from a string and is no longer in the cache: read the same"):
        reopen_corpus(record)


def test_open_corpus_takes_exactly_one_source_or_string() -> None:
    for arguments in ({}, {"source": "story.txt", "text": "x"}):
        with pytest.raises(TextError, match="exactly one"):
            open_corpus(**arguments)
    for text, message in ((b"bytes", "takes a string, not bytes"), ("", "The text is empty")):
        with pytest.raises(TextError, match=message):
            open_corpus(text=text)


@pytest.mark.usefixtures("trust_stamps")
def test_unchanged_text_comes_from_the_cache(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_corpus(text)
    monkeypatch.setattr("charlstm.text.corpus.prepare", None)
    again = open_corpus(text)
    assert (again.fingerprint, again.report, again.text()) == (first.fingerprint, first.report, first.text())


@pytest.mark.usefixtures("trust_stamps")
def test_text_limited_by_max_chars_comes_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        written(tmp_path / f"{name}.txt", 5 * name)
    options = TextOptions(max_chars=8)
    first = open_corpus(tmp_path, options)
    assert first.text() == "aaaaa\nbb"
    with monkeypatch.context() as patch:
        patch.setattr("charlstm.text.corpus.prepare", None)
        again = open_corpus(tmp_path, options)
        assert (again.fingerprint, again.report) == (first.fingerprint, first.report)
        written(tmp_path / "c.txt", "after the end, never opened")
        assert open_corpus(tmp_path, options).text() == first.text()
    written(tmp_path / "b.txt", "BBB")
    assert open_corpus(tmp_path, options).text() == "aaaaa\nBB"
    (tmp_path / "b.txt").unlink()
    assert open_corpus(tmp_path, options).text() == "aaaaa\naf"


def test_changed_file_is_read_again(text: Path) -> None:
    written(text, "aaaa")
    assert open_corpus(text).text() == "aaaa"
    assert not list((cache.texts_dir().parent / "sources").glob("*")), "another change might not show"
    written(text, "bbbb")  # the same size, within the resolution of the clock
    assert open_corpus(text).text() == "bbbb"


@pytest.mark.usefixtures("trust_stamps")
def test_changed_file_with_same_size_and_time_is_read_again(text: Path) -> None:
    written(text, "aaaa")
    os.utime(text, ns=(10**18, 10**18))
    for _ in range(2):
        assert open_corpus(text).text() == "aaaa"
    before = text.stat().st_ctime_ns
    while text.stat().st_ctime_ns == before:  # the resolution of the clock is some milliseconds
        written(text, "bbbb")
        os.utime(text, ns=(10**18, 10**18))  # as rsync --times, cp --preserve and touch --reference do
    assert open_corpus(text).text() == "bbbb"


def test_equal_texts_are_stored_once(text: Path, tmp_path: Path) -> None:
    other = written(tmp_path / "other.txt", "Hello, wörld.\nAgain.\n".encode("utf-16"))
    assert open_corpus(text).fingerprint == open_corpus(other).fingerprint
    assert len(cache.entries()) == 1
    assert open_corpus(text).report.encoding == "utf-8"
    assert open_corpus(other).report.encoding == "utf-16-le"


def test_reopen_corpus_returns_same_text_or_reports_change(text: Path) -> None:
    first = open_corpus(text, TextOptions(normalize=False))
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
    with pytest.raises(TextError, match=r"story.txt has changed"):
        reopen_corpus(record)
    with pytest.raises(TextError, match="record of the text is invalid"):
        reopen_corpus({"name": "x"})


def test_fold_rare_replaces_rare_characters(text: Path) -> None:
    corpus = open_corpus(written(text, "aaaabbbbxy" + REPLACEMENT), TextOptions(fold_rare=3))
    assert corpus.text() == "aaaabbbb" + 3 * REPLACEMENT
    assert corpus.counts.tolist() == [4, 4, 3]
    assert corpus.vocabulary.replacement == REPLACEMENT
    assert open_corpus(text).vocabulary.replacement is None


def test_strip_boilerplate_applies_to_every_file(tmp_path: Path) -> None:
    for name in "ab":
        body = f"*** START OF THE PROJECT GUTENBERG EBOOK {name} ***\n\nOnce {name}.\n{LICENCE}"
        written(tmp_path / f"{name}.txt", body)
    noticed = open_corpus(tmp_path)
    assert [part.kind for part in noticed.report.boilerplate] == ["header", "licence"] * 2
    stripped = open_corpus(tmp_path, TextOptions(strip_boilerplate=True))
    assert stripped.text() == "Once a.\nOnce b.\n"
    assert stripped.vocabulary == Vocabulary(sorted(set("Once a.\nOnce b.\n")))
    assert stripped.report.boilerplate == noticed.report.boilerplate
    assert noticed.report.boilerplate[2] == Boilerplate("header", 48, lines=2)
    with pytest.raises(TextError, match="nothing but Project Gutenberg licence"):
        open_corpus(written(tmp_path / "c.txt", LICENCE), TextOptions(strip_boilerplate=True))


def test_a_file_begins_a_unit_also_where_a_licence_before_it_was_left_out(tmp_path: Path) -> None:
    for name in "ab":
        written(tmp_path / f"{name}.txt", f"Once {name}.\n{LICENCE}\n")
    corpus = open_corpus(tmp_path, TextOptions(strip_boilerplate=True, units="blank-lines"))
    assert corpus.text() == "Once a.\n\nOnce b.\n"


def test_encoded_for_uses_ids_of_other_vocabulary(text: Path) -> None:
    corpus = open_corpus(text)
    model = Vocabulary(list("zolHe"))
    ids, unknown = corpus.encoded_for(model)
    assert model.decode(ids) == "".join(map(model.read_as, corpus.text()))
    assert unknown == {char: corpus.text().count(char) for char in ", wörd.\nAgain" if char not in "olHe"}
    folding = Vocabulary(["H", REPLACEMENT], REPLACEMENT)
    assert folding.decode(corpus.encoded_for(folding)[0]) == "H" + 20 * REPLACEMENT
    assert corpus.encoded_for(corpus.vocabulary)[0] is corpus.ids


def test_progress_increases_to_total(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.text.sources.BLOCK", 10)
    seen: list[ReadProgress] = []
    open_corpus([text, text], progress=seen.append)
    assert {step.stage for step in seen} == {"checking", "reading", "encoding"}
    assert all(step.done <= step.total for step in seen)
    reading = [step for step in seen if step.stage == "reading"]
    assert reading == sorted(reading)
    assert reading[-1].done == reading[-1].total == 48


def test_interrupted_reading_and_a_full_disk_leave_no_files(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(progress: ReadProgress) -> None:
        raise KeyboardInterrupt

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(KeyboardInterrupt):
        open_corpus(text, progress=interrupt)
    monkeypatch.setattr(prepare, "sync_file", full)
    with pytest.raises(TextError, match=r"No space left on device.*free some space.*CHARLSTM_CACHE"):
        open_corpus(text)
    assert list(cache.texts_dir().iterdir()) == []


def test_pruned_texts_can_still_be_read_where_they_are_open(tmp_path: Path) -> None:
    corpora = [open_corpus(written(tmp_path / f"{name}.txt", name * 1000)) for name in "abc"]
    sizes = cache.entries()
    assert set(sizes) == {corpus.fingerprint for corpus in corpora}
    assert cache.prune_cache() == sum(sizes.values())
    assert cache.entries() == {}
    assert corpora[1].text(0, 3) == "bbb"
    assert open_corpus(tmp_path / "b.txt").text(0, 3) == "bbb"


def test_prune_cache_leaves_what_the_program_did_not_make(text: Path) -> None:
    open_corpus(text)
    folder = cache.texts_dir()
    foreign = (folder / "poems" / "a.txt", folder.parent / "sources" / "bib.json", folder / ("0" * 63) / "ids.bin")
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("precious")
    record = folder.parent / "sources" / f"{'0' * 32}.json"
    record.write_text("of a text that is not there")
    assert len(cache.entries()) == 1
    cache.prune_cache()
    assert cache.entries() == {}
    assert not record.exists()
    assert [path.read_text() for path in foreign] == ["precious"] * 3


def test_memory_does_not_grow_with_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.text.sources.BLOCK", 256 * 1024)
    monkeypatch.setattr("charlstm.text.encoding._BLOCK", 256 * 1024)
    monkeypatch.setattr("charlstm.text.prepare._PIECE", 256 * 1024)
    peaks = []
    for megabytes in (1, 12):
        path = written(tmp_path / f"{megabytes}.txt", "Größe, wie sie ist.\n".encode() * (megabytes * 50_000))
        tracemalloc.start()
        open_corpus(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1_000_000


def test_folder_of_a_text_is_removed_unless_it_is_still_being_read(text: Path) -> None:
    left = cache.texts_dir() / ".making-xyz"
    left.mkdir()
    written(left / "stdin", "what has come so far")
    os.utime(left, (1000, 1000))  # a long pipe changes only the file
    open_corpus(text)
    assert left.exists()
    os.utime(left / "stdin", (1000, 1000))  # its process was killed
    cache.prune_cache()
    assert not left.exists()
