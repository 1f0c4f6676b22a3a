"""Where a key comes from: edges out of events and records, how they are kept, and the tree of them."""

import copy
import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from sallyport.audit.events import Observed, read_event
from sallyport.audit.lineage import items as lineage_items
from sallyport.audit.lineage import tree as lineage_tree
from sallyport.audit.lineage.edges import EXCHANGE, MAX_APART, OriginKind, edges_of, join
from sallyport.audit.lineage.items import Index, collect, from_item, from_json, to_item, to_json
from sallyport.audit.lineage.tree import End, Root, Step, Trace, tree
from sallyport.errors import SallyportError
from tests.support.audit_world import ACCOUNT, FOREIGN, MANAGED_ROLE, MEMBER, PROVIDER
from tests.support.fake_sessions import EXPIRES, FakeSessions
from tests.support.lineage_world import (
    ABROAD,
    CHAINED,
    FAR,
    FUNCTION,
    ISSUED,
    READER,
    SOURCE_IDENTITY,
    abroad,
    chained,
    edges,
    everything,
    exchanged,
    roles_anywhere,
)
from tests.support.rule_samples.sample import (
    assume,
    denied,
    event,
    exchange,
    minutes,
    other_account,
    record,
    role,
    root,
    service,
    user,
)


def roots(trace: Trace) -> list[Root]:
    return [row.what for row in trace.rows if isinstance(row.what, Root)]


def keys(trace: Trace) -> list[str]:
    return [step.edge.child for step in trace.steps]


# --- edges ---------------------------------------------------------------------------------------------


def test_an_exchange_leads_from_the_outside_identity_to_the_key() -> None:
    (edge,) = edges(record())
    assert (edge.child, edge.parent, edge.call) == (ISSUED, None, EXCHANGE)
    assert edge.origin is not None
    assert (edge.origin.kind, edge.origin.name, edge.origin.by) == (OriginKind.TOKEN, "b0c1", "entra")
    assert (edge.role, edge.source_identity, edge.address) == (MANAGED_ROLE, SOURCE_IDENTITY, "192.0.2.7")
    assert edge.exchange_id == f"{1:032x}"


def test_a_certificates_exchange_says_that_it_is_one() -> None:
    made = record()
    made["detail"]["certificate"] = {"serial": "1f"}
    made["detail"]["grant"]["tags"] = {"x509Subject/CN": "build"}
    (edge,) = edges(made)
    assert edge.origin is not None
    assert edge.origin.kind is OriginKind.CERTIFICATE
    assert edge.tags == (("x509Subject/CN", "build"),)


@pytest.mark.parametrize("outcome", ["denied", "refused"])
def test_an_exchange_that_made_no_session_is_no_edge(outcome: str) -> None:
    assert edges(record(outcome)) == []


def test_a_session_that_was_made_and_not_given_out_is_an_edge_that_says_so() -> None:
    correction = record()
    correction["detail"] |= {"id": f"{1:032x}-correction", "corrects": f"{1:032x}", "outcome": "failed"}
    for order in itertools.permutations((record(), exchanged(), correction)):
        (edge,) = join(edges(*order))
        assert (edge.exchange_id, edge.outcome) == (f"{1:032x}", "failed")


def test_an_account_without_a_part_in_a_call_tells_nothing_of_it() -> None:
    """Who forwards events to us may not say whose keys other accounts' are."""
    for made in (exchanged(), chained(), *abroad()):
        third = copy.deepcopy(made)
        third["account"] = third["detail"]["recipientAccountId"] = FOREIGN
        assert edges(made) != []
        assert edges(third) == []
    nobodys = exchanged()["detail"]
    del nobodys["recipientAccountId"]
    read = read_event(nobodys)
    assert isinstance(read, Observed)
    assert edges_of(read) == (), "in a trail's file it is the event alone that says whose it is"


@pytest.mark.parametrize("target", [MEMBER, f"arn:aws:iam::{MEMBER}:root"])
def test_the_account_whose_root_was_assumed_has_a_part_in_it(target: str) -> None:
    answer = {"credentials": {"accessKeyId": ISSUED}}
    for account, found in ((ACCOUNT, 1), (MEMBER, 1), (FOREIGN, 0)):
        made = event(
            "sts",
            "AssumeRoot",
            role(),
            request={"targetPrincipal": target},
            response=answer,
            account=account,
        )
        assert len(edges(made)) == found


