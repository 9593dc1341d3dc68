"""What the worker of an attempt computed with: sealed with its outcome, because it may differ from what planned."""

from pydantic import Field

from stagewright.state.records import Record, Sha256

__all__ = ["BlasLibrary", "ComputedWith"]


class BlasLibrary(Record):
    """A linear algebra library that was loaded, and the kernels that it chose for the processor."""

    name: str
    version: str | None = None
    kernels: str | None = None
    threads: int | None = None


class ComputedWith(Record):
    """The software and the processor behind an outcome.

    Attributes
    ----------
    code_sha256
        Of the product's own code.
    packages
        Those that are installed, with their versions.
    blas
        Those that the step loaded; none for a step that computes nothing itself.
    threads
        The variables that hold linear algebra to a number of threads.
    """

    python: str
    code_sha256: Sha256
    packages: dict[str, str]
    blas: tuple[BlasLibrary, ...] = ()
    threads: dict[str, str] = Field(default_factory=dict)
    cpu: str | None = None
    cpu_features: tuple[str, ...] = ()
