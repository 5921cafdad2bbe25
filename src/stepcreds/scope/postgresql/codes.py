"""Every kind of finding that PostgreSQL can give: its code, how bad it is, and what it means. Nothing is found here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stepcreds.measurement import Finding, Level

# Stable: scripts, `allow` and earlier reports hold them. A code has one level, so the level never has to be compared.
CODES: Final[Mapping[str, tuple[Level, str]]] = {
    "PG.ROLE.SUPERUSER": (
        "admin",
        "It is, or can become, a superuser, who may do everything; nothing else is looked at.",
    ),
    "PG.ROLE.CREATEROLE": ("admin", "It may make roles; before PostgreSQL 16 also give itself any but a superuser's."),
    "PG.ROLE.REPLICATION": ("admin", "It may copy the whole server, all databases and passwords included."),
    "PG.ROLE.ADMIN_OPTION": ("admin", "It may give a role to anybody, itself included."),
    "PG.ROLE.LOGIN": ("admin", "It can become a role that logs in, and set that role's password."),
    "PG.ROLE.CREATEDB": ("ddl", "It may make databases."),
    "PG.ROLE.BYPASSRLS": ("read", "Row security does not hold for it."),
    "PG.ROLE.FOREVER": ("info", "Its password never expires at the server."),
    "PG.PREDEFINED.ADMIN": ("admin", "A predefined role that leads to every database's data, to files or programs."),
    "PG.PREDEFINED.OWNER": ("ddl", "The predefined role of the database's owner."),
    "PG.PREDEFINED.MAINTAIN": ("write", "A predefined role that disturbs others' work: sessions, checkpoints, tables."),
    "PG.PREDEFINED.MONITOR": ("read", "A predefined role that sees what others do, and how the server is set."),
    "PG.TABLE.OWN": ("ddl", "It owns relations: may alter, drop, empty, and open them to others."),
    "PG.TABLE.TRIGGER": ("ddl", "It may have code of its own run, as others, whenever they write to a relation."),
    "PG.TABLE.WRITE": ("write", "It may insert, update, delete or truncate."),
    "PG.TABLE.REFERENCES": ("write", "It may tie a relation's rows down with foreign keys."),
    "PG.TABLE.MAINTAIN": ("write", "It may lock and rewrite relations: VACUUM, CLUSTER, REINDEX, LOCK TABLE."),
    "PG.TABLE.GRANT": ("write", "It may hand on its privileges on relations."),
    "PG.TABLE.READ": ("read", "It may read relations."),
    "PG.TABLE.LATENT": ("info", "Privileges on relations of a schema that it has no USAGE of: of no use until it has."),
    "PG.COLUMN.WRITE": ("write", "It may insert or update single columns."),
    "PG.COLUMN.REFERENCES": ("write", "It may tie a relation's rows down with foreign keys to single columns."),
    "PG.COLUMN.GRANT": ("write", "It may hand on its privileges on columns."),
    "PG.COLUMN.READ": ("read", "It may read single columns."),
    "PG.COLUMN.LATENT": ("info", "Privileges on columns in a schema that it has no USAGE of."),
    "PG.EXTENSION.READ": ("info", "Relations that an extension opens to everybody when it is installed."),
    "PG.SEQUENCE.OWN": ("ddl", "It owns sequences."),
    "PG.SEQUENCE.WRITE": (
        "write",
        "It may advance or set sequences; by their object id also without USAGE of the schema.",
    ),
    "PG.SEQUENCE.GRANT": ("write", "It may hand on its privileges on sequences."),
    "PG.SEQUENCE.READ": ("read", "It may read where sequences stand."),
    "PG.SCHEMA.OWN": ("ddl", "It owns a schema: may drop all that is in it."),
    "PG.SCHEMA.CREATE": ("ddl", "It may create in a schema."),
    "PG.SCHEMA.GRANT": ("write", "It may hand on its privileges on a schema."),
    "PG.DATABASE.OWN": ("ddl", "It owns a database: may drop it."),
    "PG.DATABASE.CREATE": ("ddl", "It may create schemas, publications and trusted extensions."),
    "PG.DATABASE.GRANT": ("write", "It may hand on its privileges on a database."),
    "PG.DATABASE.CONNECT": ("info", "It may connect to other databases, where nobody looked."),
    "PG.DATABASE.TEMP": ("info", "It may make temporary tables."),
    "PG.OBJECT.OWN": ("ddl", "It owns functions, types, operators, publications or the like."),
    "PG.ELSEWHERE.OWN": ("ddl", "It owns something in another database."),
    "PG.ELSEWHERE.GRANT": ("write", "It was granted something, nobody here sees what, in another database."),
    "PG.ELSEWHERE.LATENT": ("info", "Objects or privileges in another database, to which it cannot connect."),
    "PG.DEFINER.SUPERUSER": ("admin", "It may call a function that runs as a role that can do everything."),
    "PG.DEFINER.CALL": ("admin", "It may call a function that runs as its owner: nobody can say that this is no more."),
    "PG.FUNCTION.UNTRUSTED": ("admin", "It may call code in a language that is not confined to the database."),
    "PG.FUNCTION.GRANT": ("write", "It may hand on EXECUTE on functions."),
    "PG.SYSTEM.EXECUTE": (
        "admin",
        "A function of the server or of an extension, closed when installed, was opened to it.",
    ),
    "PG.SYSTEM.OPERATE": ("write", "As PG.SYSTEM.EXECUTE, for one that disturbs the server's work."),
    "PG.SYSTEM.INSPECT": ("read", "As PG.SYSTEM.EXECUTE, for one that only looks."),
    "PG.EXTENSION.CALL": (
        "admin",
        "It may call an extension that reaches the network, files, programs or other sessions.",
    ),
    "PG.LANGUAGE.TRUSTED": ("admin", "A language that is not confined to the database was made everybody's."),
    "PG.CATALOG.WRITE": ("admin", "It may write system catalogs or system views."),
    "PG.CATALOG.READ": ("read", "System relations, closed when the server was made, were opened to it."),
    "PG.CATALOG.DATA": ("read", "It may read all tables' data where the server keeps it: statistics, large objects."),
    "PG.SECRET.READ": ("admin", "It may read passwords, or what stands for them, in system catalogs."),
    "PG.SECRET.VIEW": (
        "admin",
        "It may read a view of somebody who sees passwords, made of the catalogs that hold them.",
    ),
    "PG.SECRET.OPTION": (
        "admin",
        "Options of foreign servers or tables, or settings, which everybody may read, hold a secret.",
    ),
    "PG.FOREIGN.WRAPPER": ("admin", "It may make foreign servers."),
    "PG.FOREIGN.MAPPED": ("admin", "It may use a foreign server with a password that is stored for it."),
    "PG.FOREIGN.USE": ("write", "It may use a foreign server with a login of its own."),
    "PG.FOREIGN.GRANT": ("write", "It may hand on its privileges on foreign servers or wrappers."),
    "PG.TABLESPACE.CREATE": ("write", "It may fill a tablespace."),
    "PG.LARGEOBJECT.OWN": ("write", "It owns large objects."),
    "PG.LARGEOBJECT.WRITE": ("write", "It may write large objects of others."),
    "PG.LARGEOBJECT.READ": ("read", "It may read large objects that everybody may read."),
    "PG.LARGEOBJECT.GRANTED": ("info", "It may read large objects that were granted to it; they are in no schema."),
    "PG.LARGEOBJECT.CREATE": ("info", "It may make large objects, as everybody may by default."),
    "PG.PARAMETER.ALTER_SYSTEM": ("admin", "It may set a parameter for the whole server."),
    "PG.PARAMETER.LOAD": ("admin", "It may set a parameter that loads code or takes protections away."),
    "PG.PARAMETER.SET": ("write", "It may set a parameter that is a superuser's to set."),
    "PG.FUTURE.OWN": ("ddl", "Default privileges will let it create in schemas that somebody makes."),
    "PG.FUTURE.WRITE": ("write", "Default privileges will let it write what somebody makes."),
    "PG.FUTURE.READ": ("read", "Default privileges will let it read what somebody makes."),
    "PG.FUTURE.GIVES": ("info", "What its role makes will be open to others by default privileges."),
}


def found(
    code: str,
    what: str,
    subject: str = "",
    *,
    objects: tuple[str, ...] = (),
    number: int = 1,
    via: str = "",
    fix: str = "",
    database: str = "",
    schema: str = "",
    table: str = "",
    columns: tuple[str, ...] = (),
) -> Finding:
    """A finding of a code of the list, with the code's level. Fields as `Finding` has them; three examples are kept."""
    level, _ = CODES[code]
    return Finding(code, level, what, subject, objects[:3], number, via, fix, database, schema, table, columns)
