"""`stepcreds ledger pull`: fetches ledgers out of an object store, or a folder of copies; it does not verify them."""

from __future__ import annotations

from pathlib import Path

import click

from stepcreds.cli.ledger_findings import finding_line
from stepcreds.cli.ledger_options import json_option
from stepcreds.cli.progress import progress
from stepcreds.config.store_url import FORMS, StoreURL, folder_url, is_url, store_url
from stepcreds.errors import UsageError
from stepcreds.printable import json_text, one_line

NO_VERSIONS = "of what is there: what was overwritten or deleted before now, nobody sees. See docs/storage.md."


@click.command(
    "pull",
    epilog="""\b
Examples:
  stepcreds ledger pull s3://audit-ledgers ledgers/
  stepcreds ledger pull gs://audit-ledgers --json | jq .findings
  stepcreds ledger pull /mnt/audit/ledgers ledgers/
\b
Exits with 0 when everything is here and nothing was found, 1 for findings (overwritten, deleted, refused), 2 where
nobody could look or fetch, and for wrong usage.
""",
)
@click.argument("place")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("ledgers"))
@json_option
def command(place: str, folder: Path, json_output: bool) -> int:
    """Fetch what is below PLACE into FOLDER, which is `ledgers` without one.

    PLACE is an object store (s3://, gs://, az://) or a folder of copies. Of each object the oldest version is taken:
    what was overwritten or deleted later is a finding, and hides nothing. A folder keeps no versions.

    Nothing in FOLDER is ever overwritten, and what is there already is not fetched again: after an interruption run it
    once more.
    """
    from stepcreds.storage.pull import pull

    url = store_url(place) if is_url(place) else _folder(place, folder)
    with progress("Fetching") as tell:
        pulled = pull(url, folder, tell=tell)
    new = sum(each.new for each in pulled.files)
    if json_output:
        files = [
            {
                "name": each.held.path,
                "url": str(each.held.url),
                "version": each.held.first.id,
                "time": each.held.first.time,
                "size": each.held.first.size,
                "fetched": each.new,
            }
            for each in pulled.files
        ]
        findings = [vars(finding) for finding in pulled.findings]
        document = {"folder": str(folder), "files": files, "versions": pulled.keeps_versions, "findings": findings}
        click.echo(json_text(document))
    else:
        for finding in pulled.findings:
            click.echo(f"{one_line(finding.file)}:\n{finding_line(finding)}")
        click.echo(f"{one_line(str(folder))}: {_files(new)} fetched, {len(pulled.files) - new} there already")
        if not pulled.keeps_versions:
            what = "A folder" if url.scheme == "file" else "This store"
            click.echo(f"{what} keeps no versions {NO_VERSIONS}", err=True)
    return 1 if pulled.findings else 0


def _folder(place: str, target: Path) -> StoreURL:
    """`place` of this machine. Raises `UsageError`."""
    path = Path(place)
    if not path.exists():
        raise UsageError(
            f"There is no folder {one_line(place)} to fetch out of",
            cause="It is another, or not mounted; or an object store is meant.",
            fix=f"Name the folder that ledger.push copies to, or write {FORMS}.",
            docs="store",
        )
    if path.is_dir() and target.resolve().is_relative_to(path.resolve()):
        raise UsageError(
            f"{one_line(str(target))} lies in {one_line(place)}, out of which is fetched",
            fix="Name another folder to fetch into: stepcreds ledger pull PLACE FOLDER",
            docs="store",
        )
    return folder_url(path)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
