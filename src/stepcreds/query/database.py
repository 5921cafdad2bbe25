"""Answers one question about ledgers, in a DuckDB of its own that can reach nothing else.

What is loaded is opened again read-only, without a file system, a network or extensions; a question is one SELECT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from stepcreds.errors import LedgerError, UsageError
from stepcreds.extras import missing
from stepcreds.printable import printable
from stepcreds.query.loading import Loader, Tell
from stepcreds.review.sources import Source
from stepcreds.trust.keys import Trust

if TYPE_CHECKING:
    import duckdb

Result = TypeVar("Result")

LOADING = "512MB"  # of DuckDB's own, while it is filled; beyond it DuckDB writes into our temporary folder
MEMORY = "2GB"  # for a question
SPILL = "20GB"  # of it


class Answer(NamedTuple):
    """What a question brought."""

    columns: tuple[str, ...]
    types: tuple[str, ...]  # DuckDB's names: "VARCHAR", "TIMESTAMP", "VARCHAR[]", "JSON", …
    rows: Iterator[tuple[Any, ...]]


class Loaded(NamedTuple):
    """A database that can be asked, and why some files are not in it."""

    connection: duckdb.DuckDBPyConnection
    errors: tuple[LedgerError, ...]


@contextmanager
def loaded(
    sources: Iterable[Source], trust: Trust | None, question: str, tell: Tell = lambda done, total: None
) -> Iterator[Loaded]:
    """The tables that `question` names, with what the sources say; `tell` is told how far that is. Raises `UsageError`
    without DuckDB."""
    duckdb = _duckdb()
    with TemporaryDirectory(prefix="stepcreds-query-") as folder:
        file = Path(folder) / "ledger.duckdb"
        bounded = {
            **_CLOSED,
            "memory_limit": MEMORY,
            "temp_directory": str(Path(folder) / "spill"),
            "max_temp_directory_size": SPILL,
        }
        with duckdb.connect(str(file), config={**bounded, "memory_limit": LOADING}) as connection:
            loader = Loader(Path(folder), sources, trust, question, tell)
            try:
                loader.load(connection)
            except RuntimeError as error:
                if str(error) != "Query interrupted":  # what DuckDB makes of Ctrl-C in the main thread
                    raise
                raise KeyboardInterrupt from None
            except duckdb.Error as error:
                raise LedgerError(
                    f"The ledgers cannot be loaded: {printable(str(error).strip())}",
                    cause="There is too little room in the temporary folder (TMPDIR), or too little memory.",
                    fix="Set TMPDIR to a folder with more room, or name fewer ledgers.",
                    docs="ledger-query",
                ) from None
        connection = duckdb.connect(str(file), read_only=True, config={**bounded, "enable_external_access": False})
        connection.execute("SET lock_configuration = true")
        try:
            yield Loaded(connection, tuple(loader.errors))
        finally:
            connection.close()


def answer(loaded: Loaded, question: str) -> Answer:
    """What `question`, one SELECT, brings. Raises `UsageError` with DuckDB's words."""
    duckdb = _duckdb()
    connection = loaded.connection
    try:
        statements = connection.extract_statements(question)
        if len(statements) != 1:
            raise UsageError(
                f"The query holds {len(statements)} statements",
                fix="Ask one question at a time.",
                docs="ledger-query",
            )
        if statements[0].type != duckdb.StatementType.SELECT:
            raise UsageError(
                f"The query is no question: DuckDB takes it for {statements[0].type.name}",
                cause="A ledger is only read: nothing can be written, loaded or set.",
                fix="Begin with SELECT, WITH, FROM, DESCRIBE or SUMMARIZE.",
                docs="ledger-query",
            )
        result = _interruptible(connection, lambda: connection.execute(statements[0]))
        described = result.description or []
        names = tuple(str(each[0]) for each in described)
        return Answer(names, tuple(str(each[1]) for each in described), _fetched(result))
    except duckdb.Error as error:
        raise _refused(error) from None


def _fetched(result: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    duckdb = _duckdb()
    try:
        while some := _interruptible(result, lambda: result.fetchmany(1000)):
            yield from some
    except duckdb.Error as error:
        raise _refused(error) from None


def _interruptible(connection: duckdb.DuckDBPyConnection, work: Callable[[], Result]) -> Result:
    """`work`, which Ctrl-C ends: by itself DuckDB does not hear of it while one operator runs."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            connection.interrupt()
            raise


def _refused(error: Exception) -> UsageError:
    return UsageError(
        f"The query cannot be answered: {printable(str(error).strip())}",
        fix="What can be asked for, table by table: stepcreds ledger query",
        docs="ledger-query",
    )


_CLOSED = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,  # else a name in SQL could be one of ours in Python
}


def _duckdb() -> ModuleType:
    try:
        import duckdb
    except ImportError:
        raise missing("duckdb", "The ledger cannot be queried") from None
    return duckdb
