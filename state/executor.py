"""Where the heavy calls of a stage run: the operator's choice, `[executor]` of `stagewright.toml`.

An agent's spec cannot name it. Results do not depend on it.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_serializer, model_validator

from stagewright.state.records import Record
from stagewright.state.spec.strict import Strict
from stagewright.state.units import Seconds

__all__ = ["DASK_EXTRA", "ExecutorChoice", "ExecutorRecord", "TlsFiles", "missing_package"]

DASK_EXTRA = "stagewright[dask]"

Address = Annotated[str, StringConstraints(pattern=r"^(tcp|tls)://[^/\s]+:\d{1,5}$")]


class TlsFiles(Strict):
    """PEM files with which the client of a `tls://` scheduler proves who it is."""

    ca: Path
    certificate: Path
    key: Path


class ExecutorChoice(Strict):
    """The executor of every step under this policy.

    Attributes
    ----------
    kind
        `local`: this machine's threads and processes. `dask`: the workers of a running Dask cluster.
    scheduler
        Where the cluster's scheduler listens, ``tcp://host:port`` or ``tls://host:port``.
    scratch
        A folder that the workers see under the same path, for the memory-mapped inputs of a step; by default the
        attempt's own folder.
    wait
        How long a step waits for the cluster's first worker, and for another one when all are gone.
    tls
        For a ``tls://`` scheduler.
    """

    kind: Literal["local", "dask"] = "local"
    scheduler: Address | None = None
    scratch: Path | None = None
    wait: Seconds = 120.0
    tls: TlsFiles | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "ExecutorChoice":
        if self.kind == "dask" and self.scheduler is None:
            raise ValueError("kind = 'dask' needs scheduler = 'tcp://host:port' (`dask scheduler` prints it)")
        if self.kind == "local" and (self.scheduler or self.scratch or self.tls):
            raise ValueError("scheduler, scratch and tls are for kind = 'dask'; leave them out, or set kind = 'dask'")
        if self.scheduler is not None and self.scheduler.startswith("tls") != (self.tls is not None):
            raise ValueError(
                "a tls:// scheduler needs the table [executor.tls] with ca, certificate and key, and only it"
            )
        return self

    @field_serializer("wait")
    def _wait_with_its_unit(self, wait: float) -> str:
        """Write it as it is read: a bare number has no unit."""
        return f"{wait!r}s"

    @property
    def said(self) -> str:
        """The choice in a few words, e.g. ``dask at tcp://10.0.0.1:8786``."""
        return self.kind if self.scheduler is None else f"{self.kind} at {self.scheduler}"

    def scratch_of(self, own: Path) -> Path:
        """Return where an attempt keeps what the workers read, given the scratch folder of its own.

        Its name in the common folder is made of the run's and the attempt's, so that each attempt has another.
        """
        if self.scratch is None:
            return own
        return self.scratch / "_".join(own.relative_to(own.anchor).parts[-4:])

    def under(self, folder: Path) -> "ExecutorChoice":
        """Return the choice with its relative paths taken from `folder`."""
        tls = self.tls
        if tls is not None:
            tls = TlsFiles(ca=folder / tls.ca, certificate=folder / tls.certificate, key=folder / tls.key)
        scratch = None if self.scratch is None else folder / self.scratch
        return self.model_copy(update={"scratch": scratch, "tls": tls})


class ExecutorRecord(Record):
    """What a step really ran on.

    Attributes
    ----------
    workers
        Calls that could run side by side.
    hosts
        The machines, each with the instruction set for which its linear algebra chose kernels: where those differ, the
        last digits of the results may.
    """

    kind: Literal["local", "dask"]
    workers: int
    scheduler: str | None = None
    hosts: dict[str, str] = Field(default_factory=dict)


def missing_package(choice: ExecutorChoice) -> str | None:
    """Return what has to be installed before this choice can run, None when nothing; nothing is imported."""
    if choice.kind == "dask" and find_spec("distributed") is None:
        return (
            "the operator's policy has executor.kind = 'dask', and the package `distributed` is not installed; "
            f"install the extra in this server's environment: pip install '{DASK_EXTRA}'"
        )
    return None
