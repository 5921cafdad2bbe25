"""What of a database a profile is about, and the queries of who holds what there that the statements have in common."""

from __future__ import annotations

# ruff: noqa: S608 - every name in a statement is quoted by postgresql_names
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from stepcreds.config.model import Profile
from stepcreds.errors import UnsupportedError
from stepcreds.setup.postgresql.guard import SCHEMA as GUARD_SCHEMA
from stepcreds.setup.postgresql.names import array, do, literal, parts, quoted, shown

RELATIONS = "'r', 'p', 'v', 'm', 'f'"  # what ALL TABLES means to GRANT: views, partitions and foreign tables too
# A row `c` of pg_class that is no part of an extension.
OURS = (
    "NOT EXISTS (SELECT FROM pg_depend e"
    " WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')"
)
_EVERYWHERE = f"n.nspname !~ '^pg_' AND n.nspname <> ALL ({array(('information_schema', GUARD_SCHEMA))})"


class Reach(NamedTuple):
    """The declared places; where tables or columns are named, they are all there is."""

    schemas: tuple[str, ...]  # () all of them, also those to come
    tables: tuple[tuple[str, ...], ...] = ()  # (schema, table)
    columns: tuple[tuple[str, ...], ...] = ()  # (schema, table, column), none of a table above

    @property
    def named(self) -> bool:
        """Whether single tables or columns are declared."""
        return bool(self.tables or self.columns)

    @property
    def where(self) -> str:
        """The condition on a row `n` of pg_namespace."""
        return f"n.nspname = ANY ({array(self.schemas)})" if self.schemas else _EVERYWHERE

    @property
    def where_table(self) -> str:
        """The condition on rows `n` and `c` of pg_namespace and pg_class."""
        if not self.named:
            return self.where
        tables = dict.fromkeys((*self.tables, *(column[:2] for column in self.columns)))
        return f"(n.nspname, c.relname) IN ({pairs(tables)})"

    @property
    def words(self) -> str:
        return ", ".join(map(shown, self.schemas)) or "every schema"


def reach(profile: Profile) -> Reach:
    """What `profile` declares. Raises `UnsupportedError` for a table or a column that is outside of its schemas."""
    tables = tuple(dict.fromkeys(parts(table, 2) for table in profile.tables))
    columns = tuple(dict.fromkeys(parts(column, 3) for column in profile.columns))
    used = tuple(dict.fromkeys(names[0] for names in (*tables, *columns)))
    if outside := [schema for schema in used if profile.schemas and schema not in profile.schemas]:
        raise UnsupportedError(
            f"The profile {profile.name!a} names tables of the schema {outside[0]!a}, which is not among its schemas.",
            fix="Add the schema to `schemas`, or take the tables away.",
            docs="configuration",
        )
    return Reach(used or profile.schemas, tables, tuple(column for column in columns if column[:2] not in tables))


def in_each_schema(within: Reach, before: str, after: str) -> str:
    """The statement `before` schema `after`, for each schema of `within`."""
    if len(within.schemas) == 1:
        return f"{before} {quoted(within.schemas[0])} {after}"
    template = literal(f"{percent(before)} %I {percent(after)}")
    return do(
        "DECLARE\n  found name;\nBEGIN\n"
        f"  FOR found IN SELECT n.nspname FROM pg_namespace n WHERE {within.where} LOOP\n"
        f"    EXECUTE format({template}, found);\n  END LOOP;\nEND"
    )


def exists(role: str) -> str:
    return f"EXISTS (SELECT FROM pg_roles WHERE rolname = {literal(role)})"


def holds_on_schemas(role: str, within: Reach, privilege: str) -> str:
    """A query of whether `role` has `privilege` on every schema of `within`, and each that is declared is there."""
    count = f"(SELECT count(*) FROM pg_namespace n WHERE {within.where}) = {len(within.schemas)}"
    return (
        f"SELECT {f'{count} AND ' if within.schemas else ''}{exists(role)} AND NOT EXISTS (SELECT FROM pg_namespace n"
        f" CROSS JOIN pg_roles r WHERE {within.where} AND r.rolname = {literal(role)}"
        f" AND NOT has_schema_privilege(r.oid, n.oid, '{privilege}'))"
    )


def holds_on_relations(role: str, within: Reach, kinds: str, function: str, privileges: Sequence[str]) -> str:
    """A query of whether `role` holds all `privileges` on all relations of `kinds`."""
    held = " AND ".join(f"{function}(r.oid, c.oid, '{each}')" for each in privileges)
    return (
        f"SELECT {exists(role)} AND NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" CROSS JOIN pg_roles r WHERE c.relkind IN ({kinds}) AND {within.where} AND r.rolname = {literal(role)}"
        f" AND NOT ({held}))"
    )


def pairs(tables: Iterable[Sequence[str]]) -> str:
    """Schema and table of each, for `IN (…)` and `VALUES …`."""
    return ", ".join(f"({', '.join(map(literal, table))})" for table in tables)


def percent(text: str) -> str:
    """`text` for a place within the first argument of format()."""
    return text.replace("%", "%%")
