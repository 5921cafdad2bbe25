"""The plan as HCL: a policy a file, and all of it as OpenBao's self-initialization, for a server that starts empty.

https://openbao.org/docs/configuration/self-init/ and https://openbao.org/docs/concepts/profiles/
"""

from __future__ import annotations

from stepcreds.config.model import VaultSettings
from stepcreds.setup.connections import rotation
from stepcreds.setup.forms import File, comment, names, policy_name
from stepcreds.setup.forms.hcl_text import block, heredoc, indented
from stepcreds.setup.plan import Plan, Setting

_HEAD = """\
# Written by `stepcreds setup --format hcl`, for OpenBao: a part of the server's configuration, which is done once, when
# the server starts for the first time (https://openbao.org/docs/configuration/self-init/). The databases come first:
# stepcreds setup --format sql. A Vault that runs already takes the policies by themselves, and the rest by
# stepcreds setup apply, or --format shell or terraform.
"""


def files(plan: Plan, vault: VaultSettings) -> tuple[File, ...]:
    """The policies, and `initialize.hcl`."""
    policies = [
        File(f"policies/{policy_name(setting)}.hcl", str(setting.body["policy"]))
        for setting in plan.settings
        if setting.kind == "policy"
    ]
    return (*policies, File("initialize.hcl", _initialize(plan, vault)))


def _initialize(plan: Plan, vault: VaultSettings) -> str:
    prefix = f"{vault.namespace}/" if vault.namespace else ""
    named = names(setting.path for setting in plan.settings)
    requests = []
    for setting in plan.settings:
        requests.append(comment(setting.why) + _request(named[setting.path], prefix + setting.path, setting))
        if setting.kind == "connection":
            path = rotation(setting.path)
            why = comment("From here on Vault alone knows that password.")
            empty = setting._replace(path=path, body={}, secret=())
            requests.append(why + _request(f"{named[setting.path]}_rotated", prefix + path, empty))
    inner = "\n".join(requests)
    return f'{_HEAD}\ninitialize "stepcreds" {{\n{indented(inner)}}}\n'


def _request(name: str, path: str, setting: Setting) -> str:
    data = dict(setting.body)
    if setting.kind == "policy":
        data["policy"] = heredoc(str(data["policy"]))
    for field in setting.secret:
        variable = names([str(setting.body["username"])])[str(setting.body["username"])].upper()
        data[field] = {
            "eval_source": "env",
            "eval_type": "string",
            "env_var": f"{variable}_PASSWORD",
            "require_present": True,
        }
    return block(f'request "{name}"', {"operation": "update", "path": path, "data": data})
