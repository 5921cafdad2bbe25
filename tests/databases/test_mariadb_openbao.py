"""The whole life of one MariaDB credential: issued by OpenBao's own plugin, locked, revoked, proven dead."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pymysql
import pytest
import yaml
from mariadb_orders import issuing
from mariadb_server import MariaDB, mariadb  # noqa: F401 - a fixture

from conftest import Step
from stepcreds.devstack.stack import Stack

# ruff: noqa: F811 - pytest hands a fixture in under the name it was imported with

# Writes down what it was given, and stays until it is told to go.
COMMAND = """
import json, os, sys
report = sys.argv[1]
with open(report + ".part", "w") as file:
    json.dump({name: value for name, value in os.environ.items() if name.startswith("MYSQL_")}, file)
os.rename(report + ".part", report)
while not os.path.exists(report + ".go"):
    pass
"""


@pytest.fixture
def orders(stack: Stack, mariadb: MariaDB, config_file: Path) -> Iterator[None]:
    """A profile `orders` whose users MariaDB's plugin makes, with the statements that are its default."""
    with issuing(stack, mariadb) as profile:
        document = yaml.safe_load(config_file.read_text())
        document["profiles"]["orders"] = profile
        config_file.write_text(yaml.safe_dump(document))
        yield


@pytest.mark.usefixtures("orders")
def test_a_copied_credential_is_dead_with_its_sessions_when_the_step_is_over(
    step: Step, mariadb: MariaDB, config_file: Path, tmp_path: Path
) -> None:
    """MariaDB's own revocation leaves open sessions working: it is the lock that ends them."""
    report = tmp_path / "report"
    runs = []
    running = threading.Thread(
        target=lambda: runs.append(step("exec", "orders", "--", sys.executable, "-c", COMMAND, str(report)))
    )
    running.start()
    while running.is_alive() and not report.exists():
        pass
    try:
        given = json.loads(report.read_text())
        login = {
            "host": given["MYSQL_HOST"],
            "port": int(given["MYSQL_TCP_PORT"]),
            "user": given["MYSQL_USER"],
            "password": given["MYSQL_PWD"],
            "database": given["MYSQL_DATABASE"],
        }
        copied = pymysql.connect(**login, ssl_disabled=True)
    finally:
        Path(f"{report}.go").touch()
        running.join()
    with closing(copied), pytest.raises(pymysql.err.OperationalError):
        copied.cursor().execute("CREATE TABLE afterwards (id INT)")
    with pytest.raises(pymysql.err.OperationalError) as caught:
        pymysql.connect(**login, ssl_disabled=True)
    assert caught.value.args[0] == 1045
    (run,) = runs
    assert run.returncode == 0, run.stderr
    assert login["password"] not in run.stdout + run.stderr.replace(f"::add-mask::{login['password']}\n", "")
    assert mariadb.administer("SELECT user FROM mysql.user WHERE user LIKE 'v-%'") == []
    lines = [line for path in (tmp_path / ".stepcreds").rglob("*.jsonl") for line in path.read_text().splitlines()]
    closed = next(entry for entry in map(json.loads, lines) if entry["kind"] == "credential.closed")
    assert (closed["verdict"], closed["lock"]["status"], closed["lock"]["sessions_ended"]) == (
        "proven dead",
        "locked",
        1,
    )


MAKES_A_VIEW = """
import os, pymysql
with pymysql.connect(
    host=os.environ["MYSQL_HOST"], port=int(os.environ["MYSQL_TCP_PORT"]), user=os.environ["MYSQL_USER"],
    password=os.environ["MYSQL_PWD"], database="shop", ssl_disabled=True,
) as connection, connection.cursor() as cursor:
    cursor.execute("CREATE TABLE left_1 (id INT)")
    cursor.execute("CREATE VIEW left_2 AS SELECT id FROM left_1")
"""


@pytest.mark.usefixtures("orders")
def test_what_breaks_when_its_definer_goes_is_said_while_it_can_still_be_found(
    step: Step, mariadb: MariaDB, tmp_path: Path
) -> None:
    try:
        run = step("exec", "orders", "--", sys.executable, "-c", MAKES_A_VIEW)
    finally:
        mariadb.administer("DROP VIEW IF EXISTS shop.left_2", "DROP TABLE IF EXISTS shop.left_1")
    assert run.returncode == 0, run.stderr
    lines = [line for path in (tmp_path / ".stepcreds").rglob("*.jsonl") for line in path.read_text().splitlines()]
    (left,) = [entry for entry in map(json.loads, lines) if entry["kind"] == "credential.left"]
    (change,) = left["changes"]
    assert (change["code"], change["subject"]) == ("LEFT.DEFINER", "shop.left_2")
    assert f"stepcreds: orders: left in the database: {change['what']}\n" in run.stderr


@pytest.mark.usefixtures("orders")
def test_the_client_reads_the_usual_names(step: Step) -> None:
    run = step(
        "exec", "orders", "--",
        "sh", "-c", 'mariadb --no-defaults --user="$MYSQL_USER" -BNe "SELECT CURRENT_USER()" "$MYSQL_DATABASE"',
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    user, _, host = run.stdout.splitlines()[-1].partition("@")
    assert (user.startswith("v-"), host) == (True, "%")


@pytest.mark.usefixtures("orders")
def test_the_client_reads_a_delivered_file(step: Step, config_file: Path) -> None:
    document = yaml.safe_load(config_file.read_text())
    document["profiles"]["orders"] |= {
        "files": {"{dir}/my.cnf": "[client]\nhost={host}\nport={port}\nuser={username}\npassword={password}\n"},
        "env": {"MY_CNF": "{dir}/my.cnf"},
    }
    config_file.write_text(yaml.safe_dump(document))
    run = step("exec", "orders", "--", "sh", "-c", 'mariadb --defaults-extra-file="$MY_CNF" -BNe "SELECT 1 + 1"')
    assert (run.returncode, run.stdout.splitlines()[-1]) == (0, "2"), run.stderr
