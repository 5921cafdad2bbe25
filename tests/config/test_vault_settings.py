"""Which server, for which audience: every fallback in its order, and the attack of a branch on both."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from config_examples import CONTRACT, folder, load, problems

from stepcreds.cli.messages import render_error
from stepcreds.clock import SystemClock
from stepcreds.config.load import load_config
from stepcreds.config.model import VaultSettings
from stepcreds.errors import ConfigError

PROFILES = "profiles: {a: {creds: aws/creds/a, env: {A: x}}}\n"
REAL, EVIL = "https://vault.example.com:8200", "https://evil.example.net"
ELSEWHERE = (
    "vault.auth.audience",
    "the audience does not name the host of vault.address: the token would be worth something elsewhere",
    "Leave the audience out (it is the address then), or give the address outside this file, in STEPCREDS_VAULT_ADDR.",
)
CANARY = "canary-7720"


def settings(path: Path, vault: str, **environment: str) -> VaultSettings:
    return load(path, f"version: 1\nvault: {vault}\n{PROFILES}", environment).vault


def faults(path: Path, vault: str, **environment: str) -> list[tuple[str, ...]]:
    return [found[1:] for found in problems(path, f"version: 1\nvault: {vault}\n{PROFILES}", environment)]


def outside(path: Path, vault: str, **environment: str) -> list[tuple[str, ...]]:
    return problems(path, f"version: 1\nvault: {vault}\n{PROFILES}", environment)


def test_the_whole_of_the_contract(tmp_path: Path) -> None:
    assert load(tmp_path, CONTRACT).vault == VaultSettings(
        addresses=("https://vault.example.com:8200",),
        namespace="platform",
        ca_cert=tmp_path / "deploy" / "vault-ca.pem",
        client_cert=None,
        client_key=None,
        skip_verify=False,
        mount="jwt",
        audience="https://vault.example.com",
        proxies={},
        id_token_variable="VAULT_ID_TOKEN",
    )


@pytest.mark.parametrize(
    ("vault", "environment", "addresses"),
    [
        ("{address: https://file.example.com}", {}, ("https://file.example.com",)),
        ("{address: https://file.example.com/}", {"VAULT_ADDR": REAL}, ("https://file.example.com",)),
        ("{}", {"VAULT_ADDR": f"{REAL}/", "BAO_ADDR": EVIL}, (REAL,)),
        ("{}", {"VAULT_ADDR": "", "BAO_ADDR": REAL}, (REAL,)),
        ("{address: https://file.example.com}", {"STEPCREDS_VAULT_ADDR": REAL, "VAULT_ADDR": EVIL}, (REAL,)),
        ("{}", {"STEPCREDS_VAULT_ADDR": f" {REAL}, https://b.example.com "}, (REAL, "https://b.example.com")),
        ("{address: [https://a, https://b]}", {}, ("https://a", "https://b")),
    ],
)
def test_the_address(vault: str, environment: dict[str, str], addresses: tuple[str, ...], tmp_path: Path) -> None:
    assert settings(tmp_path, vault, **environment).addresses == addresses


def test_no_vault_section_at_all(tmp_path: Path) -> None:
    assert load(tmp_path, f"version: 1\n{PROFILES}", {"VAULT_ADDR": REAL}).vault.addresses == (REAL,)


@pytest.mark.parametrize(
    ("vault", "environment", "audience"),
    [
        ("{address: https://a.example.com}", {}, "https://a.example.com"),
        ("{address: ['https://a:1', 'https://a:2']}", {}, "https://a:1"),
        ("{address: [https://a, https://b]}", {}, "https://a https://b"),
        ("{}", {"VAULT_ADDR": REAL}, REAL),
        # The default follows the address that is pinned.
        (f"{{address: {EVIL}}}", {"STEPCREDS_VAULT_ADDR": REAL}, REAL),
        # An address that is not the file's choice takes any audience of the file.
        (f"{{address: '{REAL}', auth: {{audience: ours}}}}", {"STEPCREDS_VAULT_ADDR": f"{REAL}/"}, "ours"),
        # Of a file that names both, neither counts at another host: a token for the one is not sent to the other.
        (f"{{address: '{REAL}', auth: {{audience: '{REAL}'}}}}", {"STEPCREDS_VAULT_ADDR": EVIL}, EVIL),
        (f"{{address: {EVIL}, auth: {{audience: ours}}}}", {"STEPCREDS_VAULT_ADDR": REAL}, REAL),
        (
            f"{{address: '{REAL}', auth: {{audience: ours}}}}",
            {"STEPCREDS_VAULT_ADDR": f"{REAL},{EVIL}"},
            f"{REAL} {EVIL}",
        ),
        ("{auth: {audience: 'https://github.com/acme'}}", {"VAULT_ADDR": REAL}, "https://github.com/acme"),
        # One that is has to be named.
        (f"{{address: '{REAL}', auth: {{audience: 'https://vault.example.com'}}}}", {}, "https://vault.example.com"),
        (f"{{address: '{REAL}', auth: {{audience: vault.example.com}}}}", {}, "vault.example.com"),
        ("{address: [https://a, https://b], auth: {audience: https://a https://b}}", {}, "https://a https://b"),
        ("{address: ['https://a:1', 'https://a:2'], auth: {audience: 'https://a'}}", {}, "https://a"),
    ],
)
def test_the_audience(vault: str, environment: dict[str, str], audience: str, tmp_path: Path) -> None:
    assert settings(tmp_path, vault, **environment).audience == audience


@pytest.mark.parametrize(
    "vault",
    [
        f"{{address: {EVIL}, auth: {{audience: '{REAL}'}}}}",
        f"{{address: {EVIL}, auth: {{audience: ours}}}}",
        f"{{address: {EVIL}, auth: {{audience: 'api://AzureADTokenExchange'}}}}",
        f"{{address: ['{REAL}', {EVIL}], auth: {{audience: '{REAL}'}}}}",
        f"{{address: ['{REAL}', {EVIL}], auth: {{audience: 'https://vault.example.com'}}}}",
        f"{{address: 'https://vault.example.com.evil.example.net', auth: {{audience: '{REAL}'}}}}",
        f"{{address: {EVIL}/vault.example.com, auth: {{audience: '{REAL}'}}}}",
    ],
)
def test_a_branch_cannot_have_a_token_for_one_server_sent_to_another(vault: str, tmp_path: Path) -> None:
    assert faults(tmp_path, vault) == [ELSEWHERE]
    assert faults(tmp_path, vault, VAULT_ADDR=REAL) == [ELSEWHERE]
    assert REAL in settings(tmp_path, vault, STEPCREDS_VAULT_ADDR=REAL).addresses


def test_a_branch_that_adds_a_server_changes_the_audience(tmp_path: Path) -> None:
    before = settings(tmp_path, f"{{address: ['{REAL}']}}")
    after = settings(tmp_path, f"{{address: ['{REAL}', {EVIL}], ca_cert: deploy/ci.pem}}")
    assert (before.audience, after.audience) == (REAL, f"{REAL} {EVIL}")


@pytest.mark.parametrize(
    ("vault", "environment", "namespace"),
    [
        ("{}", {}, None),
        ("{namespace: a/b/}", {"VAULT_NAMESPACE": "c"}, "a/b"),
        ("{}", {"VAULT_NAMESPACE": "c/", "BAO_NAMESPACE": "d"}, "c"),
        ("{}", {"BAO_NAMESPACE": "d"}, "d"),
    ],
)
def test_the_namespace(vault: str, environment: dict[str, str], namespace: str | None, tmp_path: Path) -> None:
    assert settings(tmp_path, vault, VAULT_ADDR=REAL, **environment).namespace == namespace


def test_files_of_the_file_and_files_of_variables(tmp_path: Path) -> None:
    order = ("VAULT_CACERT", "BAO_CACERT", "VAULT_CAPATH", "BAO_CAPATH")
    below = tmp_path / "below"
    (below / "cas").mkdir(parents=True)
    for name in (*order[:2], "cert", "key"):
        (below / name).touch()
    text = f"version: 1\nvault: {{address: {REAL}}}\n{PROFILES}"
    variables = {"VAULT_CACERT": "VAULT_CACERT", "BAO_CACERT": "BAO_CACERT", "VAULT_CAPATH": "cas", "BAO_CAPATH": "cas"}
    expected = [below / "VAULT_CACERT", below / "BAO_CACERT", below / "cas", below / "cas", None]
    found = []
    for count in range(5):
        environment = {name: variables[name] for name in order[count:]}
        config = load_config(folder(tmp_path, text) / "stepcreds.yml", environment, below, SystemClock())
        found.append(config.vault.ca_cert)
    assert found == expected
    pair = {"VAULT_CLIENT_CERT": "cert", "BAO_CLIENT_KEY": "key"}
    config = load_config(tmp_path / "stepcreds.yml", pair, below, SystemClock())
    assert (config.vault.client_cert, config.vault.client_key) == (below / "cert", below / "key")
    own = "{address: https://a, ca_cert: deploy, client_cert: deploy/ci.pem, client_key: ./deploy/ci-key.pem}"
    vault = settings(tmp_path, own, VAULT_CACERT="nowhere", VAULT_CLIENT_CERT="nowhere")
    deploy = tmp_path / "deploy"
    assert (vault.ca_cert, vault.client_cert, vault.client_key) == (deploy, deploy / "ci.pem", deploy / "ci-key.pem")


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_verification_is_switched_off_as_vault_does(text: str, tmp_path: Path) -> None:
    assert settings(tmp_path, f"{{address: {REAL}}}", VAULT_SKIP_VERIFY=text).skip_verify is True
    assert settings(tmp_path, f"{{address: {REAL}}}", BAO_SKIP_VERIFY=text).skip_verify is True


@pytest.mark.parametrize("text", ["", "0", "f", "F", "FALSE", "false", "False"])
def test_verification_stays(text: str, tmp_path: Path) -> None:
    assert settings(tmp_path, f"{{address: {REAL}}}", VAULT_SKIP_VERIFY=text).skip_verify is False


@pytest.mark.parametrize(
    ("environment", "timeout"),
    [
        ({}, None),
        ({"VAULT_CLIENT_TIMEOUT": ""}, None),
        ({"VAULT_CLIENT_TIMEOUT": "90"}, 90.0),
        ({"BAO_CLIENT_TIMEOUT": "2m"}, 120.0),
        ({"VAULT_CLIENT_TIMEOUT": "1s", "BAO_CLIENT_TIMEOUT": "2m"}, 1.0),
    ],
)
def test_the_time_for_one_call(environment: dict[str, str], timeout: float | None, tmp_path: Path) -> None:
    assert settings(tmp_path, f"{{address: {REAL}}}", **environment).timeout == timeout


def test_the_auth_section(tmp_path: Path) -> None:
    vault = settings(tmp_path, f"{{address: {REAL}, auth: {{mount: ci/jwt/, id_token_variable: CI_TOKEN}}}}")
    assert (vault.mount, vault.id_token_variable) == ("ci/jwt", "CI_TOKEN")


def test_the_proxies(tmp_path: Path) -> None:
    environment = {"https_proxy": f"http://app:{CANARY}@proxy:3128", "no_proxy": "a"}
    vault = settings(tmp_path, "{address: [https://a, https://b]}", **environment)
    assert vault.proxies == {"https://b": f"http://app:{CANARY}@proxy:3128"}
    assert CANARY not in repr(vault)


@pytest.mark.parametrize(
    ("vault", "expected"),
    [
        (
            "{}",
            (
                "vault.address",
                "there is no address of Vault: neither here, nor in VAULT_ADDR, nor in BAO_ADDR",
                "For example: address: https://vault.example.com:8200",
            ),
        ),
        (
            "{address: http://vault.example.com}",
            (
                "vault.address",
                "http would send the job's identity and the credential in clear",
                "Give the server TLS and write https://; http is for loopback (127.0.0.1) only.",
            ),
        ),
        (
            "{address: [https://a, https://u@b]}",
            ("vault.address[1]", "the address holds a user or a password", "Remove everything up to the '@'."),
        ),
        (
            "{address: vault.example.com}",
            ("vault.address", "must begin with https://", "For example: https://vault.example.com:8200"),
        ),
        (
            "{address: []}",
            ("vault.address", "the list is empty", "Give at least one, or remove the line."),
        ),
        (
            "{address: https://a, namespace: a b}",
            ("vault.namespace", "must be a path without spaces", "For example: namespace: platform"),
        ),
        (
            "{address: https://a, auth: {mount: auth/ci/jwt}}",
            ("vault.auth.mount", "the mount begins with auth/, which is added", "Write: mount: ci/jwt"),
        ),
        (
            "{address: https://a, auth: {mount: /jwt}}",
            ("vault.auth.mount", "the path begins with a '/'", "For example: mount: jwt"),
        ),
        (
            "{address: https://a, client_key: deploy/ci-key.pem}",
            (
                "vault",
                "client_cert and client_key belong together, and one of them is missing",
                "Give vault.client_cert, or VAULT_CLIENT_CERT.",
            ),
        ),
        (
            "{address: https://a, auth: {id_token_variable: A-B}}",
            (
                "vault.auth.id_token_variable",
                "must be the name of a variable: letters, digits and '_', not beginning with a digit",
                "For example: id_token_variable: VAULT_ID_TOKEN",
            ),
        ),
        (
            "{address: https://a, skip_verify: true}",
            (
                "vault.skip_verify",
                "unknown key",
                "The keys here are: address, namespace, ca_cert, client_cert, client_key, auth.",
            ),
        ),
    ],
)
def test_a_problem_of_the_section(vault: str, expected: tuple[str, str, str], tmp_path: Path) -> None:
    assert faults(tmp_path, vault) == [expected]


def test_files_that_are_not_there(tmp_path: Path) -> None:
    vault = "{address: https://a, ca_cert: no.pem, client_cert: deploy, client_key: ../no.pem}"
    relative = "A path is relative to the configuration file's folder."
    assert faults(tmp_path, vault) == [
        ("vault.ca_cert", f"there is no file or folder {tmp_path}/no.pem", relative),
        ("vault.client_cert", f"there is no file {tmp_path}/deploy", relative),
        ("vault.client_key", f"there is no file {tmp_path.parent}/no.pem", relative),
    ]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (
            {"STEPCREDS_VAULT_ADDR": f"https://u:{CANARY}@a"},
            ("STEPCREDS_VAULT_ADDR", "", "the address holds a user or a password", "Remove everything up to the '@'."),
        ),
        (
            {"STEPCREDS_VAULT_ADDR": "http://vault.example.com"},
            (
                "STEPCREDS_VAULT_ADDR",
                "",
                "http would send the job's identity and the credential in clear",
                "Give the server TLS and write https://; http is for loopback (127.0.0.1) only.",
            ),
        ),
        (
            {"VAULT_SKIP_VERIFY": "yes"},
            ("VAULT_SKIP_VERIFY", "", "it is neither true nor false", "Write true or false, or unset it."),
        ),
        *(
            (
                {name: text},
                (name, "", "it is not a duration of a second or more", "For example: 30s (or 30)"),
            )
            for name, text in (("VAULT_CLIENT_TIMEOUT", "soon"), ("BAO_CLIENT_TIMEOUT", "0"))
        ),
        (
            {"BAO_NAMESPACE": "a\nb"},
            ("BAO_NAMESPACE", "", "it is not a path without spaces", "For example: platform"),
        ),
        (
            {"VAULT_PROXY_ADDR": f"socks5://u:{CANARY}@proxy"},
            (
                "VAULT_PROXY_ADDR",
                "",
                "it is not the address of an HTTP proxy",
                "For example: http://proxy.example.com:3128 (SOCKS is not spoken)",
            ),
        ),
        (
            {"VAULT_CACERT": "/nowhere/ca.pem"},
            ("VAULT_CACERT", "", "there is no file or folder /nowhere/ca.pem", ""),
        ),
    ],
)
def test_a_problem_of_a_variable(environment: dict[str, str], expected: tuple[str, ...], tmp_path: Path) -> None:
    assert outside(tmp_path, f"{{address: {REAL}}}", **environment) == [expected]


def test_no_secret_of_a_variable_is_shown(tmp_path: Path) -> None:
    environment = {"STEPCREDS_VAULT_ADDR": f"https://u:{CANARY}@a", "HTTPS_PROXY": f"ftp://u:{CANARY}@proxy"}
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"version: 1\nvault: {{address: {REAL}}}\n{PROFILES}", environment)
    assert CANARY not in render_error(caught.value, colour=False) + repr(caught.value.problems)


def test_a_name_that_is_too_long_for_a_file(tmp_path: Path) -> None:
    name = "x" * 5000
    found = outside(tmp_path, f"{{address: {REAL}}}", VAULT_CACERT=name)
    assert [place for place, *_ in found] == ["VAULT_CACERT"]
    assert os.pathconf(tmp_path, "PC_NAME_MAX") < len(name)
