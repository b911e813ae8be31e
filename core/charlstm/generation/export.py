"""A session under a name: its current line as plain text, Markdown, or HTML with its colours, or all of it."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from charlstm import output
from charlstm.errors import GenerationError
from charlstm.generation.saving import to_bytes
from charlstm.generation.session import Session
from charlstm.generation.steps import Rows
from charlstm.storage import write_all

Colour = Literal["rank", "probability", "entropy"]

_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}
"""Control characters have pictures of their own; as themselves HTML forbids them."""

_SCALES: dict[str, tuple[Callable[[Rows], npt.NDArray[np.intp]], tuple[str, ...]]] = {
    "rank": (
        lambda rows: np.searchsorted([1, 3, 10], rows["rank"]),
        ("the model's first guess", "its second or third", "its fourth to tenth", "further down"),
    ),
    "probability": (
        lambda rows: np.searchsorted([1, 2, 4], -np.log2(np.maximum(rows["probability"], 2.0**-149))),
        ("probability 50 % or more", "25 to 50 %", "6 to 25 %", "less"),
    ),
    "entropy": (
        lambda rows: np.searchsorted([0.5, 1.5, 3], rows["entropy"]),
        ("the model was sure (up to 0.5 bits)", "nearly (up to 1.5)", "unsure (up to 3)", "had no idea"),
    ),
}

_STYLE = """
body{max-width:44em;margin:2em auto;padding:0 1em;font:16px/1.6 Georgia,serif;color:#1b1b1b;background:#fdfdfb}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit}.p{color:#777}
.s1{background:#fff3b8}.s2{background:#ffd9a0;text-decoration:underline}.s3{background:#f7b5b5;font-weight:bold}
footer{margin-top:2em;font-size:.85em;color:#555}
@media(prefers-color-scheme:dark){body{color:#e6e6e1;background:#161616}.p{color:#8a8a8a}
.s1{background:#4a4210}.s2{background:#6b4410}.s3{background:#7a2626}footer{color:#aaa}}
""".replace("\n", "")


def to_text(session: Session) -> str:
    """Prime and current line, nothing else."""
    return session.prime + session.read()


def to_markdown(session: Session) -> str:
    """How the text came about, and the text in a fence that nothing in it can close."""
    text = to_text(session)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    about = "\n".join(f"- {key}: {value}" for key, value in _about(session))
    return f"# {_title(session)}\n\n{about}\n\n{fence}text\n{text}\n{fence}\n"


def to_html(session: Session, colour: Colour = "rank") -> str:
    """One self-contained page: each character coloured by ``rank``, ``probability`` or ``entropy``, with a legend.

    What is marked differs by underline and weight too, not by colour alone.
    """
    if colour not in _SCALES:
        raise GenerationError(f"There are no colours by {colour!r}: take {', '.join(_SCALES)}")
    levels, legend = _SCALES[colour]
    rows = session.rows()
    marked = zip(session.read(), levels(rows).tolist(), strict=True)
    body = "".join(
        _span(f"s{level}" if level else "", "".join(char for char, _ in run))
        for level, run in groupby(marked, key=lambda pair: pair[1])
    )
    key = " · ".join(_span(f"s{level}" if level else "", words) for level, words in enumerate(legend))
    about = " · ".join(_escape(f"{name} {value}") for name, value in _about(session))
    title = _escape(_title(session))
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head>'
        f'<body><h1>{title}</h1><pre dir="auto">{_span("p", session.prime)}{body}</pre>'
        f"<footer><p>{key}</p><p>{about}</p></footer></body></html>\n"
    )


def export_session(session: Session, path: str | Path, colour: Colour = "rank") -> None:
    """Create or replace the file ``path``: the current line as its ending says, ``.txt``, ``.md`` or ``.html``.

    Raises :class:`CharLSTMError` for another ending or what is not a regular file, :class:`OSError` when the disk does
    not take it.
    """
    _save(Path(path), _exported(session, Path(path).suffix, colour), overwrite=True)


def _exported(session: Session, ending: str, colour: Colour) -> bytes:
    match ending.lower():
        case ".txt":
            content = to_text(session)
        case ".md":
            content = to_markdown(session)
        case ".html" | ".htm":
            content = to_html(session, colour)
        case other:
            raise GenerationError(
                f"A session is exported as .txt, .md or .html, not as {other or 'a name without ending'}"
            )
    return content.encode("utf-8", "replace")


def target(path: Path) -> Path:
    """The file that :func:`save_as` makes for ``path``. Raises :class:`CharLSTMError` for a folder, a device and the
    like."""
    output.destination(path)
    path = path.with_suffix(".json") if path.suffix.lower() in ("", ".json") else path
    output.destination(path)
    return path


def save_as(session: Session, path: Path, colour: Colour = "rank", *, overwrite: bool = True) -> Path:
    """Keep a session as the ending of ``path`` says: the whole of it as ``.json``, which need not be written, or its
    current line as :func:`export_session`. Returns where it is; raises the same, and :class:`FileExistsError` when
    there is a file and ``overwrite`` is false."""
    path = target(path)
    content = to_bytes(session) if path.suffix == ".json" else _exported(session, path.suffix, colour)
    _save(path, content, overwrite=overwrite)
    return path


def _save(path: Path, content: bytes, *, overwrite: bool) -> None:
    output.save(path, lambda file: write_all(file, content), overwrite=overwrite)


def _title(session: Session) -> str:
    run = session.model.info.get("run")
    return f"Played by {run}" if isinstance(run, str) else "Played by a character LSTM"


def _about(session: Session) -> list[tuple[str, str]]:
    shown = {name: value for name, value in session.settings.to_dict().items() if value is not None}
    if session.settings.kind == "reference":
        shown = {name: shown[name] for name in ("kind", "top_k") if name in shown}
    about = [("seed", str(session.seed)), *((name, str(value)) for name, value in shown.items())]
    bits = -np.log2(np.maximum(session.rows()["probability"], 2.0**-149), dtype=np.float64)
    if len(bits) and math.isfinite(mean := float(bits.mean())):
        about.insert(0, ("bits per character", f"{mean:.2f}"))
    return about


def _escape(text: str) -> str:
    return html.escape(text.translate(_CONTROLS))


def _span(kind: str, text: str) -> str:
    if not kind or not text:
        return _escape(text)
    return f'<span class="{kind}">{_escape(text)}</span>'
