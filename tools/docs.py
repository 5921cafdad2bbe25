"""Rewrites what is generated in the documentation; with `--check` it changes nothing and says what is stale.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end: NAME -->`. To add one, put the two lines into
the file and a function that returns the Markdown into `PARTS`; a file that is generated whole goes into `FILES`.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from email.parser import Parser
from functools import partial
from pathlib import Path

import click
import yaml

from stepcreds import exit_codes as exit_codes_of
from stepcreds.cli.group import commands as stepcreds
from stepcreds.config.database_url import parse_database_url
from stepcreds.config.engines import ENGINES
from stepcreds.config.json_schema import json_schema
from stepcreds.config.key import Key
from stepcreds.config.model import Access, Config, LedgerSettings, Profile, VaultSettings
from stepcreds.config.schema import ROOT
from stepcreds.ledger.json_schema import json_schema as ledger_schema
from stepcreds.query.tables import TABLES
from stepcreds.scope.left_behind import CODES as LEFT
from stepcreds.scope.mysql.codes import CODES as MYSQL_CODES
from stepcreds.scope.postgresql.codes import CODES as POSTGRESQL_CODES
from stepcreds.scope.token_families import CODES as VAULT_CODES
from stepcreds.setup.answers.given import Given
from stepcreds.setup.answers.issuers import SYSTEMS
from stepcreds.setup.answers.questions import complete
from stepcreds.setup.building import build
from stepcreds.setup.forms.sql import script
from stepcreds.setup.plan import Plan

REPOSITORY = Path(__file__).resolve().parent.parent
DATABASE, VAULT = "app", "https://vault.example.com:8200"  # the README's
# Where findings come from -> code -> its level, and what it means.
FINDINGS: dict[str, Mapping[str, tuple[str, str]]] = {
    "PostgreSQL": POSTGRESQL_CODES,
    "MariaDB and MySQL": MYSQL_CODES,
    "Vault and OpenBao": VAULT_CODES,
}


def schema_file() -> str:
    """What `stepcreds config schema` prints."""
    return json.dumps(json_schema(), indent=2) + "\n"


def ledger_schema_file() -> str:
    """What a line of a ledger is."""
    return json.dumps(ledger_schema(), indent=2) + "\n"


def configuration_keys() -> str:
    """A table for each section of stepcreds.yml."""
    return "\n\n".join(_sections(ROOT, ""))


def _sections(key: Key, path: str) -> list[str]:
    tables = [f"### {f'`{path}`' if path else 'The top of the file'}\n\n{_table(key)}"] if key.kind == "section" else []
    for child in key.keys:
        inner = f"{path}.{child.name}" if path else child.name
        tables += _sections(child, {"named": f"{path}.<name>", "list": f"{path}[]"}.get(key.kind, inner))
    return tables


def _table(section: Key) -> str:
    rows = ["| key | value | default | |", "|---|---|---|---|"]
    for key in section.keys:
        unless = f", unless `{key.unless}` is set" if key.unless else ""
        default = f"**required**{unless}" if key.required else key.default
        cells = (f"`{key.name}`", _value(key), default, key.summary + _example(key))
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(rows)


def _value(key: Key) -> str:
    if key.kind == "choice":
        return ", ".join(f"`{choice}`" for choice in key.choices)
    if key.kind == "list":
        return f"list of {'sections' if key.keys[0].kind == 'section' else 'texts'}"
    if key.kind == "named":
        return "name: section" if key.keys[0].kind == "section" else "name: template"
    return {"one or list": "text, or list of texts", "version": "`1`"}.get(key.kind, key.kind)


def _example(key: Key) -> str:
    return f"<br>`{key.name}: {key.example}`" if key.example and key.kind != "version" else ""


def engines() -> str:
    """A table of the engines of databases."""
    rows = [
        "| engine | schemes | port | schemas | `sslmode` | measured | proven dead by |",
        "|---|---|---|---|---|---|---|",
    ]
    for engine in ENGINES:
        schemes = ", ".join(f"`{scheme}`" for scheme in engine.schemes)
        proof = "lease and refused logins" if engine.proves_death_by_login else "lease"
        yes_no = {True: "yes", False: "no"}
        flags = f"{yes_no[engine.has_schemas]} | {yes_no[engine.has_sslmode]} | {yes_no[engine.is_measured]}"
        rows.append(f"| {engine.name} | {schemes} | {engine.port} | {flags} | {proof} |")
    return "\n".join(rows)


def exit_codes() -> str:
    """The tables of exit codes."""
    rows = ["| `exec` ends with | when |", "|---|---|", *(f"| {code} | {text} |" for code, text in exit_codes_of.EXEC)]
    rows += ["", "| every other command | when |", "|---|---|"]
    return "\n".join([*rows, *(f"| {code} | {text} |" for code, text in exit_codes_of.OTHERS)])


def commands() -> str:
    """What `--help` says, command by command."""
    return "\n\n".join(_help(stepcreds, "stepcreds"))


def _help(command: click.Command, name: str, parent: click.Context | None = None) -> list[str]:
    context = click.Context(command, info_name=name.rsplit(" ", 1)[-1], parent=parent, terminal_width=100)
    texts = [f"## `{name}`\n\n```text\n{command.get_help(context)}\n```"]
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None  # noqa: S101 - it is on its own list
            texts += _help(found, f"{name} {child}", context)
    return texts


def _readme_plan() -> Plan:
    """What `stepcreds setup` makes of the README's stepcreds.yml."""
    url = parse_database_url(f"postgresql://db.example.com:5432/{DATABASE}", REPOSITORY)
    of: dict[str, Access] = {"migrate": "ddl", "verify": "read-only"}
    profiles = {
        name: Profile(name, f"app-{name}", f"database/creds/app-{name}", url, access, ("app",))
        for name, access in of.items()
    }
    vault = VaultSettings((VAULT,), None, None, None, None, skip_verify=False, mount="jwt", audience=VAULT)
    config = Config(REPOSITORY / "stepcreds.yml", vault, LedgerSettings(REPOSITORY, None), profiles)
    answers = {"ci": "github", "repository_id": "71717171"}
    return build(config, complete(config, Given(answers, {"migrate": {"environment": "production"}})))


