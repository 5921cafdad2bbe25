"""Under which names a command finds a credential, and which older names of the same engine it must not find."""

from __future__ import annotations

from collections.abc import Mapping

from stepcreds.config.model import Profile

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
# The clients read the first four (https://dev.mysql.com/doc/refman/8.4/en/environment-variables.html and the option
# of the same name for the user, which no variable sets); the others are what frameworks and images read.
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


def templates(profile: Profile) -> Mapping[str, str]:
    """Name of each variable of `profile` and its template: its own, or the engine's usual ones."""
    if profile.env is not None:
        return profile.env
    if profile.database is None:
        return {}
    return DEFAULTS.get(profile.database.engine, _OTHERWISE)


def older(profile: Profile) -> tuple[str, ...]:
    """Patterns of the variables that would be an older credential for the engine of `profile`."""
    if profile.database is None:
        return ()
    return OLDER.get(profile.database.engine, tuple(_OTHERWISE))
