"""EPUB, DOCX, ODT and HTML as texts."""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from bounded import MB, bounded
from charlstm.errors import TextError
from charlstm.text import documents
from charlstm.text.corpus import Corpus, open_corpus, preview
from charlstm.text.reading import USUAL, TextOptions
from made_documents import CONTAINER, NOTE, as_text, made_book, write_docx, write_epub, write_html, write_odt, write_zip

BOOK = made_book()
NOTES = sum(text.count(NOTE) for _, text in BOOK)
WRITERS = {"epub": write_epub, "docx": write_docx, "odt": write_odt, "html": write_html}
LEFT_OUT = {
    "epub": {"note": NOTES, "image": 3, "table of contents": 1, "front page": 2, "extra page": 1},
    "docx": {"note": NOTES, "image": 3, "table of contents": 1},
    "odt": {"note": NOTES, "image": 3, "table of contents": 1},
    "html": {"note": NOTES, "image": 3, "script": 1},
}


def html(tmp_path: Path, content: str | bytes, options: TextOptions = USUAL, name: str = "page.html") -> Corpus:
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return open_corpus(tmp_path / name, options)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_book_is_the_same_text_in_every_form_and_what_is_left_out_is_counted(tmp_path: Path, kind: str) -> None:
    corpus = open_corpus(WRITERS[kind](tmp_path / "book.txt", BOOK), USUAL)  # known by its content, not by its name
    assert corpus.text() == as_text(BOOK)
    assert (corpus.report.left_out, corpus.report.encoding) == (LEFT_OUT[kind], "utf-8")
    if kind == "odt":
        assert corpus.report.left_out_words == "3 images, 6 notes, the table of contents"
    as_it_is = open_corpus(tmp_path / "book.txt", TextOptions())
    if kind == "html":  # it is a plain text too
        assert as_it_is.text() == (tmp_path / "book.txt").read_text(encoding="utf-8")
        assert as_it_is.report.left_out == {}
    else:
        assert as_it_is.fingerprint == corpus.fingerprint


def test_wrapped_lines_of_a_document_are_not_joined(tmp_path: Path) -> None:
    lines = "\n".join(["the morning was cold and the sea was grey and nobody had come to the"] * 20)
    corpus = open_corpus(write_docx(tmp_path / "book.docx", [("p", lines)] * 3), USUAL)
    assert (corpus.report.paragraphs, corpus.lines) == (0, 62)


def test_normalisation_and_limits_apply_to_documents(tmp_path: Path) -> None:
    path = write_odt(tmp_path / "book.odt", [("p", "soft\u00adhyphen e\u0301"), ("p", "more")])
    assert open_corpus(path).text() == "soft\u00adhyphen é\n\nmore\n"
    assert open_corpus(path, TextOptions(max_chars=6)).text() == "soft\u00adh"
    assert preview(path, 10).text == "soft\u00adhyphe"[:10]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<div>one</div><div>two<br>three</div><p>four", "one\ntwo\nthree\n\nfour\n"),
        ("<pre>a  b\n  c</pre>x   y\n z", "a  b\n  c\n\nx y z\n"),
        ("<table><tr><td>1</td> <td>2</td></tr><tr><td>3<td>4</table>", "1\t2\n3\t4\n"),
        ("one<hr>two<h2>three</h2>four", "one\n\n\ntwo\n\n\nthree\n\nfour\n"),
        ("a<sup><a href='#1'>1</a></sup> b<a href='#2'>[2]</a> <a href='#3'>c</a>", "a b c\n"),
        ("<span class=pagenum>9</span>a<div class=footnotes>1. note</div>", "a\n"),
        ("&hellip;&nbsp;&lt;&amp;&unknown;", "…\u00a0<&&unknown;\n"),
        ("<ruby>漢<rt>kan</rt></ruby><!-- no --><?no?>字", "漢字\n"),
        ("<p><b>un</b>broken <i> word </i>s", "unbroken word s\n"),
        ("<div>" * 1000 + "deep", "deep\n"),
    ],
)  # fmt: skip
def test_html_becomes_lines_as_a_browser_shows_it(tmp_path: Path, body: str, text: str) -> None:
    assert html(tmp_path, f"<html><body>{body}</body></html>").text() == text


