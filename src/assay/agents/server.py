"""Server: the tools and resources of a store as a server of the Model Context Protocol. Each tool
is a method; its docstring and the descriptions of its arguments are all that an agent reads of
it."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, get_type_hints
from urllib.parse import unquote

import anyio
import msgspec
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextContent,
    TextResourceContents,
    Tool,
    ToolAnnotations,
)

from assay import errors
from assay.agents.arguments import SHORT
from assay.agents.questions import Questions
from assay.agents.running import Running
from assay.agents.tables import OwnTables
from assay.ask.fields import meanings
from assay.ask.text import ClaimEntry, EstimateEntry, Literature
from assay.core import heavy
from assay.core.errors import AssayError, nearest, request_of
from assay.core.plain import as_json, plain, plain_all
from assay.core.schema import to_json


class Tools(Questions, Running, OwnTables):
    """What can be asked of one store."""


WRITING = ("preregister", "run", "cancel", "check")
"""Tools that change something, or run code; all others only read."""
TOOLS = (
    "experiments",
    "page",
    "ask_model",
    "check",
    "write_study",
    "plan",
    "preregister",
    "run",
    "status",
    "result",
    "cancel",
    "judge",
    "estimate",
)
"""Every tool, in the order in which they are listed."""


LONGEST = 600
"""Characters of a refusal."""
HINTS = 60
"""Characters of a name in a refusal."""
JSON = "application/json"
INSTRUCTIONS = """Assay turns a claim about the inside of a neural network into a measured verdict: holds, fails, unspecific or undecided.
1. A language model is asked by ask_model(question, model, prompts, reads, interventions, …): steered, patched, ablated, probed, with near controls.
   A hook of your own is judged by check: call it before you write "causes", "encodes" or "is responsible for".
