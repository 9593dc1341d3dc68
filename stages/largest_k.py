"""The largest number of components that a method can fit to a matrix of some cells and genes."""

import re

__all__ = ["largest_k", "largest_k_named"]

NAMED = re.compile(r"largest allowed K is (\d+)|takes 1 to (\d+)")


def largest_k(method: str, n_cells: int, n_genes: int) -> int:
    """Return an upper bound of K; constant genes may lower it further.

    >>> largest_k("pca", 20, 100), largest_k("fa", 20, 100), largest_k("nmf", 20, 100)
    (19, 19, 20)
    """
    if method == "pca":
        return min(n_cells - 1, n_genes)  # centring takes one dimension of the cells
    if method == "fa":
        return min(n_cells, n_genes) - 1
    return min(n_cells, n_genes)


def largest_k_named(error: str) -> int | None:
    """Return the largest K that the error of a fit says it takes, if it says one.

    >>> largest_k_named("ValueError: k is 30; NMF of 20 cells and 100 genes takes 1 to 20.")
    20
    """
    found = NAMED.search(error)
    return None if found is None else int(found[1] or found[2])
