"""`setup check`: what was changed by hand is found, explained, and mended by `setup apply` where it can be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from fresh_shop import Shop, applied, shop  # noqa: F401 - fixtures

from stepcreds.setup.live import explanation, permissions
from stepcreds.setup.live.check import Drift
from stepcreds.setup.live.difference import Field, difference
from stepcreds.setup.plan import Kind, Setting

# ruff: noqa: F811, S608 - pytest hands a fixture in under the name it was imported with; the names in SQL are ours


@pytest.fixture
def mended(applied: Shop) -> Iterator[Shop]:
    """Set up, and set up again after the test."""
    yield applied
    assert applied.check(mend=True).drift == ()


def _role(shop: Shop, **changes: object) -> None:
    """Write the JWT role of `verify` as it is, but for `changes`."""
    path = f"auth/{shop.mount}/role/{shop.name}-verify"
    kept = ("role_type", "user_claim", "bound_claims", "bound_audiences", "token_policies", "bound_claims_type")
    found = shop.read(path)
    shop.write(path, **{**{name: found[name] for name in kept}, **changes})


def _policy(shop: Shop, more: str) -> None:
    path = f"sys/policies/acl/{shop.name}-verify"
    shop.write(path, policy=shop.read(path)["policy"] + more)


def _connection(shop: Shop, **changes: object) -> None:
    shop.write(f"{shop.engine}/config/{shop.name}", verify_connection=False, **changes)


def _database_role(shop: Shop, **changes: object) -> None:
    shop.write(f"{shop.engine}/roles/{shop.name}-verify", db_name=shop.name, **changes)


OF_VAULT: Mapping[str, tuple[Callable[[Shop], None], str]] = {
    "a claim that is no longer bound": (
        lambda shop: _role(shop, bound_claims={"repository_id": "71717171"}),
        "vault.jwt_role.bound_claims",
    ),
    "claims that are patterns": (
        lambda shop: _role(shop, bound_claims_type="glob"),
        "vault.jwt_role.bound_claims_type",
    ),
    "another audience": (
        lambda shop: _role(shop, bound_audiences=[shop.address, "other"]),
        "vault.jwt_role.bound_audiences",
    ),
    "a policy more": (
        lambda shop: _role(shop, token_policies=[f"{shop.name}-verify", "admin"]),
        "vault.jwt_role.token_policies",
    ),
    "the default policy": (
        lambda shop: _role(shop, token_no_default_policy=False),
        "vault.jwt_role.token_no_default_policy",
    ),
    "batch tokens": (lambda shop: _role(shop, token_type="batch"), "vault.jwt_role.token_type"),
    "a token for ever": (lambda shop: _role(shop, token_period=3600), "vault.jwt_role.token_period"),
    "a token of one use": (lambda shop: _role(shop, token_num_uses=1), "vault.jwt_role.token_num_uses"),
    "a token for a day": (lambda shop: _role(shop, token_max_ttl="24h"), "vault.jwt_role.token_max_ttl"),
    "another repository's entity": (
        lambda shop: _role(shop, user_claim="repository_owner"),
        "vault.jwt_role.user_claim",
    ),
    "a policy that reads secrets": (
        lambda shop: _policy(shop, 'path "secret/*" {\n  capabilities = ["read"]\n}\n'),
        "vault.policy.policy",
    ),
    "any role of the engine": (lambda shop: _connection(shop, allowed_roles="*"), "vault.connection.allowed_roles"),
    "a claim in the name of a user": (
        lambda shop: _connection(shop, username_template="{{.DisplayName}}"),
        "vault.connection.username_template",
    ),
    "passwords in clear": (
        lambda shop: _connection(shop, password_authentication="password"),
        "vault.connection.password_authentication",
    ),
    "no revocation": (
        lambda shop: _database_role(shop, revocation_statements=[]),
        "vault.database_role.revocation_statements",
    ),
    "a superuser": (
        lambda shop: _database_role(shop, creation_statements=['CREATE ROLE "{{name}}" SUPERUSER']),
        "vault.database_role.creation_statements",
    ),
    "a lease for a day": (lambda shop: _database_role(shop, max_ttl="24h"), "vault.database_role.max_ttl"),
    "statements at each renewal": (
        lambda shop: _database_role(shop, renew_statements=["SELECT 1"]),
        "vault.database_role.renew_statements",
    ),
    "a header as a hash": (
        lambda shop: shop.write(f"sys/config/auditing/request-headers/X-{shop.name}", hmac=True),
        "vault.header.hmac",
    ),
}
OF_DATABASES: Mapping[str, str] = {
    "CONNECT for everybody": "GRANT CONNECT ON DATABASE {name} TO PUBLIC",
    "no right on new tables": "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {name} REVOKE SELECT ON TABLES FROM {group}",
    "a table that readers do not see": "REVOKE SELECT ON {name}.orders FROM {group}",
    "a user that may not make users": "ALTER ROLE {manager} NOCREATEROLE",
}


@pytest.mark.parametrize("case", OF_VAULT)
def test_what_differs_at_vault_is_found_explained_and_mended(mended: Shop, case: str) -> None:
    change, code = OF_VAULT[case]
    assert mended.check().drift == ()
    change(mended)
    (found,) = mended.check().drift
    assert (found.code, bool(found.why), found.fix) == (code, True, "stepcreds setup apply")
    assert found.found != found.wanted


@pytest.mark.parametrize("case", OF_DATABASES)
def test_what_differs_at_the_database_is_found_and_mended(mended: Shop, case: str) -> None:
    shop = mended
    shop.sql(OF_DATABASES[case].format(name=shop.name, owner=shop.owner, group=shop.group, manager=shop.manager))
    (found,) = shop.check().drift
    assert (found.code, found.place, found.fix) == (
        "database.statement",
        f"127.0.0.1:{shop.servers.postgresql.port}/{shop.name}",
        "stepcreds setup apply",
    )
    assert found.what.startswith("Needed: ")


def drift(shop: Shop, change: str, undo: str) -> tuple[Drift, ...]:
    """What is found after `change`, which is undone."""
    names = {"name": shop.name, "group": shop.group, "manager": shop.manager}
    shop.sql(change.format(**names))
    try:
        return shop.check().drift
    finally:
        shop.sql(undo.format(**names))


class TestByHand:
    """What nobody but a person should mend."""

    def test_power_of_vaults_user(self, applied: Shop) -> None:
        place = f"127.0.0.1:{applied.servers.postgresql.port}/{applied.name}"
        change, undo = "ALTER ROLE {manager} CREATEDB BYPASSRLS", "ALTER ROLE {manager} NOCREATEDB NOBYPASSRLS"
        assert drift(applied, change, undo) == (
            Drift(
                "postgresql.manager.power",
                place,
                f"Vault's user {applied.manager} has more than it needs: CREATEDB, BYPASSRLS.",
                "Whoever can write Vault's roles can have statements run with it.",
                f'ALTER ROLE "{applied.manager}" NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS',
            ),
        )

    def test_a_superuser_as_vaults_user(self, applied: Shop) -> None:
        found = drift(applied, "ALTER ROLE {manager} SUPERUSER", "ALTER ROLE {manager} NOSUPERUSER")
        assert "postgresql.manager.power" in [each.code for each in found]

    def test_membership_of_vaults_user(self, applied: Shop) -> None:
        change, undo = "GRANT pg_read_all_data TO {manager}", "REVOKE pg_read_all_data FROM {manager}"
        (found,) = drift(applied, change, undo)
        assert (found.code, found.what) == (
            "postgresql.manager.member",
            f"Vault's user {applied.manager} is a member of roles that no profile needs: pg_read_all_data.",
        )

    def test_a_group_of_readers_that_writes(self, applied: Shop) -> None:
        change, undo = "GRANT UPDATE ON {name}.orders TO {group}", "REVOKE UPDATE ON {name}.orders FROM {group}"
        (found,) = drift(applied, change, undo)
        assert (found.code, found.what) == (
            "postgresql.reader.writes",
            f"The group {applied.group}, of users who only read, may change rows of: {applied.name}.orders.",
        )

    def test_a_group_of_readers_that_is_a_member(self, applied: Shop) -> None:
        change, undo = "GRANT pg_monitor TO {group}", "REVOKE pg_monitor FROM {group}"
        (found,) = drift(applied, change, undo)
        assert (found.code, found.what) == (
            "postgresql.reader.member",
            f"The group {applied.group}, of users who only read, is a member of other roles: pg_monitor.",
        )


class TestBeside:
    """Worth knowing, and no drift."""

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (
                {"bound_claims": {"repository_id": "1"}, "token_policies": ["{name}-verify"]},
                "its jobs get the policy {name}-verify too",
            ),
            (
                {"bound_claims": {"repository_id": ["71717171", "2"]}, "token_policies": ["admin"]},
                "jobs of this configuration may log in with it, and get the policy admin",
            ),
            ({"bound_claims": {"repository_id": "1"}, "token_policies": ["admin"]}, ""),
            ({"bound_claims": {"repository_id": "71717171", "ref": "x"}, "token_policies": ["admin"]}, ""),
        ],
    )
    def test_other_jwt_roles(self, applied: Shop, body: dict[str, Any], said: str) -> None:
        path = f"auth/{applied.mount}/role/other"
        body = {**body, "token_policies": [text.format(name=applied.name) for text in body["token_policies"]]}
        applied.write(path, role_type="jwt", user_claim="repository_id", **body)
        try:
            report = applied.check()
        finally:
            with applied.vault() as client:
                client.delete(path)
        sentence = f"{path} is not in the configuration, and {said.format(name=applied.name)}."
        assert (report.drift, report.notes) == ((), (sentence,) if said else ())

    def test_other_database_roles(self, applied: Shop) -> None:
        path = f"{applied.engine}/roles/other"
        applied.write(path, db_name=applied.name, creation_statements=["SELECT 1"])
        try:
            report = applied.check()
        finally:
            with applied.vault() as client:
                client.delete(path)
        said = f"{path} is not in the configuration, and issues users through the connection {applied.name}."
        assert (report.drift, report.notes) == ((), (said,))


class TestCommand:
    def test_nothing_has_drifted(self, applied: Shop) -> None:
        run = applied.setup("check")
        number = applied.check().same
        assert (run.returncode, run.stdout, run.stderr) == (
            0,
            f"Nothing has drifted; {number} as they should be.\n",
            "",
        )

    def test_what_it_prints(self, mended: Shop) -> None:
        _role(mended, bound_claims={"repository_id": "71717171"})
        run = mended.setup("check")
        number = mended.check().same
        assert (run.returncode, run.stdout, run.stderr) == (
            1,
            f"differs auth/{mended.mount}/role/{mended.name}-verify: bound_claims differs.\n"
            '  bound_claims: {"repository_id": "71717171"} -> '
            '{"repository_id": "71717171", "environment": "production"}\n'
            "  Other jobs may log in than were meant to. environment of a job may be anything.\n"
            "  fix: stepcreds setup apply\n"
            "\n"
            f"1 difference; {number} as they should be.\n",
            "",
        )

    def test_a_policy_and_statements_by_what_goes_and_what_comes(self, mended: Shop) -> None:
        path = f"{mended.engine}/roles/{mended.name}-verify"
        wanted = mended.read(path)["creation_statements"]
        _database_role(mended, creation_statements=[*wanted[:-1], 'ALTER ROLE "{{name}}" SUPERUSER'])
        _policy(mended, 'path "secret/*" {\n  capabilities = ["read"]\n}\n')
        lines = mended.setup("check").stdout.splitlines()
        start = lines.index(f"differs sys/policies/acl/{mended.name}-verify: policy differs.")
        assert lines[start : start + 6] == [
            f"differs sys/policies/acl/{mended.name}-verify: policy differs.",
            "  policy:",
            '  -path "secret/*" {',
            '  -  capabilities = ["read"]',
            "  -}",
            "  A token may do more than it is there for, or cannot end what it was given.",
        ]
        start = lines.index(f"differs {path}: creation_statements differs.")
        assert lines[start + 1 : start + 4] == [
            "  creation_statements:",
            '  -ALTER ROLE "{{name}}" SUPERUSER',
            f"  +{wanted[-1]}",
        ]

    def test_json(self, mended: Shop) -> None:
        _connection(mended, allowed_roles="*")
        run = mended.setup("check", "--json")
        assert run.returncode == 1
        assert json.loads(run.stdout)["drift"] == [
            {
                "code": "vault.connection.allowed_roles",
                "place": f"{mended.engine}/config/{mended.name}",
                "what": "allowed_roles differs.",
                "why": "Roles that nobody declared may issue users through this connection.",
                "fix": "stepcreds setup apply",
                "found": ["*"],
                "wanted": [f"{mended.name}-migrate", f"{mended.name}-verify"],
            }
        ]

    def test_without_an_administrator_it_says_what_it_did_not_compare(self, applied: Shop) -> None:
        run = applied.setup("check", STEPCREDS_DATABASE_ADMIN_URL=None)
        place = f"127.0.0.1:{applied.servers.postgresql.port}/{applied.name}"
        assert (run.returncode, run.stdout, run.stderr) == (
            1,
            "Not compared, so nobody knows whether it is right:\n"
            f"  {place}: no administrator's URL (--database-admin VARIABLE)\n"
            "\n"
            "No difference in what was compared, and 1 not compared; 12 as they should be.\n",
            "",
        )

    def test_who_leaves_the_databases_to_others_says_so(self, applied: Shop) -> None:
        place = f"127.0.0.1:{applied.servers.postgresql.port}/{applied.name}"
        run = applied.setup("check", "--without-databases")  # although there is a URL
        assert (run.returncode, run.stdout, run.stderr) == (
            0,
            "Beside the configuration, and not wrong by itself:\n"
            f"  {place}: not looked at (--without-databases).\n"
            "\n"
            "Nothing has drifted; 12 as they should be.\n",
            "",
        )
        both = applied.setup("check", "--without-databases", "--database-admin", "STEPCREDS_DATABASE_ADMIN_URL")
        assert (both.returncode, both.stdout, both.stderr) == (
            2,
            "",
            "stepcreds: error: --without-databases and --database-admin contradict each other\n"
            "  fix: Say one of them.\n"
            "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#setup-administrator\n",
        )

    def test_an_object_that_the_token_may_not_read_is_not_right(self, mended: Shop) -> None:
        """Also where everything else was compared, and although the object has drifted."""
        policy = mended.setup("check", "--print-policy").stdout
        path = f"{mended.engine}/roles/{mended.name}-verify"
        mine = f'path "{path}" {{\n  capabilities = ["read"]\n}}\n'
        assert mine in policy
        hidden = mine.replace("read", "deny")
        token = mended.operator(policy.replace(mine, hidden))
        number = mended.check().same
        _database_role(mended, revocation_statements=[])
        run = mended.setup("check", VAULT_TOKEN=token.reveal())
        assert (run.returncode, run.stdout, run.stderr) == (
            1,
            "Not compared, so nobody knows whether it is right:\n"
            f"  {path}: the token lacks read on {path}\n"
            "\n"
            f"No difference in what was compared, and 1 not compared; {number - 1} as they should be.\n",
            "",
        )

    def test_a_token_that_may_not_read_everything(self, applied: Shop) -> None:
        token = applied.operator(
            'path "sys/capabilities-self" {\n  capabilities = ["update"]\n}\n'
            f'path "{applied.engine}/roles/{applied.name}-verify" {{\n  capabilities = ["read"]\n}}\n'
        )
        before, applied.token = applied.token, token
        try:
            run = applied.setup("check", "--json", STEPCREDS_DATABASE_ADMIN_URL=None)
        finally:
            applied.token = before
        report = json.loads(run.stdout)
        assert (run.returncode, report["drift"], report["same"]) == (1, [], 1)
        assert report["not_compared"] == [
            f"sys/auth/{applied.mount}: the token lacks read on sys/auth",
            *(
                f"{path}: the token lacks read on {path}"
                for path in (
                    f"auth/{applied.mount}/config",
                    f"sys/policies/acl/{applied.name}-migrate",
                    f"auth/{applied.mount}/role/{applied.name}-migrate",
                    f"sys/policies/acl/{applied.name}-verify",
                    f"auth/{applied.mount}/role/{applied.name}-verify",
                )
            ),
            f"sys/mounts/{applied.engine}: the token lacks read on sys/mounts",
            *(
                f"{path}: the token lacks read on {path}"
                for path in (
                    f"{applied.engine}/config/{applied.name}",
                    f"{applied.engine}/roles/{applied.name}-migrate",
                )
            ),
            f"sys/config/auditing/request-headers/X-{applied.name}: the token lacks read and sudo on "
            f"sys/config/auditing/request-headers/X-{applied.name}",
            "sys/mounts/sys/tune: the token lacks read on sys/mounts",
            f"127.0.0.1:{applied.servers.postgresql.port}/{applied.name}: no administrator's URL "
            "(--database-admin VARIABLE)",
            *(
                f"other roles at {folder}: the token lacks list on {folder}, and read on {folder}/+"
                for folder in (f"auth/{applied.mount}/role", f"{applied.engine}/roles")
            ),
        ]

    def test_nothing_compared_is_not_nothing_that_drifted(self, applied: Shop) -> None:
        token = applied.operator('path "sys/capabilities-self" {\n  capabilities = ["update"]\n}\n')
        run = applied.setup("check", VAULT_TOKEN=token.reveal(), STEPCREDS_DATABASE_ADMIN_URL=None)
        assert (run.returncode, run.stdout, run.stderr) == (
            1,
            "",
            "stepcreds: error: Nothing could be compared\n"
            "  cause: The Vault token may not read any of it, and there is no administrator of a database.\n"
            "  fix: The policy that is enough to look:\n"
            "      stepcreds setup check --print-policy\n"
            "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#setup-capabilities\n",
        )

    def test_a_token_that_only_reads_and_a_user_who_may_only_log_in_are_enough(self, applied: Shop) -> None:
        policy = applied.setup("check", "--print-policy").stdout
        assert "create" not in policy
        token = applied.operator(policy)
        user = f"looker_{applied.name}"
        applied.sql(f"CREATE ROLE {user} LOGIN PASSWORD 'l00k'", f"GRANT CONNECT ON DATABASE {applied.name} TO {user}")
        url = f"postgresql://{user}:l00k@127.0.0.1:{applied.servers.postgresql.port}/?sslmode=disable"
        run = applied.setup("check", VAULT_TOKEN=token.reveal(), STEPCREDS_DATABASE_ADMIN_URL=url)
        number = applied.check().same
        assert (run.returncode, run.stdout, run.stderr) == (
            0,
            f"Nothing has drifted; {number} as they should be.\n",
            "",
        )

    def test_without_a_token(self, applied: Shop) -> None:
        run = applied.setup("check", VAULT_TOKEN=None)
        assert (run.returncode, run.stderr.splitlines()[0]) == (
            2,
            "stepcreds: error: setup check needs a Vault token, and there is none",
        )


def test_every_field_of_a_plan_has_an_explanation(applied: Shop) -> None:
    plan, _ = applied.plan()
    without = [
        (setting.kind, name)
        for setting in plan.settings
        for name in setting.body
        if not explanation.differs(setting.kind, Field(name, None, "other"))
    ]
    # Whose other value is a conflict, or is not kept or shown by Vault.
    assert without == [
        ("auth_mount", "type"),
        ("mount", "type"),
        ("connection", "plugin_name"),
        ("connection", "verify_connection"),
        ("connection", "password"),
    ]


class TestSame:
    """What Vault answers otherwise than it was written, and is the same."""

    @pytest.mark.parametrize(
        ("kind", "written", "answered"),
        [
            ("jwt_role", {"token_ttl": "2m"}, {"token_ttl": 120}),
            ("jwt_role", {"token_policies": ["b", "a"]}, {"token_policies": ["a", "b"]}),
            ("jwt_role", {"bound_claims": {"a": "1"}}, {"bound_claims": {"a": ["1"]}}),
            ("jwt_role", {"bound_claims": {"a": ["1", "2"]}}, {"bound_claims": {"a": ["2", "1"]}}),
            ("jwt_role", {"bound_claims": {"a": 5}}, {"bound_claims": {"a": 5.0}}),
            ("jwt_role", {"claim_mappings": {}}, {"claim_mappings": None}),
            ("connection", {"allowed_roles": "a, b"}, {"allowed_roles": ["a", "b"]}),
            ("connection", {"username": "u"}, {"connection_details": {"username": "u"}}),
            ("connection", {"verify_connection": True}, {}),
            ("database_role", {"creation_statements": ["SELECT 1 "]}, {"creation_statements": ["SELECT 1"]}),
            (
                "policy",
                {"policy": 'path "a" {\n  capabilities = []\n}'},
                {"policy": 'path  "a" {\n\ncapabilities = []\n}\n'},
            ),
            ("header", {"hmac": False}, {"x-stepcreds-step": {"hmac": False}}),
            (
                "mount",
                {"type": "kv", "config": {"max_lease_ttl": "1h"}},
                {"type": "kv", "config": {"max_lease_ttl": 3600, "a": 1}},
            ),
        ],
    )
    def test_same(self, kind: Kind, written: dict[str, object], answered: dict[str, object]) -> None:
        assert difference(Setting(kind, "a/b", written, ""), answered).action == "same"

    @pytest.mark.parametrize(
        ("kind", "written", "answered"),
        [
            ("jwt_role", {"bound_claims": {"a": "5"}}, {"bound_claims": {"a": 5}}),
            ("jwt_role", {"bound_claims": {"a": "1"}}, {"bound_claims": {}}),
            ("jwt_role", {"bound_claims": {"a": "1"}}, {"bound_claims": None}),
            ("jwt_role", {"token_no_default_policy": True}, {"token_no_default_policy": False}),
            ("jwt_role", {}, {"token_period": 1}),
            ("database_role", {"creation_statements": ["a", "b"]}, {"creation_statements": ["b", "a"]}),
            ("database_role", {"revocation_statements": ["a"]}, {"revocation_statements": None}),
            ("policy", {"policy": 'path "a" {}'}, {"policy": 'path "b" {}'}),
            ("header", {"hmac": False}, {"x-stepcreds-step": {"hmac": True}}),
        ],
    )
    def test_another(self, kind: Kind, written: dict[str, object], answered: dict[str, object]) -> None:
        assert difference(Setting(kind, "a/b", written, ""), answered).action == "change"

    @pytest.mark.parametrize(
        ("written", "shown"),
        [
            ("postgresql://root:canary@db", "postgresql://***@db"),
            (
                "postgresql://db/x?user=a&password=c%40nary&sslmode=require",
                "postgresql://db/x?user=a&password=***&sslmode=require",
            ),
            ("host=db user=root PASSWORD=canary dbname=x", "host=db user=root PASSWORD=*** dbname=x"),
            (r"password = 'can\' ary' host=db", "password = *** host=db"),
            ("sslpassword='canary", "sslpassword=***"),
            ("host=db user={{username}} password={{password}}", "host=db user={{username}} password={{password}}"),
        ],
    )
    def test_a_login_that_somebody_wrote_into_a_url_is_not_shown(self, written: str, shown: str) -> None:
        wanted = "postgresql://{{username}}:{{password}}@db"
        setting = Setting("connection", "database/config/a", {"connection_url": wanted}, "")
        found = difference(setting, {"connection_details": {"connection_url": written}})
        assert found.fields == (Field("connection_url", shown, wanted),)


def test_a_policy_names_what_is_needed_in_a_fixed_order() -> None:
    assert permissions.policy({"b/+": frozenset({"sudo", "create", "list"}), "a": frozenset({"update", "read"})}) == (
        'path "a" {\n  capabilities = ["read", "update"]\n}\n'
        'path "b/+" {\n  capabilities = ["create", "list", "sudo"]\n}\n'
    )
