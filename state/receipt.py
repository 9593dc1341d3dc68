"""A receipt: what a run's record was at one moment, short enough for a commit message or a lab book.

A directory that was rewritten as a whole holds together. It does not agree with a receipt that was kept elsewhere: the
receipt names the last entry of each log with its hash, and every entry before is in that hash.

The text has one form, and its last line is the sha256 over the lines before it. The same record gives the same text.
"""

import hashlib
import re
from dataclasses import dataclass

from stagewright.state.chain import Head

__all__ = ["Receipt", "WrittenReceipt", "digest_artifacts", "one_line", "read_receipt"]

TITLE = "stagewright receipt"
VERSION = 1
OBJECTIVE_CHARS = 100
LOGS = ("agent_run", "validation", "decision", "tool_calls")
BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
LINES = {
    "run": r"(\S+)",
    "objective": r"(.*)",
    "status": r"(\S+) at (\S+)",
    "time": r"(\S+)",
    **{f"{name}.log": r"(\d+) ([0-9a-f]{64})" for name in LOGS},
    "artifacts": r"(\d+) ([0-9a-f]{64})",
    "spec": r"([0-9a-f]{64})",
    "data": r"([0-9a-f]{64})",
    "digest": r"([0-9a-f]{64})",
}
"""What each line after the first begins with, and what follows."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a run's record was.

    Attributes
    ----------
    objective
        In one line, cut where it is long.
    time
        Of the newest entry of the four logs.
    heads
        The last entry of each log.
    n_artifacts, artifacts_sha256
        The sealed artifacts (`digest_artifacts`).
    spec_sha256, data_sha256
        Of spec.yaml, and of the data file as it was when the run was planned.
    """

    run_id: str
    objective: str
    status: str
    step: str
    time: str
    heads: dict[str, Head]
    n_artifacts: int
    artifacts_sha256: str
    spec_sha256: str
    data_sha256: str

    def text(self) -> str:
        """Return the receipt as it is printed."""
        lines = [
            f"{TITLE} {VERSION}",
            f"run {self.run_id}",
            f"objective {self.objective}",
            f"status {self.status} at {self.step}",
            f"time {self.time}",
            *(f"{name}.log {self.heads[name].seq} {self.heads[name].hash}" for name in LOGS),
            f"artifacts {self.n_artifacts} {self.artifacts_sha256}",
            f"spec {self.spec_sha256}",
            f"data {self.data_sha256}",
        ]
        above = "".join(f"{line}\n" for line in lines)
        return f"{above}digest {hashlib.sha256(above.encode()).hexdigest()}\n"


@dataclass(frozen=True, slots=True)
class WrittenReceipt:
    """A receipt as it was found in a text, and the SSH signature that follows it there, if one does."""

    receipt: Receipt
    signature: str | None


def digest_artifacts(sealed: dict[str, str]) -> str:
    """Return the sha256 over what `sha256sum` prints of the artifacts, ordered by the bytes of their paths.

    Parameters
    ----------
    sealed
        The sha256 of each artifact by its path in the run directory.
    """
    ordered = sorted(sealed.items(), key=lambda item: item[0].encode())
    return hashlib.sha256("".join(f"{digest}  {path}\n" for path, digest in ordered).encode()).hexdigest()


def one_line(objective: str) -> str:
    r"""Return an objective as a receipt names it.

    >>> one_line("Does it\n  hold?")
    'Does it hold?'
    """
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in objective).split())
    return words if len(words) <= OBJECTIVE_CHARS else words[:OBJECTIVE_CHARS].rstrip() + "..."


def read_receipt(text: str) -> WrittenReceipt:
    """Find the receipt in a text, which may stand before and after it, such as a commit message, indented or not.

    Raises
    ------
    ValueError
        When there is none, more than one, or one that was changed; says what is wrong with it.
    """
    lines = [line.strip() for line in text.splitlines()]
    starts = [number for number, line in enumerate(lines) if re.fullmatch(rf"{TITLE} \d+", line)]
    if len(starts) != 1:
        raise ValueError(f"holds {len(starts) or 'no'} receipts; one begins with the line '{TITLE} {VERSION}'")
    if lines[starts[0]] != f"{TITLE} {VERSION}":
        raise ValueError(f"holds a receipt of another version; this one reads '{TITLE} {VERSION}'")
    body = lines[starts[0] + 1 :]
    found: dict[str, tuple[str, ...]] = {}
    for name, form in LINES.items():
        line = body[len(found)] if len(found) < len(body) else "its end"
        matched = re.fullmatch(rf"{re.escape(name)} {form}", line)
        if matched is None:
            raise ValueError(f"holds no whole receipt: where the line '{name} ...' belongs it has '{line[:60]}'")
        found[name] = matched.groups()
    receipt = Receipt(
        run_id=found["run"][0],
        objective=found["objective"][0],
        status=found["status"][0],
        step=found["status"][1],
        time=found["time"][0],
        heads={name: Head(int(found[f"{name}.log"][0]), found[f"{name}.log"][1]) for name in LOGS},
        n_artifacts=int(found["artifacts"][0]),
        artifacts_sha256=found["artifacts"][1],
        spec_sha256=found["spec"][0],
        data_sha256=found["data"][0],
    )
    if receipt.text().splitlines()[-1] != f"digest {found['digest'][0]}":
        raise ValueError("was changed after it was printed: its last line is not the sha256 over the lines before it")
    return WrittenReceipt(receipt, _signature(body[len(found) :]))


def _signature(after: list[str]) -> str | None:
    if BEGIN not in after:
        return None
    begin = after.index(BEGIN)
    if END not in after[begin:]:
        raise ValueError(f"holds a signature that does not end: the line '{END}' is missing")
    return "".join(f"{line}\n" for line in after[begin : begin + after[begin:].index(END) + 1])
