"""``make anywhere``: run the tests that matter under other conditions than those of this machine, and print a table.

Conditions: Python 3.13; the lowest versions that ``pyproject.toml`` allows; other kernels of OpenBLAS and oneDNN; the
locale C; folders whose names have spaces and letters beyond ASCII; a player that answers Generate late; and other
processes that keep the processor busy.

What a condition needs and this machine lacks is said in a line, at the start and at the end. The virtual environments
and the whole output of each condition are in ``build/anywhere``. Exits with 1 if something failed. Takes about 20
minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "anywhere"
ODD = FOLDER / "Größe und Maß 文"
"""A folder for the user's own things and for temporary ones, as some people have them."""

NUMERIC = ("-m", "numeric")
WHOLE = ("tests/core", "tests/tui", "tests/test_imports.py", "tests/test_wheel.py", "tests/terminal/test_app.py")
FILES = ("tests/core/cli", "tests/core/text", "tests/core/runs", "tests/core/model", "tests/core/test_storage.py")
SCREENS = (
    "tests/tui/test_app.py",
    "tests/tui/test_corpus.py",
    "tests/tui/test_save_dialog.py",
    "tests/terminal/test_app.py",
)
GENERATE = ("tests/tui/generate", "tests/tui/test_find.py", "tests/tui/test_mouse.py", "tests/tui/test_stream_view.py")
TRAINING = ("tests/core/engine", "tests/core/runs", "tests/core/cli")

OPENBLAS = ("Haswell", "Prescott", "SkylakeX")
ONEDNN = {
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "SSE41": {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
}
"""Instruction sets for oneDNN, with the settings by which torch's own kernels and MKL keep to the same ones."""

OWN_PLUGINS = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_ADDOPTS": "-p xdist.plugin -p pytest_asyncio.plugin -p _hypothesis_pytestplugin",
}
"""pytest would load plugins that only newer versions of the dependencies have."""

BUSY = 4
KERNEL_IN_USE = """
import threadpoolctl, numpy
print([each.get("architecture") for each in threadpoolctl.threadpool_info() if each["internal_api"] == "openblas"])
"""


class Missing(Exception):
    """This machine lacks something that a condition needs."""


class Failed(Exception):
    """Something failed before the tests of a condition began."""


@dataclass(frozen=True)
class Condition:
    """What is run: pytest with ``tests`` as its arguments, and in which circumstances.

    Attributes:
        python: the version of another Python, whose virtual environment is made first.
        lowest: whether the lowest allowed versions of all dependencies are installed.
        kernel: the kernels that OpenBLAS must then use.
        busy: how many other processes compute all the time.
    """

    name: str
    tests: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    python: str = ""
    lowest: bool = False
    kernel: str = ""
    busy: int = 0


CONDITIONS = (
    Condition("Python 3.13", WHOLE, {"USE_LIBUV": "0"}, python="3.13"),  # which Debian's torch is built without
    Condition("lowest versions", WHOLE, OWN_PLUGINS, lowest=True),
    *(Condition(f"OPENBLAS_CORETYPE={name}", NUMERIC, {"OPENBLAS_CORETYPE": name}, kernel=name) for name in OPENBLAS),
    *(
        Condition(f"ONEDNN_MAX_CPU_ISA={name}", NUMERIC, {"ONEDNN_MAX_CPU_ISA": name, **others})
        for name, others in ONEDNN.items()
    ),
    Condition("LC_ALL=C", (*FILES, *SCREENS), {"LANG": "C", "LC_ALL": "C"}),
    Condition("folders with spaces and other letters", (*FILES, *SCREENS), {"HOME": str(ODD), "TMPDIR": str(ODD)}),
    Condition("a player that answers late", GENERATE, {"CHARLSTM_LATE_PLAYER": "1"}),
    Condition(f"beside {BUSY} busy processes", TRAINING, busy=BUSY),
)


