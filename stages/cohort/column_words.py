"""The words by which studies name their columns and levels, and how well a name matches them."""

import re
from collections.abc import Iterable

PATIENT = ("patient", "donor", "subject", "individual", "participant", "patientid", "donorid", "sample", "orig.ident")
TIMEPOINT = ("timepoint", "time", "timepointtype", "visit", "day", "week", "month")
SOURCE = ("source", "site", "centre", "center", "tissue", "study", "cohort", "dataset", "institution")
TECHNOLOGY = ("tech", "technology", "platform", "assay", "chemistry", "modality", "protocol")
BATCH = ("batch", "library", "lane", "run", "pool", "channel", "sample", "plate")
CELL_TYPE = (
    "celltype",
    "annotation",
    "predictedannotation",
    "celltypes",
    "cluster",
    "compartment",
    "leiden",
    "louvain",
)
LABEL = (
  "label", "condition", "disease", "status", "malignant", "malignancy", "tumor", "tumour", "cancer", "stim",
  "treatment", "response", "diagnosis", "class", "group", "perturbation",
)  # fmt: skip

POSITIVE = frozenset(
  [
    "malignant", "cancer", "cancerous", "tumor", "tumour", "leukemic", "leukaemic", "leukemia", "leukaemia", "blast",
    "aml", "aneuploid", "stim", "stimulated", "treated", "case", "disease", "diseased", "mutant", "mut", "perturbed",
    "infected", "positive", "responder", "true", "yes", "1",
  ]
)  # fmt: skip
NEGATIVE = frozenset(
  [
    "normal", "nonmalignant", "healthy", "benign", "ctrl", "control", "diploid", "wildtype", "wt", "untreated",
    "unstimulated", "unstim", "reference", "mock", "vehicle", "negative", "nonresponder", "false", "no", "0",
  ]
)  # fmt: skip


def name_score(name: str, words: Iterable[str]) -> int:
    """Score a column's name: 3 when it is one of the words, 2 when a part of it is, 1 when it contains one, else 0.

    Examples
    --------
    >>> [name_score(name, TIMEPOINT) for name in ("timepoint", "timepoint_type", "Time.Point", "timepoints_all", "x")]
    [3, 3, 3, 1, 0]
    >>> name_score("donor_of_cell", PATIENT)
    2
    """
    parts = _parts(name)
    whole = "".join(parts)
    best = 0
    for word in words:
        plain = "".join(_parts(word))
        if whole == plain:
            return 3
        if plain in parts:
            best = 2
        elif best == 0 and len(plain) > 4 and plain in whole:  # noqa: PLR2004 - "run" occurs in "brunch"
            best = 1
    return best


def class_of_level(level: str) -> str | None:
    """Say whether a level reads like the positive or the negative class: `positive`, `negative` or None.

    Examples
    --------
    >>> [class_of_level(text) for text in ("malignant", "non-malignant", "ctrl", "unclear", "Tumor cell", "1.0")]
    ['positive', 'negative', 'negative', None, 'positive', 'positive']
    """
    parts = _parts(level.removesuffix(".0"))
    if parts and parts[0] in {"non", "not"}:
        return "negative" if POSITIVE.intersection(parts[1:]) else None
    if NEGATIVE.intersection(parts) or "".join(parts) in NEGATIVE:
        return "negative"
    return "positive" if POSITIVE.intersection(parts) else None


def _parts(name: str) -> list[str]:
    """Split `CN.label`, `cell_type` and `cellType` into lower-case words."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [part.lower() for part in re.split(r"[^A-Za-z0-9]+", spaced) if part]
