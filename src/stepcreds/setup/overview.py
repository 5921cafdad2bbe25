"""The plan for a reader: what would be made where, why, who may log in, and how to go on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from stepcreds.config.model import VaultSettings
from stepcreds.printable import one_line, printable
from stepcreds.setup.connections import server
from stepcreds.setup.forms import File, last
from stepcreds.setup.plan import DatabasePlan, Plan, Setting

_ENGINES = {"postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB"}
_NEXT = """\
Nothing has been written. How to go on:
  stepcreds setup apply --dry-run                  what of this is missing
  stepcreds setup apply                            make it so
  stepcreds setup --format sql --out setup         or as files, for others to run: the databases first,
  stepcreds setup --format shell --out setup       then Vault (or hcl, or terraform)
  stepcreds setup check                            later on, whether it is still so
"""
_WIDEST = 60


def files(plan: Plan, vault: VaultSettings) -> tuple[File, ...]:
    """One text."""
    parts = [
        *(_database(each) for each in plan.databases),
        _vault(plan, vault),
        _logins(plan),
        "\n".join(f"Note: {one_line(note, 1000)}" for note in plan.notes) + "\n" if plan.notes else "",
        _NEXT,
    ]
    return (File("overview.txt", "\n".join(part for part in parts if part)),)


def _database(database: DatabasePlan) -> str:
    engine = _ENGINES[database.url.engine]
    where = one_line(f"{server(database.url)} {database.url.database}".rstrip(), 200)
    whys = dict.fromkeys(statement.why for statement in database.statements)
    return f"At {engine} {where}, once, by an administrator:\n" + "".join(f"  - {one_line(why, 400)}\n" for why in whys)


def _vault(plan: Plan, vault: VaultSettings) -> str:
    namespace = f", namespace {one_line(vault.namespace)}" if vault.namespace else ""
    width = min(_WIDEST, max((len(setting.path) for setting in plan.settings), default=0))
    rows = "".join(f"  {one_line(each.path, 200):<{width}}  {one_line(each.why, 400)}\n" for each in plan.settings)
    return f"At Vault {', '.join(vault.addresses)}{namespace}, in this order:\n{rows}"


def _logins(plan: Plan) -> str:
    rows = []
    for setting in plan.settings:
        if setting.kind == "jwt_role":
            rows.append(f"  {last(setting.path)}\n")
            rows += [f"    {line}\n" for line in _role(setting)]
    return "Who may log in, for how long:\n" + "".join(rows)


def _role(setting: Setting) -> Iterable[str]:
    body = setting.body
    bound = body["bound_claims"]
    for name, value in bound.items() if isinstance(bound, Mapping) else ():
        values = value if isinstance(value, list) else [value]
        yield f"{one_line(name, 100)} = {' or '.join(map(_shown, values))}"
    yield f"audience = {' or '.join(map(_shown, _texts(body['bound_audiences'])))}"
    yield f"token: {body['token_ttl']} s, at most {body['token_max_ttl']} s; entity by {body['user_claim']}"


def _texts(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _shown(value: object) -> str:
    return printable(value, 200) if isinstance(value, str) else json.dumps(value)
