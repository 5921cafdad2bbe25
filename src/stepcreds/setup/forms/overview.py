"""The plan for a reader: what would be made where, why, who may log in, and how to go on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from stepcreds.config.model import VaultSettings
from stepcreds.printable import one_line, printable
from stepcreds.setup.connections import server
from stepcreds.setup.forms import Again, File, last
from stepcreds.setup.plan import DatabasePlan, Plan, Setting

_ENGINES = {"postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB"}
_NEXT = (
    ("setup apply --dry-run", "what of this is missing"),
    ("setup apply", "make it so"),
    ("setup --format sql --out setup", "or as files, for others to run: the databases first,"),
    ("setup --format shell --out setup", "then Vault (or hcl, or terraform)"),
    ("setup check", "later on, whether it is still so"),
)
_FILE = "setup.yml"  # for answers that are nowhere yet
_WIDEST = 60


def files(plan: Plan, vault: VaultSettings, again: Again = Again()) -> tuple[File, ...]:  # noqa: B008 - immutable
    """One text."""
    parts = [
        *(_database(each) for each in plan.databases),
        _vault(plan, vault),
        _logins(plan),
        "\n".join(f"Note: {one_line(note, 1000)}" for note in plan.notes) + "\n" if plan.notes else "",
        _next(again),
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


def _next(again: Again) -> str:
    """Commands that can be pasted: they name the answers, which were given to this one alone."""
    written = one_line(again.written, 200)
    done = f"The answers are in {written}. " if written else ""
    words = again.words if again.kept else f"--answers {_FILE} {again.words}".rstrip()
    rows = [(f"stepcreds {command} {one_line(words, 400)}", what) for command, what in _NEXT]
    if not again.kept:
        rows.insert(0, (f"this command and --save-answers {_FILE}", "keep the answers"))
    width = max(len(command) for command, _ in rows)
    return f"{done}Nothing has been changed at any server. How to go on:\n" + "".join(
        f"  {command:<{width}}  {what}\n" for command, what in rows
    )


def _texts(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _shown(value: object) -> str:
    return printable(value, 200) if isinstance(value, str) else json.dumps(value)