README = _readme_plan()
BODIES = {setting.path: setting.body for setting in README.settings}


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text.strip()}\n```"


def database_setup() -> str:
    """What a superuser runs once."""
    return _fenced("sql", script(README.databases[0]))


def connection() -> str:
    """Vault's login to the database; whoever writes it puts in the password."""
    return _json("database/config/app")


def read_only_role() -> str:
    """The database role of a profile that reads."""
    return _json("database/roles/app-verify")


def ddl_role() -> str:
    """The database role of a profile that changes the schema."""
    return _json("database/roles/app-migrate")


def policy() -> str:
    """The policy of a step."""
    return _fenced("hcl", str(BODIES["sys/policies/acl/app-migrate"]["policy"]))


def jwt_role() -> str:
    """The JWT role of a profile."""
    return _json("auth/jwt/role/app-migrate")


def _json(path: str) -> str:
    return _fenced("json", json.dumps(BODIES[path], indent=2))


def setup_cis() -> str:
    """A table of the CIs that setup knows: what is asked for, and what a role is then bound to."""
    rows = ["| `--ci` | `--issuer` | always | bound by | for ddl and read-write one of | beside that | entity |"]
    rows.append("|---|---|---|---|---|---|---|")
    for system in SYSTEMS:
        needed = dict.fromkeys(_flag(name) for _, name, _ in system.required)
        bound = [f"{_flag(name)}: {', '.join(f'`{claim}`' for claim, _ in of)}" for name, of in system.claims.items()]
        fixed = [f"`{claim}` = `{json.dumps(value)}`" for claim, value in system.fixed.items()]
        cells = (
            f"`{system.name}`",
            f"`{system.issuer}`" if system.issuer else f"**required**: {system.where}",
            ", ".join(needed),
            "<br>".join(bound),
            ", ".join(map(_flag, system.guards)) or "none to be had",
            "<br>".join(fixed),
            f"`{system.user_claims[0]}`",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _flag(name: str) -> str:
    return f"`--{name.replace('_', '-')}`"


def gitlab_inputs() -> str:
    """A table of the inputs of GitLab's component."""
    header = next(yaml.safe_load_all((REPOSITORY / "templates/stepcreds.yml").read_text(encoding="utf-8")))
    rows = ["| input | default | |", "|---|---|---|"]
    for name, said in header["spec"]["inputs"].items():
        default = said.get("default")
        # A list is JSON here, as GitLab asks for it outside of YAML.
        shown = (
            "**required**" if default is None else f"`{default if isinstance(default, str) else json.dumps(default)}`"
        )
        options = f" One of {', '.join(f'`{option}`' for option in said['options'])}." if "options" in said else ""
        rows.append(f"| `{name}` | {shown} | {said['description']}{options} |")
    return "\n".join(rows)


def action_inputs() -> str:
    """A table of the Action's inputs."""
    rows = ["| input | default | |", "|---|---|---|"]
    for name, said in _action()["inputs"].items():
        default = f"`{said['default']}`" if "default" in said else ""
        rows.append(f"| `{name}` | {default} | {said['description']} |")
    return "\n".join(rows)


def action_outputs() -> str:
    """A table of the Action's outputs."""
    rows = ["| output | |", "|---|---|"]
    for name, said in _action()["outputs"].items():
        meaning = said["description"].removeprefix("With `outputs: true`, ")
        rows.append(f"| `{name}` | {meaning[0].upper()}{meaning[1:]} |")
    return "\n".join(rows)


def _action() -> dict[str, dict[str, dict[str, str]]]:
    read: dict[str, dict[str, dict[str, str]]] = yaml.safe_load((REPOSITORY / "action.yml").read_text(encoding="utf-8"))
    return read


def vendored() -> str:
    """A table of what is in vendor/, from the metadata there."""
    folder = REPOSITORY / "vendor"
    rows = ["| package | version | licence | size |", "|---|---|---|---|"]
    for about in sorted(folder.glob("*.dist-info")):
        metadata = Parser().parsestr((about / "METADATA").read_text(encoding="utf-8"), headersonly=True)
        classified = [
            text.split(" :: ")[-1] for text in metadata.get_all("Classifier", []) if text.startswith("License")
        ]
        licence = metadata["License-Expression"] or metadata["License"] or " ".join(classified)
        name = about.name.split("-")[0]
        paths = folder.glob("*yaml/**/*" if name == "pyyaml" else f"{name}/**/*")
        size = sum(path.stat().st_size for path in paths if path.is_file() and path.suffix != ".pyc")
        rows.append(f"| {metadata['Name']} | {metadata['Version']} | {licence} | {size / 1000:.0f} kB |")
    return "\n".join(rows)


def finding_codes() -> str:
    """A table of the kinds of findings for each engine, and for Vault's side."""
    tables = []
    for source, codes in FINDINGS.items():
        rows = [f"| `{code}` | {level} | {means} |" for code, (level, means) in codes.items()]
        tables.append("\n".join([f"| {source} | level | |", "|---|---|---|", *rows]))
    return "\n\n".join(tables)


def left_codes() -> str:
    """A table of what a command may have left in its database."""
    return "\n".join(["| left behind | |", "|---|---|", *(f"| `{code}` | {means} |" for code, means in LEFT.items())])


def query_tables() -> str:
    """The tables of `ledger query`, with their columns."""
    rows = ["| table | a row is | columns (text where no type is named) |", "|---|---|---|"]
    for table in TABLES:
        columns = [f"`{name}`" + ("" if kind == "VARCHAR" else f" {kind}") for name, kind in table.columns]
        rows.append(f"| `{table.name}` | {table.row} | {', '.join(columns)} |")
    return "\n".join(rows)


# The walk-through, played on the ledger of a real run of the demo.
POSTMORTEM = (
    "stepcreds ledger postmortem ledger --trust ledger/stepcreds-trust.json --run 9000000001 --needs ddl --at {}"
)
GONE, BEFORE = "2026-11-23T01:19:45.585Z", "2026-11-23T01:19:40Z"
PLAYED = {
    "postmortem verify": "stepcreds ledger verify ledger --trust ledger/stepcreds-trust.json --require-signed",
    "postmortem who": f"{POSTMORTEM.format(GONE)} | sed -n '/^## Who/,/^## Step/p'",
    "postmortem step": f"{POSTMORTEM.format(GONE)} | sed -n '/^### 4/,/^## Over/p'",
    "postmortem record": "sed -n 14p ledger/9000000001-1-deploy-*.jsonl | grep -o '\"changes\":.*}]'",
    "postmortem nobody": f"{POSTMORTEM.format(BEFORE)} | sed -n '/^### Could/,/^## Step/p'",
}


def played(command: str) -> str:
    """A command in examples/, and what it prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    run = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=REPOSITORY / "examples",
        env={"PATH": path, "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode or run.stderr:
        sys.exit(f"{command}: exit code {run.returncode}\n{run.stderr}")
    return f"```text\n$ {command}\n{run.stdout.rstrip()}\n```"


PARTS: dict[tuple[str, str], Callable[[], str]] = {
    **{("docs/postmortem.md", name): partial(played, command) for name, command in PLAYED.items()},
    ("docs/configuration.md", "configuration keys"): configuration_keys,
    ("docs/configuration.md", "engines"): engines,
    ("docs/commands.md", "commands"): commands,
    ("docs/vault.md", "database setup"): database_setup,
    ("docs/vault.md", "connection"): connection,
    ("docs/vault.md", "read-only role"): read_only_role,
    ("docs/vault.md", "ddl role"): ddl_role,
    ("docs/vault.md", "policy"): policy,
    ("docs/vault.md", "jwt role"): jwt_role,
    ("docs/setup.md", "cis"): setup_cis,
    ("docs/gitlab.md", "gitlab inputs"): gitlab_inputs,
    ("docs/github.md", "action inputs"): action_inputs,
    ("docs/github.md", "action outputs"): action_outputs,
    ("docs/query.md", "query tables"): query_tables,
    ("docs/scope.md", "finding codes"): finding_codes,
    ("docs/scope.md", "left codes"): left_codes,
    ("README.md", "exit codes"): exit_codes,
    ("docs/dependencies.md", "vendored"): vendored,
}
FILES: dict[str, Callable[[], str]] = {
    "schema/stepcreds.schema.json": schema_file,
    "schema/ledger.schema.json": ledger_schema_file,
}


def wanted(path: Path, old: str, name: str, text: str) -> str:
    """`old` with the generated part `name` made anew. Exits where the marks are missing."""
    begin, end = f"<!-- generated: {name} -->\n", f"<!-- end: {name} -->"
    if old.count(begin) != 1 or old.count(end) != 1:
        sys.exit(f"{path}: the marks of the generated part '{name}' are not there, or not once")
    before, rest = old.split(begin)
    return f"{before}{begin}\n{text}\n\n{end}{rest.split(end)[1]}"


def broken_links() -> list[str]:
    """Relative links of the documentation whose file, or whose section in it, is not there."""
    broken = []
    for path in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("examples/*.md")]:
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            name, _, section = target.partition("#")
            there = path.parent / name if name else path
            if "://" in target or (there.exists() and (not section or section in anchors(there))):
                continue
            broken.append(f"{path.relative_to(REPOSITORY)}: {target}")
    return broken


def anchors(path: Path) -> set[str]:
    """What can stand after `#`: the ids that a page sets, and those that GitHub makes of its headings.

    Lower case, without punctuation, `-` for each blank, and `-1` behind the second heading of a name:
    https://github.com/gjtorikian/html-pipeline/blob/v2.14.3/lib/html/pipeline/toc_filter.rb
    """
    text = path.read_text(encoding="utf-8")
    headings: Counter[str] = Counter()
    found = set(re.findall(r'<a id="([^"]+)">', text))
    outside_code = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r"^#{1,6} +(.*)$", outside_code, re.MULTILINE):
        title = re.sub(r"\[([^]]*)\]\([^)]*\)|<[^>]*>", r"\1", heading).strip().lower()
        name = re.sub(r"[^\w\- ]", "", title).replace(" ", "-")
        found.add(f"{name}-{headings[name]}" if name in headings else name)
        headings[name] += 1
    return found


def main(check: bool) -> int:
    """Rewrites, or with `check` prints a diff of what is stale; the exit code."""
    texts: dict[Path, str] = {}
    for (name, part), generate in PARTS.items():
        path = REPOSITORY / name
        texts[path] = wanted(path, texts.get(path) or path.read_text(encoding="utf-8"), part, generate())
    for name, generate in FILES.items():
        texts[REPOSITORY / name] = generate()
    stale = 0
    for path, text in texts.items():
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old == text:
            continue
        stale += 1
        shown = str(path.relative_to(REPOSITORY))
        if check:
            lines = difflib.unified_diff(old.splitlines(True), text.splitlines(True), shown, f"{shown} (generated)")
            sys.stdout.writelines(lines)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{shown}: written\n")
    for link in broken_links():
        sys.stdout.write(f"a link that leads nowhere: {link}\n")
        check, stale = True, stale + 1
    if check and stale:
        sys.stdout.write(f"{stale} of {len(texts)} files are stale; run: make docs\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
