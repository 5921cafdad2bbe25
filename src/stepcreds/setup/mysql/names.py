r"""Names as MariaDB's and MySQL's statements take them: quoted, and refused where no quoting makes them safe.

In `GRANT … ON shop_a.*` the name is a pattern, so its `_` and `%` are escaped; the server keeps 64 characters of it,
the escapes among them.
"""

from __future__ import annotations

import re

from stepcreds.errors import UnsupportedError

_LONGEST = 64  # characters (https://mariadb.com/kb/en/identifier-names/)
_LONGEST_USER = 80  # characters; 32 in MySQL
# The engine cuts statements at `;`, inside quotes too, and fills in what stands between `{{` and `}}`.
_NOT_FOR_THE_ENGINE = (";", "{{", "}}")


def identifier(name: str) -> str:
    """`name` as a table, a column, or a database that is no pattern. Raises `UnsupportedError`."""
    _check(name, _LONGEST, name)
    return "`" + name.replace("`", "``") + "`"


def pattern(database: str) -> str:
    r"""`database` as the name of a grant that fits it alone: shop_a is written `shop\_a`. Raises `UnsupportedError`."""
    name = escaped(database)
    _check(database, _LONGEST, name)
    return "`" + name.replace("`", "``") + "`"


def escaped(database: str) -> str:
    """`database` with its wildcards escaped."""
    return re.sub(r"([\\_%])", r"\\\1", database)


def user(name: str, longest: int = _LONGEST_USER) -> str:
    """`name` as a user that may come from anywhere. Raises `UnsupportedError`."""
    _check(name, longest, name)
    return f"{literal(name)}@'%'"


def literal(text: str) -> str:
    """`text` as a string, for a server with backslashes, as every one is without NO_BACKSLASH_ESCAPES."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def parts(text: str, number: int) -> tuple[str, ...]:
    """`text`, a table or a column of the configuration, as its `number` names. Raises `UnsupportedError`."""
    names = tuple(text.split("."))
    if len(names) != number or not all(names):
        form = "database.table" if number == 2 else "database.table.column"
        raise UnsupportedError(
            f"{text!a} is not of the form {form}.",
            cause="A name with a dot in it cannot be told from two names.",
            docs="database-names",
        )
    return names


def _check(name: str, longest: int, written: str) -> None:
    legal = bool(name) and len(written) <= longest and not name.endswith(" ") and "\0" not in name
    if not legal or any(ord(each) > 0xFFFF or 0xD800 <= ord(each) < 0xE000 for each in name):
        raise UnsupportedError(
            f"{name!a} cannot be a name in MariaDB.",
            cause=f"A name has 1 to {longest} characters of the Unicode BMP, with the backslashes before '_' and '%' in"
            " the name of a database, and does not end with a blank.",
            docs="database-names",
        )
    if any(part in name for part in _NOT_FOR_THE_ENGINE):
        raise UnsupportedError(
            f"{name!a} cannot stand in a statement for Vault's database engine.",
            cause="The engine cuts statements at ';', and fills in what stands between '{{' and '}}', in quotes too.",
            docs="database-names",
        )
