"""SQL: who the session is, and which roles it can become or has the privileges of; kept in settings for what follows.

Later statements of the same transaction read them: `stepcreds.probe` has the roles whose privileges are asked for,
the session's own first, `stepcreds.held` all roles whose privileges one of them has. So nothing need be sent back and
forth. A superuser's are empty, and every later statement then finds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

# One transaction from the first statement on, so that a pooler keeps all of it on one session, and leaves none of it
# there. The role may come with settings of its own (ALTER ROLE … SET): each of these is one that would mislead or stop.
ORDERLY: Final = (
    # In one message: between two, a session that may not be idle for a millisecond would be ended.
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0;"
    " SET LOCAL statement_timeout = '20s'",
    "SET LOCAL ROLE NONE",  # not RESET ROLE, which goes back to a role set by ALTER ROLE … SET role
    # pg_temp last: a table of that name must not stand before a catalog. No user's function or operator is found.
    "SET LOCAL search_path = pg_catalog, pg_temp",
    "SELECT set_config(name, value, true) FROM (VALUES ('lock_timeout', '2s'), ('transaction_timeout', '25s'),"
    " ('quote_all_identifiers', 'off'),"
    # Compiling costs more than any of these queries; a second process helps with half a million columns.
    " ('jit', 'off'), ('max_parallel_workers_per_gather', '2')) AS setting(name, value)"
    " WHERE current_setting(name, true) IS NOT NULL",
)

_SETTING = "(SELECT current_setting('stepcreds.{}')::oid[])::oid[]"
PROBE: Final = f"unnest({_SETTING.format('probe')}) WITH ORDINALITY AS p(oid, n)"
HELD: Final = f"ANY ({_SETTING.format('held')})"
ACT: Final = f"ANY ({_SETTING.format('act')})"
# False where nobody is asked about, which the planner makes one test before a scan.
ASKED: Final = "current_setting('stepcreds.probe') <> '{}'"
NAMED: Final = "ANY ((SELECT current_setting('stepcreds.named')::text[])::text[])"


KEPT: Final = ("act", "held")  # statements of `reach` that answer nothing but what they kept

# How many of the roles that it could give to itself are looked into: having one such is the worst already.
MOST_GIVEN: Final = 20


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
    """An SQL subquery: for each probe role, in order, the sum of 2^i for all true `privileges`; and the largest."""
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


def reach(major: int, named: Iterable[str]) -> dict[str, str]:
    """Statements that find the roles and keep them: of these the first answers, with those it can become, and how."""
    # Who may SET ROLE to one role may do so to all that this one may; so that is asked of the first of a chain only.
    become = "SET" if major >= 16 else "MEMBER"
    wanted = ", ".join(text(each) for each in sorted(named))
    return {
        "reach": f"""
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
),
looked_at AS (
  SELECT b.*, row_number() OVER (PARTITION BY b.given ORDER BY r.rolname) AS n FROM best b JOIN pg_roles r USING (oid)
)
SELECT set_config('stepcreds.reach', json_build_object(
  'roles', (SELECT json_agg(json_build_object('oid', l.oid::bigint, 'why', l.why, 'source', l.source::bigint)
            ORDER BY l.why <> 'self') FROM looked_at l
            WHERE NOT l.given OR l.n <= {MOST_GIVEN}),
  'more', (SELECT count(*) FROM looked_at l WHERE l.given AND l.n > {MOST_GIVEN}),
  'admin', (SELECT coalesce(json_agg(r.rolname ORDER BY r.rolname), '[]') FROM pg_roles r
            WHERE r.oid IN (SELECT a.oid FROM act a WHERE a.why = 'admin')))::text, true)""",  # noqa: S608 - our words
        "act": """
SELECT set_config('stepcreds.act', (SELECT array_agg(CAST(x ->> 'oid' AS oid) ORDER BY x ->> 'why' <> 'self')::text
  FROM json_array_elements(current_setting('stepcreds.reach')::json -> 'roles') AS x), true)""",
        "held": f"""
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
    }


def roles() -> str:
    """Every role that it can become or has the privileges of."""
    return rows(
        f"""
SELECT r.oid::bigint, r.rolname AS name, r.rolsuper AS super, r.rolcreaterole AS createrole,
       r.rolcreatedb AS createdb, r.rolreplication AS replication, r.rolbypassrls AS bypassrls, r.rolcanlogin AS login,
       r.oid < 16384 AND starts_with(r.rolname::text, 'pg_') AS predefined,
       pg_has_role(session_user, r.oid, 'USAGE') AS inherited,
       (SELECT json_agg(o.oid::bigint) FROM pg_roles o
        WHERE o.oid <> r.oid AND pg_has_role(r.oid, o.oid, 'USAGE')) AS includes
FROM pg_roles r WHERE r.oid = {HELD} OR r.oid = {ACT}
  OR (r.rolsuper AND EXISTS (SELECT FROM unnest({_SETTING.format("act")}) AS a(oid)
      JOIN pg_roles o ON o.oid = a.oid AND NOT o.rolsuper WHERE pg_has_role(a.oid, r.oid, 'USAGE')))"""  # noqa: S608
    )


def memberships(major: int) -> str:
    """Who was granted what, among these roles. Before PostgreSQL 16 whether he inherits it is the member's property."""
    inherits, becomes = ("m.inherit_option", "m.set_option") if major >= 16 else ("o.rolinherit", "true")
    ours = f"{{0}} = {HELD} OR {{0}} = {ACT}"
    return rows(
        f"""
SELECT m.roleid::bigint AS role, m.member::bigint, bool_or({inherits}) AS inherits, bool_or({becomes}) AS becomes,
       bool_or(m.admin_option) AS admin
FROM pg_auth_members m JOIN pg_roles o ON o.oid = m.member
WHERE ({ours.format("m.roleid")}) AND ({ours.format("m.member")}) GROUP BY 1, 2
UNION ALL
SELECT r.oid::bigint, d.datdba::bigint, true, true, false
FROM pg_roles r JOIN pg_database d ON d.datname = current_database() WHERE r.rolname = 'pg_database_owner'"""  # noqa: S608
    )


def probe() -> str:
    """The probe roles in the order in which every mask has them."""
    return rows("SELECT current_setting('stepcreds.probe')::bigint[] AS oids")
