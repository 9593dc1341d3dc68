"""Whether file locks work where the runs lie: they keep two servers from moving one run at the same time."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import psutil
from filelock import lock_descriptor

from stagewright.server.cli.check import Check

__all__ = ["check_locks"]

NETWORK = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "afs", "9p", "glusterfs", "fuse.sshfs", "davfs")
LOCAL_LOCKS = ("nolock", "local_lock=all", "local_lock=flock", "localflock", "noflock", "nobrl")
"""Mount options with which each machine sees its own locks only."""

ALWAYS_LOCAL = ("fuse.sshfs", "davfs")
TRY_LOCK = (
    "import os, sys; from filelock import lock_descriptor; "
    "sys.exit(0 if lock_descriptor(os.open(sys.argv[1], os.O_RDWR), blocking=False) else 7)"
)
HELD = 7
MEND = "put the root on a local disk, or on a file system that is mounted with locks (NFS: without nolock, local_lock)"


class _Mount(Protocol):
    """What is read of a partition; psutil keeps its own type in a private module."""

    @property
    def mountpoint(self) -> str: ...
    @property
    def fstype(self) -> str: ...
    @property
    def opts(self) -> str: ...


def check_locks(root: Path) -> Iterator[Check]:
    """Hold a lock in the root and let another process try for it; say which network file system the root lies on."""
    yield _two_processes(root)
    mount = _mount_of(root)
    if mount is not None and mount.fstype.startswith(NETWORK):
        yield _network(mount.fstype, mount.opts, mount.mountpoint)


def _two_processes(root: Path) -> Check:
    name = "file locks"
    try:
        with tempfile.NamedTemporaryFile(dir=root, prefix=".lock-") as file:
            if not lock_descriptor(file.fileno(), blocking=False):
                return Check(name, "fail", "a fresh file cannot be locked", MEND)
            while_held = _other_process(file.name)
        with tempfile.NamedTemporaryFile(dir=root, prefix=".lock-") as file:
            while_free = _other_process(file.name)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, "fail", f"do not work in {root}: {error}", MEND)
    if while_held != HELD:
        return Check(name, "fail", f"two processes held one lock in {root} (status {while_held})", MEND)
    if while_free != 0:
        return Check(name, "fail", f"another process cannot lock a file in {root} (status {while_free})", MEND)
    return Check(name, "ok", "held by one process, refused to another, free again when it ends")


def _network(kind: str, options: str, where: str) -> Check:
    """Judge a network file system by how it is mounted: another machine cannot be asked from here."""
    local = [option for option in options.split(",") if option.startswith(LOCAL_LOCKS)]
    if local or kind in ALWAYS_LOCAL:
        why = f"mounted with {', '.join(local)}" if local else "without locks between machines"
        found = f"{where} is {kind}, {why}: another machine does not see this one's locks"
        return Check("network disk", "fail", found, f"work on its runs from one machine only, or {MEND}")
    found = f"{where} is {kind}: locks hold between machines only if its server grants them"
    mend = "work on one run from one machine, or run the doctor on both at once to see"
    return Check("network disk", "warn", found, mend)


def _mount_of(root: Path) -> _Mount | None:
    """Return the mount on which a folder lies."""
    place = root.resolve()
    mounts = [mount for mount in psutil.disk_partitions(all=True) if place.is_relative_to(mount.mountpoint)]
    return max(mounts, key=lambda mount: len(Path(mount.mountpoint).parts), default=None)


def _other_process(path: str) -> int:
    command = [sys.executable, "-P", "-c", TRY_LOCK, path]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)  # noqa: S603 - a fixed program, no shell
    return done.returncode
