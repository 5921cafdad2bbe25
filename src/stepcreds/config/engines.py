"""What is known of each kind of database by the scheme of its URL; a static table that connects to nothing.

The engines are those for which Vault's and OpenBao's database secrets engine issues credentials
(Vault: "Database secrets engine", list of plugins).
"""

from __future__ import annotations

from typing import NamedTuple


class Engine(NamedTuple):
    """One kind of database."""

    name: str
    schemes: tuple[str, ...]  # of its URLs; the first is the usual one
    port: int  # where the URL names none
    has_schemas: bool = False  # schemas are a level of their own between database and table
    has_sslmode: bool = False  # the URL says with `sslmode` how the server proves who it is
    needs_database: bool = False  # a URL without a database would connect to one named after the issued user
    proves_death_by_login: bool = False  # stepcreds can log in, and so see a dead credential refused
    is_measured: bool = False  # and ask the server what the credential can do


ENGINES: tuple[Engine, ...] = (
    Engine(
        "postgresql",
        ("postgresql", "postgres"),
        5432,
        has_schemas=True,
        has_sslmode=True,
        needs_database=True,
        proves_death_by_login=True,
        is_measured=True,
    ),
    Engine("mysql", ("mysql",), 3306, has_sslmode=True, proves_death_by_login=True, is_measured=True),
    Engine("mariadb", ("mariadb",), 3306, has_sslmode=True, proves_death_by_login=True, is_measured=True),
    Engine("redis", ("redis", "rediss"), 6379),
    Engine("valkey", ("valkey", "valkeys"), 6379),
    Engine("mongodb", ("mongodb", "mongodb+srv"), 27017),
    Engine("mssql", ("sqlserver", "mssql"), 1433, has_schemas=True),
    Engine("oracle", ("oracle",), 1521, has_schemas=True, needs_database=True),
    Engine("redshift", ("redshift",), 5439, has_schemas=True, has_sslmode=True, needs_database=True),
    Engine("snowflake", ("snowflake",), 443, has_schemas=True),
    Engine("hana", ("hana", "hdb"), 39015, has_schemas=True),
    Engine("cassandra", ("cassandra",), 9042),
    Engine("couchbase", ("couchbases", "couchbase"), 11207),
    Engine("elasticsearch", ("elasticsearch",), 9200),
    Engine("influxdb", ("influxdb",), 8086),
)

ENGINES_BY_NAME = {engine.name: engine for engine in ENGINES}
ENGINES_BY_SCHEME = {scheme: engine for engine in ENGINES for scheme in engine.schemes}


def engine_of_scheme(scheme: str) -> Engine | None:
    """The engine of a URL's scheme, None if there is none. A driver may follow: `postgresql+psycopg`."""
    scheme = scheme.lower()
    return ENGINES_BY_SCHEME.get(scheme) or ENGINES_BY_SCHEME.get(scheme.partition("+")[0])
