"""The command that tells how the budgets stand."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from learnedrouter.cli_options import Json
from learnedrouter.printing import print_json, print_table


def budgets(
    config: Annotated[Path, typer.Option(help="The configuration.")] = Path("router.toml"),
    as_json: Json = False,
) -> None:
    """Tell what was spent of each budget, what requests under way have reserved, what is left, and when it resets (UTC)."""
    from learnedrouter.budgets.opening import standing
    from learnedrouter.config import load_settings

    rows = standing(load_settings(config), datetime.now(UTC))
    if as_json:
        print_json(
            [
                {
                    "budget": row.budget,
                    "key": row.key or None,
                    "period": row.period,
                    "past": row.past,
                    "limit_usd": float(row.limit_usd),
                    "spent_usd": float(row.spent_usd),
                    "reserved_usd": float(row.reserved_usd),
                    "left_usd": float(row.left_usd),
                    "resets_at": row.resets_at.isoformat(),
                    "refused": row.balance.refused,
                    "degraded": row.balance.degraded,
                    "unknown_cost": row.balance.unknown,
                }
                for row in rows
            ]
        )
        return
    if not rows:
        print(f"{config}: no budget, or none that was used yet")
        return
    columns = ("budget", "key", "limit, USD", "spent", "reserved", "left", "refused", "degraded", "resets at, UTC")
    shown = [
        [
            f"{row.budget} ({row.period}, {row.past})",
            row.key or "all",
            *map(_usd, (row.limit_usd, row.spent_usd, row.reserved_usd, row.left_usd)),
            *map(str, (row.balance.refused, row.balance.degraded)),
            f"{row.resets_at:%Y-%m-%d %H:%M}",
        ]
        for row in rows
    ]
    print_table("budgets", columns, shown)


def _usd(value: Decimal) -> str:
    return f"{value:.4f}"
