"""What a stage is: a function that gets a `StageContext`, writes artifacts through it, and returns a `StageResult`.

A stage does not judge itself. It reports what it measured and what it left out and why; gates judge that later, in
another process, on the sealed files.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TypeAlias, TypeVar

from pydantic import JsonValue

from stagewright.stages.executors.catalogue import open_executor
from stagewright.stages.executors.executor import Executor
from stagewright.stages.failure_table import FAILURES, kind_of
from stagewright.stages.progress import Progress
from stagewright.stages.unit_cache import FILES, Entry, Found, UnitCache, UnitInputs, UnitWork
from stagewright.stages.unit_journal import UnitJournal
from stagewright.stages.workload import Workload
from stagewright.state.artifacts import ArtifactWriter, Skipped, UnitRecord
from stagewright.state.attempts import SCRATCH
from stagewright.state.executor import ExecutorRecord
from stagewright.state.step_request import StepRequest
from stagewright.state.step_units import allowed_failures, step_units

__all__ = ["Killed", "Stage", "StageContext", "StageResult", "Unit", "UnitFailed"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

UNCACHED = Found(None, None, "never cached")


@dataclass(frozen=True, slots=True)
class Unit:
    """The smallest piece of work of a stage, for example one fit.

    Attributes
    ----------
    name
        For people, e.g. ``hvg_3000/fa/k_20/seed_1``.
    method, k, preprocess
        What the unit is about, where it applies: a failure proposes to leave just this out.
    """

    name: str
    method: str | None = None
    k: int | None = None
    preprocess: str | None = None


class Killed(Exception):  # noqa: N818 - says what happened
    """A signal ended a process that a stage had started: from outside, or for want of memory. It may not again."""


class UnitFailed(Exception):  # noqa: N818 - says what happened; the cause is the error
    """One unit of work failed; `__cause__` is the error.

    Attributes
    ----------
    beyond
        Where the spec allows failures, that there were more than it allows.
    """

    def __init__(self, unit: Unit) -> None:
        super().__init__(f"unit {unit.name} failed")
        self.unit = unit
        self.beyond = ""


@dataclass(frozen=True)
class StageContext:
    """What a stage is given.

    Attributes
    ----------
    run
        The run directory, to read the sealed artifacts of earlier steps.
    request
        What to do.
    artifacts
        The only way to write.
    progress
        Units done, for whoever waits.
    journal
        What became of the units.
    workload
        How much data the stage has at hand; a stage says so once it knows.
    """

    run: Path
    request: StepRequest
    artifacts: ArtifactWriter
    progress: Progress
    journal: UnitJournal = field(default_factory=UnitJournal)
    workload: Workload = field(default_factory=Workload)
    _numbers: Iterator[int] = field(default_factory=count)

    @cached_property
    def cache(self) -> UnitCache:
        """The unit cache of the run."""
        return UnitCache(self.run)

    @cached_property
    def executor(self) -> Executor:
        """Where the heavy calls of the units run. Opened at first need: a step whose units are all there needs none."""
        request = self.request
        return open_executor(request.executor, request.workers, self.artifacts.staging.with_name(SCRATCH))

    def map(
        self,
        function: Callable[[_Item], _Result],
        items: Iterable[_Item],
        *,
        rounds: int = 1,
        most: int | None = None,
    ) -> list[_Result]:
        """Apply a function to each item, as many side by side as there are workers, and return the results in order.

        The function may do a unit of work, and gives what is heavy to `executor.call`. Inside a unit the items are its
        parts, and shown as such.

        Parameters
        ----------
        rounds
            How often the unit goes over as many items, all in all, for example for each penalty.
        most
            No more side by side than this, however many workers there are: for items that hold memory of this process.

        Raises
        ------
        Exception
            What `function` raises, the earliest item's first; then no further item is begun.
        """
        todo = [*items]
        one_done = self.progress.parts(len(todo), rounds)

        def done(item: _Item) -> _Result:
            result = function(item)
            one_done()
            return result

        return self.executor.map(done, todo, most=most)

    @property
    def ran_on(self) -> ExecutorRecord | None:
        """What the executor is; None when it was never needed."""
        executor: Executor | None = self.__dict__.get("executor")
        return None if executor is None else executor.record()

    def close(self) -> None:
        """Let go of the executor, and of what it has under way."""
        executor: Executor | None = self.__dict__.pop("executor", None)
        if executor is not None:
            executor.close()

    @contextmanager
    def unit(self, unit: Unit, inputs: UnitInputs | None = None) -> Iterator[UnitWork]:
        """Do one unit of work, or take its result from the run's cache; name it in the error if it fails.

        Parameters
        ----------
        inputs
            Everything that the result depends on; None for work that is never cached.

        Yields
        ------
        What to do: when it is `reused`, read it; else do it, `write` its files and set its `value`. It is kept when the
        block ends without an error.
        """
        started = time.perf_counter()
        found = UNCACHED
        work: UnitWork | None = None
        try:
            with self.progress.measure(unit.name) as at_work:
                found = UNCACHED if inputs is None else self.cache.find(unit.name, inputs)
                work = self._work(found)
                at_work.reused = work.reused
                yield work
                entry, why = found.entry, found.why
                if not work.reused and inputs is not None:
                    entry, why = self._keep(unit, inputs, work, why)
            how = "reused" if work.reused else "ran"
            self.journal.add(_record(unit, inputs, work, started, entry, how=how, why=why))
        except Exception as error:
            what = {"error": f"{type(error).__name__}: {error}", "kind": kind_of(error)}
            self.journal.add(_record(unit, inputs, None, started, None, how="failed", why=found.why, **what))
            raise UnitFailed(unit) from error
        finally:
            if work is not None and not work.reused:
                shutil.rmtree(work.folder.parent, ignore_errors=True)

    def tolerate(self, failed: UnitFailed) -> None:
        """Go on without a unit that failed, where the spec allows that.

        Raises
        ------
        UnitFailed
            The failure itself, when it may pass by itself, so that the step is tried again, or when more units have
            failed by now than may.
        """
        cause = failed.__cause__ or failed
        allowed = allowed_failures(self.request)
        if self.journal.failed > allowed:
            if allowed:
                n_units = len(step_units(self.request))
                failed.beyond = f"{self.journal.failed} of {n_units} units failed, budget.failed_units allows {allowed}"
            raise failed
        if FAILURES[kind_of(cause)].transient:
            raise failed

    def _work(self, found: Found) -> UnitWork:
        if found.entry is not None and found.folder is not None:
            entry = found.entry
            return UnitWork(found.folder, reused=True, value=entry.value, artifacts=entry.artifacts)
        return UnitWork(self.artifacts.staging.with_name("units") / f"{next(self._numbers):05d}" / FILES)

    def _keep(self, unit: Unit, inputs: UnitInputs, work: UnitWork, why: str) -> tuple[Entry | None, str]:
        """Keep the result of a unit for later ones; return the entry, and why the unit ran or could not be kept."""
        request = self.request
        entry = Entry(
            kind=inputs.kind,
            key=inputs.key,
            name=unit.name,
            step=request.step,
            attempt=request.attempt,
            inputs={**inputs.values},
            code=inputs.code,
            value=work.value,
            artifacts=work.artifacts,
        )
        try:
            if work.refused is not None:
                raise work.refused
            work.folder.mkdir(parents=True, exist_ok=True)
            return self.cache.keep(work.folder.parent, entry), why
        except OSError as error:  # a cache that cannot take it costs a later attempt some time, and this one nothing
            return None, f"{why}; not kept: {error.strerror or error}"


def _record(
    unit: Unit,
    inputs: UnitInputs | None,
    work: UnitWork | None,
    started: float,
    entry: Entry | None,
    **what: str | None,
) -> UnitRecord:
    return UnitRecord.model_validate(
        {
            "name": unit.name,
            "elapsed_s": round(time.perf_counter() - started, 4),
            "key": None if inputs is None else inputs.key,
            "entry": None if entry is None else entry.digest,
            "made_by": None if entry is None else entry.attempt,
            "method": unit.method,
            "k": unit.k,
            "preprocess": unit.preprocess,
            "artifacts": () if work is None else tuple(work.placed),
        }
        | what,
    )


@dataclass(frozen=True)
class StageResult:
    """What a stage measured; its meaning is that of the same fields of `Outcome`."""

    metrics: dict[str, float] = field(default_factory=dict)
    k_by_method: dict[str, int] = field(default_factory=dict)
    k_shortlist: dict[str, tuple[int, ...]] = field(default_factory=dict)
    configurations: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    trials: tuple[dict[str, JsonValue], ...] = ()
    n_cells: int | None = None


Stage: TypeAlias = Callable[[StageContext], StageResult]
