"""How smoothly the network view is scrubbed, and how long it takes from one level to the next, in a real browser.

    python -m bench.bench_scrub

Starts the app with a small training and two large networks with random weights. Scrubbing changes the slider at every
frame: the epochs of the training, already fetched once, and the ops of its walk back, at 1440 px and at 390 px with the
processor slowed four times. Counted are the frames a second in which the browser came to draw, and beside it the time
of the page's thread for one frame: other work on the machine makes the first smaller and leaves the second. A change of
level is the time from the press to the painted frame in which nothing is left to do, less the time in which the browser
waited for data. Medians, written to bench/results/.
"""

import datetime
import os
import platform
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import onnx
from playwright.sync_api import CDPSession, Page, sync_playwright

from bench.report import save
from bench.served import served
from playground.deploy import contract, registry
from playground.training.runs import runs
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ROUNDS, SECONDS, EPOCHS = 5, 3, 20
NETWORK = "c16-b-r-c16-r-p2-c32-b-r-p2-f-d32-r-d10"
LEVEL_GOAL = 250  # milliseconds, plus data
SCREENS = ((1440, 900, 1, 50), (390, 844, 4, 30))
"""Width, height, how many times the processor is slowed, frames a second that are the goal."""
SUBJECTS = {"training": "training+film&picture=Handwritten+digit", "EfficientNet-Lite0": "lite0&picture=Cat",
            "ResNet-18": "resnet18&picture=Cat"}
STILL = '.network[aria-busy="false"] .pane:not([hidden]) canvas'
FOUND = """const find = (root) => root.querySelector('.network')
  ?? [...root.querySelectorAll('*')].map((one) => one.shadowRoot && find(one.shadowRoot)).find(Boolean);
const view = find(document);"""
SCRUBBED = """([slider, seconds]) => new Promise((done, failed) => {""" + FOUND + """
  setTimeout(() => failed(new Error('no frames came')), seconds * 1000 + 60000);
  const range = view.querySelector(`${slider} input[type=range]`), began = performance.now();
  if (!range) return failed(new Error('there is no slider'));
  let frames = 0, at = 0, way = 1;
  const tick = (now) => {
    if (now - began > seconds * 1000) return done(frames / ((now - began) / 1000));
    frames += 1;
    at += way;
    if (at > Number(range.max) || at < 0) { way = -way; at += 2 * way; }
    range.value = at;
    range.dispatchEvent(new Event('input', {bubbles: true}));
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
})"""
# Milliseconds from a press to the painted frame with all of it, and of these the ones in which data was on its way.
CHANGED = """(button) => new Promise((done, failed) => {""" + FOUND + """
  setTimeout(() => failed(new Error(`nothing was drawn after ${button}`)), 60000);
  const asked = window.fetch, began = performance.now();
  let open = 0, since = 0, waited = 0;
  window.fetch = (...what) => {
    if (!open++) since = performance.now();
    const over = () => { if (!--open) waited += performance.now() - since; };
    return asked(...what).then(async (answer) => {
      const body = await answer.clone().arrayBuffer();
      over();
      return new Response(body, answer);
    }, (error) => { over(); throw error; });
  };
  const changed = new MutationObserver(() => {
    if (view.getAttribute('aria-busy') === 'true') return;
    changed.disconnect();
    window.fetch = asked;
    requestAnimationFrame(() => setTimeout(() => done([performance.now() - began, waited])));
  });
  changed.observe(view, {attributes: true, attributeFilter: ['aria-busy']});
  const shown = [...view.querySelectorAll(button)].filter((one) => one.getClientRects().length);
  shown[0].click();
})"""
LEVELS = (("a stage opened", ".pane .open"), ("to a part", ".pane button.head"), ("to a map", ".pane .cursor"),
          ("to a number", ".pane .cursor"), ("back to the map", ".crumbs button:nth-last-of-type(1)"),
          ("back to the part", ".crumbs button:nth-last-of-type(1)"), ("back to the network", ".crumbs button"),
          ("the stage closed", ".pane .open[aria-label^=Close]"))


def prepare(home: Path) -> None:
    """A training with a history and the two large networks, in a home."""
    os.environ["PLAYGROUND_HOME"] = str(home)
    spec = RunSpec("digits", {"data": "digits", "network": NETWORK, "epochs": EPOCHS, "train_pictures": 200}, 0, "film")
    folder = runs.new_folder()
    runs.write_spec(folder, spec, "cpu")
    for event in numpy_fit.fit(spec, folder, lambda: False):
        runs._append(folder, event)
    for name in ("lite0", "resnet18"):
        put_large(name)


