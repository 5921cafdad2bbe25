"""`stepcreds doctor --bundle`: what is in the file, what is not, and that it is there when everything is broken."""

from __future__ import annotations

import io
import json
import re
import shlex
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from doctor_runs import DOCS, Step
from step_runs import Running, reconfigure

from annotations import unannotated
from faulty_vault import Fault, FaultyVault
from relay import Relay
from stepcreds import __version__
from stepcreds.clock import SystemClock
from stepcreds.config.model import Config, LedgerSettings, VaultSettings
from stepcreds.devstack.stack import Stack
from stepcreds.doctor.bundle import bundle

pytestmark = pytest.mark.usefixtures("alone")

FILES = ["doctor", "versions", "configuration", "environment", "machine", "ledger"]
TOLD = """
Bundle: {}
  doctor.json         what doctor found: addresses, roles, policies, the job's repository and subject, database users
  versions.json       of stepcreds, Python and its packages
  configuration.json  stepcreds.yml as it is in effect, without the texts of templates
  environment.json    the names of the environment's variables, no values
  machine.json        kernel, container, limits, file systems
  ledger.json         `ledger verify`, and the last 200 records of the newest 5 chains: repository, run, actor, commit, \
lease ids
Known secrets, and what looks like one, were replaced by ***. It does tell who and where: look through it before you \
pass it on.
"""
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlLWNhbmFyeQ"


def unpacked(bundle: Path) -> dict[str, bytes]:
    """Name and content of each file, all below one folder; each 0600, as the bundle itself."""
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
    files = {}
    with tarfile.open(bundle) as archive:
        for member in archive:
            assert member.mode == 0o600
            folder, _, name = member.name.partition("/")
            assert folder == bundle.name.partition(".")[0]
            content = archive.extractfile(member)
            assert content is not None
            files[name] = content.read()
    assert list(files) == [*(f"{name}.json" for name in FILES), "README.txt"]
    return files


@pytest.fixture
def dead_port() -> Iterator[int]:
    with Relay(0) as relay:
        port = relay.port
    yield port


def test_no_secret_is_in_a_bundle(stack: Stack, step: Step, config_file: Path, tmp_path: Path) -> None:
    canaries = {
        "DATABASE_PASSWORD": "canary-one",
        "HTTPS_PROXY": "http://somebody:canary-two@127.0.0.1:9",
        "LEGACY": "postgresql://somebody:canary-three@db/shop",
        "OLD_ID": JWT,
        "NUMBER_TOKEN": "1800",  # a profile's max_ttl: numbers that are the same go too
        "VAULT_TOKEN": stack.openbao.root_token.reveal(),
    }
    ledger = tmp_path / ".stepcreds"
    ledger.mkdir(0o700)
    # What somebody else left where chains are: records, and lines that are none and may be anything.
    record = json.dumps(
        {
            "kind": "credential.closed",
            "note": f"hvs.{'canaryfour' * 3}",
            "url": "http://u:canary-five@h",
            "proxy": "canary-two",
        }
    )
    (ledger / "other.jsonl").write_text(f"{record}\npassword=canary-six\n{json.dumps({'password': 'canary-seven'})}\n")
    with FaultyVault(stack.address) as vault:
        reconfigure(config_file, lambda document: document["vault"].update(address=vault.address))
        env = {"SECRET_BY_TEMPLATE": "canary-eight {password}"}
        reconfigure(config_file, lambda document: document["profiles"]["migrate"].update(env=env))
        done = step("doctor", "--bundle", "support.tar.gz", **canaries, VAULT_ADDR=vault.address)
        secrets = vault.canaries | {stack.issuer.request_token.reveal(), "canary", *canaries.values()}
    sound = "\nEvery link that was looked at holds; 1 was not (clock).\n"  # this Vault does not say what time it is
    assert done.stdout.endswith(sound + TOLD.format("support.tar.gz"))
    assert (done.stderr, done.returncode) == ("", 0)
    files = unpacked(tmp_path / "support.tar.gz")
    everything = b"".join(files.values())
    # The ID token, the tokens of both profiles' two logins, the operator's, and two passwords.
    assert len(vault.canaries) == 8
    assert [secret for secret in secrets if secret.encode() in everything] == []
    told = {name: json.loads(content) for name, content in files.items() if name.endswith(".json")}
    assert "LEGACY" in told["environment.json"]["names"]
    assert told["configuration.json"]["profiles"]["migrate"]["env"] == ["SECRET_BY_TEMPLATE"]
    assert told["configuration.json"]["profiles"]["migrate"]["max_ttl"] == "***"
    (other,) = (chain for chain in told["ledger.json"]["chains"] if chain["file"].endswith("other.jsonl"))
    assert other["records"] == [{"kind": "credential.closed", "note": "***", "url": "http://***@h", "proxy": "***"}]
    assert (other["lines_that_are_no_records"], [each["layer"] for each in other["findings"]][:1]) == (2, ["line"])


