"""Which texts are read as paragraphs, and which of their paragraphs are joined."""

import itertools
import random
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.text import cache, paragraphs
from charlstm.text.corpus import Corpus, line_numbers, open_corpus, preview, reopen_corpus
from charlstm.text.paragraphs import Joined, read_paragraphs
from charlstm.text.reading import TextOptions
from random_examples import examples
from wrapped_prose import WORDS, paragraph, prose, sentence, verse

AUTO = TextOptions(lines="auto")


def read(text: str) -> str:
    return "".join(read_paragraphs([text], Joined()))


def test_prose_is_read_as_paragraphs() -> None:
    text, joined = prose(), Joined()
    expected = "\n\n".join(part.replace("\n", " ") for part in text.strip().split("\n\n"))
    assert "".join(read_paragraphs([text], joined)) == f"{expected}\n"
    assert joined.second().sum() == 12
    assert len(joined.begins()) == text.count("\n") - text.count("\n\n") * 2 - 1


@pytest.mark.parametrize("start", [0, 110], ids=["whole lines", "from the middle of a line"])
def test_excerpt_of_a_few_lines_is_read_as_paragraphs(start: int) -> None:
    excerpt = textwrap.fill(paragraph(random.Random(1), 60), 70)[start:]
    assert 3 <= excerpt.count("\n") <= 7
    assert read(excerpt) == excerpt.replace("\n", " ")
    assert read(verse(6)) == verse(6)


PLAY = "\n\n".join(f"SPEAKER {n}:\n{verse(4, n)}," for n in range(40))
CODE = Path(__file__).read_text(encoding="utf-8")
TUNES = "\n".join(
    f"X:{n}\nT:A tune\nM:6/8\nK:G\nabc def|gab c2d|e2d cBA|GAB c2d|\na2g fed|cde f2g|\n" for n in range(30)
)
TABLE = "\n".join(f"np.float32,0x{n:08x},0x{n * 977:08x},0x{n * 91:08x},{n:010}" for n in range(200))
IMPORTS = "\n".join(f"from package.of.some.generators.{word:_<14} import *" for word in WORDS * 4)
CHINESE = "\n".join("却说那日天气甚好众人都到园中来看花" * 2 for _ in range(60))
NARROW = prose(width=40)
WIDE = prose(width=120)
MANY_NAMES = "\n".join(WORDS * 20)


@pytest.mark.parametrize(
    "text", [verse(200), PLAY, CODE, TUNES, TABLE, IMPORTS, CHINESE, NARROW, WIDE, MANY_NAMES, "", "\n"]
)
def test_other_texts_are_kept(text: str) -> None:
    assert read(text) == text


LETTER = "     Your obedient servant,\n                    THE WRITER"
QUOTED = textwrap.indent(textwrap.fill(paragraph(random.Random(5)), 60), "    ")
ITEMS = "\n".join(f"* {sentence(random.Random(n), 9)}" for n in range(5))
CENTRED = "            A long title that stands in the middle\nand was broken in two lines of the page, as titles are"
CONTENTS = "CHAPTER I.  The house\nCHAPTER II.  The river\nCHAPTER III.  The brothers"
HEAD = "CHAPTER XIV.\nThe river rises"
LONG = "\n".join([" ".join(WORDS[:19]), " ".join(WORDS[:8]), " ".join(WORDS[:12])])
LICENCE = "*** END OF THE PROJECT GUTENBERG EBOOK OF A HOUSE NEAR THE RIVER ***\nand a line that follows it at once"


@pytest.mark.parametrize("kept", [LETTER, QUOTED, ITEMS, CENTRED, CONTENTS, HEAD, LONG, verse(4), verse(12), LICENCE])
def test_paragraphs_with_a_layout_of_their_own_are_kept(kept: str) -> None:
    before, after = prose(seed=3), prose(seed=4)
    assert read(f"{before}\n{kept}\n\n{after}") == f"{read(before)}\n{kept}\n\n{read(after)}"


@pytest.mark.parametrize(
    ("lines", "joined"),
    [
        (("of the well-", "known house"), "of the well-known house"),
        (("of the house--", "and the river"), "of the house--and the river"),
        (("of the house—", "and the river"), "of the house—and the river"),
        (("of the house -", "and the river"), "of the house - and the river"),
        (("of the house --", "and the river"), "of the house -- and the river"),
        (("of the house ", "and the river"), "of the house and the river"),
        (("of the house", " and the river"), "of the house and the river"),
    ],
)
def test_line_end_becomes_a_space_unless_there_is_one_or_a_hyphen(lines: tuple[str, str], joined: str) -> None:
    first, second = lines
    start = " ".join(WORDS)[: 70 - len(first)].rpartition(" ")[0]
    assert read(f"{prose()}\n{start} {first}\n{second}\n").endswith(f"\n{start} {joined}\n")


@pytest.mark.parametrize(
    ("usual", "line", "joined"),
    [
        (" house -- ", "house --", "house -- Then"), (" house --", "house --", "house --Then"),
        (" house—", "house —", "house — Then"), (" house-- ", "house--", "house-- Then"),
        (" house-", "house--", "house--Then"), (".  ", "mother.", "mother.  Then"),
        (".  ", "mother!”", "mother!”  Then"), (".  ", "Mr.", "Mr. Then"), (".  ", "mother", "mother Then"),
        (". ", "mother.", "mother. Then"),
    ],
)  # fmt: skip
def test_habit_of_the_text_decides_what_a_line_end_stands_for(usual: str, line: str, joined: str) -> None:
    text = prose(4, width=66).replace(f"{usual.strip(' -—')} ", usual)
    start = " ".join(WORDS)[: 65 - len(line)].rpartition(" ")[0]
    assert read(f"{text}\n{start} {line}\nThen\n").endswith(f"{start} {joined}\n")


