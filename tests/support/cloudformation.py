"""A template as CloudFormation would see it under given parameters, as far as tests ask."""

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]

NO_VALUE = {"Ref": "AWS::NoValue"}


class _Loader(yaml.SafeLoader):
    """Knows CloudFormation's short forms."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def load(name: str) -> dict[str, Any]:
    """Return a template of the repository, as it is written."""
    document: dict[str, Any] = yaml.load((ROOT / name).read_text(), _Loader)  # noqa: S506 - derived from SafeLoader
    return document


def resolved(name: str, **parameters: str | list[str]) -> dict[str, Any]:
    """Return a template with its conditions decided and its parameters put in; the rest stays as it is.

    The value of a list may be given as one, or as a text if it is a single one.
    """
    document = load(name)
    values = {key: one.get("Default", f"<{key}>") for key, one in document["Parameters"].items()} | parameters
    resolver = _Resolver(values, document.get("Conditions", {}))
    document["Resources"] = {
        key: one for key, one in document["Resources"].items() if resolver.holds(one.get("Condition"))
    }
    result: dict[str, Any] = resolver.value(
        {part: document[part] for part in ("Globals", "Resources", "Outputs") if part in document}
    )
    return result


def event_pattern(rule: dict[str, Any]) -> dict[str, Any]:
    """Return the pattern of an event rule, which may be written as a text."""
    pattern = rule["EventPattern"]
    found: dict[str, Any] = json.loads(pattern) if isinstance(pattern, str) else pattern
    return found


class _Resolver:
    def __init__(self, parameters: dict[str, Any], conditions: dict[str, Any]) -> None:
        self._parameters = parameters
        self._conditions = conditions

    def holds(self, condition: Any) -> bool:  # noqa: PLR0911 - one for each kind of condition
        if condition is None:
            return True
        if isinstance(condition, str):
            return self.holds(self._conditions[condition])
        ((kind, of),) = condition.items()
        if kind == "Condition":
            return self.holds(of)
        if kind == "Fn::Not":
            return not self.holds(of[0])
        if kind == "Fn::And":
            return all(map(self.holds, of))
        if kind == "Fn::Or":
            return any(map(self.holds, of))
        assert kind == "Fn::Equals", kind
        left, right = map(self.value, of)
        return bool(left == right)

    def value(self, value: Any) -> Any:  # noqa: PLR0911 - one for each of CloudFormation's functions
        if isinstance(value, list):
            return [self.value(one) for one in value if self.value(one) != NO_VALUE]
        if not isinstance(value, dict):
            return value
        if "Fn::If" in value:
            condition, yes, no = value["Fn::If"]
            return self.value(yes if self.holds(condition) else no)
        if "Ref" in value and value["Ref"] in self._parameters:
            return self._parameters[value["Ref"]]
        if "Fn::Sub" in value:
            return self._substituted(value["Fn::Sub"])
        if "Fn::Join" in value:
            separator, parts = value["Fn::Join"]
            found = self.value(parts)
            return separator.join(found) if isinstance(found, list) else found
        if "Fn::Split" in value:
            separator, text = map(self.value, value["Fn::Split"])
            return text.split(separator)
        if "Fn::Select" in value:
            index, of = value["Fn::Select"]
            return self.value(of)[index]
        if "Fn::GetAtt" in value:
            return ".".join(value["Fn::GetAtt"])
        found = {key: self.value(one) for key, one in value.items()}
        return {key: one for key, one in found.items() if one != NO_VALUE}

    def _substituted(self, text: Any) -> Any:
        names = dict(self._parameters)
        if isinstance(text, list):
            text, more = text
            names |= {key: self.value(one) for key, one in more.items()}
        for name, one in names.items():
            if isinstance(one, str):
                text = text.replace(f"${{{name}}}", one)
        return text.replace("${!", "${")
