"""What is wrong with a data file, as an error that says so. Light to import."""

__all__ = ["CohortMismatch", "CohortUnreadable"]


class CohortUnreadable(ValueError):  # noqa: N818 - names the state of the file, as Refusal names the reply
    """The file is not a whole h5ad file; the message says what is wrong with it and what to do."""


class CohortMismatch(ValueError):  # noqa: N818 - as above
    """The file can be read but does not hold what the study names; the message says what it does hold."""

    def __init__(self, message: str, *, named: str, allowed: list[str]) -> None:
        super().__init__(message)
        self.named = named
        """The column or level that is not there."""
        self.allowed = allowed
        """What is there instead."""
