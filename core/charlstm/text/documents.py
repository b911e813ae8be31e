"""Extract the text of documents: EPUB, DOCX, ODT and HTML.

A paragraph is one line. There is a blank line between paragraphs, and one more before a heading and where a line is
drawn across the page. Line breaks inside paragraphs are kept, as verse has them. In HTML a ``div`` ends a line and a
``p`` a paragraph, as a browser shows them.

What is not the text is left out and counted: notes and their signs, images, tables of contents, cover and title pages,
page numbers. No entity that a file declares is expanded, and nothing is fetched.
"""

from __future__ import annotations

import html
import io
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import unquote

from lxml import etree

from charlstm.display import size
from charlstm.errors import TextError
from charlstm.text.archives import MAX_DOCUMENT, Kind, in_memory, open_member, open_zip
from charlstm.text.encoding import check_encoding, find_encoding
from charlstm.text.reading import Tally, TextOptions, decoded

Element = Any
"""An element of lxml, which declares no types."""


class LeftOut(NamedTuple):
    """An element that is left out with its contents. ``kind`` names the count of such elements; ``""``: none."""

    kind: str = ""


Rule = int | str | LeftOut
"""What an element is: a block with so many line ends around it (0 for a part of a line), the characters that it stands
for, or left out."""

_LINE, _PARAGRAPH, _HEADING = 1, 2, 3
_NOTE, _SIGN = LeftOut("note"), LeftOut("sign of a note")
_IMAGE, _CONTENTS, _FRONT, _EXTRA = map(LeftOut, ("image", "table of contents", "front page", "extra page"))
MOST_ATTRIBUTES = 256
"""Attributes of an element of HTML: libxml2 takes 45 s for 100,000."""
MOST_FILES, LONGEST_NAME = 20_000, 1000
"""Files that are read of an EPUB, each in 0.1 ms at least, and the characters of their names: a link in a file is
found from the name of the file."""


class DocumentText:
    """The text of a document, put together from what its elements have."""

    def __init__(self) -> None:
        self.begun = False
        self._parts: list[str] = []
        self._line_ends = 0
        """Line ends before what follows."""
        self._blanks: list[str] = []
        """White space before what follows, if that is in the same line."""

    def add(self, text: str, *, as_it_is: bool = False) -> None:
        """Add text; all white space is one space each, unless the text is taken ``as_it_is``."""
        for number, line in enumerate(text.split("\n") if as_it_is else [_BLANKS.sub(" ", text)]):
            if number:
                self.end_block(max(self._line_ends, min(self._line_ends + 1, _PARAGRAPH)))
            if not as_it_is and (self._blanks or self._line_ends or not self.begun):
                line = line.lstrip(" ")
            words = line.rstrip(" \t\r")
            if words:
                self._parts += ["\n" * self._line_ends if self.begun else "", *self._blanks, words]
                self.begun, self._line_ends, self._blanks = True, 0, []
            if blanks := line[len(words) :]:
                self._blanks.append(blanks)

    def end_block(self, line_ends: int) -> None:
        """End the line, with so many line ends at least before what follows; with 0 it goes on."""
        if line_ends:
            self._line_ends, self._blanks = max(self._line_ends, line_ends), []

    def take(self) -> str:
        """The text since this was last called."""
        text = "".join(self._parts)
        self._parts.clear()
        return text


_BLANKS = re.compile("[ \t\r\n]+")


