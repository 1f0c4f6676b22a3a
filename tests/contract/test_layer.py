"""Every function starts with what is deployed and nothing else: the built layer and its own folder.

The layer is built once, for this machine; the interpreter is told to look nowhere else.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import cognito_events
from tests.support.cloudformation import ROOT, resolved

# With the trigger, which is there for those who declare a mapping.
MAPPING = '{"format":1,"pools":{"eu-central-1_ExaMPle01":{"clients":{"1example":{"use":"users","tags":{}}}}}}'
TEMPLATE = resolved("template.yaml", TagMapping=MAPPING)
FUNCTIONS = {
    name: one["Properties"]
    for name, one in TEMPLATE["Resources"].items()
    if one["Type"] == "AWS::Serverless::Function"
}
BUILD_SECONDS = 300


def uv() -> str:
    """The uv of the checkout, or the one that the environment names."""
    beside = Path(sys.executable).with_name("uv")
    found = os.environ.get("UV") or (str(beside) if beside.exists() else shutil.which("uv"))
    assert found, "uv is needed to build the layer"
    return found


@pytest.fixture(scope="session")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer as SAM would zip it, for this machine."""
    artifacts = tmp_path_factory.mktemp("layer")
    command = [
        *("make", "-s", "-C", str(ROOT / "layers" / "sallyport"), "build-SallyportLayer"),
        f"ARTIFACTS_DIR={artifacts}",
        "SALLYPORT_LAYER_TARGET=local",
        f"SALLYPORT_LAYER_PYTHON={sys.executable}",
        f"UV={uv()}",
    ]
    built = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    assert built.returncode == 0, built.stderr
    return artifacts / "python"


def environment(name: str, *, tracing: bool) -> dict[str, str]:
    """What Lambda would set: the template's variables, with names where the template refers to others."""
    template = resolved("template.yaml", Tracing=str(tracing).lower(), TagMapping=MAPPING)
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    own = template["Resources"][name]["Properties"]["Environment"]["Variables"]
    given = {
        key: value if isinstance(value, str | int) else f"referred-{key.lower()}"
        for key, value in {**variables, **own}.items()
    }
    given["AWS_REGION"] = given["AWS_DEFAULT_REGION"] = "eu-central-1"
    if "SALLYPORT_STS_REGIONS" in given:
        given["SALLYPORT_STS_REGIONS"] = "eu-central-1"
    for role in ("SALLYPORT_EXCHANGE_ROLES", "SALLYPORT_ASSUME_ROLE_ROLE", "SALLYPORT_CREATE_SESSION_ROLE"):
        if role in given:
            given[role] = "arn:aws:iam::111122223333:role/sallyport-assume-role"
    if "SALLYPORT_DOMAIN_NAME" in given:
        given["SALLYPORT_DOMAIN_NAME"] = ""
    return {key: str(value) for key, value in given.items()}


# -I keeps the environment's and the user's paths out, -S everything that is installed.
PROGRAM = """
import sys
sys.path[:0] = sys.argv[1:3]
import handler
assert callable(handler.handler)
print("\\n".join(sorted(sys.modules)))
outside = [
    module.__file__
    for module in list(sys.modules.values())
    if getattr(module, "__file__", None) and "-packages" in module.__file__
]
assert not outside, outside
"""


def loaded(layer: Path, name: str, *, tracing: bool = False, whole: bool = False) -> set[str]:
    """Start a function and return the packages, or (``whole``) the modules, that it has loaded."""
    folder = str(ROOT / FUNCTIONS[name]["CodeUri"])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(layer), folder],
        env=environment(name, tracing=tracing),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return {module if whole else module.partition(".")[0] for module in done.stdout.split()}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_starts_with_the_layer_alone(layer: Path, name: str) -> None:
    packages = loaded(layer, name)
    assert "sallyport" in packages
    assert "aws_xray_sdk" not in packages, "tracing is off"
    # These are for operators and would only cost time here.
    assert not packages & {"yaml", "jsonschema", "typer", "rich", "sallyport_cli"}


# The placeholder in the event is no token, so that it is refused before anything is asked.
INVOKE = """
import json, sys
sys.path[:0] = sys.argv[1:3]
import handler
print("ANSWER" + json.dumps(handler.handler(json.loads(sys.argv[3]), None)))
"""


