"""The lines of the example's reviewing job, as its shell runs them: with a bucket of moto's, and with artifacts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sealing_site import SealingSite
from stores import BUCKET, ROOT, S3

from stepcreds.devstack.stack import Stack
from stepcreds.ledger import checkpoint

pytest_plugins = ("store_fixtures",)

STEPS = yaml.safe_load((ROOT / "examples/workflows/review.yml").read_text())["jobs"]["review"]["steps"]
LINES = {step["name"]: step["run"] for step in STEPS if "run" in step}
STORE = f"s3://{BUCKET}"
# What the Download step asks GitHub for, answered by a folder of artifacts.
GH = """\
#!/bin/sh -e
if [ "$1" = api ]; then
  cat github/list
else
  test "$1 $2 $4 $6" = "run download --name --dir"
  mkdir -p "$7"
  cp "github/$3/$5"/* "$7"
fi
"""


class Reviewer:
    """The checkout of the job's repository, and its steps."""

    def __init__(self, folder: Path, trust: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "stepcreds-trust.json").write_bytes(trust.read_bytes())
        (folder / "bin").mkdir()
        (folder / "bin" / "gh").write_text(GH)
        (folder / "bin" / "gh").chmod(0o755)
        self._path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), "/usr/bin", "/bin"])

    def __call__(self, name: str, **variables: str) -> tuple[int, str]:
        """The code of the step `name`, and what it printed."""
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", LINES[name]],
            cwd=self.folder,
            env={
                "PATH": self._path,
                "HOME": str(self.folder),
                "RUNNER_TEMP": str(self.folder),
                "GITHUB_OUTPUT": str(self.folder / "output"),
                "GITHUB_REPOSITORY": "acme/shop",
                "LEDGERS": "",
                **variables,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout

    def again(self) -> None:
        """Another morning: a runner keeps nothing."""
        shutil.rmtree(self.folder / "ledgers")
        (self.folder / "report.html").unlink()


@pytest.fixture
def site(stack: Stack, tmp_path: Path) -> Iterator[SealingSite]:
    with SealingSite(stack, tmp_path, mount="sealing-7") as site:
        yield site


def upload(s3: S3, chain: Path) -> None:
    for path in (checkpoint.beside(chain), chain):
        s3.client.put_object(Bucket=BUCKET, Key=f"chains/acme/{path.name}", Body=path.read_bytes())


def test_a_bucket(site: SealingSite, s3: S3, tmp_path: Path) -> None:
    reviewer = Reviewer(tmp_path / "reviewers", site.trust_file)
    variables = {**s3.environment(), "LEDGERS": STORE}
    chain = site.life()
    upload(s3, chain)
    # With what the policy of docs/storage.md gives them, and no more.
    sealer, reviewers = s3.documented("sealer"), s3.documented("reviewers")
    with s3.enforced():
        assert site.seal(f"{STORE}/chains", "--to", f"{STORE}/chains", **sealer).returncode != 0
        assert site.seal(f"{STORE}/chains", "--to", f"{STORE}/seals", **reviewers).returncode != 0
        made = site.seal(f"{STORE}/chains", "--to", f"{STORE}/seals", **sealer)
        assert made.returncode == 0, made.stderr
        fetched = reviewer("Fetch", **{**variables, **reviewers})
    assert fetched == (0, "ledgers: 3 files fetched, 0 there already\n")
    code, said = reviewer("Verify", **variables)
    assert (code, f"{chain.name}: ok, " in said, "ledgers/seals: ok, 1 seal, signed" in said) == (0, True, True), said
    assert reviewer("Report", **variables)[0] == 0
    assert b"<!doctype html>" in (reviewer.folder / "report.html").read_bytes()[:100].lower()

    # A runner that was lost is on the page, and no reason to be red for ever after.
    upload(s3, site.life("open"))
    reviewer.again()
    assert reviewer("Fetch", **variables)[0] == 0
    code, said = reviewer("Verify", **variables)
    assert (code, "incomplete" in said) == (0, True), said
    assert reviewer("Report", **variables)[0] == 1

    # Somebody wrote over a ledger, put one there that was cut, and removed the seal as far as the store lets them.
    s3.client.put_object(Bucket=BUCKET, Key=f"chains/acme/{chain.name}", Body=b"")
    cut = site.life(when=site.stack_now() - 60)
    cut.write_bytes(b"".join(cut.read_bytes().splitlines(keepends=True)[:3]))
    upload(s3, cut)
    s3.client.delete_object(Bucket=BUCKET, Key="seals/seal-000001.json")
    reviewer.again()
    code, said = reviewer("Fetch", **variables)
    assert code == 1
    assert f"{STORE}/chains/acme/{chain.name}:\n  store/overwritten (tampered): " in said
    assert f"{STORE}/seals/seal-000001.json:\n  store/deleted (unknown): " in said
    code, said = reviewer("Verify", **variables)
    assert (code, "tampered" in said, cut.name in said) == (1, True, True), said


def test_artifacts(tmp_path: Path) -> None:
    ledger = ROOT / "examples/ledger"
    reviewer = Reviewer(tmp_path / "reviewers", ledger / "stepcreds-trust.json")
    (chain,) = ledger.glob("*.jsonl")
    name = f"stepcreds-{chain.stem}"
    artifact = reviewer.folder / "github" / "4711" / name
    shutil.copytree(ledger, artifact, ignore=shutil.ignore_patterns("*.json"))
    (reviewer.folder / "github" / "list").write_text(f"4711 {name}\n")
    assert reviewer("Download") == (0, "")
    assert sorted(path.name for path in (reviewer.folder / "ledgers/chains/4711" / name).iterdir()) == sorted(
        (chain.name, checkpoint.beside(chain).name)
    )
    code, said = reviewer("Verify")
    assert code == 0, said
    code, said = reviewer("Report")
    # What needs attention in that run is older than two days, once it is.
    assert (code in (0, 1), (reviewer.folder / "report.html").exists()) == (True, True), said

    # A record less, as after a tampering.
    copy = reviewer.folder / "ledgers/chains/4711" / name / chain.name
    lines = copy.read_bytes().splitlines(keepends=True)
    copy.write_bytes(b"".join([*lines[:3], *lines[4:]]))
    code, said = reviewer("Verify")
    assert (code, "tampered" in said) == (1, True), said


def test_a_reviewer_who_found_nothing_says_so(tmp_path: Path) -> None:
    reviewer = Reviewer(tmp_path / "reviewers", ROOT / "examples/ledger/stepcreds-trust.json")
    (reviewer.folder / "github").mkdir()
    (reviewer.folder / "github" / "list").touch()
    assert reviewer("Download") == (
        0,
        "::warning title=No ledgers::None since yesterday: no job had a credential, or none was pushed\n",
    )
    assert (reviewer.folder / "output").read_text() == "none=true\n"
    after = [step["if"] for step in STEPS[-3:]]
    assert after == ["${{ !cancelled() && !steps.download.outputs.none }}"] * 3


def test_what_it_installs_has_what_its_steps_need() -> None:
    assert LINES["Install"] == "pipx install 'stepcreds[ledger,s3]'"
