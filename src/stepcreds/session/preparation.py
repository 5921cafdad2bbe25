"""What a step with a command needs to know before it asks for anything; it issues nothing."""

from __future__ import annotations

from stepcreds.databases import engine_for
from stepcreds.deliver import Parent, check_names
from stepcreds.model import Identity
from stepcreds.process.pair import Worker
from stepcreds.session.begin import begin
from stepcreds.session.request import Request
from stepcreds.session.step import Step, Surroundings


def prepare(request: Request, around: Surroundings) -> None:
    """What can fail without a credential is to fail before there is one. Raises `StepcredsError`."""
    check_names(request.profiles)
    for profile in request.profiles:
        engine = engine_for(profile.database, around.clock)
        if engine is not None and profile.database is not None:
            engine.prepare(profile.database)


def parent_of(identity: Identity, request: Request, around: Surroundings) -> Parent:
    """What the command would have without stepcreds."""
    variable = (identity.variable,) if identity.variable else ()
    return Parent(
        around.environment,
        request.inherit,
        (*around.ci.identity_variables, *variable),
        identity.token,
        str(identity.claims.get("iss") or ""),
    )


def begin_step(identity: Identity, parent: Parent, request: Request, around: Surroundings, worker: Worker) -> Step:
    """The step, with its ledger open; other credentials that the command would inherit are a warning.

    Raises `StepcredsError`.
    """
    inherited = parent.credentials(request.profiles)
    if inherited:
        around.voice.warn(
            f"the command also inherits what looks like other credentials: {', '.join(inherited)}. "
            "Take them out of the job's environment, or run with --inherit clean"
        )
    return begin(
        around,
        identity,
        worker,
        argv=request.recorded,
        delivery="exec",
        inherited=inherited,
        reason=request.reason,
    )
