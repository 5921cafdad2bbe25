"""What the groups of users who read, or read and write, may do inside one database: what is there, and what comes."""

from __future__ import annotations

# ruff: noqa: S608 - every name in a statement is quoted by postgresql_names
from collections.abc import Iterator, Sequence
from itertools import groupby

from stepcreds.setup.plan import Statement
from stepcreds.setup.postgresql.names import array, do, literal, quoted, refusal, shown
from stepcreds.setup.postgresql.reach import (
    OURS,
    RELATIONS,
    Reach,
    exists,
    holds_on_relations,
    holds_on_schemas,
    in_each_schema,
    pairs,
    percent,
)

_TABLE = {"read-only": ("SELECT",), "read-write": ("SELECT", "INSERT", "UPDATE", "DELETE")}
# There is no DELETE of columns: who may see and change only some of them takes no row away.
_COLUMN = {"read-only": ("SELECT",), "read-write": ("SELECT", "INSERT", "UPDATE")}
_SEQUENCE = {"read-only": "SELECT", "read-write": "USAGE"}  # where it stands; the next number, not another one
_MAY = {"read-only": "may read", "read-write": "may read and change rows of"}


def rights(group: str, access: str, within: Reach, owners: Sequence[str]) -> Iterator[Statement]:
    """The statements that let members of `group` read, or read and write; migrations make tables as `owners`."""
    yield usage(group, within)
    if within.named:
        yield from _of_tables(group, access, within)
        yield from _of_columns(group, access, within)
        return
    yield Statement(
        in_each_schema(within, f"GRANT {_list(_TABLE[access])} ON ALL TABLES IN SCHEMA", f"TO {quoted(group)}"),
        holds_on_relations(group, within, RELATIONS, "has_table_privilege", _TABLE[access]),
        f"{shown(group)} {_MAY[access]} the tables and views that are there now, in {within.words}.",
    )
    if access == "read-write":
        yield Statement(
            in_each_schema(within, "GRANT USAGE ON ALL SEQUENCES IN SCHEMA", f"TO {quoted(group)}"),
            holds_on_relations(group, within, "'S'", "has_sequence_privilege", ("USAGE",)),
            f"{shown(group)} may take numbers from the sequences in {within.words}; not set them back.",
        )
    yield from _of_what_comes(group, access, within, owners)


def usage(role: str, within: Reach) -> Statement:
    return Statement(
        in_each_schema(within, "GRANT USAGE ON SCHEMA", f"TO {quoted(role)}"),
        holds_on_schemas(role, within, "USAGE"),
        f"{shown(role)} may see what is in {within.words}.",
    )


def _of_tables(group: str, access: str, within: Reach) -> Iterator[Statement]:
    """Sequences may be declared among the tables: that of a `serial` column has to be, an identity column's not."""
    if not within.tables:
        return
    there = (
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE (n.nspname, c.relname) IN ({pairs(within.tables)}) AND c.relkind IN ({RELATIONS}, 'S')"
    )
    to = percent(f"TO {quoted(group)}")
    told = literal("stepcreds: not all tables that are declared are there")
    body = f"""DECLARE
  declared record;
BEGIN
  IF (SELECT count(*) {there}) < {len(within.tables)} THEN
    {refusal(told, "'Make them, or correct `tables` of the profile.'")}
  END IF;
  FOR declared IN SELECT c.oid::regclass AS relation, c.relkind {there} LOOP
    IF declared.relkind = 'S' THEN
      EXECUTE format({literal(f"GRANT {_SEQUENCE[access]} ON SEQUENCE %s {to}")}, declared.relation);
    ELSE
      EXECUTE format({literal(f"GRANT {_list(_TABLE[access])} ON TABLE %s {to}")}, declared.relation);
    END IF;
  END LOOP;
END"""
    held = " AND ".join(f"has_table_privilege(r.oid, c.oid, '{each}')" for each in _TABLE[access])
    sequence = f"has_sequence_privilege(r.oid, c.oid, '{_SEQUENCE[access]}')"
    yield Statement(
        do(body),
        f"SELECT {exists(group)} AND (SELECT count(*) {there} AND EXISTS (SELECT FROM pg_roles r WHERE r.rolname ="
        f" {literal(group)} AND CASE WHEN c.relkind = 'S' THEN {sequence} ELSE {held} END)) = {len(within.tables)}",
        f"{shown(group)} {_MAY[access]} the declared tables, and no others.",
    )


