"""PyMySQL's connection, kept within bounds and from giving a password away; it opens none and knows no statements."""

from __future__ import annotations

import ssl
from typing import Any, NoReturn

from stepcreds.databases.stream import UnreachableError

MAX_ANSWER = 16 * 1024 * 1024  # bytes
_READ_OVERHEAD = 32  # bytes, so that endless empty rows come to an end too: of each, a head and a body are read
GIVE_AWAY = ("mysql_clear_password", "dialog", "mysql_old_password")  # methods that are never gone along with

_NEVER = "Let the users that Vault issues log in with mysql_native_password or caching_sha2_password."
_UNCHECKED = (
    "Have the server's certificate checked: name its CA with sslrootcert in the database's URL, or say "
    "sslmode=verify-full. Or let the users that Vault issues log in with mysql_native_password."
)


def careful(connection: Any, where: str, *, checked: bool) -> Any:
    """PyMySQL's `connection` as a class that reads no more than `MAX_ANSWER` of an answer, whose rows it all holds in
    memory, and that shows the password to a server whose certificate is `checked`, and to no other.

    To PyMySQL any TLS is secure: sha256_password and caching_sha2_password (for a password that the server has not seen
    yet) send the password itself then.
    """
    from pymysql.constants import CLIENT, CR
    from pymysql.err import OperationalError

    class Careful(connection):  # type: ignore[misc]
        _left = MAX_ANSWER
        _auth_plugin_name: str
        _sock: object
        server_capabilities: int

        @property
        def _secure(self) -> bool:
            return checked and isinstance(self._sock, ssl.SSLSocket)

        @_secure.setter
        def _secure(self, value: bool) -> None:
            pass

        @property
        def server_public_key(self) -> NoReturn:
            """The key to encrypt the password for: nobody vouches for it, so it may be that of whoever listens."""
            raise AsksForPasswordError(_UNCHECKED)

        @server_public_key.setter
        def server_public_key(self, value: object) -> None:
            pass

        def _request_authentication(self) -> None:
            if self.ssl and not self.server_capabilities & CLIENT.SSL:
                # PyMySQL 1.1 goes on without.
                raise OperationalError(CR.CR_SSL_CONNECTION_ERROR, "SSL is required but the server doesn't support it")
            if self._auth_plugin_name == "sha256_password" and not checked:
                # What the server begins with is not what the user has: a server asks for another method where it is.
                self._auth_plugin_name = "mysql_native_password"
            super()._request_authentication()

        def _execute_command(self, command: Any, sql: Any) -> None:
            self._left = MAX_ANSWER
            super()._execute_command(command, sql)

        def _read_bytes(self, count: int) -> Any:
            self._left -= count + _READ_OVERHEAD
            if self._left < 0:
                raise UnreachableError(f"an answer of {where} is larger than {MAX_ANSWER} bytes", docs="database")
            return super()._read_bytes(count)

    return Careful


class GivesAway:
    """In place of a method of authentication that is made to send the password, or what it can be computed from."""

    def __init__(self, connection: object) -> None:
        pass

    def authenticate(self, packet: object) -> NoReturn:
        raise AsksForPasswordError(_NEVER)


class AsksForPasswordError(Exception):
    """The server wants the password itself; with what is to be changed."""
