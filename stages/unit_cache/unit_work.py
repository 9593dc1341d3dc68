"""What a unit of work gets: the result of an earlier one, or a place for its own."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from pydantic import JsonValue

from stagewright.state.artifacts import Artifact, ArtifactWriter

__all__ = ["UnitWork"]


class UnitWork:
    """One unit at work, or its earlier result.

    Attributes
    ----------
    reused
        Whether there is an earlier result: then nothing is left to do but to read it.
    folder
        Where the unit's files lie.
    value
        What the unit gives beside its files, as JSON; to be set by a unit that is not reused.
    placed
        The artifacts of the step that the unit's files became.
    """

    def __init__(
        self, folder: Path, *, reused: bool = False, value: JsonValue = None, artifacts: tuple[Artifact, ...] = ()
    ) -> None:
        self.folder = folder
        self.reused = reused
        self.value = value
        self.placed: list[str] = []
        self.refused: OSError | None = None
        self._stored = artifacts
        self._writer = ArtifactWriter(folder)

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The unit's files, with paths relative to `folder`."""
        return self._stored if self.reused else self._writer.artifacts()

    def write(self, save: Callable[[ArtifactWriter], object]) -> None:
        """Let `save` write the unit's files, into `folder`.

        A disk that refuses is not an error yet: the result is at hand, and is only not kept. It is one as soon as the
        files are wanted as artifacts (`put_into`).
        """
        try:
            save(self._writer)
        except OSError as error:
            self.refused = error

    def put_into(self, artifacts: ArtifactWriter, place: PurePosixPath) -> None:
        """Make the unit's files artifacts of the step, below `place`.

        Raises
        ------
        OSError
            When the disk did not take the files, or does not take the artifacts.
        """
        if self.refused is not None:
            raise self.refused
        adopted = artifacts.adopt(place, self.folder, self.artifacts)
        self.placed += [artifact.path for artifact in adopted]
