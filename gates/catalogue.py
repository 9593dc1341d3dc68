"""Which gates judge which stage, what each is for, and which bounds the spec may set. Light to import.

The spec's `gates:` names a gate and one of its bounds. A gate without bounds has nothing to set: it measures whether
something is so, not how much.
"""

from stagewright.gates.gate_entry import Bound, GateEntry
from stagewright.gates.protocol import GateContext

__all__ = ["GATES", "gates_for", "known_gates", "threshold"]

PLANS = ("plan0", "plan1a", "plan1b", "plan1c")
CLASSIFY = ("plan1a", "plan1b", "plan1c")
OUT_OF_FOLD = ("plan1b", "plan1c")


GATES: tuple[GateEntry, ...] = (
    # Integrity stands first: what the others read has to be what was sealed.
    GateEntry(
        "artifact_integrity",
        "stagewright.gates.artifact_integrity",
        "every file is what was sealed, byte for byte, and nothing else lies beside it",
    ),
    GateEntry(
        "failed_units",
        "stagewright.gates.failed_units",
        "no more units of work failed than the spec allows, and each that did is named",
    ),
    GateEntry(
        "reused_units",
        "stagewright.gates.reused_units",
        "every result taken from the cache was made by an earlier attempt, by the record that the ledger seals",
    ),
    GateEntry(
        "promised_files",
        "stagewright.gates.promised_files",
        "every file that the request asks for exists, opens, and has the promised shape and columns",
    ),
    GateEntry(
        "embedding",
        "stagewright.gates.embedding",
        "embeddings are finite, and every axis of them varies",
        PLANS,
    ),
    GateEntry(
        "duplicate_axes",
        "stagewright.gates.duplicate_axes",
        "no two axes of an embedding are the same",
        PLANS,
        (
            Bound(
                "at_most",
                0.999,
                0.5,
                1.0,
                "absolute correlation of two axes over cells",
                "real PCA, FA and NMF embeddings stay below 0.6; at 0.999 one axis explains 99.8 % of the other",
            ),
        ),
    ),
    GateEntry(
        "effective_rank",
        "stagewright.gates.effective_rank",
        "an embedding has about as many dimensions as it has axes",
        PLANS,
        (
            Bound(
                "at_least",
                0.1,
                0.0,
                1.0,
                "share of the K axes that are independent, (participation ratio - 1) / (K - 1)",
                "real PCA, FA and NMF embeddings have 0.8 to 1; at 0.1 nine axes of ten repeat the others",
            ),
        ),
    ),
    GateEntry(
        "variance_collapse",
        "stagewright.gates.variance_collapse",
        "no axis of an embedding has next to no variance beside the others",
        PLANS,
        (
            Bound(
                "at_least",
                1e-6,
                0.0,
                1.0,
                "smallest variance of an axis as a share of the largest",
                "real PCA and FA axes have 0.04 and more; at 1e-6 an axis has a thousandth of the spread of another, "
                "which single precision hardly carries; a warning up to 1e-4",
            ),
        ),
    ),
    GateEntry(
        "unused_components",
        "stagewright.gates.unused_components",
        "every component of a non-negative factorisation makes up a part of some cell",
        PLANS,
        (
            Bound(
                "at_least",
                0.01,
                0.0,
                1.0,
                "largest part of a cell that the least used component makes up",
                "in real NMF the least used component makes up 0.4 of some cell and more; at 0.01 it would take a "
                "hundred like it to make up one cell",
            ),
        ),
    ),
    GateEntry(
        "larger_k",
        "stagewright.gates.larger_k",
        "the fit of a larger K is another one than that of a smaller K, and reproduces no less",
        ("plan0",),
        (
            Bound(
                "at_most",
                0.99999,
                0.5,
                1.0,
                "smallest absolute correlation of a smaller K's axis with its match in a larger K",
                "of NMF and FA of real cells the axis that changed most keeps 0.84 to 0.98; only a copy, or a K "
                "that did not reach the method, comes to the bound",
            ),
        ),
    ),
    GateEntry(
        "replicate_summary",
        "stagewright.gates.replicate_summary",
        "each method and K has its summary over the promised replicates, and those on disk agree with it",
        ("plan0",),
    ),
    GateEntry(
        "held_out",
        "stagewright.gates.held_out",
        "the held-out figures follow from their sums, over the promised share of each patient's cells",
        ("plan0",),
    ),
    GateEntry(
        "stability_floor",
        "stagewright.gates.stability_floor",
        "components at the chosen K come back in another replicate: under another seed, or in a bootstrap",
        ("plan0",),
        (
            Bound(
                "at_least",
                0.5,
                0.0,
                1.0,
                "median absolute correlation of matched components over pairs of replicates at the chosen K",
                "below it, more than half of the components share less than a quarter of their variance with their "
                "match; a warning by default, because what a study needs its spec has to say; a failure when it does",
            ),
        ),
    ),
    GateEntry(
        "patient_coverage",
        "stagewright.gates.patient_coverage",
        "every patient with both classes has a result in every configuration, or a stated reason",
        CLASSIFY,
        (
            Bound(
                "at_least",
                0.5,
                0.0,
                1.0,
                "share of the patients with both classes that have a result",
                "when most patients are left out, a median over patients speaks for the minority; a warning by "
                "default, a failure when the spec sets it, and always a failure when no patient has a result",
            ),
        ),
    ),
    GateEntry(
        "predictions",
        "stagewright.gates.predictions",
        "predictions are probabilities and tell cells apart",
        CLASSIFY,
        (
            Bound(
                "at_least",
                1e-6,
                0.0,
                1.0,
                "range of a patient's predictions within one fitted model",
                "solvers stop within 1e-6 of the optimum, so a smaller range is a model without features",
            ),
        ),
    ),
    GateEntry(
        "prediction_coverage",
        "stagewright.gates.prediction_coverage",
        "each scored cell is predicted exactly once in each repeat, with its own label",
        OUT_OF_FOLD,
    ),
    GateEntry(
        "class_support",
        "stagewright.gates.class_support",
        "each training and each test fold holds cells of both classes",
        OUT_OF_FOLD,
    ),
    GateEntry(
        "score_agreement",
        "stagewright.gates.score_agreement",
        "the reported AUCs follow from the out-of-fold predictions",
        OUT_OF_FOLD,
    ),
    GateEntry(
        "winner_stability",
        "stagewright.gates.winner_stability",
        "the same configuration wins when one patient is left out, whichever it is",
        ("plan1b",),
        (
            Bound(
                "at_least",
                0.75,
                0.0,
                1.0,
                "share of the patients without whom the winner stays the same",
                "of simulated studies in which the best is ahead by two standard deviations of the patients none lies "
                "below, where no configuration is better half do; a warning by default, a failure when the spec sets "
                "it",
            ),
        ),
    ),
    GateEntry(
        "technical_decoy",
        "stagewright.gates.technical_decoy",
        "the best embedding tells the classes apart better than how the cells were measured does",
        ("plan1b",),
        (
            Bound(
                "at_least",
                0.0,
                0.0,
                0.5,
                "lower end of the 95 % interval of the AUC above that of the technical decoy, over patients",
                "at 0 the decoy may be as good; a failure when not even the upper end exceeds it, otherwise a warning, "
                "as few patients have wide intervals and depth can follow from biology; a failure when the spec sets "
                "it",
            ),
        ),
    ),
    GateEntry(
        "leak_columns",
        "stagewright.gates.leak_columns",
        "no column that the study names tells the label by itself",
        OUT_OF_FOLD,
        (
            Bound(
                "at_most",
                0.9,
                0.0,
                1.0,
                "median over patients of Cramer's V with the label, or of |2 AUC - 1|",
                "at 0.9 a column errs on about one cell in twenty; a warning, a failure for a column by which the "
                "study is designed",
            ),
        ),
    ),
    GateEntry(
        "confounded_label",
        "stagewright.gates.confounded_label",
        "the label does not coincide with who, when or where the cells are from",
        OUT_OF_FOLD,
        (
            Bound(
                "at_most",
                0.9,
                0.0,
                1.0,
                "Cramer's V of the label with patient, time point or technical column, over all cells",
                "where a third of the donors have one class it is 0.6; at 0.9 one cell in twenty has "
                "another label than its level; a warning, because labels may be given by patient or visit",
            ),
        ),
    ),
    GateEntry(
        "donor_identity",
        "stagewright.gates.donor_identity",
        "no cell is there twice, under one donor or two",
        OUT_OF_FOLD,
        (
            Bound(
                "at_most",
                0.01,
                0.0,
                1.0,
                "share of the cells that are there twice",
                "a perfect memory of 0.01 of the cells lifts an AUC by at most 0.005, which no comparison hangs on; "
                "real data have none; any is a warning, more a failure",
            ),
        ),
    ),
    GateEntry(
        "grouped_folds",
        "stagewright.gates.grouped_folds",
        "no group of cells lies on both sides of a fold where the folds are to be grouped",
        ("plan1b", "plan1c"),
    ),
    GateEntry(
        "fold_genes",
        "stagewright.gates.fold_genes",
        "under CV scope `pipeline` the genes of each fold were selected on its training cells alone",
        ("plan1b",),
    ),
    GateEntry(
        "supervised_selection",
        "stagewright.gates.supervised_selection",
        "genes were selected without the labels that the classifiers are scored on",
        CLASSIFY,
    ),
    GateEntry(
        "permuted_scores",
        "stagewright.gates.permuted_scores",
        "permuted labels are permuted within their strata, and score no better than chance there",
        ("plan2",),
        (
            Bound(
                "at_most",
                0.0,
                0.0,
                0.5,
                "permuted AUC within strata above the upper end of its 99 % chance interval",
                "out of fold, labels without a tie to expression are told apart by chance only; more is a leak",
            ),
        ),
    ),
    GateEntry(
        "null_twin",
        "stagewright.gates.null_twin",
        "a copy of each configuration under permuted labels scores no better than chance within strata",
        OUT_OF_FOLD,
        (
            Bound(
                "at_most",
                0.0,
                0.0,
                0.5,
                "twin's AUC within strata above the upper end of its 99.999 % chance interval",
                "out of fold, permuted labels are told apart by chance only; more is a leak, and with one copy the "
                "interval has to be wide: a study that is planned anew hundreds of times should not meet its end once",
            ),
        ),
    ),
    GateEntry(
        "search_permutation",
        "stagewright.gates.search_permutation",
        "the best score of the whole search is more than the same search finds under permuted labels",
        ("plan1b",),
        (
            Bound(
                "at_most",
                0.05,
                0.0,
                1.0,
                "p of the best score among the best scores of the permuted labellings, adjusted for all that was tried",
                "one search in twenty among labels without a tie to expression comes below it",
            ),
        ),
    ),
    GateEntry(
        "budget",
        "stagewright.gates.budget",
        "run time and memory stay within the run's limits",
    ),
)


def known_gates() -> tuple[str, ...]:
    """Return the names of all gates."""
    return tuple(entry.name for entry in GATES)


def gates_for(stage: str) -> tuple[GateEntry, ...]:
    """Return the gates that judge a stage, in the order in which they run.

    >>> [entry.name for entry in gates_for("my_command")]
    ['artifact_integrity', 'failed_units', 'reused_units', 'promised_files', 'budget']
    """
    return tuple(entry for entry in GATES if not entry.stages or stage in entry.stages)


def threshold(context: GateContext, gate: str, bound: str) -> float:
    """Return a gate's bound for a step: the sealed spec's, or else the catalogue's default."""
    entry = next(entry for entry in GATES if entry.name == gate)
    return context.threshold(gate, bound, entry.default(bound))
