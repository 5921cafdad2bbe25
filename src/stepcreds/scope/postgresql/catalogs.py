"""SQL: what the probe roles see or change in the server's own relations, and secrets that lie open in them."""

from __future__ import annotations

from stepcreds.scope.postgresql.reach import ASKED, HELD, PROBE, grants, masks, rows

# Columns that hold passwords or what stands for them; and columns that hold the data of every table.
_SECRETS = (
    ("pg_authid", "rolpassword", True),
    ("pg_shadow", "passwd", True),
    ("pg_user_mapping", "umoptions", True),
    ("pg_subscription", "subconninfo", True),
    ("_pg_user_mappings", "umoptions", True),  # of information_schema
    ("pg_largeobject", "data", False),
    ("pg_statistic", "stavalues1", False),
    ("pg_statistic_ext_data", "stxdmcv", False),
)
# By how they end: "token_lifetime" and "jwt_issuer" hold none.
_SECRET_NAME = (
    "(passw(or)?d|passphrase|secret|token|credentials?|jwt|secret_key_base"  # noqa: S105
    "|(api|access|private|secret|signing|encryption|service|service_role)_?key)$"
)


def secrets() -> str:
    """Each of those columns that a probe role may read."""
    values = ", ".join(f"('{table}', '{column}', {str(secret).lower()})" for table, column, secret in _SECRETS)
    bits = masks("has_column_privilege(p.oid, c.oid, x.col, 'SELECT')")
    return rows(
        f"""
SELECT n.nspname AS schema, c.relname AS name, x.secret, v.masks,
       c.relowner::bigint AS owner, {grants("c.relacl", "r", "c.relowner")} AS grants
FROM (VALUES {values}) AS x(rel, col, secret)
JOIN pg_class c ON c.relname = x.rel
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('pg_catalog', 'information_schema')
CROSS JOIN LATERAL {bits} AS v WHERE v.most > 0"""  # noqa: S608 - words of our own
    )


def catalogs() -> str:
    """System relations opened beyond what they were when the server was made. Bits 1, 2: read, write."""

    def at_first(privileges: str) -> str:
        return (
            "NOT EXISTS (SELECT FROM aclexplode(i.initprivs) x"
            f" WHERE x.privilege_type IN ({privileges}) AND (x.grantee = 0 OR x.grantee = {HELD}))"
        )

    bits = masks(
        "has_table_privilege(p.oid, c.oid, 'SELECT') AND has_schema_privilege(p.oid, n.oid, 'USAGE')",
        "has_table_privilege(p.oid, c.oid, 'INSERT,UPDATE,DELETE,TRUNCATE')",
    )
    return rows(
        f"""
SELECT * FROM (
  SELECT n.nspname AS schema, c.relname AS name, v.masks, c.relowner::bigint AS owner,
         {grants("c.relacl", "r", "c.relowner")} AS grants,
         -- What PUBLIC may read of information_schema is not noted as initial; its inner views begin with _pg_.
         v.most & 1 = 1 AND CASE WHEN n.nspname = 'information_schema' THEN starts_with(c.relname::text, '_pg_')
           ELSE c.relacl IS DISTINCT FROM i.initprivs AND {at_first("'SELECT'")} END AS reads,
         CASE WHEN (SELECT bool_or(m & 2 = 2) FROM unnest(v.masks) m)
              AND {at_first("'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'")}
              THEN c.relkind <> 'v' OR (pg_relation_is_updatable(c.oid, false) & 28) <> 0 ELSE false END AS writes
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_init_privs i ON i.classoid = 'pg_class'::regclass AND i.objoid = c.oid AND i.objsubid = 0
  CROSS JOIN LATERAL {bits} AS v
  WHERE v.most > 0
    AND (n.nspname IN ('pg_catalog', 'information_schema') AND c.oid < 16384 AND c.relkind IN ('r', 'v')
    OR (c.relkind = 't' AND c.relacl IS NOT NULL))
) AS each WHERE each.reads OR each.writes"""  # noqa: S608
    )


