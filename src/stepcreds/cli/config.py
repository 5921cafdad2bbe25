"""`stepcreds config`: looks at the configuration and at nothing else."""

from __future__ import annotations

from pathlib import Path

import click

from stepcreds.cli.options import config_option, load
from stepcreds.clock import SystemClock
from stepcreds.config.duration import in_words
from stepcreds.config.model import Config, Profile
from stepcreds.errors import ConfigError
from stepcreds.printable import json_text, one_line
from stepcreds.scope.allowances import day, ending


@click.group("config")
def command() -> None:
    """Check the configuration, or print its JSON Schema."""


@command.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object, the problems too.")
@click.pass_context
def check(context: click.Context, config_path: Path | None, as_json: bool) -> None:
    """Check the configuration, and say everything that is wrong with it at once.

    No server is asked. Exits with 0, or with 2 where anything is wrong. An entry of `allow` that has expired is wrong
    here, and nowhere else: for a step it only does not count any more.
    """
    clock = SystemClock()
    try:
        config, _ = load(config_path, clock, strict=True)
    except ConfigError as error:
        if not as_json:
            raise
        problems = [{"where": p.where, "key": p.key, "what": p.what, "fix": p.fix} for p in error.problems]
        click.echo(json_text({"problems": problems}))
        context.exit(error.exit_code)
    today = day(clock.now())
    click.echo(json_text(_summary(config, today)) if as_json else "\n".join(_lines(config, today)))


@command.command()
def schema() -> None:
    """Print the JSON Schema of stepcreds.yml (draft 2020-12), for editors."""
    from stepcreds.config.json_schema import json_schema

    click.echo(json_text(json_schema()))


def _lines(config: Config, today: str) -> list[str]:
    said = [*map(_profile, config.profiles.values()), *_seal(config)]
    said += [f"warning: {text}" for text in _warnings(config, today)]
    return [f"{one_line(str(config.source))}: {text}" for text in said]


def _warnings(config: Config, today: str) -> list[str]:
    """What will be wrong before long."""
    ends = [(profile, ending(entry, today)) for profile in config.profiles.values() for entry in profile.allow]
    return [one_line(f"profile {profile.name}: {text}", 1000) for profile, text in ends if text]


def _profile(profile: Profile) -> str:
    words = [f"profile {profile.name}: {profile.creds} as {profile.role}"]
    if profile.database is not None:
        target = profile.database
        words.append(f"{profile.access} on {target.engine} {target.host}:{target.port} {target.database}".rstrip())
    words.append(f"{in_words(profile.ttl)}, at most {in_words(profile.max_ttl)}")
    return one_line(", ".join(words), 1000)


def _seal(config: Config) -> list[str]:
    seal = config.ledger.seal
    return [one_line(f"seal: {seal.key} as {seal.role}, to {seal.to}", 1000)] if seal is not None else []


def _summary(config: Config, today: str) -> dict[str, object]:
    profiles = {
        profile.name: {
            "role": profile.role,
            "creds": profile.creds,
            "engine": profile.database.engine if profile.database is not None else None,
            "access": profile.access,
            "ttl": profile.ttl,
            "max_ttl": profile.max_ttl,
        }
        for profile in config.profiles.values()
    }
    return {"file": str(config.source), "profiles": profiles, "problems": [], "warnings": _warnings(config, today)}
