"""The files of `celery service`: what each format's own reader finds in them."""

import configparser
import plistlib
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from supervisor.datatypes import dict_of_key_value_pairs
from supervisor.options import UnhosedConfigParser, expand

from celeriac.errors import CeleriacError
from celeriac.services.plan import Plan, Worker
from celeriac.services.render import render
from celeriac.services.stop_time import StopTime

ROOT = Path("/srv/my 50% $HOME")
PLAN = Plan(
    name="proj-worker",
    project="proj",
    python=ROOT / "venv/bin/python",
    program=(str(ROOT / "manage.py"),),
    directory=ROOT,
    user="www-data",
    workers=(Worker("proj-worker"),),
    stop=StopTime(630, "The longest time limit is 600 s (reports.build).", is_too_short=False),
    environment={"DJANGO_SETTINGS_MODULE": "proj.settings", "NOTE": 'a, 5% "b" $c', "PYTHONPATH": "/srv/lib"},
    home=Path("/var/www"),
)
WORDS = [str(ROOT / "venv/bin/python"), str(ROOT / "manage.py"), "celery", "start", "-n", "proj-worker@%h"]
PORTABLE_WORDS = ["python", "manage.py", *WORDS[2:]]
TWO = replace(PLAN, workers=(Worker("w-mail", "mail", 2), Worker("w-low", "low,lowest", 1, instances=2)))


def one(plan, form):
    (file,) = render(plan, form)
    return file


def supervisords(plan):
    """As supervisord reads it; the values are expanded as it expands them for the second instance."""
    parser = UnhosedConfigParser()
    parser.read_string(one(plan, "supervisord").text)
    expansions = {"program_name": "NAME", "process_num": 2}
    return {
        section: {key: expand(value, expansions, key) for key, value in parser.items(section)}
        for section in parser.sections()
    }


def test_supervisord_starts_the_worker_and_signals_nobody_else():
    found = supervisords(PLAN)["program:proj-worker"]

    assert shlex.split(found["command"]) == WORDS
    assert dict_of_key_value_pairs(found["environment"]) == {
        "USER": "www-data", "HOME": "/var/www", **PLAN.environment
    }  # fmt: skip
    assert (found["directory"], found["user"]) == (str(ROOT), "www-data")
    assert (found["stopsignal"], found["stopasgroup"], found["killasgroup"]) == ("TERM", "false", "true")
    assert (found["stopwaitsecs"], found["autorestart"]) == ("630", "true")
    assert found["stdout_logfile"] == "/var/log/proj-worker.log"


def test_supervisord_has_several_workers_in_a_group_with_numbers():
    found = supervisords(TWO)

    assert found["group:proj-worker"]["programs"] == "w-mail,w-low"
    low = found["program:w-low"]
    assert shlex.split(low["command"])[-6:] == ["-n", "w-low-2@%h", "-Q", "low,lowest", "-c", "1"]
    assert (low["numprocs"], low["numprocs_start"], low["process_name"]) == ("2", "1", "NAME-2")
    assert low["stdout_logfile"] == "/var/log/w-low-2.log"
    assert "-n w-mail@%h -Q mail -c 2" in found["program:w-mail"]["command"]


def test_supervisord_and_launchd_read_the_environment_file_by_a_shell_that_the_worker_replaces():
    plan = replace(PLAN, env_file=Path("/etc/my proj.env"))

    words = shlex.split(supervisords(plan)["program:proj-worker"]["command"])

    assert words[:2] + words[3:] == ["/bin/sh", "-c", "/etc/my proj.env", *WORDS]
    assert words[2].endswith('exec "$@"')
    assert plistlib.loads(one(plan, "launchd").text.encode())["ProgramArguments"] == words


def test_a_comment_sign_in_a_path_is_no_comment_of_supervisords():
    plan = replace(PLAN, more=("--schedule", "/a #1/b ;2"))

    assert shlex.split(supervisords(plan)["program:proj-worker"]["command"])[-1] == "/a #1/b ;2"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"directory": Path("/srv/a ;b")}, "would read a comment in '/srv/a ;b'"),
        ({"environment": {"A": "'\""}}, "cannot be given A as it is. Put it into --env-file FILE."),
        ({"environment": {"A": "x ;y"}}, "cannot be given A as it is"),
        ({"environment": {"A": "x\ny"}}, "has a sign that no line of a supervisord file can have"),
    ],
)
def test_what_supervisord_cannot_say_is_an_error(change, said):
    with pytest.raises(CeleriacError, match=re.escape(said)):
        render(replace(PLAN, **change), "supervisord")