def test_html_is_read_in_the_encoding_that_its_bytes_have_or_that_it_names(tmp_path: Path) -> None:
    named = b'<html><meta charset="iso-8859-2"><p>\xb1\xe6\xea'
    xml = '<?xml version="1.0" encoding="utf-8"?><html><meta charset="iso-8859-2"/><p>ąćę</p></html>'
    for content in (named, xml, "\ufeff<html><p>ąćę".encode("utf-16-le")):
        assert html(tmp_path, content).text() == "ąćę\n"


def write_pages(path: Path, *pages: str | bytes) -> Path:
    """An EPUB of these pages alone."""
    items = "".join(f'<item id="{at}" href="{at}.xhtml"/>' for at in range(len(pages)))
    spine = "".join(f'<itemref idref="{at}"/>' for at in range(len(pages)))
    package = f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>"
    files = {f"in/{at}.xhtml": content for at, content in enumerate(pages)}
    return write_zip(path, {"META-INF/container.xml": CONTAINER, "in/book.opf": package, **files})


def test_pages_of_an_epub_are_read_in_the_encoding_of_their_bytes_or_their_name(tmp_path: Path) -> None:
    pages = (
        b'<?xml version="1.0" encoding="iso-8859-2"?><html><p>\xb1\xe6\xea<br>x</html>',
        b'<html><meta charset="iso-8859-2"><p>\xb1\xe6\xea<br>x',
        '<?xml version="1.0" encoding="utf-16"?><html><p>ąćę<br>x</html>'.encode("utf-16"),
        '<?xml version="1.0" encoding="utf-16"?><html><p>ąćę&nbsp;<br>x</html>'.encode("utf-16-le"),
    )
    for each in pages:
        assert open_corpus(write_pages(tmp_path / "a.epub", each)).text().replace("\xa0", "") == "ąćę\nx\n"


def test_invalid_bytes_of_a_page_are_counted(tmp_path: Path) -> None:
    report = open_corpus(write_pages(tmp_path / "a.epub", "<html>é</html>", b"<html>\xc3\xa9 \xc3\xa8 \xff")).report
    assert (report.encoding, report.invalid_bytes) == ("utf-8", 1)
    assert html(tmp_path, b"<html>\xc3\xa9 \xc3\xa8 \xff").report.invalid_bytes == 1


def test_page_in_utf8_that_names_another_encoding_is_read_as_utf8_and_damage_in_its_own(tmp_path: Path) -> None:
    for named in (b"utf-8", b"utf-16"):
        assert html(tmp_path, b'<html><meta charset="%s"><p>caf\xe9' % named).text() == "café\n"


def test_html_is_recognised_by_its_content_and_a_text_about_html_is_none(tmp_path: Path) -> None:
    assert html(tmp_path, "<!-- x -->\n<!DOCTYPE HTML><p>text", name="page.txt").text() == "text\n"
    assert html(tmp_path, "no tags\nat all\n").text() == "no tags\nat all\n"
    assert html(tmp_path, "About <html>\n", name="about.txt").text() == "About <html>\n"


DAMAGED, MANY = "is damaged or incomplete", " ".join(f"a{n}='<'" for n in range(100_000))
LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + at)} "{f"&{chr(97 + at)};" * 10}">' for at in range(9)
)


