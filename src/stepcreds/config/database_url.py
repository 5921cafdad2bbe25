"""The URL of a database, read strictly: where it is and how it must prove who it is, and never who logs in.

The form and the words are libpq's (PostgreSQL documentation, "Connection URIs" and "SSL Support") for every engine.
For MySQL and MariaDB the spelling of MySQL's own URIs is read as well: `ssl-mode=VERIFY_IDENTITY&ssl-ca=…`
(MySQL Reference Manual, "Connecting to the Server Using URI-Like Strings").
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from stepcreds.config.engines import ENGINES_BY_SCHEME, Engine, engine_of_scheme
from stepcreds.config.model import DatabaseURL
from stepcreds.config.problems import suggestion
from stepcreds.printable import one_line

SSLMODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

_MYSQL_SSLMODES = {
    "disabled": "disable",
    "preferred": "prefer",
    "required": "require",
    "verify_ca": "verify-ca",
    "verify_identity": "verify-full",
}
_MYSQL_NAMES = {"ssl-mode": "sslmode", "ssl-ca": "sslrootcert"}

# What would say who logs in, or where (a service file and a password file do both).
_WHO = frozenset({"user", "username", "uid", "password", "passwd", "pwd", "pass"}) | {
    "passfile",
    "sslpassword",
    "service",
    "servicefile",
}
_WHERE = frozenset({"host", "hostaddr", "port", "dbname", "database"})

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(/[^?#]*)?(?:\?([^#]*))?(#.*)?\Z", re.DOTALL)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9.])?\Z")
_CONTROL = re.compile("[\x00-\x20\x7f]")
_EXAMPLE = "For example: postgresql://db.example.com:5432/app?sslmode=verify-full"


NOTHING_KEPT: Mapping[Path, Path] = {}


class DatabaseURLError(ValueError):
    """What is wrong with a URL: pairs of what it is, and how to mend it. Neither repeats what may be a secret."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(what for what, _ in problems))
        self.problems = tuple(problems)


def parse_database_url(text: str, base_folder: Path, kept: Mapping[Path, Path] = NOTHING_KEPT) -> DatabaseURL:
    """`text` as a `DatabaseURL`; relative files are relative to `base_folder` (absolute).

    `kept`: where files are now that were kept from another time.

    `sslmode` is `verify-full` where the URL does not say, and "" for an engine that has none. As in libpq:
    `verify-full` and `verify-ca` check the server's certificate against `sslrootcert`, the first also its host name;
    `require` with a `sslrootcert` is treated as `verify-ca`; the weaker ones check nothing. Without `sslrootcert`, or
    with `sslrootcert=system`, the CAs are the system's, and then `verify-ca` is refused: anybody can have a certificate
    of a public CA, for a name of their own.

    Raises `DatabaseURLError` with everything that is wrong.
    """
    if "@" in text:
        # Also where the password itself holds a "/" or a "?": what follows cannot be read with any certainty.
        what = "the URL holds a user or a password"
        raise DatabaseURLError(
            [(what, "Remove everything up to the '@': each step gets a user of its own from Vault.")]
        )
    match = _URL.match(text)
    if match is None or _CONTROL.search(text):
        raise DatabaseURLError([("it is not the URL of a database", _EXAMPLE)])
    scheme, authority, path, query, fragment = match.groups(default="")
    engine = engine_of_scheme(scheme)
    if engine is None:
        what = f'there is no engine for "{one_line(scheme, 40)}://"'
        raise DatabaseURLError([(what, suggestion(scheme, ENGINES_BY_SCHEME))])
    reader = _Reader(engine)
    host, port = reader.authority(authority)
    database = reader.database(path)
    options = reader.query(query)
    if fragment:
        reader.wrong("the URL holds a '#'", "Write %23 for a '#' that is meant.")
    sslmode, sslrootcert = reader.tls(options, base_folder, kept)
    if reader.problems:
        raise DatabaseURLError(reader.problems)
    return DatabaseURL(engine.name, scheme, host, port, database, sslmode, sslrootcert, options)


