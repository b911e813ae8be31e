"""Texts as they are opened: from files, folders, strings, the cache and those that come with Python."""

import errno
import io
import json
import os
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from charlstm import paths, storage
from charlstm.errors import CharLSTMError, TextError
from charlstm.text import builtin, cache, prepare
from charlstm.text.catalogue import find_texts
from charlstm.text.corpus import ReadProgress, open_corpus, preview, reopen_corpus
from charlstm.text.reading import Boilerplate, TextOptions
from charlstm.text.sources import folder_files
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
    assert (corpus.text(), corpus.chars) == (expected, len(expected))
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


def test_corpus_of_a_string_is_that_of_the_same_file_and_reopens_only_from_the_cache(text: Path) -> None:
    corpus = open_corpus(text="Hello, wörld.\r\nAgain.\r\n", name="greeting")
    assert (corpus.name, corpus.report.newlines) == ("greeting", "CRLF")
    record = json.loads(json.dumps(corpus.to_record()))
    again = reopen_corpus(record)
    assert (again.text(), again.name) == ("Hello, wörld.\nAgain.\n", "greeting")
    cache.prune_cache()
    with pytest.raises(TextError, match="greeting came from a string and is no longer in the cache: read the same"):
        reopen_corpus(record)
    assert open_corpus(text).fingerprint == corpus.fingerprint


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
    assert [open_corpus(path).report.encoding for path in (text, other)] == ["utf-8", "utf-16-le"]


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
    assert (corpus.text(), corpus.counts.tolist()) == ("aaaabbbb" + 3 * REPLACEMENT, [4, 4, 3])
    assert corpus.vocabulary.replacement == REPLACEMENT
    assert open_corpus(text).vocabulary.replacement is None


def test_strip_boilerplate_applies_to_every_file(tmp_path: Path) -> None:
    for name in "ab":
        header = f"*** START OF THE PROJECT GUTENBERG EBOOK {name} ***\n\n"
        written(tmp_path / f"{name}.txt", f"{header}Once {name}.\n{LICENCE}")
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
    assert corpora[1].text() == open_corpus(tmp_path / "b.txt").text() == "b" * 1000


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


# ---- the catalogue


def test_find_texts_lists_data_then_files_without_pipes_and_broken_links(tmp_path: Path) -> None:
    for name in ("Zoo.txt", "apple.md", "picture.png", ".hidden.txt", "data/B.TXT", "data/a.txt", "data/a.md", "sub/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    assert find_texts(tmp_path) == [("data/a.txt", 4), ("data/B.TXT", 4), ("apple.md", 4), ("Zoo.txt", 4)]
    assert find_texts(tmp_path / "nowhere") == []


def test_texts_of_python_are_built_in() -> None:
    listed = {one.name: one for one in builtin.builtins()}
    reference = open_corpus("python-reference")
    assert reference.chars == listed["python-reference"].chars
    assert reference.text().count("statement") > 300
    assert reference.report.version == builtin.version()
    source = open_corpus("python-source", TextOptions(max_chars=300_000))
    assert source.chars == 300_000
    assert source.text().count("def ") > 200
    assert preview("python-source", 100).text == source.text(0, 100)


def test_limit_of_a_built_in_text_does_not_cut_another_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = ["The first page.\n", "The second page.\n"]
    monkeypatch.setitem(builtin.TEXTS, "pages", builtin.Builtin("pages", "", lambda: iter(pieces), most_chars=20))
    mine = written(tmp_path / "mine.txt", "0123456789" * 3)
    first = "The first page.\nThe "
    assert open_corpus(["pages", mine]).text() == f"{first}\n{'0123456789' * 3}"
    assert open_corpus([mine, "pages"]).text() == f"{'0123456789' * 3}\n{first}"
    limited = open_corpus(["pages", mine], TextOptions(max_chars=40))
    assert limited.text() == "The first page.\nThe second page.\n0123456"
    assert open_corpus("pages", validation=[mine, "pages"]).text() == f"{first}{'0123456789' * 3}\n{first}"


def test_missing_built_in_texts_are_not_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    monkeypatch.setattr("charlstm.text.builtin.sysconfig.get_path", lambda name: str(tmp_path))
    assert {"python-reference", "python-source"}.isdisjoint(each.name for each in builtin.builtins())
    with pytest.raises(TextError, match="does not have the text python-reference"):
        open_corpus("python-reference")


def test_program_folders_are_private_and_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cache", "state", "data"):
        monkeypatch.setenv(f"CHARLSTM_{name.upper()}", str(tmp_path / name))
    for folder, name in ((paths.cache_dir(), "cache"), (paths.state_dir(), "state")):
        assert (folder, folder.stat().st_mode & 0o777) == (tmp_path / name, 0o700)
    assert paths.data_dir() == tmp_path / "data"
    assert not paths.data_dir().exists()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(CharLSTMError, match="set CHARLSTM_CACHE to a folder"):
        paths.cache_dir()


# ---- sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    texts = {"b.txt": "second", "a.txt": "first\n", "sub/c.txt": "third", "notes.md": "other", ".hidden.txt": "hidden"}
    for name, text in texts.items():
        written(tmp_path / name, text)
    return tmp_path


def test_open_corpus_joins_files_of_a_folder_and_several_sources_in_order(folder: Path) -> None:
    corpus = open_corpus(folder)
    assert (corpus.text(), corpus.name) == ("first\nsecond\nthird", folder.name)
    assert open_corpus(folder, TextOptions(pattern="*.md, b.*")).text() == "second\nother"
    corpus = open_corpus([folder / "sub", folder / "b.txt"])
    assert (corpus.text(), corpus.name) == ("third\nsecond", "sub+1")
    assert corpus.sources == (str(folder / "sub"), str(folder / "b.txt"))


def test_folder_files_follows_link_to_other_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "z.txt").write_text("z")
    (folder / "sub" / "link").symlink_to(elsewhere)
    assert [path.name for path in folder_files(folder / "sub", "*.txt")] == ["c.txt", "z.txt"]


