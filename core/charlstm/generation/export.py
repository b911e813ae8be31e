"""Export the text of a session: as plain text, in Markdown, or as a web page in its colours."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from charlstm.display import as_html
from charlstm.errors import GenerationError
from charlstm.generation.colouring import STYLES, Colour, levels
from charlstm.generation.rows import GENERATED, in_bits, read_as_themselves
from charlstm.generation.session import Session

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


def to_prose(text: str) -> str:
    """``text`` with its lines joined to paragraphs, as a word processor wants them: many training texts have lines of
    one width, and the model breaks its lines too. An empty line, and one that is indented, begin a paragraph. No space
    follows a hyphen or a dash, as where a text is read as paragraphs."""
    return "".join(_joined(text))


def _joined(text: str) -> list[str]:
    """What stands for each character of ``text`` in :func:`to_prose`: itself, a space, or nothing."""
    chars = list(text)
    for found in re.finditer(r"(?<=\S) *\n(?=\S)", text):
        start, stop = found.span()
        is_dash = text[start - 1] in "-—" and start > 1 and not text[start - 2].isspace()
        chars[start:stop] = [*[""] * (stop - start - 1), "" if is_dash else " "]
    return chars


def _markdown_line(line: str) -> str:
    """A line whose characters mean nothing to Markdown, indented by spaces that it keeps."""
    text = line.strip()
    indent = "\u00a0" * (len(line.rstrip()) - len(text))
    text = re.sub(r"([\\`*_<>\[\]&~|$])", r"\\\1", text)
    return indent + re.sub(r"^(\d*)([#+=.)-])(?!\d)", r"\1\\\2", text)


def to_markdown(session: Session, title: str = "", *, prose: bool = False) -> str:
    """The text below its ``title``, and at the end the model and the settings."""
    heading = _markdown_line(title) if title else _title(session)
    text = session.prime + session.read()
    about = "\n".join(f"- {key}: {_markdown_line(value)}" for key, value in _about(session))
    return f"# {heading}\n\n{markdown_text(to_prose(text) if prose else text)}\n\n---\n\n{about}\n"


def markdown_text(text: str) -> str:
    """The text in Markdown, with its lines, their indentation and its paragraphs."""
    paragraphs = re.split(r"\n(?:[ \t]*\n)+", text.strip("\n"))
    return "\n\n".join("\\\n".join(map(_markdown_line, each.split("\n"))) for each in paragraphs)


def to_html(session: Session, colour: Colour = "rank", title: str = "", *, prose: bool = False) -> str:
    """A web page of one file: each character coloured by ``rank``, ``probability`` or ``entropy``, with a legend.

    Raises :class:`GenerationError` for another ``colour``.
    """
    if colour not in _LEGENDS:
        raise GenerationError(f"Text cannot be coloured by {colour!r}: choose one of {', '.join(_LEGENDS)}")
    rows = session.rows()
    found = levels(colour, in_bits(rows["probability"]) if colour == "probability" else rows[colour])
    chars, start = (_joined if prose else list)(session.prime + session.read()), len(session.prime)
    own, known = _is_own(session), read_as_themselves(rows, session.model.vocabulary.codes)
    marked = zip(chars[start:], np.where(known, found, 0).tolist(), own.tolist(), known.tolist(), strict=True)
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
        f'</head><body><h1>{title}</h1><pre dir="auto">{_span("p", "".join(chars[:start]))}{body}</pre>'
        f"<footer><p>{key}</p><p>{about}</p></footer></body></html>\n"
    )


def exported(
    path: Path, text: str, session: Callable[[], Session], colour: Colour, title: str, *, prose: bool = False
) -> str:
    """The content of a file with a text, by the suffix of ``path``: ``.txt``, ``.md`` with the settings, or ``.html``
    in the colours of ``colour``.

    Args:
        session: gives a session whose model has read all of the text, where its figures are needed.
        title: the heading of what is not plain text; without one it says what wrote it.
        prose: join the lines of each paragraph (:func:`to_prose`).

    Raises:
        GenerationError: for another suffix.
    """
    match path.suffix.lower():
        case ".txt":
            return to_prose(text) if prose else text
        case ".md":
            return to_markdown(session(), title, prose=prose)
        case ".html":
            return to_html(session(), colour, title, prose=prose)
    raise GenerationError(f"A text is exported as .txt, .md or .html, not as {path.name}")


def _is_own(session: Session) -> npt.NDArray[np.bool_]:
    """Whether each character of the text was typed or chosen by the user, ``(N,)``."""
    own: npt.NDArray[np.bool_] = session.document.text.sources(session.reading.prime_length) != GENERATED
    return own


def _title(session: Session) -> str:
    done = "Written with" if _is_own(session).any() else "Generated by"
    return f"{done} {_model_name(session)}"


def _model_name(session: Session) -> str:
    run = session.model.info.get("run")
    return run if isinstance(run, str) else "a character LSTM"


def _about(session: Session) -> list[tuple[str, str]]:
    about = [("model", _model_name(session))]
    rows = session.rows()
    bits = in_bits(rows["probability"][read_as_themselves(rows, session.model.vocabulary.codes)])
    if len(bits) and math.isfinite(mean := float(bits.mean())):
        about.append(("nats per character", f"{mean * math.log(2):.2f}"))
    return about + session.recipe.facts()


def _span(kind: str, text: str) -> str:
    if not kind or not text:
        return as_html(text)
    return f'<span class="{kind}">{as_html(text)}</span>'
