"""Where the results of a whole run go: bench/results, a table to read and the same as JSON, by name and day."""

import datetime
import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


def save(name: str, about: str, table: str, **found: Any) -> None:
    """Write NAME-DAY.md and NAME-DAY.json; a second run on one day replaces the first."""
    RESULTS.mkdir(exist_ok=True)
    stem = RESULTS / f"{name}-{datetime.date.today()}"
    stem.with_suffix(".md").write_text(f"{about}\n\n{table}\n", encoding="utf-8")
    stem.with_suffix(".json").write_text(json.dumps({"about": about, **found}, indent=1) + "\n", encoding="utf-8")
