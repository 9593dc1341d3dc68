"""Forecast the checkpoint that follows, say what would make it fit, and compare what a forecast said with what was."""

import math
from collections.abc import Iterator, Mapping

from pydantic import JsonValue, ValidationError

from stagewright.stages.adjustment_rules import check_adjustment
from stagewright.stages.forecast.checkpoint import Evidence, forecast_checkpoint
from stagewright.stages.forecast.measured import MeasuredStep, measured_step
from stagewright.state.artifacts import read_outcome
from stagewright.state.attempt_progress import AttemptProgress
from stagewright.state.attempts import PROGRESS, REQUEST
from stagewright.state.events import AttemptFinished, parse_event
from stagewright.state.forecast import FittingChange, Forecast, ForecastMet
from stagewright.state.ledger import Ledger
from stagewright.state.refusals import Refusal
from stagewright.state.run_state import RunState, split_step
from stagewright.state.spec import Adjustments, EffectiveStudy, GoalSpec, effective_study
from stagewright.state.spec.goal import Checkpoint
from stagewright.state.step_request import StepRequest
from stagewright.state.units import format_bytes, format_seconds
from stagewright.tools.budget import limits_left
from stagewright.tools.cost_history import remember_cost, remembered_costs, this_code, this_machine
from stagewright.tools.workspace import Workspace

__all__ = ["cells_of", "forecast_ahead", "forecast_met", "requests_of"]

FEWER_CELLS = (5000, 2000, 1000, 500, 200, 100, 50)
FEWEST = 2
"""Seeds: a stability needs two."""
ROOM = 1.05
"""A larger budget is proposed with this much to spare: the next attempt at this step takes a little of it."""
MINUTE, GIB = 60, 2**30


def forecast_ahead(workspace: Workspace, ledger: Ledger, state: RunState, spec: GoalSpec) -> Forecast | None:
    """Return the forecast of the checkpoint that `continue` would open; None where nothing is known of it.

    What the run's attempts cost is remembered for later runs on the way.

    Parameters
    ----------
    state
        Of a run whose present step is executed.
    spec
        As it was sealed.
    """
    evidence = _evidence(workspace, ledger, state)
    checkpoint = state.next_checkpoint
    if checkpoint is None or not evidence.here or not state.cells_by_patient:
        return None

    def forecast(adjusted: Adjustments) -> Forecast | None:
        study = effective_study(spec, adjusted, checkpoint)
        base = evidence.requests[-1]
        present = effective_study(spec, state.adjustments, state.checkpoint)
        seen, counted = evidence.here[-1].n_cells, cells_of(state.cells_by_patient, present)
        n_cells = round(cells_of(state.cells_by_patient, study) * seen / counted) if seen and counted else seen
        stages = [split_step(step)[1] for step in state.steps if split_step(step)[0] == checkpoint]
        expected, most = (
            forecast_checkpoint(checkpoint, requests_of(of, checkpoint, study, stages), n_cells, evidence)
            for of in (base, base.model_copy(update={"k_by_method": {}}))
        )
        return expected if expected is None or most is None else _up_to(expected, most)

    found = forecast(state.adjustments)
    left = limits_left(workspace, state)
    if found is None or found.beyond(left.runtime_s, left.memory_bytes) is None:
        return found
    fits: dict[str, FittingChange] = {}
    limits = state.effective_limits
    for what, change in _smaller(state, spec, checkpoint, found, workspace):
        fitting = None if what in fits else _fitting(workspace, state, spec, change)
        smaller = None if fitting is None else forecast(state.adjustments.merged(fitting))
        if fitting is None or smaller is None:
            continue
        more_s = (fitting.runtime or limits.runtime_s) - limits.runtime_s
        if smaller.beyond(left.runtime_s + more_s, fitting.memory or left.memory_bytes) is None:
            fits[what] = FittingChange(
                what=f"{what}, at most {format_seconds(round(smaller.runtime_upper_s, 1))}",
                adjustments=fitting.model_dump(mode="json", exclude_none=True),
                runtime_upper_s=smaller.runtime_upper_s,
                memory_upper_bytes=smaller.memory_upper_bytes,
            )
    return found.model_copy(update={"fits": tuple(fits.values())})


def _up_to(expected: Forecast, most: Forecast) -> Forecast:
    """Return a forecast with the upper bounds of one at the largest K, which the checkpoint may choose."""
    same = len(expected.parts) == len(most.parts)
    parts = (
        tuple(
            part.model_copy(update={"upper_s": max(part.upper_s, other.upper_s)})
            for part, other in zip(expected.parts, most.parts, strict=True)
        )
        if same
        else expected.parts
    )
    return expected.model_copy(
        update={
            "runtime_upper_s": max(expected.runtime_upper_s, most.runtime_upper_s),
            "memory_upper_bytes": max(
                (peak for peak in (expected.memory_upper_bytes, most.memory_upper_bytes) if peak is not None),
                default=None,
            ),
            "parts": parts,
        }
    )


