"""Which gates judge the runs of a root: built in, of other packages, and the operator's commands."""

from collections.abc import Iterator

from stagewright.gates.catalogue import known_gates
from stagewright.gates.list_gates import GateList
from stagewright.server.cli.check import Check
from stagewright.state.policy import Policy
from stagewright.tools.child_processes import RealChildren
from stagewright.tools.children import ChildFailed
from stagewright.tools.gates_of_run import custom_gates

__all__ = ["check_gates"]

MEND = "repair or remove what registers it: until then no run can be planned"


def check_gates(policy: Policy) -> Iterator[Check]:
    """Yield the list of the gates, and a failure for each that cannot judge."""
    found = GateList(gates=())
    try:
        for item in custom_gates(policy, RealChildren()):
            found = item if isinstance(item, GateList) else found
    except ChildFailed as error:
        yield Check("gates", "fail", f"gates of other packages cannot be loaded: {error.last_line}", MEND)
        return
    others = [
        f"{gate.name} ({gate.kind}; {', '.join(gate.stages) or 'every stage'}; code {(gate.code_sha256 or '')[:12]})"
        for gate in found.gates
    ]
    yield Check("gates", "ok", ", ".join([f"{len(known_gates())} built in", *others]))
    for fault in found.faults:
        yield Check("gates", "fail", fault, MEND)
