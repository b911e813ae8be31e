"""Commands on what a person notes about runs: ``tag``, ``note``."""

from __future__ import annotations

import sys
from dataclasses import replace

import click

from charlstm.cli import options, output
from charlstm.display import visible
from charlstm.runs.folder import RunFolder
from charlstm.runs.notes import MAX_NOTE, Notes, change_notes, parse_tags, read_notes
from charlstm.text.sources import STDIN


@click.command(
    epilog=options.examples(
        "charlstm tag RUN good paper",
        "charlstm tag RUN --remove good",
        "charlstm runs --tag paper",
    )
)
@options.run_argument
@click.argument("tags", nargs=-1, metavar="[TAG]...")
@click.option("--remove", "removed", multiple=True, metavar="TAG", help="Remove this tag; may be repeated.")
@options.common_options
def tag(run: str, tags: tuple[str, ...], removed: tuple[str, ...]) -> None:
    """Give RUN tags, words to find it by, or remove some. Prints its tags.

    Spaces and commas separate tags. `charlstm runs` and the app show and find them.

    With --json: {"name", "path", "tags", "notes"}.
    """
    found = options.find_run(run)
    adds, removes = parsed_tags(tags), parsed_tags(removed)

    def changed(now: Notes) -> Notes:
        return replace(now, tags=(*(each for each in now.tags if each not in removes), *adds))

    _print_notes(found, change_notes(found, changed) if adds or removes else read_notes(found), "tags")


@click.command(
    epilog=options.examples(
        "charlstm note RUN 'less dropout, as in the paper'", "charlstm note RUN ''", "charlstm note RUN - < note.txt"
    )
)
@options.run_argument
@click.argument("text", required=False)
@options.common_options
def note(run: str, text: str | None) -> None:
    """Write TEXT as the note on RUN, in place of the old one. Prints the note.

    An empty TEXT removes the note, and - reads it from standard input.

    With --json: {"name", "path", "tags", "notes"}.
    """
    found = options.find_run(run)
    if text is None:
        _print_notes(found, read_notes(found), "note")
        return
    written = (sys.stdin.read() if text == STDIN else text).strip()
    if len(written) > MAX_NOTE:
        raise click.UsageError(f"A note has at most {MAX_NOTE:,} characters: give a shorter one")
    _print_notes(found, change_notes(found, lambda now: replace(now, note=written)), "note")


def parsed_tags(words: tuple[str, ...]) -> tuple[str, ...]:
    """The tags in some words. Raises :class:`click.UsageError` for words without any."""
    for word in words:
        if not parse_tags(word):
            raise click.UsageError(f"{visible(word, keep='')!r} is not a tag: write a word without spaces and commas")
    return parse_tags(" ".join(words))


def _print_notes(run: RunFolder, notes: Notes, shown: str) -> None:
    text = " ".join(notes.tags) if shown == "tags" else notes.note
    if output.wants_json() or text:
        output.print_result(output.joined(run, {"tags": notes.tags, "notes": notes.note}), text)
