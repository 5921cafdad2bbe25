"""The URL of a database with the user and the password of one who logs in there, as an environment variable holds it.

Only for people's own logins: an administrator's, or the credential that a pipeline has today. A profile never has one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from stepcreds.config.database_url import DatabaseURLError, parse_database_url
from stepcreds.config.model import DatabaseURL
from stepcreds.secret import Secret

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#]*)(.*)\Z", re.DOTALL)
_ESCAPES = (
    "In the user and the password write %40 for '@', %3A for ':', %2F for '/', %3F for '?', %23 for '#' and %25 for "
    "'%'."
)


class LoginURL(NamedTuple):
    """Where somebody logs in, and as whom."""

    url: DatabaseURL
    user: str
    password: Secret


def parse_login_url(text: str, base_folder: Path, *, database: str = "") -> LoginURL:
    """`text`, `engine://user:password@host:port/database?parameters`; relative files are relative to `base_folder`.

    `database` is the one of a URL that names none, where its engine wants one.
    Raises `DatabaseURLError`, whose texts hold nothing of what may be the password.
    """
    match = _URL.match(text.strip())
    scheme, authority, rest = match.groups() if match is not None else ("", "", "")
    login, at, host = authority.rpartition("@")
    user, colon, password = login.partition(":")
    if not at or "@" in login or "@" in rest or ":" in password or not user or not colon or not password:
        what = "it is not the URL of a database with one user and one password"
        raise DatabaseURLError([(what, f"postgresql://user:password@db.example.com:5432/app. {_ESCAPES}")])
    path, mark, query = rest.partition("?")
    if path in ("", "/") and database:
        rest = f"/{database}{mark}{query}"
    try:
        name, secret = unquote(user, errors="strict"), Secret(unquote(password, errors="strict"))
    except UnicodeDecodeError:
        raise DatabaseURLError([("the user or the password is not UTF-8", _ESCAPES)]) from None
    if "\0" in name or "\0" in secret.reveal():
        raise DatabaseURLError([("the user or the password holds a zero byte", _ESCAPES)])
    return LoginURL(parse_database_url(scheme + host + rest, base_folder), name, secret)
