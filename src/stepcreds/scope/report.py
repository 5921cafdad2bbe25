"""A measurement in words: the verdict, the worst of it, each finding with its path and its fix, and what nobody saw."""

from __future__ import annotations

from stepcreds.config.model import Profile
from stepcreds.errors import ExcessError
from stepcreds.measurement import Measured


def refusal(profile: Profile, measured: Measured) -> ExcessError:
    """Why the credential is not handed over: what it can do beyond its profile, the worst first."""
    excess = measured.excess
    return ExcessError(
        f"The credential of profile {profile.name} can do more than it declares "
        f"({measured.level} instead of {profile.access}): it can {excess[0].what}",
        cause="\n".join(f"{each.name}: {each.what} ({each.because})" for each in excess),
        fix="\n".join(dict.fromkeys(each.fix for each in excess if each.fix)),
        docs="excess",
    )
