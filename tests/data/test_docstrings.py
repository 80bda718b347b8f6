"""The corpus "docs": which paragraphs are prose, what a made-up site-packages gives, and what the
packages here hold."""

import base64
import hashlib
import re
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from assay.core.errors import DataError
from assay.data import corpus, docstrings, prose

GOOD = "The mean of an empty array is not defined, and so the answer is NaN."


KEPT = {
    GOOD: GOOD,
    (
        "See :func:`~numpy.mean` and ``x.mean()`` for *the* **same** thing [1]_ with less care."
    ): "See numpy.mean and x.mean() for the same thing with less care.",
    (
        "It is `described in the guide <https://a.org/b>`_ and again in [the "
        "notes](http://c.org) for all."
    ): "It is described in the guide and again in the notes for all.",
}
LEFT_OUT = (
    # not at the margin
    "The mean of an empty array\n  is not defined, and so the answer is NaN.",
    "Too short to be a paragraph.",
    # begins with no capital
    "x : array_like that is given to the function and that is not changed by it.",
    # code comes after a colon
    "For instance you may call the function with an array as follows:",
    "The value is :math:`x^2` for every number that is given to this function here.",
    r"The value is \alpha for every number that is given to this function here.",
    "Use a = b + c when you want to have more than the default gives you here.",
    ">>> Mean of an empty array is not defined, and so the answer is NaN.",
    ".. note:: The mean of an empty array is not defined, and so on.",
    "- The mean of an empty array is not defined, and so the answer is NaN.",
    # fewer than four fifths are words
    "Returns x_1, x_2, y_1, y_2, z_1, z_2 and w_1 in this order always.",
    # a template
    "The {kind} of an empty array is not defined, and so the answer is NaN.",
)


@pytest.mark.parametrize("written", KEPT)
def test_a_paragraph_of_prose_is_kept(written):
    assert list(prose.paragraphs(written)) == [KEPT[written]]


@pytest.mark.parametrize("written", LEFT_OUT)
def test_a_paragraph_that_is_no_prose_is_left_out(written):
    assert list(prose.paragraphs(written)) == []


def test_tables_code_and_doctests_around_prose_are_left_out():
    text = f"""{GOOD}

Parameters
----------
a : array
    The numbers of which the mean is taken, along all of the axes together.

The paragraph of a section that is a list is no prose, whatever it looks like.

Notes
-----
The notes are prose again, and nothing of them is left out by this rule.

```python
The code between two fences is no prose, and it is left out by this rule.
```

    The indented block is code or a quotation, so it is left out by this rule.

Examples
--------
>>> print("The output of an example is no prose, and it is left out here.")
The output of an example is no prose, and it is left out here.

The last paragraph speaks about the example above, and it is kept by this rule.
"""
    assert list(prose.paragraphs(text)) == [
        GOOD,
        "The notes are prose again, and nothing of them is left out by this rule.",
        "The last paragraph speaks about the example above, and it is kept by this rule.",
    ]


def test_documentation_is_found_where_it_is_written_and_nothing_is_run():
    source = '''
"""Module."""
raise RuntimeError("imported")
LIMIT = 3
"""Attribute."""
class A:
    """Class."""
    def f(self):
        """Method."""
        x = "no documentation"
        def g():
            """Inner."""
if True:
    def h():
        """Conditional."""
add_newdoc("module", "name", """Added.""")
torch._C._add_docstr(f, r"""Added to C.""".format(**common))
print("Printed.")
'''
    found = list(prose.documentation(textwrap.dedent(source).encode()))
    assert [t for t in found if t[0].isupper()] == [
        "Module.",
        "Attribute.",
        "Class.",
        "Method.",
        "Inner.",
        "Conditional.",
        "Added.",
        "Added to C.",
    ]
    assert list(prose.documentation(b"def broken(")) == []


def test_what_says_the_same_of_other_names_is_the_same_wording():
    one = "Construct a BertModel with 12 layers from a configuration."
    two = "Construct a GPT2Model with 24 layers from a configuration."
    assert prose.wording(one) == prose.wording(two) != prose.wording(GOOD)


def install(site, name, files, record=True):
    """A made-up distribution in a made-up site-packages."""
    rows = []
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
        digest = (
            base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        )
        rows.append(f"{path},sha256={digest},{len(text)}")
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n")
    if record:
        (info / "RECORD").write_text(
            "\n".join([*rows, f"{name}-1.0.dist-info/RECORD,,", f"{name}/__pycache__/x.pyc,,"])
        )


ANIMALS = ["ant", "bear", "cat", "dog", "eel", "fox", "goat", "hare", "ibex", "jay"]
ANIMALS += ["kite", "lion", "mole", "newt", "owl"]
ANIMALS += ["pig", "quail", "rat", "seal", "toad"]


def said(animal, other):
    return (
        f"The {animal} lives beside the {other}, and both are described here at such a length "
        "that eight words are not missing."
    )


