"""Complete answers for `setup`, `setup apply` and `setup check`: of flags, of a file, and of whoever sits there."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import join as quote

import click

from stepcreds.cli.options import working_folder
from stepcreds.cli.setup_options import EVERY, answers_options
from stepcreds.config.model import Config
from stepcreds.config.problems import suggestion
from stepcreds.printable import one_line, printable
from stepcreds.setup.answers import Answers
from stepcreds.setup.answers import file as answers_file
from stepcreds.setup.answers.given import (
    MAPPINGS,
    OF_PROFILES,
    OF_SEAL,
    SEAL,
    Given,
    MissingAnswersError,
    Question,
    flag,
    mapping,
    of_whom,
    wrong,
)
from stepcreds.setup.answers.issuers import BY_NAME
from stepcreds.setup.answers.questions import complete
from stepcreds.setup.forms import Again

# What is meant as the name of a profile, those in capitals too.
_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

__all__ = ["answers_of", "answers_options"]


def answers_of(config: Config, environment: Mapping[str, str], flags: Mapping[str, object]) -> Answers:
    """Complete answers; on a terminal, what is missing is asked for. `flags` are those of `answers_options`.

    Raises `UsageError`, without a terminal also for what is missing.
    """
    path, save = flags.get("answers_path"), flags.get("save_path")
    given = _of_flags(flags, config)
    if isinstance(path, Path):
        given = answers_file.merged(
            answers_file.read(path, config.profiles, seals=config.ledger.seal is not None), given
        )
    if not given.text("ci"):
        given = given.with_answer("", "ci", _detected(environment))
    while True:
        try:
            answers = complete(config, given)
            break
        except MissingAnswersError as missing:
            if not (sys.stdin.isatty() and sys.stderr.isatty()):
                raise
            given = _asked(given, missing.questions[0])
    if isinstance(save, Path):
        answers_file.save(save, given)
    return answers


def again(flags: Mapping[str, object], config_path: Path | None) -> Again:
    """How the answers of this call are given to the next one."""
    path, save = flags.get("answers_path"), flags.get("save_path")
    others = [name for name, value in flags.items() if value not in (None, False, (), path, save)]
    kept = save if isinstance(save, Path) else path if isinstance(path, Path) and not others else None
    words = [] if kept is None else ["--answers", str(kept)]
    words += [] if config_path is None else ["--config", str(config_path)]
    return Again(quote(words), kept is not None, str(save) if isinstance(save, Path) else "")


def _detected(environment: Mapping[str, str]) -> str:
    """The CI of the job that this is, or whose files are in the repository; "" where neither says."""
    from stepcreds.ci.detect import detect
    from stepcreds.starter import systems
    from stepcreds.starter.repository import survey

    # Pods and machines of Google's run everything, this command on an administrator's too.
    here = {name: value for name, value in environment.items() if "KUBERNETES" not in name}
    name = detect(here).name
    if name in BY_NAME and name != "gcp":
        return name
    seen = systems.recognise(survey(working_folder()))
    return seen[0].system.name if seen else ""


def _of_flags(flags: Mapping[str, object], config: Config) -> Given:
    given = Given({}, {})
    for name in ("ci", "issuer", "user_claim", "manager", "audit_header"):
        if flags.get(name) is not None:
            given = given.with_answer("", name, flags[name])
    if flags.get("no_lease_audit"):
        given = given.with_answer("", "no_lease_audit", True)
    ca = flags.get("issuer_ca")
    if isinstance(ca, Path):
        given = given.with_answer("", "issuer_ca", answers_file.certificate(ca))
    for name in ("vault_reaches", "vault_ca"):
        for text in _texts(flags.get(name)):
            where, equals, value = text.partition("=")
            if not (where and equals and value):
                raise wrong(f"{flag(name)} {one_line(text, 200)} is not of the form SERVER=VALUE")
            given = given.with_answer("", name, {**mapping(given.of_all.get(name)), where: value})
    for name in OF_PROFILES:
        for text in _texts(flags.get(name)):
            given = _with_flag(given, name, text, config)
    return given


def _with_flag(given: Given, name: str, text: str, config: Config) -> Given:
    if name in ("no_environment", "outputs", "guard"):
        if text != EVERY and text not in config.profiles:
            raise wrong(
                f"{flag(name)} names {one_line(text, 80)}, and there is no such profile",
                fix=f"The profiles there are: {', '.join(config.profiles) or 'none'}.",
            )
        return given.with_answer("" if text == EVERY else text, name, True)
    profile, rest = _prefix(name, text, config)
    before = (given.of_profiles.get(profile, {}) if profile else given.of_all).get(name)
    if name == "claim":
        claim, equals, value = rest.partition("=")
        if not (claim and equals):
            raise wrong(f"--claim {one_line(text, 200)} is not of the form NAME=VALUE")
        claims = mapping(before)
        return given.with_answer(profile, name, {**claims, claim: _added(claims.get(claim), value)})
    return given.with_answer(profile, name, _added(before, rest))


def _prefix(name: str, text: str, config: Config) -> tuple[str, str]:
    """The profile that `text` is for, "" for all, and what is said for it.

    A branch may well be called a=b; but a profile that is misspelled must not become part of an answer for all.
    """
    profile, equals, rest = text.partition("=")
    if not equals or (name == "claim" and profile and "=" not in rest):
        return "", text
    if not profile or profile in config.profiles:
        return profile, rest
    if profile == SEAL:
        _require_seal(name, text, config)
        return profile, rest
    if not _PROFILE.fullmatch(profile):
        return "", text
    shown = one_line(text, 200)
    raise wrong(
        f"{flag(name)} {shown} names the profile {profile}, and there is none",
        fix=f"{suggestion(profile, config.profiles)}\n"
        f"Where all of it is the answer, and for all profiles, put a '=' before it: {flag(name)} '={shown}'",
    )


def _require_seal(name: str, text: str, config: Config) -> None:
    shown = one_line(text, 200)
    if config.ledger.seal is None:
        raise wrong(
            f"{flag(name)} {shown} is about the job that seals, and stepcreds.yml has no {SEAL}",
            fix=f"Say in stepcreds.yml which key it signs with: {SEAL}.key.",
        )
    if name not in OF_SEAL:
        raise wrong(
            f"{flag(name)} {shown} says nothing of the job that seals: it has no database",
            fix=f"What can be said of it: {', '.join(map(flag, OF_SEAL))}.",
        )


def _added(before: object, value: str) -> object:
    if before is None:
        return value
    return [*(before if isinstance(before, list) else [before]), value]


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, (tuple, list)) else ()


def _asked(given: Given, question: Question) -> Given:
    """`given` and the answer of whoever sits at the terminal."""
    whom = of_whom(question.profile)
    click.echo(printable(f"{question.why}.\n  {question.flag}", 4000), err=True)
    what = question.name.replace("_", " ")
    answer = click.prompt(
        f"{what}{whom}", type=click.Choice(question.choices) if question.choices else str, err=True
    ).strip()
    if question.name in MAPPINGS:
        old = mapping(given.of_all.get(question.name))
        return given.with_answer("", question.name, {**old, question.server: answer})
    return given.with_answer(question.profile, question.name, answer)