@dataclass
class Outcome:
    """What came of a condition: ``ok``, ``failed`` or ``not tried``, and what there is to say about it."""

    condition: Condition
    result: str
    seconds: float
    notes: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", "--only", default="", help="only conditions whose name contains this text")
    parser.add_argument("--python", default="", help="Python 3.13, if it is not found as python3.13")
    parser.add_argument("--download-torch", action="store_true", help="let pip download torch for it: some gigabytes")
    parser.add_argument("-n", "--processes", default="3", help="tests at once (default: 3)")
    options = parser.parse_args()
    os.chdir(ROOT)
    ODD.mkdir(parents=True, exist_ok=True)

    chosen = [each for each in CONDITIONS if options.only.lower() in each.name.lower()]
    pythons = [(each, prepare(each, options)) for each in chosen]
    lacking = [line for each, python in pythons for line in lacks(each, python)]
    say(*lacking)

    outcomes = []
    for condition, python in pythons:
        outcomes.append(outcome := run(condition, python, options.processes))
        say(f"{outcome.result:9}  {condition.name}, {outcome.seconds:.0f} s", *outcome.notes)
    say("", *table(outcomes), "", *lacking)
    return int(any(outcome.result == "failed" for outcome in outcomes))


def lacks(condition: Condition, python: Path | Missing | Failed) -> Iterator[str]:
    """What ``condition`` needs and this machine lacks."""
    if isinstance(python, Missing):
        yield f"not tried: {condition.name}: {python}"
    elif condition.lowest and isinstance(python, Path):
        floor = next(version for name, version in floors() if name == "torch")
        version = output([str(python), "-c", "import torch; print(torch.__version__)"])
        if not f"{version}.".startswith(f"{floor}."):
            yield f"not tried: {condition.name}: torch {floor}, which pip would download by gigabytes; it ran {version}"


def say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    width = max((len(outcome.condition.name) for outcome in outcomes), default=0)
    for outcome in outcomes:
        count = next((note for note in outcome.notes if re.match(r"\d+ (passed|failed)", note)), "")
        yield f"{outcome.condition.name:{width}}  {outcome.result:9}  {outcome.seconds:5.0f} s  {count}"


# ── the Python of a condition ─────────────────────────────────────────────────────────────────────────────────────────


def prepare(condition: Condition, options: argparse.Namespace) -> Path | Missing | Failed:
    """The Python for ``condition``, with all that it needs, or why it cannot be tried."""
    try:
        if condition.python:
            return other_python(condition.python, options.python, download=options.download_torch)
        if condition.lowest:
            return lowest_versions()
        if condition.kernel:
            check_kernel(condition)
        if "ONEDNN_MAX_CPU_ISA" in condition.environment and platform.machine() not in ("x86_64", "AMD64"):
            raise Missing("these are instructions of x86 processors")
    except (Missing, Failed) as problem:
        return problem
    return Path(sys.executable)


def other_python(version: str, named: str, *, download: bool) -> Path:
    """Python ``version`` in a virtual environment with the newest of all dependencies.

    torch is that of this Python, if it has one: on Linux pip would download gigabytes.
    """
    found = named or shutil.which(f"python{version}")
    if not found:
        raise Missing(f"there is no python{version} here; name one: make anywhere OPTIONS='--python PATH'")
    has_torch = subprocess.run([found, "-c", "import torch"], capture_output=True, check=False).returncode == 0
    if not has_torch and not download:
        raise Missing(
            f"{found} has no torch, and pip would download gigabytes; install it for this Python (on Debian: "
            "python3-torch), or let pip do so: make anywhere OPTIONS=--download-torch"
        )
    folder = FOLDER / f"python{version}"
    if not folder.exists():
        checked([found, "-m", "venv", *(["--system-site-packages"] if has_torch else []), str(folder)])
    python = folder / "bin" / "python"
    newest = ["numpy"]  # its types are what mypy reads, and the system's Python may have an older one
    install(python, "--upgrade", *newest, "--editable", ".", "--requirement", str(dev_requirements()))
    return python


