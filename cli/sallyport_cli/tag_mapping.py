"""``sallyport trust tag-mapping``: the trigger's mapping as one line, and how it gets to the trigger."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sallyport.cognito.load import MAX_VARIABLE_BYTES
from sallyport.trust.user_pools import tag_mapping
from sallyport_cli.failure import CommandError
from sallyport_cli.trust_table import Items

FILE_IN_LAYER = "tag-mapping.json"
"""The layer's only file; functions see it in /opt."""

LAYER_NAME = "sallyport-tag-mapping"
"""What the layer is called in the command to copy; any other name does as well."""

# The first time that an archive can name. The same mapping must always make the same archive.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o644 << 16
_UNIX = 3


@dataclass(frozen=True, slots=True)
class TagMapping:
    """A compiled mapping, one line of ASCII without its end."""

    text: str

    @classmethod
    def of(cls, items: Items) -> "TagMapping":
        """Return the mapping of a version's items.

        Raises:
            CommandError: no user pool is declared.
        """
        text = tag_mapping(items)
        if text is None:
            raise CommandError(
                "no-user-pools",
                "The trust file declares no user pools, so there is no mapping.",
                cure="Leave the stack's parameters TagMapping and TagMappingLayer empty.",
            )
        return cls(text)

    @property
    def digest(self) -> str:
        """SHA-256 of the text, hex."""
        return hashlib.sha256(self.text.encode("ascii")).hexdigest()

    @property
    def fits_variable(self) -> bool:
        """Whether a variable of the function can hold it."""
        return len(self.text) <= MAX_VARIABLE_BYTES

    @property
    def override(self) -> str:
        """The parameter as sam reads it, within quotes of its own."""
        quoted = self.text.replace('"', '\\"')
        return f'TagMapping="{quoted}"'

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints; ``parameter_override`` only where a variable can hold it."""
        return {
            "mapping": self.text,
            "sha256": self.digest,
            "bytes": len(self.text),
            "goes_into": "TagMapping" if self.fits_variable else "TagMappingLayer",
            "parameter_override": self.override if self.fits_variable else None,
        }

    def archive(self) -> bytes:
        """Return the layer's archive: byte for byte the same for the same mapping.

        Lambda tells a layer's SHA-256, so that an apply can compare without downloading it.
        """
        info = zipfile.ZipInfo(FILE_IN_LAYER, _EPOCH)
        info.external_attr, info.create_system = _READABLE, _UNIX
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(info, self.text)
        return buffer.getvalue()

    def write(self, path: Path) -> None:
        """Write the line, or into a file that ends in .zip the layer's archive.

        Raises:
            CommandError: it cannot be written.
        """
        data = self.archive() if path.suffix == ".zip" else f"{self.text}\n".encode("ascii")
        try:
            path.write_bytes(data)
        except OSError as error:
            raise CommandError(
                "mapping-unwritable",
                f"The mapping cannot be written to {path}: {error.strerror}.",
                cure="Check the path and its permissions.",
            ) from error

    def directions(self, file: str) -> Iterator[str]:
        """Yield what to do with it, line by line; commands are whole, to be copied.

        Args:
            file: the trust file's name.
        """
        size = f"{len(self.text):,} bytes, sha256 {self.digest}."
        if self.fits_variable:
            yield f"{size} It goes into the stack's parameter TagMapping:"
            yield f"  sam deploy --parameter-overrides '{self.override}'"
            yield "or into samconfig.toml, beside other parameters (the command line would replace those):"
            yield f"  parameter_overrides = ['{self.override}']"
        else:
            yield f"{size} A variable holds {MAX_VARIABLE_BYTES:,}, so it goes into a layer:"
            yield f"  sallyport trust tag-mapping {file} --out tag-mapping.zip"
            yield (
                f"  aws lambda publish-layer-version --layer-name {LAYER_NAME} --zip-file fileb://tag-mapping.zip"
            )
            yield "and the LayerVersionArn of the answer into the stack's parameter TagMappingLayer:"
            yield "  sam deploy --parameter-overrides TagMappingLayer=<LayerVersionArn>"
        yield "Have the plan reviewed, deploy, then apply: an apply refuses what the trigger does not carry."
