"""What goes into a wheel: both packages, the screens' styles, the model in the box, and nothing called core or tui."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from charlstm.model.file import read_info
from charlstm.runs.models import find_model

ROOT = Path(__file__).parents[1]


def test_a_wheel_has_all_that_the_programs_need(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for root in (ROOT / "core", ROOT / "tui"):
        sources = {
            path.relative_to(root).as_posix()
            for path in root.rglob("*")
            if path.suffix in (".py", ".tcss", ".html", ".css", ".js")
        }
        assert sources <= names
    assert {"charlstm/demo.safetensors", "charlstm/py.typed", "charlstm_tui/py.typed"} <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"charlstm", "charlstm_tui"}


def test_the_model_in_the_box_is_small_and_can_be_read() -> None:
    path = find_model("demo")
    assert path.stat().st_size <= 4 * 2**20
    config, info = read_info(path)
    assert config.hidden_size == 256
    assert info["corpus"] == "shakespeare-plays.txt"