def test_a_server_that_repeats_what_it_issued_puts_nothing_of_it_into_a_bundle(
    stack: Stack, step: Step, config_file: Path, tmp_path: Path
) -> None:
    with FaultyVault(stack.address) as vault:

        def repeat() -> None:
            errors = json.dumps({"errors": sorted(vault.canaries)}).encode()
            vault.fail("revoke", Fault(status=400, body=errors), times=None)

        vault.fail("revoke", Fault("reset", then=repeat))
        reconfigure(config_file, lambda document: document["vault"].update(address=vault.address))
        done = step("doctor", "verify", "--bundle", "support.tar.gz", VAULT_ADDR=vault.address)
        issued = vault.canaries - {stack.issuer.request_token.reveal()}
    assert done.returncode == 0, done.stdout  # OpenBao was asked to go on, and did
    everything = b"".join(unpacked(tmp_path / "support.tar.gz").values())
    assert b"answered 400 to POST sys/leases/revoke: " in everything
    assert (len(issued) >= 3, [secret for secret in issued if secret.encode() in everything]) == (True, [])


def test_what_is_in_a_bundle(step: Step, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done = step("doctor", "verify", "--json", "--bundle", "out")
    (bundle,) = (tmp_path / "out").iterdir()
    assert done.stderr == TOLD.format(f"out/{bundle.name}")
    assert done.returncode == 0
    files = unpacked(bundle)
    told = {name: json.loads(content) for name, content in files.items() if name.endswith(".json")}
    assert told["doctor.json"] == json.loads(done.stdout)
    assert told["versions.json"]["stepcreds"] == __version__
    assert told["environment.json"]["ci"] == "github"
    assert told["configuration.json"]["profiles"]["verify"]["database"]["engine"] == "postgresql"
    (chain,) = told["ledger.json"]["chains"]
    assert [record["kind"] for record in chain["records"]] == [
        "chain.opened",
        "credential.requested",
        "credential.issued",
        "credential.closed",
    ]
    assert (chain["findings"], chain["lines_that_are_no_records"]) == ([], 0)
    assert told["machine.json"]["folders"][str(tmp_path / ".stepcreds")]["mode"] == "0o40700"
    assert any(line.startswith("Max open files") for line in told["machine.json"]["limits"])


def test_a_bundle_when_vault_is_down(step: Step, config_file: Path, tmp_path: Path, dead_port: int) -> None:
    there = f"http://127.0.0.1:{dead_port}"
    reconfigure(config_file, lambda document: document["vault"].update(address=there))
    done = step("doctor", "verify", "--bundle", VAULT_CLIENT_TIMEOUT="1s")
    (bundle,) = tmp_path.glob("stepcreds-doctor-*Z.tar.gz")
    assert done.stdout.endswith("\n1 broken: see above.\n" + TOLD.format(bundle.name))
    assert done.returncode == 1
    links = json.loads(unpacked(bundle)["doctor.json"])["links"]
    assert [link["link"] for link in links if link["status"] == "failed"] == ["vault"]


def test_a_bundle_when_the_configuration_is_broken(step: Step, config_file: Path, tmp_path: Path) -> None:
    config_file.write_text("version: 1\nprofiles: []\n")
    done = step("doctor", "--bundle", "support.tgz", MY_PASSWORD="canary-one", VAULT_ADDR="canary-one")
    assert done.stdout.endswith("1 broken: see above.\n" + TOLD.format("support.tgz"))
    assert done.returncode == 2
    files = unpacked(tmp_path / "support.tgz")
    assert b"canary" not in b"".join(files.values())
    assert (files["configuration.json"], files["ledger.json"]) == (b"null\n", b"null\n")
    (link,) = json.loads(files["doctor.json"])["links"]
    assert (link["link"], link["status"]) == ("config", "failed")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("verify", "that is neither a folder nor the name of a .tar.gz"),
        ("there.tar.gz", "it is there already, and nothing is overwritten"),
        ("dangling.tar.gz", "it is there already, and nothing is overwritten"),
        ("no where/support.tar.gz", "there is no folder no where"),
        ("there.tar.gz/support.tar.gz", "there is no folder there.tar.gz"),
        (f"{'x' * 280}.gz", "that is neither a folder nor the name of a .tar.gz"),
    ],
)
def test_a_bundle_is_a_new_file(stack: Stack, step: Step, tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / "there.tar.gz").write_text("somebody's")
    (tmp_path / "dangling.tar.gz").symlink_to(tmp_path / "elsewhere")
    before = len(stack.audit())
    done = step("doctor", "--bundle", name)
    explained = {
        "that": "  cause: Without a value --bundle has to stand last; else it takes the next word for its own.\n"
        "  fix: For example: stepcreds doctor PROFILE --bundle, or --bundle support.tar.gz\n",
        "it": "  fix: Name another file, or a folder: a file in it gets the time in its name.\n",
        "there": f"  fix: Make it, or name a file elsewhere:\n      mkdir -p {shlex.quote(name.rpartition('/')[0])}\n",
    }[what.partition(" ")[0]]
    assert unannotated(done.stderr) == (f"stepcreds: error: --bundle {name}: {what}\n{explained}  see: {DOCS}#bundle\n")
    assert (done.stdout, done.returncode) == ("", 2)
    assert (tmp_path / "there.tar.gz").read_text() == "somebody's"
    assert not (tmp_path / "elsewhere").exists()
    assert len(stack.audit()) == before


