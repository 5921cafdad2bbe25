"""The plan's half at Vault for Terraform or OpenTofu, as resources of the provider hashicorp/vault.

https://registry.terraform.io/providers/hashicorp/vault/latest/docs
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stepcreds.config.model import VaultSettings
from stepcreds.setup.answers.given import values
from stepcreds.setup.connections import rotation
from stepcreds.setup.forms import File, comment, last, names, policy_name
from stepcreds.setup.forms.hcl_text import Raw, block, heredoc, written
from stepcreds.setup.plan import Kind, Plan, Setting
from stepcreds.setup.vault import without_accessor

_HEAD = """\
# Written by `stepcreds setup --format terraform`, for the provider hashicorp/vault. The databases come first:
# stepcreds setup --format sql
"""
_PASSWORDS = """\
#
# Terraform keeps the password of each new connection in its state. Have Vault change it at once, which makes what is in
# the state worthless:
"""


def files(plan: Plan, vault: VaultSettings) -> tuple[File, ...]:
    """`stepcreds.tf`."""
    resources = _Resources(plan, vault)
    connections = [setting for setting in plan.settings if setting.kind == "connection"]
    head = _HEAD + (_PASSWORDS if connections else "")
    head += "".join(f"#   vault write -force {rotation(each.path)}\n" for each in connections)
    variables = [
        block(
            f'variable "{resources.variable(each)}"',
            {"type": Raw("string"), "sensitive": True, "description": f"The first password of {each.body['username']}"},
        )
        for each in connections
    ]
    # The mount of the logins is one resource with its configuration.
    blocks = [comment(each.why) + resources.of(each) for each in plan.settings if each.kind != "auth_mount"]
    return (File("stepcreds.tf", "\n".join([head, *variables, *blocks])),)


# What every path of a kind begins with, which a name need not repeat.
_SHORTER: Mapping[Kind, str] = {
    "auth_config": "auth/",
    "policy": "sys/policies/acl/",
    "jwt_role": "auth/",
    "mount": "sys/mounts/",
    "connection": "",
    "database_role": "",
    "transit_key": "",
    "header": "sys/config/auditing/request-headers/",
    "lease_audit": "sys/mounts/",
}


class _Resources:
    """Each setting as a resource; those that need another one name it."""

    def __init__(self, plan: Plan, vault: VaultSettings) -> None:
        self.vault = vault
        # Resources of different kinds may have one name.
        self.named: dict[str, str] = {}
        for kind, prefix in _SHORTER.items():
            shorter = {each.path: each.path.removeprefix(prefix) for each in plan.settings if each.kind == kind}
            short = names(shorter.values())
            self.named.update({path: short[text] for path, text in shorter.items()})
        self.there = frozenset(setting.path for setting in plan.settings)
        self.written: Mapping[Kind, Callable[[Setting], str]] = {
            "auth_config": self.login,
            "policy": self.policy,
            "jwt_role": self.jwt_role,
            "mount": self.mount,
            "connection": self.connection,
            "database_role": self.database_role,
            "transit_key": self.transit_key,
            "header": self.header,
            "lease_audit": self.lease_audit,
        }

    def of(self, setting: Setting) -> str:
        return self.written[setting.kind](setting)

    def variable(self, connection: Setting) -> str:
        return f"{self.named[connection.path]}_password"

    def login(self, setting: Setting) -> str:
        return self._resource(setting, "vault_jwt_auth_backend", path=self.vault.mount, type="jwt", **setting.body)

    def policy(self, setting: Setting) -> str:
        # No policy of ours has what begins a template of Terraform's, but for this one.
        config = f"auth/{self.vault.mount}/config"
        accessor = f"${{vault_jwt_auth_backend.{self.named[config]}.accessor}}"
        text, _ = without_accessor(str(setting.body["policy"]), accessor)
        return self._resource(setting, "vault_policy", name=policy_name(setting), policy=heredoc(text))

    def jwt_role(self, setting: Setting) -> str:
        body = dict(setting.body)
        bound = body.pop("bound_claims")
        claims = _claims(bound if isinstance(bound, Mapping) else {})
        config = f"auth/{self.vault.mount}/config"
        if claims is None:
            # The provider's own resource would cut a text at its commas, and make a text of everything else.
            return self._resource(
                setting,
                "vault_generic_endpoint",
                path=setting.path,
                data_json=Raw(f"jsonencode({written(setting.body)})"),
                ignore_absent_fields=True,
                depends_on=[Raw(f"vault_jwt_auth_backend.{self.named[config]}")],
            )
        backend = self._refer("vault_jwt_auth_backend", config, "path", self.vault.mount)
        return self._resource(
            setting,
            "vault_jwt_auth_backend_role",
            backend=backend,
            role_name=last(setting.path),
            bound_claims=claims,
            **body,
        )

    def mount(self, setting: Setting) -> str:
        tuned = setting.body.get("config")
        body = {"type": setting.body["type"], **(tuned if isinstance(tuned, Mapping) else {})}
        return self._resource(setting, "vault_mount", path=setting.path.removeprefix("sys/mounts/"), **body)

    def connection(self, setting: Setting) -> str:
        body = {**setting.body, "password": Raw(f"var.{self.variable(setting)}")}
        engine = "postgresql" if body["plugin_name"] == "postgresql-database-plugin" else "mysql"
        outside = {name: body.pop(name) for name in ("plugin_name", "verify_connection", "allowed_roles")}
        # By the next run Vault has another password, and the first one must not be written again.
        forget = {"ignore_changes": [Raw(f"{engine}[0].password")]}
        return self._resource(
            setting,
            "vault_database_secret_backend_connection",
            block(engine, body),
            block("lifecycle", forget),
            backend=self._mount_of(setting.path.rpartition("/config/")[0]),
            name=last(setting.path),
            **outside,
        )

    def database_role(self, setting: Setting) -> str:
        mount = setting.path.rpartition("/roles/")[0]
        body = dict(setting.body)
        connection = str(body.pop("db_name"))
        kind = "vault_database_secret_backend_connection"
        name = self._refer(kind, f"{mount}/config/{connection}", "name", connection)
        return self._resource(
            setting,
            "vault_database_secret_backend_role",
            backend=self._mount_of(mount),
            name=last(setting.path),
            db_name=name,
            **body,
        )

    def transit_key(self, setting: Setting) -> str:
        mount, _, name = setting.path.rpartition("/keys/")
        backend = self._mount_of(mount)
        return self._resource(setting, "vault_transit_secret_backend_key", backend=backend, name=name, **setting.body)

    def header(self, setting: Setting) -> str:
        return self._resource(setting, "vault_audit_request_header", name=last(setting.path), **setting.body)

    def lease_audit(self, setting: Setting) -> str:
        # The provider has no resource for a mount that nobody made. It replaces the list, and cannot add to it.
        said = comment(
            "For OpenBao: HashiCorp Vault refuses it, so take it out there. It replaces what is audited in clear: name "
            "what else there is."
        )
        return said + self._resource(
            setting,
            "vault_generic_endpoint",
            path=setting.path,
            data_json=Raw(f"jsonencode({written(setting.body)})"),
            ignore_absent_fields=True,
            disable_delete=True,
        )

    def _mount_of(self, mount: str) -> str:
        return self._refer("vault_mount", f"sys/mounts/{mount}", "path", mount)

    def _refer(self, kind: str, path: str, attribute: str, text: str) -> str:
        """What makes Terraform write the other first; `text` where the other is not of this plan."""
        return Raw(f"{kind}.{self.named[path]}.{attribute}") if path in self.there else text

    def _resource(self, setting: Setting, kind: str, *inner: str, **arguments: object) -> str:
        common = {"namespace": self.vault.namespace} if self.vault.namespace else {}
        return block(f'resource "{kind}" "{self.named[setting.path]}"', {**common, **arguments}, *inner)


def _claims(bound: Mapping[str, object]) -> dict[str, str] | None:
    """As the provider takes them: a text each, several in one with commas. None where that cannot be said so."""
    claims = {}
    for name, value in bound.items():
        texts = [text for text in values(value) if isinstance(text, str)]
        if len(texts) != len(values(value)) or any("," in text or text != text.strip() for text in texts):
            return None
        claims[name] = ",".join(texts)
    return claims
