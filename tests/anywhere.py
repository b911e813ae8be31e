"""``make anywhere``: run the tests that matter under other conditions than those of this machine.

Python 3.13; the lowest versions that ``pyproject.toml`` allows; other kernels of OpenBLAS and oneDNN; the locale C;
folders whose names have spaces and letters beyond ASCII; a Mac and an Arm processor, as far as Python can pretend to be
on one; an app whose threads are late; and beside other processes that keep the processor busy. What a condition needs
and this machine lacks is said in a line.

Virtual environments and the whole output of each condition are in ``build/anywhere``. Exits with 1 if something failed.
Takes about 20 minutes on two cores. A name, or a part of one, as the argument runs only that condition.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDER = ROOT / "build" / "anywhere"
ODD = FOLDER / "Größe und Maß 文"
"""A folder for the user's own things and for temporary ones, as some people have them."""

WHOLE = "tests/core tests/tui tests/test_wheel.py tests/terminal/test_app.py"
FILES = "tests/core/cli tests/core/text tests/core/runs tests/core/model tests/core/test_storage.py"
FILES += " tests/tui/test_app.py tests/tui/test_corpus.py tests/tui/test_save_dialog.py tests/terminal/test_app.py"
TRAINING = "tests/core/engine tests/core/runs tests/core/cli"

OWN_PLUGINS = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_ADDOPTS": "-p xdist.plugin -p pytest_asyncio.plugin -p _hypothesis_pytestplugin",
}
"""pytest would load plugins that only newer versions of the dependencies have."""
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
SSE4 = {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}
"""Instruction sets for oneDNN, torch's own kernels and MKL."""

OTHER_MACHINE = {
    "PYTHONPATH": str(ROOT / "tests" / "other_machine"),
    "PATH": f"{ROOT / 'tests' / 'other_machine' / 'bin'}{os.pathsep}{os.environ['PATH']}",
}
MACHINE = "tests/core/test_system.py tests/core/cli/test_trial.py tests/core/engine/test_kernels.py"
MACHINE += " tests/terminal/test_app.py tests/terminal/test_worker_process.py"

CONDITIONS: dict[str, tuple[str, dict[str, str]]] = {
    "Python 3.13": (WHOLE, {"USE_LIBUV": "0"}),  # which Debian's torch is built without
    "lowest versions": (WHOLE, OWN_PLUGINS),
    "OpenBLAS as on Haswell": ("-m numeric", {"OPENBLAS_CORETYPE": "Haswell"}),
    "OpenBLAS as on Prescott": ("-m numeric", {"OPENBLAS_CORETYPE": "Prescott"}),
    "OpenBLAS as on SkylakeX": ("-m numeric", {"OPENBLAS_CORETYPE": "SkylakeX"}),
    "oneDNN with AVX2": ("-m numeric", AVX2),
    "oneDNN with SSE 4": ("-m numeric", SSE4),
    "the locale C": (FILES, {"LANG": "C", "LC_ALL": "C"}),
    "folders with spaces and other letters": (FILES, {"HOME": str(ODD), "TMPDIR": str(ODD)}),
    "darwin": (MACHINE, {**OTHER_MACHINE, "OTHER_MACHINE": "darwin"}),
    "aarch64": (MACHINE, {**OTHER_MACHINE, "OTHER_MACHINE": "aarch64"}),
    "threads that are late": ("tests/tui", {"CHARLSTM_LATE_THREADS": "1"}),
    "beside busy processes": (TRAINING, {}),
}
"""What pytest is given, and the environment."""


def output(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout[-2000:]}")
    return done.stdout.strip()


def new_python() -> str | None:
    """Python 3.13 in a virtual environment with the newest of all dependencies. Its torch is that of the system: pip
    would download gigabytes."""
    found = shutil.which("python3.13")
    if not found or subprocess.run([found, "-c", "import torch"], capture_output=True, check=False).returncode:
        return None
    python = str(FOLDER / "python3.13" / "bin" / "python")
    output(found, "-m", "venv", "--system-site-packages", str(FOLDER / "python3.13"))
    dev = PROJECT["dependency-groups"]["dev"]
    output(python, "-m", "pip", "install", "--quiet", "--upgrade", "numpy", "--editable", ".", *dev)
    return python


def lowest_versions() -> str:
    """This Python in a virtual environment with the lowest allowed versions. torch and the tools of the tests are those
    of the environment that runs this: a second torch would be gigabytes."""
    folder = FOLDER / "lowest"
    output(sys.executable, "-m", "venv", str(folder))
    python, where = str(folder / "bin" / "python"), "import sysconfig; print(sysconfig.get_path('purelib'))"
    other = output(sys.executable, "-c", where)
    Path(output(python, "-c", where), "tools-of-the-tests.pth").write_text(f"{other}\n")
    project = PROJECT["project"]
    needed = itertools.chain(project["dependencies"], *project["optional-dependencies"].values())
    floors = [f"{name}=={version}" for each in needed for name, version in re.findall(r"^([\w-]+)>=([\w.]+)", each)]
    floors = [each for each in floors if not each.startswith("torch==")]
    output(python, "-m", "pip", "install", "--quiet", *floors, "--editable", ".")
    return python


def run(name: str, tests: str, environment: dict[str, str]) -> bool:
    """Whether the tests pass, or the condition cannot be tried here."""
    makers: dict[str, Callable[[], str | None]] = {"Python 3.13": new_python, "lowest versions": lowest_versions}
    python = makers.get(name, lambda: sys.executable)()
    if python is None:
        print(f"not tried  {name}: there is no python3.13 with torch (on Debian: python3-torch)", flush=True)
        return True
    environment = {**os.environ, **environment}
    if subprocess.run([python, "-c", "import numpy, torch"], env=environment, check=False).returncode < 0:
        print(f"not tried  {name}: this processor lacks instructions", flush=True)
        return True
    begin, log = time.monotonic(), FOLDER / f"{re.sub(r'[^A-Za-z0-9.]+', '-', name)}.log"
    options = ["-p", "no:cacheprovider", "-n", "3", "--dist", "worksteal", "-rf"]
    command = [python, "-m", "pytest", *options, *tests.split()]
    loops = 4 if name.endswith("busy processes") else 0
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        with log.open("w", encoding="utf-8") as file:
            passed = not subprocess.run(command, env=environment, stdout=file, stderr=file, check=False).returncode
    finally:
        for process in busy:
            process.kill()
            process.wait()
    last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-1:]
    took = f"{time.monotonic() - begin:.0f} s"
    print(f"{'ok' if passed else 'FAILED'}  {name}, {took}: {' '.join(last)}; {log}", flush=True)
    return passed


if __name__ == "__main__":
    os.chdir(ROOT)
    ODD.mkdir(parents=True, exist_ok=True)
    only = " ".join(sys.argv[1:]).lower()
    results = [run(name, *how) for name, how in CONDITIONS.items() if only in name.lower()]
    sys.exit(not results or not all(results))
