"""Read the clock. It is read once for each act and passed on, so that one act carries one time."""

from datetime import UTC, datetime

__all__ = ["stamp", "utc_now"]


def utc_now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """Return a moment as RFC 3339 text in UTC with milliseconds.

    >>> stamp(datetime(2026, 11, 22, 13, 41, 56, 120000, tzinfo=UTC))
    '2026-11-22T13:41:56.120Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
