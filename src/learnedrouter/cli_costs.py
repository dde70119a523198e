"""``learnedrouter simulate`` and ``learnedrouter savings``; parsing and printing only."""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from learnedrouter.cli_options import Json
from learnedrouter.errors import InputError
from learnedrouter.printing import print_json, print_table

if TYPE_CHECKING:
    from learnedrouter.accounting.simulate import Simulation, Target

Config = Annotated[Path, typer.Option("--config", help="The configuration: its prices, where nothing else states them.")]
Prices = Annotated[Path | None, typer.Option("--prices", help="Prices in place of those: a router.toml, or [prices.MODEL] tables.")]


def simulate(
    workload: Annotated[Path | None, typer.Argument(help="TOML: requests a day, tokens, shares of the tiers.")] = None,
    config: Config = Path("router.toml"),
    prices: Prices = None,
    target: Annotated[str | None, typer.Option(help="Share to save, such as 0.7: say which mix of tiers reaches it.")] = None,
    against: Annotated[str | None, typer.Option(help="The model for all that savings are against; the workload's by default.")] = None,
    as_json: Json = False,
) -> None:
    """Work out what a mix of requests costs: with one model for all, with the ladder, and with a perfect router."""
    if workload is None:
        raise InputError("expected a workload file")
    from learnedrouter.accounting.price_list import load_prices
    from learnedrouter.accounting.simulate import reach
    from learnedrouter.accounting.simulate import simulate as work_out
    from learnedrouter.accounting.workload import load_workload, models_without_price

    stated = load_prices(prices) if prices else {}
    missing = set(models_without_price(workload)) - stated.keys()
    found = work_out(load_workload(workload, stated, load_prices(config) if missing else {}), stated)
    compared = (against,) if against else found.workload.compare_with
    if against and against not in (known := [option.name for option in found.options if option.kind == "model"]):
        raise InputError(f"--against {against!r}: expected one of {', '.join(known)}")
    targets = [reach(found, _share("--target", target), model) for model in compared] if target is not None else []
    if as_json:
        print_json(_simulation_json(found, compared) | {"targets": [_target_json(reached) for reached in targets]})
    else:
        _show_simulation(found, compared)
        for reached in targets:
            _show_target(found, reached)


def _show_simulation(found: "Simulation", compared: tuple[str, ...]) -> None:
    workload = found.workload
    rows = []
    for option in found.options:
        name = f"{option.name} for all" if option.kind == "model" else option.name
        saved = [_percent(found.saved(option, model)) for model in compared]
        rows.append([name, usd(option.usd_per_day), usd(option.usd_per_month), *saved])
    headers = ("router", "USD a day", "USD a month", *(f"saved against {model}" for model in compared))
    print_table(f"{workload.requests_per_day:,} requests a day; a month is 30 days", headers, rows)
    shares = [[rung.tier, rung.model, *map(_percent, found.shares[rung.tier]), rung.price.source] for rung in workload.rungs]
    print_table("who gets what", ("tier", "model", "ladder", "perfect router", "price from"), shares)
    print(f"Needs: {workload.needs}.")


def _show_target(found: "Simulation", reached: "Target") -> None:
    aim = f"To save {_percent(reached.target)} against {reached.against} for all"
    if reached.feasible:
        print(f"{aim}, {_percent(reached.moved)} of the requests move to the cheapest tier: {usd(reached.usd_per_day)} USD a day.")
    else:
        print(f"{aim}: infeasible; the nearest is {_percent(reached.saved)}, at {usd(reached.usd_per_day)} USD a day.")
    rows = [[tier, _percent(found.shares[tier][0]), _percent(share)] for tier, share in reached.shares.items()]
    print_table("", ("tier", "share now", "share then"), rows)
    if reached.below_need:
        print(f"{_percent(reached.below_need)} of the requests would then go below what they need, as far as the workload knows.")


def _simulation_json(found: "Simulation", compared: tuple[str, ...]) -> dict[str, Any]:
    return {
        "requests_per_day": found.workload.requests_per_day,
        "days_a_month": 30,
        "needs": found.workload.needs,
        "prices": {rung.model: rung.price.source for rung in found.workload.rungs},
        "shares": {tier: {"ladder": float(sent), "perfect": float(needed)} for tier, (sent, needed) in found.shares.items()},
        "options": [
            {
                "name": option.name,
                "kind": option.kind,
                "usd_per_day": float(option.usd_per_day),
                "usd_per_month": float(option.usd_per_month),
                "saved": {model: number(found.saved(option, model)) for model in compared},
            }
            for option in found.options
        ],
    }


def _target_json(reached: "Target") -> dict[str, Any]:
    return {
        "against": reached.against,
        "target": float(reached.target),
        "feasible": reached.feasible,
        "moved": float(reached.moved),
        "below_need": float(reached.below_need),
        "shares": {tier: float(share) for tier, share in reached.shares.items()},
        "usd_per_day": float(reached.usd_per_day),
        "saved": float(reached.saved),
    }


def usd(amount: Decimal | None) -> str:
    """Return an amount as tables show it: to the cent, or to the first figure that is not 0 where it is smaller."""
    if amount is None:
        return "unknown"
    return f"{amount:,.2f}" if amount == 0 or abs(amount) >= Decimal("0.01") else f"{amount:.2g}"


def number(value: Decimal | None) -> float | None:
    """JSON has no decimals; a double holds a cent to fifteen digits."""
    return None if value is None else float(value)


def _percent(share: Decimal | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"


def _share(option: str, text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise InputError(f"{option} {text!r}: expected a share between 0 and 1, such as 0.7") from None
