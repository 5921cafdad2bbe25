"""What a job that seals needs at Vault, as `setup` makes it, and an audit log that says which lease was revoked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml
from fresh_shop import Shop
from setup_configs import CIS, config, given, plan, profile, settings

from faulty_vault import FaultyVault, Request
from stepcreds.cli.setup_answers import answers_of
from stepcreds.devstack.stack import Stack
from stepcreds.errors import UsageError
from stepcreds.ledger import dsse
from stepcreds.setup.answers import file as answers_file
from stepcreds.setup.answers.given import Given

OTHERS = {"repository_id": "4242", "ref": "refs/heads/main"}  # of the job that seals, in a repository of its own
AUDITED = "audit_non_hmac_request_keys"


def sealing(shop: Shop) -> None:
    """Have the shop's ledger signed and sealed, with keys of one engine."""
    path = shop.folder / "stepcreds.yml"
    document = yaml.safe_load(path.read_text())
    document["ledger"]["key"] = f"transit-{shop.name}/keys/ledger-{{repository_id}}"
    document["ledger"]["seal"] = {"key": f"transit-{shop.name}/keys/seal", "role": f"{shop.name}-seal", "to": "seals"}
    path.write_text(json.dumps(document))
    with (shop.folder / "setup.yml").open("a") as answers:
        answers.write("seal: {repository_id: '4242', branch: main}\n")


