"""Why an object store did not do what it was asked, in one word for all of them, and what to do about it.

What a store or its library says in sentences is never repeated: Azure's answers quote signatures, and addresses hold
them. Of its own only its code is (`AccessDenied`), or the name of the library's error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from stepcreds.config.store_url import Scheme, StoreURL
from stepcreds.errors import LedgerError

Kind = Literal[
    "exists",  # of a create: there is one of that name
    "busy",  # somebody else writes there right now, or it asks to slow down
    "gone",  # of a read: there is no such object any more
    "no-file",  # of a read in a folder
    "empty",  # of a read: there is nothing in it
    "denied",
    "no-bucket",
    "credentials",
    "region",
    "unreachable",
    "endless",  # a list that does not come to an end
    "unsupported",  # the store cannot do that at all
    "refused",  # anything else
]
Doing = Literal["written", "read", "listed"]


class StoreFault(Exception):  # noqa: N818 - never leaves the package: `ledger_error` does
    """One request that failed."""

    def __init__(self, kind: Kind, code: str = "") -> None:
        super().__init__(kind)
        self.kind: Kind = kind
        self.code = code if re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", code) else ""


@contextmanager
def translated(fault_of: Callable[[Exception], StoreFault]) -> Iterator[None]:
    """Make a `StoreFault` of whatever a library raises."""
    try:
        yield
    except StoreFault:
        raise
    except Exception as error:  # noqa: BLE001 - they raise of everything
        raise fault_of(error) from None


def ledger_error(url: StoreURL, doing: Doing, fault: StoreFault) -> LedgerError:
    """`fault` of a request for `url` as the one error that leaves this package."""
    what, cause, fix = _WORDS.get(fault.kind, _WORDS["refused"])
    code = f" ({fault.code})" if fault.code else ""
    return LedgerError(
        f"{url} could not be {doing}: {what}{code}",
        cause=cause,
        fix=fix or (_CREDENTIALS if fault.kind == "credentials" else _RIGHTS[doing])[url.scheme],
        docs="store",
    )


def no_answer(url: StoreURL, seconds: float) -> LedgerError:
    """Nothing happened for so long."""
    return LedgerError(
        f"{url} gave no answer within {seconds:g} s",
        cause="The network, a proxy or the store hangs. What was under way may have arrived.",
        fix="Look whether this machine reaches it; then run the same command again, which does nothing twice.",
        docs="store",
    )


_WORDS: dict[Kind, tuple[str, str, str]] = {
    "denied": ("access is denied", "What this process is to the store may not do that there.", ""),
    "no-bucket": (
        "there is no such bucket",
        "The name is another, or the credentials are of another account.",
        "Check the URL, and which account and region this process asks.",
    ),
    "credentials": ("there are no credentials for it, or they are not taken", "", ""),
    "region": (
        "the bucket is in another region than was asked",
        "",
        "Set AWS_REGION to the bucket's region.",
    ),
    "unreachable": (
        "it could not be reached",
        "The network or a proxy is away, or a variable names another endpoint (AWS_ENDPOINT_URL, "
        "STORAGE_EMULATOR_HOST, AZURE_STORAGE_CONNECTION_STRING).",
        "Look whether this machine reaches it; then run the same command again, which does nothing twice.",
    ),
    "busy": ("it is busy", "", "Run the same command again, which does nothing twice."),
    "gone": ("it is not there any more", "Somebody removed it since it was listed.", "Look at the store's own log."),
    "no-file": ("it is a link, or no file", "", "Name what it leads to, if that is meant."),
    "empty": ("there is nothing in it", "", "Look at the store's own log."),
    "endless": (
        "it says that there is more, and does not give it",
        "The store is faulty, or something else answers in its place.",
        "Look who answers at its address; a longer prefix may be listed all the same.",
    ),
    "unsupported": (
        "this store, or the library for it, cannot write only where nothing is yet",
        "Without that a second writer could replace what is there.",
        "Update the library (pip install -U 'stepcreds[s3]'), or take a store with conditional writes.",
    ),
    "refused": ("it refused", "", "Look up what the store means by that, and at its own log."),
}
_RIGHTS: dict[Doing, dict[Scheme, str]] = {
    "written": {
        "s3": "Allow it s3:PutObject there, and kms:GenerateDataKey where the bucket encrypts with a key of KMS.",
        "gs": "Give it the role roles/storage.objectCreator on the bucket.",
        "az": "Give it a role with blobs/add/action on the container.",
        "file": "",
    },
    "read": {
        "s3": "Allow it s3:GetObjectVersion there, and kms:Decrypt where the bucket encrypts with a key of KMS.",
        "gs": "Give it the role roles/storage.objectViewer on the bucket.",
        "az": "Give it the role Storage Blob Data Reader on the container.",
        "file": "Let this user read it, and the folders above.",
    },
    "listed": {
        "s3": "Allow it s3:ListBucketVersions on the bucket.",
        "gs": "Give it the role roles/storage.objectViewer on the bucket.",
        "az": "Give it the role Storage Blob Data Reader on the container.",
        "file": "Let this user read it, and the folders above.",
    },
}
_CREDENTIALS: dict[Scheme, str] = {
    "s3": "On GitHub let aws-actions/configure-aws-credentials come before it; elsewhere set AWS_ROLE_ARN and "
    "AWS_WEB_IDENTITY_TOKEN_FILE, or whatever else the AWS CLI takes.",
    "gs": "On GitHub let google-github-actions/auth come before it; elsewhere set GOOGLE_APPLICATION_CREDENTIALS to a "
    "configuration of workload identity federation.",
    "az": "Set AZURE_STORAGE_ACCOUNT_NAME; on GitHub let azure/login come before it, elsewhere set AZURE_CLIENT_ID, "
    "AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE.",
}