def views() -> str:
    """Views made of those columns by somebody who may read them, and views of these.

    The server notes no dependency on its own catalogs, so it is looked for in the views' rules: after `:relid`, and
    before the next one, `:selectedCols` has each column's number plus 7; a whole row is the column 0.
    """
    more = (("pg_statistic", f"stavalues{number}", False) for number in range(2, 6))
    columns = (*_SECRETS, *more)
    values = ", ".join(f"('{table}', '{column}', {str(secret).lower()})" for table, column, secret in columns)
    return rows(
        f"""
WITH RECURSIVE wanted AS MATERIALIZED (
  SELECT x.secret, '%:relid ' || c.oid || ' %' AS mention,
         ':relid ' || c.oid || ' ((?!:relid ).)*?:selectedCols [(]b( [0-9]+)*? (7|' || a.attnum + 7 || ')[ )]'
           AS pattern
  FROM (VALUES {values}) AS x(rel, col, secret) JOIN pg_class c ON c.relname = x.rel
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('pg_catalog', 'information_schema')
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = x.col
), candidate AS MATERIALIZED (
  SELECT c.oid FROM pg_class c
  WHERE {ASKED} AND c.oid >= 16384 AND c.relkind IN ('v', 'm')
    AND coalesce(array_to_string(c.reloptions, ' ') !~ 'security_invoker=(true|on|1|yes)', true)
    AND has_table_privilege(c.relowner, 'pg_catalog.pg_authid', 'SELECT')
), exposed(oid, secret) AS (
  SELECT c.oid, w.secret FROM candidate c
  CROSS JOIN LATERAL (SELECT r.ev_action::text AS rule FROM pg_rewrite r WHERE r.ev_class = c.oid OFFSET 0) AS r
  JOIN wanted w ON r.rule LIKE w.mention AND r.rule ~ w.pattern
  UNION
  SELECT r.ev_class, e.secret FROM exposed e
  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = e.oid AND d.classid = 'pg_rewrite'::regclass
  JOIN pg_rewrite r ON r.oid = d.objid
)
SELECT n.nspname AS schema, c.relname AS name, bool_or(e.secret) AS secret FROM exposed e
JOIN pg_class c ON c.oid = e.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE EXISTS (SELECT FROM {PROBE} WHERE has_any_column_privilege(p.oid, c.oid, 'SELECT'))
  AND EXISTS (SELECT FROM {PROBE} WHERE has_schema_privilege(p.oid, n.oid, 'USAGE'))
GROUP BY 1, 2"""  # noqa: S608
    )


def options() -> str:
    """Options and settings that everybody may read and whose names speak of a secret."""
    found = f"lower(split_part(o, '=', 1)) ~ '{_SECRET_NAME}'"
    return rows(
        f"""
SELECT DISTINCT each.place, split_part(o, '=', 1) AS option FROM (
  SELECT 'foreign server ' || s.srvname AS place, s.srvoptions AS options FROM pg_foreign_server s
  UNION ALL SELECT 'foreign data wrapper ' || f.fdwname, f.fdwoptions FROM pg_foreign_data_wrapper f
  UNION ALL SELECT 'foreign table ' || n.nspname || '.' || c.relname, t.ftoptions FROM pg_foreign_table t
    JOIN pg_class c ON c.oid = t.ftrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  UNION ALL SELECT CASE WHEN g.setrole <> 0 THEN 'settings of a role' ELSE 'settings of ' ||
      coalesce('the database ' || d.datname, 'the server') END,
    (SELECT array_agg(x) FROM unnest(g.setconfig) x WHERE position('.' IN split_part(x, '=', 1)) > 0)
    FROM pg_db_role_setting g LEFT JOIN pg_database d ON d.oid = g.setdatabase
    WHERE g.setrole <> (SELECT r.oid FROM pg_roles r WHERE r.rolname = session_user)
) AS each CROSS JOIN LATERAL unnest(each.options) AS o
WHERE {ASKED} AND {found}"""  # noqa: S608
    )
