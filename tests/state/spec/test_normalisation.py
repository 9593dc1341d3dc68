"""The scale of a study in its spec: what is said is kept, what does not belong to the method is an error."""

from typing import Any

import pytest

from stagewright.state.refusals import Refusal
from stagewright.state.spec import Adjustments, effective_study, parse_spec

DATA = {"path": "x.h5ad", "patient": "p", "label": {"column": "l", "positive": "a", "negative": "b"}}


def _spec(**values: object) -> dict[str, Any]:
    return {"objective": "x", "data": DATA} | values


def test_the_scale_reaches_every_checkpoint() -> None:
    """log1p to 10,000 counts when nothing is said."""
    said = parse_spec(_spec(normalisation={"method": "pearson_residuals", "theta": 50}))
    for spec, expected in (
        (parse_spec(_spec()), {"method": "log1p", "target_sum": 1e4}),
        (said, {"method": "pearson_residuals", "theta": 50.0}),
    ):
        study = effective_study(spec, Adjustments(), "A")
        assert study.normalisation.model_dump() == expected
        assert parse_spec(spec.model_dump(mode="json", exclude_none=True)).normalisation == spec.normalisation


@pytest.mark.parametrize(
    ("scale", "says"),
    [
        ({"method": "log"}, "normalisation.method: got 'log'; allowed: log1p, library_size, none, pearson_residuals"),
        ({"method": "log1p", "theta": 5}, "normalisation.theta: unknown key"),
        ({"method": "none", "target_sum": 5}, "normalisation.target_sum: unknown key"),
        ({"method": "pearson_residuals", "theta": 0}, "normalisation.theta: got 0; allowed: greater than 0"),
    ],
)
def test_a_setting_of_another_scale_is_an_error(scale: dict[str, object], says: str) -> None:
    """It would change nothing, so nobody may believe that it does."""
    with pytest.raises(Refusal) as caught:
        parse_spec(_spec(normalisation=scale))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"method": "two_stage", "n_top_genes": 100, "n_hvg": 100}, "n_hvg must be below n_top_genes"),
        ({"method": "deg_weak_screen", "within": "site"}, "within of deg_weak_screen: the column 'site' is not among"),
        ({"method": "all_filtered", "noise_filter": {"mean_quantile": 1}}, "allowed: less than 1"),
        ({"method": "gene_list", "path": "x.gmt", "sets": []}, "preprocess[0].sets: got []"),
    ],
)
def test_selections_of_genes_that_make_no_sense(entry: dict[str, object], says: str) -> None:
    """Found when the spec is read."""
    with pytest.raises(Refusal) as caught:
        parse_spec(_spec(preprocess=[entry]))
    assert says in str(caught.value)


def test_a_variant_of_downsampling_is_told_by_its_place() -> None:
    """The place is the one that was written, without the name of the method."""
    variants: list[object] = [
        "none",
        {"method": "random", "ratio_threshold": 0},
        {"method": "random", "ratio_treshold": 3},
    ]
    with pytest.raises(Refusal) as caught:
        parse_spec(_spec(classifier={"downsampling": variants}))
    assert "classifier.downsampling[1].ratio_threshold: got 0; allowed: greater than or equal to 1" in str(caught.value)
    assert "classifier.downsampling[2].ratio_treshold: unknown key. Did you mean 'ratio_threshold'?" in str(
        caught.value
    )
