"""A cluster that cannot be used: say what has to be put right there before the step is opened again."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from stagewright.stages.handlers.case import FailedCase
from stagewright.state.records import FailureKind, Proposal

__all__ = ["mend_cluster"]

FIRST: Mapping[FailureKind, str] = MappingProxyType(
    {
        "scheduler_unreachable": "start the cluster's scheduler and workers, or let the operator mend [executor] in "
        "stagewright.toml (kind = 'local' needs no cluster)",
        "worker_lost": "start workers with more memory each, or fewer threads; their logs say why they ended",
        "cluster_unfit": "give every worker the environment of this server, and a folder that all see under one path",
    }
)


def mend_cluster(case: FailedCase) -> Iterator[Proposal]:
    """Propose to open the step again once the cluster is as it has to be."""
    first = FIRST.get(case.failure.kind)
    if first is not None:
        yield Proposal(what="open the step again, on a cluster that works", adjustments={}, first=first)
