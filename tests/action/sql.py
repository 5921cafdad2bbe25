"""Runs each argument as SQL with the credential of the environment, as psql would, and prints the rows."""

from __future__ import annotations

import os
import sys
from contextlib import closing

import pg8000.native


def main(statements: list[str]) -> int:
    find = os.environ  # noqa: TID251 - a program of its own
    try:
        with closing(
            pg8000.native.Connection(
                find["PGUSER"],
                host=find["PGHOST"],
                port=int(find["PGPORT"]),
                database=find["PGDATABASE"],
                password=find["PGPASSWORD"],
            )
        ) as connection:
            for statement in statements:
                for row in connection.run(statement) or []:
                    print(*row, sep="|", flush=True)  # noqa: T201
    except pg8000.exceptions.DatabaseError as error:
        sys.exit(f"{error.args[0]['C']}: {error.args[0]['M']}")
    except (pg8000.exceptions.InterfaceError, OSError) as error:
        sys.exit(f"the connection was lost: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
