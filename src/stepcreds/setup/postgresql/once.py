"""What an administrator runs once in a database of PostgreSQL, before Vault can issue users for it.

Every statement may be run again: it does what is missing. None needs to know the server's version.
"""

from __future__ import annotations

from collections.abc import Sequence

from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.errors import UnsupportedError
from stepcreds.setup.answers import Answers
from stepcreds.setup.plan import DatabasePlan, Statement
from stepcreds.setup.postgresql import groups as groups_of
from stepcreds.setup.postgresql import guard, hardening, roles
from stepcreds.setup.postgresql import owner as owner_of
from stepcreds.setup.postgresql.names import quoted, shown
from stepcreds.setup.postgresql.reach import reach


def databases(profile: Profile) -> tuple[str, ...]:
    """The databases that users of `profile` may connect to: the URL's, where Vault works, and those declared."""
    own = () if profile.database is None else (profile.database.database,)
    return tuple(dict.fromkeys((*own, *profile.databases)))


def database_plan(url: DatabaseURL, profiles: Sequence[Profile], answers: Answers) -> DatabasePlan:
    """All that the database of `url` needs for `profiles`, which are about it, in the order in which it is run.

    In the statement of the user that Vault logs in as, `postgresql_roles.MANAGER_PASSWORD` stands where its password
    has to be, between quotation marks. Raises `UnsupportedError` for roles that cannot stand behind the profiles, and
    for names that cannot be written.
    """
    _check_roles(profiles, answers)
    owners = {profile.name: answers.profiles[profile.name].role for profile in profiles if profile.access == "ddl"}
    groups = {profile.name: answers.profiles[profile.name].role for profile in profiles if profile.name not in owners}
    flags = _flags(profiles, answers)
    guarded = any(answers.profiles[name].guard for name in owners)
    statements: list[Statement] = []
    for profile in profiles:
        if profile.name in owners:
            statements += _for_owner(url.database, profile, owners[profile.name], flags[profile.name])
    for profile in profiles:
        if profile.name in groups:
            makers = tuple(dict.fromkeys(owners.values()))
            statements += _for_group(profile, groups[profile.name], makers, flags[profile.name])
    statements += _for_manager(url.database, profiles, answers.manager, owners, groups)
    if guarded:
        statements += [*guard.installation(), roles.handed_on(answers.manager, guard.GUARDED, owner=False)]
    ours = tuple(dict.fromkeys((*groups.values(), answers.manager)))
    statements += hardening.statements(url.database, ours, answers.manager)
    return DatabasePlan(url, tuple(dict.fromkeys(statements)), answers.manager)


def _flags(profiles: Sequence[Profile], answers: Answers) -> dict[str, str]:
    """By profile, the flag that names another role; profiles that share one role have that of the first."""
    first: dict[str, str] = {}
    for profile in profiles:
        flag = "--owner" if profile.access == "ddl" else "--group"
        first.setdefault(answers.profiles[profile.name].role, f"{flag} {profile.name}=NAME")
    return {profile.name: first[answers.profiles[profile.name].role] for profile in profiles}


def _for_owner(database: str, profile: Profile, owner: str, flag: str) -> list[Statement]:
    within = reach(profile)
    return [
        owner_of.owns_what_is_there(owner, within, flag),
        roles.owner(owner, flag),
        *owner_of.rights(owner, database, within),
        owner_of.temporary(database, owner),
    ]


def _for_group(profile: Profile, group: str, owners: Sequence[str], flag: str) -> list[Statement]:
    access = str(profile.access)
    why = f"Members of {shown(group)} may log in, also when PUBLIC may not."
    return [
        roles.group(group, access=access, databases=databases(profile), flag=flag),
        *(roles.connect(database, group, why) for database in databases(profile)),
        *groups_of.rights(group, access, reach(profile), owners),
    ]


def _for_manager(
    database: str, profiles: Sequence[Profile], manager: str, owners: dict[str, str], groups: dict[str, str]
) -> list[Statement]:
    # Users with ddl access inherit nothing, CONNECT neither: Vault's user hands it to each of them.
    handed = dict.fromkeys(each for profile in profiles if profile.name in owners for each in databases(profile))
    statements = [roles.manager(manager)]
    if database not in handed:
        statements.append(roles.connect(database, manager, "Vault's user may log in."))
    statements += [
        roles.connect(
            each, manager, "Vault's user gives it to users with ddl access, who inherit nothing.", grant_option=True
        )
        for each in handed
    ]
    statements += [roles.handed_on(manager, group, owner=False) for group in groups.values()]
    return statements + [roles.handed_on(manager, owner, owner=True) for owner in owners.values()]


def _check_roles(profiles: Sequence[Profile], answers: Answers) -> None:
    """Raises `UnsupportedError` where one role would have to be two things."""
    kinds: dict[str, str] = {}
    quoted(answers.manager)
    if ":" in answers.manager or "{{" in answers.manager:
        raise UnsupportedError(
            f"Vault cannot log in as {answers.manager!a}.",
            cause="The name stands in a URL, where ':' begins the password and '{{' what is filled in.",
            fix="Name another user for Vault.",
            docs="setup-roles",
        )
    for profile in profiles:
        role = answers.profiles[profile.name].role
        quoted(role)
        if role.startswith("pg_") or role in ("public", "none"):
            raise UnsupportedError(
                f"The role {role!a} cannot stand behind the profile {profile.name!a}: its name is PostgreSQL's own.",
                cause="Predefined roles reach into every schema and every database.",
                fix="Name a role for this profile: stepcreds makes it.",
                docs="setup-roles",
            )
        if role == answers.manager:
            raise UnsupportedError(
                f"The role {role!a} cannot stand behind the profile {profile.name!a}: Vault logs in as it.",
                cause="Every user of the profile would be a member of the role that makes users.",
                fix="Name another role for the profile, or another user for Vault.",
                docs="setup-roles",
            )
        if kinds.setdefault(role, str(profile.access)) != profile.access:
            raise UnsupportedError(
                f"The role {role!a} cannot stand behind profiles with {kinds[role]} and with {profile.access} access.",
                cause="Its members get all that the role may do.",
                fix="Name a role for each kind of access.",
                docs="setup-roles",
            )
