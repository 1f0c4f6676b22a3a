"""One event and all rules: what is the same thing stays one finding, and nothing fails in silence."""

import itertools
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sallyport.audit.evaluate import Evaluator, evaluate
from sallyport.audit.events import Observed, read_event, read_record
from sallyport.audit.finding import (
    MAX_EVENTS,
    CannotTell,
    Finding,
    Severity,
    finding_id,
    from_json,
    merge,
    to_json,
)
from sallyport.audit.rules import RULES
from sallyport.audit.rules.rule import Match, RegistryError, Selector, Where, registry
from sallyport.errors import UnavailableError
from tests.support.audit_world import (
    ACCOUNT,
    MANAGED_ROLE,
    MEMBER,
    MEMBER_ROLE,
    NOON,
    FakeHistory,
    FakeIssued,
    context,
)
from tests.support.rule_samples import load
from tests.support.rule_samples.exchange import made as exchange_made
from tests.support.rule_samples.exchange import member_copy
from tests.support.rule_samples.sample import assume, denied, event, minutes, record, role, user
from tests.support.rule_samples.sign_in import console
from tests.support.rule_samples.sts import federation, statement

HOSTILE = "\x1b]8;;http://x\x07<script>alert(1)</script>`${jndi:x}`\u202e\ud800" + "A" * 5_000


def read(raw: dict[str, Any]) -> Observed:
    found = read_event(raw)
    assert isinstance(found, Observed)
    return found


def findings(said: Iterable[Finding | CannotTell], rule_id: str = "") -> list[Finding]:
    return [one for one in said if isinstance(one, Finding) and one.rule_id.startswith(rule_id)]


def store(said: Iterable[Finding]) -> dict[str, Finding]:
    kept: dict[str, Finding] = {}
    for one in said:
        kept[one.id] = merge(kept[one.id], one) if one.id in kept else one
    return kept


def test_the_same_event_twice_is_the_same_finding_counted_once() -> None:
    known = context()
    first, again = (evaluate(read(assume(user(), MANAGED_ROLE)), known) for _ in range(2))
    assert findings(first)
    assert first == again
    assert all(one.count == 1 for one in store(findings(first + again)).values())


def test_two_events_about_the_same_thing_are_one_finding_with_a_count() -> None:
    known = context()
    said = [
        one
        for number in (1, 2, 3)
        for one in evaluate(read(console(user() | {"type": "Root"}, "Success", number=number)), known)
    ]
    (kept,) = store(findings(said, "root-console")).values()
    assert kept.count == 3
    assert len(kept.event_ids) == 3


def test_another_day_is_another_finding() -> None:
    known = context()
    ids = {
        one.id
        for day in (0, 1)
        for one in findings(
            evaluate(read(console(user() | {"type": "Root"}, "Success", after=timedelta(days=day))), known),
            "root-console",
        )
    }
    assert len(ids) == 2


def test_both_copies_of_a_cross_account_call_are_one_critical_finding() -> None:
    stranger = assume(role(), MEMBER_ROLE, number=1, sharedEventID="s-1", key="ASIAISSUED0000000001")
    theirs = member_copy("AROASTRANGER00000001:x", number=2)
    said = [
        one
        for raw in (stranger, theirs)
        for one in findings(evaluate(read(raw), context()), "session-without-record")
    ]
    (kept,) = store(said).values()
    assert kept.count == 1
    assert kept.account == MEMBER


def test_the_order_of_events_does_not_matter() -> None:
    raws = [denied("sts", "AssumeRole", number=n, after=timedelta(seconds=n)) for n in range(13)]
    raws += [assume(user(), MANAGED_ROLE, number=50 + n, key=f"ASIAX00000000000000{n}") for n in range(3)]
    raws += [event("sts", "GetCallerIdentity", user(), number=70 + n, after=minutes(n)) for n in range(5)]
    raws += [federation(statement("*"), number=80 + n, after=minutes(n)) for n in range(3)]
    orders = [raws, raws[::-1]]
    for seed in range(5):
        shuffled = list(raws)
        random.Random(seed).shuffle(shuffled)  # noqa: S311 - an order, no secret
        orders.append(shuffled)
    results = []
    for order in orders:
        known = context()
        kept = store(one for raw in order for one in findings(evaluate(read(raw), known)))
        results.append(
            {
                key: (one.severity, one.first_event if "burst" not in one.rule_id else None, one.count)
                for key, one in kept.items()
            }
        )
    assert all(result.keys() == results[0].keys() for result in results)
    assert all(result == results[0] for result in results)