def document_text(file: BinaryIO, kind: Kind, shown: str, encoding: str | None, tally: Tally) -> Iterator[str]:
    """The text of a document, that of an EPUB chapter by chapter; what is left out, encodings and invalid bytes are
    added to ``tally``.

    ``encoding`` is that of an HTML file, if the user chose one. Raises :class:`TextError`.
    """
    text, found = DocumentText(), Counter[str]()
    parts: Iterator[_Part | LeftOut]
    try:
        if kind == "html":
            parts = _html(file, shown, encoding, tally)
        else:
            parts = {"epub": _epub, "docx": _docx, "odt": _odt}[kind](_Package(file, shown, tally))
        for part in parts:
            if isinstance(part, LeftOut):
                found[part.kind] += 1
                continue
            text.end_block(_PARAGRAPH)
            _walk(part, text, found)
            yield text.take()
    except (etree.LxmlError, LookupError):  # no XML, or a part is not there
        raise TextError(f"{shown} is damaged or incomplete: get it again, or choose another text") from None
    if text.begun:
        yield "\n"
    signs = found.pop(_SIGN.kind, 0)
    found[_NOTE.kind] = max(found[_NOTE.kind], signs)  # notes may be in other files, or signs without a mark
    tally.left_out.update({kind: number for kind, number in found.items() if kind and number})


class _Part(NamedTuple):
    """A part of a document: the root, the rule of an element, and the name of the only elements with text; empty for
    all."""

    root: Element
    rule_of: Callable[[Element], Rule]
    only: str = ""


class _Package:
    """The files of a document that is a zip archive."""

    def __init__(self, file: BinaryIO, shown: str, tally: Tally) -> None:
        self._zip, self.shown, self.tally = open_zip(in_memory(file), shown), shown, tally
        self._files = self._bytes = 0
        self.names = set(self._zip.namelist())

    def read(self, name: str) -> bytes:
        """Raises :class:`KeyError` when there is no file of this name."""
        if len(name) > LONGEST_NAME:
            raise KeyError(name)
        info = self._zip.getinfo(name)
        data = open_member(self._zip, info, MAX_DOCUMENT, self.shown, self._bytes).read()
        self._files, self._bytes = self._files + 1, self._bytes + len(data)
        if self._files > MOST_FILES:
            raise TextError(f"{self.shown} has more than {MOST_FILES:,} pages: save it as plain text and use that")
        return data

    def xml(self, name: str) -> Element:
        return _parsed(self.read(name), self.shown)

    def page(self, name: str) -> Element:
        shown = f"{self.shown}/{name}"
        return _page(_as_utf8(self.read(name), shown, None, self.tally), shown)

    def check_encryption(self, is_encrypted: bool) -> None:
        if is_encrypted:
            raise TextError(f"{self.shown} is encrypted: open it with its program, save it as plain text and use that")


def _parsed(data: bytes, shown: str, encoding: str | None = None) -> Element:
    if b"<!ENTITY" in data:
        raise TextError(f"{shown} declares entities, which can expand without end: save it as plain text and use that")
    parser = etree.XMLParser(resolve_entities=False, remove_comments=True, remove_pis=True, encoding=encoding)
    return etree.fromstring(data, parser)


def _as_utf8(data: bytes, shown: str, encoding: str | None, tally: Tally) -> bytes:
    """Convert an HTML file or a page of an EPUB to UTF-8 from ``encoding``, if it is given, else from the encoding that
    its bytes have, else from the one that it names."""
    name, mark = find_encoding(io.BytesIO(data), shown, encoding, len(data), lambda done: None)
    text, invalid = _decode(data[mark:], name)
    named = _CHARSET.search(data, 0, 4096)
    if named and encoding is None and not mark and (invalid or not name.startswith("utf")):
        with suppress(TextError):  # no such encoding
            other = check_encoding(named[1].decode())
            if not other.startswith("utf"):  # UTF would have been found by now
                name, (text, invalid) = other, _decode(data, other)
    tally.encodings.add(name)
    tally.invalid_bytes += invalid
    return text.encode(errors="replace")


def _decode(data: bytes, encoding: str) -> tuple[str, int]:
    """The text, and how many bytes were invalid."""
    tally = Tally()
    return "".join(decoded([data], encoding, TextOptions(normalize=False), tally)), tally.invalid_bytes


_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)


