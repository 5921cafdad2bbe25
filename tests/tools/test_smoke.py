"""The servers that the workflow's smoke test starts take the identity of the job that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from stepcreds.devstack.issuer import Issuer

PROGRAM = Path(__file__).resolve().parents[2] / "tools" / "smoke.py"


def step(folder: Path, issuer: Issuer, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stepcreds", *command],
        cwd=folder,
        env={"PATH": os.defpath, "HOME": str(folder), **issuer.environment()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_job_gets_credentials_by_its_own_identity_and_is_told_what_is_alive(tmp_path: Path) -> None:
    with Issuer() as issuer:
        issuer.claims.update(environment="smoke", repository_id="4711", sub="repo:acme/shop:environment:smoke")
        environment = {"PATH": os.defpath, "HOME": str(tmp_path), "PYTHONUNBUFFERED": "1", **issuer.environment()}
        command = [sys.executable, str(PROGRAM), str(tmp_path)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as servers:
            try:
                deadline = time.monotonic() + 90
                while not (tmp_path / "stepcreds.yml").exists():
                    assert servers.poll() is None and time.monotonic() < deadline
                    time.sleep(0.1)
                taken = step(tmp_path, issuer, "exec", "migrate", "--", "true")
                assert taken.returncode == 0, taken.stderr
                issuer.claims["environment"] = "production"
                refused = step(tmp_path, issuer, "exec", "migrate", "--", "true")
                assert refused.returncode == 125
                assert "Vault refused the login" in refused.stderr
            finally:
                servers.send_signal(signal.SIGTERM)
                output, _ = servers.communicate(timeout=60)
        assert servers.returncode == 0
        assert output.splitlines()[-2:] == [
            "ready, for the jobs of repo:acme/shop:environment:smoke",
            "stepcreds issued 1 credentials, and none is alive",
        ]


def test_a_job_without_an_identity_is_told_what_it_needs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, tmp_path], env={"PATH": os.defpath}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (
        1,
        "tools/smoke.py: no ACTIONS_ID_TOKEN_REQUEST_URL: the job needs `permissions: id-token: write`\n",
    )