def lowest_versions() -> Path:
    """This Python in a virtual environment with the lowest allowed versions.

    torch and the tools of the tests are those of the environment that runs this script: a second torch would be
    gigabytes.
    """
    folder = FOLDER / "lowest"
    if not folder.exists():
        checked([sys.executable, "-m", "venv", str(folder)])
    python = folder / "bin" / "python"
    own, other = (Path(output([str(each), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]))
                  for each in (python, sys.executable))  # fmt: skip
    (own / "tools-of-the-tests.pth").write_text(f"{other}\n", encoding="utf-8")
    lowest = FOLDER / "lowest.txt"
    lines = [f"{name}=={version}" for name, version in floors() if name != "torch"]
    lowest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    install(python, "--constraint", str(lowest), "--requirement", str(lowest), "--editable", ".")
    return python


def floors() -> Iterator[tuple[str, str]]:
    """Name and lowest version of each package that the program needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = (each for extra in project["optional-dependencies"].values() for each in extra)
    for requirement in (*project["dependencies"], *extras):
        found = re.match(r"([\w-]+)>=([\w.]+)", requirement)
        assert found, f"{requirement} has no lowest version"
        yield found[1], found[2]


def dev_requirements() -> Path:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    path = FOLDER / "dev.txt"
    path.write_text("\n".join(groups["dev"]) + "\n", encoding="utf-8")
    return path


def install(python: Path, *what: str) -> None:
    checked([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what])


def check_kernel(condition: Condition) -> None:
    """Raise :class:`Missing` unless numpy here uses the kernels that ``condition`` asks for, and they run."""
    done = subprocess.run(
        [sys.executable, "-c", KERNEL_IN_USE], env=os.environ | condition.environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode < 0:
        raise Missing("this processor lacks instructions that these kernels need")
    names = {condition.kernel, "Katmai" if condition.kernel == "Prescott" else ""}  # what some builds call these
    if not names & set(re.findall(r"\w+", done.stdout)):
        raise Missing(f"numpy here has no such kernels (OpenBLAS: {done.stdout.strip()})")


def checked(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stdout[-2000:]}")


def output(command: Sequence[str]) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


# ── its tests ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def run(condition: Condition, python: Path | Missing | Failed, processes: str) -> Outcome:
    """Run the tests of ``condition``. Their output goes to a file of its name."""
    if isinstance(python, Missing):
        return Outcome(condition, "not tried", 0.0)
    if isinstance(python, Failed):
        return Outcome(condition, "failed", 0.0, [str(python)])
    begin = time.monotonic()
    environment = os.environ | condition.environment | {"COLUMNS": "120"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    commands = [[str(python), "-m", "mypy", "--cache-dir", str(FOLDER / "mypy")]] if condition.python else []
    commands.append([str(python), "-m", "pytest", "-p", "no:cacheprovider", "-n", processes, "--dist", "worksteal"])
    commands[-1] += ["-v", "-rf", *condition.tests]
    log = FOLDER / f"{re.sub(r'[^A-Za-z0-9.]+', '-', condition.name)}.log"
    failed = False
    with log.open("w", encoding="utf-8") as file, busy_processes(condition.busy):
        for command in commands:
            file.write(f"$ {' '.join(command)}\n")
            file.flush()
            done = subprocess.run(command, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False)
            failed |= done.returncode != 0
    notes = summary(log.read_text(encoding="utf-8", errors="replace"))
    if failed:
        notes.append(f"all of it: {log.relative_to(ROOT)}")
    return Outcome(condition, "failed" if failed else "ok", time.monotonic() - begin, notes)


def summary(text: str) -> list[str]:
    """The lines of an output that name what failed, and pytest's count."""
    lines = [line for line in text.splitlines() if re.match(r"(FAILED|ERROR) tests|\S+:\d+: error: ", line)]
    counts = re.findall(r"^=* ?(\d+ (?:passed|failed).*? in [\d.]+s)", text, re.M)
    return [*lines[:30], *counts[-1:]]


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """``count`` processes that compute all the time."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
