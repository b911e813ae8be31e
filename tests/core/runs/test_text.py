"""The text that a run has in its folder."""

import math
import os
import stat
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from charlstm.errors import TextError
from charlstm.runs.folder import RunFolder, delete_run
from charlstm.runs.launch import NewRun, create_new_run
from charlstm.runs.text import baseline_losses, open_text
from charlstm.text import cache
from charlstm.text.corpus import Corpus, open_corpus
from charlstm.text.reading import TextOptions
from charlstm.training.settings import Settings
from faulty_disk import FaultyDisk, use_disk
from wrapped_prose import prose

TEXT, VALIDATION = "The old pond: a frog jumps in, the sound of water.\n" * 20, "Größe, wie sie ist.\n" * 5


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "poem.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def corpus(source: Path, tmp_path: Path) -> Corpus:
    (tmp_path / "val.txt").write_text(VALIDATION, encoding="utf-8")
    return open_corpus(source, TextOptions(fold_rare=2), validation=tmp_path / "val.txt")


@pytest.fixture
def run(corpus: Corpus, tmp_path: Path) -> RunFolder:
    return create_new_run(NewRun(corpus, Settings(max_steps=100), runs_dir=tmp_path / "runs"))


def lose_all_others(source: Path) -> None:
    """Remove what the text can be read from, but for the folder of the run."""
    source.unlink()
    cache.prune_cache()


def test_text_is_copied_where_links_are_not(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.runs.text._PIECE", 100)
    with use_disk(FaultyDisk(0, only=frozenset({"link"}))):
        run = create_new_run(NewRun(corpus, Settings(max_steps=100), runs_dir=tmp_path / "runs"))
    assert (run.text_path.stat().st_nlink, stat.S_IMODE(run.text_path.stat().st_mode)) == (1, 0o600)
    assert open_text(run).text() == TEXT + VALIDATION


def test_run_like_another_links_to_its_text(run: RunFolder, source: Path, tmp_path: Path) -> None:
    lose_all_others(source)
    other = create_new_run(NewRun(open_text(run), Settings(max_steps=100), runs_dir=tmp_path / "runs"))
    assert os.path.samefile(run.text_path, other.text_path)
    assert delete_run(run) == []
    assert open_text(other).text() == TEXT + VALIDATION


def test_run_of_0_3_whose_text_has_changed_says_so(run: RunFolder, source: Path) -> None:
    spec = run.spec()
    about = {name: value for name, value in spec.corpus.items() if name not in ("vocabulary", "counts")}
    run.write_spec(replace(spec, corpus=about))
    run.text_path.unlink()
    source.write_text("Something else.")
    assert open_text(run).text() == TEXT + VALIDATION  # from the cache
    cache.prune_cache()
    with pytest.raises(TextError, match=r"^The text poem.txt, or its validation text val.txt, has changed"):
        open_text(run)


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_damaged_text_is_read_again_or_reported(run: RunFolder, source: Path, damage: str) -> None:
    content, says = run.text_path.read_bytes(), "text.bin is damaged, and the text cannot be read again: There is"
    run.text_path.unlink()  # it may be a link to the file in the cache
    if damage == "gone":
        says = "There is no file"
    else:
        run.text_path.write_bytes(content[:-1] if damage == "cut" else bytes([content[0] ^ 1]) + content[1:])
    assert open_text(run).text() == TEXT + VALIDATION
    lose_all_others(source)
    with pytest.raises(TextError, match=says):
        open_text(run)


def test_lines_of_a_text_read_as_paragraphs_stay_with_it(tmp_path: Path) -> None:
    """Also when the cache is emptied: ``score`` and ``novelty`` say in which line of the file something stands."""
    book = tmp_path / "book.txt"
    book.write_text(prose(), encoding="utf-8")
    corpus = open_corpus(book, TextOptions(lines="auto"))
    run = create_new_run(NewRun(corpus, Settings(max_steps=1), runs_dir=tmp_path / "runs"))
    begins = corpus.joined_lines().tolist()
    assert len(begins) > 50
    lose_all_others(book)
    assert open_text(run).joined_lines().tolist() == begins
    assert len([path for path in run.parts() if path.name.startswith("lines-")]) == 1


def test_run_has_all_of_its_text_once_it_is_created(run: RunFolder, corpus: Corpus, source: Path) -> None:
    assert os.path.samefile(run.text_path, cache.texts_dir() / corpus.fingerprint / cache.IDS)
    assert stat.S_IMODE(run.text_path.stat().st_mode) == 0o600
    lose_all_others(source)
    found = open_text(run)
    assert found.text() == TEXT + VALIDATION == corpus.text()
    assert found.to_record() == corpus.to_record()
    assert (found.vocabulary, found.counts.tolist()) == (corpus.vocabulary, corpus.counts.tolist())


def test_run_on_a_short_text_is_compared_with_letter_frequencies(run: RunFolder, corpus: Corpus, source: Path) -> None:
    """A run on 1,500 characters that had learnt nothing was not told so."""
    shares = [count / corpus.chars for count in Counter(corpus.text()).values()]
    assert baseline_losses(run) == {"order 0": pytest.approx(-sum(share * math.log(share) for share in shares))}
    run.text_path.unlink()
    lose_all_others(source)
    assert baseline_losses(run) == {}
