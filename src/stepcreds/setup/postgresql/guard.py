"""The guard for ddl profiles: event triggers that refuse DROP, GRANT and SECURITY DEFINER to the users it is set on.

It stands between a migration and an accident, or a back door that outlives it; an owner can still delete every row. A
superuser installs it, in each database (https://www.postgresql.org/docs/current/event-triggers.html).
"""

from __future__ import annotations

# ruff: noqa: S608 - every name in a statement is quoted by postgresql_names
import hashlib
from collections.abc import Iterator
from importlib import resources

from stepcreds.setup.plan import Statement
from stepcreds.setup.postgresql.names import do, literal

SCHEMA = "stepcreds"
GUARDED = "stepcreds_guarded"  # the group whose direct members are refused; the name stands in the function as well

_FUNCTION = f"{SCHEMA}.guard"
# A trigger on an event, and on which commands; "" all of them.
_TRIGGERS = (
    ("stepcreds_guard_command", "ddl_command_start", ("ALTER DEFAULT PRIVILEGES", "DROP OWNED", "GRANT", "REVOKE")),
    ("stepcreds_guard_drop", "sql_drop", ()),
    ("stepcreds_guard_end", "ddl_command_end", ()),
)


def body() -> str:
    """What the function does. It uses nothing outside of pg_catalog: a trigger that fails blocks DDL for everybody."""
    return resources.files(__package__).joinpath("guard.sql").read_text(encoding="utf-8")


def installation() -> Iterator[Statement]:
    """The statements that install it; each done one is found unchanged, text and all."""
    group = f"EXISTS (SELECT FROM pg_roles WHERE rolname = {literal(GUARDED)})"
    yield Statement(
        do(f"BEGIN\n  IF NOT {group} THEN\n    CREATE ROLE {GUARDED} NOLOGIN;\n  END IF;\nEND"),
        f"SELECT {group}",
        "The group whose members the guard refuses; nobody gets a right by it.",
    )
    yield Statement(
        f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
        f"SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = {literal(SCHEMA)})",
        "A place for the guard's function, which nobody but its owner may use.",
    )
    digest = hashlib.md5(body().encode(), usedforsecurity=False).hexdigest()
    yield Statement(
        f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS event_trigger LANGUAGE plpgsql\n"
        f"SET search_path = pg_catalog, pg_temp AS $guard$\n{body()}$guard$",
        "SELECT EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        f" WHERE n.nspname = {literal(SCHEMA)} AND p.proname = 'guard' AND p.pronargs = 0"
        f" AND md5(ltrim(p.prosrc, E'\\n')) = '{digest}')",
        "Refuses users under guard DROP of all but indexes, constraints, defaults and statistics; GRANT, REVOKE, "
        "ALTER DEFAULT PRIVILEGES; and SECURITY DEFINER. It lets everybody else through at the first line.",
    )
    for name, event, tags in _TRIGGERS:
        listed = ", ".join(map(literal, tags))
        when = f"\n      WHEN TAG IN ({listed})" if tags else ""
        found = (
            "EXISTS (SELECT FROM pg_event_trigger t JOIN pg_proc p ON p.oid = t.evtfoid"
            f" JOIN pg_namespace n ON n.oid = p.pronamespace WHERE t.evtname = {literal(name)}"
            f" AND n.nspname = {literal(SCHEMA)} AND p.proname = 'guard' AND t.evtevent = {literal(event)}"
            f" AND coalesce((SELECT array_agg(tag ORDER BY tag) FROM unnest(t.evttags) tag), '{{}}')"
            f" = ARRAY[{listed}]::text[] AND t.evtenabled IN ('O', 'A'))"
        )
        yield Statement(
            do(
                f"BEGIN\n  IF NOT {found} THEN\n    DROP EVENT TRIGGER IF EXISTS {name};\n"
                f"    CREATE EVENT TRIGGER {name} ON {event}{when}\n      EXECUTE FUNCTION {_FUNCTION}();\n"
                "  END IF;\nEND"
            ),
            f"SELECT {found}",
            f"Calls the guard at {event.replace('_', ' ')}" + (f", of {', '.join(tags)}." if tags else "."),
        )
