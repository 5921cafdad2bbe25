"""Lists of a store that have no end, or make no sense: nobody waits for them for ever, and no memory is filled with them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from azure_versions import KEY
from lying_stores import BUCKET, Lying, Page, azure_page, google_page, s3_page
from stores import SECRET, Job

pytest_plugins = ("store_fixtures",)

SEE = "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#store\n"


class Kind:
    """A kind of store that lies."""

    def __init__(self, url: str, page: Callable[[list[str], str], str]) -> None:
        self.url, self.page = url, page

    def environment(self, store: Lying, job: Job) -> dict[str, str]:
        if self.url.startswith("s3"):
            return {
                "AWS_ENDPOINT_URL": store.url,
                "AWS_REGION": "eu-central-1",
                "AWS_ACCESS_KEY_ID": "root",
                "AWS_SECRET_ACCESS_KEY": SECRET,
            }
        if self.url.startswith("az"):
            text = f"AccountName=reviewer;AccountKey={KEY};BlobEndpoint={store.url}/reviewer;"
            return {"AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;{text}"}
        (job.folder / "jwt").write_text("id-token")
        file = job.folder / "google.json"
        configuration = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/pools/x",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{store.url}/token",
            "credential_source": {"file": str(job.folder / "jwt")},
        }
        file.write_text(json.dumps(configuration))
        return {"GOOGLE_APPLICATION_CREDENTIALS": str(file), "STORAGE_EMULATOR_HOST": store.url}


@pytest.fixture(params=["s3", "google", "azure"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return {
        "s3": Kind(f"s3://{BUCKET}/shop", s3_page),
        "google": Kind(f"gs://{BUCKET}/shop", google_page),
        "azure": Kind(f"az://{BUCKET}/shop", azure_page),
    }[request.param]


FEW = "import stepcreds.storage.pull as p; p.MOST = 50; from stepcreds.cli import main; main()"


def pulled(kind: Kind, job: Job, page: Page, code: str = "", *more: str) -> tuple[int, str, str, int]:
    with Lying(page) as store:
        run = job("ledger", *(more or ("pull", kind.url)), variables=kind.environment(store, job), code=code)
        return run.returncode, run.stdout, run.stderr, store.asked


ENDLESS = (
    "could not be listed: it says that there is more, and does not give it\n"
    "  cause: The store is faulty, or something else answers in its place.\n"
    "  fix: Look who answers at its address; a longer prefix may be listed all the same.\n" + SEE
)


def test_a_marker_that_stays_where_it_is(kind: Kind, job: Job) -> None:
    code, out, err, asked = pulled(kind, job, lambda _, __: kind.page(["shop/x.txt"], "m"))
    assert (code, out, err, asked) == (2, "", f"stepcreds: error: {kind.url} {ENDLESS}", 2)


def test_pages_with_nothing_on_them(kind: Kind, job: Job) -> None:
    """Each with another marker."""
    code, out, err, asked = pulled(kind, job, lambda number, _: kind.page([], f"m{number}"))
    assert (code, out, err, asked) == (2, "", f"stepcreds: error: {kind.url} {ENDLESS}", 101)


@pytest.mark.parametrize("arguments", ["pull", "verify"])
def test_names_that_nobody_asked_for(kind: Kind, job: Job, arguments: str) -> None:
    """`verify` asks for ledgers alone, and `pull` for what is below the prefix; there is no end of anything else."""
    name = "else" if arguments == "pull" else "shop/else"
    code, out, err, asked = pulled(
        kind,
        job,
        lambda number, _: kind.page([f"{name}-{number}-{each}.txt" for each in range(10)], f"m{number}"),
        FEW,
        arguments,
        kind.url,
    )
    assert (code, out, asked) == (2, "", 6)
    assert err == (
        f"stepcreds: error: There are more than 50 versions of objects below {kind.url}\n"
        f"  fix: Name a part of it: a longer prefix.\n{SEE}"
    )


def test_another_page_and_nowhere_to_ask_for_it(job: Job) -> None:
    kind = Kind(f"s3://{BUCKET}/shop", s3_page)
    code, _, err, asked = pulled(kind, job, lambda _, __: s3_page(["shop/x.jsonl"], ""))
    assert (code, err, asked) == (2, f"stepcreds: error: {kind.url} {ENDLESS}", 1)


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        '{"items": {"a": 1}}',
        '{"items": [{"name": "shop/a.jsonl"}]}',
        '{"items": [{"name": "shop/a.jsonl", "generation": "x", "timeCreated": "y"}]}',
        "[" * 100_000,
        "{",
    ],
    ids=["a list", "no list", "too little", "no number", "deep", "half"],
)
def test_what_is_no_list_of_googles(job: Job, body: str) -> None:
    kind = Kind(f"gs://{BUCKET}/shop", google_page)
    code, out, err, _ = pulled(kind, job, lambda _, __: body)
    assert (code, out) == (2, "")
    assert err == (
        f"stepcreds: error: {kind.url} could not be listed: it refused (IncompleteAnswer)\n"
        f"  fix: Look up what the store means by that, and at its own log.\n{SEE}"
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<ListVersionsResult><Version><Key>shop/a.jsonl</Key></Version></ListVersionsResult>", "IncompleteAnswer"),
        ("<ListVersionsResult><Version><Size>x</Size></Version></ListVersionsResult>", "ValueError"),
        ("<html><body>Sign in", "500"),
    ],
    ids=["too little", "no number", "a portal"],
)
def test_what_is_no_list_of_amazons(job: Job, body: str, said: str) -> None:
    kind = Kind(f"s3://{BUCKET}/shop", s3_page)
    code, out, err, _ = pulled(kind, job, lambda _, __: body)
    assert (code, out) == (2, "")
    what = "it is busy" if said == "500" else "it refused"  # botocore takes what is no XML for an error of the server's
    assert err.splitlines()[0] == f"stepcreds: error: {kind.url} could not be listed: {what} ({said})"
