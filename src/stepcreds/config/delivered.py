"""Whether the templates of `env:` and `files:` can be filled; they are filled elsewhere, once there is a credential."""

from __future__ import annotations

from stepcreds.config.problems import Problems, suggestion
from stepcreds.config.shape import Value
from stepcreds.config.template import Part, TemplateError, parse_template

# What a template may name where the credential is a database's. `dir` is the folder of the step's files, everywhere.
DATABASE_FIELDS = (
    "url",
    "username",
    "password",
    "host",
    "port",
    "database",
    "scheme",
    "sslmode",
    "sslrootcert",
    "dir",
)


def check_templates(key: str, value: Value, *, is_database: bool, problems: Problems) -> None:
    """Adds what is wrong with the `env:` or `files:` at the dotted `key`."""
    for name, template in value.items() if isinstance(value, dict) else ():
        path = f"{key}.{name}"
        if key.endswith(".files"):
            _check_path(path, name, problems)
        if template is not None:
            _check_fields(path, str(template), DATABASE_FIELDS if is_database else (), problems)


def _check_path(key: str, name: str, problems: Problems) -> None:
    """A file is always inside the step's private folder: on a tmpfs where there is one, and gone with the step."""
    _check_fields(key, name, ("dir",), problems)
    inside = name.removeprefix("{dir}/")
    segments = inside.split("/")
    if name.startswith(("/", "~")) or inside == "{dir}" or {"", ".", ".."} & set(segments) or "{dir}" in inside:
        what = "the file is not inside the step's private folder"
        problems.add(key, what, 'Write a path below it, for example: "{dir}/pgpass"')


def _check_fields(key: str, template: str, known: tuple[str, ...], problems: Problems) -> None:
    for part in _parts(key, template, problems):
        if part.field and known and part.field not in known:
            what = f"{{{part.field}}} is not a field here"
            problems.add(key, what, suggestion(part.field, known))


def _parts(key: str, template: str, problems: Problems) -> tuple[Part, ...]:
    try:
        return parse_template(template)
    except TemplateError as error:
        problems.add(key, f"the template cannot be read: {error}")
        return ()
