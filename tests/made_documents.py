"""Documents made by a script: a list of blocks as EPUB, DOCX, ODT, HTML and plain text."""

import html
import io
import itertools
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path

from wrapped_prose import paragraph

NOTE, IMAGE = "\x01", "\x02"
"""Signs in a paragraph for a note at this place, and an image."""
Book = list[tuple[str, str]]
"""Blocks: ``h`` for a heading, else ``p``, and their text. Line ends are line breaks."""


def made_book(chapters: int = 3) -> Book:
    chance, book = random.Random(5), list[tuple[str, str]]()
    for number in range(1, chapters + 1):
        book += [("h", f"Chapter {number}"), ("p", f"“Café” & <tea>{NOTE} — {paragraph(chance)}")]
        book += [("p", f"{IMAGE}The first line of verse,\nand the second{NOTE}"), ("p", paragraph(chance))]
    return book


def as_text(book: Book) -> str:
    """What every form of the book has."""
    blocks = [("\n" if kind == "h" else "") + text.translate({1: "", 2: ""}) for kind, text in book]
    return "\n\n".join(blocks).lstrip("\n") + "\n"


def zipped(files: Mapping[str, str | bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of these files."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target.getvalue()


def write_zip(path: Path, files: Mapping[str, str | bytes]) -> Path:
    path.write_bytes(zipped(files))
    return path


def _filled(text: str, note: str, image: str, line_break: str) -> str:
    return html.escape(text, quote=False).replace(NOTE, note).replace(IMAGE, image).replace("\n", line_break)


_XHTML = 'xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"'


def page(book: Book, *, body: str = "", attributes: str = "") -> str:
    """An XHTML page, with ``body`` at its end."""
    sign, image = '<a epub:type="noteref" href="#n">1</a>', '<img src="a.png" alt="a picture"/>'
    blocks = "\n".join(
        f"<{tag}>{_filled(text, sign, image, '<br/>')}</{tag}>"
        for tag, text in (("h2" if kind == "h" else "p", text) for kind, text in book)
    )
    head = "<head><title/><style>p {}</style><script>let a = 1;</script></head>"
    return f"<html {_XHTML}>{head}<body {attributes}>\n{blocks}{body}</body></html>"


def write_html(path: Path, book: Book) -> Path:
    path.write_text(f"<!DOCTYPE html>{page(book, body='<script>let b = a;</script>')}", encoding="utf-8")
    return path


CONTAINER = '<container><rootfiles><rootfile full-path="in/book.opf"/></rootfiles></container>'


def write_epub(path: Path, book: Book, **more: str) -> Path:
    """With a cover, a navigation page, a title page by its landmark, an extra page and notes of its own."""
    starts = [at for at, (kind, _) in enumerate(book) if kind == "h"] + [len(book)]
    chapters = [page(book[start:stop]) for start, stop in itertools.pairwise(starts)]
    note = "<aside epub:type='footnote'><p>A note.</p></aside>"
    notes = f"<section epub:type='endnotes'>{note * sum(text.count(NOTE) for _, text in book)}</section>"
    pages = {"cover": page([("p", "The cover")], attributes='epub:type="cover"'), "title": page([("p", "By Nobody")])}
    pages |= {f"c{number} a": chapter for number, chapter in enumerate(chapters)}
    pages |= {"notes": page([], body=notes), "extra": page([("p", "Extra")])}
    links = '<nav epub:type="landmarks"><a epub:type="titlepage" href="title.xhtml">Title</a></nav>'
    contents = '<nav epub:type="toc"><a href="title.xhtml">Title</a><a href="c0%20a.xhtml">Chapter 1</a></nav>'
    pages["nav"] = page([], body=links + contents)
    items, spine = "", ""
    for name in pages:
        kind, linear = " properties='nav'" * (name == "nav"), " linear='no'" * (name == "extra")
        items += f'<item id="{name}" href="{name.replace(" ", "%20")}.xhtml"{kind}/>'
        spine += f'<itemref idref="{name}"{linear}/>'
    package = f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>"
    files: dict[str, str | bytes] = {"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER}
    files |= {"in/book.opf": package, **{f"in/{name}.xhtml": text for name, text in pages.items()}, **more}
    return write_zip(path, files)


_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def write_docx(path: Path, book: Book) -> Path:
    """With its headings in a style of a German Word, a table of contents, field codes and deleted text."""
    end, begin = "</w:t>", '<w:t xml:space="preserve">'
    inside = ['<w:footnoteReference w:id="1"/>', "<w:drawing><w:t>no text</w:t></w:drawing>", "<w:br/>"]
    ends = [f"{end}{each}{begin}" for each in inside]
    heading = '<w:pPr><w:pStyle w:val="berschrift1"/></w:pPr>'
    contents = '<w:p><w:pPr><w:pStyle w:val="V1"/></w:pPr><w:r><w:t>Chapter 1</w:t></w:r></w:p>'
    deleted = "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:r><w:instrText>PAGE</w:instrText></w:r>"
    blocks = "".join(
        f"<w:p>{heading * (kind == 'h')}{deleted}<w:ins><w:r>{begin}{_filled(text, *ends)}{end}</w:r></w:ins></w:p>"
        for kind, text in book
    )
    style = '<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
    style += '<w:style w:styleId="V1"><w:name w:val="toc 1"/></w:style>'
    document = f"<w:document {_W}><w:body>{contents}{blocks}</w:body></w:document>"
    files = {"[Content_Types].xml": "<Types/>", "word/document.xml": document}
    files |= {"word/styles.xml": f"<w:styles {_W}>{style}</w:styles>", "word/footnotes.xml": "<notes>A note.</notes>"}
    return write_zip(path, files)


_ODF = "urn:oasis:names:tc:opendocument:xmlns"


def write_odt(path: Path, book: Book, manifest: str = "<manifest/>") -> Path:
    note = "<text:note-citation>1</text:note-citation><text:note-body><text:p>A note.</text:p></text:note-body>"
    ends = [f"<text:note>{note}</text:note>", "<draw:frame><draw:image/></draw:frame>", "<text:line-break/>"]
    blocks = "\n".join(f"<text:{kind}>{_filled(text, *ends)}</text:{kind}>" for kind, text in book)
    contents = "<text:table-of-content><text:p>Chapter 1</text:p></text:table-of-content>"
    names = f'xmlns:office="{_ODF}:office:1.0" xmlns:text="{_ODF}:text:1.0" xmlns:draw="{_ODF}:drawing:1.0"'
    body = f"<office:body><office:text>{contents}{blocks}</office:text></office:body>"
    content = f"<office:document-content {names}>{body}</office:document-content>"
    files = {"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": content}
    return write_zip(path, files | {"META-INF/manifest.xml": manifest})
