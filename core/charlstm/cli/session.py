"""The command ``session``: the text of a saved session, for which its model is not needed."""

from __future__ import annotations

from pathlib import Path

import click

from charlstm.cli.generate import safe_for_stdout
from charlstm.cli.json_schemas import SessionResult
from charlstm.cli.options import examples, json_option
from charlstm.cli.output import output_errors, print_note, print_result, result_of
from charlstm.errors import GenerationError
from charlstm.generation.export import export_text
from charlstm.generation.session_file import read
from charlstm.user_files import STDOUT, refuse_sources


@click.command(epilog=examples("charlstm session poem.json", "charlstm session poem.json --out poem.html"))
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out",
    metavar="FILE",
    help="Write the text to this file: .txt, .md or .html.",
)
@click.option("--prose", is_flag=True, help="Join the lines of each paragraph in that file.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@json_option
def session(file: Path, out: str | None, prose: bool, force: bool) -> None:
    """Print or export the text of FILE, a session that the app or `play` saved.

    The model that wrote it is not needed. The text is the current one; with --json all branches are printed too.

    With --json: {"path", "out", "title", "model", "text", "branches"}.
    """
    if out == STDOUT:
        out = None
    if out is None and (prose or force):
        raise click.UsageError("--prose and --force are for the file of --out: name one")
    found = read(file)
    if found.note:
        print_note(found.note)
    if out is not None:
        refuse_sources(out, [file])
        with output_errors(out, GenerationError):
            export_text(found.text, Path(out), found.title, prose=prose, overwrite=force)
    document = found.state.document
    result = result_of(
        SessionResult,
        found,
        path=str(file.absolute()),
        out=None if out is None else str(Path(out).absolute()),
        branches=[
            {"number": number, "name": document.names.get(number, ""), "text": branch.text.read()}
            for number, branch in document.branches.items()
        ],
    )
    print_result(result, safe_for_stdout(found.text) if out is None else out)
