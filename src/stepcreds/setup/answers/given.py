"""What was said so far, by flags and by a file, and what is still to be asked; nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from stepcreds.config.model import Profile
from stepcreds.errors import UsageError
from stepcreds.printable import one_line
from stepcreds.setup.connections import server

# What may be answered for each profile, and for all of them; the names of flags with `_` for `-`.
BOUND = ("repository", "repository_id", "environment", "branch", "ref", "workflow")
OF_PROFILES = (
    *BOUND,
    "claim",
    "no_environment",
    "owner",
    "group",
    "connection",
    "connection_limit",
    "guard",
    "outputs",
)
OF_ALL = (
    "ci",
    "issuer",
    "issuer_ca",
    "user_claim",
    "manager",
    "audit_header",
    "no_lease_audit",
    "vault_reaches",
    "vault_ca",
)
MAPPINGS = ("claim", "vault_reaches", "vault_ca")
# Stands in the place of a profile, whose name cannot have a dot: which job seals is never answered for all.
SEAL = "ledger.seal"
OF_SEAL = (*BOUND, "claim")


class Given(NamedTuple):
    """As an answers file says it: texts, numbers, truths, lists of them, and mappings."""

    of_all: Mapping[str, object]  # names of OF_ALL and OF_PROFILES
    of_profiles: Mapping[str, Mapping[str, object]]  # profile -> names of OF_PROFILES; SEAL -> names of OF_SEAL

    def of(self, profile: str, name: str) -> object:
        """What was said for `profile`, else for all; None where nothing was."""
        own = self.of_profiles.get(profile, {})
        return own[name] if name in own else self.of_all.get(name)

    def text(self, name: str, default: str = "") -> str:
        value = self.of_all.get(name)
        return default if value is None else str(value)

    def with_answer(self, profile: str, name: str, value: object) -> Given:
        """The same, and `value` for `profile` ("": for all)."""
        if not profile:
            return Given({**self.of_all, name: value}, self.of_profiles)
        own = {**self.of_profiles.get(profile, {}), name: value}
        return Given(self.of_all, {**self.of_profiles, profile: own})


class Question(NamedTuple):
    """One answer that is missing."""

    name: str  # of OF_PROFILES or OF_ALL
    profile: str  # "" for all of them; SEAL
    flag: str  # as it would be given, with an example
    why: str  # what is asked, and what for
    choices: tuple[str, ...] = ()
    server: str = ""  # of vault_ca: whose


class MissingAnswersError(UsageError):
    """Answers that nobody gave; `questions` are in the order in which they are asked."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = tuple(questions)
        many = len(self.questions) > 1
        super().__init__(
            f"{len(self.questions)} answers are missing" if many else "An answer is missing",
            cause="\n".join(f"{_about(each)}: {each.why}" for each in self.questions),
            fix="Give them as flags, or in a file (--answers); on a terminal they are asked for:\n"
            + "\n".join(f"  {each.flag}" for each in self.questions),
            docs="setup-answers",
        )


def _about(question: Question) -> str:
    return f"{flag(question.name)}{of_whom(question.profile)}"


def of_whom(profile: str) -> str:
    """ " for profile migrate"; "" for all."""
    return "" if not profile else f" for {profile}" if profile == SEAL else f" for profile {profile}"


def wrong(what: str, *, cause: str = "", fix: str = "") -> UsageError:
    """An answer that cannot be."""
    return UsageError(what, cause=cause, fix=fix, docs="setup-answers")


def flag(name: str, profile: str = "", example: str = "") -> str:
    """`--repository-id verify=71717171`."""
    words = f"--{name.replace('_', '-')}"
    return f"{words} {profile + '=' if profile else ''}{example}" if example else words


def values(value: object) -> list[object]:
    """One answer or a list of them, as a list."""
    if isinstance(value, (list, tuple)):
        return list(value)
    return [] if value is None or value == "" else [value]


def mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def by_server(profiles: Iterable[Profile], given: Given, name: str) -> dict[str, str]:
    """A mapping by server, as the profiles name theirs ("host:port"; the answer may leave out the port).

    Raises `UsageError` for one that no profile names.
    """
    known = {server(profile.database) for profile in profiles if profile.database is not None}
    found = {}
    for where, value in mapping(given.of_all.get(name)).items():
        fits = [each for each in known if where in (each, each.rpartition(":")[0])]
        if len(fits) != 1:
            raise wrong(
                f"{flag(name)} names {one_line(where, 200)}, and no profile has its database there",
                fix=f"The servers are: {', '.join(sorted(known))}.",
            )
        found[fits[0]] = str(value)
    return found
