"""Every message of the loader, whole, with its place. Each case is one profile under the head of the examples."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_examples import HEAD, problems

# Lines of the profile `a`, and the problem: line and column, key, what, fix.
PROFILE: dict[str, tuple[str, tuple[str, str, str, str]]] = {
    "unknown key": (
        "creds: aws/creds/a\n    max-ttl: 3m\n    env: {A: x}",
        ("6:5", "profiles.a.max-ttl", "unknown key", 'Did you mean "max_ttl"?'),
    ),
    "key of another section": (
        "creds: aws/creds/a\n    audience: x\n    env: {A: x}",
        ("6:5", "profiles.a.audience", "unknown key", "It belongs under vault.auth."),
    ),
    "key of the top": (
        "creds: aws/creds/a\n    version: 1\n    env: {A: x}",
        ("6:5", "profiles.a.version", "unknown key", "It belongs at the top of the file."),
    ),
    "another word for a key": (
        "creds: aws/creds/a\n    env: {A: x}\nledger:\n  push: kept\n  require: true",
        ("9:3", "ledger.require", "unknown key", "Write on_push_failure: fail."),
    ),
    "key like no other": (
        "creds: aws/creds/a\n    zzzzzz: 1\n    env: {A: x}",
        (
            "6:5",
            "profiles.a.zzzzzz",
            "unknown key",
            "The keys here are: role, creds, database, access, schemas, databases, tables, columns, allow, ttl, "
            "max_ttl, on_excess, measure, on_revoke_failure, revocation, env, files, keep.",
        ),
    ),
    "duplicate key": (
        "creds: aws/creds/a\n    env: {A: x}\n    creds: aws/creds/b",
        ("7:5", "profiles.a.creds", "the key is given twice, first in line 5", "Keep one of the two."),
    ),
    "duplicate variable": (
        "creds: aws/creds/a\n    env: {A: x, A: y}",
        ("6:17", "profiles.a.env.A", "the key is given twice, first in line 6", "Keep one of the two."),
    ),
    "missing creds": (
        "env: {A: x}",
        ("4:3", "profiles.a.creds", "the key is missing", "For example: creds: database/creds/app-migrate"),
    ),
    "no value": (
        "creds: aws/creds/a\n    role:\n    env: {A: x}",
        ("6:5", "profiles.a.role", "the key has no value", "Give it one, or remove the line."),
    ),
    "a number": (
        "creds: aws/creds/a\n    role: 12\n    env: {A: x}",
        ("6:5", "profiles.a.role", "must be a text, and is a number", "Put it in quotes."),
    ),
    "true": (
        "creds: aws/creds/a\n    role: true\n    env: {A: x}",
        ("6:5", "profiles.a.role", "must be a text, and is true or false", "Put it in quotes."),
    ),
    "a list": (
        "creds: [aws/creds/a]\n    env: {A: x}",
        ("5:5", "profiles.a.creds", "must be a text, and is a list", ""),
    ),
    "template without quotes": (
        "creds: aws/creds/a\n    env: {A: {url}}",
        ("6:11", "profiles.a.env.A", "must be a text, and is a mapping", 'Put it in quotes: "{…}"'),
    ),
    "not a list": (
        "creds: aws/creds/a\n    keep: PGAPPNAME\n    env: {A: x}",
        ("6:5", "profiles.a.keep", "must be a list, and is a text", "Write it in brackets: keep: […]"),
    ),
    "not a mapping": (
        "creds: aws/creds/a\n    env: A",
        ("6:5", "profiles.a.env", "must be a mapping, and is a text", ""),
    ),
    "twice in a list": (
        "creds: aws/creds/a\n    keep: [A, A]\n    env: {A: x}",
        ("6:15", "profiles.a.keep[1]", "the same is in the list already", "Remove it."),
    ),
    "name of a variable to keep": (
        "creds: aws/creds/a\n    keep: [PG*]\n    env: {A: x}",
        (
            "6:12",
            "profiles.a.keep[0]",
            "must be the name of a variable: letters, digits and '_', not beginning with a digit",
            "",
        ),
    ),
    "name of a variable": (
        "creds: aws/creds/a\n    env: {2A: x}",
        (
            "6:11",
            "profiles.a.env.2A",
            "the name must be the name of a variable: letters, digits and '_', not beginning with a digit",
            "",
        ),
    ),
    "role": (
        "creds: aws/creds/a\n    role: auth/jwt/role/a\n    env: {A: x}",
        (
            "6:5",
            "profiles.a.role",
            "must be the name of a role: letters, digits, '_', and within it '-' and '.'",
            "For example: role: app-migrate",
        ),
    ),
    "choice": (
        "creds: aws/creds/a\n    on_excess: fial\n    env: {A: x}",
        ("6:5", "profiles.a.on_excess", '"fial" is not one of fail, warn', 'Did you mean "fail"?'),
    ),
    "choice like no other": (
        "creds: aws/creds/a\n    measure: true\n    env: {A: x}",
        ("6:5", "profiles.a.measure", '"true" is not one of on, off', "Use one of: on, off."),
    ),
    "access": (
        "creds: database/creds/a\n    database: mysql://db\n    access: readonly",
        (
            "7:5",
            "profiles.a.access",
            '"readonly" is not one of read-only, read-write, ddl',
            'Did you mean "read-only"?',
        ),
    ),
    "duration": (
        "creds: aws/creds/a\n    ttl: 2 minutes\n    env: {A: x}",
        (
            "6:5",
            "profiles.a.ttl",
            '"2 minutes" is not a duration',
            "Write seconds (90), or hours, minutes and seconds (90s, 2m, 1h30m).",
        ),
    ),
    "short": (
        "creds: aws/creds/a\n    ttl: 9s\n    env: {A: x}",
        ("6:5", "profiles.a.ttl", "9s is out of range: from 10s to 24h", ""),
    ),
    "long": (
        "creds: aws/creds/a\n    max_ttl: 86401\n    env: {A: x}",
        ("6:5", "profiles.a.max_ttl", "24h1s is out of range: from 10s to 24h", ""),
    ),
    "ttl over max_ttl": (
        "creds: aws/creds/a\n    ttl: 40m\n    env: {A: x}",
        ("6:5", "profiles.a.ttl", "the ttl (40m) is longer than max_ttl (30m)", "Lower ttl, or raise max_ttl."),
    ),
    "max_ttl under the default": (
        "creds: aws/creds/a\n    max_ttl: 1m30s\n    env: {A: x}",
        ("6:5", "profiles.a.max_ttl", "the ttl (2m) is longer than max_ttl (1m30s)", "Lower ttl, or raise max_ttl."),
    ),
    "missing database": (
        "creds: eu/database/creds/a",
        (
            "4:3",
            "profiles.a.database",
            "the key is missing: where the credential of database/creds is used, measured and proven dead",
            "For example: database: postgresql://db.example.com:5432/app",
        ),
    ),
    "missing access": (
        "creds: database/creds/a\n    database: postgresql://db/app",
        (
            "4:3",
            "profiles.a.access",
            "the key is missing: how much the credential may do",
            "One of: read-only, read-write, ddl.",
        ),
    ),
    "schemas without database": (
        "creds: aws/creds/a\n    schemas: [app]\n    env: {A: x}",
        (
            "6:5",
            "profiles.a.schemas",
            "it says what a database's credential may do, and this profile has no database",
            "Give the database, or remove the line.",
        ),
    ),
    "schemas on an engine without": (
        "creds: database/creds/a\n    database: mysql://db/app\n    access: ddl\n    schemas: [app]",
        (
            "8:5",
            "profiles.a.schemas",
            "mysql has no schemas apart from databases "
            "(these have: postgresql, mssql, oracle, redshift, snowflake, hana)",
            "List the databases under the key databases.",
        ),
    ),
    "static-creds": (
        "creds: database/static-creds/a\n    database: mysql://db/app\n    access: ddl\n    revocation: none",
        (
            "5:5",
            "profiles.a.creds",
            "the password of a static role is rotated, never revoked: when the step ends nothing ends with it",
            "Make a dynamic role, and read database/creds/<role>.",
        ),
    ),
    "a definition": (
        "creds: database/roles/a\n    database: mysql://db/app\n    access: ddl",
        (
            "5:5",
            "profiles.a.creds",
            "this path is a definition, and reading it issues nothing",
            "Read database/creds/<role>.",
        ),
    ),
    "kv without revocation: none": (
        "creds: secret/data/a\n    env: {A: x}",
        (
            "5:5",
            "profiles.a.creds",
            "what is read here has no lease, so it cannot be revoked when the step ends",
            "Use a dynamic engine; or say that this is known, with revocation: none",
        ),
    ),
    "database without revocation": (
        "creds: database/creds/a\n    database: mysql://db/app\n    access: ddl\n    revocation: none",
        (
            "8:5",
            "profiles.a.revocation",
            "the credentials of database/creds have a lease, and are revoked",
            "Remove the line: none is for what has no lease.",
        ),
    ),
    "nothing delivered": (
        "creds: aws/creds/a",
        (
            "4:3",
            "profiles.a.env",
            "nothing of the credential would reach the command",
            'For example: env: {TOKEN: "{token}"}',
        ),
    ),
    "the usual names replaced by nothing": (
        "creds: database/creds/a\n    database: mysql://db\n    access: ddl\n    env: {}",
        (
            "8:5",
            "profiles.a.env",
            "nothing of the credential would reach the command",
            'For example: env: {TOKEN: "{token}"}',
        ),
    ),
    "unknown field": (
        'creds: database/creds/a\n    database: mysql://db\n    access: ddl\n    env: {A: "{pasword}"}',
        ("8:11", "profiles.a.env.A", "{pasword} is not a field here", 'Did you mean "password"?'),
    ),
    "unknown field in a file": (
        'creds: database/creds/a\n    database: mysql://db\n    access: ddl\n    files: {"{dir}/a": "{lease}"}',
        (
            "8:13",
            "profiles.a.files.{dir}/a",
            "{lease} is not a field here",
            "Use one of: url, username, password, host, port, database, scheme, sslmode, sslrootcert, dir.",
        ),
    ),
    "field in a path": (
        'creds: aws/creds/a\n    files: {"{dir}/{access_key}": x}',
        ("6:13", "profiles.a.files.{dir}/{access_key}", "{access_key} is not a field here", "Use one of: dir."),
    ),
    "template that cannot be read": (
        'creds: aws/creds/a\n    env: {A: "{a"}',
        (
            "6:11",
            "profiles.a.env.A",
            "the template cannot be read: expected '}' before end of string; "
            "a brace that is meant as such is written twice",
            "",
        ),
    ),
    "form": (
        'creds: aws/creds/a\n    env: {A: "{a:urlencode}"}',
        (
            "6:11",
            "profiles.a.env.A",
            "the template cannot be read: {a:urlencode} is not a form: use {a} or one of {a:url}, {a:base64}, {a:json}",
            "",
        ),
    ),
    "file outside": (
        'creds: aws/creds/a\n    files: {"{dir}/../a": x}',
        (
            "6:13",
            "profiles.a.files.{dir}/../a",
            "the file is not inside the step's private folder",
            'Write a path below it, for example: "{dir}/pgpass"',
        ),
    ),
    "no such day": (
        "creds: database/creds/a\n    database: mysql://db\n    access: ddl\n    allow:\n"
        "      - {what: x, reason: y, expires: 2027-02-29}",
        ("9:30", "profiles.a.allow[0].expires", "there is no such day", ""),
    ),
    "no date": (
        "creds: database/creds/a\n    database: mysql://db\n    access: ddl\n    allow:\n"
        "      - {what: x, reason: y, expires: never}",
        ("9:30", "profiles.a.allow[0].expires", "must be a date: YYYY-MM-DD", "For example: expires: 2027-01-31"),
    ),
    "no reason": (
        "creds: database/creds/a\n    database: mysql://db\n    access: ddl\n    allow:\n"
        "      - {what: x, expires: 2027-02-28}",
        (
            "9:9",
            "profiles.a.allow[0].reason",
            "the key is missing",
            "For example: reason: the vendor's migrations need it",
        ),
    ),
    "allowed twice": (
        "creds: database/creds/a\n    database: mysql://db\n    access: ddl\n    allow:\n"
        "      - {what: x, reason: y, expires: 2027-02-28}\n      - {what: x, reason: z, expires: 2027-02-28}",
        ("10:10", "profiles.a.allow[1].what", "the same is in the list already", "Remove one of the two."),
    ),
    "nobody can measure it": (
        "creds: database/creds/a\n    database: rediss://cache\n    access: read-only\n    env: {A: x}",
        (
            "4:3",
            "profiles.a.measure",
            "what a credential of redis can do cannot be measured (it can for postgresql, mysql, mariadb)",
            "Say that this is known: measure: off",
        ),
    ),
    "table": (
        "creds: database/creds/a\n    database: mysql://db\n    access: ddl\n    tables: [orders]",
        ("8:14", "profiles.a.tables[0]", "must be schema.table", "For example: app.orders"),
    ),
    "column": (
        "creds: database/creds/a\n    database: mysql://db\n    access: ddl\n    columns: [app.orders]",
        ("8:15", "profiles.a.columns[0]", "must be schema.table.column", "For example: app.orders.email"),
    ),
    "table of another schema": (
        "creds: database/creds/a\n    database: postgresql://db/app\n    access: ddl\n    schemas: [app]\n"
        "    tables: [app.a, audit.log]",
        ("9:21", "profiles.a.tables[1]", "it is in none of the schemas", "Add its schema to the key schemas."),
    ),
    "no expiry": (
        "creds: database/creds/a\n    database: mysql://db\n    access: ddl\n    allow:\n      - {what: x, reason: y}",
        ("9:9", "profiles.a.allow[0].expires", "the key is missing", "For example: expires: 2027-01-31"),
    ),
}

PATHS = {
    "/database/creds/a": "the path begins with a '/'",
    "v1/database/creds/a": "the path begins with v1/, which is added",
    "database/creds/": "the path ends with a '/'",
    "database/creds/*": "the path holds a glob, as a policy may, and a path that is read may not",
    "database/+/a": "the path holds a glob, as a policy may, and a path that is read may not",
    "database/../sys/a": "the path holds an empty segment, '.' or '..'",
    "database//a": "the path holds an empty segment, '.' or '..'",
    "database/creds/a b": "the path holds a character that does not belong in it",
    "database/creds/a?list=true": "the path holds a character that does not belong in it",
    "app-migrate": "the path names a mount or a role, and not both",
}


@pytest.mark.parametrize("name", PROFILE)
def test_a_problem_of_a_profile(name: str, tmp_path: Path) -> None:
    lines, (place, key, what, fix) = PROFILE[name]
    assert problems(tmp_path, f"{HEAD}  a:\n    {lines}\n") == [(f"stepcreds.yml:{place}", key, what, fix)]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_is_none(path: str, tmp_path: Path) -> None:
    text = f"{HEAD}  a: {{creds: '{path}', env: {{A: x}}}}\n"
    fix = "For example: creds: database/creds/app-migrate"
    assert problems(tmp_path, text) == [("stepcreds.yml:4:7", "profiles.a.creds", PATHS[path], fix)]


def test_everything_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
vualt: {}
version: 2
vault:
  address: https://vault.example.com
  auth: {mount: auth/jwt/}
profiles:
  Migrate:
    creds: aws/creds/a
    creds: aws/creds/b
    env: {A: x}
  verify:
    env: {A: x}
"""
    assert problems(tmp_path, text) == [
        ("stepcreds.yml:1:1", "vualt", "unknown key", 'Did you mean "vault"?'),
        ("stepcreds.yml:2:1", "version", "this stepcreds reads version 1 only", "Write: version: 1"),
        ("stepcreds.yml:5:10", "vault.auth.mount", "the mount begins with auth/, which is added", "Write: mount: jwt"),
        (
            "stepcreds.yml:7:3",
            "profiles.Migrate",
            "the name must be lower-case letters, digits, '_' and '-', not beginning with '_' or '-', 64 at the most",
            "",
        ),
        (
            "stepcreds.yml:9:5",
            "profiles.Migrate.creds",
            "the key is given twice, first in line 8",
            "Keep one of the two.",
        ),
        (
            "stepcreds.yml:11:3",
            "profiles.verify.creds",
            "the key is missing",
            "For example: creds: database/creds/app-migrate",
        ),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("profiles: {}\nversion: 1\n", ("1:1", "profiles", "there is none", "Give at least one.")),
        ("version: 1\n", ("1:1", "profiles", "the key is missing", "")),
        (
            "version: '1'\nprofiles: {a: {creds: a/b, env: {A: x}}}\n",
            ("1:1", "version", "must be the number 1", "Write: version: 1"),
        ),
        (
            "profiles: {a: {creds: a/b, env: {A: x}}}\n",
            ("1:1", "version", "the key is missing", "For example: version: 1"),
        ),
        ("a text\n", ("1:1", "", "must be a mapping, and is a text", "")),
        (
            "version: 1\nledger: {key: stepcreds}\nprofiles: {a: {creds: a/b, env: {A: x}}}\n",
            (
                "2:10",
                "ledger.key",
                "must be the path of a Transit key: <mount>/keys/<name>",
                "For example: key: transit/keys/stepcreds-ledger-{repository_id}",
            ),
        ),
    ],
)
def test_a_problem_of_the_whole(text: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    place, key, what, fix = expected
    found = problems(tmp_path, text, {"VAULT_ADDR": "https://vault.example.com"})
    assert found == [(f"stepcreds.yml:{place}", key, what, fix)]


def test_a_hundred_problems_are_enough(tmp_path: Path) -> None:
    text = HEAD + "".join(f"  a{number}: {{zzzzzz: x}}\n" for number in range(5000))
    found = problems(tmp_path, text)
    assert len(found) == 101
    assert found[-1] == ("stepcreds.yml", "", "there may be more problems: reading stopped here", "")
