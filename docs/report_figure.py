"""Draws figures/report.png: headline, first curves and map of the report of a run, in headless Chromium.

Usage: python docs/report_figure.py RUN
Needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver).
"""

from __future__ import annotations

import base64
import shutil
import sys
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

from oger.reporting.report import build_report

OUT = Path(__file__).parent / "figures" / "report.png"
WIDTH = 1240

# The rest of the page is left out, and the map is at its last step.
PREPARE = """
for (const section of document.querySelectorAll("main > section")) {
  if (!["headline", "curves", "map"].includes(section.id)) section.remove();
}
for (const extra of document.querySelectorAll("#curves .grid > :nth-child(n + 7), #curves details")) extra.remove();
const slider = document.getElementById("map-step");
slider.value = slider.max;
slider.dispatchEvent(new Event("input"));
document.getElementById("map-numbers").open = false;
return document.documentElement.scrollHeight;
"""


def main(run: Path) -> None:
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        sys.exit("error: chromium and chromedriver are not installed: apt-get install chromium chromium-driver")
    options = Options()
    options.binary_location = chromium
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WIDTH},900"):
        options.add_argument(flag)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        build_report([run], page)
        driver = webdriver.Chrome(options=options, service=Service(chromedriver))
        try:
            driver.get(page.as_uri())
            WebDriverWait(driver, 60).until(lambda d: d.execute_script("return document.documentElement.dataset.ready"))
            height = driver.execute_script(PREPARE)
            clip = {"x": 0, "y": 0, "width": WIDTH, "height": height, "scale": 1}
            shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        finally:
            driver.quit()
    OUT.write_bytes(base64.b64decode(shot["data"]))
    print(OUT)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
