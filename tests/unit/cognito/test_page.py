"""The page for operators says what the code does."""

import ast
import json
import re
from pathlib import Path

import pytest

from sallyport.adapters import user_pools
from sallyport.cognito import pool_check
from sallyport.cognito.load import _FLAGS, _SOURCES, read_mapping
from sallyport.cognito.trigger import respond
from sallyport.trust.limits import MAX_TAGS
from sallyport.trust.user_pools import tag_mapping
from sallyport_cli import pool_desk
from sallyport_cli.strict_yaml import parse
from tests.support.cognito_events import added, event, read_by_sts
from tests.support.trust_files import compiled

PAGE = (Path(__file__).parents[3] / "docs" / "tenant-isolation.md").read_text()
MAPPING = next(text for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL) if '"format"' in text)


def codes() -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(Path(pool_check.__file__).read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            first = node.args[0]
            if node.func.id in {"_error", "_warning", "_problem"} and isinstance(first, ast.Constant):
                found.add(str(first.value))
    return found


def test_every_problem_of_a_pool_stands_on_the_page() -> None:
    assert len(codes()) > 10
    assert {code for code in codes() if f"`{code}`" not in PAGE} == set()


def test_the_trust_file_on_the_page_compiles_to_the_mapping_beside_it() -> None:
    (text,) = (text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "user_pools" in text)
    parsed = parse(text.encode())
    assert not parsed.problems
    compiled_text = tag_mapping(compiled(parsed.document).items)
    assert compiled_text is not None
    assert json.loads(compiled_text) == json.loads(MAPPING)


def test_what_the_command_finds_besides_stands_on_the_page() -> None:
    source = "".join(Path(one.__file__).read_text() for one in (pool_desk, user_pools))
    found = set(re.findall(r'"((?:trigger|pool)-[a-z-]+)"', source))
    assert len(found) > 3
    assert {code for code in found if f"`{code}`" not in PAGE} == set()


@pytest.mark.parametrize(("name", "tenant"), [("v2", "acme"), ("v2_federated", "globex"), ("v3", "acme")])
def test_the_example_is_a_mapping_that_answers_the_sample_events(name: str, tenant: str) -> None:
    answer = respond(event(name), read_mapping(json.loads(MAPPING)))
    assert read_by_sts(added(answer)[0])["tags"] == {"tenantid": tenant}


@pytest.mark.parametrize("field", [*_SOURCES, *_FLAGS, "allowed", "use", "tags", "roles", "source_identity"])
def test_every_field_stands_on_the_page(field: str) -> None:
    assert f"`{field}" in PAGE


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    assert f"at most {MAX_TAGS}" in PAGE


def test_the_programs_on_the_page_are_programs() -> None:
    programs = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(programs) == 2
    for program in programs:
        compile(program, "page", "exec")


def test_the_policies_on_the_page_are_json() -> None:
    for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL):
        json.loads(text)
