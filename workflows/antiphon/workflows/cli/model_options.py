"""`--model` and `--price`: how a person names the models of a run, on the command line and in the configuration."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

if TYPE_CHECKING:
    from antiphon.subagents.model.contract import Price
    from antiphon.subagents.roles.library import Roles
    from antiphon.workflows.cli.configuration import Configuration
    from antiphon.workflows.model_roles import ModelsAsked

F = TypeVar("F", bound=Callable[..., Any])
FILE: Final = "file:"
ROLE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


model_option = click.option(
    "--model",
    "models",
    multiple=True,
    metavar="[ROLE=]MODEL",
    help="Which model answers (a ROLE): ollama/NAME, anthropic/NAME, openai/NAME@URL, file:DIR. Can be repeated.",
)


def model_options(function: F) -> F:
    """Which models answer, what they cost, and how fast they may be asked."""
    for option in (
        click.option(
            "--rate",
            "rates",
            multiple=True,
            metavar="PROVIDER=LIMITS",
            help="What a provider allows, such as openai=500rpm,200000tpm,32 (the last: at once). Can be repeated.",
        ),
        click.option(
            "--price",
            "prices",
            multiple=True,
            metavar="NAME=IN/OUT",
            help="What a model costs, in usd per million tokens. Can be repeated.",
        ),
        model_option,
    ):
        function = option(function)
    return function


def asked(
    held: Configuration | None, models: Sequence[str], prices: Sequence[str] = (), rates: Sequence[str] = ()
) -> ModelsAsked:
    """What was asked for: the configuration's, and before it what was typed.

    Args:
        held: the configuration, or None where it does not hold, as for a run that has its models already.
        models: as typed after `--model`.
        prices: as typed after `--price`.
        rates: as typed after `--rate`.

    Raises:
        UsageError: a name or a price cannot be read.
    """
    from antiphon.subagents.model.rates import read_rates
    from antiphon.subagents.roles.library import Roles
    from antiphon.workflows.model_roles import ModelsAsked, models_of

    typed = ModelsAsked(
        specs=tuple(map(_from_here, models)),
        prices=dict(map(_price, prices)),
        rates=tuple(rates),
        folder=Roles.here().folder,
    )
    read_rates(rates)  # so that what cannot be read is said now
    if held is not None:
        typed = ModelsAsked(specs=held.models, prices=held.prices).then(typed)
    models_of(typed)  # so that what cannot be read is said now
    return typed


def check_roles(models: Sequence[str], declared: Collection[str], library: Roles) -> None:
    """Refuse a model for a role that nobody can take: it would never be asked, and nobody would notice.

    Raises:
        UsageError: a role that is typed is neither declared nor in the library.
    """
    from antiphon.engine import UsageError
    from antiphon.subagents.model.registry import ROLE

    for role in (hit[1] for spec in models if (hit := ROLE.match(spec))):
        if role in declared or role in library:
            continue
        close = difflib.get_close_matches(role, [*declared, *library.names()], n=1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"--model {role}=…: there is no role {role!r}{meant}", advice="antiphon roles")


def tell_boxes(specs: Iterable[str]) -> None:
    """Say where requests lie that somebody has to answer, because nothing else happens until then."""
    from antiphon.subagents.model.registry import ROLE
    from antiphon.workflows.cli.terminal import talk

    paper = talk()
    paper.columns = None  # a command that is cut cannot be typed
    names = {hit[2] if (hit := ROLE.match(spec)) else spec for spec in specs}
    for box in sorted(name.removeprefix(FILE) for name in names if name.startswith(FILE)):
        paper.line(f"requests wait in {box}: antiphon answer {shlex.quote(box)}")


def absolute(spec: str, folder: Path) -> str:
    """A spec whose ``file:DIR`` means the same from everywhere. Raises `UsageError` for a home that nobody has."""
    from antiphon.engine import UsageError
    from antiphon.subagents.model.registry import ROLE

    hit = ROLE.match(spec)
    role, name = (f"{hit[1]}=", hit[2]) if hit else ("", spec)
    if not name.startswith(FILE):
        return spec
    try:
        return f"{role}{FILE}{os.path.normpath(folder / Path(name.removeprefix(FILE)).expanduser())}"
    except RuntimeError:
        raise UsageError(f"{name[:200]!r}: there is no such home folder") from None


def _from_here(spec: str) -> str:
    from antiphon.engine import UsageError

    role, equals, rest = spec.partition("=")
    name = rest if equals and ROLE_NAME.fullmatch(role) else spec
    if name in ("", FILE) or name.startswith("=") or "\0" in spec:
        raise UsageError(f"--model {spec!r} names no model", advice="--model ollama/llama3, or --model ROLE=MODEL")
    _check_provider(name)
    return absolute(spec, Path.cwd())


def _check_provider(name: str) -> None:
    """Refuse a provider that nobody knows before anything begins, and not once a run needs it."""
    from antiphon.subagents.model.naming import taken_apart
    from antiphon.subagents.model.providers import check_provider

    parts = taken_apart(name)
    if parts.provider not in ("file", "compatible"):
        check_provider(parts)


def _price(text: str) -> tuple[str, str]:
    from antiphon.subagents.model.prices_of_user import parse_price

    name, _ = parse_price(text)
    return name, text.rpartition("=")[2].strip()


# --- the configuration ---------------------------------------------------------------------------------------------


class Unsuitable(ValueError):
    """A setting that cannot be taken; the text says which and why."""


def configured(folder: Path, table: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Specs and prices of ``model``, ``models`` and ``prices`` in a configuration file.

    The file may come with somebody's tree. So it may say which model, but not where prompts, and with them keys, are
    sent: no address but this machine's, no folder outside of its own.

    Raises:
        Unsuitable: one of them cannot be taken.
    """
    specs: list[str] = []
    if (model := table.get("model")) is not None:
        specs.append(_configured(folder, "model", model))
    for role, name in _table("models", table.get("models", {})).items():
        if not ROLE_NAME.fullmatch(role):
            raise Unsuitable(f"models.{role[:60]} is not named like a role")
        specs.append(f"{role}={_configured(folder, f'models.{role}', name)}")
    return tuple(specs), _prices(_table("prices", table.get("prices", {})))


