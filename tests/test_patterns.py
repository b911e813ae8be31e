"""Every regular expression that meets foreign text ends on its worst case: 300,000 characters take 0.1 s at most,
and a minute or more where time grows with the square."""

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bounded import MB, bounded
from charlstm.errors import GenerationError
from charlstm.generation.clamp import parse_clamp
from charlstm.generation.export import to_prose
from charlstm.insight import features
from charlstm.insight.report import passage_start
from charlstm.runs import notes
from charlstm.text import archives, boilerplate, documents, encoding, passages, reading, sentences
from charlstm.toml_files import TomlFile
from charlstm_tui import pastes, terminal_background
from charlstm_tui.web import address

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of time and memory read /proc")

SIZE = 300_000
START = "*** START OF THE PROJECT GUTENBERG EBOOK ***\n"


def toml_line(line: str) -> str:
    return TomlFile(Path("a.toml"), line, {}).located("", "a", "wrong")


def clamp(text: str) -> None:
    with contextlib.suppress(GenerationError):
        parse_clamp(text)


CASES: dict[str, tuple[Callable[[Any], object], str, str, str]] = {
    # what meets the text, its beginning, what is repeated, its end
    "comments before HTML": (archives._HTML.match, "", "<!-- -->", ""),
    "comments that do not end": (archives._HTML.match, "", "<!--", ""),
    "blanks before HTML": (archives._HTML.match, "<?xml>", "\r\n ", ""),
    "header without an end of its last line": (boilerplate.find_header, f"{START}Produced by A\n", "a", ""),
    "header with many credits": (boilerplate.find_header, f"{START}Produced by A\n", "a\n", " "),
    "header with blanks": (boilerplate.find_header, f"{START}Produced by A\n", " ", ""),
    "header with blank lines": (boilerplate.find_header, START, " \n", "x"),
    "header with stars": (boilerplate.find_header, START[:-1], "*** ", ""),
    "headers": (boilerplate.find_header, "", f"{START}***", ""),
    "licence with blanks": (boilerplate.find_licence, "*** END OF", " ", "THE"),
    "licences": (boilerplate.find_licence, "", "*** END OF THE PROJECT GUTENBERG ", "\0"),
    "words of a header": (boilerplate._HEADER_WORDS.search, "Project", "\n ", ""),
    "entities without an end": (documents._ENTITY.search, "", "&a", ""),
    "entity of one long name": (documents._ENTITY.search, "&", "a", ""),
    "signs of a note": (documents._NOTE_SIGN.fullmatch, "", "*", "["),
    "character sets": (documents._CHARSET.search, "", "charset  ", ""),
    "word outside ASCII": (encoding._HIGH_WORDS.findall, "", "a", "1"),
    "accents": (encoding._is_western, "", "\xe9", "1"),
    "dots": (sentences.sentences, "", ".", "a"),
    "dots and quotes": (sentences.sentences, "", ".\"'", "a"),
    "blanks after a line": (sentences.sentences, "\n", " ", "a"),
    "letters that cannot be separated": (lambda text: list(passages._separable([text])), "", "é", ""),
    "accents on letters": (reading._composed, "", "\u0301" * 15 + "é", ""),
    "accents alone": (reading._composed, "", "\u0301", "é"),
    "clamp of many numbers": (clamp, "1:1=", "1-", "-"),
    "clamp of a long number": (clamp, " ", "1", ":"),
    "blanks in prose": (to_prose, "-", " ", "\n"),
    "blanks in a passage": (passage_start, "\n", " ", "a"),
    "blanks after a sentence": (passage_start, ".", " ", "a"),
    "empty lines of a program": (features.kind_of_text, "", "\n", "a"),
    "call in a program": (features.kind_of_text, "a(", ")", "a"),
    "comments of a program": (features.BUILT_IN["comment"].compute, "", "/*", ""),
    "strings of a program": (features.BUILT_IN["string"].compute, "", '"""', '"'),
    "capitalised words": (features.BUILT_IN["capitalised word"].compute, "", "A’", ""),
    "indentation": (features.BUILT_IN["indentation"].compute, "", " ", "a"),
    "tags": (notes.parse_tags, "", " ,", "a"),
    "blanks in TOML": (toml_line, "", " ", "a"),
    "table in TOML": (toml_line, "[", "a ", '"'),
    "tables in TOML": (toml_line, "", "[ ", ""),
    "colours in a paste": (pastes.without_controls, "", "\x1b[0", ""),
    "titles in a paste": (pastes.without_controls, "", "\x1b]0", ""),
    "colours of a terminal": (terminal_background._COLOUR.search, "", "\x1b]11;", ""),
    "begins of answers of a terminal": (terminal_background._BEGUN.search, "", "\x1b]11;", "a"),
    "address": (address._WRITTEN.fullmatch, "", "a", ":"),
}
OF_BYTES = (archives._HTML.match, documents._ENTITY.search, documents._CHARSET.search)
OF_BYTES += (encoding._HIGH_WORDS.findall, encoding._is_western)


@pytest.mark.parametrize("case", CASES)
def test_pattern_ends_on_its_worst_case(case: str) -> None:
    use, begin, repeated, end = CASES[case]
    text = begin + repeated * (SIZE // len(repeated)) + end
    with bounded(30, 400 * MB):
        use(text.encode("latin-1") if use in OF_BYTES else text)
