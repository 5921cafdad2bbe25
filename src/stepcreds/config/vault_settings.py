"""The `vault:` section with the environment's fallbacks: which server, and for whom the token is meant.

The variables are those of Vault's CLI (Vault documentation, "Environment variables") and OpenBao's (`BAO_…`).

**Audience follows address.** Whoever can change stepcreds.yml on a branch can point `vault.address` at a server of
their own, which then receives the job's OIDC token. So that this token is worthless at any other server, its audience
is the address itself, and a file that names the address may not choose an audience freely:

- Without `vault.auth.audience` it is the address in use. Where the addresses have several hosts, it is all of them,
  with a space between two: a token for the first alone would be accepted by the first, and be handed to the others
  too, which a branch could have added (with a `ca_cert` that makes the first one fail).
- A `vault.auth.audience` beside a `vault.address` of the same file must name the host of every address, or be what
  the default would be.
- Where the address comes from outside the file (STEPCREDS_VAULT_ADDR, which an administrator pins; or VAULT_ADDR,
  BAO_ADDR with no address in the file), the audience of the file may be any: the server that gets the token is then
  not the file's choice.
- Where the file names an address and an audience, and STEPCREDS_VAULT_ADDR sets another host in the place of the first,
  the second does not apply either: a token that is meant for the one server is not sent to the other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from stepcreds.config.address import Address, AddressError, host_of, parse_address
from stepcreds.config.creds_path import path_problem
from stepcreds.config.duration import seconds
from stepcreds.config.model import VaultSettings
from stepcreds.config.problems import Problems
from stepcreds.config.proxies import ProxyError, proxies
from stepcreds.config.shape import Value
from stepcreds.printable import one_line

PINNED = "STEPCREDS_VAULT_ADDR"

# Go's strconv.ParseBool, which Vault's client reads VAULT_SKIP_VERIFY with.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def vault_settings(
    given: Mapping[str, Value],
    problems: Problems,
    *,
    environment: Mapping[str, str],
    base_folder: Path,
    cwd: Path,
) -> VaultSettings | None:
    """The settings, None where they cannot be made.

    Files that the configuration names are relative to `base_folder`, those that variables name to `cwd`.
    """
    reader = _Reader(given, problems, environment, base_folder, cwd)
    addresses, from_file = reader.addresses()
    auth = given.get("auth")
    auth = auth if isinstance(auth, dict) else {}
    settings = VaultSettings(
        addresses=tuple(address.text for address in addresses),
        namespace=reader.namespace(),
        ca_cert=reader.file("ca_cert", ("VAULT_CACERT", "BAO_CACERT", "VAULT_CAPATH", "BAO_CAPATH"), folder=True),
        client_cert=reader.file("client_cert", ("VAULT_CLIENT_CERT", "BAO_CLIENT_CERT")),
        client_key=reader.file("client_key", ("VAULT_CLIENT_KEY", "BAO_CLIENT_KEY")),
        skip_verify=reader.skip_verify(),
        mount=reader.mount(auth),
        audience=reader.audience(auth, addresses, from_file),
        proxies=reader.proxies(addresses),
        id_token_variable=str(auth.get("id_token_variable") or "VAULT_ID_TOKEN"),
        timeout=reader.timeout(),
    )
    if (settings.client_cert is None) != (settings.client_key is None):
        missing = "client_key" if settings.client_key is None else "client_cert"
        if given.get(missing, "") is not None:
            what = "client_cert and client_key belong together, and one of them is missing"
            problems.add("vault", what, f"Give vault.{missing}, or VAULT_{missing.upper()}.")
    return settings if addresses else None


class _Reader:
    def __init__(
        self,
        given: Mapping[str, Value],
        problems: Problems,
        environment: Mapping[str, str],
        base_folder: Path,
        cwd: Path,
    ) -> None:
        self.given = given
        self.problems = problems
        self.environment = environment
        self.base_folder = base_folder
        self.cwd = cwd
        self.replaced: frozenset[str] = frozenset()  # the hosts of the file's addresses, where a variable goes before

    def variable(self, *names: str) -> tuple[str, str]:
        """The first of the variables that is not empty, with its value; two empty texts if there is none."""
        name = next((name for name in names if self.environment.get(name)), "")
        return name, self.environment[name] if name else ""

    def addresses(self) -> tuple[list[Address], bool]:
        """The addresses in use, and whether the file chose them. Those of the file are looked at in any case."""
        given = self.given.get("address")
        in_file: list[Address] = []
        texts = given if isinstance(given, list) else []
        for index, text in enumerate(texts):
            key = f"vault.address[{index}]"
            if text is not None:
                self.parse(str(text), in_file, key if key in self.problems.positions else "vault.address", "")
        pinned, listed = self.variable(PINNED)
        name, text = (pinned, listed) if pinned else self.variable("VAULT_ADDR", "BAO_ADDR")
        if not pinned and "address" in self.given:
            return in_file, True
        self.replaced = frozenset(address.host for address in in_file)
        if not name:
            what = "there is no address of Vault: neither here, nor in VAULT_ADDR, nor in BAO_ADDR"
            self.problems.add("vault.address", what, "For example: address: https://vault.example.com:8200")
        outside: list[Address] = []
        for part in re.split(r"[\s,]+", text.strip()) if name else ():
            self.parse(part, outside, "", name)
        return outside, False

    def parse(self, text: str, into: list[Address], key: str, variable: str) -> None:
        try:
            into.append(parse_address(text))
        except AddressError as error:
            if variable:
                self.problems.outside(variable, str(error), error.fix)
            else:
                self.problems.add(key, str(error), error.fix)

    def namespace(self) -> str | None:
        if "namespace" in self.given:
            return str(self.given["namespace"] or "").strip("/") or None
        name, text = self.variable("VAULT_NAMESPACE", "BAO_NAMESPACE")
        if name and not re.match(r"[!-~]+\Z", text):
            self.problems.outside(name, "it is not a path without spaces", "For example: platform")
        return text.strip("/") or None

    def file(self, key: str, variables: Sequence[str], *, folder: bool = False) -> Path | None:
        text = self.given.get(key, "")
        if text is None:
            return None
        if text:
            path, variable = self.base_folder / str(text), ""
        else:
            variable, text = self.variable(*variables)
            if not variable:
                return None
            path = self.cwd / text
        path = Path(os.path.normpath(path))
        # Unlike those of Path, these never raise: not for a name that is too long, nor for one with a NUL.
        if not (os.path.isfile(path) or (folder and os.path.isdir(path))):  # noqa: PTH112, PTH113
            what = f"there is no file {'or folder ' if folder else ''}{one_line(str(path))}"
            if variable:
                self.problems.outside(variable, what)
            else:
                self.problems.add(f"vault.{key}", what, "A path is relative to the configuration file's folder.")
        return path

    def skip_verify(self) -> bool:
        name, text = self.variable("VAULT_SKIP_VERIFY", "BAO_SKIP_VERIFY")
        if name and text not in _TRUE | _FALSE:
            self.problems.outside(name, "it is neither true nor false", "Write true or false, or unset it.")
        return text in _TRUE

    def timeout(self) -> float | None:
        name, text = self.variable("VAULT_CLIENT_TIMEOUT", "BAO_CLIENT_TIMEOUT")
        duration = seconds(text)
        if name and not duration:
            self.problems.outside(name, "it is not a duration of a second or more", "For example: 30s (or 30)")
        return duration or None

    def mount(self, auth: Mapping[str, Value]) -> str:
        mount = str(auth.get("mount") or "jwt").removesuffix("/")
        if mount.startswith("auth/"):
            what, fix = "the mount begins with auth/, which is added", f"Write: mount: {one_line(mount[5:], 60)}"
            self.problems.add("vault.auth.mount", what, fix)
        elif what := path_problem(mount):
            self.problems.add("vault.auth.mount", what, "For example: mount: jwt")
        return mount

    def audience(self, auth: Mapping[str, Value], addresses: Sequence[Address], from_file: bool) -> str:
        hosts = {address.host for address in addresses}
        default = addresses[0].text if len(hosts) == 1 else " ".join(address.text for address in addresses)
        if "audience" not in auth or (self.replaced and not hosts <= self.replaced):
            return default
        audience = str(auth["audience"])
        is_given = auth["audience"] is not None
        if from_file and is_given and addresses and audience != default and hosts != {host_of(audience)}:
            what = "the audience does not name the host of vault.address: the token would be worth something elsewhere"
            fix = (
                f"Leave the audience out (it is the address then), or give the address outside this file, in {PINNED}."
            )
            self.problems.add("vault.auth.audience", what, fix)
        return audience

    def proxies(self, addresses: Sequence[Address]) -> dict[str, str]:
        try:
            return proxies(addresses, self.environment)
        except ProxyError as error:
            self.problems.outside(error.variable, str(error), error.fix)
            return {}
