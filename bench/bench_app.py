"""How long a reader waits: every page's first paint, and a slider's way to the redrawn figure, in a real browser.

    python -m bench.bench_app [--rounds N] [--pages convolution pooling ...]
    python -m bench.bench_app --preset

Starts the app with an empty PLAYGROUND_HOME, opens every page once so that the server is warm, then measures. A page's
first paint is the time from the navigation to the frame with its heading and claim; "all of it" is the time until its
script has ended. For sliders, every press of an arrow key on a page's sliders is timed from the key to the frame in
which the first figure has changed, and to the frame after the last script that it starts. In the designer it is a key
on a step of a card (one filter more or less of a residual network), and the cards redrawn. With --preset it is the way
from a preset to the first point of its training's curve, in three clicks: the list, the preset, Start. Frames and keys
are timed by the page's own clock: asked from outside, a page that draws its figures answers late (`asked_ms` in the
JSON is when the driver of the browser had seen the heading). The browser keeps its cache, as a reader's does.
Milliseconds are of this machine, so they stand beside its name. Results are written to bench/results/.
"""

import argparse
import datetime
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Page, sync_playwright

from bench.report import save
from bench.served import served
from playground.ui.contents import CHAPTERS

PAINT_GOAL, SLIDER_GOAL = 1000, 200  # milliseconds
POINT_GOAL = 10  # seconds
TRAININGS = 3
PRESSES = 40
DESIGN = "train?network=resnet8"
PRESET = "ResNet-8"
FIRST_POINT = '.st-key-run-panel [data-testid="stPlotlyChart"] .scatterlayer .trace path'
ENDED = '[data-testid="stApp"][data-test-script-state="notRunning"]'
QUIET = 700  # milliseconds without a script running after which nothing more will come
# Sets __painted to [heading, milliseconds from the navigation to the frame that has it and the claim on the screen].
PAINTED = """(() => {
  const look = () => {
    const heading = document.querySelector('h1'), claim = document.querySelector('.st-key-claim p');
    if (!heading?.innerText || !claim?.innerText) return requestAnimationFrame(look);
    const title = heading.innerText;
    requestAnimationFrame(() => requestAnimationFrame(() => { window.__painted = [title, performance.now()]; }));
  };
  requestAnimationFrame(look);
})();"""
# Resolves with [milliseconds from the key to the first painted frame in which a figure (chart, picture, formula,
# component, table of numbers) has changed, milliseconds to the painted frame after the last of the scripts that
# followed]. A quick script may begin and end between two frames, so that its state never shows.
REDRAWN = """(quiet) => { window.__redrawn = new Promise((resolve) => {
  const app = document.querySelector('[data-testid="stApp"]');
  let began = performance.now();
  document.addEventListener('keydown', (event) => { began = event.timeStamp; }, {capture: true, once: true});
  const kinds = ['stPlotlyChart', 'stImage', 'stBidiComponentRegular', 'stBidiComponentIsolated'];
  const figures = kinds.map((kind) => `[data-testid="${kind}"]`).join() + ',.katex';
  const drawn = (node) => node.nodeType === 1 && (node.matches(figures) || node.querySelector(figures));
  const within = (node) => node.getRootNode() !== document // inside a component
    || (node.nodeType === 1 ? node : node.parentElement)?.closest(figures);
  const painted = (then) => requestAnimationFrame(() => requestAnimationFrame(() => then(performance.now() - began)));
  let figure = null, ended = null, rest = 0;
  const finish = () => { seen.disconnect(); watch.disconnect(); resolve(figure && [figure, ended || figure]); };
  const wait = () => { clearTimeout(rest); rest = setTimeout(finish, quiet); };
  const seen = new MutationObserver((changes) => {
    if (figure !== null || !changes.some((one) => within(one.target) || [...one.addedNodes].some(drawn))) return;
    figure = 0;
    painted((took) => { figure = took; wait(); });
  });
  const options = {subtree: true, childList: true, characterData: true, attributes: true};
  seen.observe(app, options);
  for (const node of app.querySelectorAll('*')) if (node.shadowRoot) seen.observe(node.shadowRoot, options);
  const watch = new MutationObserver(() => {
    if (app.getAttribute('data-test-script-state') === 'running') clearTimeout(rest);
    else painted((took) => { ended = took; wait(); });
  });
  watch.observe(app, {attributes: true, attributeFilter: ['data-test-script-state']});
  setTimeout(finish, 8000);
}); }"""


