"""Hear that a run was stopped, from its ledger and from nothing else: what was decided holds, whoever died after it."""

from stagewright.state.ledger import Ledger
from stagewright.state.refusals import LedgerCorrupt

__all__ = ["StopHeard"]


class StopHeard:
    """Whether a run was stopped. Asking costs a look at the ledger's size until that grows.

    Parameters
    ----------
    ledger
        Of the run.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._size = -1  # the first look reads: the run may have been stopped before this process began
        self._stopped = False

    def __call__(self) -> bool:
        """Return whether the run was stopped."""
        size = self._ledger.log.size()
        if not self._stopped and size != self._size:
            try:
                self._stopped = self._ledger.read().status == "stopped"
                self._size = size
            except (LedgerCorrupt, OSError):
                return False  # what is wrong for good is found when the outcome is committed
        return self._stopped
