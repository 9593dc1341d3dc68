"""Fill the braces of an argv that the operator registered."""

from collections.abc import Mapping, Sequence

__all__ = ["fill_argv"]


def fill_argv(argv: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Return the argv with each ``{name}`` replaced by its value, part by part; no shell ever reads it.

    Other braces stay as they are.

    >>> fill_argv(["{python}", "-c", "print({})"], {"python": "/usr/bin/python3"})
    ['/usr/bin/python3', '-c', 'print({})']
    """
    parts = []
    for part in argv:
        filled = part
        for name, value in values.items():
            filled = filled.replace("{" + name + "}", value)
        parts.append(filled)
    return parts