def forecast_met(state: RunState) -> ForecastMet | None:
    """Return what became of the forecast of the present checkpoint, at its last step; None where it had none."""
    forecast = state.forecast
    last = state.step == next(step for step in reversed(state.steps) if split_step(step)[0] == state.checkpoint)
    if forecast is None or forecast.checkpoint != state.checkpoint or not last:
        return None
    unknown = {split_step(step)[1] for step in forecast.unknown}
    took = state.runtime_by_checkpoint.get(state.checkpoint, 0.0)
    steps = [step for step in state.sealed if split_step(step)[0] == state.checkpoint]
    took -= sum(state.sealed[step].elapsed_s for step in steps if split_step(step)[1] in unknown)
    peak = max(
        (state.sealed[step].peak_rss_bytes for step in steps if split_step(step)[1] not in unknown), default=None
    )
    ratio = None if peak is None or not forecast.memory_bytes else peak / forecast.memory_bytes
    below = peak is None or forecast.memory_upper_bytes is None or peak <= forecast.memory_upper_bytes
    return ForecastMet(
        checkpoint=state.checkpoint,
        runtime_s=forecast.runtime_s,
        actual_runtime_s=round(took, 3),
        runtime_ratio=round(took / max(1e-3, forecast.runtime_s), 4),
        memory_bytes=forecast.memory_bytes,
        actual_memory_bytes=peak,
        memory_ratio=None if ratio is None else round(ratio, 4),
        within=below and took <= forecast.runtime_upper_s,
    )


def cells_of(cells_by_patient: tuple[int, ...], study: EffectiveStudy) -> int:
    """Return how many cells a study looks at."""
    most = study.cells_per_patient
    return sum(cells if most is None else min(most, cells) for cells in cells_by_patient)


def requests_of(
    base: StepRequest, checkpoint: Checkpoint, study: EffectiveStudy, stages: list[str]
) -> dict[str, StepRequest]:
    """Return what each stage of a checkpoint will be asked, as far as its units go.

    The checkpoint chooses K anew: taken is the one that `base` has, and the largest of its list where that has none.
    """
    seal = next(iter(base.upstream.values()), None)
    largest = {method: max(ks) for method, ks in study.ks.items()}
    chosen = {method: min(k, base.k_by_method.get(method, k)) for method, k in largest.items()}
    asked = {}
    for number, stage in enumerate(stages):
        earlier = {} if seal is None else {f"{checkpoint}/{before}": seal for before in stages[:number]}
        changed = {"step": f"{checkpoint}/{stage}", "study": study, "upstream": earlier, "k_by_method": chosen}
        asked[stage] = base.model_copy(update=changed)
    return asked


def _evidence(workspace: Workspace, ledger: Ledger, state: RunState) -> Evidence:
    here: list[MeasuredStep] = []
    requests: list[StepRequest] = []
    for entry in ledger.log.entries():
        if entry.get("event") != "attempt_finished" or entry.get("artifacts") is None:
            continue
        event = parse_event(entry)
        if not isinstance(event, AttemptFinished) or event.artifacts is None or event.step is None:
            continue
        folder = ledger.run.attempt(event.attempt, event.step)
        try:
            request = StepRequest.model_validate_json((folder / REQUEST).read_bytes())
            outcome = read_outcome(ledger.run.path, event.artifacts)
        except (OSError, ValueError):  # damaged: what it cost cannot be told, which the gates say
            continue
        try:
            progress = AttemptProgress.model_validate_json((folder / PROGRESS).read_bytes())
        except (OSError, ValidationError):
            progress = None
        item = measured_step(
            request,
            outcome,
            progress,
            elapsed_s=event.elapsed_s,
            peak_rss_bytes=event.peak_rss_bytes,
            where=(this_machine(), this_code()),
        )
        remember_cost(workspace.root, item)
        here.append(item)
        requests.append(request)
    return Evidence(here, remembered_costs(workspace.root, without=state.run_id), requests)


def _smaller(
    state: RunState, spec: GoalSpec, checkpoint: Checkpoint, found: Forecast, workspace: Workspace
) -> Iterator[tuple[str, Mapping[str, JsonValue]]]:
    """Yield changes that might make a checkpoint fit: first what gives up nothing, then the smallest of each kind."""
    limits, caps = state.effective_limits, workspace.policy.caps
    budget: dict[str, JsonValue] = {}
    needed = math.ceil((state.runtime_used_s + found.runtime_upper_s) * ROOM / MINUTE) * MINUTE
    if limits.runtime_s < needed <= caps.runtime:
        budget["runtime"] = f"{needed}s"
    memory = math.ceil((found.memory_upper_bytes or 0) / GIB) * GIB
    if limits.memory_bytes < memory <= caps.memory:
        budget["memory"] = f"{memory // GIB}GiB"
    if budget:
        said = [f"{name} {format_bytes(memory) if name == 'memory' else format_seconds(needed)}" for name in budget]
        yield " and ".join(said), budget
    study = effective_study(spec, state.adjustments, checkpoint)
    for most in FEWER_CELLS:
        if most < (study.cells_per_patient or max(state.cells_by_patient)):
            yield "fewer cells_per_patient", {"cells_per_patient": {checkpoint: most}}
    reduction = state.adjustments.applied_to(spec).reduction
    ks = {method: reduction.ks(method) for method in reduction.methods}
    for kept in range(max(map(len, ks.values())) - 1, 0, -1):
        yield "fewer K", {"k": {method: [*sorted(values)[:kept]] for method, values in ks.items()}}
    for n_seeds in range(len(reduction.seeds) - 1, FEWEST - 1, -1):
        yield "fewer seeds", {"seeds": [*reduction.seeds[:n_seeds]]}


def _fitting(
    workspace: Workspace, state: RunState, spec: GoalSpec, change: Mapping[str, JsonValue]
) -> Adjustments | None:
    """Return a change as adjustments, where `decide` would take it now."""
    policy = workspace.policy
    try:
        newer = Adjustments.model_validate(change)
        wanted = state.adjustments.merged(newer).applied_to(spec)
        present = state.adjustments.applied_to(spec)
        check_adjustment(state, present, wanted, newer, caps=policy.caps, commands=policy.commands)
    except (ValidationError, Refusal):
        return None
    return newer