@pytest.mark.parametrize("event", sorted((ROOT / "events").glob("post_*.json")), ids=lambda path: path.stem)
def test_the_deployed_handler_answers_the_gateways_event(layer: Path, event: Path) -> None:
    folder = str(ROOT / FUNCTIONS["AssumeRoleFunction"]["CodeUri"])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", INVOKE, str(layer), folder, event.read_text()],
        env=environment("AssumeRoleFunction", tracing=False),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    answer = json.loads(line.removeprefix("ANSWER"))
    assert answer["statusCode"] == 400
    assert "InvalidIdentityToken" in answer["body"]
    assert "PLACEHOLDER" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "event", sorted((ROOT / "events").glob("create_session*.json")), ids=lambda path: path.stem
)
def test_the_deployed_handler_answers_a_signed_request_that_has_lost_its_signature(
    layer: Path, event: Path
) -> None:
    """Refused before anything is asked, since there is nobody to ask here."""
    folder = str(ROOT / FUNCTIONS["CreateSessionFunction"]["CodeUri"])
    sent = json.loads(event.read_text())
    for name in [name for name in sent["multiValueHeaders"] if name.lower() == "authorization"]:
        sent["multiValueHeaders"][name] = ["AWS4-X509-ECDSA-SHA256 PLACEHOLDER"]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", INVOKE, str(layer), folder, json.dumps(sent)],
        env=environment("CreateSessionFunction", tracing=False),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    answer = json.loads(line.removeprefix("ANSWER"))
    assert answer["statusCode"] == 403
    assert answer["headers"]["x-amzn-errortype"] == "AccessDeniedException"
    assert "PLACEHOLDER" not in done.stdout + done.stderr


def test_the_trigger_loads_nothing_that_talks_or_computes(layer: Path) -> None:
    modules = loaded(layer, "PreTokenGenerationFunction", whole=True)
    packages = {module.partition(".")[0] for module in modules}
    assert not packages & {"boto3", "cryptography", "jwt", "urllib3"}
    # Powertools sets botocore's user agent and loads no more of it than that takes.
    assert not {"botocore.client", "botocore.auth", "botocore.loaders"} & modules


@pytest.mark.parametrize(
    "event", sorted((ROOT / "events").glob("pre_token_*.json")), ids=lambda path: path.stem
)
def test_the_deployed_trigger_answers_cognitos_event(layer: Path, event: Path) -> None:
    folder = str(ROOT / FUNCTIONS["PreTokenGenerationFunction"]["CodeUri"])
    sent = json.loads(event.read_text())
    mapping = cognito_events.document()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", INVOKE, str(layer), folder, json.dumps(sent)],
        env=environment("PreTokenGenerationFunction", tracing=False)
        | {"SALLYPORT_TAG_MAPPING": json.dumps(mapping)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    answer = json.loads(line.removeprefix("ANSWER"))
    assert all(cognito_events.read_by_sts(one)["tags"] for one in cognito_events.added(answer))


@pytest.mark.parametrize("name", ["AssumeRoleFunction", "CreateSessionFunction"])
def test_an_exchange_does_not_load_boto3(layer: Path, name: str) -> None:
    assert "boto3" not in loaded(layer, name)


# Modules that take long to load, and whose functions a function never calls.
OF_TOKENS = {"sallyport.identify_token", "sallyport.proof.oidc"}
OF_CERTIFICATES = {
    "sallyport.identify_certificate",
    "sallyport.proof.x509",
    "sallyport.proof.certificate_path",
}


@pytest.mark.parametrize(
    ("name", "own", "others"),
    [
        ("AssumeRoleFunction", OF_TOKENS, OF_CERTIFICATES),
        ("CreateSessionFunction", OF_CERTIFICATES, OF_TOKENS),
    ],
)
def test_neither_kind_of_exchange_loads_the_other_s_verifier(
    layer: Path, name: str, own: set[str], others: set[str]
) -> None:
    modules = loaded(layer, name, whole=True)
    assert own <= modules
    assert not modules & others
    assert ("jwt" in modules) is (own is OF_TOKENS)


def test_with_tracing_on_the_exchange_starts_as_well(layer: Path) -> None:
    assert "aws_xray_sdk" in loaded(layer, "AssumeRoleFunction", tracing=True)


@pytest.mark.parametrize(
    "package", ["yaml", "jsonschema", "typer", "rich", "sallyport_cli", "pytest", "tests"]
)
def test_the_layer_holds_nothing_that_only_operators_need(layer: Path, package: str) -> None:
    assert not (layer / package).exists()
    assert not (layer / f"{package}.py").exists()


def test_the_layer_holds_the_whole_package(layer: Path) -> None:
    ours = ROOT / "layers" / "sallyport" / "sallyport"
    wanted = {path.relative_to(ours) for path in ours.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    there = {
        path.relative_to(layer / "sallyport") for path in (layer / "sallyport").rglob("*") if path.is_file()
    }
    assert wanted <= there