ENCRYPTED = '<encryption><EncryptedData><CipherReference URI="in/c0%20a.xhtml"/></EncryptedData></encryption>'
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut.epub": (lambda path: path.write_bytes(write_epub(path, BOOK).read_bytes()[:-400]), DAMAGED),
    "no-xml.docx": (lambda path: write_zip(path, {"word/document.xml": "<w:p>"}), DAMAGED),
    "no-page.epub": (lambda path: write_zip(path, {"META-INF/container.xml": "<rootfile full-path='a'/>"}), DAMAGED),
    "laughs.docx": (lambda path: write_zip(path, {"word/document.xml": f"{LAUGHS}]><x>&j;</x>"}), "declares entities"),
    "laughs.html": (lambda path: path.write_text(f"{LAUGHS}]><html>&j;</html>"), "declares entities"),
    "drm.epub": (lambda path: write_epub(path, BOOK, **{"META-INF/encryption.xml": ENCRYPTED}), "is encrypted"),
    "secret.odt": (lambda path: write_odt(path, BOOK, "<encryption-data/>"), "is encrypted"),
    "sheet.xlsx": (lambda path: write_zip(path, {"[Content_Types].xml": "", "xl/w.xml": ""}), "is a spreadsheet"),
    "comic.html": (lambda path: write_html(path, [("p", "\x02")]), "has nothing but images"),
    "deep.html": (lambda path: path.write_text("<html>" + "<div>" * 9000 + "deep"), ".*thousands deep"),
    "many.html": (lambda path: path.write_text(f"<html><p {MANY}>x"), "has an element of 100,000 attributes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_document_is_refused_in_a_sentence_that_names_it(tmp_path: Path, name: str) -> None:
    make, message = BAD[name]
    make(tmp_path / name)
    with pytest.raises(TextError, match=f"{name} {message}"):
        open_corpus(tmp_path / name, USUAL)


def test_without_lxml_a_document_is_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "charlstm.text.documents", raising=False)
    monkeypatch.setitem(sys.modules, "lxml", None)
    with pytest.raises(TextError, match=r"book.odt is a document \(.odt\).*pip install lxml"):
        open_corpus(write_odt(tmp_path / "book.odt", BOOK))


def test_epub_of_too_many_pages_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file can name one page 3 million times."""
    monkeypatch.setattr(documents, "MOST_FILES", 4)  # with the two that list them
    assert open_corpus(write_pages(tmp_path / "a.epub", *["<html>x"] * 2)).chars
    with pytest.raises(TextError, match="has more than 4 pages"):
        open_corpus(write_pages(tmp_path / "b.epub", *["<html>x"] * 3))


def write_body(path: Path, body: str) -> Path:
    path.write_text(f"<html><body>{body}</body></html>")
    return path


DEEP, BLANKS = "a/" * 30_000, "<s c='200'/>" * 100_000
STYLES = f"<styles>{'<style>' * 240}{'<a/>' * 100_000}{'</style>' * 240}</styles>"
ITEMS = "".join(f"<item id='{n}' href='a'/>" for n in range(60_000))
SLOW: dict[str, Callable[[Path], Path]] = {  # each took a minute or more
    "attributes.html": lambda path: write_body(path, "<p " + "".join(f" a{n}='1'" for n in range(100_000)) + ">x</p>"),
    "links.html": lambda path: write_body(path, "<a href='#'><b>" * 1000 + "<i></i>" * 60_000 + "x"),
    "blanks.odt": lambda path: write_zip(
        path, {"content.xml": f"<a><body><p>x{BLANKS}x</p></body></a>", "META-INF/manifest.xml": "<a/>"}
    ),
    "styles.docx": lambda path: write_zip(
        path, {"word/document.xml": "<document><p><t>x</t></p></document>", "word/styles.xml": STYLES}
    ),
    "names.epub": lambda path: write_zip(
        path, {"META-INF/container.xml": f"<rootfile full-path='{DEEP}b'/>", f"{DEEP}b": f"<package>{ITEMS}</package>"}
    ),
}


@pytest.mark.skipif(sys.platform != "linux", reason="limits of time and memory read /proc")
@pytest.mark.parametrize("name", SLOW)
def test_time_does_not_grow_with_the_square_of_a_document(tmp_path: Path, name: str) -> None:
    path = SLOW[name](tmp_path / name)
    with bounded(30, 600 * MB), suppress(TextError):
        open_corpus(path, USUAL)
