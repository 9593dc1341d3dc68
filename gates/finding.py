"""What gates do with findings besides making them."""

from collections.abc import Iterable, Iterator

from stagewright.gates.protocol import Finding

__all__ = ["bounded"]

MOST = 20


def bounded(findings: Iterable[Finding], most: int = MOST) -> Iterator[Finding]:
    """Pass on the first `most` findings and count the others in one more: a thousand alike tell no more than twenty.

    Parameters
    ----------
    findings
        Findings of one gate and one severity.
    most
        How many are passed on as they are.
    """
    last, beyond = None, 0
    for number, finding in enumerate(findings):
        if number < most:
            yield finding
        else:
            last, beyond = finding, beyond + 1
    if last is not None:
        yield last.model_copy(
            update={"subject": f"{beyond} more", "measured": f"{beyond} more of this gate's findings"}
        )
