"""`manage.py celery service`: what it prints and writes, its JSON, its exit codes."""

import json
import os
import pwd
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from celeriac import discovery
from celeriac.app import get_app
from celeriac.cli.service import COMMAND
from celeriac.errors import CeleriacError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_task_files(monkeypatch):
    """This checkout has some that are of no project."""
    monkeypatch.setattr(discovery, "discover", list)


@pytest.fixture
def a_task():
    def pay():
        """What it does is not asked."""

    yield get_app().task(pay, name="pay", shared=False)
    get_app().tasks.unregister("pay")


def run(*words):
    return COMMAND.run(get_app(), list(words))


def test_the_file_goes_to_the_output_and_its_remarks_to_the_errors(capsys):
    assert run("systemd", "--user", "www-data", "--name", "jobs") == 0

    said = capsys.readouterr()
    assert "User=www-data\n" in said.out
    assert f"ExecStart={sys.executable} " in said.out
    assert 'Environment="DJANGO_SETTINGS_MODULE=tests.settings"' in said.out
    assert "is ended by a stop" in said.err


def test_several_files_have_their_names_above_them(capsys):
    run("systemd", "--name", "jobs", "--instances", "2")

    said = capsys.readouterr().out
    assert said.startswith("# ==> jobs@.service <==\n")
    assert "\n\n# ==> jobs.target <==\n" in said


def test_json_has_the_files_and_what_was_decided(capsys):
    assert run("docker", "compose", "--name", "jobs", "--stop-seconds", "90", "--json") == 0

    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"format", "name", "user", "directory", "stop_seconds", "files", "remarks"}
    assert (found["format"], found["name"], found["stop_seconds"]) == ("docker", "jobs", 90)
    assert set(found["files"][0]) == {"name", "text", "path", "was"}
    assert (found["files"][0]["name"], found["files"][0]["path"]) == ("compose.jobs.yaml", None)


def test_files_are_written_once_and_never_over_another(tmp_path, capsys):
    write = ("procfile", "--name", "jobs", "--write", str(tmp_path))
    file = tmp_path / "Procfile"

    assert run(*write) == 0
    assert run(*write) == 0
    text = file.read_text()
    file.write_text("web: exec gunicorn proj.wsgi\n")
    with pytest.raises(CeleriacError, match=r"Procfile: there, and different\. --force replaces it\."):
        run(*write)
    assert file.read_text() == "web: exec gunicorn proj.wsgi\n"
    assert run(*write, "--force") == 0

    assert file.read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["Procfile"]
    assert capsys.readouterr().out == f"{file}\twritten\n{file}\tunchanged\n{file}\treplaced\n"


def test_what_is_replaced_keeps_its_mode_and_no_link_is_followed(tmp_path):
    write = ("procfile", "--name", "jobs", "--write", str(tmp_path), "--force")
    other, file = tmp_path / "other", tmp_path / "Procfile"
    other.write_text("theirs")
    (tmp_path / ".Procfile.new").symlink_to(other)
    file.write_text("with a secret")
    file.chmod(0o600)

    assert run(*write) == 0

    assert other.read_text() == "theirs"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_variable_that_no_line_can_have_is_named_and_not_shown(monkeypatch):
    monkeypatch.setenv("KEY", "-----BEGIN\nsecret")

    with pytest.raises(
        CeleriacError, match="KEY has a sign that no line of a systemd file can have"
    ) as error:
        run("systemd", "--env", "KEY")

    assert "secret" not in str(error.value)


def test_options_of_start_and_variables_go_along(capsys, monkeypatch):
    monkeypatch.setenv("REGION", "north")

    run(
        "supervisord",
        "--env",
        "REGION",
        "--env",
        "LEVEL=a=b",
        "--concurrency",
        "3",
        "--with",
        "--beat",
        "-P",
        "solo",
    )

    said = capsys.readouterr().out
    assert 'REGION="north",LEVEL="a=b"' in said
    assert " -c 3 --beat -P solo\n" in said


@pytest.mark.parametrize("words", [("--time-limit", "7200"), ("--time-limit=7200",), ("--graceful", "7200")])
def test_a_stop_waits_as_long_as_the_options_of_start_let_a_task_run(capsys, a_task, words):
    run("systemd", "--json", "--with", *words)

    assert json.loads(capsys.readouterr().out)["stop_seconds"] == 7230


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["systemd", "--with", "--time-limit", "2h"], "--time-limit needs seconds, as in --time-limit 30"),
        (["upstart"], "no format 'upstart'. The formats: supervisord, systemd, procfile, docker, launchd."),
        (["supervisor"], "Did you mean supervisord?"),
        (["systemd", "--instances", "0"], "'0' is no whole number above 0"),
        (["systemd", "--name", "a b"], "letters, digits, '_', '.' and '-' make a name"),
        (["systemd", "--env", "NOWHERE_SET"], "this environment has no such variable"),
        (["systemd", "--env", "a-b=1"], "NAME, or NAME=VALUE"),
        (["systemd", "--write", "/nowhere"], "there is no such directory"),
        (["systemd", "compose"], "no format 'systemd compose'"),
        (["systemd", "--queues", "a", "--queues", "a"], "two workers have the same queues"),
        (["systemd", "--quues", "a"], "did you mean --queues?"),
    ],
)
def test_a_slip_is_one_line_that_helps(words, said):
    with pytest.raises(CeleriacError) as error:
        run(*words)

    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_root_is_told_that_the_tasks_would_be_roots(capsys):
    run("launchd", "--user", "root")

    assert "--user NAME" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "user"), [(1000, "ann"), (0, ROOT.owner())])
def test_the_user_is_who_asks_and_for_root_the_owner_of_the_project(capsys, monkeypatch, number, user):
    monkeypatch.setattr(os, "geteuid", lambda: number)
    known = pwd.getpwuid
    monkeypatch.setattr(
        pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name="ann") if uid == 1000 else known(uid)
    )
    # As behind `runuser -u ann`.
    monkeypatch.setenv("LOGNAME", "root")

    run("systemd", "--json")

    assert json.loads(capsys.readouterr().out)["user"] == user
