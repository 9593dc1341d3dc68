"""The estimate of a step's peak grows with what a step's memory grows with."""

import pytest

from stagewright.stages.peak_memory import DataSize, expected_genes, peak_memory_bytes
from stagewright.state.spec import Adjustments, EffectiveStudy, effective_study, parse_spec
from stagewright.state.spec.preprocess import AllFiltered, Hvg

SPEC = parse_spec(
    {
        "objective": "x",
        "data": {"path": "x.h5ad", "patient": "p", "label": {"column": "l", "positive": "a", "negative": "b"}},
        "reference": {"method": "hvg", "n_top_genes": 8000},
        "preprocess": [{"method": "hvg", "n_top_genes": 2000}, {"method": "all_filtered"}],
        "reduction": {"methods": ["pca", "fa", "nmf"], "k": [20, 40, 60]},
    },
)
SIZE = DataSize(n_cells=50_000, n_genes=25_000, n_nonzero=10**8)
CHOSEN = {"pca": 20, "fa": 40, "nmf": 20}


def study(**values: object) -> EffectiveStudy:
    """Return what C runs of the study, adjusted."""
    return effective_study(SPEC, Adjustments.model_validate(values), "C")


def peak(stage: str, size: DataSize = SIZE, *, workers: int = 4, embedded: bool = False, **values: object) -> int:
    """Return the estimate, which there is for every stage of ours."""
    found = peak_memory_bytes(stage, study(**values), CHOSEN, size, workers=workers, embedded=embedded)
    assert found is not None
    return found


@pytest.mark.parametrize("stage", ["plan0", "plan1a", "plan1b"])
def test_less_of_anything_needs_no_more(stage: str) -> None:
    """Fewer workers, cells, stored values, methods: less memory, at every stage."""
    assert peak(stage, workers=1) < peak(stage, workers=4)
    assert peak(stage, DataSize(25_000, 25_000, 10**8 // 2)) < peak(stage)
    assert peak(stage, methods=["nmf"]) < peak(stage)
    assert peak(stage, preprocess=[{"method": "hvg", "n_top_genes": 1000}]) <= peak(stage)


def test_plan0_grows_with_k_and_the_reference() -> None:
    """The sweep looks at its reference; the genes' correlations grow with their square."""
    assert peak("plan0", k=[20, 40]) < peak("plan0")
    smaller = {"method": "hvg", "n_top_genes": 2000}
    assert peak("plan0") - peak("plan0", reference=smaller) > 4 * (8000**2 - 2000**2)


def test_embeddings_that_are_only_read_cost_little() -> None:
    """Plan 1B after Plan 1A loads no counts."""
    assert peak("plan1b", embedded=True) < peak("plan1b") / 3


def test_a_command_is_not_known() -> None:
    """What an operator's script holds cannot be told."""
    assert peak_memory_bytes("script", study(), {}, SIZE, workers=1) is None


def test_genes_of_a_preprocess() -> None:
    """A number of variable genes is what it says, up to all there are; a higher bound on cells keeps fewer."""
    assert expected_genes(Hvg(method="hvg", n_top_genes=3000), 25_000) == 3000
    assert expected_genes(Hvg(method="hvg", n_top_genes=3000), 500) == 500
    few, many = (AllFiltered(method="all_filtered", min_cells_fraction=part) for part in (0.04, 0.01))
    assert expected_genes(few, 20_000) == 5_000
    assert expected_genes(many, 20_000) == 10_000
