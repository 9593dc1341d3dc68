"""Which gates judge a run: the built-in ones, those of packages and the operator's, sealed when it is planned."""

from collections.abc import Iterator

from stagewright.gates.catalogue import GATES, gates_for
from stagewright.gates.list_gates import GateList, GatesWanted
from stagewright.gates.registered import registered_names
from stagewright.state.custom_gate import SealedGate
from stagewright.state.policy import Policy
from stagewright.state.refusals import Refusal
from stagewright.state.run_state import RunState
from stagewright.state.spec.faults import list_faults
from stagewright.tools.child_processes import ChildProcesses
from stagewright.tools.children import ChildFailed
from stagewright.tools.replies import Tick

__all__ = ["custom_gates", "gates_to_seal", "names_of_judges"]

TIMEOUT_S = 120.0


def custom_gates(policy: Policy, children: ChildProcesses) -> Iterator[Tick | GateList]:
    """Yield signs of life, then the gates that are not built in. A child loads them; without any there is none.

    Raises
    ------
    ChildFailed
        When a package's code ended the child.
    """
    if not policy.gates and not registered_names():
        yield GateList(gates=())
        return
    wanted = GatesWanted(commands=policy.gates)
    yield from children.ask("stagewright.gates", "list", wanted, GateList, TIMEOUT_S)


def gates_to_seal(policy: Policy, children: ChildProcesses) -> Iterator[Tick | tuple[SealedGate, ...]]:
    """Yield signs of life, then every gate that judges a run which is planned now.

    Raises
    ------
    Refusal
        `unavailable` when one of them cannot be loaded: it would be an error at every step.
    """
    found = GateList(gates=())
    try:
        for item in custom_gates(policy, children):
            if isinstance(item, Tick):
                yield item.model_copy(update={"message": "looking at the gates"})
            else:
                found = item
    except ChildFailed as error:
        raise Refusal("unavailable", f"the gates of other packages could not be loaded: {error.last_line}") from error
    if found.faults:
        faults = list_faults([*found.faults])
        raise Refusal(
            "unavailable", f"gates are registered that cannot judge, which the operator has to mend:\n{faults}"
        )
    built_in = [SealedGate(name=gate.name, kind="built_in", stages=gate.stages, purpose=gate.purpose) for gate in GATES]
    yield (*built_in, *found.gates)


def names_of_judges(state: RunState) -> tuple[str, ...]:
    """Return the gates that have to answer for the present step: those built in now, and those that were sealed."""
    sealed = [gate.name for gate in state.gates_sealed if gate.judges(state.stage)]
    return tuple(dict.fromkeys([*(gate.name for gate in gates_for(state.stage)), *sealed]))
