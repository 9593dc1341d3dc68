"""Gates that other packages register, as entry points of the group `stagewright.gates`.

In the package's pyproject.toml::

    [project.entry-points."stagewright.gates"]
    doublets = "my_package.doublets:DoubletGate"

The value is an object, or a class without arguments, with what `RegisteredGate` says; a function with the attributes
`stages` and `purpose` is one. The gate's name is the entry point's. It is loaded in the gates' child only: the server
asks for names.
"""

from collections.abc import Iterator
from typing import Protocol, cast, runtime_checkable

from stagewright.gates.code_digest import object_digest
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.custom_gate import SealedGate
from stagewright.state.registered import Registered

__all__ = ["RegisteredGate", "load_registered", "registered_names", "seal_registered"]

GATES = Registered("stagewright.gates", "gate", ("stages", "purpose", "__call__"))


@runtime_checkable
class RegisteredGate(Protocol):
    """What a registered gate has.

    Attributes
    ----------
    stages
        Names of the stages it judges; empty for every stage, commands of the operator included.
    purpose
        When it opens, in half a sentence, as the built-in ones have it.
    """

    stages: tuple[str, ...]
    purpose: str

    def __call__(self, context: GateContext) -> Iterator[Finding]:
        """Look at one step's sealed artifacts and yield at least one finding, under the gate's name.

        It only reads. It believes nothing that it can recompute from the files of `context.run`.
        """
        ...


def registered_names() -> list[str]:
    """Return the names of the registered gates, without loading any."""
    return GATES.names()


def load_registered(name: str) -> RegisteredGate:
    """Load a registered gate.

    Raises
    ------
    PackageUnusable
        It is not registered, registered by two packages, cannot be imported, or lacks something.
    """
    gate = GATES.load(name)
    stages: object = getattr(gate, "stages", None)
    if not isinstance(stages, tuple | list) or not all(isinstance(stage, str) for stage in stages):
        raise GATES.unusable(name, "has stages that are no tuple of names")
    return cast("RegisteredGate", gate)


def seal_registered(name: str) -> SealedGate:
    """Return what a run seals of a registered gate.

    Raises
    ------
    PackageUnusable
        As `load_registered`, and when it has no source.
    """
    gate = load_registered(name)
    try:
        digest = object_digest(gate)
    except (OSError, TypeError) as error:
        raise GATES.unusable(name, f"has no source file that could be sealed: {error}") from error
    purpose = str(gate.purpose)
    return SealedGate(name=name, kind="package", stages=tuple(gate.stages), purpose=purpose, code_sha256=digest)
