"""What templates may name: the parts of a database's URL with the issued user in it, or the fields of an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from stepcreds.config.model import DatabaseURL
from stepcreds.config.template import parse_template
from stepcreds.errors import DeliveryError
from stepcreds.model import Grant
from stepcreds.secret import Secret

# Said in logs and used in file names; everything else that an engine answers is taken for a secret.
NOT_SECRET = frozenset({"username", "host", "port", "database", "scheme", "sslmode", "sslrootcert", "dir"})
# libpq takes `system` for the certificates of the system from version 16 on, and refuses it in the weaker modes.
SYSTEM_CERTIFICATES = "system"


@dataclass(frozen=True)
class Fields:
    """The fields of one grant, for one folder ("" where the step has no files)."""

    profile: str
    values: Mapping[str, Secret]

    def render(self, what: str, template: str) -> str:
        """`template` with its fields filled in. Raises `DeliveryError` that names fields, never a value."""
        text = "".join(self._filled(what, template))
        if "\0" in text:
            raise DeliveryError(
                f"{what} of profile {self.profile} would hold a NUL character, which no variable or file of text can",
                docs="delivery",
            )
        return text

    def _filled(self, what: str, template: str) -> Iterator[str]:
        for part in parse_template(template):
            yield part.literal
            if not part.field:
                continue
            value = self.values.get(part.field)
            if value is None:
                raise DeliveryError(
                    f"{what} of profile {self.profile} names {{{part.field}}}, which the answer does not have",
                    cause=f"The fields there are: {', '.join(sorted(self.values)) or 'none'}.",
                    fix="Use one of these in the profile's env: and files:.",
                    docs="delivery",
                )
            yield _formed(value.reveal(), part.form)


def fields_of(grant: Grant, folder: str) -> Fields:
    """The fields that `grant` offers to templates."""
    values = dict(grant.lease.fields)
    url = grant.profile.database
    if url is not None:
        values |= {name: Secret(value) for name, value in _database(url).items()}
        values["url"] = Secret(database_url(url, _of(values, "username"), _of(values, "password")))
    if folder:
        values["dir"] = Secret(folder)
    return Fields(grant.profile.name, values)


def database_url(url: DatabaseURL, username: str, password: str) -> str:
    """`url` with the user in it. The system's certificates are not named in it: that is PGSSLROOTCERT's to say, and
    clients other than libpq take the word for the name of a file."""
    user = quote(username, safe="") + (f":{quote(password, safe='')}" if password else "")
    host = f"[{url.host}]" if ":" in url.host else url.host
    options = dict(url.options)
    if url.engine in ("postgresql", "redshift"):
        options["sslmode"] = url.sslmode
    if url.sslrootcert is not None:
        options["sslrootcert"] = str(url.sslrootcert)
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='/')}" for name, value in options.items())
    path = f"/{quote(url.database, safe='')}" if url.database or query else ""
    return f"{url.scheme}://{user}@{host}:{url.port}{path}" + (f"?{query}" if query else "")


def _database(url: DatabaseURL) -> dict[str, str]:
    certificates = str(url.sslrootcert) if url.sslrootcert is not None else ""
    if not certificates and url.sslmode == "verify-full":
        certificates = SYSTEM_CERTIFICATES
    return {
        "scheme": url.scheme,
        "host": url.host,
        "port": str(url.port),
        "database": url.database,
        "sslmode": url.sslmode,
        "sslrootcert": certificates,
    }


def _of(values: Mapping[str, Secret], name: str) -> str:
    value = values.get(name)
    return value.reveal() if value is not None else ""


def _formed(value: str, form: str) -> str:
    match form:
        case "url":
            return quote(value, safe="")
        case "base64":
            from base64 import b64encode

            return b64encode(value.encode()).decode()
        case "json":
            from json import dumps

            return dumps(value)
    return value
