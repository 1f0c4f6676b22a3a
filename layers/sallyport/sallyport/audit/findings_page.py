"""The part of ``docs/findings.md`` that is made of the rules: one heading for each.

Pure. ``python -m tests.support.make_findings_page`` writes it, and a contract test compares.
"""

from collections.abc import Mapping

from sallyport.audit.rules import RULES
from sallyport.audit.rules.rule import MANAGED_ROLES, Rule, Selector


def findings_page(rules: Mapping[str, Rule] = RULES) -> str:
    """Return the table of all rules, and a heading for each: its meaning, what to do, how to suppress it."""
    lines = [
        "| rule | severity | what it found |",
        "|---|---|---|",
        *(
            f"| [{rule.id}](#{rule.id}) | {rule.severity.name.lower()} | {rule.title} |"
            for rule in sorted(rules.values(), key=lambda one: (-one.severity, one.id))
        ),
    ]
    for rule in rules.values():
        lines += ["", *_heading(rule)]
    return "\n".join(lines) + "\n"


def _heading(rule: Rule) -> list[str]:
    references = ", ".join(f"[{number}]({url})" for number, url in enumerate(rule.references, 1))
    lines = [
        f"## {rule.id}",
        "",
        f"**{rule.title}** — {rule.severity.name.lower()}. {rule.meaning}",
        "",
        f"- *First:* {rule.first}",
        f"- *Then:* {rule.remedy}",
        f"- *Looks at:* {_looks_at(rule)}. What is about the same thing stays one finding for {_span(rule)}.",
    ]
    if rule.gaps:
        lines.append(f"- *Does not see:* {rule.gaps}")
    lines += [f"- *To suppress:* an entry with `rule: {rule.id}`.", f"- *More:* {references}"]
    return lines


def _looks_at(rule: Rule) -> str:
    if rule.on == "record":
        return "records of exchanges"
    if rule.on == "trust":
        return "changes of the trust table"
    return "; ".join(dict.fromkeys(map(_described, rule.selectors)))


def _described(selector: Selector) -> str:
    names = ", ".join(f"`{name}`" for name in selector.names)
    wheres = " and ".join(
        f"`{one.path}` {'begins with' if one.operator == 'prefix' else 'is'} "
        + " or ".join(
            "a managed role" if value == MANAGED_ROLES else f"`{value}`" for value in one.values or ("there",)
        )
        for one in selector.where
    )
    source = f"`{selector.source}`" if selector.source else "every service"
    return f"{source} {names or 'all calls'}{f' where {wheres}' if wheres else ''}"


def _span(rule: Rule) -> str:
    minutes = int(rule.window.total_seconds()) // 60
    if minutes % 1440 == 0:
        days = minutes // 1440
        return f"{days} day{'s' if days > 1 else ''}"
    return f"{minutes} minutes"
