"""Findings into Security Hub, in batches, with what it refuses tried once more.

Source: https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_BatchImportFindings.html. The answer is
200 even where some or all findings failed.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sallyport.adapters.aws import SignedService
from sallyport.audit.asff import MAX_BATCH
from sallyport.errors import UnavailableError

# 6 MB a batch is Security Hub's limit; what is around the findings is small.
MAX_BATCH_BYTES: Final = 5_500_000
ATTEMPTS: Final = 2


class SecurityHub:
    """Imports findings that are rendered as ASFF."""

    def __init__(self, service: SignedService) -> None:
        self._service = service

    def __call__(self, findings: Sequence[Mapping[str, Any]]) -> None:
        """Import all.

        Raises:
            UnavailableError: some are not known to be imported; to import them again does no harm.
        """
        waiting = list(findings)
        for _ in range(ATTEMPTS):
            waiting = [one for batch in batches(waiting) for one in self._import(batch)]
            if not waiting:
                return
        raise UnavailableError("import-failed", f"Security Hub refused {len(waiting)} finding(s)")

    def _import(self, batch: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Import a batch, and return what failed."""
        body = json.dumps({"Findings": batch}, separators=(",", ":")).encode()
        response = self._service.post("/findings/import", {"Content-Type": "application/json"}, body)
        if response.status != 200:  # noqa: PLR2004 - its only good answer
            raise UnavailableError("import-refused", f"Security Hub answered {response.status}")
        try:
            answer = json.loads(response.body)
            done, failed = answer["SuccessCount"], {one["Id"] for one in answer["FailedFindings"]}
        except (ValueError, KeyError, TypeError):
            raise UnavailableError(
                "import-answer", "Security Hub's answer is not what it should be"
            ) from None
        left = [one for one in batch if one["Id"] in failed]
        # An answer that accounts for less than the whole batch is believed in nothing.
        return left if done == len(batch) - len(left) else list(batch)


def batches(findings: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Group findings into batches that one call takes."""
    found: list[list[Mapping[str, Any]]] = []
    size = MAX_BATCH_BYTES
    for one in findings:
        length = len(json.dumps(one, separators=(",", ":")))
        if size + length > MAX_BATCH_BYTES or len(found[-1]) == MAX_BATCH:
            found.append([])
            size = 0
        found[-1].append(one)
        size += length
    return found
