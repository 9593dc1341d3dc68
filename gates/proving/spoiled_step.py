"""A copy of a step that a fault may change, and the seal that makes it a stage's own mistake."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewright.gates.protocol import GateContext, GateRequest
from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.state.artifacts import Outcome, read_outcome, seal
from stagewright.state.canonical import digest_file
from stagewright.state.run_copy import own_file
from stagewright.state.snapshot import write_atomically
from stagewright.state.step_request import StepRequest

__all__ = ["SpoiledStep"]


class SpoiledStep:
    """One copy of one step.

    Files are hard links into the first copy, so every change goes through `own` or replaces the file.

    Parameters
    ----------
    asked
        What the gates are asked; its `run` is the copy.

    Attributes
    ----------
    request, outcome, asked
        What a fault may replace; `reseal` writes the first two.
    """

    def __init__(self, asked: GateRequest) -> None:
        self.asked = asked
        self.run = Path(asked.run)
        self.request = StepRequest.model_validate_json((self.run / asked.request).read_bytes())
        self.outcome: Outcome = read_outcome(self.run, asked.artifacts)
        self._earlier: dict[str, Outcome] = {}

    @property
    def stage(self) -> str:
        """The step's stage."""
        return self.request.stage

    @property
    def context(self) -> GateContext:
        """The step as a gate sees it, for a fault that has to know what a gate knows."""
        return GateContext(self.run, self.asked, self.request, self.outcome)

    def has(self, path: PurePosixPath | str) -> bool:
        """Return whether the step itself wrote a file."""
        return any(artifact.path == str(path) for artifact in self.outcome.artifacts)

    def own(self, path: PurePosixPath | str) -> Path:
        """Return a file of the step that may be written to in place.

        Raises
        ------
        DoesNotApply
            When the step did not write such a file.
        """
        if not self.has(path):
            raise DoesNotApply(f"{self.asked.step} wrote no {PurePosixPath(path).name} there")
        return own_file(self.run / path)

    def remove(self, *paths: PurePosixPath | str) -> None:
        """Take files away as if the step had never written them."""
        for path in paths:
            self.own(path).unlink()

    def csv(self, path: PurePosixPath | str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        """Change a table, every field of which is text."""
        place = self.own(path)
        change(pd.read_csv(place, dtype=str, keep_default_na=False)).to_csv(place, index=False, lineterminator="\n")

    def parquet(self, path: PurePosixPath | str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        """Change a table of predictions."""
        place = self.own(path)
        change(pd.read_parquet(place)).to_parquet(place, index=False)

    def json(self, path: PurePosixPath | str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change a JSON object in place."""
        place = self.own(path)
        value = json.loads(place.read_text(encoding="utf-8"))
        change(value)
        place.write_text(json.dumps(value, indent=2), encoding="utf-8")

    def array(self, path: PurePosixPath | str, change: Callable[[NDArray[np.float32]], object]) -> None:
        """Change an array in place."""
        place = self.own(path)
        array = np.load(place)
        change(array)
        np.save(place, array)

    @contextmanager
    def h5ad(self, path: PurePosixPath | str) -> Iterator[h5py.File]:
        """Open an AnnData file to be changed."""
        with h5py.File(self.own(path), "r+") as file:
            yield file

    @contextmanager
    def cohort(self, path: PurePosixPath | str) -> Iterator[h5py.File]:
        """Open an AnnData file to be changed that the step or an earlier one wrote; `reseal` seals that one again.

        Raises
        ------
        DoesNotApply
            When neither wrote such a file.
        """
        if not self.has(path):
            for step, sealed in self.request.upstream.items():
                outcome = read_outcome(self.run, sealed)
                if any(artifact.path == str(path) for artifact in outcome.artifacts):
                    self._earlier[step] = outcome
                    break
            else:
                raise DoesNotApply(f"no step up to {self.asked.step} wrote a {PurePosixPath(path).name} there")
        with h5py.File(own_file(self.run / path), "r+") as file:
            yield file

    def say(self, **changes: object) -> None:
        """Change what the outcome says; the record is checked as it would be when it is read."""
        self.outcome = Outcome.model_validate({**dict(self.outcome), **changes})

    def reseal(self) -> None:
        """Seal the step's files as they are now, as a stage that wrote them so would have.

        Files that are gone are not declared. What was declared of the content of a file that changed is dropped.
        """
        for step, outcome in self._earlier.items():
            listing = self.run / self.request.upstream[step].outcome
            changed = self._as_they_are(outcome)
            write_atomically(listing, changed.model_dump_json(exclude_none=True))
            upstream = {**self.request.upstream, step: seal(self.run, listing, changed)}
            self.request = self.request.model_copy(update={"upstream": upstream})
        self.outcome = self._as_they_are(self.outcome)
        listing, request = self.run / self.asked.artifacts.outcome, self.run / self.asked.request
        write_atomically(listing, self.outcome.model_dump_json(exclude_none=True))
        write_atomically(request, self.request.model_dump_json())
        self.asked = self.asked.model_copy(
            update={
                "artifacts": seal(self.run, listing, self.outcome),
                "request_sha256": digest_file(request),
            }
        )

    def _as_they_are(self, outcome: Outcome) -> Outcome:
        """Return an outcome whose artifacts are the files as they are now."""
        artifacts = []
        for artifact in outcome.artifacts:
            path = self.run / artifact.path
            if not path.is_file():
                continue
            if path.stat().st_nlink > 1:  # still a link into the first copy: what changes a file gives it its own bytes
                artifacts.append(artifact)
                continue
            if (digest := digest_file(path)) != artifact.sha256:
                fresh = {"sha256": digest, "bytes": path.stat().st_size, "shape": None, "columns": None, "obs": None}
                artifact = artifact.model_copy(update=fresh | {"obsm": {}, "varm": {}})  # noqa: PLW2901 - the same file
            artifacts.append(artifact)
        return outcome.model_copy(update={"artifacts": tuple(artifacts)})
