"""What pages are tested on, made once for all files here, and the browser in which they are looked
at."""

from __future__ import annotations

import dataclasses
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pages_world
import pytest
import tiny_world
from shelf import simulated

from assay.explorer.connections import listen

CHROMIUM = (
    os.environ.get("ASSAY_CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
OFF = ["gpu", "quic", "background-networking", "component-update", "sync"]
FLAGS = ["--no-sandbox", "--no-first-run", *(f"--disable-{part}" for part in OFF)]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> pages_world.World:
    """Two made-up indexes; never written to."""
    return pages_world.world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> simulated.Made:
    """One made-up index; never written to."""
    return simulated.made(tmp_path_factory.mktemp("made"))


@pytest.fixture
def made(original: simulated.Made, tmp_path: Path) -> simulated.Made:
    """A copy of it, to write to."""
    return dataclasses.replace(
        original, folder=Path(shutil.copytree(original.folder, tmp_path / "made"))
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tiny_world.Tiny:
    """A real index of a tiny model; never written to."""
    return tiny_world.make(tmp_path_factory.mktemp("tiny"))


@contextmanager
def serving(app: object) -> Iterator[str]:
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
def served() -> Callable[[object], AbstractContextManager[str]]:
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
