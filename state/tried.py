"""What other runs tried on the same labels: the record that a run starts from, and how it is counted.

A configuration that was scored once was looked at, and stays so under another run id. Its name, e.g.
``hvg_3000/nmf/k_20``, says what of the grid it is; the `setting` says all else that decides its score. The same
configuration in the same setting gives the same score again and is one trial; in another setting it is another.
"""

from collections.abc import Iterable, Mapping

from stagewright.state.canonical import digest_json
from stagewright.state.records import Record
from stagewright.state.spec.goal import GoalSpec

__all__ = ["Tried", "count_tried", "merged_tried", "setting_of"]

SETTING_DIGITS = 12


class Tried(Record):
    """The configurations that one run scored, and the setting in which it did."""

    setting: str
    configurations: tuple[str, ...]


def setting_of(spec: GoalSpec) -> str:
    """Return the digest of what a configuration's name does not say of its score.

    The cells, the scale, how methods are fitted and classifiers validated are in it. Objective, budget, criteria and
    gates change no score, so another wording of them is no other setting.
    """
    said = {
        "data": spec.data.model_dump(mode="json", exclude={"path"}),
        "normalisation": spec.normalisation.model_dump(mode="json"),
        "reduction": spec.reduction.model_dump(mode="json", exclude={"methods", "k", "replicates", "held_out"}),
        "classifier": spec.classifier.model_dump(mode="json"),  # a name has no penalty in it
    }
    return digest_json({**said})[:SETTING_DIGITS]


def merged_tried(before: Mapping[str, Tried], newer: Mapping[str, Tried]) -> dict[str, Tried]:
    """Return what was tried by either record, run by run: a record only ever grows."""
    merged = dict(before)
    for run_id, tried in newer.items():
        known = merged.get(run_id)
        names = (*(known.configurations if known is not None else ()), *tried.configurations)
        merged[run_id] = Tried(setting=tried.setting, configurations=tuple(dict.fromkeys(names)))
    return merged


def count_tried(before: Mapping[str, Tried], setting: str = "", own: Iterable[str] = ()) -> int:
    """Return the number of different trials: those of other runs, and a run's own in its setting.

    >>> earlier = {"run1": Tried(setting="a", configurations=("hvg/nmf/k_20", "hvg/fa/k_20"))}
    >>> count_tried(earlier), count_tried(earlier, "a", ["hvg/fa/k_20"]), count_tried(earlier, "b", ["hvg/fa/k_20"])
    (2, 2, 3)
    """
    pairs = {(tried.setting, name) for tried in before.values() for name in tried.configurations}
    return len(pairs | {(setting, name) for name in own})
