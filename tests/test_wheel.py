"""What goes into a wheel: both packages, the screens' styles, the model in the box, and nothing called core or tui;
and what it says about itself."""

import email.message
import email.policy
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from charlstm.model.file import load_model
from charlstm.runs.models import find_model

ROOT = Path(__file__).parents[1]
SUFFIXES = (".py", ".pyi", ".toml", ".tcss", ".html", ".css", ".js")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [built] = folder.glob("*.whl")
    return built


def test_a_wheel_has_all_that_the_programs_need(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for root in (ROOT / "core", ROOT / "tui"):
        sources = (path for path in root.rglob("*") if path.suffix in SUFFIXES)
        assert {path.relative_to(root).as_posix() for path in sources} <= names
    assert {"charlstm/demo.safetensors", "charlstm/lesson.zip", "charlstm/lesson.md"} <= names
    assert {"charlstm/py.typed", "charlstm_tui/py.typed"} <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"charlstm", "charlstm_tui"}


def test_description_of_a_wheel_has_neither_relative_links_nor_pictures(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    found = email.message_from_string(archive.read(name).decode("utf-8"), policy=email.policy.default)
    assert found["Description-Content-Type"] == "text/markdown"
    description = found.get_payload()
    assert isinstance(description, str)
    assert description.startswith("# charlstm\n")
    assert description.endswith("are in the source distribution.\n")
    assert "file formats" in description
    targets = re.findall(r"\]\(([^)]*)\)|(?:src|href)=[\"']([^\"']*)", description)
    assert targets, "README links to published models"
    assert all("".join(target).startswith(("https://", "http://")) for target in targets), targets
    assert not re.search(r"^\[[^\]]+\]: (?!https?://)", description, re.M)


def test_wheel_changelog_and_citation_have_one_version(wheel: Path) -> None:
    version = wheel.name.split("-")[1]
    assert re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)[0] == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_torch_is_required_where_it_has_wheels() -> None:
    required = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    [marker] = [Requirement(each).marker for each in required if each.startswith("torch")]
    machines = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("darwin", "x86_64")]
    has = [marker.evaluate({"sys_platform": system, "platform_machine": machine}) for system, machine in machines]
    assert has == [True, True, True, False]


def test_the_model_in_the_box_is_small_and_can_be_read() -> None:
    path = find_model("demo")
    assert path.stat().st_size <= 8 * 2**20
    passages = load_model(path).passages
    assert passages.nbytes <= 2**20
