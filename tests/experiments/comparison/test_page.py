"""The page of 64 runs in a real browser: it opens in time, sorts its gallery, and its meshes turn."""

import base64
import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from body_models.smpl import BodyModel
from experiments.comparison.assembly import open_comparison
from experiments.comparison.page import report_html
from experiments.pictures.mesh_viewer import UNIT, quantise
from tests.support.run_folders import write_grid

CHROMIUM = shutil.which("chromium")
OPEN_SECONDS = 2.0
# Appended to the page: what it finds is left in the document.
PROBE = """
<pre id="probe"></pre>
<script>
// A browser that only dumps the document draws no frames.
requestAnimationFrame = (draw) => setTimeout(draw, 0);
addEventListener("load", () => setTimeout(() => {
  const found = {}, times = performance.getEntriesByType("navigation")[0];
  found.open = times.loadEventEnd / 1000;
  const people = () => [...document.querySelectorAll("#people > .person")];
  const sort = document.getElementById("sort");
  sort.value = "disagreement";
  sort.dispatchEvent(new Event("change"));
  found.sorted = people().map((person) => JSON.parse(person.dataset.values).disagreement);
  const meshes = document.getElementById("meshes");
  const pixels = () => meshes.querySelector("canvas") ? meshes.querySelector("canvas").toDataURL() : "";
  meshes.scrollIntoView();
  meshes.querySelector("[data-yaw='0']").click();
  setTimeout(() => {
    found.front = pixels();
    meshes.querySelector("[data-yaw='90']").click();
    setTimeout(() => {
      found.side = pixels();
      meshes.querySelector("canvas")?.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" }));
      setTimeout(() => { found.key = pixels(); meshes.querySelector("[data-zoom='1.25']").click(); }, 100);
      setTimeout(() => {
      found.zoomed = pixels();
      found.focusable = meshes.querySelector("canvas")?.tabIndex;
      found.turning = meshes.classList.contains("turning");
      found.message = meshes.querySelector(".message").textContent;
      found.wide = document.documentElement.scrollWidth - innerWidth;
      document.getElementById("probe").textContent = JSON.stringify(found);
      }, 300);
    }, 500);
  }, 500);
}, 50));
</script>
"""


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "grid"
    write_grid(folder, range(8))
    return open_comparison([folder], people=6, resamples=100)


@pytest.fixture(scope="module")
def page(comparison, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(report_html(comparison).replace("</body>", PROBE + "</body>"), encoding="utf-8")
    return path


def browse(page, *options, size="1300,2600"):
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        f"--window-size={size}", "--virtual-time-budget=8000", *options, "--dump-dom", f"file://{page}",
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    return json.loads(html.unescape(re.search(r'<pre id="probe">(.*?)</pre>', dom, re.DOTALL).group(1)))


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_page_of_64_runs_opens_sorts_and_turns(page):
    found = browse(page, "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
    assert found["open"] < OPEN_SECONDS
    assert len(found["sorted"]) == 6 and found["sorted"] == sorted(found["sorted"], reverse=True)
    assert found["turning"] and found["front"] != found["side"] and len(found["front"]) > 1000
    assert found["wide"] <= 0
    # A key turns, a button zooms.
    assert len({found["side"], found["key"], found["zoomed"]}) == 3 and found["focusable"] == 0


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_page_works_on_a_phone_and_without_webgl(page):
    found = browse(page, "--disable-3d-apis", size="390,844")
    assert not found["turning"] and "no WebGL" in found["message"]
    assert found["wide"] <= 0


def test_stored_meshes_are_exact_to_a_tenth_of_a_millimetre(page):
    text = page.read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="mesh-data">(.*?)</script>', text, re.DOTALL).group(1))
    faces = np.frombuffer(base64.b64decode(data["faces"]), "<u2").reshape(-1, 3)
    assert (faces == BodyModel("free").faces).all()
    assert len(data["people"]) == 4 and len(data["people"][0]["meshes"]) == 8
    vertices = np.random.default_rng(0).uniform(-1, 1, (100, 3)) + np.array([0, 0, 40])
    centred = vertices - (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    assert np.abs(quantise(vertices) * UNIT - centred).max() <= UNIT / 2 + 1e-12


def test_a_page_can_hold_fewer_meshes(comparison):
    data = re.search(r'id="mesh-data">(.*?)</script>', report_html(comparison, meshes=1), re.DOTALL).group(1)
    assert len(json.loads(data)["people"]) == 1
    assert 'id="mesh-data"' not in report_html(comparison, meshes=0)
