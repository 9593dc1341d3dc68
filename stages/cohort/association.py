"""How much one categorical column tells about another."""

import numpy as np
import pandas as pd


def cramers_v(left: pd.Series, right: pd.Series) -> float:
    """Compute the bias-corrected Cramer's V of two columns.

    Bergsma 2013, J. Korean Stat. Soc. 42:323: without the correction a column with many levels looks associated
    with anything.

    Parameters
    ----------
    left, right
        Series of length n_cells; rows where either is missing are left out.

    Returns
    -------
    Value in [0, 1]; 0 for independence or for a column with one level, 1 when one determines the other.

    Examples
    --------
    >>> import pandas as pd
    >>> round(cramers_v(pd.Series(list("aabb") * 50), pd.Series(list("xxyy") * 50)), 3)
    1.0
    >>> cramers_v(pd.Series(list("abab") * 50), pd.Series(list("xxyy") * 50))
    0.0
    """
    table = pd.crosstab(left, right).to_numpy(dtype=float)
    if min(table.shape, default=0) < 2:  # noqa: PLR2004 - one level says nothing
        return 0.0
    n = table.sum()
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi2 = float(((table - expected) ** 2 / expected).sum() / n)
    rows, columns = table.shape
    phi2 = max(0.0, phi2 - (rows - 1) * (columns - 1) / (n - 1))
    rows_left = rows - (rows - 1) ** 2 / (n - 1)
    columns_left = columns - (columns - 1) ** 2 / (n - 1)
    left_over = min(rows_left, columns_left) - 1
    if left_over <= 0:  # a level for each cell: nothing can be known
        return 0.0
    return float(min(1.0, np.sqrt(phi2 / left_over)))
