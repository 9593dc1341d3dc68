"""Which code a gate is: a digest of its source files, so that a finding tells by what it was found."""

import ast
import hashlib
import inspect
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from stagewright.state.canonical import digest_file, digest_json
from stagewright.state.custom_gate import CommandGate

__all__ = ["built_in_digest", "command_digest", "object_digest"]

ROOM = "stagewright.gates."


@cache
def built_in_digest(module: str) -> str:
    """Return the sha256 of the source of a built-in gate: its module and those of this room that it imports."""
    found: dict[str, Path] = {}
    _follow(module, found)
    return _digest(found.values())


def object_digest(gate: object) -> str:
    """Return the sha256 of the source of a package's gate: every Python file of the folder that its module is in.

    A module that lies in no package is one file.

    Raises
    ------
    OSError, TypeError
        When it has no source file.
    """
    kind = gate if inspect.isroutine(gate) or inspect.isclass(gate) else type(gate)
    source = Path(inspect.getfile(kind))
    module = inspect.getmodule(kind)
    in_package = bool(getattr(module, "__package__", ""))
    return _digest(sorted(source.parent.rglob("*.py")) if in_package else [source])


def command_digest(gate: CommandGate) -> str:
    """Return the sha256 of a command gate: its argv, what it judges, and each file that the argv names."""
    files = {part: digest_file(Path(part)) for part in gate.argv if _is_named_file(part)}
    return digest_json({"argv": [*gate.argv], "stages": [*gate.stages], "files": {**files}})


def _follow(module: str, found: dict[str, Path]) -> None:
    spec = find_spec(module)
    if module in found or spec is None or spec.origin is None:
        return
    found[module] = Path(spec.origin)
    for node in ast.walk(ast.parse(found[module].read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith(ROOM):
            _follow(node.module, found)


def _digest(files: Iterable[Path]) -> str:
    """Return one digest of the content of files, whatever folders they lie in."""
    each = sorted(f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files)
    return hashlib.sha256("\n".join(each).encode()).hexdigest()


def _is_named_file(part: str) -> bool:
    try:
        return "{" not in part and Path(part).is_absolute() and Path(part).is_file()
    except (OSError, ValueError):  # a whole script may be too long for a name, or hold a null byte
        return False