def test_a_folder_of_somebody_else_takes_no_bundle(tmp_path: Path) -> None:
    """Asked as a user without privileges: to root every folder looks writable."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom stepcreds.cli.doctor_bundle import bundle_path\n"
        "from stepcreds.cli.messages import render_error\nfrom stepcreds.clock import SystemClock\n"
        "from stepcreds.errors import UsageError\n"
        "import os\nif os.geteuid() == 0:\n    os.setuid(65534)\n"
        "try:\n    bundle_path(Path('/usr'), SystemClock())\n"
        "except UsageError as error:\n    print(render_error(error, False))\n"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert re.sub(r"\d{8}T\d{6}", "TIME", run.stdout) == (
        "stepcreds: error: --bundle /usr/stepcreds-doctor-TIMEZ.tar.gz: no file can be made in that folder\n"
        "  cause: This user may not write there, or its file system is mounted read-only.\n"
        "  fix: Name a file in another folder: --bundle FILE.tar.gz\n"
        f"  see: {DOCS}#bundle\n"
    )


def test_a_bundle_that_cannot_be_written_is_a_finding(stack: Stack, config_file: Path, tmp_path: Path) -> None:
    with FaultyVault(stack.address) as vault:
        reconfigure(config_file, lambda document: document["vault"].update(address=vault.address))
        rule = vault.fail("lookup", Fault("pass"))
        with Running(stack, config_file, "doctor", "verify", "--bundle", "support.tar.gz") as running:
            assert rule.arrived.wait(60)
            (tmp_path / "support.tar.gz").write_text("somebody's")
            done = running.wait()
    assert done.stdout.endswith("\nEvery link that was looked at holds; 3 were not (clock, role, statements).\n")
    assert done.stderr == (
        "stepcreds: error: The bundle support.tar.gz was not written: File exists\n"
        "  fix: Name a file in another folder: --bundle FILE.tar.gz\n"
        f"  see: {DOCS}#bundle\n"
    )
    assert done.returncode == 1
    assert (tmp_path / "support.tar.gz").read_text() == "somebody's"


def test_of_a_long_ledger_there_is_the_end(tmp_path: Path) -> None:
    ledger = tmp_path / ".stepcreds"
    ledger.mkdir(0o700)
    lines = [json.dumps({"kind": "credential.closed", "seq": number}) for number in range(300)]
    long = [json.dumps({"kind": "credential.closed", "seq": number, "x": "y" * 200_000}) for number in range(300, 310)]
    (ledger / "short.jsonl").write_text("\n".join(lines) + "\n")
    (ledger / "long.jsonl").write_text("\n".join(long) + "\n")
    config = Config(
        tmp_path / "stepcreds.yml",
        VaultSettings(("https://vault.example",), None, None, None, None, False, "jwt", "vault"),
        LedgerSettings(ledger, None),
        {},
    )
    content = bundle("b", {}, config=config, variables={}, ci="none", clock=SystemClock())
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        found = archive.extractfile("b/ledger.json")
        assert found is not None
        chains = {Path(chain["file"]).name: chain["records"] for chain in json.load(found)["chains"]}
    assert [record["seq"] for record in chains["short.jsonl"]] == list(range(100, 300))
    assert [record["seq"] for record in chains["long.jsonl"]] == [305, 306, 307, 308, 309]
