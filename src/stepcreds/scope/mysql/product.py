"""Which servers of the family can be looked at, and which this was never run against."""

from __future__ import annotations

import re
from typing import Final

from stepcreds.errors import DatabaseError

_OLDEST: Final = {"MariaDB": (10, 6), "MySQL": (8, 0)}
WITH_PUBLIC: Final = (10, 11)  # also the oldest that this was run against


def product_of(version: str, where: str) -> tuple[str, tuple[int, int], str]:
    """MariaDB or MySQL, its version, and both as a name. Raises `DatabaseError` for one that is too old."""
    product = "MariaDB" if "MariaDB" in version else "MySQL"
    match = re.match(r"(?:5\.5\.5-)?((\d+)\.(\d+)(?:\.\d+)?)", version)
    if match is None:
        raise DatabaseError(f"{where} does not say which version it is")
    number = int(match[2]), int(match[3])
    oldest = _OLDEST[product]
    if number < oldest:
        raise DatabaseError(
            f"{where} is {product} {match[1]}, and rights are read from {product} {oldest[0]}.{oldest[1]} on"
        )
    return product, number, f"{product} {match[1]}"


def experimental(product: str, version: tuple[int, int]) -> str:
    if product == "MySQL":
        return "MySQL 8 has never been run against this"
    if version < WITH_PUBLIC:
        return "MariaDB before 10.11 has never been run against this"
    return ""
