"""The connections of a plan with TLS, as a real OpenBao makes them: it checks who the database is."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import hvac
import pytest
from authority import Authority
from mariadb_server import running
from setup_configs import config, given, plan, profile

from stepcreds.devstack.postgresql import PostgreSQL
from stepcreds.devstack.stack import Stack
from stepcreds.setup.plan import Setting

PASSWORD = "a-password-of-the-tests"


def connection(folder: Path, url: str, **answers: object) -> Setting:
    """That of a profile whose database is at `url`."""
    one = profile("a", database=url)
    if url.startswith("mariadb"):
        del one["schemas"]
    made = plan(config(folder, {"a": one}), given(answers))
    (setting,) = (each for each in made.settings if each.kind == "connection")
    return setting


def write(vault: Any, setting: Setting, **changed: object) -> None:
    """Raises what OpenBao says of a database that it cannot log in to."""
    vault.write_data("database/config/with-tls", data={**setting.body, "password": PASSWORD, **changed})
    vault.delete("database/config/with-tls")


def test_postgresql_has_to_show_a_certificate_of_the_ca_on_vaults_machine(stack: Stack, tmp_path: Path) -> None:
    with PostgreSQL(tls=True) as server:
        with closing(server.connect()) as root:
            root.run(f"CREATE ROLE stepcreds_vault LOGIN PASSWORD '{PASSWORD}'")
        there = tmp_path / "the ca.pem"
        shutil.copy(str(server.ca_cert), there)
        there.chmod(0o644)
        url = f"postgresql://{server.host}:{server.port}/postgres?sslmode=verify-full&sslrootcert={quote(str(there))}"
        place = f"{server.host}:{server.port}"
        with stack.client() as vault:
            write(vault, connection(tmp_path, url, vault_ca={place: str(there)}))
            with pytest.raises(hvac.exceptions.InvalidRequest, match="certificate"):
                write(vault, connection(tmp_path, url, vault_ca={place: "system"}))


def test_mariadb_has_to_show_a_certificate_of_the_profiles_ca(stack: Stack, tmp_path: Path) -> None:
    ours, theirs = Authority("ours"), Authority("theirs")
    (tmp_path / "ca.pem").write_bytes(ours.certificate)
    (tmp_path / "other.pem").write_bytes(theirs.certificate)
    certificate, key = ours.issue("localhost")
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    with (
        running(f"--ssl-cert={tmp_path}/cert.pem", f"--ssl-key={tmp_path}/key.pem") as server,
        stack.client() as vault,
    ):
        server.administer(
            f"CREATE USER stepcreds_vault@'%' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL",
        )
        url = f"mariadb://localhost:{server.port}/app?sslmode="
        for fitting in ("verify-full&sslrootcert=ca.pem", "verify-ca&sslrootcert=ca.pem", "require", "prefer"):
            write(vault, connection(tmp_path, url + fitting))
        for refused, why in (
            ("verify-full&sslrootcert=other.pem", "certificate"),
            ("verify-full", "certificate"),
            ("disable", "Access denied"),
        ):
            with pytest.raises(hvac.exceptions.InvalidRequest, match=why):
                write(vault, connection(tmp_path, url + refused))
