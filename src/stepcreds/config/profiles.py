"""The `profiles:` section: what the values of one profile must be to one another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

from stepcreds.config.creds_path import kind_of, path_problem
from stepcreds.config.database_url import NOTHING_KEPT, DatabaseURLError, parse_database_url
from stepcreds.config.delivered import check_templates
from stepcreds.config.duration import in_words
from stepcreds.config.engines import ENGINES, ENGINES_BY_NAME
from stepcreds.config.model import Access, Allowance, DatabaseURL, Profile
from stepcreds.config.problems import Problems
from stepcreds.config.schema import PROFILE
from stepcreds.config.shape import Value

_ABOUT_A_DATABASE = tuple(key.name for key in PROFILE if "database" in key.needs)


def read_profile(
    name: str,
    given: Mapping[str, Value],
    problems: Problems,
    *,
    base_folder: Path,
    today: str | None = None,
    kept: Mapping[Path, Path] = NOTHING_KEPT,
) -> Profile:
    """The profile `name`. What is wrong with it goes to `problems`.

    `today` is the UTC date, YYYY-MM-DD, where what expired before is a problem; `kept` is as `parse_database_url` has
    it.
    """
    reader = _Reader(f"profiles.{name}", given, problems)
    database = reader.database(base_folder, kept)
    creds = reader.creds()
    reader.about_a_database(database)
    ttl, max_ttl = reader.duration("ttl", 120.0), reader.duration("max_ttl", 1800.0)
    if ttl > max_ttl:
        key = "ttl" if "ttl" in given else "max_ttl"
        what = f"the ttl ({in_words(ttl)}) is longer than max_ttl ({in_words(max_ttl)})"
        reader.wrong(key, what, "Lower ttl, or raise max_ttl.")
    reader.delivery()
    env, files = given.get("env"), given.get("files")
    return Profile(
        name=name,
        role=str(given.get("role") or name),
        creds=creds,
        database=database,
        access=cast("Access | None", given.get("access")),
        schemas=reader.texts("schemas"),
        databases=reader.texts("databases"),
        tables=reader.texts("tables"),
        columns=reader.texts("columns"),
        allow=reader.allow(today),
        ttl=ttl,
        max_ttl=max_ttl,
        on_excess=cast(Literal["fail", "warn"], given.get("on_excess") or "fail"),
        measure=cast(Literal["on", "off"], given.get("measure") or "on"),
        on_revoke_failure=cast(Literal["fail", "warn"], given.get("on_revoke_failure") or "fail"),
        revocation=cast(Literal["lease", "none"], given.get("revocation") or "lease"),
        env={variable: str(text) for variable, text in env.items()} if isinstance(env, dict) else None,
        files={path: str(text) for path, text in files.items()} if isinstance(files, dict) else {},
        keep=reader.texts("keep"),
    )


class _Reader:
    def __init__(self, path: str, given: Mapping[str, Value], problems: Problems) -> None:
        self.path = path
        self.given = given
        self.problems = problems

    def wrong(self, key: str, what: str, fix: str = "") -> None:
        self.problems.add(f"{self.path}.{key}" if key else self.path, what, fix)

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.given.get(key)
        return tuple(str(item) for item in value) if isinstance(value, list) else ()

    def duration(self, key: str, default: float) -> float:
        value = self.given.get(key)
        return value if isinstance(value, float) else default

    def database(self, base_folder: Path, kept: Mapping[Path, Path]) -> DatabaseURL | None:
        text = self.given.get("database")
        if text is None:
            return None
        try:
            return parse_database_url(str(text), base_folder, kept)
        except DatabaseURLError as error:
            for what, fix in error.problems:
                self.wrong("database", what, fix)
            return None

    def creds(self) -> str:
        path = self.given.get("creds")
        if path is None:
            return ""
        path = str(path)
        if what := path_problem(path):
            self.wrong("creds", what, "For example: creds: database/creds/app-migrate")
            return path
        if "/" not in path:
            self.wrong(
                "creds",
                "the path names a mount or a role, and not both",
                "For example: creds: database/creds/app-migrate",
            )
            return path
        kind = kind_of(path)
        revocation = self.given.get("revocation", "lease")
        if kind == "static database":
            what = "the password of a static role is rotated, never revoked: when the step ends nothing ends with it"
            self.wrong("creds", what, "Make a dynamic role, and read database/creds/<role>.")
        elif kind == "database configuration":
            self.wrong(
                "creds", "this path is a definition, and reading it issues nothing", "Read database/creds/<role>."
            )
        elif kind == "database" and "database" not in self.given:
            what = "the key is missing: where the credential of database/creds is used, measured and proven dead"
            self.wrong("database", what, "For example: database: postgresql://db.example.com:5432/app")
        elif kind == "unleased" and revocation == "lease":
            what = "what is read here has no lease, so it cannot be revoked when the step ends"
            self.wrong("creds", what, "Use a dynamic engine; or say that this is known, with revocation: none")
        if kind == "database" and revocation == "none":
            what = "the credentials of database/creds have a lease, and are revoked"
            self.wrong("revocation", what, "Remove the line: none is for what has no lease.")
        return path

    def about_a_database(self, database: DatabaseURL | None) -> None:
        if "database" not in self.given:
            for key in _ABOUT_A_DATABASE:
                if self.given.get(key) is not None:
                    what = "it says what a database's credential may do, and this profile has no database"
                    self.wrong(key, what, "Give the database, or remove the line.")
            return
        if "access" not in self.given:
            what = "the key is missing: how much the credential may do"
            self.wrong("access", what, "One of: read-only, read-write, ddl.")
        if database is not None and "schemas" in self.given and not ENGINES_BY_NAME[database.engine].has_schemas:
            with_schemas = ", ".join(engine.name for engine in ENGINES if engine.has_schemas)
            what = f"{database.engine} has no schemas apart from databases (these have: {with_schemas})"
            self.wrong("schemas", what, "List the databases under the key databases.")
        if database is not None and not ENGINES_BY_NAME[database.engine].is_measured:
            self.not_measured(database.engine)
        self.within_schemas()

    def not_measured(self, engine: str) -> None:
        """What nobody looks at is to be said in the file, where a reviewer reads it."""
        if self.given.get("measure", "on") == "on":
            measured = ", ".join(each.name for each in ENGINES if each.is_measured)
            what = f"what a credential of {engine} can do cannot be measured (it can for {measured})"
            self.wrong("measure", what, "Say that this is known: measure: off")

    def within_schemas(self) -> None:
        """A relation whose schema is not declared would be beyond the profile that names it."""
        schemas = self.texts("schemas")
        for key in ("tables", "columns"):
            for index, name in enumerate(self.texts(key)):
                if schemas and not any(name.startswith(f"{schema}.") for schema in schemas):
                    self.wrong(f"{key}[{index}]", "it is in none of the schemas", "Add its schema to the key schemas.")

    def allow(self, today: str | None) -> tuple[Allowance, ...]:
        entries = self.given.get("allow")
        allowances: list[Allowance] = []
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if not isinstance(entry, dict):
                continue
            expires = str(entry.get("expires") or "")
            if any(each.what == entry.get("what") for each in allowances):
                self.wrong(f"allow[{index}].what", "the same is in the list already", "Remove one of the two.")
            if expires and not _is_date(expires):
                self.wrong(f"allow[{index}].expires", "there is no such day")
            elif expires and today is not None and expires < today:
                what = f"the allowance expired on {expires}"
                fix = "Take the privilege away, or decide again and give a later day."
                self.wrong(f"allow[{index}].expires", what, fix)
            allowances.append(Allowance(str(entry.get("what")), str(entry.get("reason")), expires))
        return tuple(allowances)

    def delivery(self) -> None:
        env, files = self.given.get("env"), self.given.get("files")
        for key, value in ("env", env), ("files", files):
            check_templates(f"{self.path}.{key}", value, is_database="database" in self.given, problems=self.problems)
        # Without env, a database's credential has its engine's usual names; an empty env replaces them with nothing.
        has_default = "database" in self.given and "env" not in self.given
        broken = any(key in self.given and self.given[key] is None for key in ("env", "files"))
        needs_database = kind_of(str(self.given.get("creds"))) == "database"  # said already
        if not (has_default or env or files or broken or (needs_database and "database" not in self.given)):
            self.wrong(
                "env", "nothing of the credential would reach the command", 'For example: env: {TOKEN: "{token}"}'
            )


def _is_date(text: str) -> bool:
    from datetime import date

    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
