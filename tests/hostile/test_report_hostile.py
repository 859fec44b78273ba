"""Whatever an audited tree, a tool or a SARIF file says, no report acts on a browser, a terminal or a viewer."""

import json
import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.subagents.records import (
    Actor,
    Coverage,
    Fact,
    FactKey,
    Finding,
    FindingKey,
    Link,
    Passage,
    Patch,
    PatchKey,
    Record,
    Resolution,
    Verdict,
    author_verdict,
    file_span,
    malformed,
)
from antiphon.workflows.report import About, html, json_report, markdown, sarif
from antiphon.workflows.report.document import Said
from antiphon.workflows.report.page.writing import safe
from antiphon.workflows.report.page.writing import text as written
from antiphon.workflows.report.untrusted import is_https, visible
from antiphon.workflows.synthesis import synthesize

EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</code></td></table></main><h1>owned</h1>",
    "</title></style></script><script>alert(1)</script>",
    "<!-- --><![CDATA[x]]>&lt;b&gt;&amp;&#x3c;script&#x3e;",
    "javascript:alert(1)",
    "\u202ereversed\u2066\u200b\ufeff\x00\x1b[31m\x07\x9b",
    "a\nb\r\n# Heading\u2028\u2029",
    "[x](javascript:alert(1)) ![y](http://evil.example/z)",
    "\udcff\ud800",
    "𝕏" * 50,
    "|`| ``` \\",
]
TAGS = {
    *("html", "head", "meta", "title", "style", "script", "body", "a", "header", "nav", "main", "footer", "section"),
    *("h1", "h2", "h3", "p", "ul", "li", "code", "pre", "strong", "span", "br", "div", "label", "select", "option"),
    *("input", "button", "output", "details", "summary", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {
    *(
        "lang",
        "charset",
        "http-equiv",
        "content",
        "name",
        "class",
        "href",
        "rel",
        "id",
        "aria-labelledby",
        "aria-label",
    ),
    *("role", "hidden", "value", "type", "autocomplete", "spellcheck", "aria-live", "open", "scope"),
    *("data-s", "data-h", "data-t"),
}


class Tags(HTMLParser):
    """The elements and attributes of a page, and how often our script is in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.scripts = self.comments = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name == "href"}
        self.scripts += tag == "script"

    def handle_comment(self, data: str) -> None:
        self.comments += 1


def evil_about(text: str) -> About:
    actor = Actor(tool=text, version=text, lens=text, lineage=text)
    return About(
        target=text,
        run=text,
        antiphon=text,
        analysers={text: actor},
        lenses=(text,),
        not_run={text: text},
        isolation=text,
        banner=text,
        configuration=text,
        excluded=(text,),
        outcomes={"failed": 1},
        left_out={text: 1},
        notes=(text,),
    )


def evil_records(text: str) -> list[Record]:
    """One record of each sort, each with this text wherever a text can be."""
    actor = Actor(tool=text, version=text, lens=text, lineage=text)
    judge = Actor(tool=text + "2", lineage=text + "2", lens=text)
    found = Finding(
        record="claim",
        sort="finding",
        key=FindingKey(path=text, rule=text, symbol=text),
        rule=text,
        title=text,
        text=text,
        severity="high",
        severity_by=text,
        actor=actor,
        evidence=(file_span(text, [b"x"], 1),),
        line=1,
        url=text,
        fingerprint=text,
        branch=text,
    )
    other = found.model_copy(update={"severity": "low", "severity_by": text + "3", "actor": judge})
    fact = Fact(
        record="claim", sort="fact", key=FactKey(subject=text, attribute=text, qualifiers=((text, text),)), value=text,
        text=text, actor=actor,
    )  # fmt: skip
    patch = Patch(
        record="claim", sort="patch", key=PatchKey(base=text, path=text, start_line=1, end_line=1), text=text,
        replacement=text, actor=actor,
    )  # fmt: skip
    passage = Passage(record="claim", sort="text", text=text, actor=actor)
    verdict = Verdict(record="verdict", of=found.id, stance="refute", actor=judge, method=text, reason=text)
    return [
        found,
        other,
        fact,
        fact.model_copy(update={"value": text + "!", "actor": judge}),
        patch,
        patch.model_copy(update={"replacement": text + "!", "actor": judge}),
        passage,
        verdict,
        author_verdict(other, text),
        Link(record="link", a=found.id, b=passage.id, relation="same_as", actor=judge, reason=text),
        Link(record="link", a=fact.id, b=passage.id, relation="contradicts", actor=judge, reason=text),
        Resolution(record="resolution", of=found.id, index=0, state="false", actor=judge, reason=text),
        Coverage(record="coverage", unit=text, check=text, state="failed", reason=text),
        malformed(actor, text.encode("utf-8", "backslashreplace"), text, [text]),
    ]


@pytest.mark.parametrize("text", EVIL)
def test_a_page_holds_no_element_attribute_or_link_but_ours(text: str) -> None:
    view = synthesize(evil_records(text), {text: (text,), "b" + text: ()})
    excerpts = dict.fromkeys(view.claims, text)
    found = Tags(html(view, evil_about(text), None, excerpts))
    assert found.tags <= TAGS
    assert found.attributes <= ATTRIBUTES
    assert (found.scripts, found.comments) == (1, 0)
    assert all(re.fullmatch(r"#[a-z]+", link) for link in found.links), found.links


@given(st.text(st.characters(), max_size=80))
def test_any_text_is_one_code_element_and_reads_as_it_is_shown(text: str) -> None:
    pieces: list[tuple[str, str]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            pieces.append(("tag", f"{tag}{attrs}"))

        def handle_data(self, data: str) -> None:
            pieces.append(("data", data))

    reader = Reader()
    reader.feed(f'{written((Said(text),))}<i title="{safe(text)}"></i>')
    reader.close()
    assert pieces[0] == ("tag", "code[]")
    assert "".join(data for kind, data in pieces if kind == "data") == visible(text)
    assert pieces[-1] == ("tag", f"i{[('title', visible(text))]}")


@pytest.mark.parametrize("text", EVIL)
def test_no_report_holds_a_character_that_acts(text: str) -> None:
    view, about = synthesize(evil_records(text), {text: (text,)}), evil_about(text)
    excerpts = dict.fromkeys(view.claims, text)
    for made in (html(view, about, None, excerpts), markdown(view, about, None, excerpts), sarif(view, about)):
        bad = {c for c in made if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
        assert not bad, bad
        made.encode("utf-8")
    assert json.loads(json_report(view, about))["format"]


def test_ten_megabytes_of_text_stay_out_of_what_a_person_reads() -> None:
    text = "<b>&\u202e" * 2_000_000
    small = [record for record in evil_records("x") if not isinstance(record, Link)]
    view, about = synthesize(small, {"a.py": ()}), evil_about("x")
    claims = {id: claim.model_copy(update={"text": text, "title": text}) for id, claim in view.claims.items()}
    clusters = tuple(replace(cluster, text=text, title=text) for cluster in view.clusters)
    view = replace(view, claims=claims, clusters=clusters)
    excerpts = dict.fromkeys(view.claims, text)
    assert len(html(view, about, None, excerpts)) < 400_000
    assert len(markdown(view, about, None, excerpts)) < 100_000


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "http://example.org/",
        "https://user:password@example.org/",
        "https://example.org/ x",
        'https://example.org/"onclick="x',
        "https://example.org/\u202e",
        "https://еxample.org/",
        "https://example.org/#x\n",
        "//example.org",
        "HTTPS://example.org",
        "",
    ],
)
def test_only_plain_addresses_of_pages_become_links(url: str) -> None:
    assert not is_https(url)
    assert is_https("https://docs.astral.sh/ruff/rules/a-b_c/?x=1&y=%20#top.1")
