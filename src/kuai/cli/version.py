"""`kuai version`: what to say in a report of a bug."""

from __future__ import annotations

import platform
from importlib import metadata

import jax

from kuai.cli.command import Command, Result
from kuai.cli.settings import Settings

_PACKAGES = ("jax", "jaxlib", "numpy", "optax", "safetensors")


def version_of(package: str) -> str:
    """The version of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # run from a folder of sources
        return "not installed"


def versions() -> dict[str, str]:
    """What results may depend on, beside the settings."""
    found = {"kuai": version_of("kuai-nn"), "python": platform.python_version()}
    return found | {package: version_of(package) for package in _PACKAGES}


def _run(settings: Settings) -> Result:
    del settings
    found = versions() | {"devices": ", ".join(map(str, jax.devices()))}
    return Result("\n".join(f"{name:12} {value}" for name, value in found.items()), found)


COMMAND = Command("version", "tell the versions of kuai and of what it stands on", _run)
