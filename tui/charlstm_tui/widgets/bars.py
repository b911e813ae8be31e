"""Bars of block characters, to the last eighth of a cell."""

EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(eighths: int) -> str:
    """A bar of so many eighths of a cell, from the left."""
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (EIGHTHS[rest] if rest else "")
