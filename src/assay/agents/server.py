"""Server: the tools and resources of a store as a server of the Model Context Protocol."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import metadata
from typing import TYPE_CHECKING, Any, get_type_hints

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import (
    ResourceError,
    ResourceNotFoundError,
    ToolError,
    UnexpectedToolError,
)
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata, func_metadata
from mcp.server.stdio import stdio_server
from mcp.shared._context_streams import create_context_streams
from mcp.shared.message import SessionMessage
from mcp.types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    CallToolResult,
    ErrorData,
    JSONRPCError,
    TextContent,
    ToolAnnotations,
)
from pydantic import ConfigDict, ValidationError

from assay.agents.tools import NEEDS, SHORT, TOOLS, Tools, asking
from assay.core import extras
from assay.core.errors import AssayError, nearest
from assay.core.plain import as_json, plain, plain_all
from assay.core.schema import schema, to_json
from assay.http.guard import CALLER
from assay.http.tokens import EVERYBODY, Holder

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

LONGEST = 600
"""Characters of a refusal."""
HINTS = 60
"""Characters of a name in a refusal."""
JSON = "application/json"
KINDS = {"str", "int", "float", "bool"}
"""What pydantic puts into the place of a wrong argument that may be of several types."""
INSTRUCTIONS = """Assay turns a claim about the inside of a neural network into a measured verdict: holds, fails, unspecific or undecided.
1. experiments() lists what can be asked; experiments(name=…) gives fields, arms and measures of one.
2. write_study(question, experiment, claims, fields) writes a question of your own; every claim needs a threshold, and a control that must fail.
3. plan(study) says what it takes; preregister(study) freezes it before anybody looked, so that its verdicts are confirmatory.
4. run(study) gives a key; status(key, wait_s=30) until it is done; result(key).
Numbers of your own: judge(rows, claim, control).
An estimate is told with its interval, control and scope, and is to be reported with them. Before a job is done there is no verdict. A claim
that is written or changed after a look at its seeds is exploratory: say so, or take fresh seeds (from 1000000 on)."""  # noqa: E501


INVALID = (
    "a message is one line of JSON-RPC 2.0, with a method and, to be answered, an id that is a "
    "text or a whole number"
)
"""What is said of a message that is none."""


class Server(MCPServer[Any]):
    """An MCP server whose refusals are one line each, and say what would be right."""

    def __init__(self, tools: Tools):
        self._offered = {name: _offered(getattr(tools, name), name) for name in TOOLS}
        super().__init__(
            name="assay",
            title="Assay",
            instructions=INSTRUCTIONS,
            version=metadata.version("interp-assay"),
            tools=list(self._offered.values()),
            log_level="ERROR",
        )

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        """Call a tool. Raises: ToolError, one line, for what cannot be answered."""
        if name not in self._offered:
            raise ToolError(
                f"no tool is called {plain(name[:HINTS])!r}; {nearest(name[:HINTS], self._offered)}"
            )
        caller = _caller(context)
        if (right := NEEDS.get(name, "read")) not in caller.rights:
            raise ToolError(
                f"{name}: this token has no right to {right}; its rights are "
                f"{', '.join(caller.rights) or 'none'}"
            )
        try:
            with asking(caller):
                return await super().call_tool(name, arguments, context)
        except UnexpectedToolError as error:
            raise UnexpectedToolError(
                f"{name} came upon a mistake of Assay, and its log has it; nothing was decided"
            ) from error
        except ToolError as error:
            cause = error.__cause__
            told = (
                _wrong(cause, self._offered[name])
                if isinstance(cause, ValidationError)
                else str(cause or error)
            )
            raise ToolError(line(f"{name}: {told}")) from cause

    async def run_stdio_async(self) -> None:
        """Answer on standard input and output, also what is no message of JSON-RPC, of which the
        library says nothing."""
        async with stdio_server() as (received, sent), anyio.create_task_group() as group:
            passed, messages = create_context_streams[SessionMessage | Exception](0)

            async def sort() -> None:
                async with passed:
                    async for message in received:
                        if isinstance(message, Exception):
                            await sent.send(SessionMessage(_invalid(message)))
                        else:
                            await passed.send(message)

            group.start_soon(sort)
            low = self._lowlevel_server
            await low.run(messages, sent, low.create_initialization_options())

    async def read_resource(self, uri: Any, context: Any = None) -> Any:
        """Read a resource. Raises: ResourceError."""
        caller = _caller(context)
        if "read" not in caller.rights:
            raise ResourceError(
                "this token has no right to read; its rights are "
                f"{', '.join(caller.rights) or 'none'}"
            )
        with asking(caller):
            return await super().read_resource(uri, context)


def _invalid(error: Exception) -> JSONRPCError:
    """The answer to what is no message: no JSON, or other JSON; its id is not known."""
    kinds = (
        {detail["type"] for detail in error.errors()}
        if isinstance(error, ValidationError)
        else set[str]()
    )
    code, reason = (
        (PARSE_ERROR, "no JSON") if "json_invalid" in kinds else (INVALID_REQUEST, "no request")
    )
    return JSONRPCError(
        jsonrpc="2.0", id=None, error=ErrorData(code=code, message=f"{reason}: {INVALID}")
    )


def _caller(context: Any) -> Holder:
    """Who asks, as the guard of HTTP found; without one a program of this machine."""
    request = context.request_context.request if context is not None else None
    return EVERYBODY if request is None else request.scope.get(CALLER, EVERYBODY)


def line(text: str) -> str:
    """Make a refusal one line of bounded length, without what a terminal would obey."""
    single_line = plain(" ".join(text.split()))
    return single_line if len(single_line) <= LONGEST else f"{single_line[: LONGEST - 1]}…"


def _offered(method: Callable[..., Any], name: str) -> Tool:
    """A tool of a method: its arguments as they are annotated and no others, its answer as plain
    values with the schema of its type."""
    read = func_metadata(method, structured_output=False).arg_model
    strict: Any = type(
        read.__name__, (read,), {"model_config": ConfigDict(extra="forbid"), "__module__": __name__}
    )
    tool_metadata = FuncMetadata(
        arg_model=strict, output_schema=schema(get_type_hints(method)["return"])
    )

    @wraps(method)
    def answer(**arguments: Any) -> CallToolResult:
        try:
            values = plain_all(to_json(method(**arguments)))
        except AssayError as error:
            raise ToolError(error.request()) from None
        except ModuleNotFoundError as error:
            if lacks := extras.need(error):
                raise ToolError(lacks) from None
            raise
        return CallToolResult(
            content=[TextContent(type="text", text=as_json(values, allow_nan=False))],
            structured_content=values,
        )

    hints = ToolAnnotations(
        read_only_hint=name not in NEEDS,
        destructive_hint=False,
        idempotent_hint=True,
        open_world_hint=False,
    )
    return Tool(
        fn=answer,
        name=name,
        title=None,
        context_kwarg=None,
        description=inspect.getdoc(method) or "",
        parameters=strict.model_json_schema(by_alias=True),
        fn_metadata=tool_metadata,
        is_async=False,
        annotations=hints,
    )


def _wrong(error: ValidationError, tool: Tool) -> str:
    """What the first wrong argument should be, and how many are wrong besides; what was given is
    not repeated."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    first = errors[0]
    same = [
        error for error in errors if _place(error) == _place(first)
    ]  # one for each type that it may have
    message = _place(first) + _advice(first, tool.parameters["properties"])
    if kinds := [error["msg"].removeprefix("Input should be ") for error in same[1:]]:
        message += "".join(f", or {kind}" for kind in dict.fromkeys(kinds))
    return message + (f" ({more} more wrong)" if (more := len(errors) - len(same)) else "")


