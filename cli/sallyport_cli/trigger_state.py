"""What the pre-token-generation trigger carries, as Lambda describes it, compared with a mapping."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import ClientError

from sallyport.errors import TrustFileError
from sallyport.proof.strict_json import parse_object
from sallyport.trust.user_pools import canonical
from sallyport_cli.aws import asking
from sallyport_cli.tag_mapping import TagMapping

_VARIABLE = "SALLYPORT_TAG_MAPPING"
_FILE = "SALLYPORT_TAG_MAPPING_FILE"
# arn:aws:lambda:<region>:<account>:function:<name>
_ARN_PARTS = 7


class Lambda(Protocol):
    """The part of boto3's Lambda client that is used here."""

    def get_function_configuration(self, **arguments: object) -> dict[str, Any]:
        """Describe a function, or what an alias of it stands for."""

    def get_layer_version_by_arn(self, **arguments: object) -> dict[str, Any]:
        """Describe a version of a layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """The trigger as it is deployed.

    ``arn`` has the alias with which it was asked for; ``text`` is the mapping of its variable in canonical
    form, ``None`` where there is none that could be read; ``layers`` are the SHA-256 (base64) of its layers
    where its mapping is in a file.
    """

    arn: str
    text: str | None = None
    layers: tuple[str, ...] = ()

    def carries(self, mapping: TagMapping | None) -> bool:
        """Tell whether it carries this mapping and no other; ``None`` stands for none at all."""
        if mapping is None:
            return self.text is None and not self.layers
        if self.layers:
            wanted = base64.b64encode(hashlib.sha256(mapping.archive()).digest()).decode("ascii")
            return wanted in self.layers
        return self.text == mapping.text


def read_trigger(client: Lambda, function: str) -> Trigger | None:
    """Ask Lambda what a function carries; ``None`` if there is no such function.

    Args:
        client: for the function's Region.
        function: its name or ARN, with an alias behind a colon.

    Raises:
        CommandError: it may not be looked at.
    """
    name, alias = _split(function)
    qualifier = {"Qualifier": alias} if alias else {}
    with asking(f"look at the trigger {function} (lambda:GetFunctionConfiguration)"):
        try:
            found = client.get_function_configuration(FunctionName=name, **qualifier)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
                return None
            raise
    arn = ":".join(str(found["FunctionArn"]).split(":")[:_ARN_PARTS]) + (f":{alias}" if alias else "")
    variables: Mapping[str, str] = found.get("Environment", {}).get("Variables", {})
    text, file = variables.get(_VARIABLE, "").strip(), variables.get(_FILE, "").strip()
    if file:
        return Trigger(arn=arn, layers=_layers(client, found) or ("",))
    return Trigger(arn=arn, text=_canonical(text) if text else None)


def _split(function: str) -> tuple[str, str]:
    parts = function.split(":")
    at = _ARN_PARTS if parts[0] == "arn" else 1
    return ":".join(parts[:at]), ":".join(parts[at:])


def _layers(client: Lambda, found: Mapping[str, Any]) -> tuple[str, ...]:
    digests = []
    for layer in found.get("Layers", ()):
        with asking(f"look at the layer {layer['Arn']} (lambda:GetLayerVersion)"):
            version = client.get_layer_version_by_arn(Arn=layer["Arn"])
        digests.append(str(version.get("Content", {}).get("CodeSha256", "")))
    return tuple(digests)


def _canonical(text: str) -> str:
    """Return a mapping in the form in which it is compared; what is none stays so, and equals nothing."""
    try:
        return canonical(parse_object(text.encode("utf-8", "replace")))
    except (ValueError, TrustFileError):
        return text
