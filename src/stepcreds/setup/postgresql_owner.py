"""What the owner behind a ddl profile needs inside one database, and the refusal where tables are another's."""

from __future__ import annotations

# ruff: noqa: S608 - every name in a statement is quoted by postgresql_names
from collections.abc import Iterator

from stepcreds.setup.plan import Statement
from stepcreds.setup.postgresql_groups import usage
from stepcreds.setup.postgresql_names import do, literal, quoted, refusal, shown
from stepcreds.setup.postgresql_reach import OURS, RELATIONS, Reach, exists, holds_on_schemas, in_each_schema


def rights(owner: str, database: str, within: Reach) -> Iterator[Statement]:
    """The statements that let `owner` make and alter what the profile declares."""
    for schema in () if within.named else within.schemas:
        there = f"EXISTS (SELECT FROM pg_namespace WHERE nspname = {literal(schema)})"
        create = f"CREATE SCHEMA {quoted(schema)} AUTHORIZATION {quoted(owner)};"
        yield Statement(
            do(f"BEGIN\n  IF NOT {there} THEN\n    {create}\n  END IF;\nEND"),
            f"SELECT {there}",
            f"The schema {shown(schema)}, where there is none yet.",
        )
    yield usage(owner, within)
    if within.named:
        return  # the tables are declared, and no right to make others: nor indexes, which take the same right
    yield Statement(
        in_each_schema(within, "GRANT CREATE ON SCHEMA", f"TO {quoted(owner)}"),
        holds_on_schemas(owner, within, "CREATE"),
        f"{shown(owner)} may make tables and indexes in {within.words}.",
    )
    if not within.schemas:
        yield Statement(
            f"GRANT CREATE ON DATABASE {quoted(database)} TO {quoted(owner)}",
            f"SELECT EXISTS (SELECT FROM pg_roles r CROSS JOIN pg_database d WHERE r.rolname = {literal(owner)}"
            f" AND d.datname = {literal(database)} AND has_database_privilege(r.oid, d.oid, 'CREATE'))",
            "The profile declares no schemas, so all are its business, new ones too; with `schemas` declared this is "
            "not needed.",
        )


def owns_what_is_there(owner: str, within: Reach) -> Statement:
    """Refuses what would fail later: PostgreSQL lets only the owner of a table alter it.

    A role that `owner` is a member of, with its rights inherited, counts as `owner`.
    """
    theirs = f"""FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
    WHERE c.relkind IN ({RELATIONS}, 'S') AND {within.where_table} AND {OURS} AND o.rolname <> {literal(owner)}
      AND NOT EXISTS (SELECT FROM pg_roles r
        WHERE r.rolname = {literal(owner)} AND pg_has_role(r.oid, o.oid, 'USAGE'))"""
    told = f"format('stepcreds: %s do not belong to %s: %s', number, {literal(shown(owner))}, examples)"
    hint = literal(
        "A migration could not alter them. Give them to this role, REASSIGN OWNED BY … TO … or ALTER TABLE … OWNER TO "
        "…; or, where the one that they belong to cannot log in, name that one as the role of the profile, or make "
        "this one a member of it, GRANT … TO …."
    )
    body = f"""DECLARE
  number text;
  examples text;
BEGIN
  SELECT count(*) || ' relation(s)', string_agg(x.said, ', ') FILTER (WHERE x.place <= 3)
  INTO number, examples
  FROM (SELECT format('%I.%I of %I', n.nspname, c.relname, o.rolname) AS said,
    row_number() OVER (ORDER BY n.nspname, c.relname) AS place
    {theirs}) x;
  IF examples IS NOT NULL THEN
    {refusal(told, hint)}
  END IF;
END"""
    return Statement(
        do(body),
        f"SELECT NOT EXISTS (SELECT {theirs})",
        f"Stops here if relations in {within.words} belong to another role than {shown(owner)}: only their owner can "
        "alter them, and to whom they belong is yours to decide. It changes nothing.",
    )


def temporary(database: str, owner: str) -> Statement:
    return Statement(
        f"GRANT TEMPORARY ON DATABASE {quoted(database)} TO {quoted(owner)}",
        f"SELECT {exists(owner)} AND EXISTS (SELECT FROM pg_database d CROSS JOIN LATERAL aclexplode(d.datacl) x"
        f" JOIN pg_roles r ON r.oid = x.grantee WHERE d.datname = {literal(database)} AND r.rolname = {literal(owner)}"
        " AND x.privilege_type = 'TEMPORARY')",
        "Migrations may use temporary tables, also when PUBLIC may not.",
    )
