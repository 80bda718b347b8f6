"""A browser in which pages are looked at, and what serves an application to it."""

import os
import shutil
import threading
from contextlib import contextmanager

import pytest

from assay.explorer.connections import listen

CHROMIUM = (
    os.environ.get("ASSAY_CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
OFF = ["gpu", "quic", "background-networking", "component-update", "sync"]
FLAGS = ["--no-sandbox", "--no-first-run", *(f"--disable-{part}" for part in OFF)]


SHAPES = [
    {"viewport": {"width": w, "height": 900}, "color_scheme": scheme}
    for w in (1280, 400)
    for scheme in ("light", "dark")
]

CONTRAST = """() => {
  const line = v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = c.map(line); return .2126 * r + .7152 * g + .0722 * b };
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const paper = el => {
    const stack = [];
    for (; el; el = el.parentElement) {
      const c = parse(getComputedStyle(el).backgroundColor);
      stack.push(c);
      if (c.length < 4 || c[3] === 1) break;
    }
    const over = (below, c) => { const a = c.length < 4 ? 1 : c[3]; return [0, 1, 2].map(i => a * c[i] + (1 - a) * below[i]) };
    return stack.reverse().reduce(over, [255, 255, 255]);
  };
  const poor = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const el = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !el.checkVisibility({visibilityProperty: true}) || el.closest('svg, option, .skip')) continue;
    const [a, b] = [light(parse(getComputedStyle(el).color)), light(paper(el))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) poor.push([el.tagName, el.className, walk.currentNode.data.slice(0, 30), (a + .05) / (b + .05)]);
  }
  return poor;
}"""  # noqa: E501


CUT_OFF = """() => {
  const wrong = [], box = el => el.getBoundingClientRect();
  for (const svg of document.querySelectorAll('svg')) {
    if (svg.ownerSVGElement || !svg.checkVisibility()) continue;
    const frame = box(svg), seen = [];
    for (const text of svg.querySelectorAll('text')) {
      const words = text.textContent.trim(), r = box(text);
      if (!words || !r.width || getComputedStyle(text).opacity === '0') continue;
      if (r.left < frame.left - 1 || r.right > frame.right + 1 || r.top < frame.top - 1 || r.bottom > frame.bottom + 1)
        wrong.push(['outside its figure', words]);
      for (const [other, o] of seen)  // a text may lie on its own halo
        if (other !== words && Math.min(r.right, o.right) - Math.max(r.left, o.left) > 1 && Math.min(r.bottom, o.bottom) - Math.max(r.top, o.top) > 3)
          wrong.push(['on each other', other, words]);
      seen.push([words, r]);
    }
  }
  return wrong;
}"""  # noqa: E501
"""The texts of figures that lie outside their figure or on each other, as a browser sets them."""


@contextmanager
def serving(app):
    """Answer at an address of this machine meanwhile; the address."""
    import uvicorn

    listening = listen("127.0.0.1", 0)
    running = uvicorn.Server(
        uvicorn.Config(app, log_level="error", lifespan="off", access_log=False)
    )
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    running.should_exit = True
    thread.join(20)


@pytest.fixture(scope="session")
def served():
    """What serves an application to a browser."""
    return serving


@pytest.fixture(scope="module")
def browser():
    """Chromium. Of each file its own: while Playwright is open, no other test can run a loop of
    asyncio in this thread."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'"
    )
    if CHROMIUM is None:
        pytest.skip("no Chromium: install it, or name it in ASSAY_CHROMIUM")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(request, browser, server):
    """A page of a file's `server` that fails its test for any error on the console, any dialog and
    any request to another host."""
    how = {"viewport": {"width": 1280, "height": 900}} | getattr(request, "param", {})
    context, wrong = browser.new_context(base_url=server, **how), []
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    opened.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    opened.on("pageerror", lambda e: wrong.append(str(e)))
    opened.on("dialog", lambda d: wrong.append(f"a dialog: {d.message}"))
    opened.on("request", lambda r: wrong.append(r.url) if not r.url.startswith(server) else None)
    # the browser gives up on the icon of a page that is left before it came
    left = f"{server}/static/icon.svg net::ERR_ABORTED"
    opened.on(
        "requestfailed",
        lambda r: (
            wrong.append(f"failed: {r.url} {r.failure}") if f"{r.url} {r.failure}" != left else None
        ),
    )
    yield opened
    context.close()
    assert not wrong
