"""The roles that stand behind profiles: groups that read and write, owners that change the schema, Vault's own user."""

from __future__ import annotations

# ruff: noqa: S608 - every name in a statement is quoted by postgresql_names
from collections.abc import Sequence
from typing import NamedTuple

from stepcreds.setup.plan import Statement
from stepcreds.setup.postgresql.names import array, do, literal, quoted, refusal, shown
from stepcreds.setup.postgresql.reach import percent

MANAGER_PASSWORD = "{{manager_password}}"  # noqa: S105 - the place of one, between '…', in a Statement with `secret`

# What no role behind a profile may have, nor one that it is a member of: its members can become it, and have it too.
_POWERS = "g.rolsuper OR g.rolcreaterole OR g.rolcreatedb OR g.rolreplication OR g.rolbypassrls"


class _Refusal(NamedTuple):
    """Why a role cannot stand behind a profile; conditions and what is told are SQL."""

    condition: str
    told: str  # an expression of text
    mended: str  # in words


def group(name: str, *, access: str, databases: Sequence[str], flag: str) -> Statement:
    """The group of the users who read, or read and write, in `databases`; `flag` names another: "--group a=NAME"."""
    holds = f"pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid AND r.rolname = {literal(name)}"
    owns = f"EXISTS (SELECT FROM {holds} WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype = 'o')"
    elsewhere = (
        f"FROM {holds} JOIN pg_database d ON d.oid = s.dbid"
        f" WHERE s.refclassid = 'pg_authid'::regclass AND d.datname <> ALL ({array(databases)})"
    )
    refusals = [
        # A member of the group could take over what it owns, and DROP OWNED would then drop that at the revocation.
        _Refusal(
            owns,
            literal(f"{shown(name)} owns objects, so it is no group of users who read or write rows"),
            f"Name a role that owns nothing: {flag}",
        ),
        _Refusal(
            f"EXISTS (SELECT {elsewhere})",
            f"format({literal(percent(shown(name)) + ' is another group already: it has rights in %s')},"
            f" (SELECT string_agg(DISTINCT quote_ident(d.datname), ', ') {elsewhere}))",
            "A server has one set of roles for all its databases, so each's users would have the rights of both. Name "
            f"another: {flag}",
        ),
    ]
    return _role(
        name,
        f"The group of users with {access} access: rights are given to it once, and users come and go as its members.",
        flag,
        refusals,
    )


def owner(name: str, flag: str) -> Statement:
    """The role that owns what migrations make; `flag` names another: "--owner a=NAME"."""
    # An administrator who is no superuser makes schemas for the owner, and its default privileges, as a member of it.
    member = f"""
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
      GRANT {quoted(name)} TO CURRENT_USER;
    END IF;"""
    why = f"The owner that users with ddl access work as: what they make belongs to {shown(name)}, and stays."
    return _role(name, why, flag, made=member)


def manager(name: str) -> Statement:
    """The user that Vault logs in as: it may make roles, and has no right to data of its own."""
    there = f"EXISTS (SELECT FROM pg_roles WHERE rolname = {literal(name)}"
    told = literal(f"stepcreds: {shown(name)} is a superuser, and Vault needs a user that is none")
    body = f"""BEGIN
  IF NOT {there}) THEN
    CREATE ROLE {quoted(name)} LOGIN CREATEROLE INHERIT PASSWORD '{MANAGER_PASSWORD}';
  ELSIF {there} AND rolsuper) THEN
    {refusal(told, "'Name another user for Vault to log in as.'")}
  ELSE
    ALTER ROLE {quoted(name)} LOGIN CREATEROLE INHERIT;
  END IF;
  ALTER ROLE {quoted(name)} SET search_path = pg_catalog, pg_temp;
  ALTER ROLE {quoted(name)} SET synchronous_commit = on;
END"""
    return Statement(
        do(body),
        # INHERIT, because PostgreSQL 16 and newer copy it into the grant that CREATE ROLE makes to the creator. No
        # schema of others in its search path: whatever they put there, it does not call. And what it has revoked
        # stays so when the server crashes.
        f"SELECT {there} AND rolcanlogin AND rolcreaterole AND rolinherit AND NOT rolsuper"
        " AND rolconfig @> '{\"search_path=pg_catalog, pg_temp\",synchronous_commit=on}')",
        "The user that Vault logs in as. CREATEROLE makes and ends users; up to PostgreSQL 15 it may also grant itself "
        "every role but a superuser's, so keep its password in Vault alone.",
        secret=True,
    )


def new_password(name: str) -> Statement:
    """Gives Vault's user another password, where it exists already and nobody knows its password any longer."""
    return Statement(
        f"ALTER ROLE {quoted(name)} PASSWORD '{MANAGER_PASSWORD}'",
        "",
        "A new password for the user that Vault logs in as; with the one it had, nobody gets in any longer.",
        secret=True,
    )


