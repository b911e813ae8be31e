"""Commands on texts and on what is kept on this machine: corpora, stats, cache, paths."""

from __future__ import annotations

import contextlib
from typing import Any

import click

from charlstm.cli.options import json_option, load_corpus, number, text_argument, text_options
from charlstm.cli.output import format_size, print_note, print_result
from charlstm.display import described, symbol, visible
from charlstm.text.reading import TextOptions

BAR = 30
"""Cells of the longest bar in `stats`."""


@click.command()
@json_option
def corpora(as_json: bool) -> None:
    """The texts at hand: those in data/ and in this folder, and those that came with Python."""
    from charlstm.text.builtin import builtins
    from charlstm.text.catalogue import find_texts

    texts = [text for text in find_texts() if text.group != "folder"]
    rows: list[dict[str, Any]] = [
        {"name": ("data/" if text.group == "data" else "") + text.name, "bytes": text.bytes, "about": ""}
        for text in texts
    ]
    rows += [{"name": each.name, "chars": each.chars, "about": each.about} for each in builtins()]
    if as_json:
        print_result(True, rows)
        return
    width = max((len(str(row["name"])) for row in rows), default=0)
    for row in rows:
        size = f"{row['bytes']:,} bytes" if "bytes" in row else f"about {row['chars'] or 0:,} characters"
        click.echo(f"{visible(str(row['name']), keep=''):<{width}}  {size:<28} {row['about']}".rstrip())
    print_note("Any text file, folder of text files, or - for standard input will do as well.")


@click.command()
@text_argument
@click.option("--split", type=click.Choice(["tail", "blocks"]), default="tail", help="What counts as held out.")
@number("--val-fraction", kind=click.FloatRange(0, 0.9), default=0.1, help="How much of it.")
@text_options
@json_option
def stats(text: tuple[str, ...], split: str, val_fraction: float, options: TextOptions, as_json: bool) -> None:
    """What TEXT is made of, and how well simpler models predict its held-out part.

    A character-level LSTM is worth its training when it beats these bits per character.
    """
    from charlstm.text.statistics import describe

    corpus = load_corpus(text, options)
    found = describe(corpus, corpus.split(val_fraction, "blocks" if split == "blocks" else "tail"))
    if as_json:
        print_result(True, {"name": corpus.name, **found.to_dict(), "skipped": list(corpus.skipped)})
        return
    click.echo(
        f"{visible(corpus.name, keep='')}: {found.chars:,} characters, {found.lines:,} line{'s' * (found.lines != 1)}, "
        f"{found.distinct:,} distinct"
    )
    click.echo(f"read as    {found.encoding}, newlines {found.newlines}")
    click.echo("frequent   " + "  ".join(f"{symbol(char)} {count / found.chars:.1%}" for char, count in found.top[:8]))
    if found.invalid_bytes:
        click.echo(f"invalid    {found.invalid_bytes:,} bytes were no text and became U+FFFD")
    for char, count in found.cleanable.items():
        click.echo(f"unusual    {described(char)} × {count:,}; --clean mends it")
    for part in corpus.report.boilerplate:
        click.echo(
            f"noticed    a Project Gutenberg {part.kind}, {part.chars:,} characters; --strip-boilerplate leaves it out"
        )
    if found.parts_differ:
        click.echo(f"held out   {found.parts_differ}")
    if found.parts_overlap:
        click.echo(f"held out   {found.parts_overlap}")
    if found.bits is None:
        click.echo(found.too_little)
        return
    click.echo(f"bits per character of the held-out {found.held_out_chars:,}" + (", sampled" if found.sampled else ""))
    most = max(found.bits.values()) or 1.0
    for name, value in found.bits.items():
        click.echo(f"  {name:<8} {'█' * max(1, round(BAR * value / most)):<{BAR}} {value:.3f}")


@click.command()
@click.argument("action", type=click.Choice(["show", "prune"]), default="show")
@json_option
def cache(action: str, as_json: bool) -> None:
    """The prepared texts that are kept on this machine; `prune` removes those that no run was trained on.

    What is removed comes back when its text is opened again.
    """
    from charlstm.text.cache import entries, prune_cache, texts_dir

    if action == "prune":
        freed = prune_cache(keep=_texts_of_runs())
        print_result(as_json, {"freed": freed}, f"Freed {format_size(freed)} in {texts_dir()}")
        return
    kept = entries()
    size = sum(entry.bytes for entry in kept)
    values = {"path": str(texts_dir()), "texts": len(kept), "bytes": size}
    print_result(as_json, values, f"{len(kept)} prepared texts, {format_size(size)}, in {texts_dir()}")


def _texts_of_runs() -> set[str]:
    """The fingerprints of texts that known runs were trained on: one that came from stdin has no other copy."""
    from charlstm.errors import RunError
    from charlstm.runs.folder import list_runs

    kept = set()
    for run in list_runs(elsewhere=True):
        with contextlib.suppress(RunError):
            kept.add(str(run.spec().corpus.get("fingerprint")))
    return kept


@click.command()
@json_option
def paths(as_json: bool) -> None:
    """Where runs, prepared texts and the app's memory are kept here."""
    from charlstm.paths import cache_dir, state_dir
    from charlstm.runs.folder import runs_dir

    values = {"runs": str(runs_dir()), "cache": str(cache_dir()), "state": str(state_dir())}
    print_result(as_json, values, "\n".join(f"{name:<6} {path}" for name, path in values.items()))
