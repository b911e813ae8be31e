"""Replace typographic quotes and dashes that a model does not know by the plain ones that it knows."""

from __future__ import annotations

from collections.abc import Container

PLAIN = {
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "‚": "'",
    "—": "--", "–": "-", "‑": "-", "…": "...", "\u00a0": " ", "\u202f": " ",
}  # fmt: skip


def with_plain_marks(text: str, known: Container[str]) -> tuple[str, dict[str, str]]:
    """``text`` with plain marks in the place of those that are not ``known``, and what was replaced by what."""
    replaced = {
        mark: plain
        for mark, plain in PLAIN.items()
        if mark in text and mark not in known and all(char in known for char in plain)
    }
    return text.translate({ord(mark): plain for mark, plain in replaced.items()}), replaced
