"""Say which gates there are beside the built-in ones, and seal their code: what planning and the doctor ask for."""

from stagewright.gates.catalogue import known_gates
from stagewright.gates.code_digest import command_digest
from stagewright.gates.registered import registered_names, seal_registered
from stagewright.state.custom_gate import CommandGate, GateName, SealedGate
from stagewright.state.records import Record
from stagewright.state.registered import PackageUnusable

__all__ = ["GateList", "GatesWanted", "list_gates"]


class GatesWanted(Record):
    """The question: the command gates of the operator's policy."""

    commands: dict[GateName, CommandGate]


class GateList(Record):
    """The answer: the gates that can judge, and a line for each that cannot."""

    gates: tuple[SealedGate, ...]
    faults: tuple[str, ...] = ()


def list_gates(wanted: GatesWanted) -> GateList:
    """Return the gates of packages and of the operator, packages first. Loads the packages' code."""
    gates: list[SealedGate] = []
    faults: list[str] = []
    for name in registered_names():
        try:
            gates.append(seal_registered(name))
        except PackageUnusable as error:
            faults.append(str(error))
    for name, command in wanted.commands.items():
        digest = command_digest(command)
        gates.append(
            SealedGate(name=name, kind="command", stages=command.stages, purpose=command.why, code_sha256=digest)
        )
    names = [gate.name for gate in gates]
    for name in dict.fromkeys(names):
        if name in known_gates():
            faults.append(f"the gate {name!r} has the name of a built-in one; give it another")
        elif names.count(name) > 1:
            faults.append(f"a package and the operator both register a gate {name!r}; rename one of them")
    return GateList(gates=tuple(gates), faults=tuple(faults))
