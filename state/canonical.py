"""Give every JSON value one byte form, and that form one digest.

Digests are taken over RFC 8785 canonical JSON, so that they can be recomputed by any implementation in any language.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import rfc8785
from pydantic import JsonValue

from stagewright.state.plain_json import plain_canonical

__all__ = ["data_bytes", "digest_data", "digest_file", "digest_json", "digest_names", "finite"]

BLOCK_BYTES = 1 << 20


def digest_json(value: JsonValue | Mapping[str, JsonValue]) -> str:
    """Return the sha256 of `value` in RFC 8785 canonical form, as 64 hexadecimal digits.

    >>> digest_json({"b": 1, "a": [True, None]}) == digest_json({"a": [True, None], "b": 1})
    True
    """
    plain = plain_canonical(value)
    return hashlib.sha256(rfc8785.dumps(value) if plain is None else plain).hexdigest()


def digest_names(names: Iterable[str]) -> str:
    """Return the sha256 over a set of names, whatever their order, as 64 hexadecimal digits.

    >>> digest_names(["b", "a"]) == digest_names(["a", "b"]) != digest_names(["ab"])
    True
    """
    return hashlib.sha256("".join(f"{len(name)}:{name}" for name in sorted(names)).encode()).hexdigest()


def digest_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, read in blocks, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def digest_data(path: Path) -> str:
    """Return the sha256 of a data file, or of a folder that holds data in parts, such as a zarr store.

    That of a folder is the digest of the list of its files in the order of their paths, each with its size and sha256,
    so that no part can be changed, added, renamed or taken away unseen.
    """
    if not path.is_dir():
        return digest_file(path)
    digest = hashlib.sha256()
    for name, part in _parts(path):
        digest.update(f"{len(name)}:{name} {part.stat().st_size} {digest_file(part)}\n".encode())
    return digest.hexdigest()


def data_bytes(path: Path) -> int:
    """Return the size of a data file, or of all files of a folder that holds data in parts."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(part.stat().st_size for _, part in _parts(path))


def _parts(folder: Path) -> list[tuple[str, Path]]:
    found = ((part.relative_to(folder).as_posix(), part) for part in folder.rglob("*") if part.is_file())
    return sorted(found)


def finite(value: float) -> float | None:
    """Return `value`, or None where it is NaN or infinite, which JSON cannot say.

    >>> finite(0.5), finite(float("nan"))
    (0.5, None)
    """
    return value if math.isfinite(value) else None
