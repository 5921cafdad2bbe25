"""The plan's half at Vault as a script for any POSIX shell, with `bao` or `vault`; it may be run again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from stepcreds.config.model import VaultSettings
from stepcreds.setup.answers.given import values
from stepcreds.setup.connections import rotation
from stepcreds.setup.forms import File, comment, policy_name
from stepcreds.setup.plan import Plan, Setting
from stepcreds.setup.signing import AUDITED, NOT_TUNED
from stepcreds.setup.vault import without_accessor

_HEAD = """\
#!/bin/sh
# Written by `stepcreds setup --format shell`. It writes what steps need at Vault or OpenBao, with a token of yours
# (VAULT_TOKEN, or `bao login`), and may be run again. The databases come first: stepcreds setup --format sql
set -eu
"""
_WORDS = r"""
if command -v bao >/dev/null; then bao=bao; else bao=vault; fi
if ! command -v "$bao" >/dev/null; then
  echo 'Neither bao nor vault is installed.' >&2
  exit 2
fi

# Whether there is something at a path.
exists() {
  "$bao" read "$1" >/dev/null 2>&1
}

# Have the audit log show one more field of the requests to a mount, and what it shows already still.
audit() {
  shown=$("$bao" read -field=audit_non_hmac_request_keys "$1" 2>/dev/null | tr -d '[]' | tr ' ' ',') || shown=
  case ",$shown," in
    *",$2,"*) ;;
    *) put "$1" "audit_non_hmac_request_keys=$shown${shown:+,}$2" ;;
  esac
}

# Write to a path what the other arguments say; `-` is JSON on stdin.
put() {
  "$bao" write "$@" >/dev/null
  echo "Written: $1"
}

fail() {
  echo "Vault has not changed that password, and you know it. Run: $bao write -force $1" >&2
  exit 1
}

# The password that the user of a new connection has until Vault changes it; from the terminal, or a line on stdin.
ask() {
  printf 'Password of %s: ' "$1" >&2
  if [ -t 0 ]; then
    trap 'stty echo' EXIT
    trap 'exit 130' INT
    stty -echo
    IFS= read -r password
    stty echo
    echo >&2
  else
    IFS= read -r password
  fi
}
"""
# No line of JSON or of a policy is this one.
_END = "STEPCREDS"


def files(plan: Plan, vault: VaultSettings) -> tuple[File, ...]:
    """One script."""
    address = shlex.quote(vault.addresses[0])
    where = f'export VAULT_ADDR="${{BAO_ADDR:-${{VAULT_ADDR:-}}}}"\n[ -n "$VAULT_ADDR" ] || VAULT_ADDR={address}\n'
    if vault.namespace is not None:
        namespace = shlex.quote(vault.namespace)
        where += f"export VAULT_NAMESPACE={namespace} BAO_NAMESPACE={namespace}\n"
    parts = [_HEAD + where + _WORDS, *(comment(setting.why) + _written(setting) for setting in plan.settings)]
    return (File("setup.sh", "\n".join(parts)),)


def _written(setting: Setting) -> str:
    path = shlex.quote(setting.path)
    if setting.kind in ("auth_mount", "mount"):
        # A mount that is there is left as it is: there is no writing it twice. Its settings can be.
        tuned = setting.body.get("config")
        tune = _audited(f"{setting.path}/tune", tuned) if isinstance(tuned, Mapping) else ""
        return f"exists {path} || put {path} - {_here({'type': setting.body['type']})}{tune}"
    if setting.kind == "lease_audit":
        left = shlex.quote(f"{setting.path} is left as it is. {NOT_TUNED}.")
        return f"""\
case $("$bao" read -field=running_plugin_version sys/mounts/sys 2>/dev/null) in
  *+builtin.bao) {_audited(setting.path, setting.body).strip()} ;;
  *) echo {left} ;;
esac
"""
    if setting.kind == "transit_key":
        return f"exists {path} || put {path} - {_here(setting.body)}"
    if setting.kind == "policy":
        return _policy(setting)
    if setting.kind == "connection":
        return _connection(setting)
    return f"put {path} - {_here(setting.body)}"


def _policy(setting: Setting) -> str:
    name = shlex.quote(policy_name(setting))
    text, mount = without_accessor(str(setting.body["policy"]), "ACCESSOR")
    if not mount:
        return f"\"$bao\" policy write {name} - <<'{_END}'\n{text}{_END}\n"
    read = f'accessor=$("$bao" read -field=accessor {shlex.quote(f"sys/auth/{mount}")})'
    filled = 'sed "s/aliases[.]ACCESSOR[.]/aliases.$accessor./"'
    return f"{read}\n{filled} <<'{_END}' | \"$bao\" policy write {name} -\n{text}{_END}\n"


def _connection(setting: Setting) -> str:
    """A connection that is there keeps its password, which nobody knows; a new one gets another at once."""
    rotate = shlex.quote(rotation(setting.path))
    path, user = shlex.quote(setting.path), shlex.quote(str(setting.body["username"]))
    body = {name: value for name, value in setting.body.items() if name not in setting.secret}
    return f"""\
if exists {path}; then
  put {path} @/dev/fd/3
else
  ask {user}
  printf %s "$password" | put {path} @/dev/fd/3 password=-
  "$bao" write -force {rotate} >/dev/null || fail {rotate}
fi 3{_here(body)}"""


def _audited(path: str, tuned: Mapping[str, object]) -> str:
    fields = values(tuned[AUDITED])
    return "".join(f"audit {shlex.quote(path)} {shlex.quote(str(field))}\n" for field in fields)


def _here(body: Mapping[str, object]) -> str:
    return f"<<'{_END}'\n{json.dumps(body, indent=2, ensure_ascii=False)}\n{_END}\n"
