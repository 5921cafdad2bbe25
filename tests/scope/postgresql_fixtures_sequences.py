"""Power over sequences, which need not be named to be advanced."""

from __future__ import annotations

from postgresql_case import Case

SEQUENCE = (
    "CREATE SEQUENCE app.{case}; ALTER SEQUENCE app.{case} OWNER TO app_owner; GRANT SELECT ON app.{case} TO app_ro"
)
HIDDEN_SEQUENCE = "CREATE SEQUENCE hr.{case}; ALTER SEQUENCE hr.{case} OWNER TO hr_owner"


SEQUENCES = [
    Case(
        name="sequence_usage",
        level="write",
        code="PG.SEQUENCE.WRITE",
        about="app",
        objects=SEQUENCE,
        grant="GRANT USAGE ON SEQUENCE app.{case} TO {user}",
        attack="SELECT nextval('app.{case}')",
        watch="SELECT last_value, is_called FROM app.{case}",
    ),
    Case(
        name="sequence_update",
        level="write",
        code="PG.SEQUENCE.WRITE",
        about="app",
        objects=SEQUENCE,
        grant="GRANT UPDATE ON SEQUENCE app.{case} TO {user}",
        attack="SELECT setval('app.{case}', 1000000)",
        watch="SELECT last_value, is_called FROM app.{case}",
    ),
    Case(
        name="sequence_without_schema",  # by its number, for which nobody asks for USAGE on the schema
        level="write",
        code="PG.SEQUENCE.WRITE",
        about="hr",
        objects=HIDDEN_SEQUENCE,
        grant="GRANT USAGE ON SEQUENCE hr.{case} TO {user}",
        attack="SELECT nextval((SELECT c.oid FROM pg_class c WHERE c.relname = '{case}')::regclass)",
        watch="SELECT last_value, is_called FROM hr.{case}",
        declared={"schemas": ("app", "hr")},
    ),
    Case(
        name="sequence_not_declared",
        level="read",
        code="PG.SEQUENCE.READ",
        about="sequence_not_declared",
        objects="CREATE SCHEMA {case}; CREATE SEQUENCE {case}.numbers START 4711; GRANT USAGE ON SCHEMA {case} TO {user}",
        grant="GRANT SELECT ON SEQUENCE {case}.numbers TO {user}",
        attack="SELECT last_value FROM {case}.numbers",
        reads=4711,
    ),
    Case(
        name="sequence_public",
        level="write",
        code="PG.SEQUENCE.WRITE",
        about="hr",
        objects=HIDDEN_SEQUENCE,
        grant="GRANT UPDATE ON SEQUENCE hr.{case} TO PUBLIC",
        attack="SELECT setval((SELECT c.oid FROM pg_class c WHERE c.relname = '{case}')::regclass, 77)",
        watch="SELECT last_value, is_called FROM hr.{case}",
        undo="REVOKE UPDATE ON SEQUENCE hr.{case} FROM PUBLIC",
    ),
    Case(
        name="sequence_grant_option",
        level="write",
        code="PG.SEQUENCE.GRANT",
        about="app",
        objects=SEQUENCE,
        grant="GRANT SELECT ON SEQUENCE app.{case} TO {user} WITH GRANT OPTION",
        attack="GRANT SELECT ON SEQUENCE app.{case} TO outsider",
        watch="SELECT has_sequence_privilege('outsider', 'app.{case}', 'SELECT')",
        refused="",  # a warning only: no privileges were granted
    ),
    Case(
        name="sequence_owner",
        level="ddl",
        code="PG.SEQUENCE.OWN",
        about="app",
        objects=SEQUENCE,
        grant="ALTER SEQUENCE app.{case} OWNER TO {user}",
        attack="DROP SEQUENCE app.{case}",
        watch="SELECT to_regclass('app.{case}')::text",
    ),
]