def _of_columns(group: str, access: str, within: Reach) -> Iterator[Statement]:
    for table, columns in groupby(sorted(within.columns), lambda column: column[:2]):
        names = [column[2] for column in columns]
        listed = ", ".join(map(quoted, names))
        held = " AND ".join(f"has_column_privilege(r.oid, a.attrelid, a.attnum, '{each}')" for each in _COLUMN[access])
        yield Statement(
            f"GRANT {', '.join(f'{each} ({listed})' for each in _COLUMN[access])}"
            f" ON TABLE {'.'.join(map(quoted, table))} TO {quoted(group)}",
            f"SELECT count(*) = {len(names)} FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN pg_roles r"
            f" WHERE (n.nspname, c.relname) IN ({pairs([table])}) AND c.relkind IN ({RELATIONS})"
            f" AND a.attname = ANY ({array(names)}) AND r.rolname = {literal(group)} AND {held}",
            f"{shown(group)} {_MAY[access]} the declared columns of {shown('.'.join(table))}, and no others.",
        )


def _of_what_comes(group: str, access: str, within: Reach, owners: Sequence[str]) -> Iterator[Statement]:
    """Default privileges on what `owners` make, and on what everybody makes who owns a table there now."""
    kinds: list[tuple[str, str, Sequence[str]]] = [("r", "TABLES", _TABLE[access])]
    if access == "read-write":
        kinds.append(("S", "SEQUENCES", ("USAGE",)))
    if not within.schemas:
        kinds.append(("n", "SCHEMAS", ("USAGE",)))
    places: Sequence[str | None] = within.schemas or (None,)
    for owner in owners:
        for schema in places:
            for kind, plural, privileges in kinds:
                yield Statement(
                    f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(owner)}{_place(schema)} "
                    f"GRANT {_list(privileges)} ON {plural} TO {quoted(group)}",
                    f"SELECT ({_held_by_default(group, kind, privileges, schema, literal(owner))}) = {len(privileges)}",
                    f"{plural.capitalize()} that {shown(owner)} makes later are covered at once, for {shown(group)}.",
                )
    others = f"""FROM pg_roles o WHERE o.rolname !~ '^pg_' AND o.rolname <> ALL ({array(owners)})
      AND coalesce(o.rolvaliduntil, 'infinity') = 'infinity'
      AND o.oid IN (SELECT c.relowner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ({RELATIONS}) AND {within.where} AND {OURS})"""
    granted = missing = ""
    for schema in places:
        for kind, plural, privileges in kinds:
            after = percent(f"{_place(schema)} GRANT {_list(privileges)} ON {plural} TO {quoted(group)}")
            granted += f"\n    EXECUTE format({literal(f'ALTER DEFAULT PRIVILEGES FOR ROLE %I{after}')}, creator);"
            missing += f" OR ({_held_by_default(group, kind, privileges, schema, 'o.rolname')}) < {len(privileges)}"
    yield Statement(
        do(
            f"DECLARE\n  creator name;\nBEGIN\n  FOR creator IN SELECT o.rolname {others} LOOP{granted}\n"
            "  END LOOP;\nEND"
        ),
        f"SELECT {exists(group)} AND NOT EXISTS (SELECT {others} AND (false{missing}))",
        f"What others make later who own tables in {within.words} today is covered at once, for {shown(group)}.",
    )


def _held_by_default(group: str, kind: str, privileges: Sequence[str], schema: str | None, creator: str) -> str:
    """A query of how many of `privileges` the default privileges of the role `creator`, an expression, hold."""
    place = "0" if schema is None else f"(SELECT s.oid FROM pg_namespace s WHERE s.nspname = {literal(schema)})"
    return (
        "SELECT count(DISTINCT x.privilege_type) FROM pg_default_acl d JOIN pg_roles w ON w.oid = d.defaclrole"
        " CROSS JOIN LATERAL aclexplode(d.defaclacl) x JOIN pg_roles g ON g.oid = x.grantee"
        f" WHERE w.rolname = {creator} AND d.defaclnamespace = {place} AND d.defaclobjtype = '{kind}'"
        f" AND g.rolname = {literal(group)} AND x.privilege_type = ANY ({array(privileges)})"
    )


def _place(schema: str | None) -> str:
    return "" if schema is None else f" IN SCHEMA {quoted(schema)}"


def _list(privileges: Sequence[str]) -> str:
    return ", ".join(privileges)