def unit_of(text):
    """Keys with one value; several `Environment=` lines would be an error of this parser."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(text)
    return {section: dict(parser.items(section)) for section in parser.sections()}


def test_systemd_terminates_the_worker_alone_and_waits_for_its_tasks():
    file = one(PLAN, "systemd")
    found = unit_of(file.text)

    assert file.name == "proj-worker.service"
    service = found["Service"]
    root = "/srv/my 50%% $$HOME"
    words = f'"{root}/venv/bin/python" "{root}/manage.py" celery start -n proj-worker@%%h'
    assert service["ExecStart"] == words
    assert service["WorkingDirectory"] == "/srv/my 50%% $HOME"
    assert (service["KillMode"], service["KillSignal"], service["TimeoutStopSec"]) == (
        "mixed",
        "SIGTERM",
        "630",
    )
    assert (service["Type"], service["NotifyAccess"], service["Restart"]) == ("notify", "main", "always")
    assert r'Environment="NOTE=a, 5%% \"b\" $c"' in file.text.splitlines()
    assert service["EnvironmentFile"] == "-/etc/proj-worker.env"
    assert found["Install"] == {"WantedBy": "multi-user.target"}
    # Results of a killed worker wait in /tmp for the next one.
    assert service["PrivateTmp"] == "no"


def test_systemd_has_a_template_for_instances_and_a_target_for_all():
    files = {file.name: unit_of(file.text) for file in render(TWO, "systemd")}

    assert list(files) == ["w-mail.service", "w-low@.service", "proj-worker.target"]
    assert files["proj-worker.target"]["Unit"]["Wants"] == "w-mail.service w-low@1.service w-low@2.service"
    for name in ("w-mail.service", "w-low@.service"):
        assert files[name]["Unit"]["PartOf"] == files[name]["Install"]["WantedBy"] == "proj-worker.target"
    assert "-n w-low-%i@%%h -Q low,lowest -c 1" in files["w-low@.service"]["Service"]["ExecStart"]


def test_a_unit_waits_for_the_servers_that_the_project_talks_to():
    plan = replace(PLAN, after=("postgresql.service", "redis.service"))

    after = unit_of(one(plan, "systemd").text)["Unit"]["After"]

    assert after == "network-online.target postgresql.service redis.service"


def test_a_procfile_has_a_line_for_each_worker_that_its_shell_becomes():
    lines = [line for line in one(TWO, "procfile").text.splitlines() if not line.startswith("#")]

    names, commands = zip(*(line.split(": ", 1) for line in lines), strict=True)
    assert names == ("w-mail", "w-low-1", "w-low-2")
    assert shlex.split(commands[2])[:2] == ["exec", "env"]
    assert shlex.split(commands[2])[-10:] == [
        *PORTABLE_WORDS[:4],
        "-n",
        "w-low-2@%h",
        "-Q",
        "low,lowest",
        "-c",
        "1",
    ]
    assert "PYTHONPATH" not in commands[0]


def test_docker_compose_signals_the_worker_and_waits_for_its_tasks(tmp_path):
    plan = replace(
        TWO, directory=tmp_path, program=(str(tmp_path / "manage.py"),), env_file=Path("/etc/a.env")
    )

    files = {file.name: file.text for file in render(plan, "docker")}

    services = yaml.safe_load(files["compose.proj-worker.yaml"])["services"]
    assert list(services) == ["w-mail", "w-low"]
    low = services["w-low"]
    assert low["command"] == [*PORTABLE_WORDS[:4], "-n", "w-low@%h", "-Q", "low,lowest", "-c", "1"]
    assert (low["init"], low["stop_signal"], low["stop_grace_period"]) == (True, "SIGTERM", "630s")
    assert (low["scale"], low["restart"], low["env_file"]) == (2, "unless-stopped", ["/etc/a.env"])
    assert low["environment"] == {"DJANGO_SETTINGS_MODULE": "proj.settings", "NOTE": 'a, 5% "b" $$c'}
    assert "scale" not in services["w-mail"]
    assert 'CMD ["python", "manage.py", "celery", "start"' in files["Dockerfile"]


@pytest.mark.parametrize(
    ("extras", "requirements", "is_compiled"),
    [
        ((), "celeriac", False),
        (("postgresql", "redis"), "'celeriac[postgresql,redis]'", False),
        (("mysql",), "'celeriac[mysql]'", True),
    ],
)
def test_an_image_has_what_databases_and_broker_need(tmp_path, extras, requirements, is_compiled):
    plan = replace(PLAN, directory=tmp_path, program=("-m", "django"), extras=extras)

    text = {file.name: file.text for file in render(plan, "docker")}["Dockerfile"]

    assert f"RUN pip install --no-cache-dir {requirements}\n" in text
    assert ("libmariadb-dev" in text) is is_compiled


def test_a_dockerfile_that_is_there_is_the_image(tmp_path):
    (tmp_path / "Dockerfile").touch()

    assert one(replace(PLAN, directory=tmp_path, program=("-m", "django")), "docker").name.endswith(".yaml")


def test_no_name_ends_the_comment_of_launchd():
    plan = replace(PLAN, stop=StopTime(60, "It is of a-----b.", is_too_short=False))

    comment = one(plan, "launchd").text.partition("<!--")[2].partition("-->")[0]

    assert "--" not in comment
    plistlib.loads(one(plan, "launchd").text.encode())


def test_launchd_waits_for_the_tasks_and_starts_again():
    file = one(PLAN, "launchd")
    found = plistlib.loads(file.text.encode())

    assert file.name == "celeriac.proj-worker.plist"
    assert found == {
        "Label": "celeriac.proj-worker",
        "ProgramArguments": WORDS,
        "WorkingDirectory": str(ROOT),
        "UserName": "www-data",
        "EnvironmentVariables": PLAN.environment,
        "RunAtLoad": True,
        "KeepAlive": True,
        "ThrottleInterval": 10,
        "ExitTimeOut": 630,
        "AbandonProcessGroup": False,
        "ProcessType": "Standard",
        "StandardOutPath": "/var/www/Library/Logs/proj-worker.log",
        "StandardErrorPath": "/var/www/Library/Logs/proj-worker.log",
    }
    assert [each.name for each in render(TWO, "launchd")] == [
        "celeriac.w-mail.plist", "celeriac.w-low-1.plist", "celeriac.w-low-2.plist"
    ]  # fmt: skip
