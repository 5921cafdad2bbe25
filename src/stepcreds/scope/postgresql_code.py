"""SQL: functions that the probe roles may call and that can do more than they: as their owner, or as the server."""

from __future__ import annotations

from typing import Final

from stepcreds.scope.postgresql_reach import ASKED, HELD, PROBE, grants, masks, rows

# Extensions whose functions leave the database: the network, files, programs, other sessions. With the functions that
# do, so that a harmless one of theirs that is callable raises no alarm.
REACHING: Final = {
    "dblink": "^dblink($|_connect|_exec|_open|_send_query)",
    "pg_cron": "^(schedule|schedule_in_database|alter_job)$",
    "pg_net": "^http_",
    "http": "^http",
    "pg_background": "launch",
    "plsh": ".",
    "aws_s3": ".",
    "aws_lambda": ".",
    "adminpack": "^pg_(file|logdir)_",
    "azure_storage": ".",
    "pg_curl": ".",
    "pg_task": ".",
    "pljava": ".",
    "orafce": "^(fopen|fcopy|fremove|frename|put|put_line|get_line)$",
}
# Whoever may not use a function's schema may still call it where something names it for him: an operator, a cast; a
# view or rule; a table whose defaults, checks and indexes CREATE TEMP TABLE … (LIKE …) copies, or whose policies ask
# it; a domain; another function's default arguments and body.
_MAKES_TABLES: Final = """(has_database_privilege(p.oid, current_database(), 'TEMPORARY')
  OR EXISTS (SELECT FROM pg_namespace w WHERE has_schema_privilege(p.oid, w.oid, 'CREATE')))"""
_NAMED_ELSEWHERE: Final = f"""(
  EXISTS (SELECT FROM pg_operator o WHERE o.oprcode = f.oid AND has_schema_privilege(p.oid, o.oprnamespace, 'USAGE'))
  OR EXISTS (SELECT FROM pg_cast c WHERE c.castfunc = f.oid)
  OR EXISTS (
    WITH RECURSIVE ruled(oid, event) AS (
      SELECT r.ev_class, r.ev_type FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
      WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = f.oid AND d.classid = 'pg_rewrite'::regclass
      UNION
      SELECT r.ev_class, r.ev_type FROM ruled s
      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid AND s.event = '1'
      JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.ev_class <> s.oid
    )
    SELECT FROM ruled s JOIN pg_class t ON t.oid = s.oid
    WHERE has_schema_privilege(p.oid, t.relnamespace, 'USAGE') AND CASE s.event
      WHEN '1' THEN has_any_column_privilege(p.oid, t.oid, 'SELECT')
      WHEN '2' THEN has_any_column_privilege(p.oid, t.oid, 'UPDATE')
      WHEN '3' THEN has_any_column_privilege(p.oid, t.oid, 'INSERT')
      ELSE has_table_privilege(p.oid, t.oid, 'DELETE') END)
  OR EXISTS (
    SELECT FROM pg_depend d
    LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
    LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
    LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
    LEFT JOIN pg_statistic_ext x ON d.classid = 'pg_statistic_ext'::regclass AND x.oid = d.objid
    LEFT JOIN pg_policy y ON d.classid = 'pg_policy'::regclass AND y.oid = d.objid
    LEFT JOIN pg_class t ON t.oid = coalesce(a.adrelid, nullif(k.conrelid, 0), i.indrelid, x.stxrelid, y.polrelid)
    LEFT JOIN pg_type m ON m.oid = nullif(k.contypid, 0) OR (d.classid = 'pg_type'::regclass AND m.oid = d.objid)
    LEFT JOIN pg_proc g ON d.classid = 'pg_proc'::regclass AND g.oid = d.objid
    WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = f.oid
      AND (has_schema_privilege(p.oid, m.typnamespace, 'USAGE')
        OR has_schema_privilege(p.oid, g.pronamespace, 'USAGE') AND has_function_privilege(p.oid, g.oid, 'EXECUTE')
        OR has_schema_privilege(p.oid, t.relnamespace, 'USAGE')
          AND (has_any_column_privilege(p.oid, t.oid, 'INSERT, UPDATE')
            OR (y.oid IS NOT NULL AND t.relrowsecurity AND has_any_column_privilege(p.oid, t.oid, 'SELECT'))
            OR (y.oid IS NULL AND has_table_privilege(p.oid, t.oid, 'SELECT') AND {_MAKES_TABLES}))))
)"""  # noqa: S608 - words of our own, here and below
# The functions an aggregate is made of are called with the right of the aggregate's owner to do so.
_AGGREGATED: Final = """EXISTS (
  SELECT FROM pg_aggregate g JOIN pg_proc a ON a.oid = g.aggfnoid
  WHERE f.oid IN (g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn, g.aggdeserialfn, g.aggmtransfn,
                  g.aggminvtransfn, g.aggmfinalfn)
    AND has_function_privilege(p.oid, a.oid, 'EXECUTE') AND has_schema_privilege(p.oid, a.pronamespace, 'USAGE')
    AND has_function_privilege(a.proowner, f.oid, 'EXECUTE'))"""


