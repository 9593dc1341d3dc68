"""A running Dask cluster: its scheduler's address comes from the operator; who deployed it does not matter here.

The stage stays in this process. Its heavy calls go to the cluster, with small arguments: large ones are files in a
folder that the workers see under the same path. When this process ends, however that happens, its scheduler forgets
what it had asked for.
"""

import shutil
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from stagewright.stages.classify.threads import map_nogil
from stagewright.stages.executors.failures import ClusterUnfit, SchedulerUnreachable, WorkerLost
from stagewright.stages.executors.remote_call import RemoteCall, introduce, run
from stagewright.stages.executors.shared import Shared, Sharing, elsewhere
from stagewright.stages.executors.worker_facts import different, must_be_equal
from stagewright.state.executor import DASK_EXTRA, ExecutorChoice, ExecutorRecord
from stagewright.state.units import format_seconds

try:
    from distributed import Client, Future, Security
    from distributed.client import ClosedClientError, FutureCancelledError
    from distributed.scheduler import KilledWorker
except ImportError as error:
    raise ImportError(
        f"{error}: the dask executor needs the package `distributed`; pip install '{DASK_EXTRA}' in the environment "
        "of this server and of every worker"
    ) from error

__all__ = ["DaskExecutor", "open_executor"]

CONNECT_S = 20.0
LOOK_S = 2.0
"""How often a call that waits looks whether the cluster still has workers."""
LAST_CALLS_S = 5.0
LOST = (OSError, RuntimeError, AttributeError, ClosedClientError)
"""What a client raises that has lost its scheduler, by how far it has got in noticing."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Value = TypeVar("_Value")


class DaskExecutor:
    """Runs calls on the workers of a Dask cluster.

    Parameters
    ----------
    choice
        With the scheduler's address.
    scratch
        A folder that only this attempt uses, and that the workers see under the same path.

    Raises
    ------
    SchedulerUnreachable
        When nobody answers there, or no worker comes within `choice.wait` seconds.
    ClusterUnfit
        When a worker has other versions than this process, or does not see the folder.
    """

    def __init__(self, choice: ExecutorChoice, scratch: Path) -> None:
        self._choice = choice
        self._scratch = scratch
        self._sharing = Sharing(scratch)
        self._wanted = must_be_equal()
        self._futures: set[Future] = set()
        self._lock = threading.Lock()
        self._without_workers_since: float | None = None
        self._client: Any = self._connected()  # its methods are awaitable or not, by how it was made
        try:
            self._wait_for_workers()
            self._hosts = self._checked_hosts()
            self._look_at_size()
        except BaseException:
            self.close()
            raise

    @property
    def n_workers(self) -> int:
        """How many calls the cluster takes at present: the threads of all its workers.

        Raises
        ------
        SchedulerUnreachable
            When the scheduler is gone.
        """
        return self._look_at_size()

    def map(
        self, function: Callable[[_Item], _Result], items: Iterable[_Item], *, most: int | None = None
    ) -> list[_Result]:
        """Apply a function to each item on as many threads as the cluster has; see `Executor.map`."""
        return map_nogil(function, items, self.n_workers if most is None else min(most, self.n_workers))

    def share(self, value: _Value, build: Callable[..., _Value], **parts: Any) -> Shared[_Value]:  # noqa: ANN401
        """Return a value as a shared one, written into the scratch folder at first need; see `Executor.share`."""
        return self._sharing.share(value, build, **parts)

    def call(self, function: Callable[..., _Result], *arguments: Any, holds_gil: bool = False) -> _Result:  # noqa: ANN401, ARG002 - as all executors
        """Call a function on a worker.

        Raises
        ------
        Exception
            What the function raises; `SchedulerUnreachable`, `WorkerLost` or `ClusterUnfit`.
        """
        sent = RemoteCall(self._wanted, function, tuple(map(elsewhere, arguments)))
        try:
            future = self._client.submit(run, sent, pure=False, key=None)
        except (OSError, RuntimeError, ClosedClientError) as error:  # an AttributeError would be the function's own
            raise SchedulerUnreachable(f"{self._choice.said} takes no calls any more: {error}") from error
        with self._lock:
            self._futures.add(future)
        try:
            result: _Result = self._result(future)
            return result
        finally:
            with self._lock:
                self._futures.discard(future)
            future.release()

    def record(self) -> ExecutorRecord:
        """Return the cluster's size and machines; the size seen last when the scheduler has ended meanwhile."""
        with suppress(SchedulerUnreachable):  # what was computed is there, and needs the cluster no more
            self._look_at_size()
        return ExecutorRecord(kind="dask", workers=self._size, scheduler=self._choice.scheduler, hosts={**self._hosts})

    def close(self) -> None:
        """Cancel the calls under way, leave the cluster, and remove the arguments."""
        with self._lock:
            left = [future for future in self._futures if not future.done()]
        with suppress(*LOST):  # from a scheduler that is gone there is nothing to take leave of
            if left:
                self._client.cancel(left)
            self._client.close(timeout=LAST_CALLS_S)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _connected(self) -> Client:
        tls = self._choice.tls
        security = None
        if tls is not None:
            security = Security(
                tls_ca_file=str(tls.ca),
                tls_client_cert=str(tls.certificate),
                tls_client_key=str(tls.key),
                require_encryption=True,
            )
        try:
            limit = min(CONNECT_S, self._choice.wait)
            return Client(self._choice.scheduler, timeout=limit, set_as_default=False, security=security)
        except (OSError, ValueError) as error:
            raise SchedulerUnreachable(
                f"nobody answers as a Dask scheduler at {self._choice.scheduler}: {error}. Start one (`dask "
                "scheduler`), or have the operator mend [executor] in stagewright.toml"
            ) from error

    def _wait_for_workers(self) -> None:
        waited = format_seconds(self._choice.wait)
        try:
            self._client.wait_for_workers(1, timeout=self._choice.wait)
        except TimeoutError as error:
            raise SchedulerUnreachable(
                f"the cluster at {self._choice.scheduler} has no worker after {waited}. Start some (`dask worker`), or "
                "let the operator set a longer executor.wait where a queue gives them late"
            ) from error
        except LOST as error:
            raise self._connection_lost() from error

    def _checked_hosts(self) -> dict[str, str]:
        """Ask every worker what it computes with, and return the machines.

        Raises
        ------
        ClusterUnfit
            When one would not give the same results or cannot read the arguments.
        """
        self._scratch.mkdir(parents=True, exist_ok=True)
        sign = self._scratch / "visible"
        sign.touch()
        try:
            answers = self._client.run(introduce, sign, on_error="return")
        except LOST as error:
            raise self._connection_lost() from error
        hosts = {}
        for address, found in answers.items():
            if isinstance(found, BaseException):
                raise ClusterUnfit(
                    f"the worker at {address} cannot load stagewright ({type(found).__name__}: {found}); install the "
                    "same stagewright there as here"
                ) from found
            facts, (host, kernels), visible = found
            unlike = different(self._wanted, facts)
            if unlike:
                raise ClusterUnfit(
                    f"the worker on {host} ({address}) has other software, so its results might differ: {unlike}. "
                    "Install the same versions there as here"
                )
            if not visible:
                raise ClusterUnfit(
                    f"the worker on {host} ({address}) does not see {self._scratch}; set executor.scratch in "
                    "stagewright.toml to a folder that all workers have under the same path"
                )
            hosts[host] = kernels
        return hosts

    def _result(self, future: Future) -> Any:  # noqa: ANN401 - what the call gives
        try:
            while not future.done():
                try:
                    return future.result(timeout=LOOK_S)
                except TimeoutError:
                    if not future.done():  # else it is the call's own
                        self._look_for_workers()
            return future.result()
        except KilledWorker as error:
            raise WorkerLost(
                f"a worker of {self._choice.said} ended in the middle of a call, more often than the cluster puts up "
                f"with: {error.last_worker}. Its log says why; want of memory is the usual reason"
            ) from error
        except FutureCancelledError as error:
            raise self._connection_lost() from error

    def _connection_lost(self) -> SchedulerUnreachable:
        return SchedulerUnreachable(f"the connection to {self._choice.said} broke, or the scheduler ended")

    def _n_threads(self) -> int:
        try:
            by_worker: dict[str, int] = self._client.nthreads()
        except LOST as error:
            raise self._connection_lost() from error
        return sum(by_worker.values())

    def _look_at_size(self) -> int:
        self._size = max(1, self._n_threads())
        return self._size

    def _look_for_workers(self) -> None:
        """Give up when the cluster has had no worker for as long as the operator lets a step wait."""
        n_threads = self._n_threads()
        with self._lock:
            now = time.monotonic()
            if n_threads:
                self._without_workers_since = None
            elif self._without_workers_since is None:
                self._without_workers_since = now
            elif now - self._without_workers_since > self._choice.wait:
                waited = format_seconds(self._choice.wait)
                raise WorkerLost(f"{self._choice.said} has had no worker for {waited}; start some (`dask worker`)")


def open_executor(choice: ExecutorChoice, n_workers: int, scratch: Path) -> DaskExecutor:  # noqa: ARG001 - as for all
    """Return the executor of a cluster; the cluster's own size says how many calls run side by side."""
    return DaskExecutor(choice, choice.scratch_of(scratch))
