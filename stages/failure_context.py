"""Where a failure happened: the machine, the packages and the limits, in `context.json` of the attempt."""

import os
import platform
import shutil
import socket
import sys
from pathlib import Path

import psutil
from pydantic import JsonValue

from stagewright.stages.worker_process import WorkerEnding
from stagewright.state.packages import package_versions
from stagewright.state.records import Resources
from stagewright.state.step_request import StepRequest
from stagewright.state.threads import PINNED_THREADS

__all__ = ["failure_context", "resources_of"]


def resources_of(ending: WorkerEnding, request: StepRequest, folder: Path) -> Resources:
    """Return what an attempt had used, and what there was."""
    return Resources(
        elapsed_s=round(ending.elapsed_s, 3),
        peak_rss_bytes=ending.peak_rss_bytes,
        runtime_left_s=round(request.limits.runtime_s, 3),
        memory_limit_bytes=request.limits.memory_bytes,
        memory_available_bytes=psutil.virtual_memory().available,
        disk_free_bytes=shutil.disk_usage(folder).free,
        output_bytes=ending.output_bytes,
        exit_status=ending.exit_status,
    )


def failure_context(request: StepRequest, resources: Resources) -> dict[str, JsonValue]:
    """Return what somebody who mends a failure elsewhere has to know of the place."""
    versions: dict[str, JsonValue] = {name: found for name, found in package_versions().items() if found is not None}
    load: list[JsonValue] = [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else []
    return {
        "step": request.step,
        "attempt": request.attempt,
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "packages": versions,
        "cpus": os.cpu_count(),
        "load": load,
        "workers": request.workers,
        "threads": {name: os.environ.get(name) for name in PINNED_THREADS},
        "resources": resources.model_dump(mode="json", exclude_none=True),
    }
