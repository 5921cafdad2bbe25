"""What PUBLIC loses, so that an issued user is kept to its database, and nobody who works there today is locked out."""

from __future__ import annotations

# ruff: noqa: S608 - every name in a statement is quoted by postgresql_names
from collections.abc import Sequence

from stepcreds.setup.plan import Statement
from stepcreds.setup.postgresql.names import array, do, literal, quoted, shown
from stepcreds.setup.postgresql.reach import percent


def statements(database: str, ours: Sequence[str], manager: str) -> list[Statement]:
    """For the cluster of `database`. `ours` are the groups of users who read or write, and `manager`, Vault's user.

    Each may be left out: it is what an issued user could do beside what its profile declares, and no more.
    """
    elsewhere = [each for each in ("postgres", "template1") if each != database]
    return [
        _create_in_public(),
        *(_without(each, "CONNECT", _why_connect_elsewhere(each), ours, manager) for each in elsewhere),
        _without(database, "CONNECT", _why_connect(database), ours, manager),
        _without(database, "TEMPORARY", _why_temporary(database), ours, manager),
    ]


_OWNER_OF_PUBLIC = "SELECT nspowner FROM pg_namespace WHERE nspname = 'public'"


def _create_in_public() -> Statement:
    """The default up to PostgreSQL 14, and in databases upgraded from there."""
    has = (
        "EXISTS (SELECT FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) x"
        " WHERE n.nspname = 'public' AND x.grantee = 0 AND x.privilege_type = 'CREATE')"
    )
    body = f"""DECLARE
  keeper name;
BEGIN
  IF NOT {has} THEN
    RETURN;
  END IF;
{_only_by(_OWNER_OF_PUBLIC, "the owner of the schema public")}
  -- Who has made something there may go on.
  FOR keeper IN
    SELECT r.rolname FROM pg_roles r CROSS JOIN pg_namespace n
    WHERE n.nspname = 'public' AND NOT r.rolsuper AND r.rolname !~ '^pg_'
      AND (EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relowner = r.oid)
        OR EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = n.oid AND p.proowner = r.oid))
      AND NOT EXISTS (SELECT FROM aclexplode(n.nspacl) x
        WHERE x.grantee <> 0 AND x.privilege_type = 'CREATE' AND pg_has_role(r.oid, x.grantee, 'USAGE'))
  LOOP
    EXECUTE format('GRANT CREATE ON SCHEMA public TO %I', keeper);
  END LOOP;
  REVOKE CREATE ON SCHEMA public FROM PUBLIC;
END"""
    return Statement(
        do(body),
        f"SELECT NOT {has}",
        "Up to PostgreSQL 14 everybody may make tables in the schema public, a reader too. Roles that own something "
        "there keep the right; any other that counts on it needs a GRANT of its own.",
        unless=f"SELECT CASE {_unless_owner(_OWNER_OF_PUBLIC, 'the owner of the schema public')} END",
    )


def _without(database: str, privilege: str, why: str, ours: Sequence[str], manager: str) -> Statement:
    return Statement(
        _taken_from_public(database, privilege, ours, manager),
        f"SELECT NOT {_public_has(database, privilege)}",
        why,
        unless=_left(database, privilege, ours, manager),
    )


def _why_connect(database: str) -> str:
    return (
        f"Users issued for other databases cannot log in to {shown(database)}: an object of theirs there would keep "
        "Vault from dropping them. Who can log in today gets CONNECT first, by name; a role made later needs it "
        "granted. Nothing is done while users that expire count on PUBLIC here: whatever issues them would be locked "
        "out."
    )


def _why_temporary(database: str) -> str:
    return (
        f"Who only reads {shown(database)} fills no disk with temporary tables. Every role at work there "
        "gets TEMPORARY first, by name; a role made later needs it granted. Nothing is done while users that expire "
        "count on PUBLIC here."
    )


def _why_connect_elsewhere(database: str) -> str:
    return (
        f"An issued user who can log in to {shown(database)} can make a large object there, and then Vault, from its "
        "own database, cannot drop that user. Who can log in today gets CONNECT first, by name; a role made later, for "
        "monitoring perhaps, needs it granted. The server's other databases want the same."
    )


