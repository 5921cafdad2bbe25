"""What a CI's token endpoint answered: the token, or an error that says why there is none; it sends nothing."""

from __future__ import annotations

from urllib.parse import urlsplit

from stepcreds import foreign_json
from stepcreds.ci.http import BAD_CERTIFICATE, Answer
from stepcreds.errors import IdentityError
from stepcreds.printable import one_line
from stepcreds.secret import Secret


def token_of(answer: Answer, *, name: str, who: str, url: str) -> Secret:
    """The text `name` of the JSON object that `who` answered.

    Raises `IdentityError` for everything but a 200 that has it.
    """
    if answer.status != 200:
        raise IdentityError(
            f"The token endpoint of {who}{_at(url)} gave no ID token: {answer.in_words()}",
            cause=_cause(answer),
            fix="Run the job again. If it stays so, look at the CI's status page and at the runner's network.",
            docs="token-endpoint",
        )
    found = foreign_json.read(answer.body)
    value = found.get(name) if isinstance(found, dict) else None
    if not isinstance(value, str) or not value:
        raise IdentityError(
            f"The token endpoint of {who}{_at(url)} answered HTTP 200 without an ID token",
            cause="Something else than the CI answered, a proxy for example, or the CI changed what it answers.",
            fix="Look at the network of the runner.",
            docs="token-endpoint",
        )
    return Secret(value)


def _at(url: str) -> str:
    """The host of `url`; its path and query are the job's own."""
    try:
        return f" at {one_line(urlsplit(url).hostname or '?')}"
    except ValueError:
        return ""


def _cause(answer: Answer) -> str:
    status = answer.status
    if answer.reason.startswith(BAD_CERTIFICATE):
        return "The CA that signed it is not among the system's, or something else answers in the place of the CI."
    if status in (401, 403):
        return "The token that the job asks with was not accepted: it has expired, or belongs to another job."
    if 300 <= status < 400:
        return "A redirect is never followed: the request carries a token of the job."
    if status == 429 or status >= 500:
        return "The CI's token service is overloaded or out of order."
    if status == 0:
        return "The runner cannot reach the CI's token service, or something between them breaks the connection off."
    return "The request is not what the CI's token service expects."
