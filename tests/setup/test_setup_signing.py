"""A ledger that is signed, as `setup` makes it: keys by repository, a policy that goes by the login, what is audited."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from fresh_shop import Shop
from setup_configs import CIS, config, given, plan, profile, settings

from stepcreds.devstack.stack import Stack
from stepcreds.errors import UsageError
from stepcreds.setup.answers.given import Given

DOCS = "https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#"
OWN = "{repository_id}"


def sign(shop: Shop, key: str) -> None:
    document = yaml.safe_load((shop.folder / "stepcreds.yml").read_text())
    document["ledger"]["key"] = key
    (shop.folder / "stepcreds.yml").write_text(json.dumps(document))


def remove(shop: Shop) -> None:
    with shop.vault() as client:
        client.delete(f"sys/mounts/transit-{shop.name}")
    shop.remove()


@pytest.fixture
def shop(stack: Stack, tmp_path: Path) -> Iterator[Shop]:
    """One that nobody has set up, whose ledger is to be signed with a key for each repository."""
    made = Shop(stack, tmp_path)
    sign(made, f"transit-{made.name}/keys/ledger-{OWN}")
    yield made
    remove(made)


@pytest.fixture(scope="module")
def signed(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One that `setup apply` has been run for."""
    made = Shop(stack, tmp_path_factory.mktemp("signed"))
    sign(made, f"transit-{made.name}/keys/ledger-{OWN}")
    run = made.setup("apply", "--yes")
    assert run.returncode == 0, run.stdout + run.stderr
    yield made
    remove(made)


def test_a_token_that_may_do_this_alone_makes_it_and_a_step_is_signed(shop: Shop) -> None:
    policy = shop.setup("apply", "--print-policy")
    shop.token = shop.operator(policy.stdout)
    first = shop.setup("apply", "--yes")
    assert first.returncode == 0, first.stdout + first.stderr
    assert f"done transit-{shop.name}/keys/ledger-71717171\n" in first.stdout
    second = shop.setup("apply", "--yes")
    assert (second.returncode, "Nothing to do." in second.stdout.splitlines()) == (0, True), second.stdout
    reader = shop.setup("check", "--print-policy")
    shop.token = shop.operator(reader.stdout)
    check = shop.setup("check")
    assert check.returncode == 0, check.stdout + check.stderr
    run = shop.step("exec", "verify", "--", "true")
    assert (run.returncode, "not signed" in run.stderr) == (0, False), run.stderr
    (checkpoints,) = (shop.folder / ".stepcreds").glob("*.checkpoints")
    assert checkpoints.read_bytes().count(b"\n") == 2
    key = shop.read(f"transit-{shop.name}/keys/ledger-71717171")
    assert {name: key[name] for name in ("type", "exportable", "allow_plaintext_backup", "deletion_allowed")} == {
        "type": "ed25519",
        "exportable": False,
        "allow_plaintext_backup": False,
        "deletion_allowed": False,
    }
    text = shop.read(f"sys/policies/acl/{shop.name}-verify")["policy"]
    accessor = shop.read(f"sys/auth/{shop.mount}")["accessor"]
    rule = f'path "transit-{shop.name}/sign/ledger-{{{{identity.entity.aliases.{accessor}.metadata.repository_id}}}}" {{\n  capabilities = ["update"]\n  allowed_parameters = {{\n    "input" = []\n  }}\n}}\n'
    assert text.endswith(rule)


def _policy(shop: Shop, change: Callable[[str], str]) -> None:
    path = f"sys/policies/acl/{shop.name}-verify"
    shop.write(path, policy=change(shop.read(path)["policy"]))


def _tune(shop: Shop, **settings: object) -> None:
    shop.write(f"sys/mounts/transit-{shop.name}/tune", **settings)


DRIFT: Mapping[str, tuple[Callable[[Shop], None], str]] = {
    "every repository's key": (
        lambda shop: _policy(shop, lambda text: re.sub(r"\{\{.*?\}\}", "*", text)),
        "vault.policy.policy",
    ),
    "the login at another mount": (
        lambda shop: _policy(shop, lambda text: text.replace("aliases.auth_jwt_", "aliases.auth_oidc_")),
        "vault.policy.policy",
    ),
    "what was signed is audited as a hash": (
        lambda shop: _tune(shop, audit_non_hmac_request_keys=[]),
        "vault.mount.config",
    ),
    "a key that may be deleted": (
        lambda shop: shop.write(f"transit-{shop.name}/keys/ledger-71717171/config", deletion_allowed=True),
        "vault.transit_key.deletion_allowed",
    ),
}


