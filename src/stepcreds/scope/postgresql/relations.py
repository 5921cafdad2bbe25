"""SQL: what the probe roles may do with relations, columns and sequences, in few rows however many relations there are.

The rules are the server's own: `has_table_privilege` knows of ownership, membership, PUBLIC and predefined roles. It is
asked once for all relations of a schema that have the same kind, owner and ACL, for it cannot tell these apart.
"""

from __future__ import annotations

from typing import Final

from stepcreds.scope.postgresql.reach import ASKED, HELD, NAMED, PROBE, grants, masks, rows

# The bits of a mask.
READ, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER, MAINTAIN, OWN, GRANT, USAGE = (
    1 << bit for bit in range(11)
)

_PLACES: Final = f"""
place AS MATERIALIZED (
  SELECT n.oid, n.nspname, (SELECT bool_or(has_schema_privilege(p.oid, n.oid, 'USAGE')) FROM {PROBE}) AS usable
  FROM pg_namespace n
)"""  # noqa: S608 - words of our own, here and below
_ACL_KIND: Final = "CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r'::\"char\" END"
# A function with a body of parsed SQL has found its relations: whoever calls it needs no USAGE of their schemas.
_FOUND: Final = f"""
found AS MATERIALIZED (
  SELECT DISTINCT d.refobjid AS oid FROM pg_proc g JOIN pg_depend d ON d.classid = 'pg_proc'::regclass
    AND d.objid = g.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'n'
  WHERE g.oid >= 16384 AND g.prosqlbody IS NOT NULL AND EXISTS (SELECT FROM {PROBE}
    WHERE has_function_privilege(p.oid, g.oid, 'EXECUTE') AND has_schema_privilege(p.oid, g.pronamespace, 'USAGE'))
)"""  # noqa: S608
_USABLE: Final = "(s.usable OR c.oid = ANY (ARRAY(SELECT oid FROM found))) AS usable"
# What initdb made there is asked after with the catalogs.
_OURS: Final = "(c.oid >= 16384 OR s.nspname NOT IN ('pg_catalog', 'information_schema'))"


def relations(major: int, *, named: bool) -> str:
    """Tables, views and their like, and sequences: a row for each schema, kind and set of capabilities.

    `named`: whether there are any that are to come one by one.
    """
    simple = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
    privileges = (*simple, "MAINTAIN") if major >= 17 else simple
    hand_on = ", ".join(f"{each} WITH GRANT OPTION" for each in privileges)
    bits = masks(
        *(f"has_table_privilege(p.oid, c.sample, '{each}')" for each in privileges),
        *(() if major >= 17 else ("false",)),
        "pg_has_role(p.oid, c.relowner, 'USAGE')",
        f"has_table_privilege(p.oid, c.sample, '{hand_on}') OR CASE WHEN c.relkind = 'S' THEN"
        " has_sequence_privilege(p.oid, c.sample, 'USAGE WITH GRANT OPTION') ELSE false END",
        "CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(p.oid, c.sample, 'USAGE') ELSE false END",
    )
    name = f"CASE WHEN s.nspname || '.' || c.relname = {NAMED} THEN c.relname END" if named else "NULL::name"
    return rows(
        f"""
WITH {_PLACES}, {_FOUND}, supplied AS MATERIALIZED (
  SELECT d.objid FROM pg_depend d JOIN pg_init_privs i
    ON i.classoid = d.classid AND i.objoid = d.objid AND i.objsubid = 0 JOIN pg_class c ON c.oid = d.objid
  WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND d.classid = 'pg_class'::regclass
    AND c.relacl IS NOT DISTINCT FROM i.initprivs
), alike AS (
  SELECT s.nspname AS schema, {_USABLE}, c.relkind, c.relowner, c.relacl,
         {name} AS named,
         c.oid = ANY (ARRAY(SELECT objid FROM supplied)) AS supplied, count(*) AS number,
         count(*) FILTER (WHERE c.relrowsecurity) AS secured, min(c.oid::bigint)::oid AS sample,
         min(c.relname::text COLLATE "C") AS first, max(c.relname::text COLLATE "C") AS last
  FROM pg_class c JOIN place s ON s.oid = c.relnamespace
  WHERE {ASKED} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't' AND {_OURS}
  GROUP BY 1, 2, 3, 4, 5, 6, 7
)
SELECT g.*, c.relowner::bigint AS owner,
       {grants("c.relacl", _ACL_KIND, "c.relowner")} AS grants
FROM (
  SELECT c.schema, c.usable, c.relkind AS kind, v.masks, c.named, c.supplied, sum(c.number)::bigint AS number,
         sum(c.secured)::bigint AS secured, min(c.sample::bigint)::oid AS sample,
         (array_agg(c.first ORDER BY c.first))[1:3] || max(c.last) AS examples
  FROM alike c CROSS JOIN LATERAL {bits} AS v WHERE v.most > 0 GROUP BY 1, 2, 3, 4, 5, 6
) AS g CROSS JOIN LATERAL (SELECT * FROM pg_class WHERE oid = g.sample OFFSET 0) AS c"""  # noqa: S608
    )


