"""How much power each privilege of MariaDB and MySQL gives; a table, and an unknown one counts as the worst.

From MariaDB's "GRANT" (https://mariadb.com/kb/en/grant/) and MySQL's manual ("Privileges Provided by MySQL").
"""

from __future__ import annotations

from typing import Final

from stepcreds.measurement import Level

# About tables, routines and what is in databases; held for the server, a database, a table, columns, or a routine.
DATA: Final[dict[str, Level]] = {
    "SELECT": "read",
    "SHOW VIEW": "read",
    "SHOW CREATE ROUTINE": "read",
    "INSERT": "write",
    "UPDATE": "write",
    "DELETE": "write",
    "DELETE HISTORY": "write",
    "DELETE VERSIONING ROWS": "write",
    "LOCK TABLES": "write",  # everybody else waits, readers too
    "REFERENCES": "write",  # a foreign key keeps others from deleting
    "CREATE": "ddl",
    "ALTER": "ddl",
    "DROP": "ddl",
    "INDEX": "ddl",
    "CREATE VIEW": "ddl",
    "CREATE ROUTINE": "ddl",
    "ALTER ROUTINE": "ddl",  # it can make a routine of somebody else's run with that one's rights
    "EVENT": "ddl",
    "TRIGGER": "ddl",
    "CREATE TEMPORARY TABLES": "info",
    "EXECUTE": "info",  # what it gives is told routine by routine
}
EVERYTHING: Final = ("ALL PRIVILEGES", "ALL")
NOTHING: Final = "USAGE"  # logging in

# About the server, held for all of it. Every name that is not here is `admin`.
SERVER: Final[dict[str, tuple[Level, str]]] = {
    "SHOW DATABASES": ("info", "see the names of all databases"),
    "PROCESS": ("read", "read the statements that everybody runs, with the secrets in them"),
    "BINLOG MONITOR": ("read", "read the statements in the binary log (SHOW BINLOG EVENTS)"),
    "REPLICATION CLIENT": ("read", "see how the server replicates"),
    "SLAVE MONITOR": ("read", "read the statements in the relay log (SHOW RELAYLOG EVENTS)"),
    "REPLICA MONITOR": ("read", "read the statements in the relay log (SHOW RELAYLOG EVENTS)"),
    "RELOAD": ("write", "lock all tables of the server (FLUSH TABLES WITH READ LOCK), and empty logs and caches"),
    "READ_ONLY ADMIN": ("write", "write while the server is read-only"),
    "CREATE TABLESPACE": ("ddl", "create, change and drop tablespaces"),
    "SUPER": ("admin", "change the server's settings, act as any definer, and end everybody's sessions"),
    "FILE": ("admin", "read and write files of the server's machine"),
    "CREATE USER": ("admin", "create users, and set everybody's password, an administrator's too"),
    "CREATE ROLE": ("admin", "create roles"),
    "DROP ROLE": ("admin", "drop roles"),
    "SET USER": ("admin", "make code that runs with the rights of any user"),
    "FEDERATED ADMIN": ("admin", "create and change the servers that FEDERATED tables log in to"),
    "REPLICATION SLAVE": ("admin", "read the whole binary log: every change of every table, password hashes too"),
    "REPLICATION SLAVE ADMIN": ("admin", "start, stop and redirect the server's replication"),
    "REPLICATION REPLICA ADMIN": ("admin", "start, stop and redirect the server's replication"),
    "REPLICATION MASTER ADMIN": ("admin", "change how the server replicates to others"),
    "BINLOG ADMIN": ("admin", "delete binary logs, and keep its own changes out of them"),
    "BINLOG REPLAY": ("admin", "change any row of any table (BINLOG)"),
    "CONNECTION ADMIN": ("admin", "end everybody's sessions, and log in beyond all limits"),
    "SHUTDOWN": ("admin", "stop the server"),
    # MySQL's dynamic privileges that are less than `admin`; the others keep the words below.
    "BACKUP_ADMIN": ("write", "keep everybody from changing tables (LOCK INSTANCE FOR BACKUP)"),
    "FLUSH_TABLES": ("write", "lock all tables of the server (FLUSH TABLES WITH READ LOCK)"),
    "FLUSH_STATUS": ("write", "reset the server's counters"),
    "FLUSH_OPTIMIZER_COSTS": ("write", "reload the optimizer's costs"),
    "FLUSH_USER_RESOURCES": ("write", "reset everybody's resource limits"),
    "FLUSH_PRIVILEGES": ("write", "reload the grant tables"),
    "SHOW_ROUTINE": ("read", "read the code of all routines"),
    "SENSITIVE_VARIABLES_OBSERVER": ("read", "read settings that are kept from other users"),
    "RESOURCE_GROUP_USER": ("write", "run in any resource group"),
    "XA_RECOVER_ADMIN": ("read", "see prepared transactions (XA RECOVER)"),
    "AUDIT_ABORT_EXEMPT": ("write", "run what the audit log would stop"),
    "FIREWALL_EXEMPT": ("write", "run what the firewall would stop"),
    "GROUP_REPLICATION_STREAM": ("read", "connect as a member of the group"),
    "SKIP_QUERY_REWRITE": ("info", "run statements that are not rewritten"),
}


def server_privilege(name: str) -> tuple[Level, str]:
    """The level of a privilege of the server, and a phrase that follows "it can"."""
    return SERVER.get(name) or ("admin", f"use the privilege {name}, which is taken for the worst")