def test_a_burst_counts_what_came_before_its_threshold() -> None:
    known = context()
    said = [
        one
        for number in range(13)
        for one in findings(
            evaluate(read(denied("sts", "AssumeRole", number=number)), known), "assume-role-denied"
        )
    ]
    (kept,) = store(said).values()
    assert kept.count == 13


def test_a_rule_that_throws_is_counted_and_the_others_still_look() -> None:
    def broken(_event: object, _context: object) -> Match:
        raise RecursionError("too deep")

    rules = dict(RULES) | {"broken-0": replace(RULES["assume-root-30"], id="broken-0", check=broken)}
    said = Evaluator(rules)(read(event("sts", "AssumeRoot", role())), context())
    assert [(one.rule_id, one.reason) for one in said if isinstance(one, CannotTell) and one.is_error] == [
        ("broken-0", "RecursionError")
    ]
    assert findings(said, "assume-root-30")


def test_a_table_that_is_away_is_no_answer() -> None:
    history = FakeHistory()
    history.away = True
    with pytest.raises(UnavailableError):
        evaluate(read(event("sts", "GetCallerIdentity", user())), context(history=history))


def test_what_may_still_come_is_looked_at_again() -> None:
    known = context(now=NOON + minutes(1))
    (waiting,) = [
        one
        for one in evaluate(read(exchange_made()), known)
        if isinstance(one, CannotTell) and one.rule_id == "session-without-record-59"
    ]
    assert waiting.again_at is not None
    later = replace(known, now=waiting.again_at)
    assert findings(evaluate(read(exchange_made()), later), "session-without-record")
    recorded = read_record(record())
    explained = replace(later, issued=FakeIssued([recorded]))  # type: ignore[list-item]  # a readable one
    assert not findings(evaluate(read(exchange_made()), explained), "session-without-record")


def test_while_the_history_is_young_what_is_new_is_informational() -> None:
    known = context(learning_until=NOON + timedelta(days=14))
    (found,) = findings(
        evaluate(read(federation(statement("s3:Get*"))), known), "federation-token-first-seen"
    )
    assert found.severity is Severity.INFORMATIONAL
    assert found.subdued is not None
    # What is broad is broad on the first day as well.
    (broad,) = findings(evaluate(read(federation(statement("*"))), known), "federation-token-administrative")
    assert broad.severity is Severity.HIGH


def test_a_chain_across_accounts_is_no_matter_of_learning() -> None:
    known = context(learning_until=NOON + timedelta(days=14))
    (found,) = findings(
        evaluate(read(assume(role(), f"arn:aws:iam::{MEMBER}:role/x")), known), "chain-broken"
    )
    assert found.severity is Severity.MEDIUM


def test_a_long_term_key_is_louder_from_an_address_that_is_new() -> None:
    known = context()
    said = [
        findings(
            evaluate(read(event("sts", "GetCallerIdentity", user(), address=one, after=when)), known), "long"
        )
        for one, when in (
            ("192.0.2.7", minutes(0)),
            ("192.0.2.7", timedelta(days=2)),
            ("192.0.2.8", timedelta(days=2)),
            ("sts.amazonaws.com", timedelta(days=2)),
        )
    ]
    assert [one.severity for (one,) in said] == [
        Severity.MEDIUM,
        Severity.INFORMATIONAL,
        Severity.MEDIUM,
        Severity.INFORMATIONAL,
    ]


def test_outside_text_in_a_finding_is_harmless_and_bounded() -> None:
    known = context()
    raw = assume(user(name=HOSTILE), MANAGED_ROLE, session=HOSTILE, source_identity=HOSTILE)
    raw |= {"account": HOSTILE}
    raw["detail"] |= {"userAgent": HOSTILE, "recipientAccountId": HOSTILE, "awsRegion": HOSTILE}
    said = findings(evaluate(read(raw), known))
    assert said
    for one in said:
        text = repr(to_json(one))
        assert len(text) < 60_000
        for bad in ("<script", "\x1b", "\u202e", "\ud800", "`${"):
            assert bad not in text
        str(to_json(one)).encode()


