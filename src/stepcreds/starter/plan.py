"""What will be written, decided from what was found and what was asked for; nothing is written here."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from stepcreds.config.address import AddressError, parse_address
from stepcreds.config.database_url import DatabaseURLError, parse_database_url
from stepcreds.config.file import NAMES
from stepcreds.errors import UsageError
from stepcreds.printable import one_line
from stepcreds.starter import engines, systems, tools
from stepcreds.starter.configuration import ADDRESS, Choice, configuration
from stepcreds.starter.pipeline import pipeline
from stepcreds.starter.repository import Repository

DOCS = "https://github.com/stepcreds/stepcreds/blob/v1/docs"


class Asked(NamedTuple):
    """What the command line said; "" where it left the choice."""

    system: str = ""  # a name of `systems`, or "none"
    tool: str = ""  # a name of `tools`
    address: str = ""
    database: str = ""


class File(NamedTuple):
    """A file to write, by its path from the root."""

    path: str
    text: str


class Plan(NamedTuple):
    """What was found, in words, one thing a line; the files; and what to do next, step by step."""

    found: tuple[str, ...]
    files: tuple[File, ...]
    next: tuple[str, ...]


def plan(repository: Repository, asked: Asked) -> Plan:
    """Raises `UsageError` for an address or a database that cannot be written down."""
    address = _address(asked.address)
    scheme, location = _database(asked.database, repository.root)
    seen = engines.recognise(repository)
    engine = engines.Seen(_engine_of(scheme), "--database", seen.client) if scheme else seen
    tool, others = _tool(repository, asked.tool)
    system, by = _system(repository, asked.system)
    found = [
        f"CI: {system.title} ({by})" if system else f"CI: {by}",
        f"Migrations: {tool.tool.title}" + (f" ({tool.by})" if tool.by else ""),
        f"Database: {engine.engine} ({engine.by})"
        if engine.by
        else "Database: nothing says which; PostgreSQL is assumed",
    ]
    if others:
        found.append(f"Also found: {', '.join(others)}; --tool chooses another")
    if tool.others:
        also = f"{tool.tool.title} in {', '.join(tool.others)}"
        found.append(f"Also found: {also}; init chooses the one of the folder that it is called in")
    choice = Choice(
        engine=engine.engine,
        client=engine.client,
        tool=tool.tool,
        working=tool.folder,
        guessed=tool.guessed,
        system=system,
        address=address,
        database=location,
        branch=repository.branch,
        folder=repository,
    )
    files = [File(NAMES[0], configuration(choice))]
    steps = ["Look at every line that says `change` in what was written."]
    if system is not None:
        path = system.beside if system.beside and system.file in repository.files else system.file
        files.append(File(path, pipeline(choice)))
        entry, text = system.entry
        if entry and entry not in repository.files:
            files.append(File(entry, text))
        elif system.use and (path == system.beside or not system.beside):
            steps.append(system.use)
    azure = system is not None and system.name == "azure"
    steps.append(
        f"STEPCREDS_VAULT_ADDR={address or ADDRESS} stepcreds config check" if azure else "stepcreds config check"
    )
    steps.append(
        f"stepcreds setup, which makes what Vault and the database need:\n{DOCS}/setup.md\n{DOCS}/identity.md"
        + (f"#{system.anchor}" if system else "")
    )
    steps.append("In a job: stepcreds doctor migrate, which says what is missing.")
    return Plan(tuple(one_line(line) for line in found), tuple(files), tuple(steps))


def _address(text: str) -> str:
    if not text:
        return ""
    try:
        return parse_address(text).text
    except AddressError as error:
        raise UsageError(f"--vault cannot be written down: {error}", fix=error.fix, docs="init") from None


def _database(text: str, root: Path) -> tuple[str, str]:
    """The scheme and the whole URL; never with a user or a password."""
    if not text:
        return "", ""
    try:
        url = parse_database_url(text, root)
    except DatabaseURLError as error:
        what, fix = error.problems[0]
        raise UsageError(f"--database cannot be written down: {what}", fix=fix, docs="init") from None
    if url.engine not in engines.KNOWN:
        raise UsageError(
            f"--database names a database of the engine {url.engine}, and a first pipeline is written for "
            f"{', '.join(engines.KNOWN)} only",
            fix=f"Write stepcreds.yml yourself, from the example that begins {DOCS}/configuration.md",
            docs="init",
        )
    return url.scheme, text


def _engine_of(scheme: str) -> str:
    from stepcreds.config.engines import engine_of_scheme

    engine = engine_of_scheme(scheme)
    assert engine is not None  # noqa: S101 - `parse_database_url` has read it
    return engine.name


def _tool(repository: Repository, name: str) -> tuple[tools.Seen, list[str]]:
    seen = tools.recognise(repository)
    if name:
        return next((one for one in seen if one.tool.name == name), None) or tools.chosen(name), []
    return seen[0], [one.tool.title for one in seen[1:]]


def _system(repository: Repository, name: str) -> tuple[systems.System | None, str]:
    if name == "none":
        return None, "none, as --ci says"
    if name:
        return systems.BY_NAME[name], "--ci"
    seen = systems.recognise(repository)
    if not seen:
        return None, "none found; --ci names one"
    others = ", ".join(one.system.title for one in seen[1:])
    return seen[0].system, seen[0].by + (f"; also found: {others}, and --ci chooses" if others else "")