def visit(page: Page, url: str, title: str) -> tuple[float, float, float]:
    """Milliseconds from the navigation to the painted heading and claim, to the driver's sight of them, and to the end
    of the page's script."""
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.get_by_role("heading", name=title, exact=True).first.wait_for()
    page.locator(".st-key-claim p").first.wait_for()
    asked = time.perf_counter() - began
    page.locator(ENDED).wait_for()
    ended = time.perf_counter() - began
    while (said := page.evaluate("window.__painted")) is None:
        time.sleep(0.005)
    heading, painted = said
    if heading != title:
        raise SystemExit(f"{url} was painted with the heading {heading!r}, not {title!r}.")
    return float(painted), 1000 * asked, 1000 * ended


def slide(page: Page) -> list[tuple[float, float]]:
    """Milliseconds to the first redrawn figure and to the end, of presses shared out over the sliders of a page."""
    page.wait_for_timeout(2000)  # the browser draws on for a while after the last element has arrived
    sliders = list(range(min(3, page.get_by_test_id("stSlider").count())))
    waits: list[tuple[float, float]] = []
    for press in range(PRESSES):
        if not sliders:
            break
        which = sliders[press % len(sliders)]
        thumb = page.get_by_test_id("stSlider").nth(which).get_by_role("slider").first
        if not thumb.is_visible() or thumb.is_disabled():
            sliders.remove(which)
            continue
        # A press into the end of the scale moves nothing, and would wait in vain for a figure
        bottom, top = thumb.evaluate("(one) => [one.value === one.min, one.value === one.max]")
        thumb.focus()
        page.evaluate(REDRAWN, QUIET)
        page.keyboard.press("ArrowLeft" if top or (press % 4 == 3 and not bottom) else "ArrowRight")
        took = page.evaluate("() => window.__redrawn")
        if took is None:  # it moves no figure: how long a training is to be, say
            sliders.remove(which)
        else:
            waits.append((float(took[0]), float(took[1])))
    return waits


def edit(page: Page) -> list[tuple[float, float]]:
    """Milliseconds from a key on a step of the designer's cards to all of them redrawn, and to the end."""
    page.wait_for_timeout(2000)  # as in `slide`
    waits: list[tuple[float, float]] = []
    for press in range(PRESSES):
        name = f"one {'less' if press % 2 else 'more'}: number of filters"
        step = page.get_by_role("button", name=name).nth(press % 5)
        step.focus()
        page.evaluate(REDRAWN, QUIET)
        page.keyboard.press("Enter")
        if (took := page.evaluate("() => window.__redrawn")) is not None:
            waits.append((float(took[0]), float(took[1])))
    return waits


def train(page: Page, url: str) -> float:
    """Seconds from the first of three clicks that choose a preset and start its training to the first point of its
    curve."""
    page.goto(f"{url}/train?epochs=2")
    page.get_by_role("combobox", name="Start from").wait_for()
    page.locator(ENDED).wait_for()
    page.wait_for_timeout(2000)  # as in `slide`
    began = time.perf_counter()
    page.get_by_role("combobox", name="Start from").click()
    page.get_by_role("option", name=PRESET).click()
    page.locator('[data-testid="stCaptionContainer"]', has_text="He et al.").wait_for()
    page.get_by_role("button", name="Start training").click()
    page.locator(FIRST_POINT).first.wait_for(state="attached")
    took = time.perf_counter() - began
    page.get_by_role("heading", name="What came out").wait_for()  # so that the next one is not waiting in the queue
    return took


