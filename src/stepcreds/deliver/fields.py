"""What templates may name: the parts of a database's URL with the issued user in it, or the fields of an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote

from stepcreds.config.model import DatabaseURL
from stepcreds.config.template import parse_template
from stepcreds.errors import DeliveryError
from stepcreds.model import Grant
from stepcreds.secret import Secret

# Said in logs and used in file names, or public by their nature; everything else that an engine answers is taken for
# a secret. The second line is of the engines for certificates, the third of those for SSH, clouds and others.
NOT_SECRET = frozenset({
    *("username", "user", "host", "port", "database", "scheme", "sslmode", "sslrootcert", "dir"),
    *("certificate", "issuing_ca", "ca_chain", "serial_number", "expiration", "private_key_type"),
    *("key_type", "signed_key", "ip", "arn", "ttl", "accessor", "accessor_id", "service_account_name"),
    *("service_account_namespace", "key_algorithm", "token_ttl", "expires_at_seconds"),
})  # fmt: skip
# What a kv engine says about a secret, nested below this name.
_ABOUT_A_SECRET = "metadata."  # noqa: S105 - a prefix
# Words of which a log is full, whatever field they stand in.
_WORDS = frozenset({"true", "false", "null", "none"})
# Shorter values are left alone by masks and redaction: they would punch holes into every line.
SHORTEST_SECRET = 4  # characters
# libpq takes `system` for the certificates of the system from version 16 on, and refuses it in the weaker modes.
SYSTEM_CERTIFICATES = "system"


def is_secret(name: str, value: str) -> bool:
    """Whether the field `name` of an answer must not be seen in output."""
    public = name in NOT_SECRET or name.startswith(_ABOUT_A_SECRET)
    return not public and len(value) >= SHORTEST_SECRET and value.lower() not in _WORDS


class Fields(NamedTuple):
    """The fields of one grant, for one folder ("" where the step has no files)."""

    profile: str
    values: Mapping[str, Secret]

    def render(self, what: str, template: str) -> str:
        """`template` with its fields filled in. Raises `DeliveryError` that names fields, never a value."""
        return self._text(what, "".join(self._filled(what, template)))

    def derived(self, what: str, template: str) -> Iterator[Secret]:
        """What `template` makes of secret fields that masking the field itself would not hide. Raises like `render`."""
        for part in parse_template(template):
            if part.form and part.form != "url" and (value := self._value(what, part.field)):
                formed = self._text(what, _formed(value.reveal(), part.form)).strip('"')
                if is_secret(part.field, value.reveal()) and formed != value.reveal():
                    yield Secret(formed)

    def _filled(self, what: str, template: str) -> Iterator[str]:
        for part in parse_template(template):
            yield part.literal
            if part.field:
                text = self._text(what, self._value(what, part.field).reveal())
                yield _formed(text, part.form)

    def _value(self, what: str, field: str) -> Secret:
        value = self.values.get(field)
        if value is None:
            raise DeliveryError(
                f"{what} of profile {self.profile} names {{{field}}}, which the answer does not have",
                cause=f"The fields there are: {', '.join(sorted(self.values)) or 'none'}.",
                fix="Use one of these in the profile's env: and files:.",
                docs="delivery",
            )
        return value

    def _text(self, what: str, text: str) -> str:
        """`text`, if a variable and a file can hold it."""
        wrong = "a NUL character" if "\0" in text else "" if _is_unicode(text) else "half of a character"
        if wrong:
            raise DeliveryError(
                f"{what} of profile {self.profile} would hold {wrong}, which no variable or file of text can",
                docs="delivery",
            )
        return text


def fields_of(grant: Grant, folder: str) -> Fields:
    """The fields that `grant` offers to templates."""
    values = dict(grant.lease.fields)
    url = grant.profile.database
    if url is not None:
        values |= {name: Secret(value) for name, value in _database(url).items()}
        if "username" in values and "password" in values and all(_is_unicode(v.reveal()) for v in values.values()):
            values["url"] = Secret(database_url(url, values["username"].reveal(), values["password"].reveal()))
    if folder:
        values["dir"] = Secret(folder)
    return Fields(grant.profile.name, values)


def database_url(url: DatabaseURL, username: str, password: str) -> str:
    """`url` with the user in it.

    How the server proves who it is stands in it for PostgreSQL alone: clients of MySQL agree on no names for that,
    and some refuse a parameter that they do not know. The system's certificates are not named: that is
    PGSSLROOTCERT's to say, and clients other than libpq take the word for the name of a file.
    """
    host = f"[{url.host}]" if ":" in url.host else url.host
    # The records of the host's name say the ports.
    port = "" if url.scheme.endswith("+srv") else f":{url.port}"
    options = dict(url.options)
    if url.engine in ("postgresql", "redshift"):
        options["sslmode"] = url.sslmode
        if url.sslrootcert is not None:
            options["sslrootcert"] = str(url.sslrootcert)
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='/')}" for name, value in options.items())
    path = f"/{quote(url.database, safe='')}" if url.database or query else ""
    user = f"{quote(username, safe='')}:{quote(password, safe='')}"
    return f"{url.scheme}://{user}@{host}{port}{path}" + (f"?{query}" if query else "")


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


def _is_unicode(text: str) -> bool:
    """False for half of a surrogate pair, which JSON can spell; the bytes of PEP 383 are fine in an environment."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _formed(value: str, form: str) -> str:
    match form:
        case "url":
            return quote(value, safe="", errors="surrogateescape")
        case "base64":
            from base64 import b64encode

            return b64encode(value.encode("utf-8", "surrogateescape")).decode()
        case "json":
            from json import dumps

            return dumps(value)
    return value
