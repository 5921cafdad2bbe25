"""`stepcreds ledger pull`: fetches ledgers out of an object store into a folder; it does not verify them."""

from __future__ import annotations

from pathlib import Path

import click

from stepcreds.cli.ledger_findings import finding_line
from stepcreds.cli.ledger_options import json_option
from stepcreds.cli.progress import progress
from stepcreds.config.store_url import store_url
from stepcreds.printable import json_text, one_line

NO_VERSIONS = (
    "This store keeps no versions of what is there: what was overwritten or deleted before now, nobody sees. See "
    "docs/storage.md."
)


@click.command(
    "pull",
    epilog="""\b
Examples:
  stepcreds ledger pull s3://audit-ledgers/shop ledgers/
  stepcreds ledger pull gs://audit-ledgers --json | jq .findings
\b
Exits with 0 when everything is here and nothing was found, 1 for findings (overwritten, deleted, refused), 2 for wrong
usage or configuration.
""",
)
@click.argument("url")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("ledgers"))
@json_option
def command(url: str, folder: Path, json_output: bool) -> int:
    """Fetch what is below URL (s3://, gs://, az://) into FOLDER, which is `ledgers` without one.

    Of each object the oldest version is taken: what was overwritten or deleted later is a finding, and hides nothing.
    Nothing in FOLDER is ever overwritten, and what is there already is not fetched again: after an interruption run it
    once more.
    """
    from stepcreds.storage.pull import pull

    with progress("Fetching") as tell:
        pulled = pull(store_url(url), folder, tell=tell)
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
            click.echo(NO_VERSIONS, err=True)
    return 1 if pulled.findings else 0


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
