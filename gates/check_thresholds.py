"""Say what is wrong with the bounds that a spec sets. Light to import."""

from collections.abc import Mapping

from stagewright.gates.catalogue import GATES
from stagewright.gates.gate_entry import GateEntry
from stagewright.state.spec.faults import nearest

__all__ = ["check_thresholds"]


def check_thresholds(thresholds: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return what is wrong with a spec's `gates:`, one line each, with what is allowed.

    Parameters
    ----------
    thresholds
        For each gate that the spec names, the bounds that it sets.

    >>> check_thresholds({"stability_flor": {"at_least": 0.5}})[0]
    "gates.stability_flor: no such gate; did you mean 'stability_floor'?"
    >>> check_thresholds({"stability_floor": {"at_least": 0.5}})
    []
    """
    entries = {entry.name: entry for entry in GATES}
    adjustable = [entry.name for entry in GATES if entry.bounds]
    faults = []
    for name, bounds in thresholds.items():
        place = f"gates.{name}"
        if name not in entries:
            close = nearest(name, list(entries)) or f"; gates with bounds: {', '.join(adjustable)}"
            faults.append(f"{place}: no such gate{close}")
        elif not entries[name].bounds:
            faults.append(f"{place}: has no bound to set; gates with bounds: {', '.join(adjustable)}")
        else:
            faults += _check_bounds(place, entries[name], bounds)
    return faults


def _check_bounds(place: str, entry: GateEntry, given: Mapping[str, float]) -> list[str]:
    known = {bound.name: bound for bound in entry.bounds}
    shown = "; ".join(
        f"{bound.name} ({bound.of}, from {bound.lowest:g} to {bound.highest:g}, default {bound.default:g})"
        for bound in entry.bounds
    )
    faults = [] if given else [f"{place}: sets no bound; allowed: {shown}"]
    for name, value in given.items():
        if name not in known:
            faults.append(f"{place}.{name}: no such bound; allowed: {shown}")
        elif not known[name].lowest <= value <= known[name].highest:
            faults.append(f"{place}.{name}: got {value:g}; allowed: {shown}")
    return faults
