"""Names as PostgreSQL's statements take them: quoted, and refused where no quoting makes them safe."""

from __future__ import annotations

from collections.abc import Iterable

from stepcreds.errors import UnsupportedError
from stepcreds.printable import one_line

LONGEST_NAME = 63  # bytes; PostgreSQL cuts a longer one without an error, and it may then name another role
# `;` and `{{` mean something to Vault's engine even inside quotes; `$sc$` would end the body of our DO statements.
NOT_FOR_THE_ENGINE = (";", "{{", "}}", "$sc$")


def identifier(name: str) -> str:
    """`name` quoted for a statement that Vault's engine runs. Raises `UnsupportedError` for one it would misread."""
    if not _fits(name) or any(part in name for part in NOT_FOR_THE_ENGINE):
        raise UnsupportedError(
            f"{name!a} cannot stand in a statement for Vault's database engine.",
            cause="A name has 1 to 63 bytes, and none of ';', '{{', '}}', '$sc$' and the zero byte.",
            docs="database-names",
        )
    return '"' + name.replace('"', '""') + '"'


def quoted(name: str) -> str:
    """`name` quoted for a statement that an administrator runs. Raises `UnsupportedError` for no name of PostgreSQL."""
    if not _fits(name):
        raise UnsupportedError(
            f"{name!a} cannot be a name in PostgreSQL.",
            cause="A name has 1 to 63 bytes of UTF-8, and no zero byte.",
            docs="database-names",
        )
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` quoted as an SQL string, for a server with `standard_conforming_strings`, as every one since 9.1 is."""
    return "'" + text.replace("'", "''") + "'"


def array(texts: Iterable[str]) -> str:
    """The `texts` for `= ANY (…)` and `<> ALL (…)`, which also mean something where there are none."""
    return f"ARRAY[{', '.join(map(literal, texts))}]::text[]"


def parts(text: str, number: int) -> tuple[str, ...]:
    """`text`, a table or a column of the configuration, as its `number` names. Raises `UnsupportedError`.

    A name with a dot in it cannot be told from two names, and is refused.
    """
    names = tuple(text.split("."))
    if len(names) != number or not all(map(_fits, names)):
        form = "schema.table" if number == 2 else "schema.table.column"
        raise UnsupportedError(
            f"{text!a} is not of the form {form}.",
            cause="Each name has 1 to 63 bytes, and no dot.",
            docs="database-names",
        )
    return names


def do(body: str) -> str:
    """An anonymous block with `body`, whatever names are in that."""
    tag = "$do$"
    while tag in body:
        tag = f"{tag[:-1]}_$"
    return f"DO {tag}\n{body}\n{tag}"


def refusal(what: str, hint: str) -> str:
    """The statement of a block that ends it, and everything with it; `what` and `hint` are SQL expressions of text."""
    return f"RAISE EXCEPTION USING MESSAGE = {what},\n      HINT = {hint};"


def shown(name: str) -> str:
    """`name` within a sentence, which may become the comment above a statement: one line, whatever is in it."""
    return one_line(name, 100)


def _fits(name: str) -> bool:
    try:
        return 0 < len(name.encode()) <= LONGEST_NAME and "\0" not in name
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
