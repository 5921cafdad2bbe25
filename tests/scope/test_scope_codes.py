"""Every code that a finding can have stands in the tables that docs/scope.md is made of, and is written one way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import stepcreds.scope
from stepcreds.measurement import LEVELS
from stepcreds.scope import token_families
from stepcreds.scope.mysql import codes as mysql_codes
from stepcreds.scope.mysql.findings import findings
from stepcreds.scope.mysql.power import Held, Power, Server
from stepcreds.scope.mysql.privileges import DATA, SERVER
from stepcreds.scope.postgresql import codes as postgresql_codes

TABLES = {"PG": postgresql_codes.CODES, "MY": mysql_codes.CODES, "VAULT": token_families.CODES}
SOURCES = sorted(Path(stepcreds.scope.__file__).parent.rglob("*.py"))
# Whole codes; the parts of which some are put together end without a second dot.
CODE = re.compile(r'"((?:PG|MY|VAULT)\.[A-Z]+(?:\.[A-Z_]+)?)"')


@pytest.mark.parametrize("engine", TABLES)
def test_every_code_of_the_sources_is_explained(engine: str) -> None:
    tables = [path for path in SOURCES if path.name in ("codes.py", "token_families.py")]
    texts = [path.read_text() for path in SOURCES if path not in tables]
    named = {code for text in texts for code in CODE.findall(text) if code.startswith(engine)}
    if engine == "MY":  # begun here, and ended with a level
        named -= {"MY.DATABASE", "MY.TABLE", "MY.ROUTINE"}
    assert len(named) > 5
    assert named - set(TABLES[engine]) == set()


@pytest.mark.parametrize("engine", TABLES)
def test_the_tables_are_of_one_form(engine: str) -> None:
    for code, (level, meaning) in TABLES[engine].items():
        assert re.fullmatch(rf"{engine}(\.[A-Z_]+){{1,2}}", code) or code == "MY.SERVER.…"
        assert level in LEVELS or engine == "VAULT"
        assert re.fullmatch(r"[A-Z].*[.]", meaning)


@pytest.mark.parametrize("privilege", [*SERVER, *DATA, "A PRIVILEGE OF TOMORROW"])
def test_every_privilege_has_a_code_that_is_explained(privilege: str) -> None:
    held = Held(Power("privilege", privilege))
    for finding in findings([held], Server((), False, frozenset())):
        known = mysql_codes.CODES.get(finding.code, mysql_codes.CODES["MY.SERVER.…"])
        assert finding.level == known[0]
        if privilege in SERVER:
            assert finding.code == mysql_codes.server_code(privilege)
            assert known[1] == f"It may {finding.what}."
