"""Say what the gates are asked about a step: its seals, its budget, and what other steps of its checkpoint wrote."""

from collections.abc import Iterator, Mapping

from stagewright.gates.protocol import GateRequest
from stagewright.state.artifacts import Artifact, read_outcome
from stagewright.state.attempts import REQUEST
from stagewright.state.custom_gate import CommandGate
from stagewright.state.ledger import Ledger
from stagewright.state.records import ArtifactSeal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState, split_step
from stagewright.tools.earlier_attempts import earlier_attempts

__all__ = ["gate_request", "sealed_elsewhere"]


def gate_request(run: RunDirectory, state: RunState, commands: Mapping[str, CommandGate]) -> GateRequest:
    """Return what the gates are asked about the step that a state stands at.

    Parameters
    ----------
    state
        The state of the run after the step was executed, and before anything later.
    commands
        The gates that the operator registers as commands, by name.
    """
    sealed = state.sealed[state.step]
    request = run.attempt(sealed.attempt, state.step) / REQUEST
    started = next(
        entry for entry in Ledger(run).log.entries() if entry.get("attempt") == sealed.attempt and "directory" in entry
    )
    return GateRequest(
        run=str(run.path),
        step=state.step,
        attempt=sealed.attempt,
        request=request.relative_to(run.path).as_posix(),
        request_sha256=str(started["request_sha256"]),
        artifacts=sealed.artifacts,
        runtime_used_s=state.runtime_used_s,
        peak_rss_bytes=sealed.peak_rss_bytes,
        limits=state.effective_limits,
        sealed_elsewhere=tuple(sealed_elsewhere(run, state, state.step)),
        tried=state.configurations_tried,
        earlier=earlier_attempts(Ledger(run), sealed.attempt),
        sealed=state.gates_sealed,
        commands={**commands},
    )


def sealed_elsewhere(run: RunDirectory, state: RunState, step: str) -> Iterator[str]:
    """Yield the files that the other steps of a step's checkpoint have sealed."""
    for other, sealed in state.sealed.items():
        if other != step and split_step(other)[0] == split_step(step)[0]:
            yield from (artifact.path for artifact in _artifacts(run, sealed.artifacts))


def _artifacts(run: RunDirectory, sealed: ArtifactSeal) -> tuple[Artifact, ...]:
    try:
        return read_outcome(run.path, sealed).artifacts
    except ValueError:
        return ()  # what that step sealed cannot be told any more: its files count as undeclared
