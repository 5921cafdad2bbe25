"""SQL: what the probe roles may do with all that is no relation: schemas, databases, foreign servers and so on."""

from __future__ import annotations

from stepcreds.scope.postgresql.reach import ACT, ASKED, HELD, PROBE, grants, masks, rows

# The bits of a mask: those of the object's privileges that count, then these two.
OWN, GRANT = 256, 512
_NONE = ("false",) * 8


def _bits(privileges: tuple[str, ...], owner: str, hand_on: str) -> str:
    return masks(*privileges, *_NONE[len(privileges) :], f"pg_has_role(p.oid, {owner}, 'USAGE')", hand_on)


def schemas() -> str:
    """Bit 1: CREATE."""
    bits = _bits(
        ("has_schema_privilege(p.oid, n.oid, 'CREATE')",),
        "n.nspowner",
        "has_schema_privilege(p.oid, n.oid, 'USAGE WITH GRANT OPTION, CREATE WITH GRANT OPTION')",
    )
    return rows(
        f"""
SELECT n.nspname AS name, v.masks, n.nspowner::bigint AS owner, {grants("n.nspacl", "n", "n.nspowner")} AS grants
FROM pg_namespace n CROSS JOIN LATERAL {bits} AS v
WHERE v.most > 0 AND n.nspname !~ '^pg_(toast_)?temp_'"""  # noqa: S608 - words of our own
    )


def databases() -> str:
    """Bits 1, 2, 4: CONNECT, CREATE, TEMPORARY. CONNECT is asked of the role that logs in, so of the first alone."""
    bits = _bits(
        tuple(f"has_database_privilege(p.oid, d.oid, '{each}')" for each in ("CONNECT", "CREATE", "TEMPORARY")),
        "d.datdba",
        "has_database_privilege(p.oid, d.oid, 'CONNECT WITH GRANT OPTION, CREATE WITH GRANT OPTION,"
        " TEMPORARY WITH GRANT OPTION')",
    )
    return rows(
        f"""
SELECT d.oid::bigint, d.datname AS name, d.datname = current_database() AS current, d.datallowconn AS open, v.masks,
       d.datdba::bigint AS owner, {grants("d.datacl", "d", "d.datdba")} AS grants
FROM pg_database d CROSS JOIN LATERAL {bits} AS v WHERE v.most > 0 AND d.datconnlimit <> -2"""  # noqa: S608
    )


def foreign() -> str:
    """Foreign servers and wrappers. Bit 1: USAGE. `mapped`: a mapping for everybody, or for a role that it can be."""
    servers = _bits(
        ("has_server_privilege(p.oid, s.oid, 'USAGE')",),
        "s.srvowner",
        "has_server_privilege(p.oid, s.oid, 'USAGE WITH GRANT OPTION')",
    )
    wrappers = _bits(
        ("has_foreign_data_wrapper_privilege(p.oid, f.oid, 'USAGE')",),
        "f.fdwowner",
        "has_foreign_data_wrapper_privilege(p.oid, f.oid, 'USAGE WITH GRANT OPTION')",
    )
    return rows(
        f"""
SELECT 'server' AS kind, s.srvname AS name, f.fdwname AS wrapper, v.masks, s.srvowner::bigint AS owner,
       {grants("s.srvacl", "S", "s.srvowner")} AS grants,
       EXISTS (SELECT FROM pg_user_mappings m WHERE m.srvid = s.oid AND (m.umuser = 0 OR m.umuser = {ACT})) AS mapped
FROM pg_foreign_server s JOIN pg_foreign_data_wrapper f ON f.oid = s.srvfdw CROSS JOIN LATERAL {servers} AS v
WHERE v.most > 0
UNION ALL
SELECT 'wrapper', f.fdwname, f.fdwname, v.masks, f.fdwowner::bigint, {grants("f.fdwacl", "F", "f.fdwowner")}, false
FROM pg_foreign_data_wrapper f CROSS JOIN LATERAL {wrappers} AS v WHERE v.most > 0"""  # noqa: S608
    )


def tablespaces() -> str:
    bits = _bits(("has_tablespace_privilege(p.oid, t.oid, 'CREATE')",), "t.spcowner", "false")
    return rows(
        f"""
SELECT t.spcname AS name, v.masks, t.spcowner::bigint AS owner, {grants("t.spcacl", "t", "t.spcowner")} AS grants
FROM pg_tablespace t CROSS JOIN LATERAL {bits} AS v WHERE v.most > 0 AND t.spcname <> 'pg_default'"""  # noqa: S608
    )


