"""Which faults there are, and which gate each belongs to. Light to import.

A new fault is a function in `faults/` and a line here; a gate without a line is named as unproven by the command.
"""

from stagewright.gates.catalogue import known_gates
from stagewright.gates.proving.fault_entry import FaultEntry

__all__ = ["CLEAN", "FAULTS", "REWRITTEN", "anywhere", "faults_of", "unproven_gates"]

CLEAN = "clean copy"
REWRITTEN = "A/A copy"

PLANS = ("plan0", "plan1a", "plan1b", "plan1c")
CLASSIFY = ("plan1a", "plan1b", "plan1c")
OUT_OF_FOLD = ("plan1b", "plan1c")
SWEEP = ("plan0",)
GRID = ("plan1b",)
CONTROLS = ("plan2",)


FAULTS: tuple[FaultEntry, ...] = (
    # After the seal: somebody had a hand in the run directory.
    FaultEntry("file cut short", "artifact_integrity", "after_the_seal.cut_short", sealed=False),
    FaultEntry("one bit flipped", "artifact_integrity", "after_the_seal.flip_bit", sealed=False),
    FaultEntry("file replaced by another", "artifact_integrity", "after_the_seal.replace", sealed=False),
    FaultEntry("file deleted", "artifact_integrity", "after_the_seal.delete", sealed=False),
    FaultEntry("link in place of a file", "artifact_integrity", "after_the_seal.link", sealed=False),
    FaultEntry("undeclared file", "artifact_integrity", "after_the_seal.add", sealed=False),
    FaultEntry("metric edited in the outcome", "artifact_integrity", "after_the_seal.edit_outcome", sealed=False),
    FaultEntry("threshold edited in the request", "artifact_integrity", "after_the_seal.edit_request", sealed=False),
    FaultEntry("file of an earlier step edited", "artifact_integrity", "after_the_seal.edit_upstream", sealed=False),
    # From here on the stage itself wrote what is wrong, so the seal holds.
    FaultEntry("units failed beyond what is allowed", "failed_units", "units.too_many_failed"),
    FaultEntry("failure of a unit that is not there", "failed_units", "units.stranger_failed"),
    FaultEntry("reused result that nobody made", "reused_units", "units.reused_from_nobody"),
    FaultEntry("reused result, not in its record", "reused_units", "units.reused_without_record"),
    FaultEntry("failed unit that is not named", "promised_files", "owed_files.unnamed_failure", PLANS),
    FaultEntry("table never written", "promised_files", "owed_files.no_table"),
    FaultEntry("table without a column", "promised_files", "owed_files.no_column"),
    FaultEntry("table cut short by the stage", "promised_files", "owed_files.torn_table"),
    FaultEntry("replicate never written", "promised_files", "owed_files.no_replicate", SWEEP),
    FaultEntry("embedding one axis short", "promised_files", "owed_files.narrow_embedding", PLANS),
    FaultEntry("embedding that lost a cell", "promised_files", "owed_files.short_embedding", SWEEP),
    FaultEntry("NaN in an embedding", "embedding", "axes.not_a_number", PLANS),
    FaultEntry("infinite loading", "embedding", "axes.infinite_loading", PLANS),
    FaultEntry("axis without variance", "embedding", "axes.constant_axis", PLANS),
    FaultEntry("dead NMF component", "embedding", "axes.dead_component", PLANS),
    FaultEntry("duplicated axis", "duplicate_axes", "axes.duplicated_axis", PLANS),
    FaultEntry("rank collapse", "effective_rank", "axes.collapsed_rank", PLANS),
    FaultEntry("axis shrunk to almost nothing", "variance_collapse", "axes.shrunk_axis", PLANS),
    FaultEntry("component that no cell uses", "unused_components", "axes.unused_component", PLANS),
    FaultEntry("smaller K cut from a larger one", "larger_k", "fits.copied_components", SWEEP),
    FaultEntry("summary over fewer replicates", "replicate_summary", "replicates.fewer_seeds", SWEEP),
    FaultEntry("edited stability summary", "replicate_summary", "replicates.edited_pair", SWEEP),
    FaultEntry("edited stability in the table", "replicate_summary", "replicates.edited_table", SWEEP),
    FaultEntry("replicate copied from another", "replicate_summary", "replicates.copied", SWEEP, "warn"),
    FaultEntry("no K chosen", "replicate_summary", "replicates.no_choice", SWEEP),
    FaultEntry("another K handed on than chosen", "replicate_summary", "replicates.other_k", SWEEP),
    FaultEntry("edited held-out R2", "held_out", "held_out_figures.edited_r2", SWEEP),
    FaultEntry("edited held-out R2 in the table", "held_out", "held_out_figures.edited_table", SWEEP),
    FaultEntry("other cells held out for one K", "held_out", "held_out_figures.other_cells", SWEEP),
    FaultEntry("held-out cells of a patient lost", "held_out", "held_out_figures.lost_patient", SWEEP),
    FaultEntry("components that do not come back", "stability_floor", "replicates.unstable", SWEEP, "warn"),
    FaultEntry("dropped patient", "patient_coverage", "patients.dropped", CLASSIFY),
    FaultEntry("two patients made one", "patient_coverage", "patients.merged", CLASSIFY),
    FaultEntry("patient skipped without a reason", "patient_coverage", "patients.no_reason", CLASSIFY),
    FaultEntry("cells of the classes miscounted", "patient_coverage", "patients.miscounted", CLASSIFY),
    FaultEntry("results of another K", "patient_coverage", "patients.other_k", CLASSIFY),
    FaultEntry("penalty strength left out", "patient_coverage", "patients.lost_alpha", CLASSIFY),
    FaultEntry("no model has a coefficient", "predictions", "predicted.no_coefficient", ("plan1a",)),
    FaultEntry("constant prediction", "predictions", "predicted.constant", OUT_OF_FOLD),
    FaultEntry("constant for one patient", "predictions", "predicted.constant_for_one", OUT_OF_FOLD, "warn"),
    FaultEntry(
        "nearly constant for one patient", "predictions", "predicted.nearly_constant_for_one", OUT_OF_FOLD, "warn"
    ),
    FaultEntry("probability above 1", "predictions", "predicted.above_one", OUT_OF_FOLD),
    FaultEntry("probability that is no number", "predictions", "predicted.no_number", OUT_OF_FOLD),
    FaultEntry("probabilities made up", "predictions", "predicted.made_up", OUT_OF_FOLD),
    FaultEntry("cell missing from a repeat", "prediction_coverage", "predicted.lost_cell", OUT_OF_FOLD),
    FaultEntry("cell predicted twice", "prediction_coverage", "predicted.twice", OUT_OF_FOLD),
    FaultEntry("repeat missing", "prediction_coverage", "predicted.lost_repeat", OUT_OF_FOLD),
    FaultEntry("swapped label in predictions", "prediction_coverage", "predicted.swapped_label", OUT_OF_FOLD),
    FaultEntry("labels swapped between folds", "prediction_coverage", "predicted.labels_across_folds", OUT_OF_FOLD),
    FaultEntry("all cells in one fold", "prediction_coverage", "predicted.one_fold", OUT_OF_FOLD),
    FaultEntry("test fold with one class", "class_support", "folds.one_class_fold", OUT_OF_FOLD),
    FaultEntry("edited AUC of a patient", "score_agreement", "scores.edited_patient", OUT_OF_FOLD),
    FaultEntry("edited AUC in the summary", "score_agreement", "scores.edited_summary", OUT_OF_FOLD),
    FaultEntry("metric that follows from nothing", "score_agreement", "scores.edited_metric", OUT_OF_FOLD),
    FaultEntry("another row marked best", "score_agreement", "scores.other_best", OUT_OF_FOLD),
    FaultEntry("edited stability of the winner", "winner_stability", "scores.edited_stability", GRID),
    FaultEntry("edited AUC of the decoy", "technical_decoy", "decoy.edited_table", GRID),
    FaultEntry("decoy in other folds", "technical_decoy", "decoy.other_folds", GRID),
    FaultEntry("decoy that was made weak", "technical_decoy", "decoy.shuffled", GRID),
    FaultEntry("named column repeats the label", "leak_columns", "cohort.label_as_annotation", OUT_OF_FOLD, "warn"),
    FaultEntry("one batch for each class", "confounded_label", "cohort.label_as_batch", OUT_OF_FOLD, "warn"),
    FaultEntry("edited confounding of the label", "confounded_label", "cohort.edited_confounding", ("plan1c",)),
    FaultEntry("cell repeated in another patient", "donor_identity", "cohort.repeated_cell", OUT_OF_FOLD, "warn"),
    FaultEntry("leaked test patient", "grouped_folds", "grouped.leaked_patient", OUT_OF_FOLD),
    FaultEntry("genes of a fold selected on all cells", "fold_genes", "genes.selected_on_all", GRID),
    FaultEntry("genes chosen by the label", "supervised_selection", "genes.chosen_by_label", CLASSIFY, "warn"),
    FaultEntry("permutation that is none", "permuted_scores", "permuted.not_permuted", CONTROLS),
    FaultEntry("labels permuted across strata", "permuted_scores", "permuted.across_strata", CONTROLS),
    FaultEntry("permuted score above chance", "permuted_scores", "permuted.above_chance", CONTROLS),
    FaultEntry("edited score of a control", "permuted_scores", "permuted.edited_control", CONTROLS),
    FaultEntry("null twin with the observed labels", "null_twin", "twin.not_permuted", OUT_OF_FOLD, "warn"),
    FaultEntry("permuted label predicted in the twin", "null_twin", "twin.label_in_predictions", OUT_OF_FOLD),
    FaultEntry("edited score of the null twin", "null_twin", "twin.edited_summary", OUT_OF_FOLD),
    FaultEntry("search under fewer labellings", "search_permutation", "searched.fewer_labellings", GRID),
    FaultEntry("patient left out of the search", "search_permutation", "searched.lost_patient", GRID),
    FaultEntry("permuted searches made weak", "search_permutation", "searched.weak_permutations", GRID),
    FaultEntry("search that finds no more than chance", "search_permutation", "searched.no_better", GRID),
    FaultEntry("edited p of the search", "search_permutation", "searched.edited_p", GRID),
    FaultEntry("edited p of a configuration", "search_permutation", "searched.edited_table", GRID),
    FaultEntry("run time exceeded", "budget", "spent.runtime"),
    FaultEntry("memory exceeded", "budget", "spent.memory"),
)


def anywhere() -> tuple[FaultEntry, ...]:
    """Return the faults that any stage may have, commands of the operator included.

    >>> [entry.name for entry in anywhere() if entry.gate == "budget"]
    ['run time exceeded', 'memory exceeded']
    """
    return tuple(entry for entry in FAULTS if not entry.stages)


def faults_of(stage: str) -> tuple[FaultEntry, ...]:
    """Return the faults that certain stages have, this one among them.

    >>> [entry.name for entry in faults_of("plan0") if entry.gate == "stability_floor"]
    ['components that do not come back']
    """
    return tuple(entry for entry in FAULTS if stage in entry.stages)


def unproven_gates() -> tuple[str, ...]:
    """Return the gates of the catalogue that no fault belongs to."""
    proven = {entry.gate for entry in FAULTS}
    return tuple(name for name in known_gates() if name not in proven)
