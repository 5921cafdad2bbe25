"""Every key of stepcreds.yml in one table; the check of a file, the JSON Schema and the reference are made from it.

It says what a single value may look like. What values must be to one another (a `ttl` under `max_ttl`) is said in
`vault_settings.py` and `profiles.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from stepcreds.config.key import Key
from stepcreds.config.store_url import FORMS as STORE_FORMS
from stepcreds.config.store_url import PATTERN as STORE_URL

VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_VARIABLE_RULE = "must be the name of a variable: letters, digits and '_', not beginning with a digit"
_TEMPLATE = Key("", "template")
_TEXT = Key("", "text")
_TABLE = Key("", "text", pattern=r".\..", rule="must be schema.table", example="app.orders")
_COLUMN = Key("", "text", pattern=r".\..+\..", rule="must be schema.table.column", example="app.orders.email")
ROLE = r"^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$"
ROLE_RULE = "must be the name of a role: letters, digits, '_', and within it '-' and '.'"
_VARIABLE_NAME = Key("", "text", pattern=VARIABLE, rule=_VARIABLE_RULE)
_ADDRESS = Key(
    "", "text", pattern="^https?://", rule="must begin with https://", example="https://vault.example.com:8200"
)


_AUTH = (
    Key(
        "mount",
        "text",
        "Where the JWT auth method is mounted: the login is `auth/<mount>/login`.",
        default="`jwt`",
        example="jwt",
    ),
    Key(
        "audience",
        "text",
        "The audience of the OIDC token. With an address in this file it must name the same host.",
        default="the address; of several hosts, all addresses with a space between them",
        example="https://vault.example.com:8200",
    ),
    Key(
        "id_token_variable",
        "text",
        "The variable that holds the OIDC token, on a CI whose author names it (GitLab's `id_tokens:`).",
        default="`VAULT_ID_TOKEN`",
        example="VAULT_ID_TOKEN",
        pattern=VARIABLE,
        rule=_VARIABLE_RULE,
    ),
)

_VAULT = (
    Key(
        "address",
        "one or list",
        "The address of Vault or OpenBao, or a list of them that is tried in turn. `http` only on loopback.",
        default="`VAULT_ADDR`, `BAO_ADDR`; `STEPCREDS_VAULT_ADDR` goes before this key",
        example="https://vault.example.com:8200",
        keys=(_ADDRESS,),
        at_least_one=True,
    ),
    Key(
        "namespace",
        "text",
        "The namespace of every request.",
        default="`VAULT_NAMESPACE`, `BAO_NAMESPACE`, else none",
        example="platform",
        pattern=r"^[!-~]+$",
        rule="must be a path without spaces",
    ),
    Key(
        "ca_cert",
        "text",
        "A file, or a folder, of PEM certificates that the server's certificate is checked against.",
        default="`VAULT_CACERT`, `BAO_CACERT`, `VAULT_CAPATH`, `BAO_CAPATH`, else the system's",
        example="deploy/vault-ca.pem",
    ),
    Key(
        "client_cert",
        "text",
        "The client's certificate for mutual TLS, PEM. Needs `client_key`.",
        default="`VAULT_CLIENT_CERT`, `BAO_CLIENT_CERT`, else none",
        example="deploy/ci.pem",
    ),
    Key(
        "client_key",
        "text",
        "The key of `client_cert`, PEM.",
        default="`VAULT_CLIENT_KEY`, `BAO_CLIENT_KEY`, else none",
        example="deploy/ci-key.pem",
    ),
    Key("auth", "section", "How a step logs in.", keys=_AUTH),
)

_TRANSIT = r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*/keys/"
_TRANSIT_RULE = "must be the path of a Transit key: <mount>/keys/<name>"
_PLACE = rf"^(?:{STORE_URL}|(?![A-Za-z][A-Za-z0-9+.-]*:)[^\r\n]+)$"

_SEAL = (
    Key(
        "key",
        "text",
        "The Transit key that signs seals: another one than `ledger.key`, which no step can sign with.",
        required=True,
        example="transit/keys/stepcreds-seal",
        pattern=_TRANSIT + r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$",
        rule=_TRANSIT_RULE,
    ),
    Key(
        "role",
        "text",
        "The role of the JWT auth method that the sealing job logs in with.",
        default="`stepcreds-seal`",
        example="stepcreds-seal",
        pattern=ROLE,
        rule=ROLE_RULE,
    ),
    Key(
        "to",
        "text",
        "Where the seals are: a folder, or an object store. Nothing there is ever overwritten.",
        default="`seals` in `ledger.path`",
        example="s3://audit-ledgers/seals",
        pattern=_PLACE,
        rule=f"must be a folder, or an object store without keys in it: {STORE_FORMS}",
    ),
)

_LEDGER = (
    Key(
        "path",
        "text",
        "The folder of the ledger, one file for each job attempt.",
        default="`$RUNNER_TEMP/stepcreds` on GitHub, elsewhere `.stepcreds` beside this file",
        example=".stepcreds",
    ),
    Key(
        "key",
        "text",
        "The Transit key that signs the ledger's checkpoints. `{repository_id}` in its name stands for the id of the "
        "repository, so that each has a key of its own.",
        default="none: the ledger is not signed",
        example="transit/keys/stepcreds-ledger-{repository_id}",
        pattern=_TRANSIT + r"([A-Za-z0-9_.-]|\{repository_id\})+$",
        rule=_TRANSIT_RULE,
    ),
    Key(
        "on_sign_failure",
        "choice",
        "Whether a step fails whose ledger Vault does not sign: before the command, so that it does not run; after it, "
        "with the code for what is not on record.",
        needs=("key",),
        default="`warn`",
        choices=("warn", "fail"),
    ),
    Key(
        "push",
        "text",
        "Where the ledger of a job is copied at its end: a folder, `artifact` for an artifact of the run (GitHub), or "
        "an object store (`s3://bucket/prefix`, `gs://…`, `az://…`). Nothing there is ever overwritten.",
        default="nowhere",
        example="s3://audit-ledgers/chains/shop",
        pattern=_PLACE,
        rule=f"must be a folder, `artifact`, or an object store without keys in it: {STORE_FORMS}",
    ),
    Key(
        "on_push_failure",
        "choice",
        "Whether a ledger that cannot be copied fails the job.",
        instead_of=("require", "required"),
        needs=("push",),
        default="`warn`",
        choices=("warn", "fail"),
    ),
    Key("seal", "section", "How a scheduled job seals the ledgers of many jobs.", keys=_SEAL),
)

_ALLOW = (
    Key(
        "what",
        "text",
        "The finding, by code and subject as `stepcreds scope` names it.",
        required=True,
        example="PG.SCHEMA.CREATE public",
    ),
    Key("reason", "text", "Why it is accepted.", required=True, example="the vendor's migrations need it"),
    Key(
        "expires",
        "text",
        "The last day (UTC) on which it is accepted; after it the finding is excess again.",
        required=True,
        example="2027-01-31",
        pattern="^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
        rule="must be a date: YYYY-MM-DD",
    ),
)

PROFILE = (
    Key(
        "role",
        "text",
        "The role of the JWT auth method to log in with.",
        default="the profile's name",
        example="app-migrate",
        pattern=ROLE,
        rule=ROLE_RULE,
    ),
    Key(
        "creds",
        "text",
        "The path that is read to issue the credential.",
        required=True,
        example="database/creds/app-migrate",
    ),
    Key(
        "database",
        "text",
        "Where the database is, without a user or a password. Required for a database's credential.",
        needs=("access",),
        example="postgresql://db.example.com:5432/app?sslmode=verify-full",
    ),
    Key(
        "access",
        "choice",
        "How much the credential may do. Required with `database`.",
        needs=("database",),
        example="read-only",
        choices=("read-only", "read-write", "ddl"),
    ),
    Key(
        "schemas",
        "list",
        "The schemas that `access` is about.",
        default="all",
        example="[app]",
        needs=("database",),
        keys=(_TEXT,),
    ),
    Key(
        "databases",
        "list",
        "The databases that `access` is about; each is measured.",
        default="that of the URL",
        needs=("database",),
        keys=(_TEXT,),
    ),
    Key(
        "tables",
        "list",
        "The tables, views and sequences that `access` is about, `schema.table` (MySQL: `database.table`).",
        default="all",
        example="[app.orders]",
        needs=("database",),
        keys=(_TABLE,),
    ),
    Key(
        "columns",
        "list",
        "Columns that `access` is about beside `tables`, `schema.table.column`.",
        default="all",
        example="[app.customers.id]",
        needs=("database",),
        keys=(_COLUMN,),
    ),
    Key(
        "allow",
        "list",
        "What goes beyond all this and somebody decided to accept. A warning names an entry that is not needed.",
        needs=("database",),
        default="none",
        keys=(Key("", "section", keys=_ALLOW),),
    ),
    Key(
        "ttl",
        "duration",
        "How long the credential lives without renewal: what a runner that dies leaves behind.",
        default="`2m`",
        example="2m",
    ),
    Key("max_ttl", "duration", "After this the step is ended (exit code 124).", default="`30m`", example="30m"),
    Key(
        "on_excess",
        "choice",
        "What happens when the credential can do more than the profile declares: it is ended and the step fails "
        "(exit code 125), or a warning says so and the step goes on.",
        default="`fail`",
        choices=("fail", "warn"),
    ),
    Key(
        "measure",
        "choice",
        "Whether the server is asked what the credential can do, before the command gets it. `off`: nobody looks, and "
        "the log and the ledger say so. Must be `off` for an engine that cannot be measured.",
        default="`on`",
        choices=("on", "off"),
    ),
    Key(
        "on_revoke_failure",
        "choice",
        "Whether a credential that is not proven dead fails the step (exit code 121).",
        default="`fail`",
        choices=("fail", "warn"),
    ),
    Key(
        "revocation",
        "choice",
        "`none` says that what is read at `creds` cannot be revoked (kv), and that this is known.",
        default="`lease`",
        choices=("lease", "none"),
    ),
    Key(
        "env",
        "named",
        "The variables that the command gets, name and template.",
        default="the engine's usual names; none without `database`",
        example='{DATABASE_URL: "{url}"}',
        keys=(_TEMPLATE,),
        names=_VARIABLE_NAME,
    ),
    Key(
        "files",
        "named",
        "The files that the command gets, path and content: 0600, in a private folder, removed at the end.",
        default="none",
        example='{"{dir}/pgpass": "{host}:{port}:{database}:{username}:{password}"}',
        keys=(_TEMPLATE,),
        names=_TEXT,
    ),
    Key(
        "keep",
        "list",
        "Variables that the command inherits although they would be removed, by name.",
        default="none",
        example="[PGAPPNAME]",
        keys=(_VARIABLE_NAME,),
    ),
)

_PROFILE_NAME = Key(
    "",
    "text",
    pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$",
    rule="must be lower-case letters, digits, '_' and '-', not beginning with '_' or '-', 64 at the most",
)

ROOT = Key(
    "",
    "section",
    keys=(
        Key("version", "version", "The version of this file's format.", required=True, example="1"),
        Key("vault", "section", "Which Vault or OpenBao, and how to reach it.", keys=_VAULT),
        Key("ledger", "section", "Where it is written down what each step held.", keys=_LEDGER),
        Key(
            "profiles",
            "named",
            "The credentials that a step may ask for, by name.",
            required=True,
            unless="ledger.seal",
            keys=(Key("", "section", keys=PROFILE),),
            names=_PROFILE_NAME,
            at_least_one=True,
        ),
    ),
)


def sections(key: Key = ROOT, path: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every section, outermost first: its dotted path ("profiles.<name>.allow[]") and the names of its keys."""
    if key.kind == "section":
        yield path, tuple(child.name for child in key.keys)
    for child in key.keys:
        inner = f"{path}.{child.name}" if path else child.name
        yield from sections(child, {"named": f"{path}.<name>", "list": f"{path}[]"}.get(key.kind, inner))
