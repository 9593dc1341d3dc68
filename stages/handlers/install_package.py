"""A package that is missing or broken: name what to install, and the extra of ours that holds it."""

import re
from collections.abc import Iterator
from importlib import metadata

from stagewright.stages.handlers.case import FailedCase
from stagewright.state.records import Proposal

__all__ = ["install_package"]

MODULE = re.compile(r"No module named '([^'.]+)|cannot import name '[^']+' from '([^'.]+)")
EXTRA = re.compile(r"""extra\s*==\s*['"]([\w-]+)['"]""")
NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
DISTRIBUTIONS = {
    "PIL": "pillow",
    "dateutil": "python-dateutil",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "skmisc": "scikit-misc",
    "umap": "umap-learn",
    "yaml": "pyyaml",
}
"""What is installed under another name than it is imported by."""


def install_package(case: FailedCase) -> Iterator[Proposal]:
    """Propose to open the step again once the package is there."""
    if case.failure.kind != "package":
        return
    found = MODULE.search(case.failure.error)
    if found is None:
        first = "repair the installation that the error names, in the environment of this server"
    else:
        name = _distribution(found[1] or found[2])
        extra = _extra_with(name)
        wanted = name if extra is None else f"'stagewright[{extra}]'"
        first = f"install {name} in the environment of this server: pip install {wanted}"
    yield Proposal(what="open the step again, with the package installed", adjustments={}, first=first)


def _distribution(module: str) -> str:
    return DISTRIBUTIONS.get(module, module.replace("_", "-"))


def _extra_with(distribution: str) -> str | None:
    """Return the extra of this package that asks for a distribution, if one does."""
    try:
        needed = metadata.requires("stagewright") or []
    except metadata.PackageNotFoundError:
        return None
    for line in needed:
        name, extra = NAME.match(line), EXTRA.search(line)
        if name is not None and extra is not None and name[0].lower().replace("_", "-") == distribution.lower():
            return extra[1]
    return None
