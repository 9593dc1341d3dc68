"""What can go wrong with the machines that an executor uses. Light to import; `failure_table` says what follows."""

__all__ = ["ClusterUnfit", "SchedulerUnreachable", "WorkerLost"]


class SchedulerUnreachable(Exception):  # noqa: N818 - says what happened
    """Nobody answers at the scheduler's address, the connection broke, or the cluster has no worker."""


class WorkerLost(Exception):  # noqa: N818 - says what happened
    """A worker of the cluster ended in the middle of a call, as often as the cluster puts up with."""


class ClusterUnfit(Exception):  # noqa: N818 - says what is wrong
    """The cluster's workers would not give the same results, or cannot: other versions, no common folder."""