def _taken_from_public(database: str, privilege: str, ours: Sequence[str], manager: str) -> str:
    """One block, so that nobody is ever without: first GRANT to who relies on PUBLIC, then REVOKE from it."""
    grant = literal(f"GRANT {privilege} ON DATABASE {percent(quoted(database))} TO %I")
    body = f"""DECLARE
  keeper name;
  issued text;
BEGIN
  IF NOT {_public_has(database, privilege)} THEN
    RETURN;
  END IF;
{_only_by(_owner_of(database), "the owner of the database")}
  issued := ({_expiring(database, privilege, ours, manager)});
  IF issued IS NOT NULL THEN
    RAISE WARNING USING MESSAGE = 'stepcreds: left as it is, because users that expire count on PUBLIC: ' || issued,
      HINT = 'Have whatever issues them GRANT {privilege} to them, or to a group that they are members of.';
    RETURN;
  END IF;
  FOR keeper IN SELECT r.rolname {_relying(database, privilege, ours)}
      AND coalesce(r.rolvaliduntil, 'infinity') = 'infinity' LOOP
    EXECUTE format({grant}, keeper);
  END LOOP;
  REVOKE {privilege} ON DATABASE {quoted(database)} FROM PUBLIC;
END"""
    return do(body)


def _left(database: str, privilege: str, ours: Sequence[str], manager: str) -> str:
    """The same two reasons to leave it as it is, asked before."""
    return (
        f"SELECT CASE {_unless_owner(_owner_of(database), 'the owner of the database')}"
        f" ELSE 'users that expire count on PUBLIC: ' || ({_expiring(database, privilege, ours, manager)}) END"
    )


def _relying(database: str, privilege: str, ours: Sequence[str]) -> str:
    """Who has `privilege` because everybody has."""
    # CONNECT is for who logs in; temporary tables are made as any role, after SET ROLE or by SECURITY DEFINER.
    at_work = "EXISTS (SELECT FROM pg_shdepend s WHERE s.dbid = d.oid AND s.refobjid = r.oid)"
    acts = "r.rolcanlogin" if privilege == "CONNECT" else f"(r.rolcanlogin OR {at_work})"
    return f"""FROM pg_roles r JOIN pg_database d ON d.datname = {literal(database)}
    WHERE {acts} AND NOT r.rolsuper AND r.rolname !~ '^pg_' AND r.rolname <> ALL ({array(ours)})
      AND NOT EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x
        WHERE x.privilege_type = '{privilege}' AND x.grantee <> 0 AND pg_has_role(r.oid, x.grantee, 'USAGE'))"""


def _expiring(database: str, privilege: str, ours: Sequence[str], manager: str) -> str:
    """A query of three of those who expire, are at work in this database, and were not issued for us.

    Vault's user is a member of those that were.
    """
    return f"""SELECT string_agg(quote_ident(x.rolname), ', ')
  FROM (SELECT r.rolname {_relying(database, privilege, ours)}
      AND r.rolvaliduntil > now() AND r.rolvaliduntil < 'infinity'
      AND NOT EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles u ON u.oid = m.member
        WHERE m.roleid = r.oid AND u.rolname = {literal(manager)})
      AND (EXISTS (SELECT FROM pg_stat_activity a WHERE a.usesysid = r.oid AND a.datid = d.oid)
        OR EXISTS (SELECT FROM pg_shdepend s WHERE s.dbid = d.oid AND s.refclassid = 'pg_authid'::regclass
          AND pg_has_role(r.oid, s.refobjid, 'MEMBER')))
    ORDER BY r.rolname LIMIT 3) x"""


def _owner_of(database: str) -> str:
    return f"SELECT datdba FROM pg_database WHERE datname = {literal(database)}"


def _public_has(database: str, privilege: str) -> str:
    return (
        "EXISTS (SELECT FROM pg_database d CROSS JOIN LATERAL"
        " aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x"
        f" WHERE d.datname = {literal(database)} AND x.grantee = 0 AND x.privilege_type = '{privilege}')"
    )


def _only_by(owner: str, in_words: str) -> str:
    """PostgreSQL only warns where whoever runs a GRANT or a REVOKE has no say, each time; so this does, once."""
    told = literal(f"stepcreds: left as it is, because only {in_words} can change it")
    return f"""  IF NOT pg_has_role(current_user, ({owner}), 'USAGE') THEN
    RAISE WARNING USING MESSAGE = {told};
    RETURN;
  END IF;"""


def _unless_owner(owner: str, in_words: str) -> str:
    told = literal(f"only {in_words} can change it")
    return f"WHEN NOT pg_has_role(current_user, ({owner}), 'USAGE') THEN {told}"
