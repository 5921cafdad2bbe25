"""Credentials to look for, and files to look for them in."""

from __future__ import annotations

from pathlib import Path

from stepcreds.leaks.runner_files import RunnerFile
from stepcreds.leaks.search import Search
from stepcreds.model import Holding, Leak
from stepcreds.secret import Secret

PASSWORD = "A1a-x9Kd02mZpQwErTy7"
OTHER = "B2b/y8+Le13nAqWsEdRf6"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\n9w0BAQEFAASCBKcwggSj\n-----END RSA PRIVATE KEY-----\n"


def holding(uid: str = "c1", profile: str = "migrate", *secrets: str) -> Holding:
    return Holding(uid, profile, Secret("token"), "accessor", secrets=tuple(map(Secret, secrets or (PASSWORD,))))


def search(*holdings: Holding) -> Search:
    return Search(holdings or (holding(),))


def leak(file: str, line: int, name: str = "", *, removed: bool = True, profile: str = "migrate") -> Leak:
    return Leak("c1" if profile == "migrate" else "c2", profile, file, line, name, removed)


def runner_file(path: Path, name: str = "GITHUB_ENV") -> RunnerFile:
    """As it is before the command."""
    return RunnerFile(name, str(path), str(path.resolve()))