@pytest.mark.parametrize("case", DRIFT)
def test_what_differs_is_found_explained_and_mended(signed: Shop, case: str) -> None:
    change, code = DRIFT[case]
    assert signed.check().drift == ()
    change(signed)
    (drift,) = signed.check().drift
    assert (drift.code, drift.fix) == (code, "stepcreds setup apply")
    assert drift.why
    assert signed.check(mend=True).drift == ()


def test_what_others_have_audited_in_clear_stays_so(signed: Shop) -> None:
    _tune(signed, audit_non_hmac_request_keys=["theirs"])
    assert signed.check(mend=True).drift == ()
    tuned = signed.read(f"sys/mounts/transit-{signed.name}/tune")
    assert sorted(tuned["audit_non_hmac_request_keys"]) == ["input", "theirs"]


@pytest.mark.parametrize(
    ("mappings", "said"),
    [
        (
            {"actor_id": "repository_id"},
            "takes actor_id for the repository_id by which the policies decide whose key signs the ledger",
        ),
        (
            {"run_id": "run_id"},
            "its logins take the repository_id away from the entities of these jobs: nothing is signed for them until they "
            "log in again",
        ),
        ({"repository_id": "repository_id"}, ""),
    ],
)
def test_another_role_of_the_mount_that_changes_what_the_policy_goes_by(
    signed: Shop, mappings: dict[str, str], said: str
) -> None:
    path = f"auth/{signed.mount}/role/others"
    body = {"role_type": "jwt", "user_claim": "repository_id", "bound_claims": {"repository_id": "4711"}}
    signed.write(path, **body, bound_audiences=["x"], claim_mappings=mappings)
    notes = [note for note in signed.check().notes if note.startswith(path)]
    with signed.vault() as client:
        client.delete(path)
    assert notes == ([f"{path} is not in the configuration, and {said}."] if said else [])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            {"type": "ed25519", "exportable": True},
            "the key can be taken out of Vault (exportable), and by whoever has done so a ledger be forged",
        ),
        (
            {"type": "ed25519", "allow_plaintext_backup": True},
            "the key can be taken out of Vault as a backup (allow_plaintext_backup), and a ledger be forged",
        ),
        ({"type": "ed25519", "derived": True}, "the key is derived from a context, which no step sends"),
        ({"type": "ecdsa-p256"}, "the key is there with another type, ecdsa-p256, and what it signed needs it"),
    ],
)
def test_a_key_that_vault_cannot_make_right_stops_everything(shop: Shop, settings: dict[str, Any], reason: str) -> None:
    shop.write(f"sys/mounts/transit-{shop.name}", type="transit")
    shop.write(f"transit-{shop.name}/keys/ledger-71717171", **settings)
    run = shop.setup("apply", "--yes")
    assert (run.returncode, run.stderr) == (
        1,
        f"stepcreds: error: transit-{shop.name}/keys/ledger-71717171 cannot become what the plan wants: {reason}\n"
        "  fix: Choose another mount or key in stepcreds.yml, or remove what is there if nothing needs it.\n"
        f"  see: {DOCS}setup-conflict\n",
    )
    check = shop.setup("check")
    assert f"It cannot be changed in place: {reason}." in " ".join(check.stdout.split())


# Plans: nobody is asked.


def signed_plan(folder: Path, answers: Given, key: str = f"transit/keys/ledger-{OWN}") -> list[str]:
    """The keys of the plan, after the mount."""
    made = plan(config(folder, {"verify": profile("verify")}, ledger={"key": key}), answers)
    mount, *keys = (each for each in made.settings if each.kind in ("mount", "transit_key") and "transit" in each.path)
    assert mount.body == {"type": "transit", "config": {"audit_non_hmac_request_keys": ["input"]}}
    return [each.path for each in keys]


def test_each_repository_has_a_key(tmp_path: Path) -> None:
    both = given({"repository_id": ["1", "2"]})
    assert signed_plan(tmp_path, both) == ["transit/keys/ledger-1", "transit/keys/ledger-2"]
    assert signed_plan(tmp_path, both, "transit/keys/one-for-all") == ["transit/keys/one-for-all"]


