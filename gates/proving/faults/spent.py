"""Faults of the budget: what the ledger says was used is more than the run may use."""

from stagewright.gates.proving.spoiled_step import SpoiledStep

__all__ = ["memory", "runtime"]


def runtime(step: SpoiledStep) -> None:
    """Use a tenth more run time than allowed."""
    step.asked = step.asked.model_copy(update={"runtime_used_s": 1.1 * step.asked.limits.runtime_s})


def memory(step: SpoiledStep) -> None:
    """Use a tenth more memory than allowed."""
    step.asked = step.asked.model_copy(update={"peak_rss_bytes": int(1.1 * step.asked.limits.memory_bytes)})
