"""Has a credential measured before anybody is handed it, and decides what becomes of one that can do too much."""

from __future__ import annotations

from collections.abc import Callable

from stepcreds import scope
from stepcreds.clock import Clock
from stepcreds.config.model import Profile
from stepcreds.errors import UnmeasuredError
from stepcreds.measurement import Measured, Measurement, NotMeasured
from stepcreds.model import Holding
from stepcreds.session.step import Credential, Keeper, Step, Voice


def look(credential: Credential, keeper: Keeper, clock: Clock) -> Credential:
    """The credential with what it can do; refused to nobody here. Raises `UnmeasuredError`; the credential is alive."""
    profile, holding = credential.profile, credential.holding
    measured = scope.measure(profile, holding.username, holding.password, clock)
    holding = holding._replace(measurement=measured)
    keeper.hold(holding)
    return credential._replace(grant=scope.grant(profile, credential.grant.lease, measured), holding=holding)


def measure(
    step: Step,
    profile: Profile,
    holding: Holding,
    found: Callable[[Measurement], None],
    *,
    unmeasured: NotMeasured | None = None,
) -> Measurement:
    """What the credential of `holding` can do, which `found` is told, too. `unmeasured` is why nobody is to look.

    Raises `UnmeasuredError`.
    """
    measurement: Measurement | None = unmeasured or scope.not_measured(profile)
    if measurement is None:
        try:
            with step.keeper.cancellation.interruptible():
                measurement = scope.measure(profile, holding.username, holding.password, step.around.clock)
        except UnmeasuredError as error:
            found(NotMeasured(error.reason))
            raise
    found(measurement)
    return measurement


def judge(profile: Profile, measured: Measurement, voice: Voice) -> None:
    """Raises `ExcessError` for a credential that can do too much, unless the profile is content with a warning."""
    if not isinstance(measured, Measured):
        return
    if measured.excess:
        from stepcreds.scope import report

        if profile.on_excess == "fail":
            raise report.refusal(profile, measured)
        voice.warn(report.warning(profile, measured))
    for text in scope.remarks(measured.findings, profile, measured.time):
        voice.warn(f"{profile.name}: {text}")
