"""The ``sallyport`` command of workloads, used by the AWS CLI and boto3 as they are."""

import json
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local import demo_certificates, demo_tokens, env, pki, steps
from local.cloud import REGION
from local.deploy import BUCKET, client
from local.paths import AWS_COMMAND, VENV
from local.steps import PROGRAM_SECONDS, World
from tests.support.endpoint_stand_in import standing_in

PYTHON = str(VENV / "bin" / "python")
SALLYPORT = str(VENV / "bin" / "sallyport")
AWS = str(AWS_COMMAND)

SOURCES = ("azure", "x509", "token-file")
PROFILE = "reader"
TRUST_PROFILE = "team-a-reader"

# AWS's shortest session. What is kept is handed out with more than this left, and so never of such a one.
SHORTEST = 900
PARALLEL = 20


# A machine


@dataclass(frozen=True)
class Machine:
    """A workload's machine: a home of its own, an identity, and nothing of an operator's."""

    world: World
    home: Path
    source: str
    variables: Mapping[str, str]

    def run(self, *command: str, status: int | None = 0, **more: str) -> str:
        """Run a program here and return what it printed."""
        return steps.program(command, {**self.variables, **more}, status=status)

    def sallyport(self, *arguments: str, status: int | None = 0, **more: str) -> str:
        return self.run(SALLYPORT, *arguments, status=status, **more)

    def credentials(self, **more: str) -> dict[str, Any]:
        """Return what ``credential-process`` prints, or nothing where it fails."""
        said = self.sallyport("credential-process", self.source, status=None, **more)
        return dict(json.loads(said)) if said else {}

    def refusal(self, **more: str) -> str:
        """Return what ``credential-process`` says on standard error when it fails."""
        command = [SALLYPORT, "credential-process", self.source]
        done = subprocess.run(
            command,
            env={**self.variables, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROGRAM_SECONDS,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        assert done.stdout == ""
        return done.stderr

    def kept(self) -> list[Path]:
        """Return the files with credentials in them."""
        folder = self.home / ".cache" / "sallyport"
        return [one for one in folder.glob("*") if "SecretAccessKey" in one.read_text()]

    @contextmanager
    def background(self, *arguments: str, **more: str) -> Iterator[Path]:
        """Run ``sallyport`` for as long as the block lasts; it must end well when asked to."""
        log = self.home / f"{arguments[0]}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [SALLYPORT, *arguments],
                env={**self.variables, **more},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        try:
            yield log
            assert process.poll() is None, log.read_text()
        finally:
            process.terminate()
            try:
                status = process.wait(PROGRAM_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert status in {0, 130, 143}, log.read_text()


def machine(world: World, home: Path, source: str) -> Machine:
    """Return a machine with one kind of identity."""
    home.mkdir()
    told = env.variables(world.cloud, world.deployment)
    variables = world.environment() | {"HOME": str(home), "SALLYPORT_ENDPOINT": world.deployment.endpoint}
    if source == "x509":
        holder = demo_certificates.authority(world).holder("p256")
        names = ("SALLYPORT_TRUST_ANCHOR_ARN", "SALLYPORT_PROFILE_ARN", "SALLYPORT_ROLE_ARN")
        variables |= {name: told[name] for name in names}
        variables["SALLYPORT_CERTIFICATE"] = str(holder.certificate)
        variables["SALLYPORT_PRIVATE_KEY"] = str(holder.key)
    else:
        variables["SALLYPORT_ROLE_ARN"] = world.role
    if source == "azure":
        variables |= demo_tokens.imds(world) | {"SALLYPORT_AUDIENCE": told["SALLYPORT_AUDIENCE"]}
    if source == "token-file":
        demo_tokens.token_from_imds(world)
        variables["SALLYPORT_TOKEN_FILE"] = str(world.token_file())
    return Machine(world, home, source, variables)


@pytest.fixture(params=SOURCES)
def each(world: World, tmp_path: Path, request: pytest.FixtureRequest) -> Machine:
    return machine(world, tmp_path / "home", request.param)


@pytest.fixture
def pod(world: World, tmp_path: Path) -> Machine:
    """A machine with its token in a file."""
    return machine(world, tmp_path / "home", "token-file")


def records(world: World) -> int:
    """Return how many exchanges there were so far, by the records table.

    What did not verify is counted by the minute, in records that come later; none of it is asked for here.
    """
    scan = client(world.cloud, "dynamodb").get_paginator("scan")
    pages = scan.paginate(TableName=world.deployment.outputs["RecordsTable"], ConsistentRead=True)
    ids = [item["id"]["S"] for page in pages for item in page["Items"]]
    return sum(not one.startswith("unverified-") for one in ids)


def until(end: Callable[[], Any], otherwise: str) -> Any:
    return steps.wait(end, otherwise)


def left(document: Mapping[str, Any], now: datetime) -> timedelta:
    return datetime.fromisoformat(document["Expiration"]) - now


# The ways by which AWS's tools come to credentials

Way = tuple[Sequence[str], Mapping[str, str]]
"""What stands before a program, and the variables that it runs with."""


@contextmanager
def by_process(one: Machine) -> Iterator[Way]:
    """As somebody sets it up who has no variables: ``configure`` writes both files."""
    arguments = [
        text
        for name, value in one.variables.items()
        if name.startswith("SALLYPORT_")
        for text in (f"--{name.removeprefix('SALLYPORT_').lower().replace('_', '-')}", value)
    ]
    one.sallyport("configure", one.source, "--profile", PROFILE, *arguments)
    for name in ("SALLYPORT_ENDPOINT", "SALLYPORT_ROLE_ARN"):
        assert one.variables[name] in (one.home / ".config" / "sallyport" / "config.toml").read_text()
    hidden = {name: "" for name in one.variables if name.startswith("SALLYPORT_")}
    yield (), {"AWS_PROFILE": PROFILE, **hidden}


@contextmanager
def serving(one: Machine, *options: str, **more: str) -> Iterator[dict[str, str]]:
    """Run ``serve``; gives what it says to export, once it says that it is ready."""
    ready = one.home / "ready"
    arguments = ("serve", "--source", one.source, "--port", "0", "--ready-file", str(ready), *options)
    with one.background(*arguments, **more) as log:
        until(ready.exists, f"serve is not ready: {log.read_text()}")
        yield dict(env.read(ready.read_text()))
    assert not ready.exists()


@contextmanager
def by_container(one: Machine, **more: str) -> Iterator[Way]:
    with serving(one, **more) as exports:
        yield (), exports


@contextmanager
def by_imds(one: Machine) -> Iterator[Way]:
    name = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
    with serving(one, "--imds") as exports:
        yield (), {name: exports[name], "AWS_EC2_METADATA_DISABLED": "false"}


@contextmanager
def by_update(one: Machine, **more: str) -> Iterator[Way]:
    """The profile that AWS's tools take if nobody names one."""
    file = one.home / ".aws" / "credentials"
    with one.background("update", "--source", one.source, **more) as log:
        until(file.exists, f"update has written nothing: {log.read_text()}")
        yield (), {}


@contextmanager
def by_exec(one: Machine) -> Iterator[Way]:
    yield (SALLYPORT, "exec", "--source", one.source, "--"), {}


@contextmanager
def by_exec_that_serves(one: Machine, **more: str) -> Iterator[Way]:
    yield (SALLYPORT, "exec", "--source", one.source, "--serve", "--"), more


# How botocore calls each way, and how many exchanges two programs cost.
WAYS: dict[str, tuple[Callable[[Machine], AbstractContextManager[Way]], str, int]] = {
    "credential-process": (by_process, "custom-process", 1),
    "serve, as a container": (by_container, "container-role", 1),
    "serve, as an instance": (by_imds, "iam-role", 1),
    "update": (by_update, "shared-credentials-file", 1),
    "exec": (by_exec, "env", 1),
    "exec --serve": (by_exec_that_serves, "container-role", 2),
}

USE = """
import boto3, json, sys
session = boto3.Session()
keys = [one["Key"] for one in session.client("s3").list_objects_v2(Bucket=sys.argv[1])["Contents"]]
arn = session.client("sts").get_caller_identity()["Arn"]
print(json.dumps({"keys": keys, "arn": arn, "method": session.get_credentials().method}))
"""


@pytest.mark.parametrize("way", WAYS)
def test_the_aws_cli_and_boto3_find_credentials_by_each_way(each: Machine, way: str) -> None:
    """With nothing but what the way says, and with no more exchanges than it needs."""
    enter, method, exchanges = WAYS[way]
    before = records(each.world)
    with enter(each) as (prefix, variables):
        listed = each.run(*prefix, AWS, "s3", "ls", f"s3://{BUCKET}", **variables)
        found = json.loads(each.run(*prefix, PYTHON, "-c", USE, BUCKET, **variables))
    assert "PRE atlas/" in listed
    role = each.variables["SALLYPORT_ROLE_ARN"].rpartition("/")[2]
    assert f":assumed-role/{role}/" in found["arn"]
    assert found["keys"]
    assert found["method"] == method
    assert records(each.world) - before == exchanges


def at_once(command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Start a program many times before one has ended; returns what each printed."""
    running = [
        subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(PARALLEL)
    ]
    said = [(*one.communicate(timeout=3 * PROGRAM_SECONDS), one.returncode) for one in running]
    assert {status for _, _, status in said} == {0}, said
    return [out for out, _, _ in said]


def test_twenty_first_calls_at_once_cause_one_exchange(each: Machine) -> None:
    before = records(each.world)
    said = at_once([SALLYPORT, "credential-process", each.source], each.variables)
    assert len(set(said)) == 1
    assert records(each.world) - before == 1


def test_twenty_first_calls_of_the_aws_cli_at_once_cause_one_exchange(world: World, tmp_path: Path) -> None:
    """One source will do: this takes two cores half a minute."""
    one = machine(world, tmp_path / "home", "azure")
    command = [AWS, "sts", "get-caller-identity", "--query", "Arn", "--output", "text"]
    before = records(world)
    with by_process(one) as (_, variables):
        said = at_once(command, {**one.variables, **variables})
    assert len(set(said)) == 1
    assert records(world) - before == 1


# Ends


def test_a_short_session_is_renewed_and_its_last_quarter_of_an_hour_is_never_handed_out(pod: Machine) -> None:
    asked = {"SALLYPORT_SESSION_DURATION": str(SHORTEST + 20)}
    before = records(pod.world)
    first, second = pod.credentials(**asked), pod.credentials(**asked)
    assert first["AccessKeyId"] == second["AccessKeyId"]

    def renewed() -> bool:
        now = datetime.now(UTC)
        found = pod.credentials(**asked)
        assert left(found, now) > timedelta(seconds=SHORTEST)
        return bool(found["AccessKeyId"] != first["AccessKeyId"])

    until(renewed, "they were not renewed")
    assert records(pod.world) - before == 2


def test_of_the_shortest_session_each_call_is_an_exchange(pod: Machine) -> None:
    asked = {"SALLYPORT_SESSION_DURATION": str(SHORTEST)}
    assert pod.credentials(**asked)["AccessKeyId"] != pod.credentials(**asked)["AccessKeyId"]


# A program for each look: what reads a file reads it when it starts.
OUTLIVE = """
import boto3, sys, time
ends, seen = time.time() + float(sys.argv[2]), []
while time.time() < ends:
    session = boto3.Session()
    key = session.get_credentials().get_frozen_credentials().access_key
    assert session.client("s3").list_objects_v2(Bucket=sys.argv[1])["Contents"]
    seen += [key] if key not in seen else []
    time.sleep(1)
print(*seen)
"""


def test_what_keeps_credentials_fresh_does_so_over_their_end(pod: Machine) -> None:
    """Sessions are said to end after half a minute; boto3 goes on for longer."""
    lasts = timedelta(seconds=30)
    with standing_in(pod.world.deployment.endpoint, lasts) as door, ExitStack() as stack:
        told = {"SALLYPORT_ENDPOINT": door.url}
        ways = [
            stack.enter_context(enter(pod, **told))
            for enter in (by_container, by_update, by_exec_that_serves)
        ]
        running = [
            subprocess.Popen(
                [*prefix, PYTHON, "-c", OUTLIVE, BUCKET, str(lasts.total_seconds() + 5)],
                # What `update` writes must not be what the others find.
                env={**pod.variables, "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", **variables}
                if variables
                else pod.variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for prefix, variables in ways
        ]
        said = [(*one.communicate(timeout=2 * PROGRAM_SECONDS), one.returncode) for one in running]
    for out, errors, status in said:
        assert status == 0, errors
        # Renewed at half their time: often enough, and not at every look.
        assert 2 <= len(out.split()) <= 5


# What is away


def test_what_is_still_valid_stands_in_while_the_endpoint_is_away_and_is_renewed_once_it_is_back(
    pod: Machine,
) -> None:
    with standing_in(pod.world.deployment.endpoint) as door:
        # They may be handed out for a second, and AWS takes them for a quarter of an hour.
        asked = {"SALLYPORT_ENDPOINT": door.url, "SALLYPORT_SESSION_DURATION": str(SHORTEST + 1)}
        first = pod.credentials(**asked)
        assert door.asked == 1
        door.is_away = True
        time.sleep(1)
        assert pod.credentials(**asked) == first
        assert door.asked == 2
        # Every call would otherwise wait for an endpoint that does not answer.
        assert pod.credentials(**asked) == first
        assert door.asked == 2
        door.is_away = False
        until(lambda: pod.credentials(**asked) != first, "they were not renewed")


def test_serve_waits_for_an_endpoint_that_is_away_when_it_starts(pod: Machine) -> None:
    with standing_in(pod.world.deployment.endpoint) as door:
        door.is_away = True
        ready = pod.home / "ready"
        arguments = ("serve", "--source", pod.source, "--port", "0", "--ready-file", str(ready))
        with pod.background(*arguments, SALLYPORT_ENDPOINT=door.url) as log:
            until(lambda: door.asked > 3 and "export" in log.read_text(), "it does not try again")
            assert not ready.exists()
            exports = env.read(log.read_text())
            assert "503" in refused_by_aws(pod, exports)
            door.is_away = False
            until(ready.exists, "it has found no credentials")
            assert "PRE atlas/" in pod.run(AWS, "s3", "ls", f"s3://{BUCKET}", **exports)


def refused_by_aws(one: Machine, variables: Mapping[str, str]) -> str:
    done = subprocess.run(
        [AWS, "s3", "ls", f"s3://{BUCKET}"],
        env={**one.variables, **variables},
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert done.returncode
    return done.stderr


def test_a_denial_deletes_what_is_kept_so_that_nothing_stands_in_for_it(pod: Machine) -> None:
    world = pod.world
    operator = world.cloud.environment() | env.variables(world.cloud, world.deployment)
    trust = [SALLYPORT, "trust"]
    with standing_in(world.deployment.endpoint) as door:
        asked = {"SALLYPORT_ENDPOINT": door.url, "SALLYPORT_SESSION_DURATION": str(SHORTEST + 1)}
        assert pod.credentials(**asked)
        assert pod.kept()
        why = ["profile", TRUST_PROFILE, "--reason", "a test"]
        steps.program([*trust, "disable", *why], operator)
        try:
            until(
                lambda: not pod.credentials(**asked), "credentials are given, though the profile is disabled"
            )
            assert not pod.kept()
            said = pod.refusal(**asked)
            assert "sallyport explain" in said
            door.is_away = True
            assert pod.refusal(**asked)
        finally:
            steps.program([*trust, "enable", *why, "--yes"], operator)
        door.is_away = False
        until(lambda: pod.credentials(**asked), "an enabled profile gives no credentials")
        record = steps.explain(world, said.split()[-1])
        assert record["reason"] == "profile-disabled"


# Looking, and leaving


def doctor(one: Machine, **more: str) -> tuple[list[tuple[str, str]], str, str]:
    """Return every link with its state, and of the broken one what is said and the cure."""
    found = json.loads(one.sallyport("doctor", one.source, "--json", status=None, **more))
    assert found["works"] == all(link["state"] == "ok" for link in found["links"])
    broken = next((link for link in found["links"] if link["state"] == "broken"), {"text": "", "cure": ""})
    return [(link["link"], link["state"]) for link in found["links"]], broken["text"], broken["cure"]


LINKS = {
    "azure": ["dns", "tcp", "tls", "clock", "endpoint", "identity", "claims", "size", "exchange"],
    "x509": ["dns", "tcp", "tls", "clock", "endpoint", "identity", "certificate", "size", "exchange"],
}


@pytest.mark.parametrize("source", LINKS)
@pytest.mark.parametrize("tls", [False, True])
def test_the_doctor_finds_every_link_whole(world: World, tmp_path: Path, source: str, *, tls: bool) -> None:
    one = machine(world, tmp_path / "home", source)
    more = {}
    if tls:
        root = str(demo_certificates.authority(world).root)
        more = {"SALLYPORT_ENDPOINT": world.deployment.tls_endpoint, "SALLYPORT_CA_BUNDLE": root}
    links, said, _ = doctor(one, **more)
    assert links == [(link, "ok") for link in LINKS[source]], said


NOBODY = "http://127.0.0.1:9"

BROKEN: dict[str, tuple[str, str, Callable[[World], dict[str, str]], str]] = {
    "azure: nobody at the port": (
        "azure",
        "tcp",
        lambda _: {"SALLYPORT_ENDPOINT": f"{NOBODY}/v1"},
        "firewalls",
    ),
    "azure: an authority that is not known": (
        "azure",
        "tls",
        lambda world: {"SALLYPORT_ENDPOINT": world.deployment.tls_endpoint},
        "--ca-bundle",
    ),
    "azure: the stage is missing": (
        "azure",
        "endpoint",
        lambda world: {"SALLYPORT_ENDPOINT": f"{world.cloud.entra}/v1"},
        "Endpoint",
    ),
    "azure: no managed identity": (
        "azure",
        "identity",
        lambda _: {"AZURE_POD_IDENTITY_AUTHORITY_HOST": NOBODY},
        "Azure",
    ),
    "azure: an identity that no profile allows": (
        "azure",
        "exchange",
        lambda _: {"SALLYPORT_OBJECT_ID": "e3f4a5b6-c7d8-4e9a-9fbc-3a4b5c6d7e8f"},
        "sallyport explain",
    ),
    "x509: another's key": (
        "x509",
        "identity",
        lambda world: {"SALLYPORT_PRIVATE_KEY": str(demo_certificates.authority(world).holder("rsa").key)},
        "",
    ),
    "x509: a revoked certificate": (
        "x509",
        "exchange",
        lambda world: {
            "SALLYPORT_CERTIFICATE": str(demo_certificates.authority(world).holder(pki.REVOKED).certificate),
            "SALLYPORT_PRIVATE_KEY": str(demo_certificates.authority(world).holder(pki.REVOKED).key),
        },
        "new certificate",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_the_doctor_names_the_broken_link_and_the_cure(world: World, tmp_path: Path, case: str) -> None:
    source, link, make, cure = BROKEN[case]
    links, said, told = doctor(machine(world, tmp_path / "home", source), **make(world))
    names, place = LINKS[source], LINKS[source].index(link)
    states = ["ok"] * place + ["broken"] + ["not looked at"] * (len(names) - place - 1)
    assert links == list(zip(names, states, strict=True)), said
    assert said
    assert told
    assert cure in told


def test_after_logout_the_next_call_is_an_exchange(each: Machine) -> None:
    with by_process(each) as (_, variables):
        command = ("credential-process", each.source, "--profile", PROFILE)
        first = each.sallyport(*command, **variables)
        assert each.sallyport(*command, **variables) == first
        assert each.kept()
        each.sallyport("logout", "--profile", PROFILE, **variables)
        assert not each.kept()
        before = records(each.world)
        assert each.sallyport(*command, **variables) != first
        assert records(each.world) - before == 1


def test_an_aws_profile_keeps_what_else_is_in_the_file(pod: Machine) -> None:
    """``configure`` writes into what is there, and the line has no word that a shell would change."""
    file = pod.home / ".aws" / "config"
    file.parent.mkdir()
    file.write_text(f"# mine\n[profile other]\nregion = {REGION}\n")
    with by_process(pod) as (_, variables):
        text = file.read_text()
        assert text.startswith(f"# mine\n[profile other]\nregion = {REGION}\n")
        line = next(one for one in text.splitlines() if one.startswith("credential_process"))
        assert shlex.split(line.partition("=")[2])[1:] == [
            "credential-process",
            "token-file",
            "--profile",
            PROFILE,
        ]
        listed = pod.run(
            AWS, "s3", "ls", f"s3://{BUCKET}", "--profile", PROFILE, **{**variables, "AWS_PROFILE": "other"}
        )
        assert "PRE atlas/" in listed
