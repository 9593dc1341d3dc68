"""Read and check the gene lists that a spec names, once, at planning: the run keeps their content."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stagewright.stages.preprocess.gene_sets import MAX_BYTES, GeneSets, parse_gmt
from stagewright.state.refusals import Refusal
from stagewright.state.spec import GoalSpec
from stagewright.state.spec.preprocess import GeneList
from stagewright.tools.workspace import Workspace

__all__ = ["DeclaredList", "declared_lists", "genes_missing"]


@dataclass(frozen=True, slots=True)
class DeclaredList:
    """One entry of a spec with the file that it names.

    Attributes
    ----------
    place
        Of the entry in the spec, for refusals.
    content
        Of the file, every byte.
    chosen
        The sets that the entry takes.
    """

    place: str
    entry: GeneList
    content: bytes
    chosen: GeneSets

    @property
    def sha256(self) -> str:
        """The digest of the file's content."""
        return hashlib.sha256(self.content).hexdigest()


def declared_lists(workspace: Workspace, spec: GoalSpec, folder: Path) -> tuple[DeclaredList, ...]:
    """Return the gene lists of a spec; their paths are taken from its folder.

    Raises
    ------
    Refusal
        `outside_root` when a path leads where the caller may not read; `invalid_data` when a file cannot be read, is no
        GMT file, or lacks a set that the entry names.
    """
    contents: dict[str, bytes] = {}
    lists = []
    for place, entry in _entries(spec):
        try:
            if entry.path not in contents:
                path = workspace.contained(entry.path, folder, f"{place}.path")
                with path.open("rb") as file:
                    contents[entry.path] = file.read(MAX_BYTES + 1)
            content = contents[entry.path]
            lists.append(DeclaredList(place, entry, content, parse_gmt(content).chosen(entry.sets)))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise Refusal("invalid_data", f"{place}: {entry.path} cannot be used as a gene list: {why}") from error
    return tuple(lists)


def genes_missing(lists: Iterable[DeclaredList], found: dict[str, int]) -> list[str]:
    """Return a warning for each list of which the data lack genes.

    Parameters
    ----------
    found
        By the tag of an entry, how many of its genes the data have.

    Raises
    ------
    Refusal
        `invalid_data` when the data have no gene of a list.
    """
    warnings = []
    for item in lists:
        wanted, there = item.chosen.genes, found.get(item.entry.tag, 0)
        if not there:
            raise Refusal(
                "invalid_data",
                f"{item.place}: the data have none of the {len(wanted)} genes of {item.entry.path} (e.g. "
                f"{', '.join(wanted[:3])}). Are both symbols, or both Ensembl ids?",
            )
        if there < len(wanted):
            warnings.append(f"{item.entry.tag}: the data have {there} of the {len(wanted)} genes of the list")
    return warnings


def _entries(spec: GoalSpec) -> Iterator[tuple[str, GeneList]]:
    named = [(f"preprocess[{index}]", entry) for index, entry in enumerate(spec.preprocess)]
    if spec.reference is not None:
        named.append(("reference", spec.reference))
    for place, entry in named:
        if isinstance(entry, GeneList):
            yield place, entry
