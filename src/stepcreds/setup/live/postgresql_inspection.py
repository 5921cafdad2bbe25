"""What a plan's statements do not ask about PostgreSQL: whether Vault's user or a group has more than it needs."""

# ruff: noqa: S608 - names are quoted

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stepcreds.setup.live.examination import Inspection
from stepcreds.setup.postgresql.names import literal, quoted, shown

_OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_MEMBERS = "pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles u ON u.oid = m.member"


def inspections(manager: str, readers: Sequence[str], others: Sequence[str]) -> Iterable[Inspection]:
    """About Vault's user and the groups of users who read; `others` are the other roles that the plan hands on."""
    known = ", ".join(map(literal, (*readers, *others)))
    of_manager = f"u.rolname = {literal(manager)}"
    yield Inspection(
        "postgresql.manager.power",
        "SELECT p.name FROM pg_roles u CROSS JOIN LATERAL"
        " (VALUES ('SUPERUSER', u.rolsuper), ('CREATEDB', u.rolcreatedb), ('REPLICATION', u.rolreplication),"
        " ('BYPASSRLS', u.rolbypassrls)) AS p (name, has)"
        f" WHERE {of_manager} AND p.has",
        f"Vault's user {shown(manager)} has more than it needs:",
        "Whoever can write Vault's roles can have statements run with it.",
        f"ALTER ROLE {quoted(manager)} NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS",
    )
    yield Inspection(
        "postgresql.manager.member",
        f"SELECT g.rolname FROM {_MEMBERS} WHERE {of_manager} AND g.rolname NOT IN ({known})"
        " AND coalesce(g.rolvaliduntil, 'infinity') = 'infinity' GROUP BY g.rolname ORDER BY g.rolname",
        f"Vault's user {shown(manager)} is a member of roles that no profile needs:",
        "It could hand them to users that it makes.",
        f"REVOKE … FROM {quoted(manager)}, for each",
    )
    yield Inspection(
        "postgresql.issued.expired",
        f"SELECT g.rolname FROM {_MEMBERS} WHERE {of_manager} AND g.rolvaliduntil < now() - interval '10 minutes'"
        " GROUP BY g.rolname ORDER BY g.rolname",
        "Users that Vault issued have expired and are still there:",
        "",
        "",
        harmless=True,
    )
    for group in readers:
        yield Inspection(
            "postgresql.reader.member",
            f"SELECT DISTINCT g.rolname FROM {_MEMBERS} WHERE u.rolname = {literal(group)} ORDER BY g.rolname",
            f"The group {shown(group)}, of users who only read, is a member of other roles:",
            "Each of its members can do what they can.",
            f"REVOKE … FROM {quoted(group)}, for each",
        )
        yield Inspection(
            "postgresql.reader.writes",
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            f" CROSS JOIN pg_roles u WHERE u.rolname = {literal(group)} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
            f" AND {_OURS} AND has_table_privilege(u.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') ORDER BY 1",
            f"The group {shown(group)}, of users who only read, may change rows of:",
            "`exec` measures the credential, and refuses to hand it out.",
            f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON … FROM {quoted(group)} (or FROM PUBLIC), for each",
        )
