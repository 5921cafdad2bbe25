"""From a grant to the outputs of a CI's step, for an action that has to be given values. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from stepcreds.clock import rfc3339
from stepcreds.deliver.fields import fields_of, is_secret
from stepcreds.errors import DeliveryError
from stepcreds.model import Grant
from stepcreds.secret import Secret

OF_A_DATABASE = ("username", "password", "host", "port", "database", "url")
EXPIRES_AT = "expires-at"


class Outputs(NamedTuple):
    """What later steps may name, and what of it must not be seen in a log."""

    values: tuple[tuple[str, Secret], ...]
    secrets: tuple[Secret, ...]


def outputs_of(grants: Sequence[tuple[Grant, float]]) -> Outputs:
    """The outputs of `grants`, each with its end (epoch seconds).

    The first has the plain names, and the others their profile's name before each. Raises `DeliveryError`.
    """
    values: dict[str, Secret] = {}
    secrets: dict[Secret, None] = {}
    for position, (grant, expire_time) in enumerate(grants):
        prefix = f"{grant.profile.name}-" if position else ""
        fields = fields_of(grant, "").values
        has_database = grant.profile.database is not None
        names = [name for name in OF_A_DATABASE if name in fields] if has_database else list(grant.lease.fields)
        for field in names:
            value = fields[field]
            if "\0" in value.reveal():
                raise DeliveryError(
                    f"{field} of profile {grant.profile.name} holds a NUL character, which no output can",
                    docs="delivery",
                )
            # What an expression can name: https://docs.github.com/en/actions/reference/workflows-and-actions/contexts
            values[prefix + re.sub(r"[^A-Za-z0-9_-]", "-", field)] = value
            if field == "url" or is_secret(field, value.reveal()):
                secrets[value] = None
        # What the answer holds besides is not handed out; it is no less of a secret.
        secrets |= {v: None for name, v in grant.lease.fields.items() if is_secret(name, v.reveal())}
        values[prefix + EXPIRES_AT] = Secret(rfc3339(expire_time))
    return Outputs(tuple(values.items()), tuple(sorted(secrets, key=lambda secret: -len(secret.reveal()))))
