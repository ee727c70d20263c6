"""Validates cron expressions, so that every engine reads them alike."""

import re

BOUNDS = {
    "minute": (0, 59),
    "hour": (0, 23),
    "day of the month": (1, 31),
    "month": (1, 12),
    "day of the week": (0, 6),
}

_PART = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/([1-9]\d*))?")


def check_cron(cron: str) -> str:
    """Return the expression unchanged, if every engine reads it alike.

    Args:
        cron: Five fields of numbers, ranges, lists and steps: ``*/15 8-17 * * 1-5``.

    Raises:
        ValueError: the syntax is another one.
    """
    fields = cron.split()
    if len(fields) != len(BOUNDS):
        message = f"{cron!r} must have five fields, such as 0 3 * * *"
        raise ValueError(message)
    for field, (name, bounds) in zip(fields, BOUNDS.items(), strict=True):
        if not all(_fits(part, *bounds) for part in field.split(",")):
            message = f"{field!r} in {cron!r} is not a valid {name}"
            raise ValueError(message)
    if "*" not in {fields[2], fields[4]}:
        # One engine combines the two with AND, another with OR.
        message = f"{cron!r} must have * as the day of the month or of the week"
        raise ValueError(message)
    return cron


def _fits(part: str, lowest: int, highest: int) -> bool:
    found = _PART.fullmatch(part)
    if found is None:
        return False
    first, last, step = found.groups()
    if first is None:
        return True
    # A step from a single number has a different meaning in each engine.
    is_range = last is not None
    if step is not None and not is_range:
        return False
    return lowest <= int(first) <= int(last or first) <= highest
