"""A profile whose users OpenBao's own plugin makes at a MariaDB; what a step does with them is the tests'."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mariadb_server import MariaDB

from stepcreds.config.model import Profile
from stepcreds.devstack import provision
from stepcreds.devstack.stack import Stack
from stepcreds.setup import vault

PROFILE = Profile("orders", "app-orders", "mariadb/creds/app-orders", None, None)
MANAGER, PASSWORD = "manager", "of-the-manager"  # OpenBao's own user there


@contextmanager
def issuing(stack: Stack, mariadb: MariaDB) -> Iterator[dict[str, object]]:
    """OpenBao issues users of `mariadb`, and ends them with the statements that are the plugin's default; what the profile
    of such a step says."""
    mariadb.administer(
        "CREATE DATABASE IF NOT EXISTS shop",
        f"CREATE USER {MANAGER} IDENTIFIED BY '{PASSWORD}'",
        f"GRANT ALL ON *.* TO {MANAGER} WITH GRANT OPTION",
    )
    with stack.client() as client:

        def write(path: str, **data: object) -> None:
            client.write_data(path, data=data)

        write("sys/mounts/mariadb", type="database")
        write(
            "mariadb/config/shop",
            plugin_name="mysql-database-plugin",
            connection_url=f"{{{{username}}}}:{{{{password}}}}@tcp(127.0.0.1:{mariadb.port})/",
            username=MANAGER,
            password=PASSWORD,
            allowed_roles="*",
        )
        write(
            "mariadb/roles/app-orders",
            db_name="shop",
            creation_statements=[
                "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'",
                "GRANT SELECT, INSERT, CREATE, CREATE VIEW, SHOW VIEW ON shop.* TO '{{name}}'@'%'",
            ],
            default_ttl=120,
            max_ttl=600,
        )
        write(f"sys/policies/acl/{PROFILE.role}", policy=vault.policy(PROFILE))
        role = vault.jwt_role(
            PROFILE,
            audience=stack.address,
            bound_claims={"repository_id": stack.issuer.claims["repository_id"]},
            policies=[PROFILE.role],
        )
        write(f"auth/{provision.MOUNT}/role/{PROFILE.role}", **role)
    yield {
        "role": PROFILE.role,
        "creds": PROFILE.creds,
        "database": f"mariadb://127.0.0.1:{mariadb.port}/shop?sslmode=disable",
        "access": "ddl",
    }
    with stack.client() as client:
        for path in (f"auth/{provision.MOUNT}/role/{PROFILE.role}", f"sys/policies/acl/{PROFILE.role}"):
            client.delete(path)
        client.delete("sys/mounts/mariadb")
    mariadb.administer(f"DROP USER {MANAGER}")