def handed_on(manager: str, role: str, *, owner: bool) -> Statement:
    """What lets `manager` make users members of `role`: nothing before PostgreSQL 16, but for owners.

    REASSIGN OWNED to an owner needs membership that is inherited; SET alone fails. No group's rights are inherited.
    """
    options = f"ADMIN TRUE, INHERIT {'TRUE' if owner else 'FALSE'}, SET FALSE"
    grant = f"GRANT {quoted(role)} TO {quoted(manager)}"
    before_16 = f"\n  ELSE\n    {grant};" if owner else ""
    body = f"""BEGIN
  IF current_setting('server_version_num')::int >= 160000 THEN
    EXECUTE {literal(f"{grant} WITH {options}")};{before_16}
  END IF;
END"""
    # The columns of 16 through to_jsonb, so that the query can be read by a server that does not have them.
    needed = "(SELECT bool_or(m.admin_option)"
    if owner:
        needed += " AND bool_or((to_jsonb(m) ->> 'inherit_option')::bool)"
    needed += f" {_membership(role, manager)})"
    earlier = f"EXISTS (SELECT {_membership(role, manager)})" if owner else "true"
    before = "current_setting('server_version_num')::int < 160000"
    return Statement(
        do(body),
        f"SELECT coalesce(CASE WHEN {before} THEN {earlier} ELSE {needed} END, false)",
        f"Vault's user may make others members of {shown(role)}"
        + (", and give it what they leave behind." if owner else "; it cannot use the rights itself."),
    )


def connect(database: str, role: str, why: str, *, grant_option: bool = False) -> Statement:
    """CONNECT on `database`, which stays when PUBLIC loses it."""
    option = " WITH GRANT OPTION" if grant_option else ""
    held = "SELECT FROM pg_database d CROSS JOIN LATERAL aclexplode(d.datacl) x JOIN pg_roles r ON r.oid = x.grantee"
    return Statement(
        f"GRANT CONNECT ON DATABASE {quoted(database)} TO {quoted(role)}{option}",
        f"SELECT EXISTS ({held} WHERE d.datname = {literal(database)} AND r.rolname = {literal(role)}"
        f" AND x.privilege_type = 'CONNECT'{' AND x.is_grantable' if grant_option else ''})",
        why,
    )


def _membership(role: str, member: str) -> str:
    return (
        "FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles u ON u.oid = m.member"
        f" WHERE g.rolname = {literal(role)} AND u.rolname = {literal(member)}"
    )


def _ours(told: str) -> str:
    return f"'stepcreds: ' || {told}"


def _role(name: str, why: str, flag: str, more: Sequence[_Refusal] = (), made: str = "") -> Statement:
    # Membership of any kind counts: with ADMIN OPTION alone it can give itself the rest.
    becomes = f"pg_roles r JOIN pg_roles g ON pg_has_role(r.oid, g.oid, 'MEMBER') WHERE r.rolname = {literal(name)}"
    named = f"(SELECT string_agg(quote_ident(g.rolname), ', ' ORDER BY g.rolname) FROM {becomes}"
    own = f"EXISTS (SELECT FROM pg_roles g WHERE g.rolname = {literal(name)}"
    other = f"So could every member of it: name another role for the profile: {flag}"
    # ALTER ROLE CURRENT_USER PASSWORD, after SET ROLE: a member of a role that logs in may stay as that role.
    stay = "its members could set its password, and go on as it"
    instead = f"Name a role that cannot, and that need not be there yet: {flag}"
    if made:
        instead += "\nWhere the tables belong to one that can, setup then shows the way to give them to the new one."
    refusals = [
        _Refusal(
            f"{own} AND ({_POWERS}))",
            literal(f"{shown(name)} is a superuser, or makes roles or databases, replicates or bypasses row security"),
            other,
        ),
        _Refusal(f"{own} AND g.rolcanlogin)", literal(f"{shown(name)} can log in: {stay}"), instead),
        _Refusal(
            f"EXISTS (SELECT FROM {becomes} AND ({_POWERS} OR g.rolcanlogin))",
            f"format({literal(percent(shown(name)) + ' is a member of what can log in, or has power of its own: %s')},"
            f" {named} AND ({_POWERS} OR g.rolcanlogin)))",
            f"Take it out there, REVOKE … FROM {quoted(name)}; or name another role for the profile: {flag}",
        ),
        *more,
    ]
    checks = "".join(
        f"\n  IF {each.condition} THEN\n    {refusal(_ours(each.told), literal(each.mended))}\n  END IF;"
        for each in refusals
    )
    body = f"""BEGIN
  IF NOT {own}) THEN
    CREATE ROLE {quoted(name)} NOLOGIN;{made}
  END IF;{checks}
END"""
    refused = " ".join(
        f"WHEN {each.condition} THEN replace({each.told}, E'\\n', ' ') || E'\\n' || {literal(each.mended)}"
        for each in refusals
    )
    none = " AND ".join(f"NOT {each.condition}" for each in refusals)
    return Statement(do(body), f"SELECT {own}) AND {none}", why, refused=f"SELECT CASE {refused} END")
