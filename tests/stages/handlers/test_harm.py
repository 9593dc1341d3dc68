"""How much of a study a change gives up."""

import pytest

from stagewright.stages.handlers.harm import harm_of
from stagewright.state.spec import Adjustments, GoalSpec, parse_spec


@pytest.fixture
def spec() -> GoalSpec:
    """Return a study whose units are easy to count: A and B sweep 2 K, C all 3."""
    return parse_spec(
        {
            "objective": "x",
            "data": {"path": "x.h5ad", "patient": "p", "label": {"column": "l", "positive": "a", "negative": "b"}},
            "stages": ["plan0", "plan1b"],
            "preprocess": [{"method": "hvg", "n_top_genes": 1000}, {"method": "hvg", "n_top_genes": 500}],
            "reduction": {"methods": ["fa", "nmf"], "k": [5, 10, 20], "seeds": [1, 2]},
        },
    )


# Plan 0: 2 methods x K x (2 seeds + 1 held-out fit) = 12, 12 and 18 units; Plan 1B: 2 preprocesses x 2 methods, each an
# embedding, its paths and their null twin, = 12 at each, and at C its search: 82 in all.
@pytest.mark.parametrize(
    ("values", "given_up"),
    [
        ({}, 0),
        ({"workers": 1}, 0),
        ({"memory": "64GiB", "runtime": "9h"}, 0),
        ({"k": {"fa": [5, 10], "nmf": [5, 10, 20]}}, 3 / 82),
        ({"k": {"fa": [5], "nmf": [5, 10, 20]}}, 12 / 82),
        ({"seeds": [1]}, 14 / 82),
        ({"methods": ["nmf"]}, 41 / 82),
        ({"preprocess": [{"method": "hvg", "n_top_genes": 1000}]}, 20 / 82),
        ({"reference": {"method": "hvg", "n_top_genes": 500}}, 21 / 82),
        ({"cells_per_patient": {"A": 25}}, 24 * 0.75 / 82),
        ({"cells_per_patient": {"C": 1000}}, 34 * 0.5 / 82),
        ({"k": [5, 10, 20, 40]}, 0),
    ],
    ids=str,
)
def test_lost_work_is_counted_in_units(spec: GoalSpec, values: dict[str, object], given_up: float) -> None:
    """Over all steps of all checkpoints; fewer genes or cells lose their share of the units that see them."""
    harm = harm_of(spec, Adjustments.model_validate(values).applied_to(spec), workers=4)
    assert harm.given_up == pytest.approx(given_up, abs=1e-5)


def test_how_many_cells_a_patient_has_is_taken_into_account(spec: GoalSpec) -> None:
    """1,000 of 4,000 cells are a quarter of them."""
    fewer = Adjustments.model_validate({"cells_per_patient": {"C": 1000}}).applied_to(spec)
    assert harm_of(spec, fewer, workers=4, average_cells=4000).given_up == pytest.approx(34 * 0.75 / 82, abs=1e-5)


def test_what_leaves_the_results_comes_first(spec: GoalSpec) -> None:
    """Nothing, then fewer workers, then a larger budget, then another K for the same work, then lost units."""
    changes: list[tuple[dict[str, object], dict[str, int]]] = [
        ({}, {}),
        ({"workers": 3}, {}),
        ({"workers": 1}, {}),
        ({"memory": "32GiB"}, {}),
        ({}, {"fa": 5}),
        ({"k": {"fa": [5, 10], "nmf": [5, 10, 20]}}, {}),
        ({"methods": ["nmf"]}, {}),
    ]
    harms = [
        harm_of(spec, Adjustments.model_validate(values).applied_to(spec), workers=4, chosen=chosen)
        for values, chosen in changes
    ]
    assert harms == sorted(harms)
    assert len(set(harms)) == len(harms)
    assert [harm.changes_results for harm in harms] == [False] * 4 + [True] * 3
