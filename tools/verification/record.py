"""The logs of a run, each read once, and the ledger folded."""

from dataclasses import dataclass

from stagewright.state.ledger import DETAIL_LOGS
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.verification.fold import LEDGER, FoldedLedger, fold_ledger
from stagewright.tools.verification.read_log import ReadLog, read_log

__all__ = ["ReadRecord", "read_details", "read_ledger"]

ENTRIES_NEEDED = ("validation",)
"""Of the logs beside the ledger, those whose entries are compared with it; of the others only their hashes are."""


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """The four logs of a run.

    Attributes
    ----------
    ledger
        The ledger, line by line.
    folded
        Its events, as far as it holds.
    details
        The other logs by name.
    """

    ledger: ReadLog
    folded: FoldedLedger
    details: dict[str, ReadLog]


def read_ledger(run: RunDirectory) -> tuple[ReadLog, FoldedLedger]:
    """Read and fold the ledger. It comes first: what it anchors is in the other logs by then."""
    ledger = read_log(run.log("agent_run"), LEDGER, keep_entries=True)
    return ledger, fold_ledger(run, ledger)


def read_details(run: RunDirectory) -> dict[str, ReadLog]:
    """Read the logs beside the ledger."""
    return {
        name: read_log(run.log(name), f"logs/{name}.log", keep_entries=name in ENTRIES_NEEDED) for name in DETAIL_LOGS
    }
