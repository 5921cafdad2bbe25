"""SQL: functions that the probe roles may call and that can do more than they: as their owner, or as the server."""

from __future__ import annotations

from typing import Final

from stepcreds.scope.postgresql.named import CALLED, MAKES_TABLES
from stepcreds.scope.postgresql.reach import ASKED, HELD, PROBE, grants, masks, rows

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


def functions() -> str:
    """Each function with why it is here. `why`: definer, reaching, opened, untrusted."""
    reaching = " OR ".join(f"(e.extname = '{name}' AND f.proname ~ '{which}')" for name, which in REACHING.items())
    bits = masks(
        f"CASE WHEN f.prorettype = 'event_trigger'::regtype THEN {MAKES_TABLES}"
        " WHEN has_function_privilege(p.oid, f.oid, 'EXECUTE') AND"
        " has_schema_privilege(p.oid, f.pronamespace, 'USAGE') THEN true"
        f" WHEN f.why = 'definer' OR has_function_privilege(p.oid, f.oid, 'EXECUTE') THEN {CALLED} ELSE false END"
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
         f.prosqlbody, f.proargdefaults, e.extname, l.lanname,
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
      SELECT FROM pg_event_trigger v WHERE v.evtfoid = f.oid AND v.evtenabled IN ('O', 'A') AND v.evtevent <> 'login'))
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
       -- All that decides what is run: by whoever wrote it, so no hash that two texts could be found for.
       CASE WHEN f.why IN ('definer', 'untrusted') THEN substr(encode(sha256(convert_to(json_build_array(
         f.lanname, CASE WHEN f.prosqlbody IS NULL THEN f.prosrc ELSE pg_get_function_sqlbody(f.oid) END, f.probin,
         f.proconfig, pg_get_expr(f.proargdefaults, 0))::text, 'UTF8')), 'hex'), 1, 32) END AS body,
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
