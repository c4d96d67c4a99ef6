"""One run of the whole arrow, from an installed wheel in an empty folder with an empty home."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

BINARIES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next((path for name in BINARIES if (path := shutil.which(name))), None)
DRIVER = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
SWITCHES = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1280,1000"),
)
MAIN = "from hierlandmarks.cli import main; main()"


@dataclass(frozen=True)
class Installation:
    """The wheel, installed apart from the checkout."""

    site: Path
    home: Path
    folder: Path

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run the command line of the installed wheel in the empty folder."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.site),
            "HOME": str(self.home),
            "HIERLANDMARKS_HOME": str(self.home / "cache"),
            "HIERLANDMARKS_OFFLINE": "1",
            **(env or {}),
        }
        return subprocess.run(
            [sys.executable, "-c", MAIN, *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )


@dataclass(frozen=True)
class Demo:
    """What the demo left behind and what it said."""

    out: Path
    data: dict[str, Any]
    talk: str


@pytest.fixture(scope="session")
def installation(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The project as a user has it: a wheel, built and installed without the checkout."""
    base = tmp_path_factory.mktemp("installation")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", base / "wheel", root], check=True)
    wheel = next((base / "wheel").glob("hierlandmarks-*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", base / "site", wheel], check=True)
    (base / "home").mkdir()
    (base / "folder").mkdir()
    return Installation(base / "site", base / "home", base / "folder")


@pytest.fixture(scope="session")
def demo(installation: Installation) -> Demo:
    """`hierlandmarks demo --json` from the installed wheel."""
    done = installation.run("demo", "--out", "demo", "--json")
    assert done.returncode == 0, done.stderr
    return Demo(installation.folder / "demo", json.loads(done.stdout), done.stderr)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless browser, driven by selenium; skips where none is installed."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("Chromium or its driver is not installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = CHROMIUM
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def view(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address in a window of a width, light or dark, with scripts or without; nothing on it moves."""

    def view(address: str, width: int = 1280, scheme: str = "light", scripts: bool = True) -> Any:
        screen = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        media = {"features": [{"name": name, "value": value} for name, value in wishes.items()]}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        chromium.get("about:blank")
        chromium.get(address)
        return chromium

    yield view
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
