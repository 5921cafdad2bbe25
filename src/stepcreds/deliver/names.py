"""Under which names a command finds a credential, and which older names of the same engine it must not find."""

from __future__ import annotations

from collections.abc import Mapping

from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.deliver.environment import matches

# libpq, https://www.postgresql.org/docs/current/libpq-envars.html
_POSTGRESQL = {
    "PGHOST": "{host}",
    "PGPORT": "{port}",
    "PGUSER": "{username}",
    "PGPASSWORD": "{password}",
    "PGDATABASE": "{database}",
    "PGSSLMODE": "{sslmode}",
    "PGSSLROOTCERT": "{sslrootcert}",
    "DATABASE_URL": "{url}",
}
# The parameters of a URL that libpq also reads from a variable; the same page.
_LIBPQ_OPTIONS = {
    "application_name": "PGAPPNAME",
    "channel_binding": "PGCHANNELBINDING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "gssencmode": "PGGSSENCMODE",
    "options": "PGOPTIONS",
    "require_auth": "PGREQUIREAUTH",
    "sslcert": "PGSSLCERT",
    "sslcrl": "PGSSLCRL",
    "sslkey": "PGSSLKEY",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
# The clients read the first three (https://dev.mysql.com/doc/refman/8.4/en/environment-variables.html; no variable
# gives them the user); the others are what frameworks and images read.
_MYSQL = {
    "MYSQL_HOST": "{host}",
    "MYSQL_TCP_PORT": "{port}",
    "MYSQL_PWD": "{password}",
    "MYSQL_USER": "{username}",
    "MYSQL_PASSWORD": "{password}",
    "MYSQL_DATABASE": "{database}",
    "DATABASE_URL": "{url}",
}
DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "postgresql": _POSTGRESQL,
    "redshift": _POSTGRESQL,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "redis": {"REDIS_URL": "{url}"},
    "valkey": {"VALKEY_URL": "{url}", "REDIS_URL": "{url}"},
    "mongodb": {"MONGODB_URI": "{url}"},
    "elasticsearch": {"ELASTICSEARCH_URL": "{url}"},
}
_OTHERWISE = {"DATABASE_URL": "{url}"}

# What an earlier step may have left for the same engine; a name that ends in `*` stands for all that begin so.
OLDER: Mapping[str, tuple[str, ...]] = {
    "postgresql": ("PG*", "POSTGRES_*", "POSTGRESQL_*", "DATABASE_URL"),
    "redshift": ("PG*", "REDSHIFT_*", "DATABASE_URL"),
    "mysql": ("MYSQL_*", "MARIADB_*", "DATABASE_URL"),
    "mariadb": ("MYSQL_*", "MARIADB_*", "DATABASE_URL"),
    "redis": ("REDIS_*", "REDISCLI_AUTH"),
    "valkey": ("VALKEY_*", "REDIS_*", "REDISCLI_AUTH", "VALKEYCLI_AUTH"),
    "mongodb": ("MONGO_*", "MONGODB_*"),
    "elasticsearch": ("ELASTICSEARCH_*", "ELASTIC_*"),
}
# Variables that are read as one: of a new key beside an older session token nothing works, or the wrong thing does.
# Without a database the profile's own names say which engine it is.
_TOGETHER: tuple[tuple[str, ...], ...] = (
    (
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE"),
        *("AWS_DEFAULT_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        *("AWS_CONTAINER_CREDENTIALS_*", "AWS_CONTAINER_AUTHORIZATION_*"),
    ),
    ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CREDENTIALS", "GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_*"),
    ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_*", "AZURE_FEDERATED_TOKEN_FILE", "ARM_*"),
    ("KUBECONFIG", "KUBE_TOKEN"),
    ("CONSUL_HTTP_TOKEN", "CONSUL_HTTP_TOKEN_FILE", "CONSUL_HTTP_AUTH"),
    ("NOMAD_TOKEN",),
    ("AMQP_URL", "RABBITMQ_*"),
    *(patterns for patterns in OLDER.values()),
)
_SCHEMES: Mapping[str, frozenset[str]] = {
    "postgresql": frozenset({"postgresql", "postgres"}),
    "redshift": frozenset({"redshift"}),
    "mysql": frozenset({"mysql", "mysql2", "mariadb"}),
    "mariadb": frozenset({"mysql", "mysql2", "mariadb"}),
    "redis": frozenset({"redis", "rediss"}),
    "valkey": frozenset({"valkey", "valkeys", "redis", "rediss"}),
    "mongodb": frozenset({"mongodb", "mongodb+srv"}),
}


def templates(profile: Profile) -> Mapping[str, str]:
    """Name of each variable of `profile` and its template: its own, or the engine's usual ones."""
    if profile.env is not None:
        return profile.env
    if profile.database is None:
        return {}
    return DEFAULTS.get(profile.database.engine, _OTHERWISE)


def options(profile: Profile) -> dict[str, str]:
    """The usual variables for what else the URL of `profile` says; none where the profile names its own."""
    url = profile.database
    if url is None or profile.env is not None or url.engine not in ("postgresql", "redshift"):
        return {}
    return {_LIBPQ_OPTIONS[name]: value for name, value in url.options.items() if name in _LIBPQ_OPTIONS}


def older(profile: Profile) -> tuple[str, ...]:
    """Patterns of the variables that would be an older credential for the engine of `profile`."""
    if profile.database is not None:
        return OLDER.get(profile.database.engine, tuple(_OTHERWISE))
    # DATABASE_URL alone does not say which engine it leads to.
    names = [name for name in templates(profile) if name not in _OTHERWISE]
    return tuple(p for together in _TOGETHER if any(matches(name, together) for name in names) for p in together)


def schemes(url: DatabaseURL | None) -> frozenset[str]:
    """Schemes of URLs that lead to the engine of `url`; with a password in it one is an older credential."""
    return _SCHEMES.get(url.engine, frozenset({url.scheme})) if url is not None else frozenset()
