"""The entities of a crate while they are put together: files, and all that is said of them, by their addresses."""

from collections.abc import Iterable
from typing import TypeAlias
from urllib.parse import quote

from pydantic import JsonValue

from stagewright.tools.crate.contents import CrateFile, name_by_content

__all__ = ["Entity", "Graph", "ref", "with_offset"]

Entity: TypeAlias = dict[str, JsonValue]

FORMATS = {
    ".csv": "text/csv",
    ".h5ad": "application/x-hdf5",
    ".html": "text/html",
    ".json": "application/json",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".npy": "application/octet-stream",
    ".parquet": "application/vnd.apache.parquet",
    ".txt": "text/plain",
    ".yaml": "application/yaml",
}


def ref(address: str) -> dict[str, JsonValue]:
    """Return a reference to an entity."""
    return {"@id": address}


def with_offset(stamp: str) -> str:
    """Return a time as the profile writes it.

    >>> with_offset("2026-11-22T13:41:56.123Z")
    '2026-11-22T13:41:56.123+00:00'
    """
    return stamp.removesuffix("Z") + "+00:00" if stamp.endswith("Z") else stamp


class Graph:
    """Collects the entities of a crate; each has one address, and is said once.

    Parameters
    ----------
    files
        The files of the run, by path.
    """

    def __init__(self, files: Iterable[CrateFile]) -> None:
        self._files = {file.path: file for file in files}
        self.data: dict[str, Entity] = {}
        self.context: dict[str, Entity] = {}
        self.mentions: list[str] = []
        for file in self._files.values():
            self._add_file(file)

    def has(self, path: str) -> bool:
        """Return whether the run has a file at this path."""
        return path in self._files

    def file(self, path: str) -> dict[str, JsonValue]:
        """Return a reference to a file of the run."""
        return ref(_address(self._files[path]))

    def files(self, paths: Iterable[str]) -> list[JsonValue]:
        """Return references to those of the paths that the run has, each once."""
        addresses = dict.fromkeys(_address(self._files[path]) for path in paths if self.has(path))
        return [ref(address) for address in addresses]

    def describe(self, path: str, said: Entity) -> None:
        """Say more of a file."""
        self.data[_address(self._files[path])] |= said

    def add(self, address: str, kind: str | list[str], **said: JsonValue) -> dict[str, JsonValue]:
        """Add an entity that is no file, and return a reference to it; said again, it stays as it was said first."""
        if address not in self.context:
            types: JsonValue = kind if isinstance(kind, str) else [*kind]
            present = {name: value for name, value in said.items() if value not in (None, [], "")}
            self.context[address] = {"@id": address, "@type": types, **present}
        return ref(address)

    def add_data(self, address: str, kind: str, **said: JsonValue) -> dict[str, JsonValue]:
        """Add a file or folder that lies outside the run, and return a reference to it."""
        self.data.setdefault(address, {"@id": address, "@type": kind, **said})
        return ref(address)

    def value(self, address: str, name: str, value: JsonValue, **said: JsonValue) -> dict[str, JsonValue]:
        """Add a named value, and return a reference to it."""
        return self.add(address, "PropertyValue", name=name, value=value, **said)

    def mention(self, reference: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Let the crate itself mention an entity, so that a reader finds it from there."""
        self.mentions.append(str(reference["@id"]))
        return reference

    def _add_file(self, file: CrateFile) -> None:
        address = _address(file)
        suffix = f".{file.path.rpartition('.')[2]}"
        said: Entity = {
            "@id": address,
            "@type": "File",
            "name": file.path,
            "contentSize": str(file.bytes),
            "sha256": file.sha256,
            "encodingFormat": FORMATS.get(suffix, "application/octet-stream"),
        }
        if not file.copied:
            said["description"] = "Not in the crate: larger than what was copied. Its address is its sha256 (RFC 6920)."
        before = self.data.get(address)
        if before is not None:  # not copied, and of the same content as another: one entity of two names
            names = before.setdefault("alternateName", [])
            if isinstance(names, list):
                names.append(file.path)
            return
        self.data[address] = said


def _address(file: CrateFile) -> str:
    return quote(file.path) if file.copied else name_by_content(file.sha256)
