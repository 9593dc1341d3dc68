"""Which obs columns say how and when a cell was measured, by the roles that the goal spec gives them."""

from stagewright.state.spec.data import DataScope

__all__ = ["TECHNICAL_ROLES", "technical_columns"]

TECHNICAL_ROLES = frozenset(
    [
        "batch", "source", "site", "centre", "center", "technology", "tech", "platform", "chemistry", "library", "lane",
        "run", "pool", "plate", "channel", "sample", "timepoint",
    ]
)  # fmt: skip
"""The roles of `data.columns` under which a column is taken for a technical one; a cell type is not."""


def technical_columns(scope: DataScope) -> dict[str, str]:
    """Return the technical columns by role: the time point and those of `data.columns` with such a role, each once.

    The patient and the label are never among them.

    >>> from stagewright.state.spec.data import Label
    >>> label = Label(column="status", positive="tumor", negative="normal")
    >>> roles = {"batch": "pool_id", "cell_type": "cluster", "sample": "donor"}
    >>> technical_columns(DataScope(path="a.h5ad", patient="donor", label=label, columns=roles))
    {'batch': 'pool_id'}
    """
    named = {} if scope.timepoint is None else {"timepoint": scope.timepoint.column}
    named |= {role: column for role, column in scope.columns.items() if role.lower() in TECHNICAL_ROLES}
    found: dict[str, str] = {}
    for role, column in named.items():
        if column not in {scope.patient, scope.label.column, *found.values()}:
            found[role] = column
    return found
