"""Compile every kernel, or load it from the cache, so that no stage waits for it.

A module with kernels imports numba and has a function `warm` that calls each of its kernels, with arguments of the
types that the stages use. Kernels stand in one file with the kernels that they call: the cache of a function is thrown
away when its own file changes, and not when another does.
"""

import re
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from stagewright.state.kernel_report import KernelReport

__all__ = ["kernel_modules", "kernels_of", "warm_kernels"]

ROOM = Path(__file__).parent
IMPORTS_NUMBA = re.compile(r"^\s*(import|from) numba\b", re.MULTILINE)


def kernel_modules() -> list[str]:
    """Return the names of the modules of this room that have kernels, found in their text: none is imported."""
    return [
        ".".join((__package__ or "", *path.relative_to(ROOM).with_suffix("").parts))
        for path in sorted(ROOM.rglob("*.py"))
        if path != Path(__file__) and IMPORTS_NUMBA.search(path.read_text(encoding="utf-8"))
    ]


def kernels_of(module: ModuleType) -> dict[str, Any]:
    """Return the compiled functions of a module by name."""
    from numba.core.registry import CPUDispatcher  # noqa: PLC0415 - as late as the modules with kernels import it

    return {name: value for name, value in vars(module).items() if isinstance(value, CPUDispatcher)}


def warm_kernels() -> KernelReport:
    """Warm every kernel; about a minute the first time, one or two seconds later.

    Raises
    ------
    RuntimeError
        When no folder for the cache can be written.
    """
    started = time.perf_counter()
    loaded = compiled = 0
    folders: dict[str, None] = {}
    for name in kernel_modules():
        module = import_module(name)
        module.warm()
        for kernel in kernels_of(module).values():
            loaded += sum(kernel.stats.cache_hits.values())
            compiled += sum(kernel.stats.cache_misses.values())
            folders[kernel.stats.cache_path] = None
    return KernelReport(
        loaded=loaded, compiled=compiled, folders=tuple(folders), elapsed_s=time.perf_counter() - started
    )
