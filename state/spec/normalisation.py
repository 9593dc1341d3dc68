"""The scale on which a study looks at its counts: `normalisation` of the goal spec."""

from typing import Annotated, Literal

from pydantic import Field

from stagewright.state.spec.strict import Strict

__all__ = ["LibrarySize", "Log1p", "NoNormalisation", "Normalisation", "PearsonResiduals"]

TargetSum = Annotated[float, Field(gt=0, le=1e9)]


class Log1p(Strict):
    """Each cell scaled to the same total, then log(1 + x)."""

    method: Literal["log1p"]
    target_sum: TargetSum = 1e4

    def __str__(self) -> str:
        """Return the scale in words."""
        return f"library size to {self.target_sum:,g} counts, log1p"


class LibrarySize(Strict):
    """Each cell scaled to the same total, without a logarithm."""

    method: Literal["library_size"]
    target_sum: TargetSum = 1e4

    def __str__(self) -> str:
        """Return the scale in words."""
        return f"library size to {self.target_sum:,g} counts"


class NoNormalisation(Strict):
    """The counts as they are."""

    method: Literal["none"]

    def __str__(self) -> str:
        """Return the scale in words."""
        return "counts as they are"


class PearsonResiduals(Strict):
    """Analytic Pearson residuals of a negative binomial with one overdispersion `theta`, clipped at sqrt(n_cells)."""

    method: Literal["pearson_residuals"]
    theta: Annotated[float, Field(gt=0, le=1e9)] = 100.0

    def __str__(self) -> str:
        """Return the scale in words."""
        return f"Pearson residuals with theta {self.theta:g}, clipped at the root of the number of cells"


Normalisation = Annotated[
    Log1p | LibrarySize | NoNormalisation | PearsonResiduals,
    Field(discriminator="method"),
]