def _page(data: bytes, shown: str) -> Element:
    """Parse XHTML, or HTML of any kind, in UTF-8. XML comes first, because for HTML a ``<title/>`` has no end."""
    data = _ENTITY.sub(_numbered, data)
    try:
        return _parsed(data, shown, "utf-8")
    except etree.XMLSyntaxError:
        if not data.strip():
            return etree.Element("html")
    etree.fromstring(data, _html_parser(target=_AttributeLimit(shown)))
    parser = _html_parser()
    root = etree.fromstring(data, parser)
    if any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log):
        raise TextError(f"{shown} has elements inside each other thousands deep: save it as plain text and use that")
    return etree.Element("html") if root is None else root


def _html_parser(target: _AttributeLimit | None = None) -> Any:
    return etree.HTMLParser(remove_comments=True, remove_pis=True, huge_tree=True, encoding="utf-8", target=target)


class _AttributeLimit:
    """A target of a parser, which makes no tree. Raises :class:`TextError` for an element of too many attributes."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if len(attributes) > MOST_ATTRIBUTES:
            raise TextError(
                f"{self._shown} has an element of {len(attributes):,} attributes: save it as plain text and use that"
            )

    def close(self) -> None:
        """The end of the document, which every target takes."""


_ENTITY = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);)[A-Za-z][A-Za-z0-9]*;")


def _numbered(entity: re.Match[bytes]) -> bytes:
    """The numbers of the characters that a name of HTML stands for, which XML does not know."""
    return html.unescape(entity[0].decode()).encode("ascii", "xmlcharrefreplace")


def _walk(part: _Part, text: DocumentText, found: Counter[str]) -> None:
    """Add the text of a part to ``text``, and to ``found`` what is left out of it."""
    rules: list[Rule] = []
    preformatted = 0
    steps = etree.iterwalk(part.root, events=("start", "end"))  # no recursion: elements may be nested thousands deep
    for event, element in steps:
        name = _name(element)
        if event == "start":
            rules.append(rule := part.rule_of(element))
            if isinstance(rule, LeftOut):
                found[rule.kind] += _notes(element) if rule == _NOTE else 1
                steps.skip_subtree()
                continue
            if isinstance(rule, str):
                text.add(rule, as_it_is=True)
            else:
                text.end_block(rule)
            preformatted += name == "pre"
            if part.only in ("", name):
                text.add(element.text or "", as_it_is=bool(part.only or preformatted))
        else:
            rule = rules.pop()
            preformatted -= name == "pre" and not isinstance(rule, LeftOut)
            if isinstance(rule, int):
                text.end_block(min(rule, _PARAGRAPH))
            if rules and not part.only and name not in ("td", "th"):
                text.add(element.tail or "", as_it_is=bool(preformatted))


def _name(element: Element) -> str:
    """The name of an element without its namespace, of which there are several for the same."""
    name = element.tag
    return name.rpartition("}")[2].lower() if isinstance(name, str) else ""


def _attribute(element: Element, name: str) -> str:
    """The attribute of this name in any namespace, else empty."""
    for key in element.attrib:
        if key.rpartition("}" if key.startswith("{") else ":")[2].lower() == name:
            return str(element.get(key, ""))
    return ""


def _find(root: Element, name: str) -> list[Element]:
    return [element for element in root.iter() if _name(element) == name]


# ── HTML and EPUB ───────────────────────────────────────────────────────────────────────────────────────────────────

_HTML_RULES: dict[str, Rule] = {
    **dict.fromkeys(("p", "blockquote", "pre", "ul", "ol", "dl", "table", "figure", "section", "article"), _PARAGRAPH),
    **dict.fromkeys(("aside", "header", "footer", "main", "address", "fieldset", "details"), _PARAGRAPH),
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6", "hr"), _HEADING),
    **dict.fromkeys(("body", "div", "li", "dt", "dd", "tr", "caption", "figcaption", "summary", "center"), _LINE),
    **dict.fromkeys(("img", "svg", "object", "embed", "video", "audio", "canvas", "iframe"), _IMAGE),
    **dict.fromkeys(("head", "style", "template", "noscript", "rp", "select", "button", "textarea"), LeftOut()),
    "br": "\n",
    "script": LeftOut("script"),
    "math": LeftOut("formula"),
    "nav": LeftOut("menu"),
    "rt": LeftOut("reading aid"),
}
_NOTE_WORDS = {"footnote", "footnotes", "endnote", "endnotes", "rearnote", "rearnotes"}
_FRONT_WORDS = {"cover", "titlepage", "title-page", "halftitlepage", "copyright-page", "colophon", "imprint"}
_MARKS = (  # words of epub:type, role and class
    (_FRONT, _FRONT_WORDS),
    (_NOTE, _NOTE_WORDS),
    (_SIGN, {"noteref", "fnanchor", "footnote-ref", "footnote-back", "backlink"}),
    (_CONTENTS, {"toc", "landmarks", "loi", "lot", "page-list"}),
    (LeftOut("page number"), {"pagebreak", "pagenum", "pageno", "pagenumber"}),
)
_NOTE_SIGN = re.compile(r"\[\w{1,4}\]|[*†‡§]+")


def _marked(words: set[str]) -> LeftOut | None:
    return next((left_out for left_out, marks in _MARKS if words & marks), None)


def _types(element: Element) -> set[str]:
    """What an element is by its epub:type and role."""
    found = f"{_attribute(element, 'type')} {_attribute(element, 'role')}".split()
    return {word.removeprefix("doc-") for word in found}


def _html_rule(element: Element) -> Rule:
    name, types = _name(element), _types(element)
    words = set(_attribute(element, "class").split())
    words -= _FRONT_WORDS | {"loi", "lot"}  # everyday words as names of styles
    if left_out := _marked(types | words):
        return left_out
    if "hidden" in element.attrib:
        return LeftOut()
    if name == "a" and "#" in element.get("href", ""):
        raised = "sup" in (_name(element.getparent()), *map(_name, element))
        if raised or _NOTE_SIGN.fullmatch(_short_text(element)):
            return _SIGN
    if name in ("td", "th"):
        return "\t" if element.getprevious() is not None else 0
    return _HTML_RULES.get(name, 0)


def _short_text(element: Element) -> str:
    """The text of an element that has few others inside; of an element with more, which may be links with as many
    inside each, nothing."""
    steps = [*islice(etree.iterwalk(element, events=("start", "end")), 41)]
    texts = (each.text if event == "start" else each.tail for event, each in steps[:-1])
    return "".join(text or "" for text in texts).strip() if len(steps) <= 40 else ""


def _notes(element: Element) -> int:
    """How many notes there are in an element that is a note or has several."""
    inside = [each for each in element.iterdescendants() if _name(each) == "li" or _types(each) & _NOTE_WORDS]
    return max(1, len(inside))


def _html(file: BinaryIO, shown: str, encoding: str | None, tally: Tally) -> Iterator[_Part]:
    file.seek(0)
    data = file.read(MAX_DOCUMENT + 1)
    if len(data) > MAX_DOCUMENT:
        raise TextError(f"{shown} has more than {size(MAX_DOCUMENT)} of HTML: save it as plain text and use that")
    yield _Part(_page(_as_utf8(data, shown, encoding, tally), shown), _html_rule)


def _epub(book: _Package) -> Iterator[_Part | LeftOut]:
    """The pages in the order of the book's spine."""
    path = _find(book.xml("META-INF/container.xml"), "rootfile")[0].get("full-path", "")
    package = book.xml(path)
    items = {item.get("id"): item for item in _find(package, "item")}
    pages = {_within(path, each): _marked({each.get("type", "")}) for each in _find(package, "reference")}
    for item in items.values():
        if "nav" in item.get("properties", "").split():
            nav = _within(path, item)
            marks = ((_within(nav, link), _marked(_types(link))) for link in _find(book.page(nav), "a"))
            pages |= {page: mark for page, mark in marks if mark is not None}  # a plain link takes no mark away
            pages[nav] = _CONTENTS
    encrypted = set()  # fonts often are, whose looks do not matter here
    if (listed := "META-INF/encryption.xml") in book.names:
        encrypted = {unquote(each.get("URI", "")) for each in _find(book.xml(listed), "cipherreference")}
    for each in _find(package, "itemref"):
        item = items[each.get("idref")]
        name = _within(path, item)
        if left_out := pages.get(name) or (_EXTRA if each.get("linear") == "no" else None):
            yield left_out
        else:
            book.check_encryption(name in encrypted)
            yield _Part(book.page(name), _html_rule)


