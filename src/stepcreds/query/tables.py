"""The tables of `ledger query`, column by column, for the database and for whoever writes SQL; it holds no rows."""

from __future__ import annotations

from typing import NamedTuple


class Table(NamedTuple):
    """One table or view, and what a row of it is."""

    name: str
    row: str
    columns: tuple[tuple[str, str], ...]  # name, type of DuckDB
    sql: str = ""  # of a view: made of the tables before it

    @property
    def declared(self) -> str:
        """As CREATE TABLE has it."""
        return ", ".join(f'"{name}" {kind}' for name, kind in self.columns)


_JOB = tuple(
    (name, "VARCHAR")
    for name in (
        *("repository_id", "repository", "ci", "run_id", "run_attempt", "job", "actor", "ref", "commit", "matrix"),
    )
)
_TEXT, _TEXTS, _TIME, _WHOLE, _YES_NO = "VARCHAR", "VARCHAR[]", "TIMESTAMP", "BIGINT", "BOOLEAN"

RECORDS = Table(
    "records",
    "a line of a file, whatever stands in it; kind and record are NULL where it is no record",
    (
        *(("file", _TEXT), ("line", _WHOLE), ("seq", _WHOLE), ("time", _TIME), ("kind", _TEXT)),
        *((name, _TEXT) for name in ("chain_uid", "step_uid", "credential_uid", "event_uid", "prev", "schema")),
        *(("record", "JSON"), ("raw", _TEXT)),
    ),
    # A record's JSON is not stored beside its text: a gigabyte twice.
    """
    SELECT file, line, seq, time, kind, chain_uid, step_uid, credential_uid, event_uid, prev, "schema",
           CASE WHEN kind IS NOT NULL THEN raw::JSON END AS record, raw
    FROM lines
    """,
)
CREDENTIALS = Table(
    "credentials",
    "a credential, with all that its records say; times in UTC",
    (
        *(("file", _TEXT), ("line", _WHOLE), ("chain_uid", _TEXT)),
        *_JOB,
        *((name, _TEXT) for name in ("step", "step_uid", "credential_uid", "profile", "role", "mount_point", "creds")),
        *((name, _TEXT) for name in ("server", "database", "delivery", "access")),
        *(("schemas", _TEXTS), ("ttl", _WHOLE), ("reason", _TEXT), ("inherited", _TEXTS), ("token_accessor", _TEXT)),
        *(("time", _TIME), ("issue_time", _TIME), ("expire_time", _TIME), ("end_time", _TIME)),
        *(("never_expires", _YES_NO), ("seconds_alive", "DOUBLE")),
        *((name, _TEXT) for name in ("lease_id", "db_user", "entity_id")),
        *(("policies", _TEXTS), ("request_login", _TEXT), ("request_creds", _TEXT)),
        *(("level", _TEXT), ("excess", _TEXTS), ("digest", _TEXT), ("used", "JSON"), ("measured_by", _TEXT)),
        *(("step_start", _TIME), ("step_end", _TIME), ("exit_code", _WHOLE)),
        *(("command_sha256", _TEXT), ("cancelled_by", _TEXT)),
        *(("lock_status", _TEXT), ("sessions_ended", _WHOLE)),
        *(("revoke_time", _TIME), ("revoke_method", _TEXT), ("revoke_status", _TEXT)),
        *((name, _TEXT) for name in ("lookup", "db_login", "witness", "proof_method")),
        *(("proven_time", _TIME), ("proven", _YES_NO), ("verdict", _TEXT), ("open", _YES_NO)),
        *(("leaked", _YES_NO), ("leaked_to", _TEXTS), ("changes_left", _WHOLE), ("token_left", _YES_NO)),
    ),
)
STEPS = Table(
    "steps",
    "a step, with the credentials that it held",
    (
        ("file", _TEXT),
        *_JOB,
        *(("step", _TEXT), ("step_uid", _TEXT), ("time", _TIME), ("step_start", _TIME), ("step_end", _TIME)),
        *(("exit_code", _WHOLE), ("command_sha256", _TEXT), ("profiles", _TEXTS), ("credentials", _WHOLE)),
        *((name, _WHOLE) for name in ("unproven", "beyond_profile", "leaked")),
    ),
    f"""
    SELECT file, {", ".join(f"any_value({name}) AS {name}" for name, _ in _JOB)},
           max(step) AS step, step_uid, min(time) AS time, min(step_start) AS step_start, max(step_end) AS step_end,
           max(exit_code) AS exit_code, any_value(command_sha256) AS command_sha256,
           list(DISTINCT profile ORDER BY profile) AS profiles, count(*) AS credentials,
           count(*) FILTER (NOT proven AND verdict <> 'not issued') AS unproven,
           count(*) FILTER (len(excess) > 0) AS beyond_profile, count(*) FILTER (leaked) AS leaked
    FROM credentials GROUP BY file, step_uid
    """,  # noqa: S608 - of names of ours
)
CHAINS = Table(
    "chains",
    "a file, with how far it is signed and what is wrong with it",
    (
        *(("file", _TEXT), ("chain_uid", _TEXT)),
        *_JOB,
        *(("opened_time", _TIME), ("closed", _YES_NO), ("entries", _WHOLE), ("unreadable", _WHOLE)),
        *(("credentials", _WHOLE), ("tool_version", _TEXT), ("vault_addr", _TEXT), ("key", _TEXT)),
        *(("signing", _TEXT), ("signed_entries", _WHOLE), ("checkpoints", _WHOLE)),
        *(("tampered", _WHOLE), ("incomplete", _WHOLE), ("unknown", _WHOLE)),
    ),
)
FINDINGS = Table(
    "findings",
    "what `ledger verify` finds",
    (
        *(("file", _TEXT), ("line", _WHOLE), ("layer", _TEXT), ("code", _TEXT), ("certainty", _TEXT)),
        ("meaning", _TEXT),
    ),
)
# As review/lifetimes.py has it: an end that nobody knows is none, and of a step's credentials the first stands for its
# command. In SQL, so that no chain is too long for memory.
OVERLAPS = Table(
    "overlapping",
    "a credential that lived, or may have lived, while another step of its job ran its command",
    (
        ("file", _TEXT),
        *((name, _TEXT) for name in ("credential_uid", "profile", "step", "step_uid")),
        *((name, _TEXT) for name in ("other_credential_uid", "other_profile", "other_step", "other_step_uid")),
        *(("start_time", _TIME), ("end_time", _TIME), ("certain", _YES_NO)),
    ),
    """
    WITH lives AS (
        SELECT *, rowid AS place, coalesce(end_time, 'infinity') AS last FROM credentials WHERE issue_time IS NOT NULL
    ), commands AS (
        SELECT file, credential_uid, profile, step, step_uid, step_start AS began,
               coalesce(step_end, 'infinity') AS ended
        FROM credentials WHERE step_start IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY file, step_uid ORDER BY rowid) = 1
    )
    SELECT file, a.credential_uid, a.profile, a.step, a.step_uid, b.credential_uid AS other_credential_uid,
           b.profile AS other_profile, b.step AS other_step, b.step_uid AS other_step_uid,
           greatest(a.issue_time, b.began) AS start_time,
           nullif(least(a.last, b.ended), 'infinity') AS end_time, a.proven AS certain
    FROM lives AS a JOIN commands AS b USING (file)
    WHERE a.issue_time < b.ended AND b.began < a.last AND a.issue_time < a.last AND b.began < b.ended
          AND a.step_uid IS DISTINCT FROM b.step_uid
    ORDER BY a.place, b.began
    """,
)
# As review/sharing.py has it: a database user counts with its server.
SHARED = Table(
    "shared",
    "an identifier that credentials of more than one step have in common",
    (
        *(("what", _TEXT), ("value", _TEXT), ("credential_uid", _TEXT), ("step_uid", _TEXT), ("step", _TEXT)),
        *(("profile", _TEXT), ("file", _TEXT)),
    ),
    """
    WITH had AS (
        SELECT 'lease_id' AS what, lease_id AS value, '' AS place, * FROM credentials
        UNION ALL SELECT 'token_accessor', token_accessor, '', * FROM credentials
        UNION ALL SELECT 'db_user', db_user, coalesce(server, ''), * FROM credentials
    )
    SELECT what, value, credential_uid, step_uid, step, profile, file FROM had WHERE value IS NOT NULL
    WINDOW same AS (PARTITION BY what, value, place)
    QUALIFY min(coalesce(step_uid, '')) OVER same < max(coalesce(step_uid, '')) OVER same
    """,
)
TABLES = (RECORDS, CREDENTIALS, STEPS, CHAINS, FINDINGS, OVERLAPS, SHARED)