def test_a_chained_call_passes_its_source_identity_on() -> None:
    (edge,) = edges(chained())
    assert (edge.parent, edge.child) == (ISSUED, CHAINED)
    assert (edge.session_name, edge.source_identity, edge.caller_account) == (
        "chained",
        SOURCE_IDENTITY,
        ACCOUNT,
    )


@pytest.mark.parametrize(
    ("made", "parent", "origin", "name"),
    [
        (assume(user(), READER), "AKIAEXAMPLE000000001", None, "b0c1"),
        (assume(service(), READER), None, OriginKind.SERVICE, "b0c1"),
        (
            event(
                "sts",
                "GetFederationToken",
                user(),
                request={"name": "tool"},
                response={
                    "credentials": {"accessKeyId": ISSUED},
                    "federatedUser": {"arn": f"arn:aws:sts::{ACCOUNT}:federated-user/tool"},
                },
            ),
            "AKIAEXAMPLE000000001",
            None,
            "tool",
        ),
        (
            event("sts", "GetSessionToken", user(), response={"credentials": {"accessKeyId": ISSUED}}),
            "AKIAEXAMPLE000000001",
            None,
            None,
        ),
        (
            event("sts", "AssumeRoot", role(), response={"credentials": {"accessKeyId": ISSUED}}),
            "ASIAEXAMPLE000000001",
            None,
            None,
        ),
        (roles_anywhere(), None, OriginKind.CERTIFICATE, "00aa"),
        (
            assume(
                {"type": "WebIdentityUser", "userName": "subject", "identityProvider": PROVIDER},
                READER,
                name="AssumeRoleWithWebIdentity",
            ),
            None,
            OriginKind.TOKEN,
            "b0c1",
        ),
        (
            assume(
                {"type": "SAMLUser", "principalId": "hash:alice", "userName": "alice"},
                READER,
                name="AssumeRoleWithSAML",
            ),
            None,
            OriginKind.SAML,
            "b0c1",
        ),
    ],
    ids=["user", "service", "federation", "session", "root", "certificate", "token", "saml"],
)
def test_every_call_that_issues_a_key_is_an_edge(made, parent, origin, name) -> None:
    (edge,) = edges(made)
    assert (edge.child, edge.parent, edge.session_name) == (ISSUED, parent, name)
    assert (edge.origin.kind if edge.origin is not None else None) == origin


@pytest.mark.parametrize(
    "made",
    [
        denied("sts", "AssumeRole"),
        event("sts", "GetCallerIdentity", user(), response={"credentials": {"accessKeyId": ISSUED}}),
        # Of the same name, and of another service.
        event("s3", "CreateSession", user(), response={"credentials": {"accessKeyId": ISSUED}}),
        assume(user(), READER, error="AccessDenied"),
        assume(user(), READER, key="short"),
        assume(user(), READER, key="ASIA<script>00000001"),
        event("sts", "AssumeRole", user(), response={"credentials": [ISSUED]}),
        event("rolesanywhere", "CreateSession", user(), response={"credentialSet": {"credentials": 1}}),
        event("rolesanywhere", "CreateSession", user(), response={"credentialSet": [None, 1, "x"]}),
    ],
)
def test_what_issues_no_key_is_no_edge(made) -> None:
    assert edges(made) == []


# --- joining -------------------------------------------------------------------------------------------


def test_record_and_event_of_one_session_are_one_edge_in_any_order() -> None:
    for order in itertools.permutations((record(), exchanged(), exchanged())):
        (edge,) = join(edges(*order))
        assert edge.origin is not None
        assert edge.origin.name == "b0c1"
        assert (edge.parent, edge.call) == (FUNCTION, EXCHANGE)


def test_both_copies_of_a_call_across_accounts_are_one_edge_that_knows_the_caller() -> None:
    for order in itertools.permutations(abroad()):
        (edge,) = join(edges(*order))
        assert (edge.parent, edge.role, edge.accounts) == (CHAINED, ABROAD, (ACCOUNT, MEMBER))
        assert edge.caller == f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/chained"
        assert len(edge.event_ids) == 2


