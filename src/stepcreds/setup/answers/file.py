"""Answers as a YAML file: read strictly, and written so that the same file comes back; it holds no secret."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from stepcreds.config.problems import suggestion
from stepcreds.errors import UsageError
from stepcreds.printable import one_line
from stepcreds.setup.answers.given import BOUND, MAPPINGS, OF_ALL, OF_PROFILES, OF_SEAL, SEAL, Given, wrong

_HEADER = "# Answers of `stepcreds setup`: whose jobs may have each credential. Read with --answers.\n"
_LIMIT = 256 * 1024  # bytes
_TRUTHS = ("no_environment", "guard", "outputs", "no_lease_audit")


def read(path: Path, profiles: Mapping[str, object], *, seals: bool = False) -> Given:
    """The answers in `path`. Raises `UsageError` for what is no answer, or names no profile.

    `seals`: whether the configuration has a job that seals, which answers may be about.
    """
    try:
        with path.open("rb") as opened:
            text = opened.read(_LIMIT + 1)
    except OSError as error:
        raise _wrong(path, error.strerror or "it cannot be read") from None
    if len(text) > _LIMIT:
        raise _wrong(path, "it is longer than any answers are")
    try:
        data = yaml.safe_load(text.decode())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong(path, f"it is not YAML: {one_line(str(error), 200)}") from None
    if not isinstance(data, dict):
        raise _wrong(path, "it is not a mapping of names to answers")
    own = data.pop("profiles", {})
    if not isinstance(own, dict):
        raise _wrong(path, "profiles is not a mapping of profiles to answers")
    for name in own:
        if name not in profiles:
            raise _wrong(path, f"there is no profile {one_line(str(name))}", suggestion(str(name), profiles))
    sealing = data.pop("seal", None)
    if sealing is not None and not seals:
        raise _wrong(path, "seal says which job seals, and stepcreds.yml has no ledger.seal")
    authority = data.get("issuer_ca")
    if isinstance(authority, str) and "-----BEGIN" not in authority:
        data["issuer_ca"] = certificate(path.parent / authority)
    of_profiles = {name: _checked(path, answers, OF_PROFILES, f"profiles.{name}.") for name, answers in own.items()}
    if sealing is not None:
        of_profiles[SEAL] = _checked(path, sealing, OF_SEAL, "seal.")
    return Given(_checked(path, data, (*OF_ALL, *OF_PROFILES), ""), of_profiles)


def merged(first: Given, second: Given) -> Given:
    """`first`, where `second` says nothing else."""
    profiles = {
        name: _over(first.of_profiles.get(name, {}), second.of_profiles.get(name, {}))
        for name in (*first.of_profiles, *second.of_profiles)
    }
    # What is said later for all profiles is not undone by what was said before for one.
    for name, answers in profiles.items():
        if name == SEAL:
            continue
        later = second.of_profiles.get(name, {})
        profiles[name] = {
            key: value for key, value in answers.items() if key in later or key not in second.of_all or key == "claim"
        }
    return Given(_over(first.of_all, second.of_all), profiles)


def certificate(path: Path) -> str:
    """The text of a CA's certificate. Raises `UsageError`."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise wrong(f"--issuer-ca {one_line(str(path))} cannot be read: {error.strerror}") from None


def save(path: Path, given: Given) -> None:
    """Write the file that says `given`, over an older one of ours, and over nothing else. Raises `UsageError`."""
    try:
        if path.exists() and not path.read_bytes().startswith(_HEADER.encode()):
            raise wrong(f"{one_line(str(path))} is there already, and has no answers in it", fix="Name another file.")
        path.write_text(text(given), encoding="utf-8")
    except OSError as error:
        raise wrong(f"{one_line(str(path))} cannot be written: {error.strerror}") from None


def text(given: Given) -> str:
    """The file that says `given`."""
    data: dict[str, object] = dict(given.of_all)
    profiles = {name: dict(answers) for name, answers in given.of_profiles.items() if answers}
    if SEAL in profiles:
        data["seal"] = profiles.pop(SEAL)
    if profiles:
        data["profiles"] = profiles
    return _HEADER + yaml.safe_dump(_plain(data), sort_keys=False, allow_unicode=True, width=110)


def _over(first: Mapping[str, object], second: Mapping[str, object]) -> dict[str, object]:
    both = {**first, **second}
    for name in MAPPINGS:
        old, new = first.get(name), second.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            both[name] = {**old, **new}
    return both


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


def _checked(path: Path, data: object, names: tuple[str, ...], where: str) -> dict[str, object]:
    if not isinstance(data, dict):
        raise _wrong(path, f"{where.rstrip('.')} is not a mapping of names to answers")
    for name, value in data.items():
        if name not in names:
            raise _wrong(path, f"there is no answer {where}{one_line(str(name))}", suggestion(str(name), names))
        if not _fits(str(name), value):
            fix = "Put it into quotation marks." if isinstance(value, bool) else ""
            raise _wrong(path, f"{where}{name} has a value of a form that it never has", fix)
    return data


def _fits(name: str, value: object) -> bool:
    """YAML has kinds of its own: `branch: on` is no text there, and a claim may be any."""
    if name in _TRUTHS:
        return isinstance(value, bool)
    if name == "claim":
        values = value.values() if isinstance(value, dict) else [{}]
        return all(each is None or all(isinstance(one, (str, int)) for one in _each(each)) for each in values)
    if name in MAPPINGS:
        return isinstance(value, dict) and all(map(_text, (*value, *value.values())))
    return all(map(_text, _each(value))) if name in BOUND else _text(value)


def _each(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _text(value: object) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def _wrong(path: Path, what: str, fix: str = "") -> UsageError:
    return UsageError(f"The answers in {one_line(str(path))} cannot be used: {what}", fix=fix, docs="setup-answers")
