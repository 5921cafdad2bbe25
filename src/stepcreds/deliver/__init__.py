"""From grants to what one command gets: its environment and its files. Pure; it writes and starts nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from stepcreds.config.model import Profile
from stepcreds.deliver.environment import ACTION, IDENTITY, VAULT_TOKENS, Inherit, credential_like
from stepcreds.deliver.environment import inherited as _inherited
from stepcreds.deliver.fields import Fields, fields_of, is_secret
from stepcreds.deliver.names import older, options, schemes, templates
from stepcreds.errors import DeliveryError
from stepcreds.model import DeliveredFile, Delivery, Grant
from stepcreds.secret import Secret


class Parent(NamedTuple):
    """The environment a command would have had, and how to know the identity in it."""

    environment: Mapping[str, str]  # of a job: it holds whatever the job holds
    inherit: Inherit
    identity_variables: tuple[str, ...]  # patterns, as `ci.interface.CI` gives them
    token: Secret
    issuer: str

    def __repr__(self) -> str:
        return "Parent(***)"

    def without(self, profiles: Iterable[Profile]) -> dict[str, str]:
        """What the command may still see of it."""
        profiles = tuple(profiles)
        action = ACTION if self.environment.get("GITHUB_ACTIONS") == "true" else ()
        removed = (
            *self.identity_variables,
            *IDENTITY,
            *VAULT_TOKENS,
            *action,
            *(p for each in profiles for p in older(each)),
        )
        return _inherited(
            self.environment,
            inherit=self.inherit,
            removed=removed,
            schemes=frozenset().union(*(schemes(profile.database) for profile in profiles)),
            keep=[name for profile in profiles for name in profile.keep],
            token=self.token,
            issuer=self.issuer,
        )

    def credentials(self, profiles: Iterable[Profile]) -> tuple[str, ...]:
        """The names of what looks like other credentials in the part that the command still sees."""
        profiles = tuple(profiles)
        delivered = {name for profile in profiles for name in templates(profile)}
        left = self.without(profiles)
        return tuple(sorted(n for n, value in left.items() if n not in delivered and credential_like(n, value)))


def check_names(profiles: Sequence[Profile]) -> None:
    """Raises `DeliveryError` where two profiles of one step set the same variable or write the same file."""
    for what, names_of in (("variable", templates), ("file", lambda profile: map(_inside, profile.files))):
        owner: dict[str, str] = {}
        for profile in profiles:
            for name in names_of(profile):
                if name in owner:
                    raise DeliveryError(
                        f"The profiles {owner[name]} and {profile.name} both deliver the {what} {name}",
                        cause="One command cannot have both under one name.",
                        fix=f"Give one of them names of its own: profiles.{profile.name}."
                        + ('env, for example {CACHE_URL: "{url}"}.' if what == "variable" else "files."),
                        docs="delivery",
                    )
                owner[name] = profile.name


def needs_folder(profiles: Iterable[Profile]) -> bool:
    """Whether a step with these profiles needs a private folder."""
    return any(
        profile.files or any("{dir" in template for template in templates(profile).values()) for profile in profiles
    )


def deliver(grants: Sequence[Grant], parent: Parent, folder: str = "") -> Delivery:
    """What the command gets; `folder` is its private folder, "" where it needs none.

    Raises `DeliveryError` for names that collide, and for a template that names what an answer does not have.
    """
    profiles = [grant.profile for grant in grants]
    check_names(profiles)
    left = parent.without(profiles)
    environment = dict(left)
    files: list[DeliveredFile] = []
    secrets: dict[Secret, None] = {}
    for grant in grants:
        fields = fields_of(grant, folder)
        environment |= _variables(grant.profile, fields)
        files += _files(grant.profile, fields, folder)
        secrets |= dict.fromkeys(_secrets(grant, fields))
    return Delivery(
        environment=environment,
        files=tuple(files),
        removed=tuple(sorted(parent.environment.keys() - left.keys())),
        inherited=parent.credentials(profiles),
        secrets=tuple(sorted(secrets, key=lambda secret: -len(secret.reveal()))),
    )


def _variables(profile: Profile, fields: Fields) -> dict[str, str]:
    rendered = {name: fields.render(name, template) for name, template in templates(profile).items()}
    if profile.env is not None:
        return rendered
    # An empty default (no certificate, no database) would be read as one; what the author wrote stays as written.
    return {name: value for name, value in (rendered | options(profile)).items() if value}


def _files(profile: Profile, fields: Fields, folder: str) -> list[DeliveredFile]:
    return [
        DeliveredFile(f"{folder}/{fields.render(path, _inside(path))}", Secret(fields.render(path, content)))
        for path, content in profile.files.items()
    ]


def _inside(path: str) -> str:
    """`path` below the private folder; the configuration has seen to it that it does not lead out again."""
    return path.removeprefix("{dir}/")


def _secrets(grant: Grant, fields: Fields) -> Iterator[Secret]:
    """The fields of the answer that are secret, and what templates make of them."""
    for name, value in grant.lease.fields.items():
        if is_secret(name, value.reveal()):
            yield value
    for name, template in (*templates(grant.profile).items(), *grant.profile.files.items()):
        yield from fields.derived(name, template)
