"""What the owner behind a ddl profile needs inside one database, and the refusal where tables are another's."""

from __future__ import annotations

# ruff: noqa: S608 - every name in a statement is quoted by postgresql_names
from collections.abc import Iterator

from stepcreds.setup.plan import Statement
from stepcreds.setup.postgresql.groups import usage
from stepcreds.setup.postgresql.names import do, literal, quoted, refusal, shown
from stepcreds.setup.postgresql.reach import (
    OURS,
    RELATIONS,
    Reach,
    exists,
    holds_on_schemas,
    in_each_schema,
    percent,
)


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


def owns_what_is_there(owner: str, within: Reach, flag: str) -> Statement:
    """Refuses what would fail later: PostgreSQL lets only the owner of a table alter it.

    A role that `owner` is a member of, with its rights inherited, counts as `owner`. `flag` names another owner:
    "--owner a=NAME".
    """
    theirs = f"""FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
    WHERE c.relkind IN ({RELATIONS}, 'S') AND {within.where_table} AND {OURS} AND o.rolname <> {literal(owner)}
      AND NOT EXISTS (SELECT FROM pg_roles r
        WHERE r.rolname = {literal(owner)} AND pg_has_role(r.oid, o.oid, 'USAGE'))"""
    listed = f"""SELECT format('%s relation(s) do not belong to %s: %s', count(*), {literal(shown(owner))},
    string_agg(x.said, ', ') FILTER (WHERE x.place <= 3))
  FROM (SELECT format('%I.%I of %I', n.nspname, c.relname, o.rolname) AS said,
    row_number() OVER (ORDER BY n.nspname, c.relname) AS place
    {theirs}) x HAVING count(*) > 0"""
    hint = (
        f"{_other(flag)}\nElse give them to {shown(owner)}, which is yours to decide: `stepcreds setup --format sql` "
        "has the statement, as a comment."
    )
    body = f"""DECLARE
  found text := ({listed});
BEGIN
  IF found IS NOT NULL THEN
    {refusal("'stepcreds: ' || found", literal(hint))}
  END IF;
END"""
    return Statement(
        do(body),
        f"SELECT NOT EXISTS (SELECT {theirs})",
        f"Stops here if relations in {within.words} belong to another role than {shown(owner)}: only their owner can "
        "alter them, and to whom they belong is yours to decide. It changes nothing.",
        refused=f"SELECT replace(x.told, E'\\n', ' ') || E'\\n' || {literal(_how(owner, flag))}"
        f" FROM (VALUES (({listed}))) x (told)",
        remedy=_taken_over(owner, theirs),
    )


def _other(flag: str) -> str:
    return f"A migration could not alter them. Where they belong to one role that cannot log in, name that one: {flag}"


def _how(owner: str, flag: str) -> str:
    return (
        f"{_other(flag)}\n"
        f"Else give them to {shown(owner)}, once, as a superuser, in this database, in a quiet moment (each is locked)."
        " Who has them now goes on as before, as a member of the new owner; what it makes later is its own again,"
        " unless it says SET ROLE:"
    )


def _taken_over(owner: str, theirs: str) -> str:
    """The tables, views and sequences become `owner`'s, and who had them its member. Functions and types stay."""
    # The sequence of a column goes with its table, and cannot go alone.
    linked = (
        "EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid"
        " AND c.relkind = 'S' AND d.deptype IN ('a', 'i'))"
    )
    body = f"""DECLARE
  found record;
BEGIN
  IF NOT {exists(owner)} THEN
    CREATE ROLE {quoted(owner)} NOLOGIN;
  END IF;
  FOR found IN SELECT c.oid::regclass AS relation, o.oid AS had, o.rolname
    {theirs}
      AND NOT {linked}
  LOOP
    IF NOT pg_has_role(found.had, {literal(owner)}, 'MEMBER') THEN
      EXECUTE format({literal(f"GRANT {percent(quoted(owner))} TO %I")}, found.rolname);
    END IF;
    EXECUTE format({literal(f"ALTER TABLE %s OWNER TO {percent(quoted(owner))}")}, found.relation);
  END LOOP;
END"""
    return f"{do(body)};"


def temporary(database: str, owner: str) -> Statement:
    return Statement(
        f"GRANT TEMPORARY ON DATABASE {quoted(database)} TO {quoted(owner)}",
        f"SELECT {exists(owner)} AND EXISTS (SELECT FROM pg_database d CROSS JOIN LATERAL aclexplode(d.datacl) x"
        f" JOIN pg_roles r ON r.oid = x.grantee WHERE d.datname = {literal(database)} AND r.rolname = {literal(owner)}"
        " AND x.privilege_type = 'TEMPORARY')",
        "Migrations may use temporary tables, also when PUBLIC may not.",
    )
