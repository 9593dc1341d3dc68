"""The null twin is scored at a strength that flatters nobody."""

from collections.abc import Iterator, Mapping

import pandas as pd

from stagewright.gates.places import twin_curves
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.result_rows import alpha_key, alpha_keys
from stagewright.gates.tables import numbers, read_csv
from stagewright.gates.twin_findings import TOLERANCE, fault
from stagewright.gates.within_strata import WithinStrata
from stagewright.state.step_units import twin_study

__all__ = ["strength_faults"]


def strength_faults(
    context: GateContext,
    tag: str,
    method: str,
    of_model: Mapping[str, pd.DataFrame],
    within: Mapping[str, WithinStrata],
) -> Iterator[Finding]:
    """Look at which strengths the twins of one embedding were scored.

    In Plan 1b it is for each patient the one that the other patients choose, in Plan 1c the middle one for all.

    Parameters
    ----------
    of_model, within
        Predictions of each model, and the AUC within strata that follows from them.
    """
    request = context.request
    if request.stage == "plan1c":
        (middle,) = alpha_keys(twin_study(request.study, request.stage).alphas)
        for model, rows in of_model.items():
            said = {*alpha_keys(rows["alpha"].unique())}
            if said != {middle}:
                wanted = f"alpha {middle}, the middle one, whatever it scores"
                yield fault(f"{tag}/{method}/{model}", f"alpha {', '.join(sorted(said))}", wanted)
        return
    columns = ("patient", "penalty", "alpha", "auc_within_strata")
    curves = read_csv(context.run / twin_curves(request.checkpoint, tag, method), columns)
    if curves is None:
        return  # `promised_files` reports it
    for model, rows in of_model.items():
        yield from _choices(f"{tag}/{method}/{model}", rows, curves[curves["penalty"] == model], within[model])


def _choices(name: str, table: pd.DataFrame, curves: pd.DataFrame, within: WithinStrata) -> Iterator[Finding]:
    """Compare each patient's alpha with what the other patients choose, and its AUC there with the predictions."""
    alphas = curves["alpha"].map(float).map(alpha_key)
    by_alpha = curves.assign(key=alphas, auc=numbers(curves["auc_within_strata"]))
    wide = by_alpha.pivot_table(index="patient", columns="key", values="auc", aggfunc="first")
    falling = sorted((str(key) for key in wide.columns), key=float, reverse=True)
    wide = wide[falling].dropna()
    said = table.groupby("patient", observed=True)["alpha"].agg(["min", "max"])
    if not said["min"].eq(said["max"]).all():
        yield fault(name, "predictions of one patient at several alphas", "one alpha for each patient")
        return
    for patient, alpha in zip(said.index.astype(str), alpha_keys(said["min"]), strict=True):
        if patient not in wide.index:
            if patient in within.auc:
                yield fault(f"{name}: patient {patient}", "no row", "its AUC within strata at every alpha")
            continue
        others = wide.drop(index=patient)
        if len(others):
            median = others.median(axis=0)
            # The strongest stands first, and wins among equals.
            chosen = str(median.index[(median >= median.max() - 1e-12).to_numpy()][0])
            if chosen != alpha:
                wanted = f"alpha {chosen}, which the other patients choose"
                yield fault(f"{name}: patient {patient}", f"alpha {alpha}", wanted)
        found, reported = within.auc.get(patient, float("nan")), float(wide[alpha].to_dict()[patient])
        if not abs(found - reported) <= TOLERANCE:
            measured = f"AUC {reported:.6f} reported at its alpha"
            yield fault(f"{name}: patient {patient}", measured, f"{found:.6f} from the predictions")
