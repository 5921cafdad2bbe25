"""One call to Vault: its addresses in turn, until an answer that is final or the time is up; it does not know what
the call is for.

Which answers are worth another try: 412 (a standby that is behind), 429, 472 and 473 (standby), 500, 502, 503, 504, and
307: a standby's redirect, which is never followed, because the token would go to whatever host it names.
https://developer.hashicorp.com/vault/api-docs#http-status-codes
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from stepcreds.clock import Clock
from stepcreds.secret import Secret
from stepcreds.vault import refusals
from stepcreds.vault.answer import Answer, NoAnswerError
from stepcreds.vault.transport import Transport

PASSING = frozenset({307, 412, 429, 472, 473, 500, 502, 503, 504})
# Of those, the answers that Vault gives before it does anything. Not 307: a standby hands requests on to the leader,
# and where the leader dies in the middle of one, the answer is a redirect, too (seen with OpenBao 2.7.2).
NOT_RUN = frozenset({412, 429, 472, 473})
# A standby that knows of no leader to hand the request on to, and one that lost it on the way (vault/http/handler.go).
NO_LEADER, LEADER_LOST = "local node not active but active cluster node not found", "no active Vault instance found"
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0  # seconds


def full_jitter(attempt: int) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 0): anything up to a bound that doubles.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    bound = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt, 16))
    return random.uniform(0, bound)  # noqa: S311 - spreads clients out, guards nothing


class Calls:
    """Calls over a list of addresses, which begin at the one that answered last."""

    def __init__(
        self,
        addresses: tuple[str, ...],
        transport: Transport,
        clock: Clock,
        *,
        pause: Callable[[int], float] = full_jitter,
        first: int = 0,
    ) -> None:
        self._addresses = addresses
        self._transport = transport
        self._clock = clock
        self._pause = pause
        self.current = first

    def call(
        self,
        method: str,
        path: str,
        payload: Mapping[str, Any] | None = None,
        *,
        token: Secret | None,
        until: float,
        read_timeout: float,
        once: bool = False,
        consistent: bool = False,
        ends: bool = False,
    ) -> Answer:
        """The first final answer before the monotonic second `until`.

        With `once`, the request is repeated only where Vault cannot have carried it out; `consistent` is as
        `Transport.exchange` has it. A Retry-After is the word of one address, which the others are asked before; where
        the call `ends` something, it counts for `LONGEST_PAUSE` at most: a credential lives meanwhile.

        Raises `LostAnswerError` where `once` forbids another try, and `VaultError` where the time is up, where Vault
        cannot be reached and where it does not answer as Vault does.
        """
        start = self._clock.monotonic()
        silent: dict[str, str] = {}
        hopeless: set[str] = set()
        asked: dict[str, tuple[float, float]] = {}  # address -> seconds it asked to wait, and from when
        repeated = False
        attempt = 0
        while True:
            address = self._addresses[self.current]
            try:
                answer = self._transport.exchange(
                    address, method, path, payload, token, read_timeout=read_timeout, until=until, consistent=consistent
                )
            except NoAnswerError as problem:
                silent[address] = problem.reason
                failure = problem.final or refusals.unreachable(silent)
                if problem.final is not None:
                    hopeless.add(address)  # a certificate that has expired, say: the other servers' may be good
                doubt, final = problem.sent, hopeless.issuperset(self._addresses)
            else:
                if answer.status not in PASSING:
                    return answer._replace(repeated=repeated)
                failure = refusals.refused(answer, method, path)
                doubt, final = _may_have_run(answer), False
                seconds = seconds_to_wait(answer.retry_after, self._clock.now())
                asked[address] = min(seconds, LONGEST_PAUSE) if ends else seconds, self._clock.monotonic()
            # Also where this call fails: the next one is not to begin at a server that hangs.
            pause, now = self._pause(attempt), self._clock.monotonic()
            waits = {name: seconds - (now - since) for name, (seconds, since) in asked.items()}
            self.current = self._next(waits, pause)
            if once and doubt:
                raise refusals.lost(failure, path)
            repeated = repeated or doubt
            wait = max(pause, waits.get(self._addresses[self.current], 0.0))
            attempt += 1
            if final or now + wait >= until:
                raise refusals.out_of_time(failure, attempt, now - start, 0.0 if ends or wait == pause else wait)
            self._clock.sleep(wait)

    def _next(self, waits: Mapping[str, float], pause: float) -> int:
        """The next address in turn of those that may be asked after `pause`; else the one that may be asked first."""
        turns = [(self.current + step) % len(self._addresses) for step in range(1, len(self._addresses) + 1)]
        return min(turns, key=lambda turn: max(pause, waits.get(self._addresses[turn], 0.0)))


def _may_have_run(answer: Answer) -> bool:
    # A 503 in Vault's own words (sealed) came before anything was done; a proxy's may come after.
    own = answer.status == 503 and answer.errors and LEADER_LOST not in answer.errors
    return answer.status not in NOT_RUN and not own and NO_LEADER not in answer.errors


def seconds_to_wait(retry_after: str, now: float) -> float:
    """What a Retry-After header asks for: seconds or an HTTP date (RFC 9110, section 10.2.3); 0 if it says neither."""
    if retry_after.strip().isdecimal() and len(retry_after) < 10:
        return float(retry_after)
    from email.utils import parsedate_to_datetime  # `http.client` has loaded its package

    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return 0.0
