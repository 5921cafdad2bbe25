"""A job whose command leaves its credential somewhere: the files and folders that the runner makes, and what is found."""

from __future__ import annotations

import subprocess
from pathlib import Path

from step_runs import of_kind, reported, reporting, until

from stepcreds.redact import forms

FILES = ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")
ISSUED = "stepcreds: verify: issued database/creds/app-verify as USER; declared read-only in app; measured read in N ms; ends at TIME unless renewed\n"
PROVEN = "stepcreds: verify: proven dead N s after the command ended (lease lookup and refused logins)\n"


def handed_on(places: str, profile: str = "verify") -> str:
    return (
        f"stepcreds: error: The command left the credential of {profile} where the CI hands it on: {places}\n"
        "  cause: The runner reads such a file when the step has ended, for later steps, for whoever uses the step's "
        "outputs, or for the page of the run.\n"
        "  fix: *** stands there now, and nothing of it is handed on. Give each step that needs a credential one of its "
        "own:\n"
        f"      stepcreds exec {profile} -- COMMAND\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#leaked-credential\n"
    )


class Job:
    """The folders and files of a job's step, as the runner makes them, and a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.workspace, self.temp, self.home = (folder / name for name in ("work", "temp", "home"))
        self.commands = self.temp / "_runner_file_commands"
        for made in (self.workspace, self.commands, self.home):
            made.mkdir(parents=True)
        self.files = {name: self.commands / f"{name.lower()}_0a1b" for name in FILES}
        for file in self.files.values():
            file.write_bytes(b"")
        self.report = folder / "report"

    @property
    def variables(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temp),
            **{name: str(path) for name, path in self.files.items()},
        }

    def content(self, name: str) -> str:
        return self.files[name].read_text()

    @property
    def password(self) -> str:
        return reported(self.report)["PGPASSWORD"]

    def command(self, then: str = "") -> list[str]:
        """A command that reports its environment, and then runs the Python in `then`, with helpers at hand."""
        helpers = (
            "import base64, pathlib, time, urllib.parse\n"
            "password, env = os.environ['PGPASSWORD'], os.environ\n"
            "def put(name, text, mode='a'):\n"
            "    with open(env.get(name, name), mode) as file:\n"
            "        file.write(text)\n"
        )
        return reporting(self.report, helpers + then)

    def everything(self, run: subprocess.CompletedProcess[str], config_file: Path) -> str:
        """Every byte that is left of the step, but for what the test itself was told."""
        ledger = "".join(path.read_text() for path in (config_file.parent / ".stepcreds").iterdir())
        masks = [line for line in run.stderr.splitlines() if not line.startswith("::add-mask::")]
        return "\n".join([run.stdout, *masks, ledger, *map(self.content, FILES)])

    def check(self, run: subprocess.CompletedProcess[str], config_file: Path) -> None:
        """The password is nowhere, in none of its forms."""
        left = self.everything(run, config_file).encode()
        assert [form for form in forms(self.password) if form in left] == []


def places(config_file: Path) -> list[tuple[str, int, str, bool]]:
    return [
        (place["file"], place["line"], place["name"], place["removed"])
        for record in of_kind(config_file, "credential.leaked")
        for place in record["places"]
    ]


def ready(job: Job) -> None:
    until((job.home / "ready").exists, "the command is ready")
