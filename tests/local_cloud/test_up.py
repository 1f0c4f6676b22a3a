"""What `make up` leaves behind, tried by programs that know nothing of Sallyport."""

import json
import stat
import subprocess

from local import deploy, steps
from local.paths import VENV

LIST = "import boto3; print(*(o['Key'] for o in boto3.client('s3').list_objects_v2(Bucket='{}')['Contents']))"


def as_workload(world: steps.World, command: str) -> str:
    """Run a command in a shell that has sourced the workload's file and nothing else."""
    script = f". '{world.cloud.state.workload_env_file}' && cd / && {command}"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(world.folder), "AWS_ACCESS_KEY_ID": "somebody's"}
    done = subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_workloads_shell_reads_the_bucket_with_the_aws_cli_and_with_boto3(world: steps.World) -> None:
    """Both trade the token in the file at Sallyport, by environment variables alone."""
    assert "PRE atlas/" in as_workload(world, f"aws s3 ls s3://{deploy.BUCKET}")
    listed = as_workload(world, f'{VENV}/bin/python -c "{LIST.format(deploy.BUCKET)}"')
    assert "atlas/report.txt" in listed


def test_the_workloads_token_is_its_owners_alone_and_ends_without_a_line_break(world: steps.World) -> None:
    """With a line break STS and Sallyport would refuse it."""
    file = world.cloud.state.workload_token_file
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR
    assert file.read_text() == file.read_text().strip()


def test_a_version_that_is_in_force_stays(world: steps.World) -> None:
    """A second `make up` must not take back what an operator has applied."""
    assert not deploy.apply_trust(world.cloud, world.deployment)


def test_a_certificates_holder_needs_nothing_but_certificate_and_key_after_sourcing_the_operators_file(
    world: steps.World,
) -> None:
    """As the README shows it: endpoint and ARNs are in the environment."""
    script = (
        f". '{world.cloud.state.env_file}' && sallyport credential-process x509 "
        '--certificate "$LOCAL_PKI/rsa.pem" --private-key "$LOCAL_PKI/rsa-key.pem"'
    )
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(world.folder)}
    given = json.loads(steps.program(["sh", "-c", script], environment))
    assert given["Version"] == 1
    assert given["SessionToken"]