class _Reader:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.problems: list[tuple[str, str]] = []

    def wrong(self, what: str, fix: str) -> None:
        self.problems.append((what, fix))

    def authority(self, text: str) -> tuple[str, int]:
        if "," in text:
            self.wrong("the URL names several hosts", "Name one: that a credential is dead is proven on one server.")
            return "", 0
        match = re.match(r"(?:\[(?P<v6>[^\]]*)\]|(?P<name>[^:]*))(?::(?P<port>[^:]*))?\Z", text)
        host = (match["v6"] or match["name"] or "") if match else text
        if match is None or (not _is_ipv6(host) if match["v6"] else host and not _HOST.match(host)):
            self.wrong("the host is neither a host name nor an address", "An IPv6 address stands in brackets: [::1]")
        elif not host:
            self.wrong("the URL names no host", f"{_EXAMPLE} (a socket's folder is no host)")
        port = match["port"] if match else None
        if port is None:
            return host, self.engine.port
        if not re.match(r"[0-9]{1,5}\Z", port) or not 0 < int(port) < 65536:
            self.wrong("the port is not a number from 1 to 65535", f"The usual one is {self.engine.port}.")
            return host, 0
        return host, int(port)

    def database(self, path: str) -> str:
        name = self.decoded(path[1:], "the name of the database")
        if not path[1:] and self.engine.needs_database:
            fix = f"Write it after the host: {self.engine.schemes[0]}://db.example.com/app"
            self.wrong("the URL names no database", fix)
        elif "/" in path[1:]:
            self.wrong("the name of the database holds a '/'", "Write %2F for a '/' that is meant.")
        return name

    def query(self, text: str) -> dict[str, str]:
        options: dict[str, str] = {}
        for pair in text.split("&") if text else ():
            name, equals, value = pair.partition("=")
            name = self.decoded(name, "the name of a parameter")
            shown = one_line(name, 40)
            if self.engine.name in ("mysql", "mariadb"):
                name = _MYSQL_NAMES.get(name, name)
            if not name or not equals:
                self.wrong(
                    "a parameter is not of the form name=value", "Write the parameters as ?name=value&name=value"
                )
            elif name.lower() in _WHO:
                self.wrong(
                    f'the parameter "{shown}" says who logs in',
                    "Remove it: each step gets a user of its own from Vault.",
                )
            elif name.lower() in _WHERE:
                self.wrong(f'the parameter "{shown}" says again where the database is', "Write it before the '?' only.")
            elif name in options:
                self.wrong(f'the parameter "{shown}" is given twice', "Keep one of the two.")
            else:
                options[name] = self.decoded(value, f'the parameter "{shown}"')
        return options

    def tls(self, options: dict[str, str], base_folder: Path, kept: Mapping[Path, Path]) -> tuple[str, Path | None]:
        """Takes `sslmode` and `sslrootcert` out of `options`."""
        given, file = options.pop("sslmode", None), options.pop("sslrootcert", None)
        if not self.engine.has_sslmode:
            if given is not None or file is not None:
                fix = f"Remove it: TLS is said in {self.engine.name}'s own scheme or parameters."
                self.wrong(f"{self.engine.name} has no sslmode and no sslrootcert", fix)
            return "", None
        sslmode = "verify-full" if given is None else given
        if self.engine.name in ("mysql", "mariadb"):
            sslmode = _MYSQL_SSLMODES.get(sslmode.lower(), sslmode)
        if sslmode not in SSLMODES:
            self.wrong(f'there is no sslmode "{one_line(sslmode, 40)}"', suggestion(sslmode, SSLMODES))
        elif (file == "system" and sslmode != "verify-full") or (file is None and sslmode == "verify-ca"):
            what = f'weak sslmode "{sslmode}" may not be used with sslrootcert=system (use "verify-full")'
            self.wrong(what, "Use sslmode=verify-full, or name the server's CA: sslrootcert=deploy/db-ca.pem")
        if file is None or file == "system":
            return sslmode, None
        path = Path(os.path.normpath(base_folder / file))
        path = kept.get(path, path)
        if not os.path.isfile(path):  # noqa: PTH113 - unlike Path.is_file, it never raises
            what = f"there is no file {one_line(str(path))}"
            self.wrong(
                what, "It is relative to the configuration file's folder; without sslrootcert the CAs are the system's."
            )
        return sslmode, path

    def decoded(self, text: str, what: str) -> str:
        try:
            decoded = unquote(text, errors="strict")
        except UnicodeDecodeError:
            decoded = "\0"
        if _CONTROL.search(decoded.replace(" ", "")):
            self.wrong(f"{what} is not UTF-8, or holds a control character", "Look at its %-escapes.")
            return ""
        return decoded


def _is_ipv6(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
