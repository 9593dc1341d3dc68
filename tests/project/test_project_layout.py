"""The project's own rules: rooms, links and wheel agree, files are named well, and nothing points at one machine."""

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {"server", "tools", "stages", "gates", "state"}
LINKS = ROOT / ".src" / "stagewright"
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "base", "manager", "misc"}
"""Names that do not say what a file holds."""
MACHINE_ROOTS = ("home", "Users", "root", "work", "opt", "mnt")
INDEX_MARKS = (
    "py" + "pi.org",
    "pythonhosted" + ".org",
    "--index" + "-url",
    "--extra-index" + "-url",
    "--find" + "-links",
)


@cache
def project() -> dict[str, Any]:
    """Read pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@cache
def committed_files() -> list[Path]:
    """List the files that git tracks or would add."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_rooms_links_and_wheel_agree() -> None:
    """A room is a folder with an `__init__`, a relative link in `.src`, and a line in the wheel's sources."""
    links = {entry.name: entry for entry in LINKS.iterdir() if entry.is_symlink()}
    on_disk = {entry.parent.name for entry in ROOT.glob("*/__init__.py")}
    build = project()["tool"]["hatch"]["build"]["targets"]
    sources = dict(build["wheel"]["sources"])
    assert on_disk == ROOMS
    assert set(links) == ROOMS
    assert {name: str(link.readlink()) for name, link in links.items()} == {name: f"../../{name}" for name in ROOMS}
    assert sources.pop(".src/stagewright") == "stagewright"
    assert sources == {name: f"stagewright/{name}" for name in ROOMS}
    for target in ("wheel", "sdist"):
        assert set(build[target]["only-include"]) >= ROOMS
    assert {"__init__.py", "py.typed"} | ROOMS == {entry.name for entry in LINKS.iterdir()} - {"__pycache__"}


def test_every_folder_with_modules_is_a_package() -> None:
    """A folder without `__init__.py` would be left out by import-linter and mypy without a word."""
    bare = {
        module.parent.relative_to(ROOT)
        for room in ROOMS
        for module in (ROOT / room).rglob("*.py")
        if not (module.parent / "__init__.py").exists()
    }
    assert bare == set()


def test_tests_are_no_package_and_have_unique_names() -> None:
    """Tests mirror the rooms without `__init__.py`; a name occurs once, so that a report names one file."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py")]
    assert "__init__.py" not in names
    repeated = {name for name in names if names.count(name) > 1 and name != "conftest.py"}
    assert repeated == set()


def test_files_say_what_they_hold() -> None:
    """No file or folder of ours has a name that could stand for anything."""
    parts = {part for path in committed_files() for part in path.relative_to(ROOT).with_suffix("").parts}
    assert parts & EMPTY_NAMES == set()


def test_nothing_points_at_one_machine() -> None:
    """No file names a package index or an absolute path of somebody's machine."""
    absolute = re.compile(r"(?<![\w.:/~}*-])/(?:" + "|".join(MACHINE_ROOTS) + r")/[\w.]")
    found: list[str] = []
    for path in committed_files():
        if path.is_symlink() or path.suffix in {".h5ad", ".png"}:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if absolute.search(line) or any(mark in line for mark in INDEX_MARKS):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


def pins(name: str) -> dict[str, Version]:
    """Read one file of exact versions; anything but `name==version` is an error."""
    read: dict[str, Version] = {}
    for line in (ROOT / "requirements" / name).read_text().splitlines():
        plain = line.split("#")[0].strip()
        if plain and plain != "-r runtime.txt":
            match = re.fullmatch(r"([a-z0-9-]+)==([\w.]+)", plain)
            assert match, f"{name}: {line}"
            read[match[1]] = Version(match[2])
    return read


@pytest.mark.parametrize(
    ("declared", "files"), [("dependencies", ["runtime.txt"]), ("dev", ["runtime.txt", "dev.txt"])]
)
def test_pins_meet_what_the_project_declares(declared: str, files: list[str]) -> None:
    """Each declared dependency is pinned, to a version that its declaration allows."""
    metadata = project()["project"]
    extras = metadata["optional-dependencies"]
    wanted = [Requirement(text) for text in (metadata["dependencies"] if declared == "dependencies" else extras["dev"])]
    # An extra may stand for others: "stagewright[dask]".
    named = [extra for requirement in wanted if requirement.name == "stagewright" for extra in requirement.extras]
    wanted += [Requirement(text) for extra in named for text in extras[extra]]
    pinned = {package: version for name in files for package, version in pins(name).items()}
    for requirement in wanted:
        if requirement.name == "stagewright":
            continue
        assert pinned[requirement.name.lower().replace("_", "-")] in requirement.specifier, requirement


def test_the_licence_is_whole() -> None:
    """LICENSE holds the Apache licence that the metadata names, to its end."""
    text = (ROOT / "LICENSE").read_text()
    assert project()["project"]["license"] == "Apache-2.0"
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert text.rstrip().endswith("limitations under the License.")
