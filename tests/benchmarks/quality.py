"""Train a run as a user would and print what came of it; docs/measured.md has such figures.

    python tests/benchmarks/quality.py TEXT [--preset quick] [--from none|auto|MODEL] [--seed N] [--set KEY=VALUE …]

The preset trains for as long as it does for everybody, so the machine should be idle. The loss is that of the run's
model on the whole held-out part, as ``charlstm eval`` prints it. A last column has the command.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from _common import parser_of

from charlstm import __version__, find_run
from charlstm.display import duration, shell_command
from charlstm.runs.log import read_events
from charlstm.runs.series import RunSeries
from charlstm.system import cpu_count, cpu_model

HEAD = "| text | start | preset | seed | loss | bits | steps | trained for | machine, kernel | version | command |"


def charlstm(*words: str) -> str:
    """What the command prints. Its progress goes to this program's stderr."""
    command = [sys.executable, "-m", "charlstm", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout


def row(text: str, options: argparse.Namespace, words: list[str], folder: str) -> str:
    """Train in ``folder``; the row of the run."""
    charlstm("train", text, *words, "--name", "measured", "--runs-dir", folder)
    found = json.loads(charlstm("eval", "measured", "--runs-dir", folder, "--json"))
    run, series = find_run("measured", Path(folder)), RunSeries()
    series.feed(read_events(run.events_path))
    spec = run.spec()
    cells = [
        *(Path(text).name, spec.started_from or "nothing", options.preset, str(spec.settings.seed)),
        *(f"{found['loss']:.4f}", f"{found['bits_per_char']:.4f}", f"{series.step:,}", duration(series.train_seconds)),
        f"{cpu_count()} × {cpu_model()}, {series.started.kernel if series.started else '–'}",
        __version__,
        f"`{shell_command('train', Path(text).name, *words)}`",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("text", nargs="+", help="files or built-in texts, one row for each")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--from", dest="start", help="as that of charlstm train")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    words = ["--preset", options.preset]
    words += [] if options.start is None else ["--from", options.start]
    words += [] if options.seed is None else ["--seed", str(options.seed)]
    for change in options.changes:
        words += ["--set", change]
    print(HEAD)
    print("|---" * HEAD.count(" | ") + "|---|")
    for text in options.text:
        with tempfile.TemporaryDirectory() as folder:
            print(row(text, options, words, folder), flush=True)


if __name__ == "__main__":
    main()