def test_a_service_that_calls_for_an_outside_identity_is_not_where_the_trace_ends() -> None:
    by_service = assume(
        service("rolesanywhere.amazonaws.com"),
        READER,
        session="00aa",
        source_identity="CN=build",
        number=9,
        after=minutes(-1),
    )
    created = roles_anywhere()
    created["detail"]["userIdentity"] = None
    for order in itertools.permutations((by_service, created)):
        (edge,) = join(edges(*order))
        assert edge.origin is not None
        assert edge.origin.kind is OriginKind.CERTIFICATE


@pytest.mark.parametrize(
    "other",
    [
        assume(exchange(), READER, source_identity=SOURCE_IDENTITY, number=9),
        assume(exchange(), MANAGED_ROLE, source_identity="somebody-else", number=9),
        assume(exchange(), MANAGED_ROLE, session="else", source_identity=SOURCE_IDENTITY, number=9),
        assume(role(key="ASIASTRANGER00000001"), MANAGED_ROLE, source_identity=SOURCE_IDENTITY, number=9),
    ],
    ids=["role", "source-identity", "session-name", "parent"],
)
def test_observations_that_contradict_each_other_stay_apart_and_are_named(other) -> None:
    trace = tree(edges(record(), exchanged(), other), ISSUED)
    assert keys(trace) == [ISSUED, ISSUED]
    assert all(step.is_disputed for step in trace.steps)
    assert any(ISSUED in gap and "contradicts" in gap for gap in trace.gaps)


def test_contradictions_without_end_are_shown_so_far_and_no_further() -> None:
    (edge,) = edges(chained())
    many = [replace(edge, role=f"role-{n}", occurrence=str(n), event_ids=(str(n),)) for n in range(2_000)]
    assert len(join(many)) == MAX_APART
    assert join(many) == join(reversed(many))


# --- items ---------------------------------------------------------------------------------------------


def test_an_edge_is_kept_whole_and_can_be_found_by_its_parent_and_names() -> None:
    for edge in edges(*everything(), roles_anywhere()):
        item = to_item(edge, expires_at=EXPIRES)
        assert from_item(item) == edge
        assert item["pk"] == {"S": edge.child}
        for index in (Index.PARENT, Index.SOURCE_IDENTITY, Index.SESSION_NAME):
            value = getattr(edge, index.value)
            assert item.get(index.value) == (None if value is None else {"S": value})


def test_the_same_observation_is_the_same_item_and_each_observation_another() -> None:
    table = FakeSessions().put(*edges(*everything())).put(*edges(*everything()))
    assert len(table.items) == len(everything())


def test_a_value_that_no_index_takes_is_kept_and_not_indexed() -> None:
    (edge,) = edges(chained())
    long = replace(edge, session_name="é" * 400, source_identity="")
    item = to_item(long, expires_at=EXPIRES)
    assert from_item(item) == long
    assert "session_name" not in item
    assert "source_identity" not in item


def test_nothing_of_a_session_token_is_kept() -> None:
    for edge in edges(*everything(), roles_anywhere()):
        assert "IQoJ" not in str(to_item(edge, expires_at=EXPIRES))


@pytest.mark.parametrize(
    "change",
    [
        {"edge": {"S": "[]"}},
        {"edge": {"S": "{"}},
        {"edge": {"S": "[" * 100_000}},
        {"edge": {"N": "1"}},
        {"format": {"S": "2"}},
        {"pk": {"S": "ASIASOMEBODYS0000001"}},
    ],
)
def test_an_item_that_is_no_edge_is_refused(change) -> None:
    item = to_item(edges(chained())[0], expires_at=EXPIRES)
    with pytest.raises(SallyportError, match="edge-unreadable"):
        from_item(item | change)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("child", "short"),
        ("time", "2026-11-20T12:00:00"),
        ("time", 1),
        ("role", 1),
        ("event_ids", [1]),
        ("tags", {"a": 1}),
        ("origin", {"kind": "god", "name": "x", "by": None}),
        ("origin", {"kind": "token", "name": None, "by": None}),
    ],
)
def test_json_of_another_form_is_refused(name: str, value: object) -> None:
    good = to_json(edges(record())[0])
    assert from_json(good) == edges(record())[0]
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_json(good | {name: value})


