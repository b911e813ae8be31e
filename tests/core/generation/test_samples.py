from pathlib import Path

import pytest

from charlstm.generation.samples import SAMPLE_CHARS, make_sampler, sample_prime, text_start
from charlstm.text.corpus import open_corpus
from recorded_run import tiny_model


def test_sampler_writes_the_same_for_one_model_and_seed() -> None:
    model = tiny_model(seed=3)
    first, second = (make_sampler("The old", 7)(model) for _ in range(2))
    assert first == second
    assert (first[0], len(first[1])) == ("The old", SAMPLE_CHARS)
    assert make_sampler("The old", 8)(model) != first


@pytest.mark.parametrize(
    ("content", "prime"),
    [
        ("\n\nHi\nThe quick brown fox jumps over it\n", "The quick brown fox"),
        ("ab\nabc\n", "abc"),
        ("x" * 100, "x" * 24),
        ("Donaudampfschifffahrtsgesellschaft fährt\n", "Donaudampfschifffahrtsgesellschaft"),
        ("\n\n\n", ""),
        (
            "THE FOX AND OTHER STORIES\n\n          LONDON: SMITH AND ELDER\n\nWith an Introduction by Nobody\n\n"
            "1. Of the Fox and the Hound\n\nIt was a cold morning when the fox\nwent out.\n",
            "It was a cold morning",
        ),
        ("A title that stands above the text\n\n" + "one two " * 20, "one two one two one two"),
    ],
)
def test_sample_prime_is_the_start_of_first_paragraph_or_long_line(tmp_path: Path, content: str, prime: str) -> None:
    path = tmp_path / "t.txt"
    path.write_text(content)
    assert sample_prime(open_corpus(path)) == prime


@pytest.mark.parametrize(
    ("content", "start"),
    [
        ("A first paragraph\nof two lines.\n\nAnd another.\n", "\n\n"),
        ("anna\nbob\ncarla\n" * 9 + "\n", "\n"),
        ("all in one line", "\n"),
    ],
)
def test_text_start_is_an_empty_line_where_one_separates_paragraphs(tmp_path: Path, content: str, start: str) -> None:
    path = tmp_path / "t.txt"
    path.write_text(content)
    assert text_start(open_corpus(path)) == start
