"""A store in which a tiny study has run, and a client of the official kind to a server of it in
this process."""

import pytest

pytest.importorskip("mcp")

from assay.agents.server import Tools, make_server
from assay.jobs.runner import Runner
from tiny_study import INLINE, TINY, answered, told


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """The folder of a store that holds what the session's tests ran."""
    return tmp_path_factory.mktemp("agents") / "store"


@pytest.fixture(scope="session")
def server(root):
    """A server of it in this process, without a runner of its own."""
    return make_server(Tools(root))


@pytest.fixture(scope="session")
def ask(server):
    """Call a tool, which must answer; its structured answer."""

    def call(name, /, **given):
        (found,) = answered(server, (name, given))
        return told(found)

    return call


@pytest.fixture(scope="session")
def refusal(server):
    """Call a tool, which must refuse; what it says."""

    def call(name, /, **given):
        (found,) = answered(server, (name, given))
        assert found.is_error, found.content
        (said,) = found.content
        return said.text

    return call


@pytest.fixture(scope="session")
def done(root, ask):
    """The answers on the way of a tiny study: as it was written, and as it was submitted; it has
    run."""
    written = ask("write_study", **TINY)
    submitted = ask("run", study=written["study"])
    Runner(root, options=INLINE).run(until_idle=True)
    return {"written": written, "submitted": submitted, "key": submitted["key"]}
