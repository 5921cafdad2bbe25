"""Every kind of finding that MariaDB and MySQL can give: its code, how bad it is, and what it means; worst first.

What is made of privileges says their level at the end of the code: MY.TABLE.WRITE.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from stepcreds.measurement import LEVELS
from stepcreds.scope.mysql.privileges import SERVER

_PLACES: Final = (
    ("GLOBAL", "in every database"),
    ("DATABASE", "in a database"),
    ("TABLE", "on tables"),
    ("COLUMN", "on single columns"),
    ("ROUTINE", "on routines"),
)
_DO: Final = {
    "ddl": "change, drop or create what holds the data",
    "write": "change data, or keep others from it",
    "read": "read data",
    "info": "use privileges that give nothing by themselves (EXECUTE, temporary tables)",
}


def server_code(privilege: str) -> str:
    """The code of a privilege that is held for the whole server."""
    return f"MY.SERVER.{re.sub(r'[^A-Z0-9]+', '_', privilege.upper())}"


# Code -> its level, and what it means.
CODES: Final[Mapping[str, tuple[str, str]]] = {
    "MY.SERVER.ALL": ("admin", "It may do everything on the server."),
    "MY.SECRET.WRITE": ("admin", "It may change the tables that the server takes everybody's rights from."),
    "MY.SECRET.READ": ("admin", "It may read everybody's password hash, or other secrets in `mysql`."),
    "MY.ROUTINE.DEFINER": ("admin", "It may call a routine that runs as its definer; nobody can say what that does."),
    "MY.VIEW.CALLS": ("admin", "It may use a view that calls a function, with the rights of the view's definer."),
    "MY.VIEW.UNSEEN": (
        "admin",
        "It may use views with their definers' rights and not see their text (SHOW VIEW): nobody can say what they do.",
    ),
    "MY.GRANT.OPTION": ("admin", "It may hand on its privileges."),
    "MY.GRANT.ROLE": ("admin", "It may hand on a role."),
    "MY.PROXY.USER": ("admin", "It may act as another user."),
    "MY.HIDDEN.DATABASE": (
        "admin",
        "It has rights that SHOW GRANTS does not show, those of the anonymous user.",
    ),
    "MY.UNKNOWN.PRIVILEGE": ("admin", "It has a privilege that is not known here, and counts as the worst."),
    "MY.UNREAD.LINE": ("admin", "A line of SHOW GRANTS is not understood here, and counts as the worst."),
    "MY.VIEW.WRITE": ("write", "It may change data of another database through a view."),
    "MY.VIEW.READ": ("read", "It may read data of another database through a view."),
    "MY.PATTERN.NAMES": ("info", "Its rights are granted on a pattern: `_` and `%` in a database's name fit anything."),
    **{
        f"MY.{place}.{level.upper()}": (level, f"It may {what} {where}.")
        for level, what in _DO.items()
        for place, where in _PLACES
    },
    **{
        server_code(name): (level, f"It may {what}.")
        for level in reversed(LEVELS)
        for name, (its_level, what) in SERVER.items()
        if its_level == level
    },
    "MY.SERVER.…": ("admin", "It has another privilege for the whole server, by its name."),
}
