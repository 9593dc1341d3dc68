"""No permission: somebody has to change who may read or write there."""

import re
from collections.abc import Iterator

from stagewright.stages.handlers.case import FailedCase
from stagewright.state.records import Proposal

__all__ = ["mend_permission"]

PATH = re.compile(r"'([^']+)'|(/\S+)")


def mend_permission(case: FailedCase) -> Iterator[Proposal]:
    """Propose to open the step again once the account that runs it may use the path that the error names."""
    if case.failure.kind != "permission":
        return
    found = PATH.search(case.failure.error)
    where = "what the error names" if found is None else (found[1] or found[2]).rstrip(":,;.")
    first = f"let the account that runs this server read and write {where}"
    yield Proposal(what="open the step again, with the permission given", adjustments={}, first=first)
