"""What of a PostgreSQL database outlives a user: owners, privileges, functions, triggers, roles, as one look finds it.

Source: PostgreSQL's documentation, "System Catalogs" and "Privileges" (5.8, for the letters of an ACL). All that is
asked here every user may read.
"""
# ruff: noqa: S608 - the queries are put together from constants of this file

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

from stepcreds.clock import Clock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.interface import Session
from stepcreds.databases.messages import ServerError
from stepcreds.databases.postgresql_lock import ORDERLY
from stepcreds.databases.stream import Deadline
from stepcreds.databases.wire import connect
from stepcreds.errors import DatabaseError
from stepcreds.scope.left_behind import State, Thing
from stepcreds.secret import Secret

_OURS = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'"
_KIND = """CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view' WHEN 'f' THEN 'foreign table'
 WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' ELSE 'type' END"""
_HASH = "left(encode(sha256(convert_to({}, 'UTF8')), 'hex'), 16)"
_POLICY = """concat(y.polcmd, y.polpermissive, y.polroles, pg_get_expr(y.polqual, y.polrelid), '/',
 pg_get_expr(y.polwithcheck, y.polrelid))"""


def _issued(role: str) -> str:
    """Users that Vault issued and removed meanwhile: they expire, and its own user is a member of them as of this one.

    The roles behind a profile have that member as well, and no expiry.
    """
    return f"""({role}.rolvaliduntil IS NOT NULL AND EXISTS (SELECT FROM pg_auth_members i
 JOIN pg_auth_members me ON me.member = i.member WHERE i.roleid = {role}.oid
 AND me.roleid = (SELECT oid FROM pg_roles WHERE rolname = session_user)))"""


# Whatever runs in somebody else's session when that one looks, writes or changes the schema, and what it is set to.
_BODY = """coalesce(p.prosrc, '') || coalesce(p.probin, '') || coalesce(p.prosqlbody::text, '')
 || coalesce(array_to_string(p.proconfig, ','), '')"""
_VIEW = "w.ev_action::text || coalesce(array_to_string(c.reloptions, ','), '')"

