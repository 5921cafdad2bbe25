"""What the end of a job goes by: the configuration, the Vault and the CAs of the step, as the runner remembers them.

A later step can rewrite stepcreds.yml, remove the files that it names, and set variables for all that comes after it
(`GITHUB_ENV`): whom the end of the job asks whether a credential is dead must not be theirs to choose.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from stepcreds.action.saved import Saved, digest
from stepcreds.clock import Clock
from stepcreds.config.address import parse_address
from stepcreds.config.load import load_config
from stepcreds.config.model import Config, VaultSettings
from stepcreds.config.proxies import ProxyError, proxies
from stepcreds.errors import ConfigError, Problem

_ALIKE = ("addresses", "namespace", "mount", "audience", "skip_verify", "ca_cert")


def configuration(
    path: Path | None, saved: Saved, environment: Mapping[str, str], folder: Path, clock: Clock
) -> Config:
    """What the step went by; where it told the runner nothing, what there is now. Raises `ConfigError`."""
    if not saved.path:
        return load_config(path, environment, folder, clock)
    if saved.text is None and has_changed(saved):
        what = "it is not what it was when the step read it, and was too long for the runner to keep"
        raise ConfigError([Problem(saved.path, "", what, "Do not let a step change it, or make it shorter.")])
    kept = {Path(name): _again(content) for name, content in saved.files.items()}
    vault = _reached(saved.vault, kept, environment) if saved.vault is not None else None
    return load_config(Path(saved.path), environment, folder, clock, data=saved.text, vault=vault, kept=kept)


def has_changed(saved: Saved) -> bool:
    """Whether the configuration is another now than the step went by; one that is gone is, if it was not kept."""
    if not saved.digest:
        return False
    try:
        return digest(Path(saved.path).read_bytes()) != saved.digest
    except OSError:
        return saved.text is None


def redirected(saved: Saved, environment: Mapping[str, str], folder: Path, clock: Clock) -> list[str]:
    """In what the environment leads elsewhere than the step went: "addresses", "audience", …; [] if in nothing."""
    if saved.vault is None:
        return []
    try:
        now = load_config(Path(saved.path), environment, folder, clock, data=saved.text).vault
    except ConfigError:  # a file that it names is gone, say; it is not what counts
        return []
    return [name for name in _ALIKE if getattr(now, name) != getattr(saved.vault, name)]


def _again(content: bytes) -> Path:
    """A file with `content` that is in no folder, so that nobody can remove or change it; it ends with this process."""
    fd = os.memfd_create("stepcreds", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:  # noqa: PTH123
        file.write(content)
    return Path(f"/proc/self/fd/{fd}")


def _reached(vault: VaultSettings, kept: Mapping[Path, Path], environment: Mapping[str, str]) -> VaultSettings:
    """`vault` with its CAs, and by the proxies of the environment, which alone are not kept. Raises `ConfigError`."""
    try:
        found = proxies(map(parse_address, vault.addresses), environment)
    except ProxyError as error:
        raise ConfigError([Problem(error.variable, "", str(error), error.fix)]) from None
    ca_cert = kept.get(vault.ca_cert, vault.ca_cert) if vault.ca_cert is not None else None
    return vault._replace(proxies=found, ca_cert=ca_cert)
