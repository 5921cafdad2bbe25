"""What the Node half says where Python cannot be started, and that it ends as Python ends; `node` itself, no runner."""

from __future__ import annotations

import subprocess
from pathlib import Path

import ci_tools

ROOT = Path(__file__).resolve().parents[2]


def test_other_systems_are_refused(tmp_path: Path) -> None:
    before = tmp_path / "before.mjs"
    before.write_text("Object.defineProperty(process, 'platform', { value: 'win32' });\n")
    run = node("--import", str(before), str(ROOT / "action" / "main.mjs"))
    assert (run.returncode, run.stdout) == (125, "")
    assert run.stderr == (
        "::error title=stepcreds%3A this runner is not supported::stepcreds runs on Linux only, and this is win32: "
        "elsewhere it cannot promise that nothing of a step survives it.%0A"
        "Use runs-on: ubuntu-latest for the steps that need a credential.\n"
    )


def node(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ci_tools.node()), *arguments],
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
