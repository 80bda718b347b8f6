"""App: which address is which page. Each page is read by GET as HTML, and with .json at its end as
JSON."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from assay.core.errors import AssayError
from assay.explorer import problems, render
from assay.explorer.guard import Guard, Rules
from assay.explorer.library import Library, Unmade
from assay.explorer.pages import dictionary, feature, home, prompt, search, steer
from assay.explorer.problems import Problem

if TYPE_CHECKING:
    from starlette.requests import Request


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Address:
    """An address and the page function that answers it; `sent`: it takes POST as well."""

    path: str
    page: Callable[..., Any]
    sent: bool = False


ADDRESSES = (
    Address("/", home.page),
    Address("/making", home.progress),
    Address("/{model}/{dictionary}/search", search.page),
    Address("/{model}/{dictionary}/prompt", prompt.page, sent=True),
    Address("/{model}/{dictionary}/steer", steer.page, sent=True),
    Address("/{model}/{dictionary}/{number:int}/activation", feature.page, sent=True),
    Address("/{model}/{dictionary}/{number:int}", feature.page),
    Address("/{model}/{dictionary}", dictionary.page),
)
"""In the order in which they are tried: the particular before the general."""


def application(library: Library, rules: Rules = Rules()) -> Starlette:  # noqa: B008
    """Make the server of a library's pages, which change nothing but keep what they measure."""
    routes = [
        route
        for address in ADDRESSES
        for route in (
            Route(f"{address.path}.json", _answer(address, library, json=True), methods=["GET"]),
            Route(
                address.path,
                _answer(address, library),
                methods=["GET", "POST"] if address.sent else ["GET"],
            ),
        )
    ]
    static = [
        Route("/static/style.css", _style, methods=["GET"]),
        Mount("/static", StaticFiles(directory=str(files("assay.explorer").joinpath("static")))),
    ]
    return Starlette(
        routes=[*static, *routes],
        middleware=[Middleware(Guard, rules=rules)],
        exception_handlers={HTTPException: partial(_unknown, library)},
    )


# starlette's own types
def _answer(address: Address, library: Library, json: bool = False):  # type: ignore[no-untyped-def]
    async def answer(request: Request) -> Response:
        path = request.url.path
        try:
            query = await _asked(request)
            if json:  # a page asks for exact numbers by itself, after the first-order ones
                query = QueryParams([("exact", "1"), *query.multi_items()])
            shown = await run_in_threadpool(address.page, library, request.path_params, query)
            if isinstance(shown, render.Moved):
                return RedirectResponse(shown.to, 303)
            if json:
                return Response(
                    await run_in_threadpool(render.data, shown), media_type="application/json"
                )
            page = await run_in_threadpool(render.html, shown, path, library.shelf())
            return Response(page, media_type="text/html")
        except Unmade as error:  # no error: the page is there soon, and asks again by itself
            shown = home.waiting(error.making)
            return (
                Response(render.data(shown), media_type="application/json")
                if json
                else Response(render.html(shown, path), media_type="text/html")
            )
        except AssayError as error:
            return _problem(problems.to_problem(error), path, json, library)
        except (
            Exception
        ):  # a mistake of the program: its traceback belongs in the terminal, not on the page
            log.exception("a page failed: %s", path)
            return _problem(
                Problem(500, "this page failed; the terminal in which the server runs says where"),
                path,
                json,
                library,
            )

    return answer


async def _asked(request: Request) -> QueryParams:
    """The query string, and after it the fields of a form that was sent."""
    if request.method != "POST":
        return request.query_params
    sent = parse_qsl((await request.body()).decode(errors="replace"), keep_blank_values=True)
    return QueryParams([*request.query_params.multi_items(), *sent])


def _problem(problem: Problem, path: str, json: bool, library: Library) -> Response:
    if json:
        return Response(render.problem_data(problem), problem.status, media_type="application/json")
    page, shelf = problem.page, library.shelf()
    shown = render.Shown(*page) if page else render.problem(problem, path, shelf)
    html = render.html(shown, path, shelf)
    return Response(html, problem.status, media_type="text/html")


async def _unknown(library: Library, request: Request, error: Exception) -> Response:
    """An address that is no page, or a method that it does not take."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    words = (
        "there is no page at this address" if status == 404 else HTTPStatus(status).phrase.lower()
    )
    path = request.url.path
    return _problem(Problem(status, words), path, path.endswith(".json"), library)


async def _style(_: Request) -> Response:
    return Response(render.style(), media_type="text/css")
