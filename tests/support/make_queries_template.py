"""Writes ``queries.yaml``: what an operator can ask CloudTrail's logs, made from the rules' selectors."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from sallyport.audit.queries import MANAGED_PATH, PREPARED, athena, logs_insights
from sallyport.audit.rules import RULES
from sallyport.audit.rules.rule import Rule

TEMPLATE = Path("queries.yaml")

HEAD = """\
# Made from the rules, do not edit: python -m tests.support.make_queries_template
AWSTemplateFormatVersion: "2010-09-09"
Description: >-
  Sallyport, what each of its rules looks at: ready-made queries over CloudTrail's logs.

Parameters:
  StackName:
    Type: String
  # These become a part of the queries' texts, so each has a form that means nothing to a query.
  TargetRolePath:
    Type: String
    AllowedPattern: ^/([A-Za-z0-9_+=,.@-]+/)+$
  TrailTable:
    Type: String
    Default: ""
    AllowedPattern: ^([A-Za-z0-9_]+\\.[A-Za-z0-9_]+)?$
  TimeColumn:
    Type: String
    AllowedValues: [day, eventtime]
  # These do not.
  TrailLogGroup:
    Type: String
    Default: ""
  WorkGroup:
    Type: String
  TrailDatabase:
    Type: String

Conditions:
  HasLogGroup: !Not [!Equals [!Ref TrailLogGroup, ""]]
  HasTable: !Not [!Equals [!Ref TrailTable, ""]]

Resources:
"""

STATEMENTS = {
    "access_key": "What an access key did, and the call that issued it. Its id, the first and the last time.",
    "source_identity": "What was done under a source identity, and the calls that set it. It, and two times.",
}


def template() -> str:
    """Return the whole file."""
    resources = [part for rule in RULES.values() for part in _of_rule(rule)]
    resources += [_prepared(name, PREPARED[name], STATEMENTS[name]) for name in PREPARED]
    return HEAD + "\n".join(resources)


def _of_rule(rule: Rule) -> Iterator[str]:
    insights, sql = logs_insights(rule), athena(rule)
    if insights is not None:
        sub = "!Sub " if MANAGED_PATH in insights else ""
        yield f"""\
  {_name(rule.id)}InLogs:
    Type: AWS::Logs::QueryDefinition
    Condition: HasLogGroup
    Properties:
      Name: !Sub ${{StackName}}/rules/{rule.id}
      LogGroupNames: [!Ref TrailLogGroup]
      QueryString: {sub}|
{textwrap.indent(insights, " " * 8)}
"""
    if sql is not None:
        yield f"""\
  {_name(rule.id)}InAthena:
    Type: AWS::Athena::NamedQuery
    Condition: HasTable
    Properties:
      Name: !Sub ${{StackName}} {rule.id}
      Description: What the rule looks at. Parameters are the first and the last time.
      WorkGroup: !Ref WorkGroup
      Database: !Ref TrailDatabase
      QueryString: !Sub |
{textwrap.indent(sql, " " * 8)}
"""


def _prepared(name: str, sql: str, description: str) -> str:
    return f"""\
  {_name(name)}Statement:
    Type: AWS::Athena::PreparedStatement
    Condition: HasTable
    Properties:
      StatementName: {name}
      Description: {description}
      WorkGroup: !Ref WorkGroup
      QueryStatement: !Sub |
{textwrap.indent(sql, " " * 8)}
"""


def _name(of: str) -> str:
    return "".join(map(str.capitalize, of.replace("_", "-").split("-")))


def main() -> None:
    TEMPLATE.write_text(template(), encoding="utf-8")


if __name__ == "__main__":
    main()