def given_for(ci: str, **more: object) -> Given:
    """What that CI has to be told, as flags."""
    flags, _ = CIS[ci]
    pairs = zip(flags[::2], flags[1::2], strict=True)
    return Given({"ci": ci, **{name[2:].replace("-", "_"): value for name, value in pairs}, **more}, {})


@pytest.mark.parametrize(
    ("ci", "more", "name"),
    [
        ("github", {}, "1"),
        ("gitlab", {}, "7"),
        ("circleci", {}, "2d3c"),
        ("buildkite", {"user_claim": "pipeline_id", "claim": {"pipeline_id": "0184-ab"}}, "0184-ab"),
        ("azure", {"user_claim": "rpo_id", "claim": {"rpo_id": "f0e1"}}, "f0e1"),
    ],
)
def test_where_the_ledger_and_the_token_agree_on_the_repository(
    tmp_path: Path, ci: str, more: dict[str, object], name: str
) -> None:
    answers = given_for(ci, **more)
    assert signed_plan(tmp_path, answers) == [f"transit/keys/ledger-{name}"]
    made = settings(
        plan(config(tmp_path, {"verify": profile("verify")}, ledger={"key": f"transit/keys/ledger-{OWN}"}), answers)
    )
    mapped = made["auth/jwt/role/app-verify"].body["claim_mappings"]
    assert isinstance(mapped, dict)
    assert list(mapped.values()).count("repository_id") == 1
    text = str(made["sys/policies/acl/app-verify"].body["policy"])
    assert (
        'path "transit/sign/ledger-{{identity.entity.aliases.<accessor of auth/jwt>.metadata.repository_id}}" {' in text
    )


NAMED = f"ledger.key is transit/keys/ledger-{OWN}"


@pytest.mark.parametrize("ci", ["forgejo", "bitbucket", "jenkins", "kubernetes", "gcp", "other"])
def test_where_no_id_of_a_repository_can_be_a_name(tmp_path: Path, ci: str) -> None:
    with pytest.raises(UsageError) as refused:
        signed_plan(tmp_path, given_for(ci))
    assert "there is no id of a repository that could be part of a key's name" in refused.value.what
    assert refused.value.fix == (
        f"Use a key without {OWN} in ledger.key of stepcreds.yml, another one in each repository."
    )
    assert signed_plan(tmp_path, given_for(ci), "transit/keys/shop") == ["transit/keys/shop"]


@pytest.mark.parametrize(
    ("ci", "claim", "fix"),
    [
        ("github", "job_workflow_ref", "On GitHub Actions one of: repository_id, repository, workflow_ref."),
        ("gitlab", "ci_config_ref_uri", "On GitLab CI/CD one of: project_id, project_path."),
        ("buildkite", "pipeline_slug", "On Buildkite one of: pipeline_id."),
        ("azure", "sub", "On Azure Pipelines one of: rpo_id."),
    ],
)
def test_a_user_claim_that_repositories_may_share_signs_for_none(tmp_path: Path, ci: str, claim: str, fix: str) -> None:
    with pytest.raises(UsageError) as refused:
        signed_plan(tmp_path, given_for(ci, user_claim=claim))
    assert (refused.value.what, refused.value.cause, refused.value.fix) == (
        f"--user-claim {claim} does not fix whose key a step may sign with",
        f"{NAMED}, and the policy goes by the entity: jobs of two repositories that are one entity at Vault could sign "
        "with each other's keys.",
        fix,
    )


def test_a_repository_that_is_not_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        signed_plan(tmp_path, given_for("buildkite", user_claim="pipeline_id"))
    assert (refused.value.what, refused.value.cause, refused.value.fix) == (
        "verify: which repository's key signs is not said: no pipeline_id is bound",
        f"{NAMED}, and the key of each repository has that claim in its name.",
        f"Name it: --claim pipeline_id=… (or use a key without {OWN} in ledger.key of stepcreds.yml).",
    )


def test_an_id_that_is_no_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        signed_plan(tmp_path, given({"repository_id": "../other"}))
    assert refused.value.what == (
        "The ledger's key of this repository would be called 'ledger-../other', which no key at Vault can be"
    )
