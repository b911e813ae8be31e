import pytest

from charlstm.text.boilerplate import REACH, find_header, find_licence, without_boilerplate
from charlstm.text.reading import Boilerplate

BODY = "Chapter 1\n\nHappy families are all alike.\n" * 50
TITLE = "The Project Gutenberg EBook of Anna Karenina, by Leo Tolstoy\n\nThis eBook is for the use of anyone.\n\n"
HEADERS = [
    "*** START OF THE PROJECT GUTENBERG EBOOK ANNA KARENINA ***\n\n",
    "*** START OF THIS PROJECT GUTENBERG EBOOK ANNA KARENINA ***\n\n\n\nProduced by David Brannan\nand others\n\n",
    "***START OF THE PROJECT GUTENBERG EBOOK ANNA KARENINA***\n",
    "*** START OF THE PROJECT GUTENBERG EBOOK A VERY LONG TITLE,\nIN TWO LINES ***\n\n",
    "***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***\nWhy is this here?\n"
    "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n\n",
    "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.03.08.92*END*\n",
]
LICENCES = [
    "*** END OF THE PROJECT GUTENBERG EBOOK ANNA KARENINA ***\n\nUpdated editions\n",
    "*** END OF THIS PROJECT GUTENBERG EBOOK ANNA KARENINA ***\n",
    "***END OF THE PROJECT GUTENBERG EBOOK ANNA KARENINA***\n\n\n******* This file should be named\n",
    "End of the Project Gutenberg EBook of Anna Karenina, by Leo Tolstoy\n\n*** END OF THIS PROJECT GUTENBERG EBOOK\n",
    "End of Project Gutenberg's Anna Karenina, by Leo Tolstoy\n",
    "End of The Project Gutenberg Etext of Anna Karenina\n",
    "End of this Project Gutenberg Etext\n",
]


@pytest.mark.parametrize("header", HEADERS)
def test_find_header_ends_where_book_begins(header: str) -> None:
    text = TITLE + header + BODY
    assert text[find_header(text) :] == BODY


@pytest.mark.parametrize("licence", LICENCES)
def test_find_licence_begins_where_book_ends(licence: str) -> None:
    text = BODY + "\n\n\n" + licence
    assert find_licence(text) == len(BODY)


OTHERS = (
    *(BODY, "", "At the end of the project Gutenberg was tired.\n", "*** START OF THE STORY ***\n" + BODY),
    "He said: the *** END OF THE PROJECT GUTENBERG EBOOK is near.\n",
)


@pytest.mark.parametrize("text", OTHERS)
def test_text_without_boilerplate_is_kept(text: str) -> None:
    assert (find_header(text), find_licence(text)) == (0, None)


@pytest.mark.parametrize("times", [(1, 1), (1, 200), (200, 1), (200, 200), (1, 1, 1)])
@pytest.mark.parametrize(("header", "licence"), [(HEADERS[0], LICENCES[0]), (HEADERS[-1], LICENCES[3])])
def test_all_of_several_books_in_one_file_is_kept(times: tuple[int, ...], header: str, licence: str) -> None:
    text = "".join(TITLE + header + BODY * count + licence for count in times)
    found = list[Boilerplate]()
    kept = "".join(without_boilerplate([text], found))
    first, last = found
    assert text[: first.chars] == TITLE + header
    assert text[-last.chars :] == licence
    assert text == TITLE + header + kept + licence
    assert kept.count(BODY) == sum(times)


@pytest.mark.parametrize("size", [1, 7, 1000, 10**9])
@pytest.mark.parametrize("strip", [True, False])
def test_what_is_left_out_does_not_depend_on_size_of_pieces(size: int, strip: bool) -> None:
    before, after = TITLE + HEADERS[0], "\n" + LICENCES[0]
    body = BODY if size == 1 else BODY * (3 * REACH // len(BODY))
    text = before + body + after
    found = list[Boilerplate]()
    pieces = (text[at : at + size] for at in range(0, len(text), size))
    kept = "".join(without_boilerplate(pieces, found, strip=strip))
    assert kept == (body if strip else text)
    assert found == [
        Boilerplate("header", len(before), before.count("\n")),
        Boilerplate("licence", len(after), after.count("\n")),
    ]
