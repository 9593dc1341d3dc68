"""How much two files differ that should be the same: what a child process is asked, and what it answers."""

from stagewright.state.artifacts import ArtifactFormat
from stagewright.state.records import Record

__all__ = ["FileDifference", "FileDifferences", "FilePair", "FilePairs", "PartDifference"]


class FilePair(Record):
    """Two files of one format, by their absolute paths. `name` is how the answer names them."""

    name: str
    format: ArtifactFormat
    before: str
    after: str


class FilePairs(Record):
    """Compare these; write the number of pairs done into `progress`."""

    pairs: tuple[FilePair, ...]
    progress: str


class PartDifference(Record):
    """One array, column or number of a file.

    Attributes
    ----------
    n_values, n_different
        Values in all, and those that are not the same; two missing values are the same.
    largest_absolute, largest_relative
        Over the finite numbers; relative to the larger of the two. None where nothing can be subtracted.
    """

    name: str
    n_values: int
    n_different: int
    largest_absolute: float | None = None
    largest_relative: float | None = None


class FileDifference(Record):
    """The parts of a file that differ.

    Attributes
    ----------
    n_parts
        Parts that were compared.
    fault
        Why the contents could not be compared, e.g. other shapes; None when they could.
    """

    name: str
    parts: tuple[PartDifference, ...] = ()
    n_parts: int = 0
    fault: str | None = None

    @property
    def largest_absolute(self) -> float | None:
        """The largest absolute difference of all parts."""
        return max((part.largest_absolute for part in self.parts if part.largest_absolute is not None), default=None)

    @property
    def largest_relative(self) -> float | None:
        """The largest relative difference of all parts."""
        return max((part.largest_relative for part in self.parts if part.largest_relative is not None), default=None)

    def said(self) -> str:
        """Return the difference in words.

        >>> FileDifference(name="a.csv", n_parts=3).said()
        'the same content in other bytes'
        """
        if self.fault is not None:
            return self.fault
        if not self.parts:
            return "the same content in other bytes" if self.n_parts else "other bytes; nothing in them is a number"
        n_different = sum(part.n_different for part in self.parts)
        named = ", ".join(part.name for part in self.parts[:3]) + (", ..." if len(self.parts) > 3 else "")  # noqa: PLR2004 - as many as a line holds
        how = f"{n_different} values differ, in {named}"
        if self.largest_absolute is None:
            return how
        return f"{how}; by at most {self.largest_absolute:.3g} (relative {self.largest_relative or 0:.3g})"


class FileDifferences(Record):
    """The answer: one record for each pair, in their order."""

    found: tuple[FileDifference, ...]
