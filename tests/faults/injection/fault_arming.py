"""Put the fault gate around everything that this process writes under the root of a test."""

import sys

from fault_gate import FaultGate, read_plan
from point_names import role_of_process
from watched_calls import watch_calls
from watched_files import watch_files

__all__ = ["arm_process"]


def arm_process(plan_file: str, role: str | None = None) -> None:
    """Arm this process.

    Parameters
    ----------
    plan_file
        A JSON file that says what is to happen; see `fault_gate.Plan`.
    role
        Which process of the tree this is, where its command line does not say it.
    """
    gate = FaultGate(read_plan(plan_file), role or role_of_process(sys.orig_argv))
    watch_calls(gate)
    watch_files(gate)