def put_large(name: str, side: int = 224) -> None:
    """One of the large networks, with random weights, for pictures `side` pixels wide, among the models."""
    from tests.playground.view.networks import filed

    file = filed(name, side)
    core = onnx.ModelProto()
    core.CopyFrom(file.core)
    core.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    model = contract.finish(core, file.preprocessing, file.labels, "random weights")
    card = {**file.preprocessing.to_dict(), "sentence": file.preprocessing.sentence()}
    registry.put(name, model, {"preprocessing": card})


def open_view(page: Page, url: str, subject: str) -> None:
    page.goto(f"{url}/network?model={SUBJECTS[subject]}")
    page.locator(STILL).first.wait_for()
    ended(page)


def ended(page: Page) -> None:
    """Wait until the app's script has ended and the view is still: it begins anew a moment after each press."""
    page.wait_for_timeout(700)  # the script begins when the browser has told the server where the reader is
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
    page.locator(STILL).first.wait_for()


def scrubbed(page: Page, cdp: CDPSession, slider: str, slow: float) -> dict[str, float]:
    """Frames a second and the milliseconds of the page's thread for one; the first round, which fetches, is left
    out."""
    page.locator(slider).evaluate("(one) => one.scrollIntoView({block: one.matches('.film') ? 'end' : 'start'})")
    rates, times = [], []
    for turn in range(ROUNDS + 1):
        if turn == 1:
            cdp.send("Emulation.setCPUThrottlingRate", {"rate": slow})
        before = thread_seconds(cdp)
        rates.append(float(page.evaluate(SCRUBBED, [slider, SECONDS])))
        times.append(1000 * (thread_seconds(cdp) - before) / max(1.0, rates[-1] * SECONDS))
    cdp.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    return {"frames": statistics.median(rates[1:]), "least": min(rates[1:]), "most": max(rates[1:]),
            "thread_ms": statistics.median(times[1:])}


def thread_seconds(cdp: CDPSession) -> float:
    """How long the page's thread has worked so far."""
    metrics = cdp.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "ThreadTime"))


def scrubbing(page: Page, url: str) -> list[dict[str, Any]]:
    """The film of a training and its walk back, on every screen."""
    rows = []
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")
    for width, height, slow, goal in SCREENS:
        page.set_viewport_size({"width": width, "height": height})
        open_view(page, url, "training")
        for name, slider in (("epochs", ".film"), ("walk back", ".walk")):
            if slider == ".walk":
                page.get_by_role("button", name="Backward").click()
                page.get_by_text("all walked").wait_for()
                ended(page)
            rows.append({"what": name, "width": width, "slowed": slow, "goal": goal,
                         **scrubbed(page, cdp, slider, slow)})
    return rows


def levels(page: Page, url: str) -> list[dict[str, Any]]:
    """Every network's way down to a number and back up, several times."""
    page.set_viewport_size({"width": 1440, "height": 900})
    rows = []
    for subject in SUBJECTS:
        found: dict[str, list[list[float]]] = {}
        for _ in range(ROUNDS):
            open_view(page, url, subject)
            for name, button in LEVELS:
                found.setdefault(name, []).append(page.evaluate(CHANGED, button))
                ended(page)
        rows += [{"network": subject, "level": name, "ms": statistics.median(total - data for total, data in took),
                  "most_ms": max(total - data for total, data in took),
                  "data_ms": statistics.median(data for _, data in took)} for name, took in found.items()]
    return rows


def main() -> None:
    home = Path(tempfile.mkdtemp())
    prepare(home)
    with served(home) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        smooth = scrubbing(page, url)
        changes = levels(page, url)
        browser.close()
    lines = ["| scrubbed | screen | frames a second, median (least to most; goal) | thread, ms a frame |",
             "|---|---|---|---|"]
    for row in smooth:
        screen = f"{row['width']} px" + (f", processor slowed {row['slowed']} times" if row["slowed"] > 1 else "")
        missed = " (missed)" if row["frames"] < row["goal"] else ""
        lines.append(f"| {row['what']} | {screen} | {row['frames']:.0f} ({row['least']:.0f} to {row['most']:.0f}; "
                     f"≥ {row['goal']}){missed} | {row['thread_ms']:.1f} |")
    lines += ["", f"| network | level | ms without data (most; goal ≤ {LEVEL_GOAL}) | of data |", "|---|---|---|---|"]
    for row in changes:
        missed = " (missed)" if row["ms"] > LEVEL_GOAL else ""
        lines.append(f"| {row['network']} | {row['level']} | {row['ms']:.0f} ({row['most_ms']:.0f}){missed} | "
                     f"{row['data_ms']:.0f} |")
    about = (f"{datetime.date.today()}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, load "
             f"{os.getloadavg()[0]:.1f} at the end, headless Chromium without a graphics card, {ROUNDS} rounds of "
             f"{SECONDS} s, medians")
    print("\n".join(lines))
    save("scrub", about, "\n".join(lines), scrubbing=smooth, levels=changes)


if __name__ == "__main__":
    main()
