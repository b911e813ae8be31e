"""Commands on texts and on their cache: ``corpora``, ``fetch``, ``stats``, ``cache``."""

from __future__ import annotations

import difflib
import itertools
from pathlib import Path
from typing import NotRequired, TypedDict

import click

from charlstm.cli import options, output
from charlstm.display import BITS_PER_NAT, count, plural, shell_command, size, symbol, visible
from charlstm.errors import TextError
from charlstm.line import TerminalLine
from charlstm.text import remote
from charlstm.text.baselines import baseline_words
from charlstm.text.builtin import builtins
from charlstm.text.catalogue import find_texts
from charlstm.text.unit_kinds import PREVIEWED, kind_of_units, proposed

BAR_WIDTH = 30
"""Cells of the longest bar in `stats`."""


class TextRow(TypedDict):
    """A text that ``corpora`` lists.

    Attributes:
        bytes: Only with a file.
        chars: Only with a built-in text: about so many, None if unknown.
    """

    name: str
    about: str
    bytes: NotRequired[int]
    chars: NotRequired[int | None]


@click.command()
@options.json_option
def corpora() -> None:
    """List the texts here and in ./data, those that were fetched, and the built-in texts, which are part of Python.

    With --json: a list with name, about, and the bytes of a file or the chars of a built-in text.
    """
    rows: list[TextRow] = [{"name": name, "bytes": length, "about": ""} for name, length in find_texts(Path())]
    fetched = ((each, each.path) for each in remote.catalogue().values())
    rows += [{"name": each.name, "bytes": path.stat().st_size, "about": each.about} for each, path in fetched if path]
    rows += [{"name": each.name, "chars": each.chars, "about": each.about} for each in builtins()]
    width = max((len(row["name"]) for row in rows), default=0)
    lines = []
    for row in rows:
        length = size(row["bytes"]) if "bytes" in row else f"about {count(row.get('chars') or 0)} characters"
        lines.append(f"{visible(row['name'], keep=''):<{width}}  {length:<23} {row['about']}".rstrip())
    output.print_result(rows, "\n".join(lines))
    output.print_remark(
        "Any text file, document, archive or folder of text files can be used too, and - for standard input."
    )


@click.command(
    epilog=options.examples("charlstm fetch", "charlstm fetch names"),
)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=options.complete_remote)
@options.json_option
def fetch(names: tuple[str, ...]) -> None:
    """Fetch the texts NAME from the internet, or list the catalogue of texts that can be fetched.

    A text is checked by its SHA-256 and kept in your data folder; afterwards its NAME can be given as a TEXT.

    With --json: a list with name, address, sha256, bytes, licence, about, and the path of a text that is here.
    """
    known = remote.catalogue()
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "`charlstm fetch` lists what can be fetched"
            raise TextError(f"There is no text {name} in the catalogue: {hint}")
    for name in dict.fromkeys(names):
        with TerminalLine() as bar:
            bar.draw(None, f"fetching {name} from {known[name].host}")
            path = remote.fetch(known[name], bar.stage(f"fetching {name}"))
        if not output.wants_json():
            click.echo(path)
    if names and not output.wants_json():
        output.print_note(f"Next: {shell_command('train', names[-1])}")
        return
    texts = [known[name] for name in dict.fromkeys(names)] or list(known.values())
    width, lines = max(len(text.name) for text in texts), list[str]()
    for licence, group in itertools.groupby(texts, lambda text: text.licence):
        lines.append(f"Licence: {licence}")
        for text in group:
            mark = "✓" if text.path else " "
            lines.append(f"{mark} {text.name:<{width}}  {size(text.bytes):>6}  {text.about}".rstrip())
    output.print_result(texts, "\n".join(lines))
    output.print_remark("`charlstm fetch NAME` fetches a text. ✓: fetched.")


@click.command()
@options.text_argument
@click.option(
    "--split",
    type=click.Choice(["tail", "blocks"]),
    default="tail",
    help="What is held out: the end of the text, or blocks spread over it.",
)
@options.number_option("--val-fraction", minimum=0, maximum=0.9, default=0.1, help="Fraction of the text to hold out.")
@options.text_options
@options.json_option
def stats(text: tuple[str, ...], split: str, val_fraction: float) -> None:
    """Show statistics of TEXT, and how well simple models predict its held-out part.

    A trained LSTM should need fewer bits per character than these.

    With --json: these figures.
    """
    from charlstm.text.encoding import is_guess
    from charlstm.text.statistics import describe

    read_as = options.given_text_options()
    corpus = options.load_corpus(text, read_as)
    found = describe(corpus, corpus.split(val_fraction, "blocks" if split == "blocks" else "tail"))
    if output.wants_json():
        output.print_result(found)
        return
    is_joined = bool(corpus.report.joined)
    lines = "" if is_joined else f"{plural(found.lines, 'line')}, "
    click.echo(
        f"{visible(corpus.name, keep='')}: {plural(found.chars, 'character')}, {lines}{found.distinct:,} distinct"
    )
    is_guessed = read_as.encoding is None and is_guess(found.encoding, text)
    guess = " (a guess, --encoding names another)" if is_guessed else ""
    for address in corpus.report.addresses:
        click.echo(f"from       {visible(address, keep='')}")
    click.echo(f"read as    {found.encoding}{guess}, newlines {found.newlines}")
    click.echo("frequent   " + "  ".join(f"{symbol(char)} {count / found.chars:.1%}" for char, count in found.top[:8]))
    if found.invalid_bytes:
        click.echo(f"invalid    {found.invalid_bytes:,} bytes are not valid in this encoding and were read as U+FFFD")
    if is_joined:
        click.echo(f"lines      {corpus.report.joined_of(found.lines)}; --lines keep keeps them")
    if found.units is not None:
        click.echo(f"read as    {corpus.units_words}")
    elif could := proposed(corpus.text(0, PREVIEWED)):
        click.echo(f"found      --split-units {could} would read {kind_of_units(could)} as a unit of its own")
    if left_out := corpus.report.left_out_words:
        click.echo(f"left out   {left_out}")
    for part in corpus.report.boilerplate:
        stripped = corpus.options.strip_boilerplate
        advice = "it is left out, --no-strip-boilerplate keeps it" if stripped else "--strip-boilerplate leaves it out"
        click.echo(f"found      a Project Gutenberg {part.kind}, {part.chars:,} characters; {advice}")
    if found.parts_overlap:
        click.echo(f"held out   {found.parts_overlap}")
    if found.bits is None:
        click.echo(found.too_little)
        return
    click.echo(
        f"bits and nats per character of the {found.held_out_chars:,} held-out characters"
        + (" (from a part of the text)" if found.sampled else "")
    )
    most = max(found.bits.values()) or 1.0
    names = [baseline_words(name) for name in found.bits]
    label = max(map(len, names))
    for name, value in zip(names, found.bits.values(), strict=True):
        bar = "█" * max(1, round(BAR_WIDTH * value / most))
        click.echo(f"  {name:<{label}} {bar:<{BAR_WIDTH}} {value:.3f}  {value / BITS_PER_NAT:.3f}")


@click.command()
@click.argument("action", type=click.Choice(["prune"]))
@options.json_option
def cache(action: str) -> None:
    """Empty the cache of prepared texts.

    A text is prepared again when it is next opened. A run has its text in its own folder. `charlstm doctor` shows what
    is in the cache.

    With --json: {"freed"}.
    """
    from charlstm.text.cache import prune_cache, texts_dir

    freed = prune_cache()
    output.print_result({"freed": freed}, f"Freed {size(freed)} in {texts_dir()}")
