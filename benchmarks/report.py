"""What a benchmark found: printed as a table, kept as JSON with machine and versions."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("jax", "jaxlib", "numpy", "optax", "torch", "kuai-nn")


@dataclass
class Comparison:
    """One thing done several ways.

    Attributes:
        title: what is done.
        unit: of the values.
        values: name of the way → value; kuai's own is "kuai".
        targets: name of a peer → the largest ratio kuai / peer that is aimed at.
    """

    title: str
    unit: str
    values: dict[str, float]
    targets: dict[str, float]

    def lines(self) -> list[str]:
        """The comparison as text, ratios and targets beside the values."""
        own = self.values["kuai"]
        shown = [f"{self.title} ({self.unit})"]
        for name, value in self.values.items():
            ratio = "" if name == "kuai" else f"   kuai/{name} = {own / value:.3f}"
            target = self.targets.get(name)
            aim = (
                ""
                if target is None
                else f"   aimed at <= {target:.3f}: {_verdict(own / value, target)}"
            )
            shown.append(f"  {name:<28} {value:>12.2f}{ratio}{aim}")
        return shown


def _verdict(ratio: float, target: float) -> str:
    return "reached" if ratio <= target else "NOT reached"


def machine() -> dict[str, str | int | None]:
    """Where this ran."""
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "load_average_1min": round(os.getloadavg()[0], 2),  # type: ignore[dict-item]  # a float
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")


def versions() -> dict[str, str]:
    """The versions of the packages compared, of those that are installed."""
    found = {d.metadata["Name"]: d.version for d in metadata.distributions()}
    return {name: found[name] for name in PACKAGES if name in found}


def write(comparisons: list[Comparison]) -> Path:
    """Keep a run's raw figures."""
    record = {
        "machine": machine(),
        "versions": versions(),
        "jax_cpu_enable_async_dispatch": False,
        "comparisons": [asdict(comparison) for comparison in comparisons],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "latest.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    return path
