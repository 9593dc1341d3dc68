"""What a child process is asked about files that ought to be the same, and what it answers."""

from stagewright.state.records import Record

__all__ = ["FilePair", "FilesAnswer", "FilesQuestion"]


class FilePair(Record):
    """Two files, by absolute paths, and the name under which they are told of."""

    name: str
    one: str
    other: str


class FilesQuestion(Record):
    """By how much does each pair differ."""

    pairs: tuple[FilePair, ...]


class FilesAnswer(Record):
    """For each pair, in words: where it differs and by how much."""

    differences: dict[str, str]
