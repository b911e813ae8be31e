"""Export the text of a session: as plain text, Markdown, a web page, or a page of all its branches."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from charlstm import user_files
from charlstm.display import as_html
from charlstm.errors import GenerationError
from charlstm.generation.colouring import STYLES, Colour, levels
from charlstm.generation.document import Document
from charlstm.generation.rows import GENERATED, in_bits, read_as_themselves
from charlstm.generation.session import Session
from charlstm.generation.text_pieces import Text

_LEGENDS: dict[Colour, tuple[str, ...]] = {
    "rank": ("the model's first guess", "its second or third", "its fourth to tenth", "further down"),
    "probability": ("probability 50 % or more", "12 to 50 %", "2 to 12 %", "less"),
    "entropy": ("the model was sure (up to 1 bit)", "nearly (up to 2)", "unsure (up to 3.5)", "had no idea"),
}
"""What the levels of each colour mean."""

_LEVELS = "".join(f".s{level}{{{style}}}" for level, style in enumerate(STYLES) if level)
_STYLE = """
body{max-width:44em;margin:2em auto;padding:0 1em;font:16px/1.6 Georgia,serif;color:#1b1b1b;background:#fdfdfb}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit}.p{color:#777}
.own{color:#1a6b2d;font-style:italic}.as{border-bottom:1px dotted #888}footer{margin-top:2em;font-size:.85em;color:#555}
@media(prefers-color-scheme:dark){body{color:#e6e6e1;background:#161616}.p{color:#8a8a8a}
.own{color:#8fd19e}footer{color:#aaa}}
""".replace("\n", "")


_TREE_STYLE = """
.tree{white-space:pre-wrap;overflow-wrap:anywhere}details{display:inline}summary{display:inline;cursor:pointer;user-select:none;margin-right:.3em}summary,small{color:#2b6cb0;font-size:.8em}summary::before{content:"▸"}.n{font-weight:bold}
details:not([open])::details-content{display:none}
details[open]{display:block;border-left:2px solid #8886;margin:.2em 0 .2em .4em;padding-left:.7em}
details[open]>summary::before{content:"▾ "}details[open]>summary>.b{display:none}.o{color:#777}
@media(prefers-color-scheme:dark){.o{color:#8a8a8a}summary,small{color:#7fb0e8}}
""".replace("\n", "")

FOLD = 12
"""Characters of a closed branch that its page shows."""


def to_text(session: Session) -> str:
    """The prime and the current text."""
    return session.prime + session.read()


def to_prose(text: str) -> str:
    """``text`` with its lines joined to paragraphs, as a word processor wants them: many training texts have lines of
    one width, and the model breaks its lines too. An empty line, and one that is indented, begin a paragraph. No space
    follows a hyphen or a dash, as where a text is read as paragraphs."""
    text = re.sub(r"(?<=\S[-—]) *\n(?=\S)", "", text)
    return re.sub(r"(?<=\S) *\n(?=\S)", " ", text)


_PLAIN_STYLE = _STYLE + "p{margin:0 0 1em;overflow-wrap:anywhere;white-space:pre-wrap}"


def to_plain_markdown(text: str, title: str = "", *, prose: bool = False) -> str:
    """A text alone in Markdown, below its title if it has one: with its lines kept, or for ``prose`` joined to
    paragraphs."""
    paragraphs = (
        "\\\n".join(_markdown_line(line) for line in each.split("\n")) for each in _paragraphs(text, prose=prose)
    )
    heading = [f"# {_markdown_line(title)}"] if title else []
    return "\n\n".join([*heading, *paragraphs]) + "\n"


def to_plain_html(text: str, title: str = "", *, otherwise: str = "A text", prose: bool = False) -> str:
    """A text alone as a web page without colours, below its title if it has one: with its lines kept, or for ``prose``
    joined to paragraphs. Without a title the window of the browser is named ``otherwise``."""
    heading = f'<h1 dir="auto">{as_html(title)}</h1>\n' if title else ""
    body = "\n".join(f'<p dir="auto">{as_html(each)}</p>' for each in _paragraphs(text, prose=prose))
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{as_html(title or otherwise)}</title>'
        f"<style>{_PLAIN_STYLE}</style></head><body>\n{heading}{body}\n</body></html>\n"
    )


def _paragraphs(text: str, *, prose: bool) -> list[str]:
    """The paragraphs of ``prose``, each on one line; of other text what empty lines part, each with its lines."""
    if prose:
        return [line.strip() for line in to_prose(text).split("\n") if line.strip()]
    return [each.rstrip() for each in re.split(r"\n(?:[ \t]*\n)+", text.strip("\n")) if each.strip()]


def _markdown_line(line: str) -> str:
    """A line whose characters mean nothing to Markdown. Spaces at its beginning stay, as some that do not break."""
    text = line.lstrip(" \t")
    indent = "\N{NO-BREAK SPACE}" * len(line[: len(line) - len(text)].expandtabs(4))
    text = re.sub(r"([\\`*_<>\[\]&~|$])", r"\\\1", text)
    return indent + re.sub(r"^(\d*)([#+=.)-])", r"\1\\\2", text)


def to_markdown(session: Session, title: str = "") -> str:
    """The settings and the text, below its ``title``."""
    about = "\n".join(f"- {key}: {value}" for key, value in _about(session))
    heading = _markdown_line(title) if title else _title(session)
    return f"# {heading}\n\n{about}\n\n{fenced(to_text(session))}\n"


def fenced(text: str) -> str:
    """The text as a code block of Markdown, whose fence is longer than any in the text."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def to_html(session: Session, colour: Colour = "rank", title: str = "") -> str:
    """A web page of one file: each character coloured by ``rank``, ``probability`` or ``entropy``, with a legend.

    Raises :class:`GenerationError` for another ``colour``.
    """
    if colour not in _LEGENDS:
        raise GenerationError(f"Text cannot be coloured by {colour!r}: choose one of {', '.join(_LEGENDS)}")
    rows = session.rows()
    found = levels(colour, in_bits(rows["probability"]) if colour == "probability" else rows[colour])
    own, known = _is_own(session), read_as_themselves(rows, session.model.vocabulary.codes)
    marked = zip(session.read(), np.where(known, found, 0).tolist(), own.tolist(), known.tolist(), strict=True)
    body = "".join(
        _span(
            " ".join([f"s{level}"] * (level > 0) + ["own"] * typed + ["as"] * (not itself)),
            "".join(char for char, *_ in run),
        )
        for (level, typed, itself), run in groupby(marked, key=lambda each: each[1:])
    )
    key = " · ".join(_span(f"s{level}" if level else "", words) for level, words in enumerate(_LEGENDS[colour]))
    if own.any():
        key += f" · {_span('own', 'typed or chosen by the user')}"
    if not known.all():
        key += f" · {_span('as', 'not known to the model, which reads another character')}"
    about = " · ".join(as_html(f"{name} {value}") for name, value in _about(session))
    title = as_html(title or _title(session))
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}{_LEVELS}</style>'
        f'</head><body><h1>{title}</h1><pre dir="auto">{_span("p", session.prime)}{body}</pre>'
        f"<footer><p>{key}</p><p>{about}</p></footer></body></html>\n"
    )


@dataclass(eq=False, slots=True)
class _Part:
    """What a branch has of its own: the characters of its ``text`` from ``start`` on."""

    parent: _Part | None
    text: Text
    start: int
    name: str
    is_current: bool = False
    """Whether the current text passes through it."""
    children: list[_Part] = field(default_factory=list)

    def read(self, start: int, stop: int) -> str:
        return self.text.read(start, max(start, stop))


def _parts(document: Document) -> _Part:
    """The branches of a document as a tree, in which each stands below the one that it really leaves: edits may have
    made it another one. Those that leave a branch at the same place come in their order, the current one last."""
    found: dict[int, _Part] = {}
    for number, branch in document.branches.items():
        parent, start = None if branch.parent is None else found[branch.parent], document.prime_length
        while parent is not None:
            start = max(document.prime_length, branch.text.same_start(parent.text, sources=False))
            if start > parent.start or parent.parent is None:
                break
            parent = parent.parent
        found[number] = _Part(parent, branch.text, start, document.names.get(number, ""))
        if parent is not None:
            parent.children.append(found[number])
    here: _Part | None = found[document.branch]
    while here is not None:
        here.is_current, here = True, here.parent
    for part in found.values():
        part.children.sort(key=lambda child: (child.start, child.is_current))
    return next(iter(found.values()))


def to_tree_html(session: Session, title: str = "") -> str:
    """A web page of one file: the current text, and where another one leaves it, that can be opened there.

    What is not in the current text is grey. The page needs no script.
    """
    parts = [_span("p", session.prime)]

    def fold(part: _Part, start: int, name: str) -> str:
        """The start of a text that is closed at first: it shows its name, or how it begins."""
        begins = part.read(start, start + FOLD).replace("\n", "↵") + "…"
        return f"<details><summary>{_span('n' if name else 'b', name or begins)}</summary>"

    # What is still to be written, the next at the end: markup, or a branch from a position and a child on, and whether
    # it is current there. Branches may be nested deeper than functions of Python can be.
    root = _parts(session.document)
    todo: list[str | tuple[_Part, int, int, bool]] = [(root, root.start, 0, True)]
    while todo:
        step = todo.pop()
        if isinstance(step, str):
            parts.append(step)
            continue
        part, at, number, is_current = step
        child = next(iter(part.children[number : number + 1]), None)
        stop = len(part.text)
        parts.append(_span("" if is_current else "o", part.read(at, stop if child is None else child.start)))
        if child is None:
            continue
        rest = (part, child.start, number + 1)
        name = f'<small class="n">{as_html(child.name)}</small> ' if child.name else ""
        if not (is_current and child.is_current):
            todo += [
                (*rest, is_current),
                "</details>",
                (child, child.start, 0, False),
                fold(child, child.start, child.name),
            ]
        elif stop > child.start:  # the current text goes on with the child: what stood here is another
            todo += [(child, child.start, 0, True), name]
            todo += ["</details>", (*rest, False), fold(part, child.start, "")]
        else:
            todo += [(child, child.start, 0, True), name]
    about = " · ".join(as_html(f"{name} {value}") for name, value in _about(session))
    title = as_html(title or _title(session))
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}{_TREE_STYLE}</style>'
        f"</head><body><h1>{title}</h1><p>▸ opens another text that leaves this one there; grey is not in this one.</p>"
        f'<div class="tree" dir="auto">{"".join(parts)}</div>'
        f"<footer><p>{about}</p></footer></body></html>\n"
    )


def export_text(text: str, path: str | Path, title: str = "", *, prose: bool = False) -> None:
    """Write the text of a session whose model is not needed to the file ``path``, in the format of its suffix:
    ``.txt``, ``.md`` or ``.html``, with its lines kept, or for ``prose`` joined to paragraphs.

    An existing file is replaced. Raises :class:`CharLSTMError` for another suffix or if ``path`` is not a regular file,
    :class:`OSError` if it cannot be written.
    """
    content = _text_alone(text, Path(path), title, prose=prose)
    user_files.save_bytes(path, content.encode("utf-8", "replace"))


def _text_alone(text: str, path: Path, title: str, otherwise: str = "A text", *, prose: bool) -> str:
    match path.suffix.lower():
        case ".txt":
            return to_prose(text) if prose else text
        case ".md":
            return to_plain_markdown(text, title, prose=prose)
        case ".html" | ".htm":
            return to_plain_html(text, title, otherwise=otherwise, prose=prose)
    ending = path.suffix.lower() or "a name without one of these"
    raise GenerationError(f"A session is exported as .txt, .md or .html, not as {ending}")


def exported(session: Session, path: Path, colour: Colour = "rank", title: str = "", *, prose: bool = False) -> bytes:
    """The content of a file with the current text, in the format of its suffix: ``.txt``, ``.md`` with the settings or
    ``.html`` in the colours of ``colour``, or all branches as ``.tree.html``. With ``prose`` it is the text alone, with
    the lines of a paragraph joined. What is not plain text has ``title`` as its heading, if there is one. Raises
    :class:`GenerationError` for another suffix."""
    kind = path.suffix.lower()
    if path.name.lower().endswith((".tree.html", ".tree.htm")):
        content = to_tree_html(session, title)
    elif kind == ".md" and not prose:
        content = to_markdown(session, title)
    elif kind in (".html", ".htm") and not prose:
        content = to_html(session, colour, title)
    else:
        content = _text_alone(to_text(session), path, title, _title(session), prose=prose)
    return content.encode("utf-8", "replace")


def target(path: Path) -> Path:
    """The file in which a session is saved that the user calls ``path``: ``.json`` where it has no suffix. Raises
    :class:`CharLSTMError` for a folder, a device and the like."""
    user_files.destination(path)
    path = path.with_suffix(".json") if path.suffix.lower() in ("", ".json") else path
    user_files.destination(path)
    return path


def _is_own(session: Session) -> npt.NDArray[np.bool_]:
    """Whether each character of the text was typed or chosen by the user, ``(N,)``."""
    own: npt.NDArray[np.bool_] = session.document.text.sources(session.reading.prime_length) != GENERATED
    return own


def _title(session: Session) -> str:
    run = session.model.info.get("run")
    done = "Written with" if _is_own(session).any() else "Generated by"
    return f"{done} {run if isinstance(run, str) else 'a character LSTM'}"


def _about(session: Session) -> list[tuple[str, str]]:
    about = session.recipe.facts()
    rows = session.rows()
    bits = in_bits(rows["probability"][read_as_themselves(rows, session.model.vocabulary.codes)])
    if len(bits) and math.isfinite(mean := float(bits.mean())):
        about.insert(0, ("bits per character", f"{mean:.2f}"))
    return about


def _span(kind: str, text: str) -> str:
    if not kind or not text:
        return as_html(text)
    return f'<span class="{kind}">{as_html(text)}</span>'
