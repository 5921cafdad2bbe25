"""What was found out about a credential's power: values that pass from measuring to deciding, telling and recording."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

# info: worth knowing, no power over anybody's data. admin: whoever holds it can take any of the others.
Level = Literal["info", "read", "write", "ddl", "admin"]
LEVELS: Final[tuple[Level, ...]] = ("info", "read", "write", "ddl", "admin")
Standing = Literal["within", "excess", "allowed"]


class Finding(NamedTuple):
    """One kind of thing that the credential can do, for as many objects as it can do it to.

    Nothing of it changes from one issued user to the next: neither the user's name nor an object id is in it.
    """

    code: str  # stable, for scripts: "PG.TABLE.WRITE"
    level: Level
    what: str  # a phrase that follows "it can": "INSERT into and DELETE from 3 tables of app"
    subject: str = ""  # what `allow` names beside the code, and what makes it one finding: "app", "app.orders"
    objects: tuple[str, ...] = ()  # three examples at most
    number: int = 1  # of the objects
    via: str = ""  # why it can: "SET ROLE app_owner", "PUBLIC", "member of app_ro"; "" its own
    fix: str = ""  # a statement, or a sentence
    database: str = ""  # where it holds; "" the whole server
    schema: str = ""  # "" the whole database
    table: str = ""  # "app.orders" where it is about that relation alone
    columns: tuple[str, ...] = ()  # "app.orders.email"; () the whole relation
    standing: Standing = "within"  # set by the comparison with the profile
    because: str = ""  # why it is excess, or who allowed it until when

    @property
    def name(self) -> str:
        """What an entry of `allow` says under `what` to accept it."""
        return f"{self.code} {self.subject}".rstrip()


class Measured(NamedTuple):
    """What a credential can really do, held against what its profile declares."""

    findings: tuple[Finding, ...]  # excess first, and of these the worst first
    not_examined: tuple[str, ...]  # in words, what nobody looked at
    server: str  # "PostgreSQL 16.14"
    seconds: float
    round_trips: int  # after the login
    time: float  # epoch seconds
    digest: str  # SHA-256 (hex) of what it can do; the same for two users who can do the same
    notes: tuple[str, ...] = ()  # facts that are no power: "the server is a read-only standby"

    @property
    def level(self) -> Level:
        """The highest level of all findings."""
        return max((finding.level for finding in self.findings), key=LEVELS.index, default="info")

    @property
    def excess(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.standing == "excess")


class NotMeasured(NamedTuple):
    """Nobody looked at what the credential can do; `reason` says why, and is said wherever the grant is shown."""

    reason: str


Measurement = Measured | NotMeasured


class Change(NamedTuple):
    """One thing that a command left behind in the database and that outlives its credential."""

    code: str  # "LEFT.GRANT", "LEFT.OWNER", "LEFT.DEFINER", …
    what: str  # "PUBLIC may SELECT app.customers"
    subject: str  # "app.customers"
    notable: bool = True  # it widens power, or takes a protection or data away; else a usual migration


class Statements(NamedTuple):
    """Statements of one kind that a database counted for a credential: at least so many."""

    kind: str  # "select", "insert", "create table", …; "other" where nobody can say what they did
    calls: int
    rows: int
    role: str = ""  # as whom they were run, where others may have run some of them; "" the issued user itself


class Used(NamedTuple):
    """What a database saw of what a credential was used for. It is a lower bound: see `gaps`."""

    level: Level  # the highest that any of the statements needs; "other" ones need nobody knows what
    statements: tuple[Statements, ...]
    roles: tuple[str, ...]  # as whom else than itself it was counted: what was done as any other role nobody knows
    by: str  # "pg_stat_statements"
    gaps: tuple[str, ...]  # in words, what was not counted

    @property
    def other(self) -> int:
        """Calls of which nobody can say what they did: functions, DO blocks, statements that are not known."""
        return sum(each.calls for each in self.statements if each.kind == "other")
