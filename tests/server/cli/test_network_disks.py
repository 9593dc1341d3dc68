"""The doctor names a network disk on which another machine does not see this one's locks."""

from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from stagewright.server.cli.lock_health import check_locks

Mount = namedtuple("Mount", "device mountpoint fstype opts")  # noqa: PYI024 - what psutil gives


@pytest.mark.parametrize(
    ("kind", "options", "verdict", "said"),
    [
        ("nfs4", "rw,vers=4.2,local_lock=none", "warn", "locks hold between machines only if its server grants them"),
        ("nfs", "rw,nolock", "fail", "mounted with nolock: another machine does not see this one's locks"),
        ("nfs", "rw,local_lock=all", "fail", "mounted with local_lock=all"),
        ("lustre", "rw,localflock", "fail", "mounted with localflock"),
        ("fuse.sshfs", "rw", "fail", "without locks between machines"),
        ("ext4", "rw", None, ""),
    ],
)
def test_how_the_root_is_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: str, verdict: str | None, said: str
) -> None:
    """The innermost mount counts; a local disk needs no word beside that locks work."""
    mounts = [Mount("root", "/", "ext4", "rw"), Mount("server:/data", str(tmp_path), kind, options)]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    folder = tmp_path / "root"
    folder.mkdir()
    locks, *network = check_locks(folder)
    assert (locks.name, locks.verdict) == ("file locks", "ok")
    assert [check.verdict for check in network] == ([] if verdict is None else [verdict])
    assert all(said in check.found and check.mend for check in network)
