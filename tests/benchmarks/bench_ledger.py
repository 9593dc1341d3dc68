"""Committing a ledger entry (chain, fsync, snapshot) against a bare write and fsync of the same bytes, in one run."""

import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from stagewright.state.chain import ChainedLog
from stagewright.state.clock import stamp

RUNS = 200
FIELDS = {"step": "A/plan0", "event": "attempt_started", "message": "A/plan0 attempt 1 started", "directory": "x" * 400}


def main() -> list[dict[str, object]]:
    """Return the measured ratio with its goal."""
    with tempfile.TemporaryDirectory() as folder:
        log, bare = ChainedLog(Path(folder) / "chained.log"), Path(folder) / "bare.log"
        at = stamp(datetime.now(UTC))
        log.append(at, FIELDS)
        line = log.path.read_bytes()
        pairs = [(_append(log, at), _write(bare, line)) for _ in range(RUNS)]
    ratio = statistics.median(chained for chained, _ in pairs) / statistics.median(plain for _, plain in pairs)
    return [
        {"name": "chained append / bare write+fsync", "value": round(ratio, 2), "goal": "<= 3", "holds": ratio <= 3},
    ]


def _append(log: ChainedLog, at: str) -> float:
    started = time.perf_counter()
    log.append(at, FIELDS)
    return time.perf_counter() - started


def _write(path: Path, line: bytes) -> float:
    started = time.perf_counter()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, line)
    os.fsync(fd)
    os.close(fd)
    return time.perf_counter() - started


if __name__ == "__main__":
    print(main())
