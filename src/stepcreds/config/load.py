"""From a stepcreds.yml and an environment to a `Config`, or to everything that is wrong with them at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from stepcreds.clock import Clock, rfc3339
from stepcreds.config.database_url import NOTHING_KEPT
from stepcreds.config.document import read_document
from stepcreds.config.file import find_config, read_config, shown
from stepcreds.config.model import ARTIFACT, Config, LedgerSettings, Profile, SealSettings, VaultSettings
from stepcreds.config.problems import Problems
from stepcreds.config.profiles import read_profile
from stepcreds.config.schema import ROOT
from stepcreds.config.shape import Value, read_value
from stepcreds.config.store_url import StoreURL, is_url, store_url
from stepcreds.config.vault_settings import vault_settings


def load_config(
    path: Path | None,
    environment: Mapping[str, str],
    cwd: Path,
    clock: Clock,
    *,
    data: bytes | None = None,
    vault: VaultSettings | None = None,
    strict: bool = False,
    kept: Mapping[Path, Path] = NOTHING_KEPT,
) -> Config:
    """The configuration of `path`, or of the file that `find_config` finds; `data` is what it said at another time.

    `vault`: the settings that were made of it at that time, which count whatever it and the environment say. `kept`:
    where the files that the profiles name are now, for those that were kept. `strict`: an allowance that has expired
    is a problem; else it only does not count, which must keep nobody from revoking.

    Reads the file, and looks whether the files that it names exist; asks no server. Raises `ConfigError` with every
    problem, in the order of the file.
    """
    source = find_config(path, environment, cwd)
    problems = Problems(shown(source, cwd))
    node = read_document(read_config(source, cwd) if data is None else data, problems)
    given = read_value(node, ROOT, "", problems) if node is not None else None
    if not isinstance(given, dict):
        problems.raise_all()
        raise AssertionError("a document that is no mapping has a problem")  # noqa: TRY004 - of ours, not of a caller
    base_folder = source.parent
    vault = vault or vault_settings(
        _section(given, "vault"), problems, environment=environment, base_folder=base_folder, cwd=cwd
    )
    ledger = _ledger(_section(given, "ledger"), environment, base_folder)
    today = rfc3339(clock.now())[:10] if strict else None
    profiles: dict[str, Profile] = {}
    for name, values in _section(given, "profiles").items():
        if isinstance(values, dict):
            profiles[name] = read_profile(name, values, problems, base_folder=base_folder, today=today, kept=kept)
    problems.raise_all()
    assert vault is not None  # noqa: S101 - None has a problem
    return Config(source=source, vault=vault, ledger=ledger, profiles=profiles)


def _section(given: Mapping[str, Value], key: str) -> dict[str, Value]:
    value = given.get(key)
    return value if isinstance(value, dict) else {}


def _ledger(given: Mapping[str, Value], environment: Mapping[str, str], base_folder: Path) -> LedgerSettings:
    """On GitHub the ledger is kept outside the workspace, which actions/checkout empties of files it does not know."""
    path = given.get("path")
    if path is not None:
        folder = base_folder / str(path)
    elif environment.get("GITHUB_ACTIONS") == "true" and environment.get("RUNNER_TEMP"):
        folder = Path(environment["RUNNER_TEMP"]) / "stepcreds"
    else:
        folder = base_folder / ".stepcreds"
    folder = Path(os.path.normpath(folder))
    key, push = given.get("key"), given.get("push")
    return LedgerSettings(
        path=folder,
        key=None if key is None else str(key),
        push=None if push is None else _place(str(push), base_folder),
        on_push_failure="fail" if given.get("on_push_failure") == "fail" else "warn",
        on_sign_failure="fail" if given.get("on_sign_failure") == "fail" else "warn",
        seal=_seal(_section(given, "seal"), folder, base_folder),
    )


def _seal(given: Mapping[str, Value], ledger: Path, base_folder: Path) -> SealSettings | None:
    key, to = given.get("key"), str(given.get("to") or ledger / "seals")
    if key is None:
        return None
    to = str(store_url(to)) if is_url(to) else os.path.normpath(base_folder / to)
    return SealSettings(str(key), str(given.get("role") or "stepcreds-seal"), to)


def _place(push: str, base_folder: Path) -> Path | Literal["artifact"] | StoreURL:
    if is_url(push):
        return store_url(push)
    return ARTIFACT if push == ARTIFACT else Path(os.path.normpath(base_folder / push))