def _within(path: str, link: Element) -> str:
    """The file in the archive that an element of the file ``path`` refers to. The fragment of a link is left out."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(link.get("href", ""))))


# ── DOCX and ODT ────────────────────────────────────────────────────────────────────────────────────────────────────

_DOCX_RULES: dict[str, Rule] = {
    **dict.fromkeys(("ppr", "rpr", "sectpr", "tblpr", "movefrom", "rt"), LeftOut()),
    **dict.fromkeys(("drawing", "pict", "object", "alternatecontent"), _IMAGE),
    **dict.fromkeys(("footnotereference", "endnotereference"), _NOTE),
    **dict.fromkeys(("tab", "ptab"), "\t"),
    "cr": "\n",
    "nobreakhyphen": "-",
    "omath": LeftOut("formula"),
}


def _docx(document: _Package) -> Iterator[_Part]:
    document.tally.encodings.add("utf-8")
    styles: dict[str, Rule] = {}
    if "word/styles.xml" in document.names:
        for style in document.xml("word/styles.xml").iterfind("{*}style"):
            styles[_attribute(style, "styleid")] = _docx_paragraph(style.iter(), {})

    def rule_of(element: Element) -> Rule:
        name = _name(element)
        if name == "p":
            return _docx_paragraph(element.iterfind("{*}pPr/*"), styles)
        if name == "br":
            return 0 if _attribute(element, "type") in ("page", "column") else "\n"
        return _DOCX_RULES.get(name, 0)

    main = min((name for name in document.names if name.startswith("word/document")), key=len)
    yield _Part(document.xml(main), rule_of, only="t")


def _docx_paragraph(properties: Iterable[Element], styles: dict[str, Rule]) -> Rule:
    """The rule of a paragraph or a style with these properties. The names of Word's own styles are English in every
    language."""
    values = {_name(each): _attribute(each, "val") for each in properties}
    name = values.get("name", "").lower()
    if name.startswith("toc "):
        return _CONTENTS
    is_heading = name.startswith("heading") or values.get("outlinelvl", "9") < "9"
    return _HEADING if is_heading else styles.get(values.get("pstyle", ""), _PARAGRAPH)


_MOST_SPACES = 40
_ODT_RULES: dict[str, Rule] = {
    **dict.fromkeys(("annotation", "tracked-changes", "forms", "sequence-decls", "ruby-text", "number"), LeftOut()),
    **dict.fromkeys(("table-of-content", "illustration-index", "table-index"), _CONTENTS),
    "p": _PARAGRAPH,
    "h": _HEADING,
    "note": _NOTE,
    "frame": _IMAGE,
    "tab": "\t",
    "line-break": "\n",
}


def _odt_rule(element: Element) -> Rule:
    name, count = _name(element), _attribute(element, "c")
    if name == "s":
        spaces = int(count[:9]) if count.isdecimal() else 1  # int() refuses 5,000 digits
        return " " * min(spaces, _MOST_SPACES)
    return _ODT_RULES.get(name, 0)


def _odt(document: _Package) -> Iterator[_Part]:
    document.tally.encodings.add("utf-8")
    document.check_encryption(b"encryption-data" in document.read("META-INF/manifest.xml"))
    yield _Part(_find(document.xml("content.xml"), "body")[0], _odt_rule)