def functions() -> str:
    """Each function with why it is here. `why`: definer, reaching, opened, untrusted."""
    reaching = " OR ".join(f"(e.extname = '{name}' AND f.proname ~ '{which}')" for name, which in REACHING.items())
    bits = masks(
        f"CASE WHEN f.prorettype = 'event_trigger'::regtype THEN {_MAKES_TABLES} ELSE"
        " has_function_privilege(p.oid, f.oid, 'EXECUTE') AND"
        f" (has_schema_privilege(p.oid, f.pronamespace, 'USAGE') OR {_NAMED_ELSEWHERE})"
        f" OR (f.why = 'definer' AND {_AGGREGATED}) END"
    )
    # Written in SQL, it runs as its caller and calls what is in the list itself.
    reaching = f"l.lanname <> 'sql' AND ({reaching})"
    return rows(
        f"""
WITH member AS MATERIALIZED (
  SELECT d.objid, x.extname FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
  WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND d.classid = 'pg_proc'::regclass
), candidate AS MATERIALIZED (
  SELECT f.oid, f.proname, f.pronamespace, f.proowner, f.proacl, f.prosrc, f.probin, f.proconfig, f.prorettype,
         f.prosqlbody, e.extname, l.lanname,
         CASE WHEN f.prosecdef AND f.oid >= 16384 AND NOT f.proowner = {HELD} THEN 'definer'
              WHEN {reaching} THEN 'reaching'
              WHEN (f.oid < 16384 OR e.extname IS NOT NULL) AND i.initprivs IS NOT NULL AND NOT EXISTS (
                SELECT FROM aclexplode(i.initprivs) x WHERE x.privilege_type = 'EXECUTE'
                AND (x.grantee = 0 OR x.grantee = {HELD})) THEN 'opened'
              WHEN f.oid >= 16384 AND e.extname IS NULL AND NOT l.lanpltrusted
                AND f.prokind <> 'a' THEN 'untrusted' END AS why
  FROM (SELECT * FROM pg_proc WHERE oid >= 16384 UNION ALL
        -- OFFSET 0 has the few looked up one by one, instead of all read.
        SELECT b.* FROM pg_init_privs i
        CROSS JOIN LATERAL (SELECT * FROM pg_proc WHERE oid = i.objoid AND oid < 16384 OFFSET 0) AS b
        WHERE i.classoid = 'pg_proc'::regclass AND i.objsubid = 0) AS f
  JOIN pg_language l ON l.oid = f.prolang LEFT JOIN member e ON e.objid = f.oid
  LEFT JOIN pg_init_privs i ON i.classoid = 'pg_proc'::regclass AND i.objoid = f.oid AND i.objsubid = 0
  WHERE {ASKED} AND (i.initprivs IS NOT NULL OR f.prosecdef OR NOT l.lanpltrusted OR e.extname IS NOT NULL)
    -- Of these, no user calls any but what is set off by all DDL, his own too.
    AND (f.prorettype <> 'event_trigger'::regtype OR f.prosecdef AND e.extname IS NULL AND EXISTS (
      SELECT FROM pg_event_trigger v WHERE v.evtfoid = f.oid AND v.evtenabled IN ('O', 'A')))
    AND f.prorettype NOT IN ('internal'::regtype, 'language_handler'::regtype,
      'fdw_handler'::regtype, 'index_am_handler'::regtype, 'table_am_handler'::regtype, 'tsm_handler'::regtype)
    AND NOT 'internal'::regtype = ANY (f.proargtypes)
)
SELECT f.why, n.nspname AS schema, f.proname AS name, f.oid::regprocedure AS signature,
       f.extname AS extension, f.lanname AS language, f.proowner::bigint AS owner, o.rolname AS owner_name,
       o.rolsuper OR o.rolcreaterole OR o.rolreplication OR EXISTS (SELECT FROM pg_roles r WHERE
         r.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files',
           'pg_read_all_data', 'pg_write_all_data') AND pg_has_role(f.proowner, r.oid, 'USAGE')) AS mighty,
       f.prorettype = 'trigger'::regtype AS trigger, f.prorettype = 'event_trigger'::regtype AS event,
       coalesce(array_to_string(f.proconfig, ' ') ~ '(^| )search_path=', false) AS confined,
       substr(encode(sha256(convert_to(CASE WHEN f.prosqlbody IS NULL THEN f.prosrc || coalesce(f.probin, '')
         ELSE pg_get_function_sqlbody(f.oid) END, 'UTF8')), 'hex'), 1, 16) AS body,
       v.masks, {grants("f.proacl", "f", "f.proowner")} AS grants
FROM candidate f JOIN pg_namespace n ON n.oid = f.pronamespace JOIN pg_roles o ON o.oid = f.proowner
CROSS JOIN LATERAL {bits} AS v
WHERE f.why IS NOT NULL AND v.most > 0"""  # noqa: S608 - words of our own
    )


def handed_on() -> str:
    """Functions of others that the probe roles may grant EXECUTE on."""
    return rows(
        f"""
SELECT n.nspname AS schema, count(*) AS number, (array_agg(f.oid::regprocedure ORDER BY f.proname))[1:3] AS examples
FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace
WHERE f.proacl IS NOT NULL AND NOT f.proowner = {HELD} AND EXISTS (
  SELECT FROM {PROBE} WHERE has_function_privilege(p.oid, f.oid, 'EXECUTE WITH GRANT OPTION'))
GROUP BY 1"""  # noqa: S608
    )
