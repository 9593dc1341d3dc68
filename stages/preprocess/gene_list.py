"""The genes that given sets name, as far as the data have them."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from stagewright.stages.preprocess.gene_sets import GeneSets
from stagewright.stages.preprocess.selection import GeneSelection, LogValue

__all__ = ["select_gene_list"]

SHOWN = 20


def select_gene_list(var_names: Iterable[str], sets: GeneSets, counted: npt.NDArray[np.bool_]) -> GeneSelection:
    """Select the genes of some sets by name.

    Parameters
    ----------
    var_names
        Names of all genes of the data, shape (n_genes,), each once.
    sets
        The sets to take.
    counted
        Whether a gene has any count, shape (n_genes,): one without is not kept, and the log says how many those are.

    Returns
    -------
    GeneSelection
        Not supervised. The log has the genes of each set and how many of them the data have.

    Raises
    ------
    ValueError
        The data have no gene of the sets, or none with a count.
    """
    wanted = sets.genes
    place = {str(name): number for number, name in enumerate(var_names)}
    found = [place[gene] for gene in wanted if gene in place]
    if not found:
        listed_ones, others = (", ".join(map(str, [*names][:3])) for names in (wanted, place))
        raise ValueError(
            f"None of the {len(wanted)} genes of the list (e.g. {listed_ones}) is among the {len(place)} of the data "
            f"(e.g. {others}). Are both symbols, or both Ensembl ids?"
        )
    listed = np.zeros(len(place), dtype=np.bool_)
    listed[found] = True
    mask = listed & counted
    if not mask.any():
        raise ValueError(f"All {len(found)} genes of the list that the data have are zero in all cells.")
    by_set: dict[str, LogValue] = {
        name: {"n_genes": len(genes), "n_in_data": sum(gene in place for gene in genes)}
        for name, genes in sets.sets.items()
    }
    missing = [gene for gene in wanted if gene not in place]
    log: dict[str, LogValue] = {
        "method": "gene_list",
        "sets": by_set,
        "n_genes_before": len(place),
        "n_genes_listed": len(wanted),
        "n_genes_repeated_in_a_set": sets.n_repeated,
        "n_genes_not_in_data": len(missing),
        "genes_not_in_data": [*missing[:SHOWN]],
        "n_genes_all_zero": int(np.count_nonzero(listed & ~counted)),
        "sets_without_a_gene_in_the_data": [
            name for name, genes in sets.sets.items() if not any(gene in place for gene in genes)
        ],
        "n_genes_after": int(mask.sum()),
    }
    return GeneSelection("gene_list", mask, supervised=False, log=log, table={"listed": listed})
