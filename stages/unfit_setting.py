"""A setting of the study that does not fit the data, whatever unit of work meets it first."""

__all__ = ["UnfitSetting"]


class UnfitSetting(ValueError):  # noqa: N818 - names the state of the setting, as Refusal names the reply
    """Leaving out the method or preprocess that met it helps nothing: every other one would meet it too."""
