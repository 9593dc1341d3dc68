"""What `stagewright doctor` looks at: one function a subject, each gives its checks with how to mend what is wrong."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import psutil

from stagewright import __version__
from stagewright.server.cli.check import Check
from stagewright.server.cli.executor_health import check_executor
from stagewright.server.cli.gate_health import check_gates
from stagewright.server.cli.lock_health import check_locks
from stagewright.server.cli.privacy_health import check_privacy
from stagewright.server.config import find_policy, load_policy
from stagewright.state.kernel_report import KernelReport, WarmRequest
from stagewright.state.refusals import Refusal
from stagewright.state.units import format_bytes, format_seconds
from stagewright.tools.children import ChildFailed, ask_child
from stagewright.tools.workspace import Workspace

__all__ = ["examine"]

OLDEST, NEWEST = (3, 11), (3, 13)
LITTLE_MEMORY = 2 * 2**30
LITTLE_DISK = 5 * 2**30
TIMEOUT_S = 300.0


def examine(root: Path, policy: Path | None) -> Iterator[Check]:
    """Yield every check of this machine and of a root, the quick ones first."""
    yield _python()
    yield from _packages()
    yield _cores()
    yield _memory()
    yield _disk(root)
    yield _writable(root)
    yield from check_locks(root)
    yield _policy(root, policy)
    yield from _executor(root, policy)
    yield from _gates(root, policy)
    yield from _privacy(root, policy)
    yield _kernels()


def _python() -> Check:
    found = f"{sys.version.split()[0]} at {sys.executable}"
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return Check("python", "ok", found)
    return Check("python", "fail", found, "install Python 3.11, 3.12 or 3.13 and make the environment anew with it")


def _packages() -> Iterator[Check]:
    """Compare the packages that are installed with those that stagewright declares."""
    yield Check("stagewright", "ok", __version__)
    try:
        declared = [text for text in metadata.requires("stagewright") or [] if "extra ==" not in text]
    except metadata.PackageNotFoundError:
        yield Check("packages", "warn", "stagewright is not installed as a package", "pip install it, or make setup")
        return
    versions, missing = [], []
    for text in declared:
        name = _package_name(text)
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    sdk = next((item for item in versions if item.startswith("mcp ")), None)
    if sdk is not None:
        yield Check("mcp sdk", "ok", sdk.removeprefix("mcp "))
    others = ", ".join(item for item in versions if item != sdk)
    yield Check("packages", "ok", others)
    if missing:
        yield Check("packages", "fail", f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")


def _package_name(requirement: str) -> str:
    """Return the name at the start of a requirement.

    >>> _package_name("mcp<3,>=2.1.1")
    'mcp'
    """
    end = next((at for at, letter in enumerate(requirement) if not (letter.isalnum() or letter in "-_.")), None)
    return requirement[:end]


def _cores() -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check("cores", "ok", f"{usable} of {os.cpu_count()} usable")


def _memory() -> Check:
    memory = psutil.virtual_memory()
    found = f"{format_bytes(memory.available)} free of {format_bytes(memory.total)}"
    if memory.available < LITTLE_MEMORY:
        return Check("memory", "warn", found, "end other programs, or set budget.memory in the spec to what is free")
    return Check("memory", "ok", found)


def _disk(root: Path) -> Check:
    usage = shutil.disk_usage(root)
    found = f"{format_bytes(usage.free)} free of {format_bytes(usage.total)} under {root}"
    if usage.free < LITTLE_DISK:
        return Check("disk", "warn", found, "free space, or name a root on another disk with --root")
    return Check("disk", "ok", found)


def _writable(root: Path) -> Check:
    try:
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"stagewright")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Check("root", "fail", f"{root} cannot be written: {error}", "mend its permissions, or name another root")
    return Check("root", "ok", f"{root} can be written")


def _policy(root: Path, given: Path | None) -> Check:
    try:
        path = find_policy(root, given)
        policy = load_policy(root, given)
    except Refusal as refusal:
        return Check("policy", "fail", refusal.message, "mend the places that are named")
    caps = policy.caps
    said = (
        f"runtime {format_seconds(caps.runtime)}, memory {format_bytes(caps.memory)}, workers {caps.workers}, "
        f"output {format_bytes(caps.output)}, "
        f"retries {caps.retries}, runs {caps.runs}; commands: {', '.join(policy.commands) or 'none'}; "
        f"data roots: {', '.join(map(str, policy.data_roots)) or 'only the root'}; executor: {policy.executor.said}"
    )
    return Check("policy", "ok", f"{path if path is not None else 'no file, defaults'}: {said}")


def _executor(root: Path, given: Path | None) -> Iterator[Check]:
    with suppress(Refusal):  # a wrong policy is a finding already
        yield from check_executor(load_policy(root, given).executor, root)


def _gates(root: Path, given: Path | None) -> Iterator[Check]:
    with suppress(Refusal):  # a wrong policy is a finding already
        yield from check_gates(load_policy(root, given))


def _privacy(root: Path, given: Path | None) -> Iterator[Check]:
    with suppress(Refusal):  # a wrong policy is a finding already
        yield from check_privacy(Workspace(root=root, policy=load_policy(root, given), trusted=True))


def _kernels() -> Check:
    report: KernelReport | None = None
    try:
        for answer in ask_child("stagewright.stages", "warm", WarmRequest(), KernelReport, TIMEOUT_S):
            if isinstance(answer, KernelReport):
                report = answer
    except ChildFailed as error:
        mend = "make the environment anew from requirements/runtime.txt: its numerical packages do not work together"
        if "no locator available" in str(error):
            mend = "set NUMBA_CACHE_DIR to a folder that can be written, for the compiled kernels"
        return Check("kernels", "fail", error.last_line, mend)
    if report is None:
        raise RuntimeError("a child answers or fails")
    how = "are warm" if not report.compiled else f"had to be compiled ({report.compiled}), and are warm now"
    where = ", ".join(report.folders)
    return Check("kernels", "ok", f"{how} ({format_seconds(round(report.elapsed_s, 2))}), in {where}")
