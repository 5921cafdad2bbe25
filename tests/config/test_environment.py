"""The snapshot of the environment, with what the Action withholds from Python put back."""

from __future__ import annotations

import json

import pytest

from stepcreds.cli.messages import render_error
from stepcreds.config.environment import environment
from stepcreds.errors import UsageError


def test_what_was_withheld_is_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    monkeypatch.setenv("STEPCREDS_WITHHELD", json.dumps({"LD_PRELOAD": "/lib/x.so", "PYTHONPATH": "a\udcff=b\n"}))
    variables = environment()
    assert variables["LD_PRELOAD"] == "/lib/x.so"
    assert variables["PYTHONPATH"] == "a\udcff=b\n"
    assert "STEPCREDS_WITHHELD" not in variables


def test_what_was_set_for_python_alone_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/toolcache/lib")
    monkeypatch.setenv("PYTHONHOME", "/ours")
    monkeypatch.setenv("STEPCREDS_WITHHELD", '{"LD_LIBRARY_PATH": null, "PYTHONHOME": "/theirs", "LD_DEBUG": null}')
    variables = environment()
    assert "LD_LIBRARY_PATH" not in variables
    assert variables["PYTHONHOME"] == "/theirs"
    assert "LD_DEBUG" not in variables


@pytest.mark.parametrize("text", ["{", '{"STATE_stepcreds_config": null, "LD_PRELOAD": "/lib/x.so"}'])
def test_the_end_of_a_job_goes_on_without_what_cannot_be_read(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    monkeypatch.setenv("STATE_stepcreds_config", "/as/it/is")
    monkeypatch.setenv("STEPCREDS_WITHHELD", text)
    variables = environment(tolerant=True)
    assert variables["STATE_stepcreds_config"] == "/as/it/is"
    assert "LD_PRELOAD" not in variables
    assert "STEPCREDS_WITHHELD" not in variables


def test_without_it_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEPCREDS_WITHHELD", raising=False)
    monkeypatch.setenv("PYTHONPATH", "/as/it/is")
    assert environment()["PYTHONPATH"] == "/as/it/is"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is not JSON"),
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ('["LD_PRELOAD"]', "it is not a JSON object"),
        ("null", "it is not a JSON object"),
        ('{"": "x"}', "a name in it cannot be that of a variable"),
        ('{"A=B": "x"}', "a name in it cannot be that of a variable"),
        ('{"A\\u0000": "x"}', "a name in it cannot be that of a variable"),
        ('{"\\ud800": "x"}', "a name in it cannot be that of a variable"),
        ('{"RUNNER_TEMP": "/theirs"}', "a name in it is not that of a variable that is withheld"),
        ('{"STATE_stepcreds_config": null}', "a name in it is not that of a variable that is withheld"),
        ('{"LC_ALL": "C"}', "a name in it is not that of a variable that is withheld"),
        ('{"LD_A": 1}', "a value in it cannot be that of a variable"),
        ('{"LD_A": {"B": "x"}}', "a value in it cannot be that of a variable"),
        ('{"LD_A": "x\\u0000"}', "a value in it cannot be that of a variable"),
        ('{"LD_A": "\\ud800"}', "a value in it cannot be that of a variable"),
    ],
)
def test_what_cannot_be_read_is_an_error_and_no_traceback(monkeypatch: pytest.MonkeyPatch, text: str, why: str) -> None:
    monkeypatch.setenv("STEPCREDS_WITHHELD", text)
    with pytest.raises(UsageError) as caught:
        environment()
    assert (
        render_error(caught.value, colour=False)
        == f"""\
stepcreds: error: The variable STEPCREDS_WITHHELD cannot be read: {why}
  cause: stepcreds itself sets it where it starts Python, and hands those variables on to the command. Something else set it, or changed it.
  fix: Find what sets STEPCREDS_WITHHELD (env: in the workflow, a line in GITHUB_ENV), and remove that.
  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#withheld-environment"""
    )
