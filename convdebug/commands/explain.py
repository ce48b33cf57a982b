"""`convdebug explain [RULE]`: what a rule means, why it happens, what to try."""

import click


@click.command()
@click.argument("rule", required=False)
def explain(rule: str | None) -> None:
    """Explain a rule; without a name, list all rules."""
    from convdebug.rules import RULES
    from convdebug.rules import explain as text_of

    if rule is not None:
        click.echo(text_of(rule))
        return
    width = max(len(entry.name) for entry in RULES)
    for entry in RULES:
        click.echo(f"{entry.name:<{width}}  {entry.title}")