def test_missing_file_suggests_similar_name(folder: Path) -> None:
    for source, says in (
        (folder / "note.md", r"There is no file .*note.md; did you mean notes.md\?"),
        (folder / "nowhere" / "x", "check the path"),
        ("python-refrence", r"did you mean python-reference\?"),
        ("~nobody-here/x", "There is no file ~nobody-here/x"),  # the home folder of an unknown user
        ([], "No text was given"),
    ):
        with pytest.raises(TextError, match=says):
            open_corpus(source)


def test_open_corpus_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("caf\u00e9\r\n".encode("utf-16"))))
    corpus = open_corpus("-")
    assert (corpus.text(), corpus.name, corpus.sources) == ("café\n", "stdin", ("-",))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(TextError, match="Standard input is empty"):
        open_corpus("-")
    with pytest.raises(TextError, match="cannot be joined"):
        open_corpus(["-", "python-reference"])
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(TextError, match="no standard input"):
        open_corpus("-")


def test_preview_and_limited_reading_read_only_the_beginning(folder: Path) -> None:
    big = folder / "a.txt"
    with big.open("wb") as file:
        file.write("Größe\r\n".encode() * 10_000)
        file.truncate(2 * 1024**3)  # sparse
    seen = preview(big, 10)
    assert (seen.text, seen.bytes, seen.complete) == ("Größe\nGröß", 2 * 1024**3, False)
    assert open_corpus(big, TextOptions(max_chars=10)).text() == seen.text
    big.write_text("first")
    whole = preview(folder)
    assert (whole.text, whole.complete, whole.files) == ("first\nsecond\nthird", True, 3)
    short = preview(folder / "sub")
    assert (short.text, short.complete, short.encoding) == ("third", True, "utf-8")


def test_path_has_priority_over_built_in_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "python-reference").write_text("mine")
    assert open_corpus("python-reference").text() == "mine"


def test_open_corpus_refuses_folder_with_too_many_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.text.sources.MAX_NAMES", 6)
    assert open_corpus(folder).chars == len("first\nsecond\nthird")
    (folder / "sub" / "d.md").touch()
    with pytest.raises(TextError, match="more than 6 files: choose a smaller folder"):
        open_corpus(folder)


def test_unreadable_entries_of_folder_are_skipped_and_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = {str(folder / "a.txt"), str(folder / "sub")}

    def unless_locked(call: Callable[..., Any], path: Any, *rest: Any, **more: Any) -> Any:
        if not isinstance(path, int) and os.fspath(path) in locked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return call(path, *rest, **more)

    whole = open_corpus(folder)
    assert whole.skipped == ()
    for name in ("open", "scandir"):
        monkeypatch.setattr(os, name, partial(unless_locked, getattr(os, name)))
    monkeypatch.setattr(storage, "CLOCK_GRAIN_NS", 0)
    for _ in range(2):  # read, and from the cache
        corpus = open_corpus(folder)
        assert (corpus.skipped, corpus.chars < whole.chars) == ((str(folder / "a.txt"), str(folder / "sub")), True)
    assert open_corpus(folder / "b.txt", validation=folder).skipped == corpus.skipped
    assert preview(folder).text == "second"
    with pytest.raises(TextError, match=r"a\.txt cannot be read \(no permission\)"):
        open_corpus(folder / "a.txt")
    locked.add(str(folder / "b.txt"))
    with pytest.raises(TextError, match=r"can be read \(.*a\.txt.*\): change their permissions"):
        open_corpus(folder)