def _place(error: ErrorDetails) -> str:
    """Where an argument is wrong; which of several types it was held to is left out."""
    return plain(
        ".".join(
            str(part)[:HINTS]
            for part in error["loc"]
            if "[" not in str(part) and str(part) not in KINDS
        )
    )


def _advice(error: ErrorDetails, known: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        return f" is no argument of it; {nearest(str(error['loc'][0])[:HINTS], known)}"
    if error["type"] == "missing":
        about = known.get(str(error["loc"][-1]), {}).get("description", "")
        return " is missing" + (f": {about}" if about else "")
    return f": {error['msg'][0].lower()}{error['msg'][1:]}"


def make_server(tools: Tools) -> Server:
    """Make the server of a store: tools, and experiments and jobs as resources."""
    server = Server(tools)

    def read(answer: Callable[[], Any]) -> str:
        try:
            return as_json(plain_all(to_json(answer())), indent=1, allow_nan=False)
        except AssayError as error:
            raise ResourceNotFoundError(line(error.request())) from None
        except Exception as error:
            raise ResourceError(f"a mistake of Assay: {type(error).__name__}") from error

    @server.resource(
        "assay://experiments",
        mime_type=JSON,
        description="Every experiment of the catalogue, as the tool lists it.",
    )
    def experiments() -> str:
        return read(tools.experiments)

    @server.resource(
        "assay://experiments/{name}",
        mime_type=JSON,
        description="One experiment in full: fields, arms, measures, verdicts.",
    )
    def experiment(name: str) -> str:
        return read(lambda: tools.experiments(name=name[: SHORT + 1]))

    @server.resource(
        "assay://jobs/{key}",
        mime_type=JSON,
        description="How far a job is; its verdicts, once it is done.",
    )
    def job(key: str) -> str:
        return read(lambda: tools.status(key))

    return server
