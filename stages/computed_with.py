"""Tell what this process computed with, once it has: only then is the linear algebra loaded that it used."""

import os
import sys

from stagewright.state.computed_with import BlasLibrary, ComputedWith
from stagewright.state.machine import this_machine
from stagewright.state.packages import own_code_digest, package_versions
from stagewright.state.threads import PINNED_THREADS

__all__ = ["computed_with"]


def computed_with() -> ComputedWith:
    """Return versions, loaded linear algebra, thread settings and processor of this process."""
    machine = this_machine()
    return ComputedWith(
        python=sys.version.split()[0],
        code_sha256=own_code_digest(),
        packages={name: found for name, found in package_versions().items() if found is not None},
        blas=_loaded_blas(),
        threads={name: value for name in PINNED_THREADS if (value := os.environ.get(name, "")).isdigit()},
        cpu=machine.cpu,
        cpu_features=machine.cpu_features,
    )


def _loaded_blas() -> tuple[BlasLibrary, ...]:
    if "numpy" not in sys.modules:  # a command's worker: it loaded none
        return ()
    from threadpoolctl import threadpool_info  # noqa: PLC0415 - as above

    found = [
        BlasLibrary(
            name=str(pool["internal_api"]),
            version=pool.get("version"),
            kernels=pool.get("architecture"),
            threads=pool.get("num_threads"),
        )
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
    once = {library.model_dump_json(): library for library in found}  # numpy and scipy may each bring the same
    return tuple(once[text] for text in sorted(once))
