"""Findings into Security Hub, in batches, with what it refuses tried once more.

Source: https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_BatchImportFindings.html. The answer is
200 even where some or all findings failed.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sallyport.adapters.aws import SignedService
from sallyport.audit.asff import MAX_BATCH
from sallyport.audit.finding import Finding
from sallyport.errors import UnavailableError

# 6 MB a batch is Security Hub's limit; what is around the findings is small.
MAX_BATCH_BYTES: Final = 5_500_000
# Calls for one list of findings. One finding in a hundred that Security Hub cannot read takes fifteen to
# be found; ten calls a second are all that an account has.
MAX_CALLS: Final = 20
_UNREADABLE: Final = 400
_Rendered = Mapping[str, Any]


class _Outcome(NamedTuple):
    """What became of a batch: a code for each finding that failed, and what kind of failure that was."""

    failed: dict[str, str]
    is_answer: bool = False
    is_unreadable: bool = False


class SecurityHub:
    """Imports findings.

    Args:
        service: Security Hub, in the Region where findings are to be.
        render: how a finding is rendered as ASFF.
        refused: told of each finding's id and the code with which it was refused.
    """

    def __init__(
        self,
        service: SignedService,
        render: Callable[[Finding], Mapping[str, Any]],
        refused: Callable[[str, str], None],
    ) -> None:
        self._service = service
        self._render = render
        self._refused = refused

    def __call__(self, findings: Sequence[Finding]) -> frozenset[str]:
        """Import findings; returns the ids of those that are not known to be imported.

        To import one of them again does no harm: Security Hub drops what it has.
        """
        rendered = {one.id: self._render(one) for one in findings}
        ids = {str(asff["Id"]): finding_id for finding_id, asff in rendered.items()}
        waiting = deque(batches(list(rendered.values())))
        tried: set[str] = set()
        missed: dict[str, str] = {}
        for _ in range(MAX_CALLS):
            if not waiting:
                break
            batch = waiting.popleft()
            outcome = self._import(batch)
            if outcome.is_unreadable and len(batch) > 1:
                # Of a whole batch Security Hub does not say which finding it cannot read.
                half = len(batch) // 2
                waiting += [batch[:half], batch[half:]]
                continue
            # Single findings fail for reasons that pass; a whole call that fails waits as the queue does.
            once_more = [one for one in batch if one["Id"] in outcome.failed and one["Id"] not in tried]
            if outcome.is_answer and once_more:
                waiting.append(once_more)
                tried.update(str(one["Id"]) for one in once_more)
                continue
            missed |= outcome.failed
        missed |= {one["Id"]: "import-left" for batch in waiting for one in batch}
        for name, code in missed.items():
            self._refused(ids[name], code)
        return frozenset(ids[name] for name in missed)

    def _import(self, batch: Sequence[_Rendered]) -> _Outcome:
        body = json.dumps({"Findings": batch}, separators=(",", ":")).encode()
        names = [str(one["Id"]) for one in batch]
        try:
            response = self._service.post("/findings/import", {"Content-Type": "application/json"}, body)
        except UnavailableError as error:
            return _Outcome(dict.fromkeys(names, error.reason))
        if response.status != 200:  # noqa: PLR2004 - its only good answer
            code = f"import-{response.status}"
            return _Outcome(dict.fromkeys(names, code), is_unreadable=response.status == _UNREADABLE)
        try:
            answer = json.loads(response.body)
            failed = {str(one["Id"]): str(one["ErrorCode"])[:64] for one in answer["FailedFindings"]}
            is_whole = failed.keys() <= {*names} and answer["SuccessCount"] == len(batch) - len(failed)
        except (ValueError, KeyError, TypeError, RecursionError):
            is_whole = False
        # An answer that does not account for the batch, finding by finding, is believed in nothing.
        return (
            _Outcome(failed, is_answer=True) if is_whole else _Outcome(dict.fromkeys(names, "import-answer"))
        )


def batches(findings: Sequence[_Rendered]) -> list[list[_Rendered]]:
    """Group findings into batches that one call takes."""
    found: list[list[_Rendered]] = []
    size = MAX_BATCH_BYTES
    for one in findings:
        length = len(json.dumps(one, separators=(",", ":")))
        if size + length > MAX_BATCH_BYTES or len(found[-1]) == MAX_BATCH:
            found.append([])
            size = 0
        found[-1].append(one)
        size += length
    return found
