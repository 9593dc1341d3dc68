"""What packages register is found by name, and whatever is wrong with it names the package."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stagewright.state.registered import PackageUnusable, Registered

THINGS = Registered("stagewright.tested_things", "thing", ("size",))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that leaves a distribution on the path as pip does: a module, and its entry points."""
    monkeypatch.syspath_prepend(tmp_path)

    def installed(package: str, code: str, **points: str) -> None:
        (tmp_path / f"{package}.py").write_text(code, encoding="utf-8")
        info = tmp_path / f"{package}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n", encoding="utf-8")
        lines = [f"{name} = {package}:{value}" for name, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{THINGS.group}]", *lines]), encoding="utf-8")

    return installed


def test_names_and_versions_run_no_code(install: Callable[..., None]) -> None:
    """A package that fails when it is imported can be asked for its names."""
    assert (THINGS.names(), THINGS.versions("box")) == ([], "unknown")
    install("things_that_raise", "raise RuntimeError('not here')", crate="Crate", box="Box")
    assert THINGS.names() == ["box", "crate"]
    assert THINGS.versions("box") == "things_that_raise 1.2"
    with pytest.raises(
        PackageUnusable, match=r"thing 'box' of the package things_that_raise cannot be loaded \(Runtime"
    ):
        THINGS.load("box")


def test_a_class_is_made_and_an_object_taken(install: Callable[..., None]) -> None:
    """Of a class, an object without arguments; what lacks something is refused, and what is not there too."""
    install("sized_things", "class Box:\n    size = 3\n\nbag = Box()\nflat = 5\n", box="Box", bag="bag", flat="flat")
    assert getattr(THINGS.load("box"), "size") == getattr(THINGS.load("bag"), "size") == 3  # noqa: B009 - of no type
    with pytest.raises(PackageUnusable, match="thing 'flat' of the package sized_things lacks size"):
        THINGS.load("flat")
    with pytest.raises(PackageUnusable, match="No package registers a thing 'sack'; registered: bag, box, flat"):
        THINGS.load("sack")


def test_one_name_of_two_packages_is_neither(install: Callable[..., None]) -> None:
    """Which of them would run is not left to the order on the path."""
    install("first_things", "class Box:\n    size = 1\n", box="Box")
    install("second_things", "class Box:\n    size = 2\n", box="Box")
    assert THINGS.names() == ["box"]
    with pytest.raises(PackageUnusable, match="packages first_things, second_things all register a thing 'box'"):
        THINGS.load("box")
