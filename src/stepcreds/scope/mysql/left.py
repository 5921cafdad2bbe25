"""What a user of MariaDB or MySQL defined and would break by going: asked before it is revoked.

A view, trigger, routine or event runs with the rights of its definer. When the definer is dropped, whatever uses the
object fails, with error 1449: after a migration that made a trigger, every INSERT of the application. Objects that the
user put in other tables or rows are not looked for.
"""

from __future__ import annotations

from stepcreds.clock import Clock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.mysql_session import open_session
from stepcreds.databases.stream import Deadline
from stepcreds.measurement import Change
from stepcreds.scope.mysql.grants import read_line
from stepcreds.scope.mysql.privileges import EVERYTHING
from stepcreds.secret import Secret

_MINE = """
SELECT 'trigger', TRIGGER_SCHEMA, TRIGGER_NAME FROM information_schema.TRIGGERS WHERE DEFINER = CURRENT_USER()
UNION ALL
SELECT 'view', TABLE_SCHEMA, TABLE_NAME FROM information_schema.VIEWS WHERE DEFINER = CURRENT_USER()
UNION ALL
SELECT LOWER(ROUTINE_TYPE), ROUTINE_SCHEMA, ROUTINE_NAME FROM information_schema.ROUTINES
WHERE DEFINER = CURRENT_USER() AND SECURITY_TYPE = 'DEFINER'
UNION ALL
SELECT 'event', EVENT_SCHEMA, EVENT_NAME FROM information_schema.EVENTS WHERE DEFINER = CURRENT_USER()
"""
_MAKING = ("TRIGGER", "CREATE VIEW", "CREATE ROUTINE", "EVENT", *EVERYTHING)
_FATE = {
    "trigger": "every change of its table that fires it",
    "view": "every use of it that needs its definer's rights",
    "event": "every run of it",
}


def definer_objects(
    url: DatabaseURL, username: str, password: Secret, *, clock: Clock, timeout: float
) -> tuple[Change, ...]:
    """The objects whose definer is this user, which is still alive.

    They show only to who has rights on them, so they are asked for in each of its roles. One round trip where it may
    not make any, two where it may. Raises `DatabaseError`.
    """
    with open_session(url, username, password, Deadline(clock, timeout), several=True) as session:
        prepare = ("SET SESSION sql_mode = '', sql_quote_show_create = 1", "SET ROLE NONE")
        *_, lines = session.query_all([*prepare, "SHOW GRANTS"])
        grants = [read_line(str(line[0])) for line in lines]
        powers = [power for line in grants for power in line.powers]
        roles = [power.name for line in grants if line.own for power in line.powers if power.kind == "role"]
        questions = [each for role in roles for each in (f"SET ROLE {role}", _MINE)]
        if any(power.kind == "unread" or power.name in _MAKING for power in powers):
            questions.insert(0, _MINE)
        answers = session.query_all(questions) if questions else []
        rows = [row for answer in answers for row in answer]
    objects = dict.fromkeys((str(kind), f"{database}.{name}") for kind, database, name in rows)
    return tuple(_change(kind, name) for kind, name in objects)


def _change(kind: str, name: str) -> Change:
    fate = _FATE.get(kind, "every call of it")
    what = f"the {kind} {name} runs as the user that made it: {fate} fails once that user is gone (error 1449)"
    return Change("LEFT.DEFINER", what, name)
