"""What may be set of each reduction method beside K, seeds and rotation."""

from typing import Annotated, Literal

from pydantic import Field

from stagewright.state.spec.strict import Name, Strict

__all__ = ["Cnmf", "FactorAnalysis", "Harmony", "Loss", "Nmf", "Scvi"]

Loss = Literal["frobenius", "kullback-leibler"]


class Nmf(Strict):
    """Non-negative matrix factorisation: the loss that is minimised."""

    loss: Loss = "frobenius"


class FactorAnalysis(Strict):
    """Factor analysis.

    Attributes
    ----------
    scores
        How the factors of a cell are estimated: `regression` (least error) or `bartlett` (unbiased).
    starts
        Starts of the likelihood's maximisation in each fit; the best one is kept.
    """

    scores: Literal["regression", "bartlett"] = "regression"
    starts: Annotated[int, Field(ge=1, le=100)] = 1


class Cnmf(Strict):
    """Consensus NMF (Kotliar et al. 2019).

    Attributes
    ----------
    replicates
        Factorisations of each fit, from starts of their own.
    loss
        That each of them minimises.
    density_threshold
        A component whose mean distance to its nearest neighbours is not below this is left out of the consensus;
        components have length 1, so that at 2 none is.
    neighbors_share
        The nearest neighbours: this share of the number of replicates.
    max_iter
        The most iterations of a factorisation.
    """

    replicates: Annotated[int, Field(ge=2, le=1000)] = 20
    loss: Loss = "frobenius"
    density_threshold: Annotated[float, Field(gt=0, le=2)] = 0.5
    neighbors_share: Annotated[float, Field(gt=0, le=1)] = 0.3
    max_iter: Annotated[int, Field(ge=10, le=100_000)] = 1000


class Harmony(Strict):
    """Principal components corrected for a batch: an obs column, the patient unless another is named."""

    batch: Name | None = None


class Scvi(Strict):
    """Variational autoencoder: the batch as for harmony, and the most passes over the cells."""

    batch: Name | None = None
    max_epochs: Annotated[int, Field(ge=1, le=10_000)] | None = None