def test_paragraphs_that_are_indented_without_blank_lines_between_them_are_joined() -> None:
    wrapped = [textwrap.fill(paragraph(random.Random(seed)), 70, initial_indent="   ") for seed in range(12)]
    wrapped.insert(3, "   The house.")
    text = "\n".join(wrapped)
    assert read(text) == "\n".join(each.replace("\n", " ") for each in wrapped)
    hanging = [textwrap.fill(paragraph(random.Random(seed)), 70, subsequent_indent="   ") for seed in range(12)]
    assert read("\n".join(hanging)) == "\n".join(hanging)


WIDTHS = (55, 70, 75, 100)
PARTS = [textwrap.fill(paragraph(random.Random(words), words), width) for words in (8, 80, 190) for width in WIDTHS]
PARTS += [verse(1), verse(19), ITEMS, textwrap.indent(PARTS[0], "   "), QUOTED, "CHAPTER", "\t "]


@given(st.lists(st.sampled_from(PARTS), max_size=24))
@examples(80)
def test_reading_twice_changes_nothing_more(parts: list[str]) -> None:
    once = read("\n\n".join(parts))
    assert read(once) == once


@given(st.text("abc. \n-é\u2014\U00010400", max_size=400), st.lists(st.integers(0, 400)), st.integers(0, 3))
@examples(80)
def test_pieces_do_not_matter(text: str, cuts: list[int], before: int) -> None:
    text = prose(before) + text + prose(before)
    edges = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    whole, pieces = Joined(), Joined()
    expected = "".join(read_paragraphs([text], whole))
    given_pieces = (text[start:stop] for start, stop in itertools.pairwise(edges))
    assert "".join(read_paragraphs(given_pieces, pieces)) == expected
    np.testing.assert_array_equal(whole.begins(), pieces.begins())


def test_long_text_is_decided_by_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    text = prose(40) + "\n" + verse(50) + "\n\n" + prose(40, seed=9)
    expected = read(text)
    monkeypatch.setattr(paragraphs, "DECIDED_BY", 5000)  # so that it is joined in several parts
    assert read(text) == expected
    verse_first = verse(150) + "\n\n" + prose(40)
    assert read(verse_first) == verse_first


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text(
        "The Project Gutenberg EBook of A House\n\n*** START OF THE PROJECT GUTENBERG EBOOK A HOUSE ***\n\n"
        f"{prose(20)}\n{verse(8)}\n\n{prose(20, seed=7)}\n"
        f"*** END OF THE PROJECT GUTENBERG EBOOK A HOUSE ***\n\n{textwrap.fill('licence ' * 40)}\n",
        encoding="utf-8",
    )
    return path


def lines_of(corpus: Corpus, word: str) -> list[int]:
    text = corpus.text()
    places = [at for at in range(len(text)) if text.startswith(word, at)]
    return line_numbers(corpus, np.array(places, np.int64)).tolist()


@pytest.mark.parametrize("strip", [False, True])
@pytest.mark.parametrize("lines", ["keep", "auto"])
def test_line_numbers_are_those_of_the_file(book: Path, lines: str, strip: bool) -> None:
    options = TextOptions.from_dict({"lines": lines, "strip_boilerplate": strip})
    corpus = open_corpus([book, book], options)
    lines_of_files = enumerate(book.read_text(encoding="utf-8").splitlines() * 2, 1)
    expected = [number for number, line in lines_of_files for _ in range(line.count("brothers"))]
    assert lines_of(corpus, "brothers") == expected


def test_text_whose_lines_are_no_longer_in_the_cache_is_read_again(book: Path) -> None:
    corpus = open_corpus(book, AUTO)
    expected = lines_of(corpus, "river")
    [stored] = (cache.texts_dir() / corpus.fingerprint).glob("lines-*")
    stored.unlink()
    assert lines_of(reopen_corpus(corpus.to_record()), "river") == expected


@pytest.mark.parametrize("strip", [False, True])
def test_preview_and_limited_reading_are_the_beginning(book: Path, strip: bool) -> None:
    options = TextOptions(lines="auto", strip_boilerplate=strip)
    whole = open_corpus(book, options)
    assert whole.report.paragraphs == 40 + (not strip)
    for chars in (1, 300, 5000, 10**6):
        assert preview(book, chars, options).text == whole.text()[:chars]
        limited = open_corpus(book, TextOptions(lines="auto", strip_boilerplate=strip, max_chars=chars))
        assert limited.text() == whole.text()[:chars]
        assert limited.report.paragraphs <= whole.report.paragraphs
    assert open_corpus(book, TextOptions(lines="auto", max_chars=300)).report.paragraphs == 1


def test_record_without_lines_keeps_them_and_primes_are_never_joined(book: Path) -> None:
    assert TextOptions.from_dict({}).lines == "keep"
    assert open_corpus(book).text() == book.read_text(encoding="utf-8")
    assert AUTO.apply(prose()) == prose()
