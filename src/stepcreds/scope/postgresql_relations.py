"""SQL: what the probe roles may do with relations, columns and sequences, in few rows however many relations there are.

The rules are the server's own: `has_table_privilege` knows of ownership, membership, PUBLIC and predefined roles.
"""

from __future__ import annotations

from stepcreds.scope.postgresql_reach import HELD, NAMED, PROBE, grants, masks, rows

# The bits of a mask.
READ, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER, MAINTAIN, OWN, GRANT = (1 << bit for bit in range(10))

_PLACES = f"""
WITH place AS MATERIALIZED (
  SELECT n.oid, n.nspname,
         (SELECT bool_or(has_schema_privilege(p.oid, n.oid, 'USAGE')) FROM {PROBE}) AS usable
  FROM pg_namespace n
), supplied AS MATERIALIZED (
  SELECT d.objid FROM pg_depend d JOIN pg_init_privs i
    ON i.classoid = d.classid AND i.objoid = d.objid AND i.objsubid = 0 JOIN pg_class c ON c.oid = d.objid
  WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND d.classid = 'pg_class'::regclass
    AND c.relacl IS NOT DISTINCT FROM i.initprivs
)"""  # noqa: S608
# What initdb made there is asked after with the catalogs.
_OURS = "(c.oid >= 16384 OR s.nspname NOT IN ('pg_catalog', 'information_schema'))"


def relations(major: int) -> str:
    """Tables, views and their like: a row for each schema, kind and set of capabilities, with one of them as sample."""

    def table(privilege: str) -> str:
        return f"has_table_privilege(p.oid, c.oid, '{privilege}')"

    simple = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
    hand_on = (*simple, "MAINTAIN") if major >= 17 else simple
    bits = masks(
        *map(table, simple),
        table("MAINTAIN") if major >= 17 else "false",
        "pg_has_role(p.oid, c.relowner, 'USAGE')",
        table(", ".join(f"{each} WITH GRANT OPTION" for each in hand_on)),
    )
    return rows(
        f"""{_PLACES}
SELECT g.*, c.relowner::bigint AS owner, {grants("c.relacl", "r", "c.relowner")} AS grants
FROM (
  SELECT s.nspname AS schema, s.usable, c.relkind AS kind, v.masks,
         CASE WHEN s.nspname || '.' || c.relname = {NAMED} THEN c.relname END AS named,
         c.oid = ANY (ARRAY(SELECT objid FROM supplied)) AS supplied,
         count(*) AS number, count(*) FILTER (WHERE c.relrowsecurity) AS secured,
         (array_agg(c.relname ORDER BY c.relname))[1:3] AS examples, min(c.oid::bigint)::oid AS sample
  FROM pg_class c JOIN place s ON s.oid = c.relnamespace CROSS JOIN LATERAL {bits} AS v
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' AND {_OURS} AND v.most > 0
  GROUP BY 1, 2, 3, 4, 5, 6
) AS g JOIN pg_class c ON c.oid = g.sample"""  # noqa: S608 - words of our own
    )


def columns() -> str:
    """Columns with an ACL of their own (few have one) that gives what the relation's does not."""

    def column(privilege: str) -> str:
        return (
            f"has_column_privilege(p.oid, c.oid, a.attnum, '{privilege}')"
            f" AND NOT has_table_privilege(p.oid, c.oid, '{privilege}')"
        )

    hand_on = ", ".join(f"{each} WITH GRANT OPTION" for each in ("SELECT", "INSERT", "UPDATE", "REFERENCES"))
    bits = masks(
        column("SELECT"), column("INSERT"), column("UPDATE"), "false", "false", column("REFERENCES"), "false", "false",
        "false", column(hand_on),
    )  # fmt: skip
    return rows(
        f"""{_PLACES}
SELECT g.*, c.relowner::bigint AS owner, {grants("a.attacl", "c", "c.relowner")} AS grants
FROM (
  SELECT s.nspname AS schema, s.usable, c.oid, c.relname AS relation, v.masks,
         array_agg(a.attname ORDER BY a.attname) AS columns, min(a.attnum) AS sample
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN place s ON s.oid = c.relnamespace
  LEFT JOIN pg_init_privs i ON i.classoid = 'pg_class'::regclass AND i.objoid = c.oid AND i.objsubid = a.attnum
  CROSS JOIN LATERAL {bits} AS v
  WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND c.relpersistence <> 't' AND v.most > 0
    AND ({_OURS} OR a.attacl IS DISTINCT FROM i.initprivs)
  GROUP BY 1, 2, 3, 4, 5
) AS g JOIN pg_class c ON c.oid = g.oid JOIN pg_attribute a ON a.attrelid = g.oid AND a.attnum = g.sample"""  # noqa: S608
    )


def sequences() -> str:
    def sequence(privilege: str) -> str:
        return f"has_sequence_privilege(p.oid, c.oid, '{privilege}')"

    hand_on = ", ".join(f"{each} WITH GRANT OPTION" for each in ("SELECT", "USAGE", "UPDATE"))
    bits = masks(
        sequence("SELECT"), sequence("USAGE"), sequence("UPDATE"), "false", "false", "false", "false", "false",
        "pg_has_role(p.oid, c.relowner, 'USAGE')", sequence(hand_on),
    )  # fmt: skip
    return rows(
        f"""
SELECT g.*, c.relowner::bigint AS owner, {grants("c.relacl", "s", "c.relowner")} AS grants
FROM (
  SELECT n.nspname AS schema, true AS usable, c.relkind AS kind, v.masks,
         CASE WHEN n.nspname || '.' || c.relname = {NAMED} THEN c.relname END AS named, false AS supplied,
         count(*) AS number, 0 AS secured, (array_agg(c.relname ORDER BY c.relname))[1:3] AS examples,
         min(c.oid::bigint)::oid AS sample
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL {bits} AS v
  WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND v.most > 0
  GROUP BY 1, 3, 4, 5
) AS g JOIN pg_class c ON c.oid = g.sample"""  # noqa: S608
    )


def future() -> str:
    """Default privileges: what roles will get of what others make, and what others will get of what these make."""
    return rows(
        f"""
SELECT r.oid::bigint AS creator, r.rolname AS name, n.nspname AS schema, d.defaclobjtype AS kind,
       x.grantee::bigint, x.grantee = 0 OR x.grantee = {HELD} AS gets, r.oid = {HELD} AS ours,
       array_agg(DISTINCT x.privilege_type ORDER BY x.privilege_type) AS privileges
FROM pg_default_acl d JOIN pg_roles r ON r.oid = d.defaclrole LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
CROSS JOIN LATERAL aclexplode(d.defaclacl) AS x
WHERE x.grantee <> d.defaclrole AND (x.grantee = 0 OR x.grantee = {HELD} OR r.oid = {HELD})
  AND current_setting('stepcreds.probe') <> '{{}}'
GROUP BY 1, 2, 3, 4, 5, 6, 7"""  # noqa: S608
    )