def languages() -> str:
    """Languages that every user may write in although their code is confined to nothing."""
    return rows(
        f"""
SELECT l.lanname AS name FROM pg_language l
WHERE l.lanpltrusted AND (l.lanname IN ('c', 'internal', 'plsh') OR l.lanname ~ 'u$')
  AND EXISTS (SELECT FROM {PROBE} WHERE has_language_privilege(p.oid, l.oid, 'USAGE'))"""  # noqa: S608
    )


def large_objects() -> str:
    """There is no has_largeobject_privilege before 18, hence the ACLs themselves."""

    def given(privilege: str, to: str) -> str:
        return f"EXISTS (SELECT FROM aclexplode(l.lomacl) x WHERE x.privilege_type = '{privilege}' AND ({to}))"

    held = f"x.grantee = {HELD}"
    return rows(
        f"""
SELECT count(*) FILTER (WHERE own) AS own, count(*) FILTER (WHERE written AND NOT own) AS written,
       count(*) FILTER (WHERE everybody AND NOT own) AS everybody,
       count(*) FILTER (WHERE granted AND NOT everybody AND NOT own) AS granted, count(*) AS number
FROM (SELECT l.lomowner = {HELD} AS own, {given("UPDATE", f"x.grantee = 0 OR {held}")} AS written,
             {given("SELECT", "x.grantee = 0")} AS everybody, {given("SELECT", held)} AS granted
      FROM pg_largeobject_metadata l WHERE {ASKED}) AS each"""  # noqa: S608
    )


def parameters(major: int) -> str:
    """Parameters that an ACL opens (PostgreSQL 15 and newer). Bits 1, 2: SET, ALTER SYSTEM."""
    if major < 15:
        return rows("SELECT WHERE false")
    bits = masks(
        "has_parameter_privilege(p.oid, a.parname, 'SET')", "has_parameter_privilege(p.oid, a.parname, 'ALTER SYSTEM')"
    )
    return rows(
        f"""
SELECT a.parname AS name, v.masks,
       coalesce((SELECT s.context FROM pg_settings s WHERE s.name = a.parname), '') AS context,
       {grants("a.paracl", "p", "10")} AS grants
FROM pg_parameter_acl a CROSS JOIN LATERAL {bits} AS v WHERE v.most > 0"""  # noqa: S608
    )


def owned() -> str:
    """What the held roles own in this database besides relations, schemas and databases, counted by schema and kind."""
    return rows(
        f"""
SELECT each.schema, each.kind, each.owner::bigint, count(*) AS number,
       (array_agg(each.name ORDER BY each.name COLLATE "C"))[1:3] AS examples
FROM (
  SELECT s.refobjid AS owner, coalesce(pn.nspname, tn.nspname, xn.nspname, o.schema, '') AS schema,
         CASE WHEN p.oid IS NOT NULL THEN 'function' WHEN t.oid IS NOT NULL THEN 'type' ELSE o.type END AS kind,
         coalesce(p.proname, t.typname, o.identity)::text AS name
  FROM pg_shdepend s
  LEFT JOIN pg_proc p ON s.classid = 'pg_proc'::regclass AND p.oid = s.objid
  LEFT JOIN pg_namespace pn ON pn.oid = p.pronamespace
  LEFT JOIN pg_type t ON s.classid = 'pg_type'::regclass AND t.oid = s.objid
  LEFT JOIN pg_namespace tn ON tn.oid = t.typnamespace
  LEFT JOIN pg_extension x ON s.classid = 'pg_extension'::regclass AND x.oid = s.objid
  LEFT JOIN pg_namespace xn ON xn.oid = x.extnamespace
  LEFT JOIN LATERAL pg_identify_object(s.classid, s.objid, s.objsubid) AS o ON p.oid IS NULL AND t.oid IS NULL
  WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = {HELD} AND s.deptype = 'o'
    AND s.dbid IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
    AND s.classid NOT IN ('pg_class'::regclass, 'pg_namespace'::regclass, 'pg_database'::regclass,
      'pg_tablespace'::regclass, 'pg_largeobject'::regclass, 'pg_default_acl'::regclass, 'pg_user_mapping'::regclass,
      'pg_auth_members'::regclass)
) AS each GROUP BY 1, 2, 3"""  # noqa: S608
    )


def elsewhere() -> str:
    """What the held roles own and were granted in other databases. No index of theirs is seen, but this one is."""
    return rows(
        f"""
SELECT d.datname AS database, s.refobjid::bigint AS role, s.deptype = 'o' AS owns, count(*) AS number,
       d.datallowconn AND has_database_privilege(session_user, d.oid, 'CONNECT') AS open
FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid
WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = {HELD} AND s.deptype IN ('o', 'a')
  AND d.datname <> current_database()
GROUP BY 1, 2, 3, 5"""  # noqa: S608
    )