2. experiments() lists experiments; write_study(question, experiment, claims, fields) asks one a question of your own; every claim needs a threshold.
3. plan(study) says what it takes; preregister(study) freezes it before anyone looked, so that its verdicts are confirmatory.
4. run(study) gives a key; status(key, wait_s=30) until it is done; result(key).
Numbers of your own: judge(rows, claim, control).
Report an estimate with its interval, control and scope, as you got it. Before a run is done there is no verdict. A claim that is
written or changed after a look at its seeds is exploratory: say so, or take fresh seeds (from 1000000 on)."""  # noqa: E501
RESOURCE, ONE, JOB = "assay://experiments", "assay://experiments/{name}", "assay://jobs/{key}"
TEMPLATES = {
    ONE: "One experiment in full: fields, arms, measures, verdicts.",
    JOB: "How far a run is; its verdicts, once it is done.",
}
log = logging.getLogger(__name__)


class _Offered:
    """A tool: its arguments as its method's types say and no others, and its description."""

    def __init__(self, name: str):
        method = getattr(Tools, name)
        hints = get_type_hints(method, include_extras=True)
        parameters = list(inspect.signature(method).parameters.values())[1:]
        fields: list[Any] = [
            (p.name, hints[p.name], *([] if p.default is p.empty else [p.default]))
            for p in parameters
        ]
        self.kind = msgspec.defstruct(name, fields, forbid_unknown_fields=True, kw_only=True)
        described = msgspec.json.schema(self.kind)["$defs"]
        for kind in (ClaimEntry, EstimateEntry, Literature):
            for field, text in meanings(kind).items() if kind.__name__ in described else ():
                described[kind.__name__]["properties"][field]["description"] = text
        schema = described.pop(name) | ({"$defs": described} if described else {})
        self.properties: Mapping[str, Any] = schema["properties"]
        description, _, arguments = (inspect.getdoc(method) or "").partition("\nArgs:\n")
        for argument in re.split(r"\n    (?=\w)", arguments.removeprefix("    ")):
            field, _, text = argument.partition(": ")
            if field:
                self.properties[field]["description"] = " ".join(text.split())
        self.tool = Tool(
            name=name,
            description=description.strip(),
            input_schema={k: v for k, v in schema.items() if k != "title"},
            annotations=ToolAnnotations(
                read_only_hint=name not in WRITING,
                destructive_hint=False,
                idempotent_hint=True,
                open_world_hint=False,
            ),
        )

    def read(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Read the arguments of a call. Raises: AssayError, one line; what was given is not
        repeated."""
        try:
            return msgspec.structs.asdict(msgspec.convert(arguments, self.kind))
        except msgspec.ValidationError as error:
            problem, _, where = str(error).partition(" - at `$")
            raise AssayError(self._advice(problem, where.strip(".`"))) from None
        except (RecursionError, OverflowError):
            raise AssayError("an argument nests too deep, or is too large a number") from None

    def _advice(self, problem: str, where: str) -> str:
        field = problem.rpartition(" field ")[2].strip("`")[:HINTS]
        if "unknown field" in problem and not where:
            return f"{field} is not an argument of this tool; {nearest(field, self.properties)}"
        if "missing required" in problem and not where:
            about = self.properties[field].get("description", "")
            return f"{field} is missing" + (f": {about}" if about else "")
        return f"{where or 'arguments'}: {problem[:1].lower()}{problem[1:].replace('`', '')}"


def make_server(tools: Tools) -> Server[Any]:
    """Make the server of a store: tools, and experiments and jobs as resources. Every refusal is
    one line, and says what would be right."""
    offered = {name: _Offered(name) for name in TOOLS}

    async def list_tools(context: Any, params: Any) -> ListToolsResult:
        return ListToolsResult(tools=[each.tool for each in offered.values()])

    async def call_tool(context: Any, params: CallToolRequestParams) -> CallToolResult:
        arguments = params.arguments or {}
        return await anyio.to_thread.run_sync(_called, tools, offered, params.name, arguments)

    async def list_resources(context: Any, params: Any) -> ListResourcesResult:
        words = "Every experiment of the catalogue, as the tool lists it."
        listed = Resource(uri=RESOURCE, name="experiments", mime_type=JSON, description=words)
        return ListResourcesResult(resources=[listed])

    async def list_templates(context: Any, params: Any) -> ListResourceTemplatesResult:
        templates = [
            ResourceTemplate(
                uri_template=uri, name=uri.split("/")[2], mime_type=JSON, description=text
            )
            for uri, text in TEMPLATES.items()
        ]
        return ListResourceTemplatesResult(resource_templates=templates)

    async def read_resource(context: Any, params: ReadResourceRequestParams) -> ReadResourceResult:
        try:
            text = await anyio.to_thread.run_sync(_read, tools, str(params.uri))
        except errors.AssayError as error:
            raise MCPError(INVALID_PARAMS, line(request_of(error))) from None
        contents = TextResourceContents(uri=params.uri, mime_type=JSON, text=text)
        return ReadResourceResult(contents=[contents])

    return Server(
        "assay",
        title="Assay",
        version=metadata.version("interp-assay"),
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
    )


def _called(
    tools: Tools, offered: Mapping[str, _Offered], name: str, arguments: Mapping[str, Any]
) -> CallToolResult:
    """Call a tool; what went wrong is an answer in one line."""
    if name not in offered:
        near = nearest(name[:HINTS], offered)
        return _refused(f"no tool is called {plain(name[:HINTS])!r}; {near}")
    try:
        text = _written(getattr(tools, name)(**offered[name].read(arguments)))
    except errors.AssayError as error:
        return _refused(f"{name}: {request_of(error)}", getattr(error, "others", ()))
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and (lacks := heavy.need(error)):
            return _refused(f"{name}: {lacks}")
        log.exception("a tool failed: %s", name)
        return _refused(
            f"{name} failed by a mistake of Assay, which its log has; nothing was decided"
        )
    return CallToolResult(content=[TextContent(type="text", text=text)])


def _read(tools: Tools, uri: str) -> str:
    """Read a resource. Raises: AssayError for an address that has none."""
    kind, _, name = uri.removeprefix("assay://").partition("/")
    name = unquote(name)[: SHORT + 1]
    if uri == RESOURCE:
        return _written(tools.experiments())
    if kind == "experiments" and name:
        return _written(tools.experiments(name=name))
    if kind == "jobs":
        return _written(tools.status(name))
    raise AssayError(f"no resource is there; known: {RESOURCE}, {ONE}, {JOB}")


def _written(answer: Any) -> str:
    return as_json(plain_all(to_json(answer)), allow_nan=False)


def _refused(text: str, others: Sequence[str] = ()) -> CallToolResult:
    """A refusal, with a line for each further mistake."""
    lines = "\n".join(map(line, (text, *others)))
    return CallToolResult(content=[TextContent(type="text", text=lines)], is_error=True)


def line(text: str) -> str:
    """Make a refusal one line of bounded length, without what a terminal would obey."""
    single_line = plain(" ".join(text.split()))
    return single_line if len(single_line) <= LONGEST else f"{single_line[: LONGEST - 1]}…"