def test_policies_and_tokens_are_in_no_finding() -> None:
    secret = "SecretPolicyMarker"
    for sample in (one for samples in load().values() for one in samples.hits):
        for said in sample.run():
            assert "IQoJ" not in repr(said)
    said = evaluate(read(federation(statement(["*", secret]))), context())
    assert findings(said)
    assert secret not in repr(said)


def test_a_finding_survives_its_store() -> None:
    samples = [one for samples in load().values() for one in samples.hits]
    made = [one for sample in samples for one in findings(sample.run()[-1])]
    assert len(made) >= len(samples)
    for one in made:
        back = from_json(to_json(one))
        assert to_json(back) == to_json(one)
        assert back.id == one.id


def test_putting_observations_together_does_not_depend_on_their_order() -> None:
    base = findings(evaluate(read(assume(user(), MANAGED_ROLE)), context()))[0]
    parts = [
        replace(
            base,
            event_ids=(f"e{number}",),
            first_event=NOON + minutes(number),
            last_event=NOON + minutes(number % 2),
            description=f"text {number}",
            severity=Severity(number),
            subdued=None if number else "learning",
        )
        for number in range(4)
    ]
    results = []
    for order in itertools.permutations(parts):
        kept = order[0]
        for one in order[1:]:
            kept = merge(kept, one)
        results.append(kept)
    assert all(one == results[0] for one in results)
    assert results[0].count == 4
    assert merge(results[0], parts[2]) == results[0]


def test_a_finding_names_a_bounded_number_of_events_and_counts_on() -> None:
    base = findings(evaluate(read(assume(user(), MANAGED_ROLE)), context()))[0]
    kept = base
    for number in range(50):
        kept = merge(kept, replace(base, event_ids=(f"e{number:02}",)))
    assert len(kept.event_ids) == MAX_EVENTS
    assert kept.count == 51
    with pytest.raises(ValueError, match="different"):
        merge(base, replace(base, id="x"))


def test_an_id_keeps_parts_apart() -> None:
    one = finding_id("r", ACCOUNT, ("ab", "c"), NOON)
    assert one != finding_id("r", ACCOUNT, ("a", "bc"), NOON)
    assert one != finding_id("r", ACCOUNT, ("ab", "c", ""), NOON)
    assert one != finding_id("r", ACCOUNT, ("ab", "c"), NOON + timedelta(days=1))
    assert one == finding_id("r", ACCOUNT, ("ab", "c"), NOON)


def test_names_are_compared_without_case() -> None:
    said = evaluate(read(event("signin", "CREATEOAUTH2TOKEN", user() | {"type": "Root"})), context())
    assert findings(said, "root-login-6")


def test_the_registry_refuses_what_can_never_work() -> None:
    rule = RULES["assume-root-30"]
    for wrong in (
        (rule, rule),
        (replace(rule, selectors=()),),
        (replace(rule, on="record"),),
        (replace(rule, selectors=(Selector("sts"),)),),
        (replace(rule, selectors=(Selector("", ("AssumeRoot",)),)),),
    ):
        with pytest.raises(RegistryError):
            registry(wrong)
    assert registry((replace(rule, selectors=(Selector("", where=(Where("x", "exists"),)),)),))


def test_ids_are_kebab_case_and_end_in_a_number() -> None:
    numbers = [rule_id.rpartition("-")[2] for rule_id in RULES]
    assert all(number.isdecimal() for number in numbers)
    assert len(numbers) == len(set(numbers))
    assert all(
        (part.isalnum() and part.islower()) or part.isdecimal() for one in RULES for part in one.split("-")
    )


def test_every_rule_that_was_asked_for_is_there() -> None:
    wanted = {*range(1, 22), *range(23, 26), 30, 31, 32, 33, 36, 40, 42, 43, 45, 48, *range(56, 63), 64}
    assert wanted <= {int(rule_id.rpartition("-")[2]) for rule_id in RULES}


def test_a_record_never_grants_more_than_a_session_of_its_own() -> None:
    other = record(key="ASIAISSUED0000000002")
    known = context(issued=FakeIssued([read_record(other)]))  # type: ignore[list-item]  # a readable one
    assert findings(evaluate(read(exchange_made()), known), "session-without-record")
