"""`assay plan --set FIELD=VALUE` of every experiment: each field that is a flag or has a few named
values is set to another one; what comes back is a plan, or a refusal in one line."""

import dataclasses
import typing
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.ask.planned import plan
from assay.core.errors import AssayError
from assay.core.spec import Spec
from assay.lab import catalogue, forecast
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.plan.preset import override


def others(spec: Spec) -> Iterator[tuple[str, Any]]:
    """Each field of a few values, with one that it does not have."""
    hints = typing.get_type_hints(type(spec))
    for field in dataclasses.fields(spec):
        value, hint = getattr(spec, field.name), hints[field.name]
        if hint is bool:
            yield field.name, not value
        elif typing.get_origin(hint) is typing.Literal:
            yield from [(field.name, v) for v in typing.get_args(hint) if v != value][:1]


def once(make: Callable[..., Any], key: Callable[..., Hashable]) -> Callable[..., Any]:
    """Call a function once for each key, and give what it gave whenever that key comes again."""
    known: dict[Hashable, Any] = {}

    def remembered(*args: Any) -> Any:
        if (place := key(*args)) not in known:
            known[place] = make(*args)
        return known[place]

    return remembered


@pytest.mark.parametrize("name", [e.name for e in catalogue.entries()])
def test_another_value_of_a_flag_is_planned_or_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # whatever is set, the record is read once, and what it promises of a claim is computed once
    recorded = once(forecast.recorded, lambda experiment, record: experiment.name)
    prospect = once(forecast.prospect, lambda claim, *args: claim.text)
    monkeypatch.setattr(forecast, "recorded", recorded)
    monkeypatch.setattr(forecast, "prospect", prospect)
    lab, experiment = Lab(tmp_path / "store", Inline()), catalogue.find(name)
    for field, value in others(experiment.default[0]):
        try:
            preset = override(experiment, "default", (f"{field}={value}",))
            planned, again = (plan(lab, experiment, preset) for _ in range(2))
        except AssayError as e:
            assert str(e) and "\n" not in str(e)
            continue
        assert planned.missing and planned.claims == again.claims
        assert not (tmp_path / "store").exists()