# --- collecting ----------------------------------------------------------------------------------------


def find_in(table: FakeSessions):
    def find(index: Index, value: str, most: int):
        table.questions.append((index.value, value))
        items = [item for item in table.items.values() if item.get(index.value) == {"S": value}]
        return [from_item(item) for item in items][:most]

    return find


@pytest.mark.parametrize("start", [ISSUED, CHAINED, FAR, "chained", SOURCE_IDENTITY])
def test_what_is_collected_is_enough_for_the_whole_tree(start: str) -> None:
    table = FakeSessions().put(*edges(*everything()))
    found = collect(find_in(table), start)
    assert tree(found.edges, start) == tree(edges(*everything()), start)
    assert not found.is_cut
    assert len(table.questions) == len(set(table.questions))


def test_siblings_are_not_collected() -> None:
    other = assume(exchange(), MANAGED_ROLE, key="ASIASIBLING000000001", session="other", number=9)
    table = FakeSessions().put(*edges(*everything(), other))
    assert "ASIASIBLING000000001" not in {edge.child for edge in collect(find_in(table), FAR).edges}


def test_no_more_is_collected_than_a_trace_may_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    table = FakeSessions().put(*edges(*everything()))
    monkeypatch.setattr(lineage_items, "MAX_QUESTIONS", 3)
    found = collect(find_in(table), FAR)
    assert found.is_cut
    assert len(table.questions) == 3
    monkeypatch.undo()
    monkeypatch.setattr(lineage_items, "MAX_EDGES", 2)
    found = collect(find_in(table), FAR)
    assert found.is_cut
    assert len(found.edges) == 2


def test_a_start_that_no_index_could_hold_is_not_asked_for() -> None:
    table = FakeSessions()
    assert collect(find_in(table), "x" * 5_000).edges == ()
    assert collect(find_in(table), "").edges == ()
    assert table.questions == []


# --- the tree ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [ISSUED, CHAINED, FAR])
def test_any_key_of_a_chain_leads_back_to_the_outside_identity_and_forward_to_the_end(start: str) -> None:
    trace = tree(edges(*everything()), start)
    assert [one.end for one in roots(trace)] == [End.OUTSIDE]
    assert keys(trace) == [ISSUED, CHAINED, FAR]
    assert [row.depth for row in trace.rows] == [0, 1, 2, 3]
    assert [step.edge.child for step in trace.steps if step.is_asked] == [start]
    assert trace.arrives
    assert trace.gaps == ()


def test_a_source_identity_finds_every_session_that_carries_it() -> None:
    trace = tree(edges(*everything()), SOURCE_IDENTITY)
    assert keys(trace) == [ISSUED, CHAINED, FAR]
    assert all(step.is_asked for step in trace.steps)


def test_what_else_a_parent_made_is_not_part_of_a_childs_trace() -> None:
    other = assume(
        role(MANAGED_ROLE, "b0c1", ISSUED), READER, session="o", key="ASIASIBLING000000001", number=9
    )
    assert "ASIASIBLING000000001" not in keys(tree(edges(*everything(), other), FAR))
    assert "ASIASIBLING000000001" in keys(tree(edges(*everything(), other), ISSUED))


def test_a_key_that_nobody_issued_breaks_the_chain_by_name() -> None:
    trace = tree(edges(chained(), *abroad()), FAR)
    (broken,) = roots(trace)
    assert broken.end is End.BROKEN
    assert broken.key == ISSUED
    assert f"key {ISSUED} was used" in broken.text
    assert "nothing says who issued it" in broken.text
    assert f"account {ACCOUNT}" in broken.text
    assert trace.gaps == (broken.text,)
    assert not trace.arrives


def test_the_owners_copy_alone_says_whose_trail_knows_more() -> None:
    trace = tree(edges(assume(other_account(ACCOUNT), ABROAD, key=FAR, account=MEMBER)), FAR)
    (broken,) = roots(trace)
    assert broken.end is End.BROKEN
    assert ACCOUNT in broken.text


def test_an_event_without_a_caller_breaks_the_chain() -> None:
    assert [one.end for one in roots(tree(edges(assume(None, READER)), ISSUED))] == [End.BROKEN]


