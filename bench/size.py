"""The layer: built for this machine, to be measured, and for Lambda, to be weighed."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from bench.table import Row

ROOT = Path(__file__).resolve().parent.parent
BUDGET_MB = 12.0


def build(target: str, folder: Path) -> Path:
    """Build the layer as `sam build` does; returns the folder that becomes the zip's root."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "SALLYPORT_LAYER_TARGET": target,
        "SALLYPORT_LAYER_PYTHON": sys.executable,
        "UV": str(Path(sys.executable).with_name("uv")),
        "PYTHON": sys.executable,
    }
    subprocess.run(
        [
            "make",
            "-s",
            "-C",
            str(ROOT / "layers" / "sallyport"),
            "build-SallyportLayer",
            f"ARTIFACTS_DIR={folder}",
        ],
        env=environment,
        check=True,
        timeout=300,
    )
    return folder


def measure(folder: Path) -> list[Row]:
    """Zip the layer for Lambda as a deployment would and weigh it."""
    layer = build("aws", folder / "aws")
    archive = folder / "layer.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(layer.rglob("*")):
            if path.is_file():
                zipped.write(path, path.relative_to(layer))
    size = archive.stat().st_size / 1e6
    byte_code = any(layer.rglob("*.pyc"))
    return [
        Row(
            "layer, zipped (arm64)",
            budget=f"≤ {BUDGET_MB:g} MB",
            measured=f"{size:.1f} MB",
            met=size <= BUDGET_MB,
            note="with byte code" if byte_code else "without byte code: no Python of Lambda's version here",
        )
    ]
