"""What other packages register as entry points of one of our groups: the names, the packages, the objects.

Asking for names loads nothing. Loading runs a package's code, so it is for children only.
"""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

__all__ = ["PackageUnusable", "Registered"]


class PackageUnusable(ImportError):  # noqa: N818 - names the state of the package, as Refusal names the reply
    """What a package registers cannot be loaded or does not keep to the protocol; the text names the package."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A group of entry points.

    Attributes
    ----------
    group
        Its name in a pyproject.toml.
    kind
        What is registered there, as one word of a sentence.
    needs
        The attributes that each object has.
    """

    group: str
    kind: str
    needs: tuple[str, ...]

    def names(self) -> list[str]:
        """Return the registered names, without loading anything."""
        return sorted({point.name for point in entry_points(group=self.group)})

    def versions(self, name: str) -> str:
        """Return the packages that register a name, with their versions, e.g. ``ica 1.2``."""
        known = [point.dist for point in self._points(name) if point.dist is not None]
        return ", ".join(sorted(f"{dist.name} {dist.version}" for dist in known)) or "unknown"

    def load(self, name: str) -> object:
        """Load what is registered under a name; of a class, an object without arguments.

        Raises
        ------
        PackageUnusable
            Nothing is registered under the name, two packages do it, it cannot be imported, or it lacks something.
        """
        points = self._points(name)
        if not points:
            raise PackageUnusable(
                f"No package registers a {self.kind} {name!r}; registered: {', '.join(self.names()) or 'none'}"
            )
        packages = sorted({_package(point) for point in points})
        if len(packages) > 1:
            both = ", ".join(packages)
            raise PackageUnusable(f"The packages {both} all register a {self.kind} {name!r}; keep one of them")
        try:
            loaded = points[0].load()
            made: object = loaded() if isinstance(loaded, type) else loaded
        except Exception as error:
            why = f"cannot be loaded ({type(error).__name__}: {error}); repair or remove the package"
            raise self.unusable(name, why) from error
        lacking = [attribute for attribute in self.needs if not hasattr(made, attribute)]
        if lacking:
            raise self.unusable(name, f"lacks {', '.join(lacking)}")
        return made

    def unusable(self, name: str, why: str) -> PackageUnusable:
        """Return the error for what is registered under a name; `why` goes on from its name and its package."""
        packages = " and ".join(sorted({_package(point) for point in self._points(name)}))
        return PackageUnusable(f"The {self.kind} {name!r} of the package {packages} {why}")

    def _points(self, name: str) -> list[EntryPoint]:
        return [*entry_points(group=self.group, name=name)]


def _package(point: EntryPoint) -> str:
    return point.value if point.dist is None else point.dist.name