@pytest.fixture
def site(tmp_path):
    """Two packages; of ten modules each, with three paragraphs, the last one is the same in all."""
    for name, animals in (("alpha", ANIMALS[:10]), ("beta", ANIMALS[10:])):
        files = {
            f"{name}/m{i}.py": (
                f'"""{said(a, "sea")}\n\n{said(a, "hill")}\n\n{said(a, "wood")}\n\n{GOOD}\n"""\n'
            )
            for i, a in enumerate(animals)
        }
        files |= {
            f"{name}/short.py": '"""A module with one sentence of eight words or more is none."""',
            f"{name}/data.txt": GOOD,
        }
        files |= {
            f"{name}/tests/m.py": (
                f'"""{said("unicorn", "sea")}\n\n{said("unicorn", "hill")}\n\n'
                f'{said("unicorn", "wood")}"""'
            )
        }
        install(tmp_path / "site", name, files)
    return tmp_path / "site"


def made(site, cache, names=("alpha", "beta"), least=100):
    return docstrings._folder(cache, names, (str(site),), least)


def test_a_made_up_site_packages_gives_its_prose_and_nothing_else(site, tmp_path):
    found = corpus._loaded("docs", made(site, tmp_path / "cache"))
    assert [d.path for d in found.documents] == sorted(
        f"{name}/m{i}.txt" for name in ("alpha", "beta") for i in range(10)
    )
    texts = [found.text(i) for i in range(20)]
    assert (
        texts[0]
        == f"{said('ant', 'sea')}\n\n{said('ant', 'hill')}\n\n{said('ant', 'wood')}\n\n{GOOD}\n"
    )
    assert sum(GOOD in text for text in texts) == 1, (
        "a paragraph counts once, in the first module that has it"
    )
    assert not any("unicorn" in text for text in texts), "tests of a package are no documentation"
    assert {p for p in ("train", "validation", "test") if found.part(p)} >= {"train"}


def test_the_same_packages_give_the_same_text_and_another_file_another(site, tmp_path):
    first = made(site, tmp_path / "a")
    assert made(site, tmp_path / "b").name == first.name
    assert (
        corpus._loaded("docs", first).fingerprint
        == corpus._loaded("docs", made(site, tmp_path / "b")).fingerprint
    )
    install(site, "beta", {"beta/m0.py": f'"""{said("yak", "sea")}"""'})
    docstrings._folder.cache_clear()
    assert made(site, tmp_path / "a").name != first.name


def test_it_is_read_once(site, tmp_path, monkeypatch):
    first = made(site, tmp_path / "cache")
    docstrings._folder.cache_clear()
    monkeypatch.setattr(docstrings, "_make", lambda *_: pytest.fail("made again"))
    assert made(site, tmp_path / "cache") == first
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [first.name], (
        "nothing half made is left"
    )


def test_two_that_make_it_at_once_find_the_same_folder(site, tmp_path, monkeypatch):
    make = docstrings._make

    def beaten(*given):
        make(*given)  # another process ends first
        make(*given)

    monkeypatch.setattr(docstrings, "_make", beaten)
    folder = made(site, tmp_path / "cache")
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [folder.name]


@pytest.mark.parametrize(
    "names, least, told",
    [
        (
            ("alpha", "gamma"),
            1,
            "for the corpus docs the package is missing: gamma; install with: pip install",
        ),
        (("gamma", "alpha", "delta"), 1, "packages are missing: gamma, delta"),
        (("alpha", "bare"), 1, r"bare 1.0 does not list its Python files \(no RECORD\)"),
        (
            ("alpha",),
            10_000,
            (
                r"hold \d+ words of prose, and the corpus docs needs 10,000: their documentation "
                r"was stripped"
            ),
        ),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(site, tmp_path, names, least, told):
    install(site, "bare", {"bare/m.py": GOOD}, record=False)
    with pytest.raises(DataError, match=told) as error:
        made(site, tmp_path / "cache", names, least)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "cache").glob("*"))


def test_a_cache_that_cannot_be_written_is_told_in_one_line(site, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="set ASSAY_CACHE to a folder you can write"):
        made(site, tmp_path / "file" / "cache")


ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "corpora.md").read_text()


@pytest.mark.slow
def test_the_packages_that_are_installed_here_hold_english_prose():
    """Written by people for people: the commonest word of it is "the", as in any English; of source
    code it is not."""
    found = corpus.load("docs")
    words = Counter(w for i in range(len(found.documents)) for w in found.text(i).split())
    assert words.total() >= docstrings.LEAST
    assert words.most_common(1)[0][0] == "the"
    assert 0.04 < words["the"] / words.total() < 0.1  # 6 % of English prose
    assert words[">>>"] == words["=="] == words["->"] == 0
    assert "Return evenly spaced numbers over a specified interval." in "".join(
        found.text(i)
        for i, d in enumerate(found.documents)
        if d.path == "numpy/_core/function_base.txt"
    ), "NumPy's linspace says so since 2006"
    assert all(found.part(part) for part in ("train", "validation", "test"))


def test_the_page_names_every_package():
    table = PAGE.partition("| package | licence |")[2]
    named = re.findall(r"^\| ([a-z0-9-]+) \| [^|]+ \|$", table, re.M)
    assert tuple(named) == docstrings.PACKAGES
