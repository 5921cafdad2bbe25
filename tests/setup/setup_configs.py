"""Configurations for plans that are built and not run: texts of YAML, read as the program reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stepcreds.clock import SystemClock
from stepcreds.config.load import load_config
from stepcreds.config.model import Config
from stepcreds.setup.given import Given
from stepcreds.setup.plan import Plan, Setting
from stepcreds.setup.questions import complete

DATABASE = "postgresql://db.example.com:5432/app"


def profile(name: str, **more: object) -> dict[str, Any]:
    """A profile that reads `app`, with a role and a creds path of its own."""
    own = {"role": f"app-{name}", "creds": f"database/creds/app-{name}", "database": DATABASE, "access": "read-only"}
    return {**own, "schemas": ["app"], **more}


def config(folder: Path, profiles: dict[str, Any], **more: object) -> Config:
    """The stepcreds.yml of these profiles, with the Vault of the documentation."""
    import json

    text = {"version": 1, "vault": {"address": "https://vault.example.com:8200"}, "profiles": profiles, **more}
    path = folder / "stepcreds.yml"
    path.write_text(json.dumps(text))  # which is YAML
    return load_config(path, {}, folder, SystemClock())


def given(of_all: dict[str, object] | None = None, **of_profiles: dict[str, object]) -> Given:
    """Answers for GitHub's repository 71717171, and `of_all` and `of_profiles` beside that."""
    return Given({"ci": "github", "repository_id": "71717171", **(of_all or {})}, of_profiles)


def plan(configuration: Config, answers: Given | None = None) -> Plan:
    from stepcreds.setup.building import build

    return build(configuration, complete(configuration, answers or given()))


def settings(made: Plan) -> dict[str, Setting]:
    """By path."""
    return {setting.path: setting for setting in made.settings}
