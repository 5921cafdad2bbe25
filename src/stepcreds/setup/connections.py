"""Which connections of Vault's database engine the profiles need, and how each is written."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.errors import UsageError
from stepcreds.setup.answers import Answers
from stepcreds.setup.mysql import USERNAME_TEMPLATE as MYSQL_USERNAME_TEMPLATE
from stepcreds.setup.vault import USERNAME_TEMPLATE

PASSWORD = "<password>"  # noqa: S105 - a placeholder: nobody knows the password before the user is made
PLUGINS = {
    "postgresql": "postgresql-database-plugin",
    "mysql": "mysql-database-plugin",
    "mariadb": "mysql-database-plugin",
}
# MySQL has the shortest names: 32 characters (dev.mysql.com/doc/refman/8.0/en/user-names.html).
LONGEST_MANAGER = 32


class Connection(NamedTuple):
    """One connection: a database as one mount sees it, with a user of its own.

    Two connections never share a user: each changes its password (rotate-root) without telling the other.
    """

    mount: str
    name: str
    url: DatabaseURL
    manager: str
    profiles: tuple[Profile, ...]

    @property
    def path(self) -> str:
        return f"{self.mount}/config/{self.name}"


def server(url: DatabaseURL) -> str:
    """`host:port`, as answers name a server; an IPv6 address in brackets."""
    return f"[{url.host}]:{url.port}" if ":" in url.host else f"{url.host}:{url.port}"


def creds_parts(profile: Profile) -> tuple[str, str] | None:
    """Mount and role of `<mount>/creds/<role>`, None where the path is of another form."""
    mount, word, role = profile.creds.rpartition("/creds/")
    return (mount, role) if word and mount and "/" not in role else None


def has_connection(profile: Profile) -> bool:
    """Whether a connection and a role of the database engine are made for `profile`."""
    return profile.database is not None and profile.database.engine in PLUGINS and creds_parts(profile) is not None


def connections(profiles: Sequence[Profile], answers: Answers) -> tuple[Connection, ...]:
    """In the order of `profiles`. Raises `UsageError` where two profiles contradict each other over one database."""
    groups: dict[tuple[str, str, str], list[Profile]] = {}
    for profile in profiles:
        parts = creds_parts(profile)
        if profile.database is None or parts is None or not has_connection(profile):
            continue
        groups.setdefault((parts[0], server(profile.database), profile.database.database), []).append(profile)
    made: list[Connection] = []
    for (mount, where, database), group in groups.items():
        url = _one_url(group)
        taken = [each.name for each in made if each.mount == mount]
        name = _answered(group, answers, taken) or _free_name(database or url.host, url.host, where, taken)
        first = all(server(each.url) != where for each in made)
        manager = answers.manager if first else _manager(answers.manager, name, [each.manager for each in made])
        made.append(Connection(mount, name, url, manager, tuple(group)))
    return tuple(made)


def body(connection: Connection, answers: Answers, allowed_roles: Sequence[str]) -> dict[str, object]:
    """What is written to `<mount>/config/<name>`, with a placeholder for the password."""
    url = connection.url
    place = answers.reached_by_vault.get(server(url), server(url))
    common: dict[str, object] = {
        "plugin_name": PLUGINS[url.engine],
        "verify_connection": True,
        "allowed_roles": list(allowed_roles),
        "username": connection.manager,
        "password": PASSWORD,
        "username_template": USERNAME_TEMPLATE if url.engine == "postgresql" else MYSQL_USERNAME_TEMPLATE,
    }
    if url.engine == "postgresql":
        ca = answers.ca_at_vault.get(server(url), "")
        parameters = f"sslmode={url.sslmode}" + (f"&sslrootcert={quote(ca, safe='/')}" if ca else "")
        where = f"{place}/{quote(url.database, safe='')}?{parameters}"
        common["connection_url"] = f"postgresql://{{{{username}}}}:{{{{password}}}}@{where}"
        # So that no clear password reaches PostgreSQL's log.
        common["password_authentication"] = "scram-sha-256"  # noqa: S105 - a method
        return common
    tls, certificates = _mysql_tls(url)
    common["connection_url"] = f"{{{{username}}}}:{{{{password}}}}@tcp({place})/{tls}"
    return {**common, **certificates}


def rotation(path: str) -> str:
    """Where a write gives the user of the connection at `path` a password that Vault alone knows."""
    mount, _, name = path.rpartition("/config/")
    return f"{mount}/rotate-root/{name}"


def _mysql_tls(url: DatabaseURL) -> tuple[str, Mapping[str, object]]:
    """The words of Go's driver for libpq's `sslmode` (github.com/go-sql-driver/mysql#tls), and the plugin's own."""
    if url.sslmode == "disable":
        return "", {}
    if url.sslmode in ("allow", "prefer"):
        return "?tls=preferred", {}
    if url.sslrootcert is not None:
        # The driver knows no verify-ca: it checks the host name as well.
        try:
            return "", {"tls_ca": url.sslrootcert.read_text(encoding="ascii", errors="replace")}
        except OSError as error:
            raise UsageError(f"{url.sslrootcert} cannot be read: {error.strerror}", docs="setup") from None
    return ("?tls=skip-verify" if url.sslmode == "require" else "?tls=true"), {}


def _one_url(group: Sequence[Profile]) -> DatabaseURL:
    first, *others = group
    assert first.database is not None  # noqa: S101 - `connections` has looked
    for other in others:
        assert other.database is not None  # noqa: S101
        same = (first.database.engine, first.database.sslmode, first.database.sslrootcert)
        if (other.database.engine, other.database.sslmode, other.database.sslrootcert) != same:
            raise UsageError(
                f"The profiles {first.name} and {other.name} reach one database in two ways",
                cause="They name the same server and database with another engine, sslmode or sslrootcert, and Vault "
                "has one connection for both.",
                fix="Write the same database: in both.",
                docs="setup",
            )
    return first.database


def _answered(group: Sequence[Profile], answers: Answers, taken: Sequence[str]) -> str:
    """The name that was given for the connection of `group`, "" where none was."""
    names = {profile.name: answers.profiles[profile.name].connection for profile in group}
    given = [profile for profile, name in names.items() if name]
    for other in given[1:]:
        if names[other] != names[given[0]]:
            raise UsageError(
                f"The profiles {given[0]} and {other} are about one database, and --connection names two",
                fix="Name one connection for both.",
                docs="setup",
            )
    name = names[given[0]] if given else ""
    if name.lower() in (other.lower() for other in taken):
        raise UsageError(
            f"--connection {name} would be for two databases",
            cause="A connection leads to one database.",
            fix=f"Name another for the second: --connection {given[0]}=NAME",
            docs="setup",
        )
    return name


def _free_name(wanted: str, host: str, where: str, taken: Sequence[str]) -> str:
    """The database's own name, and only where another server's has it already also the host's."""
    plain = _slug(wanted)
    names = (plain, f"{plain}-{_slug(host)}", f"{plain}-{_digest(wanted + where)}")
    lower = {other.lower() for other in taken}
    return next((name for name in names if name.lower() not in lower), names[-1])


def _slug(text: str) -> str:
    """`text` as a name that Vault takes in a path; a text that had to be changed gets a digest of what it was."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:40].strip("-.")
    return plain if plain == text else f"{plain}-{_digest(text)}".lstrip("-")


def _manager(base: str, name: str, taken: Sequence[str]) -> str:
    manager = f"{base}_{re.sub(r'[^A-Za-z0-9_]+', '_', name)}".lower()
    if len(manager) > LONGEST_MANAGER or manager in taken:
        manager = f"{base[: LONGEST_MANAGER - 9]}_{_digest(base + name)}"
    return manager


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]
