"""The command ``doctor``: machine, terminal, torch, folders and configuration on one page, and what is wrong."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import click
from rich.console import Console

from charlstm import paths
from charlstm.cli import options, output
from charlstm.config import Config, load_config, written
from charlstm.display import plural, size, visible
from charlstm.errors import CharLSTMError, ExitCode, TorchError
from charlstm.paths import config_path
from charlstm.runs import folder
from charlstm.system import check_torch, cpu_count
from charlstm.text.cache import entries
from charlstm.training.settings import Settings

LOW_SPACE = 1 << 30
"""Bytes of free disk below which a long training may come to a halt."""

LOW_MEMORY = 1 << 30


@click.command()
@click.option("--try", "tries", is_flag=True, help="Also try what this machine does, for a minute.")
@click.option("--device", default="auto", metavar="DEVICE", help="With --try: where to train.  [default: auto]")
@options.common_options
def doctor(tries: bool, device: str) -> None:
    """Show machine, terminal, torch, kernels, folders and configuration, and what is wrong with them.

    Exit code 1 when something is wrong. A note about what may pass by itself, such as a busy processor or little
    free memory, leaves it at 0.

    With --try it takes fifty steps with each kernel beside plain torch, kills a run and resumes it, rewinds a text, and
    tries the folder of the runs and the terminal: to be pasted where you report a problem.

    With --json: {"sections", "problems", "notes"}; a section has names and values.
    """
    problems: list[str] = []
    notes: list[str] = []
    sections = {
        "program": _program(),
        "machine": _machine(notes),
        "terminal": _terminal(problems),
        "training": _training(problems),
        "folders": _folders(problems),
        "configuration": _configuration(problems),
    }
    if tries:
        from charlstm.cli.trial import try_all

        where = device if sections["training"] else None
        sections["tried"] = try_all(folder.runs_dir(options.given_runs_dir()), where, problems)
    width = max(len(name) for values in sections.values() for name in values) + 2
    lines = []
    for title, values in sections.items():
        lines += [title.upper(), *(f"  {name:<{width}}{visible(value, keep='')}" for name, value in values.items()), ""]
    lines += [f"Note: {note}" for note in notes]
    lines += [f"✗ {problem}" for problem in problems] or ["Nothing is wrong."]
    output.print_result({"sections": sections, "problems": problems, "notes": notes}, "\n".join(lines))
    if problems:
        raise click.exceptions.Exit(ExitCode.FAILED)


def _program() -> dict[str, str]:
    versions = {name: _version(name) for name in ("charlstm-tui", "torch", "numpy", "textual", "rich")}
    return {**versions, "python": f"{platform.python_version()} at {sys.executable}"}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _machine(notes: list[str]) -> dict[str, str]:
    from charlstm.memory import machine_memory

    found = {"system": platform.platform(), "cores": str(cpu_count())}
    memory = machine_memory()
    if memory is not None:
        free = "" if memory.available is None else f"{size(memory.available)} free of "
        found["memory"] = free + size(memory.total)
        if memory.available is not None and memory.available < LOW_MEMORY:
            notes.append("Less than 1 GB of memory is free now: close other programs before a training")
    load = os.getloadavg()[0]
    found["load"] = f"{load:.1f} processes want to run"
    if load > 1.5 * cpu_count():
        notes.append("Other programs keep the processor busy now: training will be slower meanwhile")
    return found


def _terminal(problems: list[str]) -> dict[str, str]:
    size = shutil.get_terminal_size()
    encoding = sys.stdout.encoding or "unknown"
    console = Console(force_terminal=True)  # else there are no colours where the output is sent to somebody
    found = {
        "type": os.environ.get("TERM", "unknown"),
        "colours": "none" if console.no_color else console.color_system or "none",
        "size": f"{size.columns} × {size.lines}",
        "encoding": encoding,
        "remote": "over ssh" if os.environ.get("SSH_CONNECTION") else "local",
    }
    if "utf" not in encoding.lower():
        problems.append(f"The terminal's encoding is {encoding}: set LANG to one with UTF-8, such as C.UTF-8")
    if sys.stdout.isatty() and (size.columns < 80 or size.lines < 24):
        problems.append(f"The terminal has {size.columns} × {size.lines} cells: the app is made for 80 × 24 and more")
    if os.environ.get("TERM") == "dumb":
        problems.append("TERM is dumb: the app needs a terminal that can move its cursor")
    return found


def _training(problems: list[str]) -> dict[str, str]:
    try:
        check_import_of_torch()
        from charlstm.engine.devices import choose_device  # imports torch, which takes seconds
        from charlstm.engine.kernels import candidates, fast_path_problem
    except TorchError as error:
        problems.append(str(error))
        return {}
    settings = Settings()
    device = choose_device(settings.device)
    found = {"device": str(device), "threads": str(cpu_count())}
    found["kernels"] = ", ".join(candidates(settings, device))
    if (problem := fast_path_problem(settings, device)) is not None:
        found["fast path"] = problem
    return found


def check_import_of_torch() -> None:
    """Raises :class:`TorchError` where torch is not installed or its import kills the process, which only a process of
    its own survives: as on a Raspberry Pi 4, whose processor lacks instructions of torch 2.10 (torch #176993)."""
    check_torch()
    child = subprocess.run([sys.executable, "-P", "-c", "import torch"], capture_output=True, check=False)
    if child.returncode < 0:
        raise TorchError(OSError(f"its import ends with {signal.Signals(-child.returncode).name}"))


def _folders(problems: list[str]) -> dict[str, str]:
    found = {}
    folders: dict[str, Callable[[], Path]] = {
        "runs": lambda: folder.runs_dir(options.given_runs_dir()),
        "cache": paths.cache_dir,
        "state": lambda: paths.state_dir(make=False),
    }
    for name, find in folders.items():
        try:
            found_folder = find()
        except CharLSTMError as error:
            problems.append(str(error))
            continue
        existing = next(each for each in (found_folder, *found_folder.parents) if each.exists())
        found[name] = str(found_folder)
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            problems.append(f"The folder {existing} cannot be written: choose another one for {name}")
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(existing).free
            found[f"{name}: free"] = size(free)
            if name == "cache":
                kept = entries()
                found["cache: texts"] = f"{plural(len(kept), 'prepared text')}, {size(sum(kept.values()))}"
            if free < LOW_SPACE:
                problems.append(
                    f"The disk of {found_folder} has {size(free)} left: a training may have to wait for space"
                )
    return found


def _configuration(problems: list[str]) -> dict[str, str]:
    path = config_path()
    config, wrong = load_config()
    problems += wrong
    usual = Config().values
    found = {"file": f"{path}{'' if path.exists() else ' (none: defaults)'}"}
    found |= {name: written(value) for name, value in config.values.items() if value != usual[name]}
    tables = {"keys": config.keys, "presets": [each.name for each in config.presets]}
    found |= {name: ", ".join(each) for name, each in tables.items() if each}
    return found | {name: value for name, value in os.environ.items() if name.startswith("CHARLSTM_")}