def _configured(folder: Path, setting: str, name: object) -> str:
    from antiphon.engine.errors import UsageError
    from antiphon.subagents.model.naming import is_loopback, taken_apart

    if not isinstance(name, str) or not name or "\0" in name:
        raise Unsuitable(f"{setting} must be the name of a model, not {name!r:.100}")
    try:
        parts = taken_apart(name)
        place = absolute(name, folder)
    except UsageError as error:
        raise Unsuitable(f"{setting}: {error.message}") from None
    if parts.url is not None and not is_loopback(parts.url):
        raise Unsuitable(f"{setting} names an address, which only the command line can: --model {name}")
    if parts.provider != "file":
        return name
    if not Path(os.path.realpath(place.removeprefix(FILE))).is_relative_to(os.path.realpath(folder)):
        raise Unsuitable(f"{setting} leads out of {folder}, which only the command line can: --model {name}")
    return place


def _table(setting: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unsuitable(f"{setting} must be a table, not {value!r:.100}")
    return cast("dict[str, Any]", value)


def _prices(table: dict[str, Any]) -> dict[str, Any]:
    if table:
        from antiphon.subagents.model.catalogue import capabilities
        from antiphon.subagents.model.prices_of_user import PriceError, read_prices

        try:
            prices = read_prices(table)
        except PriceError as error:
            raise Unsuitable(f"prices: {error.message}") from None
        for name, price in prices.items():
            if _is_cheaper(price, capabilities(name).price):
                raise Unsuitable(f"prices.{name[:100]!r} is below its known price; only --price can say that")
    return table


def _is_cheaper(price: Price, known: Price | None) -> bool:
    """Whether a file that may come with somebody's tree makes a model cheaper, and so a limit on usd worthless."""
    if known is None:
        return False
    return Decimal(price.input) < Decimal(known.input) or Decimal(price.output) < Decimal(known.output)
