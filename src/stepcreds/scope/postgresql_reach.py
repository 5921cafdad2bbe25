"""SQL: who the session is, and which roles it can become or has the privileges of; kept in settings for what follows.

Later statements of the same transaction read them: `stepcreds.probe` has the roles whose privileges are asked for,
the session's own first, `stepcreds.held` all roles whose privileges one of them has. So nothing need be sent back and
forth. A superuser's are empty, and every later statement then finds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

# The role may come with settings of its own (ALTER ROLE … SET): each of these is one that would mislead or stop us.
ORDERLY: Final = (
    "SET statement_timeout = '20s'",
    "SET ROLE NONE",  # not RESET ROLE, which goes back to a role set by ALTER ROLE … SET role
    # pg_temp last: a table of that name must not stand before a catalog. No user's function or operator is found.
    "SET search_path = pg_catalog, pg_temp",
    "SELECT set_config(name, value, false) FROM (VALUES ('lock_timeout', '2s'), ('transaction_timeout', '25s'),"
    " ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0'), ('quote_all_identifiers', 'off'),"
    # Compiling costs more than any of these queries; a second process helps with half a million columns.
    " ('jit', 'off'), ('max_parallel_workers_per_gather', '2'), ('bytea_output', 'hex'), ('enable_hashjoin', 'on'),"
    " ('enable_hashagg', 'on'), ('enable_indexscan', 'on'), ('enable_nestloop', 'on'), ('row_security', 'on'))"
    " AS setting(name, value) WHERE current_setting(name, true) IS NOT NULL",
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
)

_SETTING = "(SELECT current_setting('stepcreds.{}')::oid[])::oid[]"
PROBE: Final = f"unnest({_SETTING.format('probe')}) WITH ORDINALITY AS p(oid, n)"
HELD: Final = f"ANY ({_SETTING.format('held')})"
ACT: Final = f"ANY ({_SETTING.format('act')})"
# False where nobody is asked about, which the planner makes one test before a scan.
ASKED: Final = "current_setting('stepcreds.probe') <> '{}'"
NAMED: Final = "ANY ((SELECT current_setting('stepcreds.named')::text[])::text[])"


def rows(query: str) -> str:
    """`query`, each row as one JSON object."""
    return f"SELECT row_to_json(answer) FROM ({query}) AS answer"  # noqa: S608 - no value of anybody is in it


def text(value: str) -> str:
    """An SQL expression for `value`; as hex there is nothing to quote, whatever `value` and the settings are."""
    return f"convert_from(decode('{value.encode(errors='surrogateescape').hex()}', 'hex'), 'UTF8')"


def grants(acl: str, kind: str, owner: str) -> str:
    """An SQL expression: [privilege, grantee's oid, 0 being PUBLIC] for all that the held roles have of an ACL."""
    letter = f"'{kind}'" if len(kind) == 1 else kind
    return (
        "(SELECT json_agg(json_build_array(x.privilege_type, x.grantee::bigint) ORDER BY x.grantee)"  # noqa: S608
        f" FROM aclexplode(coalesce({acl}, acldefault({letter}, {owner}))) AS x"
        f" WHERE x.grantee = 0 OR x.grantee = {HELD})"
    )


def masks(*privileges: str) -> str:
    """An SQL subquery: for each probe role, in order, the sum of 2^i for each true one of `privileges`; and the most."""
    # OFFSET 0 keeps the planner from putting the sum, and each question in it, into both aggregates.
    mask = " + ".join(f"coalesce(({each})::int << {bit}, 0)" for bit, each in enumerate(privileges))
    return (
        f"(SELECT array_agg(each.mask ORDER BY each.n) AS masks, max(each.mask) AS most"  # noqa: S608
        f" FROM (SELECT p.n, {mask} AS mask FROM {PROBE} OFFSET 0) AS each)"
    )


def session(username: str) -> str:
    return rows(
        f"""
SELECT session_user = CAST({text(username)} AS name) AS expected, current_user = session_user AS plain,
       current_database() AS database, pg_is_in_recovery() AS standby,
       r.rolvaliduntil IS NULL OR r.rolvaliduntil = 'infinity' AS forever,
       coalesce(current_setting('lo_compat_privileges') = 'on', false) AS lo_compat,
       has_function_privilege('lo_create(oid)', 'EXECUTE') OR has_function_privilege('lo_creat(integer)', 'EXECUTE')
         OR has_function_privilege('lo_from_bytea(oid,bytea)', 'EXECUTE') AS lo_create
FROM pg_roles r WHERE r.rolname = session_user"""  # noqa: S608 - hex digits only
    )


def reach(major: int, named: Iterable[str]) -> tuple[str, ...]:
    """Statements that find the roles and keep them. The first answers with the roles that it can become, and how."""
    # Who may SET ROLE to one role may do so to all that this one may; so that is asked of the first of a chain only.
    become = "SET" if major >= 16 else "MEMBER"
    wanted = ", ".join(text(each) for each in sorted(named))
    return (
        f"""
WITH RECURSIVE me AS MATERIALIZED (SELECT oid FROM pg_roles WHERE rolname = session_user),
-- Nobody is in a role that was granted to nobody, but for the owner of the database.
granted AS MATERIALIZED (SELECT r.oid, r.rolsuper FROM pg_roles r
  WHERE r.oid IN (SELECT m.roleid FROM pg_auth_members m) OR r.rolname = 'pg_database_owner'),
act(oid, given, why, source) AS (
  SELECT me.oid, false, 'self', NULL::oid FROM me
  UNION
  SELECT r.oid, x.given, x.why, a.oid
  FROM act a JOIN pg_roles ar ON ar.oid = a.oid AND NOT ar.rolsuper
  JOIN granted r ON r.oid <> a.oid AND r.oid <> (SELECT oid FROM me)
  CROSS JOIN LATERAL (
    SELECT a.given, 'set' AS why WHERE a.why <> 'set' AND pg_has_role(a.oid, r.oid, '{become}')
    UNION ALL
    SELECT true, 'admin' WHERE NOT r.rolsuper AND EXISTS (
      SELECT FROM pg_auth_members m WHERE m.roleid = r.oid AND m.admin_option AND pg_has_role(a.oid, m.member, 'USAGE'))
  ) AS x
),
best AS (
  SELECT DISTINCT ON (a.oid) a.oid, a.given, a.why, a.source FROM act a
  ORDER BY a.oid, a.given, a.why <> 'self', a.why <> 'set', a.source
)
SELECT set_config('stepcreds.reach', (SELECT json_agg(json_build_object('oid', oid::bigint, 'given', given,
  'why', why, 'source', source::bigint))::text FROM best), true),
 set_config('stepcreds.admin', (SELECT coalesce(json_agg(DISTINCT oid::bigint), '[]')::text FROM act
   WHERE why = 'admin'), true)""",  # noqa: S608 - words of our own
        """
SELECT set_config('stepcreds.act', (SELECT array_agg(CAST(x ->> 'oid' AS oid) ORDER BY x ->> 'why' <> 'self')::text
  FROM json_array_elements(current_setting('stepcreds.reach')::json) AS x), true)""",
        f"""
WITH act AS MATERIALIZED (SELECT a.oid, a.n FROM unnest(current_setting('stepcreds.act')::oid[])
    WITH ORDINALITY AS a(oid, n)),
held AS MATERIALIZED (
  SELECT r.oid, r.rolsuper FROM pg_roles r WHERE EXISTS (SELECT FROM act a WHERE pg_has_role(a.oid, r.oid, 'USAGE'))),
mighty AS MATERIALIZED (
  SELECT bool_or(r.rolsuper) AS is FROM pg_roles r
  WHERE r.oid IN (SELECT h.oid FROM held h UNION SELECT a.oid FROM act a)),
probe AS (
  SELECT a.oid, a.n FROM act a WHERE a.n = 1
  OR NOT EXISTS (SELECT FROM act o WHERE o.oid <> a.oid AND pg_has_role(o.oid, a.oid, 'USAGE')))
SELECT set_config('stepcreds.held', CASE WHEN mighty.is THEN '{{}}' ELSE
    (SELECT array_agg(h.oid)::text FROM held h) END, true),
  set_config('stepcreds.probe', CASE WHEN mighty.is THEN '{{}}' ELSE
    (SELECT array_agg(p.oid ORDER BY p.n)::text FROM probe p) END, true),
  set_config('stepcreds.named', ARRAY[{wanted}]::text[]::text, true)
FROM mighty""",  # noqa: S608 - hex digits only
    )


def roles() -> str:
    """Every role that it can become or has the privileges of."""
    return rows(
        f"""
SELECT r.oid::bigint, r.rolname AS name, r.rolsuper AS super, r.rolcreaterole AS createrole,
       r.rolcreatedb AS createdb, r.rolreplication AS replication, r.rolbypassrls AS bypassrls, r.rolcanlogin AS login,
       r.oid < 16384 AND r.rolname LIKE 'pg!_%' ESCAPE '!' AS predefined, pg_has_role(session_user, r.oid, 'USAGE') AS inherited,
       r.oid = {ACT} AS act, pg_has_role(r.oid, (SELECT d.datdba FROM pg_database d
         WHERE d.datname = current_database()), 'USAGE') AS owner,
       (SELECT json_agg(o.oid::bigint) FROM pg_roles o
        WHERE o.oid <> r.oid AND pg_has_role(r.oid, o.oid, 'USAGE')) AS includes
FROM pg_roles r WHERE r.oid = {HELD} OR r.oid = {ACT}
  OR (r.rolsuper AND EXISTS (SELECT FROM unnest({_SETTING.format("act")}) AS a(oid)
      WHERE pg_has_role(a.oid, r.oid, 'USAGE')))"""  # noqa: S608
    )


def probe() -> str:
    """The probe roles in the order in which every mask has them."""
    return rows("SELECT current_setting('stepcreds.probe')::bigint[] AS oids")
