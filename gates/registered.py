"""Gates that other packages register, as entry points of the group `stagewright.gates`.

In the package's pyproject.toml::

    [project.entry-points."stagewright.gates"]
    doublets = "my_package.doublets:DoubletGate"

The value is an object, or a class without arguments, with what `RegisteredGate` says; a function with the attributes
`stages` and `purpose` is one. The gate's name is the entry point's. It is loaded in the gates' child only: the server
asks for names.
"""

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, cast, runtime_checkable

from stagewright.gates.code_digest import object_digest
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.custom_gate import SealedGate

__all__ = ["GROUP", "GateUnusable", "RegisteredGate", "load_registered", "registered_names", "seal_registered"]

GROUP = "stagewright.gates"


class GateUnusable(ImportError):  # noqa: N818 - names the state of the gate
    """A registered gate cannot be loaded or does not keep to the protocol; the text names its package."""


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
    return sorted({point.name for point in entry_points(group=GROUP)})


def load_registered(name: str) -> RegisteredGate:
    """Load a registered gate.

    Raises
    ------
    GateUnusable
        It is not registered, registered by two packages, cannot be imported, or lacks something.
    """
    points = [*entry_points(group=GROUP, name=name)]
    if not points:
        raise GateUnusable(f"no package registers a gate {name!r}; registered: {registered_names() or 'none'}")
    packages = sorted({_package(point) for point in points})
    if len(packages) > 1:
        raise GateUnusable(f"the packages {', '.join(packages)} all register a gate {name!r}; keep one of them")
    try:
        loaded = points[0].load()
        gate = loaded() if isinstance(loaded, type) else loaded
    except Exception as error:
        raise GateUnusable(
            f"the gate {name!r} of the package {packages[0]} cannot be loaded ({type(error).__name__}: {error}); "
            "repair the package"
        ) from error
    lacking = [one for one in ("stages", "purpose") if not hasattr(gate, one)]
    if not callable(gate) or lacking:
        raise GateUnusable(f"the gate {name!r} of the package {packages[0]} lacks {', '.join(lacking) or '__call__'}")
    stages: object = getattr(gate, "stages", None)
    if not isinstance(stages, tuple | list) or not all(isinstance(stage, str) for stage in stages):
        raise GateUnusable(f"the gate {name!r} of the package {packages[0]}: stages is no tuple of names")
    return cast("RegisteredGate", gate)


def seal_registered(name: str) -> SealedGate:
    """Return what a run seals of a registered gate.

    Raises
    ------
    GateUnusable
        As `load_registered`, and when it has no source.
    """
    gate = load_registered(name)
    try:
        digest = object_digest(gate)
    except (OSError, TypeError) as error:
        raise GateUnusable(f"the gate {name!r} has no source file that could be sealed: {error}") from error
    purpose = str(gate.purpose)
    return SealedGate(name=name, kind="package", stages=tuple(gate.stages), purpose=purpose, code_sha256=digest)


def _package(point: EntryPoint) -> str:
    return point.value if point.dist is None else point.dist.name
