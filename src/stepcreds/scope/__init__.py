"""The only maker of a `Grant`: what is delivered has been looked at, or says in words that nobody looked."""

from __future__ import annotations

from stepcreds.config.model import Profile
from stepcreds.model import Grant, Lease, NotMeasured


def not_measured(profile: Profile) -> NotMeasured:
    """Why nobody looks at what a credential of `profile` can do."""
    if profile.measure == "off":
        return NotMeasured("the profile says measure: off")
    if profile.database is None:
        return NotMeasured("there is no database to ask")
    return NotMeasured("this version does not measure privileges yet")


def grant(profile: Profile, lease: Lease, measurement: NotMeasured) -> Grant:
    """`lease` as something that may be delivered: `deliver` takes nothing else, and nothing else makes one."""
    return Grant(profile, lease, measurement)