@pytest.mark.parametrize(
    ("caller", "end"),
    [
        (user(), End.LONG_TERM_KEY),
        (root() | {"accessKeyId": "AKIAROOT000000000001"}, End.LONG_TERM_KEY),
        (service(), End.SERVICE),
        (user(key="ASIACONSOLE000000001"), End.BROKEN),
    ],
)
def test_a_trace_that_ends_at_no_outside_identity_does_not_arrive(caller, end: End) -> None:
    trace = tree(edges(assume(caller, READER)), ISSUED)
    assert [one.end for one in roots(trace)] == [end]
    assert not trace.arrives
    assert bool(trace.gaps) is (end is End.BROKEN)


def test_a_console_session_is_named_as_such() -> None:
    made = assume(user(key="ASIACONSOLE000000001"), READER, sessionCredentialFromConsole="true")
    assert [one.end for one in roots(tree(edges(made), ISSUED))] == [End.CONSOLE]


def test_a_trace_of_a_long_term_key_shows_what_was_made_with_it() -> None:
    trace = tree(edges(assume(user(), READER)), "AKIAEXAMPLE000000001")
    assert keys(trace) == [ISSUED]
    assert [one.key for one in roots(trace)] == ["AKIAEXAMPLE000000001"]
    assert not any(step.is_asked for step in trace.steps)


def test_a_session_name_cannot_pass_for_a_key() -> None:
    forged = assume(user(), READER, session=ISSUED, key="ASIAFORGED0000000001", number=9)
    trace = tree(edges(*everything(), forged), ISSUED)
    assert "ASIAFORGED0000000001" not in keys(trace)


def test_a_circle_ends_and_is_named() -> None:
    here = assume(role(key=CHAINED), READER, key=ISSUED, number=1)
    there = assume(role(key=ISSUED), READER, key=CHAINED, number=2, after=minutes(1))
    away = assume(role(key=CHAINED), READER, key=FAR, number=3, after=timedelta(0))
    trace = tree(edges(here, there, away), FAR)
    assert sorted(keys(trace)) == sorted([ISSUED, CHAINED, FAR])
    (circle,) = roots(trace)
    assert circle.end is End.CYCLE
    # The key that only hangs from the circle is not said to come from itself.
    assert FAR not in circle.text


def test_a_key_that_made_itself_ends() -> None:
    trace = tree(edges(assume(role(key=ISSUED), READER, key=ISSUED)), ISSUED)
    assert keys(trace) == [ISSUED]
    assert [one.end for one in roots(trace)] == [End.CYCLE]


def test_a_tree_is_bounded_and_says_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage_tree, "MAX_SHOWN", 2)
    trace = tree(edges(*everything()), FAR)
    assert len(list(trace.steps)) == 2
    assert trace.omitted == 1
    # The way back is cut, and nobody is told that it is unknown.
    assert [one.end for one in roots(trace)] == [End.CUT]
    assert trace.gaps == ()


def test_a_chain_as_long_as_the_tree_may_be_needs_no_stack() -> None:
    def key(number: int) -> str:
        return f"ASIA{number:016d}"

    long = edges(
        *(
            assume(role(key=key(n)), READER, key=key(n + 1), number=n, after=timedelta(seconds=n))
            for n in range(600)
        )
    )
    trace = tree(long, key(1))
    assert max(row.depth for row in trace.rows) == lineage_tree.MAX_SHOWN
    assert trace.omitted == 100


def test_nothing_known_is_no_row() -> None:
    assert tree([], ISSUED).rows == ()
    assert tree(edges(*everything()), "").rows == ()
    assert tree(edges(*everything()), "ASIANOBODYS000000001").rows == ()


def test_rows_say_what_they_hang_from() -> None:
    value = lineage_tree.to_json(tree(edges(*everything()), CHAINED))
    assert [row["above"] for row in value["rows"]] == [None, 0, 1, 2]
    assert value["rows"][0]["root"]["end"] == "outside-identity"
    assert value["rows"][2]["asked"]
    assert value["rows"][2]["session"]["parent"] == ISSUED
    assert isinstance(tree(edges(record()), ISSUED).rows[1].what, Step)