def columns() -> str:
    """Columns with an ACL of their own (few have one) that gives what the relation's does not."""

    def column(privilege: str) -> str:
        return (
            f"has_column_privilege(p.oid, c.oid, a.attnum, '{privilege}')"
            f" AND NOT has_table_privilege(p.oid, c.oid, '{privilege}')"
        )

    hand_on = ", ".join(f"{each} WITH GRANT OPTION" for each in ("SELECT", "INSERT", "UPDATE", "REFERENCES"))
    none = ("false",)
    bits = masks(
        *map(column, ("SELECT", "INSERT", "UPDATE")), *none * 2, column("REFERENCES"), *none * 3, column(hand_on)
    )
    return rows(
        f"""
WITH {_PLACES}, {_FOUND}, candidate AS MATERIALIZED (
  SELECT a.attrelid, a.attnum, a.attname, a.attacl FROM pg_attribute a
  WHERE {ASKED} AND a.attacl IS NOT NULL AND NOT a.attisdropped
)
SELECT g.*, c.relowner::bigint AS owner, {grants("a.attacl", "c", "c.relowner")} AS grants
FROM (
  SELECT s.nspname AS schema, {_USABLE}, c.oid, c.relname AS relation, v.masks,
         array_agg(a.attname ORDER BY a.attname) AS columns, min(a.attnum) AS sample
  FROM candidate a JOIN pg_class c ON c.oid = a.attrelid JOIN place s ON s.oid = c.relnamespace
  LEFT JOIN pg_init_privs i ON i.classoid = 'pg_class'::regclass AND i.objoid = c.oid AND i.objsubid = a.attnum
  CROSS JOIN LATERAL {bits} AS v
  WHERE c.relpersistence <> 't' AND v.most > 0 AND ({_OURS} OR a.attacl IS DISTINCT FROM i.initprivs)
  GROUP BY 1, 2, 3, 4, 5
) AS g JOIN pg_class c ON c.oid = g.oid JOIN candidate a ON a.attrelid = g.oid AND a.attnum = g.sample"""  # noqa: S608
    )


def future() -> str:
    """Default privileges: what roles will get of what others make, and what others will get of what these make.

    Those for no schema hold in all in which their role may create; of these, the ones that can be used come one by
    one, `everywhere`.
    """
    return rows(
        f"""
WITH {_PLACES}
SELECT r.oid::bigint AS creator, r.rolname AS name, s.nspname AS schema, d.defaclobjtype AS kind,
       d.defaclnamespace = 0 AS everywhere, x.grantee::bigint,
       x.grantee = 0 OR x.grantee = {HELD} AS gets, r.oid = {HELD} AS ours,
       array_agg(DISTINCT x.privilege_type ORDER BY x.privilege_type) AS privileges
FROM pg_default_acl d JOIN pg_roles r ON r.oid = d.defaclrole CROSS JOIN LATERAL aclexplode(d.defaclacl) AS x
LEFT JOIN place s ON s.oid = d.defaclnamespace OR (d.defaclnamespace = 0 AND d.defaclobjtype IN ('r', 'S')
  AND s.usable AND s.nspname !~ '^(pg_|information_schema$)' AND has_schema_privilege(r.oid, s.oid, 'CREATE')
  AND NOT r.oid = {HELD})
WHERE x.grantee <> d.defaclrole AND (x.grantee = 0 OR x.grantee = {HELD} OR r.oid = {HELD}) AND {ASKED}
  AND (s.oid IS NOT NULL OR d.defaclobjtype NOT IN ('r', 'S') OR r.oid = {HELD})
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"""  # noqa: S608
    )
