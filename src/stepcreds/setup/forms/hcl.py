"""The plan as HCL: a policy a file, and all of it as OpenBao's self-initialization, for a server that starts empty.

https://openbao.org/docs/configuration/self-init/ and https://openbao.org/docs/concepts/profiles/
"""

from __future__ import annotations

from stepcreds.config.model import VaultSettings
from stepcreds.setup.connections import rotation
from stepcreds.setup.forms import File, comment, names, policy_name
from stepcreds.setup.forms.hcl_text import block, heredoc, indented
from stepcreds.setup.plan import Plan, Setting
from stepcreds.setup.vault import without_accessor

_HEAD = """\
# Written by `stepcreds setup --format hcl`, for OpenBao: a part of the server's configuration, which is done once, when
# the server starts for the first time (https://openbao.org/docs/configuration/self-init/). The databases come first:
# stepcreds setup --format sql. A Vault that runs already takes the policies by themselves, and the rest by
# stepcreds setup apply, or --format shell or terraform.
"""


_ACCESSOR = "auth_mount"  # the request whose answer has it


def files(plan: Plan, vault: VaultSettings) -> tuple[File, ...]:
    """The policies, and `initialize.hcl`."""
    policies = [
        File(f"policies/{policy_name(setting)}.hcl", _policy(str(setting.body["policy"])))
        for setting in plan.settings
        if setting.kind == "policy"
    ]
    return (*policies, File("initialize.hcl", _initialize(plan, vault)))


def _policy(text: str) -> str:
    """For a server that runs, to be completed by whoever writes it there."""
    _, mount = without_accessor(text, "")
    first = f"Put in place of <accessor of auth/{mount}> what this prints: bao read -field=accessor sys/auth/{mount}"
    return comment(first) + text if mount else text


def _evaluated(text: str) -> object:
    """The text; where it names an accessor, a template of Go that has it from the answer to the request before."""
    if not without_accessor(text, "")[1]:
        return heredoc(text)
    answer = f'(index (index .responses "stepcreds") "{_ACCESSOR}").data.accessor'
    opened = text.replace("{{", '{{ "{{" }}')
    filled = without_accessor(opened, f"{{{{ {answer} }}}}")[0]
    return {"eval_source": "template", "eval_type": "string", "template": heredoc(filled)}


def _names_accessor(setting: Setting) -> bool:
    return setting.kind == "policy" and bool(without_accessor(str(setting.body["policy"]), "")[1])


def _initialize(plan: Plan, vault: VaultSettings) -> str:
    prefix = f"{vault.namespace}/" if vault.namespace else ""
    named = names(setting.path for setting in plan.settings)
    requests = []
    for setting in plan.settings:
        requests.append(comment(setting.why) + _request(named[setting.path], prefix + setting.path, setting))
        if setting.kind == "auth_mount" and any(map(_names_accessor, plan.settings)):
            read = block(f'request "{_ACCESSOR}"', {"operation": "read", "path": prefix + setting.path})
            requests.append(comment("What Vault calls it, for the policies.") + read)
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
        data["policy"] = _evaluated(str(data["policy"]))
    for field in setting.secret:
        variable = names([str(setting.body["username"])])[str(setting.body["username"])].upper()
        data[field] = {
            "eval_source": "env",
            "eval_type": "string",
            "env_var": f"{variable}_PASSWORD",
            "require_present": True,
        }
    return block(f'request "{name}"', {"operation": "update", "path": path, "data": data})