# Each gives: kind, id, schema, name, owner, ACL as a JSON array of aclitems or NULL, and what else makes it what it is.
QUERIES: Final = (
    f"""SELECT {_KIND}, c.oid, n.nspname, n.nspname || '.' || c.relname, o.rolname, array_to_json(coalesce(c.relacl,
 acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))),
 CASE WHEN w.oid IS NOT NULL THEN {_HASH.format(_VIEW)} WHEN c.relrowsecurity THEN 'row security' ELSE '' END
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
 LEFT JOIN pg_rewrite w ON w.ev_class = c.oid AND w.rulename = '_RETURN'
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {_OURS}""",
    f"""SELECT 'column', a.attrelid || '.' || a.attnum, n.nspname, n.nspname || '.' || c.relname || '.' || a.attname,
 o.rolname, array_to_json(a.attacl), ''
 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 JOIN pg_roles o ON o.oid = c.relowner WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND {_OURS}""",
    f"""SELECT CASE WHEN p.prosecdef THEN 'SECURITY DEFINER function'
 WHEN p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype) THEN 'trigger function' ELSE 'function' END,
 p.oid, n.nspname,
 n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', o.rolname,
 array_to_json(coalesce(p.proacl, acldefault('f', p.proowner))),
 {_HASH.format(_BODY)}
 FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles o ON o.oid = p.proowner WHERE {_OURS}""",
    f"""SELECT 'schema', n.oid, n.nspname, n.nspname, o.rolname,
 array_to_json(coalesce(n.nspacl, acldefault('n', n.nspowner))), ''
 FROM pg_namespace n JOIN pg_roles o ON o.oid = n.nspowner WHERE {_OURS}""",
    """SELECT 'database', d.oid, '', d.datname, o.rolname,
 array_to_json(coalesce(d.datacl, acldefault('d', d.datdba))), ''
 FROM pg_database d JOIN pg_roles o ON o.oid = d.datdba""",
    """SELECT 'default privileges', d.oid, coalesce(n.nspname, ''), 'what ' || o.rolname || ' makes'
 || coalesce(' in ' || n.nspname, '') || ' (' || CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences'
 WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE 'large objects' END || ')',
 o.rolname, array_to_json(d.defaclacl), ''
 FROM pg_default_acl d JOIN pg_roles o ON o.oid = d.defaclrole LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
 WHERE o.rolname <> session_user""",
    f"""SELECT 'trigger', t.oid, n.nspname, n.nspname || '.' || c.relname || '.' || t.tgname, o.rolname, NULL,
 {_HASH.format("pg_get_triggerdef(t.oid)")} || t.tgenabled::text
 FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 JOIN pg_roles o ON o.oid = c.relowner WHERE NOT t.tgisinternal AND {_OURS}""",
    f"""SELECT 'rule', w.oid, n.nspname, n.nspname || '.' || c.relname || '.' || w.rulename, o.rolname, NULL,
 {_HASH.format("pg_get_ruledef(w.oid)")} || w.ev_enabled::text
 FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
 JOIN pg_roles o ON o.oid = c.relowner WHERE w.rulename <> '_RETURN' AND {_OURS}""",
    f"""SELECT 'policy', y.oid, n.nspname, n.nspname || '.' || c.relname || '.' || y.polname, o.rolname, NULL,
 {_HASH.format(_POLICY)}
 FROM pg_policy y JOIN pg_class c ON c.oid = y.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 JOIN pg_roles o ON o.oid = c.relowner WHERE {_OURS}""",
    """SELECT 'event trigger', e.oid, '', e.evtname, o.rolname, NULL, concat(e.evtevent, e.evtfoid, e.evtenabled)
 FROM pg_event_trigger e JOIN pg_roles o ON o.oid = e.evtowner""",
    """SELECT 'extension', e.oid, '', e.extname, o.rolname, NULL, e.extversion
 FROM pg_extension e JOIN pg_roles o ON o.oid = e.extowner""",
    f"""SELECT 'foreign server', s.oid, '', s.srvname, o.rolname,
 array_to_json(coalesce(s.srvacl, acldefault('S', s.srvowner))),
 {_HASH.format("coalesce(array_to_string(s.srvoptions, ','), '')")}
 FROM pg_foreign_server s JOIN pg_roles o ON o.oid = s.srvowner""",
    """SELECT 'foreign data wrapper', f.oid, '', f.fdwname, o.rolname,
 array_to_json(coalesce(f.fdwacl, acldefault('F', f.fdwowner))), ''
 FROM pg_foreign_data_wrapper f JOIN pg_roles o ON o.oid = f.fdwowner""",
    "SELECT 'user mapping', m.umid, '', m.usename || ' at ' || m.srvname, '', NULL, '' FROM pg_user_mappings m",
    """SELECT 'publication', p.oid, '', p.pubname, o.rolname, NULL, concat(p.puballtables, p.pubinsert, p.pubupdate,
 p.pubdelete, (SELECT string_agg(x.prrelid::text, ',' ORDER BY x.prrelid) FROM pg_publication_rel x
 WHERE x.prpubid = p.oid)) FROM pg_publication p JOIN pg_roles o ON o.oid = p.pubowner""",
    """SELECT 'large object', l.oid, '', l.oid::text, o.rolname, array_to_json(l.lomacl), ''
 FROM pg_largeobject_metadata l JOIN pg_roles o ON o.oid = l.lomowner WHERE l.lomacl IS NOT NULL""",
    f"""SELECT 'role', r.oid, '', r.rolname, '', NULL, concat_ws(' ', CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
 CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END, CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
 CASE WHEN r.rolreplication THEN 'REPLICATION' END, CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END,
 CASE WHEN r.rolcanlogin THEN 'LOGIN' END)
 FROM pg_roles r WHERE r.rolname <> session_user AND NOT {_issued("r")}""",
    f"""SELECT 'membership', m.roleid || '.' || m.member || '.' || m.grantor, '', u.rolname || ' in ' || r.rolname,
 '', NULL, CASE WHEN m.admin_option THEN 'WITH ADMIN' ELSE '' END
 FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
 WHERE session_user NOT IN (r.rolname, u.rolname) AND NOT {_issued("r")} AND NOT {_issued("u")}""",
)
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_LETTERS: Final = {
    "r": "SELECT",
    "a": "INSERT",
    "w": "UPDATE",
    "d": "DELETE",
    "D": "TRUNCATE",
    "x": "REFERENCES",
    "t": "TRIGGER",
    "m": "MAINTAIN",
    "X": "EXECUTE",
    "U": "USAGE",
    "C": "CREATE",
    "c": "CONNECT",
    "T": "TEMPORARY",
    "s": "SET",
    "A": "ALTER SYSTEM",
}
_ITEM = re.compile(r'((?:"(?:[^"]|"")*"|[^"=])*)=([A-Za-z*]*)/', re.DOTALL)


def look(
    url: DatabaseURL,
    username: str,
    password: Secret,
    clock: Clock,
    *,
    timeout: float,
    last: Callable[[Session], None] | None = None,
) -> State:
    """What is there now, as the issued user sees it, but for that user's own: those go with it.

    `last` is called with the session, and is to raise nothing.

    Raises `DatabaseError`; also where an answer cannot be understood.
    """
    with connect(url, username, password, Deadline(clock, timeout)) as session:
        answers = session.query_all((*ORDERLY, _BEGIN, *QUERIES, "COMMIT"))[len(ORDERLY) + 1 : -1]
        if last is not None:
            last(session)
    state: dict[tuple[str, str], Thing] = {}
    for answer in answers:
        if isinstance(answer, ServerError):
            raise answer
        for row in answer:
            try:
                kind, key, schema, name, owner, acl, detail = (value or "" for value in row)
                privileges = frozenset(each for item in json.loads(acl or "[]") for each in _privileges(item, owner))
            except (ValueError, TypeError, AttributeError):
                raise DatabaseError("the server gave an answer of another form", docs="database") from None
            # A function that becomes SECURITY DEFINER is still the same object.
            group = "function" if "function" in kind else kind
            grants = frozenset(each for each in privileges if each[0] != username)
            state[group, key] = Thing(kind, schema, name, "" if owner == username else owner, grants, detail)
    return state


def _privileges(item: str, owner: str) -> list[tuple[str, str]]:
    """Who may what by one aclitem; "PUBLIC" for everybody. What an owner may do with its own is left out."""
    match = _ITEM.match(item)
    if match is None:
        raise ValueError(item)
    grantee, letters = match.groups()
    if grantee.startswith('"'):
        grantee = grantee[1:-1].replace('""', '"')
    if grantee == owner:
        return []
    found = re.findall(r"([A-Za-z])(\*?)", letters)
    return [
        (grantee or "PUBLIC", _LETTERS.get(letter, letter) + (" WITH GRANT OPTION" if star else ""))
        for letter, star in found
    ]