@pytest.fixture(scope="module")
def sealed(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One that a token has set up which may do that alone."""
    shop = Shop(stack, tmp_path_factory.mktemp("sealed"))
    sealing(shop)
    shop.token = shop.operator(shop.setup("apply", "--print-policy").stdout)
    first = shop.setup("apply", "--yes")
    assert first.returncode == 0, first.stdout + first.stderr
    assert f"done transit-{shop.name}/keys/seal\n" in first.stdout
    yield shop
    with shop.vault() as client:
        client.delete(f"sys/mounts/transit-{shop.name}")
        client.delete(f"sys/policies/acl/{shop.name}-seal")
    shop.remove()


def jobs(shop: Shop, *arguments: str, **claims: object) -> Any:
    """stepcreds in a job with these claims."""
    issuer, before = shop.servers.issuer, dict(shop.servers.issuer.claims)
    issuer.claims.update(claims)
    try:
        return shop.step(*arguments)
    finally:
        issuer.claims.clear()
        issuer.claims.update(before)


def test_the_second_run_and_who_may_only_look_find_nothing(sealed: Shop) -> None:
    second = sealed.setup("apply", "--yes")
    assert (second.returncode, "Nothing to do." in second.stdout.splitlines()) == (0, True), second.stdout
    before, sealed.token = sealed.token, sealed.operator(sealed.setup("check", "--print-policy").stdout)
    check = sealed.setup("check")
    sealed.token = before
    assert check.returncode == 0, check.stdout + check.stderr


def test_the_job_that_seals_can_and_a_step_cannot(sealed: Shop) -> None:
    run = sealed.step("exec", "verify", "--", "true")
    assert (run.returncode, "not signed" in run.stderr) == (0, False), run.stderr
    made = jobs(sealed, "ledger", "seal", **OTHERS)
    assert (made.returncode, made.stderr) == (0, ""), made.stderr
    envelope = dsse.loads((sealed.folder / "seals" / "seal-000001.json").read_bytes().rstrip(b"\n"))
    assert [each.keyid for each in envelope.signatures] == [f"transit-{sealed.name}/keys/seal:1"]
    # A job of the shop, and one of another branch of the sealing job's repository.
    for claims in ({}, {**OTHERS, "ref": "refs/heads/other"}):
        refused = jobs(sealed, "ledger", "seal", **claims)
        assert (refused.returncode, "claim" in refused.stderr) == (1, True), refused.stderr

    # Nor can a step's token sign one, or the sealing job's a checkpoint, or do anything but sign and end itself.
    def granted(profile: str) -> set[str]:
        rules = sealed.read(f"sys/policies/acl/{sealed.name}-{profile}")["policy"].splitlines()
        return {line.split('"')[1] for line in rules if line.startswith("path ")}

    engine = f"transit-{sealed.name}"
    assert granted("seal") == {f"{engine}/sign/seal", "auth/token/revoke-self"}
    assert [path.partition("{{")[0] for path in granted("verify") if path.startswith(engine)] == [
        f"{engine}/sign/ledger-"
    ]
    role = sealed.read(f"auth/{sealed.mount}/role/{sealed.name}-seal")
    assert {
        name: role[name] for name in ("bound_claims", "token_policies", "token_no_default_policy", "token_ttl")
    } == {
        "bound_claims": OTHERS,
        "token_policies": [f"{sealed.name}-seal"],
        "token_no_default_policy": True,
        "token_ttl": 600,
    }


def _policy(shop: Shop) -> None:
    path = f"sys/policies/acl/{shop.name}-seal"
    shop.write(path, policy=shop.read(path)["policy"].replace("/sign/seal", "/sign/*"))


def _any_job(shop: Shop) -> None:
    path = f"auth/{shop.mount}/role/{shop.name}-seal"
    shop.write(path, **{**shop.read(path), "bound_claims": {"repository_id": "4242"}})


DRIFT: Mapping[str, tuple[Callable[[Shop], None], str]] = {
    "any job of that repository": (_any_job, "vault.jwt_role.bound_claims"),
    "any key": (_policy, "vault.policy.policy"),
    "a key that may be deleted": (
        lambda shop: shop.write(f"transit-{shop.name}/keys/seal/config", deletion_allowed=True),
        "vault.transit_key.deletion_allowed",
    ),
    "which lease is audited as a hash": (
        lambda shop: shop.write("sys/mounts/sys/tune", **{AUDITED: ["theirs"]}),
        f"vault.lease_audit.{AUDITED}",
    ),
}


@pytest.mark.parametrize("case", DRIFT)
def test_what_differs_is_found_explained_and_mended(sealed: Shop, case: str) -> None:
    change, code = DRIFT[case]
    assert sealed.check().drift == ()
    change(sealed)
    (drift,) = sealed.check().drift
    assert (drift.code, bool(drift.why), drift.fix) == (code, True, "stepcreds setup apply")
    assert sealed.check(mend=True).drift == ()


def test_what_others_have_audited_in_clear_stays_so(sealed: Shop) -> None:
    sealed.write("sys/mounts/sys/tune", **{AUDITED: ["theirs"]})
    assert sealed.check(mend=True).drift == ()
    assert sealed.read("sys/mounts/sys/tune")[AUDITED] == ["lease_id", "theirs"]
    sealed.write("sys/mounts/sys/tune", **{AUDITED: ["lease_id"]})


class Elsewhere(FaultyVault):
    """An OpenBao that says that it is HashiCorp's Vault, and refuses what that refuses."""

    def _forward(self, upstream: HTTPConnection, request: Request, stage: str) -> tuple[int, str, bytes]:
        if request.path == "sys/mounts/sys/tune":
            return 400, "application/json", b'{"errors":["cannot tune \\"sys/\\""]}'
        status, kind, body = super()._forward(upstream, request, stage)
        return status, kind, body.replace(b"+builtin.bao", b"+builtin.vault")


LEFT = (
    "sys/mounts/sys/tune: left as it is. HashiCorp Vault lets nobody tune it, so its audit log has a hash of the lease "
    "that a revocation was of."
)


def test_a_vault_that_cannot_be_tuned_is_told_of_and_is_no_difference(sealed: Shop) -> None:
    sealed.write("sys/mounts/sys/tune", **{AUDITED: []})
    text = (sealed.folder / "stepcreds.yml").read_text()
    try:
        with Elsewhere(sealed.address) as vault:
            document = json.loads(text)
            document["vault"]["address"] = vault.address
            (sealed.folder / "stepcreds.yml").write_text(json.dumps(document))
            applied = sealed.setup("apply", "--yes", VAULT_ADDR=vault.address)
            checked = sealed.setup("check", VAULT_ADDR=vault.address)
    finally:
        (sealed.folder / "stepcreds.yml").write_text(text)
        sealed.write("sys/mounts/sys/tune", **{AUDITED: ["lease_id"]})
    assert (applied.returncode, "Nothing to do." in applied.stdout.splitlines()) == (0, True), applied.stdout
    assert (checked.returncode, checked.stderr) == (0, "")
    for run in (applied, checked):
        assert LEFT in " ".join(run.stdout.split())


def test_who_leaves_it_to_others_does_not_tune(tmp_path: Path) -> None:
    made = settings(plan(config(tmp_path, {"verify": profile("verify")}), given({"no_lease_audit": True})))
    assert "sys/mounts/sys/tune" not in made


# Plans: nobody is asked.

KEY, STEPS = "transit/keys/stepcreds-seal", "transit/keys/stepcreds-{repository_id}"
OF_SEAL: dict[str, dict[str, object]] = {"ledger.seal": {"repository_id": "4242", "branch": "main"}}
SAME_REPOSITORY: dict[str, dict[str, object]] = {"ledger.seal": {"repository_id": "71717171", "branch": "main"}}


def sealing_config(folder: Path, **seal: str) -> Any:
    return config(folder, {"verify": profile("verify")}, ledger={"key": STEPS, "seal": {"key": KEY, **seal}})


def test_what_is_said_for_all_is_not_said_of_the_job_that_seals(tmp_path: Path) -> None:
    made = settings(plan(sealing_config(tmp_path), given({"branch": "dev", "claim": {"a": "b"}}, **OF_SEAL)))
    assert made["auth/jwt/role/stepcreds-seal"].body["bound_claims"] == OTHERS
    assert made["auth/jwt/role/app-verify"].body["bound_claims"] == {
        "repository_id": "71717171",
        "ref": "refs/heads/dev",
        "a": "b",
    }


@pytest.mark.parametrize("ci", CIS)
def test_each_ci_is_asked_for_the_job_that_seals(tmp_path: Path, ci: str) -> None:
    """What it has to be told of a profile's jobs, it has to be told of this one."""
    flags, _ = CIS[ci]
    every = {name[2:].replace("-", "_"): value for name, value in zip(flags[::2], flags[1::2], strict=True)}
    common = {"ci": ci, **{name: every[name] for name in ("issuer",) if name in every}}
    own = {name: value for name, value in every.items() if name != "issuer"}
    folder = config(tmp_path, {"verify": profile("verify")}, ledger={"seal": {"key": KEY}})
    made = settings(plan(folder, Given(common, {"verify": own, "ledger.seal": own})))
    assert (
        made["auth/jwt/role/stepcreds-seal"].body["bound_claims"]
        == made["auth/jwt/role/app-verify"].body["bound_claims"]
    )
    with pytest.raises(UsageError) as refused:
        plan(folder, Given({**common, **own}, {}))
    assert refused.value.what in ("An answer is missing", f"{len(own)} answers are missing", "2 answers are missing")
    assert "ledger.seal=" in refused.value.fix


def test_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        plan(sealing_config(tmp_path), given())
    assert (refused.value.what, refused.value.cause, refused.value.fix) == (
        "2 answers are missing",
        "--repository-id for ledger.seal: only jobs of this one may log in, by repository_id: the repository's number, "
        "which stays its own: gh api repos/OWNER/NAME --jq .id\n"
        "--environment for ledger.seal: who seals says what the ledgers were, which not every job of the repository may "
        "(instead: --branch, --ref)",
        "Give them as flags, or in a file (--answers); on a terminal they are asked for:\n"
        "  --repository-id ledger.seal=71717171\n"
        "  --environment ledger.seal=production",
    )


def test_a_key_of_steps_is_none_for_seals(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        plan(sealing_config(tmp_path, key="transit/keys/stepcreds-71717171"), given(**OF_SEAL))
    assert (refused.value.what, refused.value.cause, refused.value.fix) == (
        "ledger.seal.key is transit/keys/stepcreds-71717171, and so is the key that signs the ledger",
        "A step could sign seals, and a seal is what finds that a step's ledger was changed.",
        "Name another key in ledger.seal.key of stepcreds.yml.",
    )


@pytest.mark.parametrize(
    ("role", "whose"), [("App-Verify", "a profile"), ("app-verify-outputs", "a profile that is handed out as outputs")]
)
def test_a_role_of_steps_is_none_for_seals(tmp_path: Path, role: str, whose: str) -> None:
    answers = given(verify={"outputs": True}, **OF_SEAL)
    with pytest.raises(UsageError) as refused:
        plan(sealing_config(tmp_path, role=role), answers)
    assert (refused.value.what, refused.value.cause, refused.value.fix) == (
        f"ledger.seal.role is {role.lower()}, and so is the role of {whose}",
        "Whoever may log in for that profile could seal ledgers as well.",
        "Name another role in ledger.seal.role of stepcreds.yml.",
    )


def test_a_job_of_the_same_repository_is_told_of(tmp_path: Path) -> None:
    notes = plan(sealing_config(tmp_path), given(**SAME_REPOSITORY)).notes
    assert notes[-1] == (
        "ledger.seal: the job that seals is of the repository whose ledgers it seals (verify). One that those who work "
        "there cannot write to is safer: who can change its workflow can have anything sealed."
    )
    assert plan(sealing_config(tmp_path), given(**OF_SEAL)).notes[-1] == (
        "verify: every job of the repository may log in; --environment, --branch or --ref would make it fewer."
    )


class TestFlags:
    def test_they_are_kept_in_a_file(self, tmp_path: Path) -> None:
        configuration = sealing_config(tmp_path)
        flags: dict[str, object] = {
            "ci": "github",
            "repository_id": ("71717171", "ledger.seal=4242"),
            "branch": ("ledger.seal=main",),
            "save_path": tmp_path / "setup.yml",
        }
        first = answers_of(configuration, {}, flags)
        assert first.seal == OTHERS
        assert "\nseal:\n  repository_id: '4242'\n  branch: main\n" in (tmp_path / "setup.yml").read_text()
        later: dict[str, object] = {"answers_path": tmp_path / "setup.yml", "branch": ("dev",)}
        assert answers_of(configuration, {}, later).seal == OTHERS

    @pytest.mark.parametrize(
        ("flags", "what", "fix"),
        [
            (
                {"owner": ("ledger.seal=x",)},
                "--owner ledger.seal=x says nothing of the job that seals: it has no database",
                "What can be said of it: --repository, --repository-id, --environment, --branch, --ref, --workflow, --claim.",
            ),
            (
                {"no_environment": ("ledger.seal",)},
                "--no-environment names ledger.seal, and there is no such profile",
                "The profiles there are: verify.",
            ),
        ],
    )
    def test_what_cannot_be_said_of_it(self, tmp_path: Path, flags: dict[str, object], what: str, fix: str) -> None:
        with pytest.raises(UsageError) as refused:
            answers_of(sealing_config(tmp_path), {}, flags)
        assert (refused.value.what, refused.value.fix) == (what, fix)

    def test_nobody_seals(self, tmp_path: Path) -> None:
        configuration = config(tmp_path, {"verify": profile("verify")})
        with pytest.raises(UsageError) as refused:
            answers_of(configuration, {}, {"branch": ("ledger.seal=main",)})
        assert (refused.value.what, refused.value.fix) == (
            "--branch ledger.seal=main is about the job that seals, and stepcreds.yml has no ledger.seal",
            "Say in stepcreds.yml which key it signs with: ledger.seal.key.",
        )
        (tmp_path / "setup.yml").write_text("seal: {branch: main}\n")
        with pytest.raises(UsageError) as refused:
            answers_file.read(tmp_path / "setup.yml", configuration.profiles)
        assert refused.value.what == (
            f"The answers in {tmp_path}/setup.yml cannot be used: seal says which job seals, and stepcreds.yml has no "
            "ledger.seal"
        )