def p95(values: list[float]) -> float:
    """The value that 95 of 100 do not exceed."""
    return sorted(values)[max(0, -(-95 * len(values) // 100) - 1)]


@contextmanager
def opened() -> Iterator[tuple[Page, str]]:
    """A window of a browser, and the address of an app that runs for it."""
    with served() as url, sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 1200})
        page.add_init_script(PAINTED)
        yield page, url
        browser.close()


def measure(rounds: int, pages: list[str]) -> list[dict[str, Any]]:
    """One row a page: medians of its first paint and of its whole script, and the p95 of its sliders."""
    rows = []
    with opened() as (page, url):
        chosen = [c for c in CHAPTERS if c.url in pages or not pages]
        for c in chosen:
            visit(page, f"{url}/{c.url}", c.title)
        for c in chosen:
            visits = [visit(page, f"{url}/{c.url}", c.title) for _ in range(rounds)]
            if c.url == "train":
                visit(page, f"{url}/{DESIGN}", c.title)
            waits = edit(page) if c.url == "train" else slide(page)
            rows.append({
                "page": c.url, "first_paint_ms": statistics.median(v[0] for v in visits),
                "asked_ms": statistics.median(v[1] for v in visits),
                "all_ms": statistics.median(v[2] for v in visits), "slider_presses": len(waits),
                "slider_p95_ms": p95([w[0] for w in waits]) if waits else None,
                "slider_all_p95_ms": p95([w[1] for w in waits]) if waits else None,
            })
            print(table(rows).splitlines()[-1], file=sys.stderr, flush=True)
    return rows


def to_first_point(trainings: int = TRAININGS) -> list[float]:
    """Seconds of `train`, the server warm: the first one is not counted."""
    with opened() as (page, url):
        page.set_default_timeout(120_000)
        return [train(page, url) for _ in range(1 + trainings)][1:]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown, what misses its goal marked."""
    lines = [f"| page | first paint, ms (goal < {PAINT_GOAL}) | all, ms | slider to redrawn figure p95, ms "
             f"(goal < {SLIDER_GOAL}) | slider to all p95, ms |", "|---|---|---|---|---|"]
    for row in rows:
        paint, wait = row["first_paint_ms"], row["slider_p95_ms"]
        slid = "not measured" if wait is None else f"{wait:.0f}{' (missed)' if wait >= SLIDER_GOAL else ''}"
        whole = "" if wait is None else f"{row['slider_all_p95_ms']:.0f}"
        lines.append(f"| {row['page']} | {paint:.0f}{' (missed)' if paint >= PAINT_GOAL else ''} | {row['all_ms']:.0f} "
                     f"| {slid} | {whole} |")
    return "\n".join(lines)


def machine() -> str:
    """What the numbers are of."""
    return (f"{datetime.date.today()}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, Chromium, "
            "server warm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pages", nargs="+", default=[], choices=[c.url for c in CHAPTERS], metavar="PAGE")
    parser.add_argument("--preset", action="store_true", help="only from a preset to the first point of its curve")
    options = parser.parse_args()
    if options.preset:
        took = to_first_point()
        about = f"{machine()}, load {os.getloadavg()[0]:.1f} at the end"
        middle = statistics.median(took)
        said = (f"From a preset ({PRESET} on the digits) to the first point of its curve, 3 clicks, median of "
                f"{len(took)}: {middle:.1f} s (goal <= {POINT_GOAL}{', missed' if middle > POINT_GOAL else ''})")
        print(f"{about}\n\n{said}\n")
        save("preset", about, said, seconds=took)
        return
    rows = measure(options.rounds, options.pages)
    about = machine()
    print(f"{about}\n\n{table(rows)}\n")
    save("app", about, table(rows), rows=rows)


if __name__ == "__main__":
    main()
