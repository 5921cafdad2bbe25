"""The sealing job at Vault: logged in when there is something to sign, and its token given back; it decides nothing."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from stepcreds.errors import VaultError
from stepcreds.identity import claims_for_messages
from stepcreds.ledger import dsse
from stepcreds.session.begin import identify
from stepcreds.session.step import Surroundings
from stepcreds.vault.advice import explain_login
from stepcreds.vault.client import Vault

LONGEST = 300.0  # seconds that a child of the operator's token lives


class Signer:
    """`with Signer(…) as signer:` where `key` is "<mount>/keys/<name>". Nobody is asked for anything before `sign`."""

    def __init__(self, around: Surroundings, key: str, role: str, id_token_file: Path | None) -> None:
        self._around = around
        self._key = key
        self._role = role
        self._id_token_file = id_token_file
        self._vault = Vault(around.config.vault, around.clock, step_uid=around.step_uid)
        self._own = False  # whether there is a token that is to be given back

    def sign(self, payload_type: str, payload: bytes) -> bytes:
        """The envelope, in one line. Raises `IdentityError` and `VaultError`."""
        if not self._own:
            self._log_in()
        made = self._vault.sign(self._key, dsse.pae(payload_type, payload))
        signature = dsse.Signature(f"{self._key}:{made.version}", made.sig)
        return dsse.dumps(dsse.Envelope(payload_type, payload, (signature,)))

    def _log_in(self) -> None:
        around = self._around
        identity = identify(around, self._id_token_file)
        if around.operator_token is not None:
            self._vault.use(around.operator_token)
            self._vault.child_token(LONGEST)
        else:
            settings = around.config.vault
            try:
                self._vault.login(self._role, identity.token)
            except VaultError as error:
                raise explain_login(
                    error,
                    role=self._role,
                    mount=settings.mount,
                    audience=settings.audience,
                    claims=claims_for_messages(identity.claims),
                    setting="`ledger.seal.role` (its default is stepcreds-seal)",
                ) from None
        self._own = True

    def __enter__(self) -> Signer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """A token that is not given back is a warning: what was sealed is sealed, and the token ends by itself."""
        try:
            if self._own:
                self._vault.revoke_self()
        except VaultError as failure:
            self._around.voice.warn(f"the token that signed was not given back, and ends by itself: {failure.what}")
        finally:
            self._vault.close()
