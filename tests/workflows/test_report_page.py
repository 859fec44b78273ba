"""The HTML report: one file that asks for nothing, works without its script, and can be read by everybody."""

import hashlib
import re
from base64 import b64encode
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from antiphon.subagents.records import Actor, Finding, FindingKey, Record, Verdict, author_verdict, file_span
from antiphon.workflows.baseline import compare, read_sarif
from antiphon.workflows.report import About, html, sarif
from antiphon.workflows.report.material import Material
from antiphon.workflows.report.page.findings import findings
from antiphon.workflows.synthesis import synthesize

RUFF = Actor(tool="ruff", version="0.12", lens="security", lineage="bandit")
LOOK = Actor(tool="antiphon", lens="second-look", lineage="antiphon/precondition")
ABOUT = About(target="project", antiphon="0.1.0", analysers={"ruff/security": RUFF})
VOID = {"meta", "br", "input"}


class Page(HTMLParser):
    """What a browser would build, as far as it matters here."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.inside: dict[str, str] = {}
        self.unbalanced: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open:
            self.inside[self.open[-1]] = self.inside.get(self.open[-1], "") + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def finding(path: str = "a.py", line: int = 3, **changes: object) -> Finding:
    content: dict[str, object] = {
        "record": "claim",
        "sort": "finding",
        "key": FindingKey(path=path, rule="bandit:B602", symbol="f"),
        "rule": "S602",
        "title": "shell",
        "text": "`shell=True` <identified>",
        "severity": "high",
        "severity_by": "antiphon",
        "actor": RUFF,
        "evidence": (file_span(path, [b"x\n"], line),),
        "line": line,
        "end_line": line,
        "url": "https://example.org/rule",
    }
    return Finding.model_validate(content | changes)


def verdict(of: Finding, stance: str) -> Verdict:
    return Verdict.model_validate(
        {"record": "verdict", "of": of.id, "stance": stance, "actor": LOOK, "method": "precondition", "reason": "so"}
    )


WRONG, ASIDE = finding("m.py"), finding("n.py")
RECORDS: list[Record] = [
    finding(),
    finding("z.py"),
    WRONG,
    verdict(WRONG, "refute"),
    ASIDE,
    author_verdict(ASIDE, "noqa"),
]


@pytest.fixture(scope="module")
def text() -> str:
    """The page of a few findings."""
    return html(synthesize(RECORDS, {"a.py": ("ruff/security",)}), ABOUT, None, {finding().id: "run(<x>)"})


def test_the_page_is_well_formed_and_has_landmarks(text: str) -> None:
    page = Page(text)
    assert not page.unbalanced
    assert not page.open
    counts = Counter(tag for tag, _ in page.tags)
    assert (counts["header"], counts["nav"], counts["main"], counts["footer"], counts["h1"]) == (1, 1, 1, 1, 1)
    assert page.all("html") == [{"lang": "en"}]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = {attributes["aria-labelledby"] for attributes in page.all("section")}
    assert named <= set(ids)
    assert {f"#{name}" for name in named} <= {attributes.get("href") for attributes in page.all("a")}


def test_tables_say_what_their_cells_mean(text: str) -> None:
    page = Page(text)
    assert page.all("th")
    assert {attributes.get("scope") for attributes in page.all("th")} == {"col", "row"}
    labels = [name for name, _ in page.tags if name in ("label", "input", "select")]
    assert labels == ["label", "select"] * 3 + ["label", "input"] * 2, "every field is inside its label"


def test_nothing_but_our_own_style_and_script_may_run(text: str) -> None:
    page = Page(text)
    (policy,) = [a["content"] or "" for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        digest = b64encode(hashlib.sha256(page.inside[tag].encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_the_page_asks_the_network_for_nothing(text: str) -> None:
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object", "embed", "base", "form", "video"}
    assert not [a for _, a in page.tags if {"src", "srcset", "style", "action", "background"} & a.keys()]
    assert not re.search(
        r"url\(|@import|fetch\(|XMLHttp|eval\(|innerHTML", page.inside["style"] + page.inside["script"]
    )
    links = [a for a in page.all("a") if not (a["href"] or "").startswith("#")]
    assert links
    for link in links:
        assert (link["href"] or "").startswith("https://")
        assert link["rel"] == "noreferrer noopener"


def test_every_finding_is_there_without_the_script_and_the_filter_is_not(text: str) -> None:
    page = Page(text)
    rows = [attributes for attributes in page.all("tr") if attributes.get("class") == "f"]
    assert Counter(row["data-h"] for row in rows) == {"unverified": 2, "refuted": 1, "set aside": 1}
    (box,) = [attributes for attributes in page.all("div") if attributes.get("id") == "filter"]
    assert "hidden" in box
    assert "hidden" not in {name for row in rows for name in row}


def test_a_row_says_what_where_who_and_how_sure(text: str) -> None:
    row = text[text.index('<tr class="f" data-s="high" data-h="refuted"') :].partition("</tr>")[0]
    for words in ("<code>m.py:3</code>", "in <code>f</code>", "`shell=True` &lt;identified&gt;", "ruff alone"):
        assert words in row, words
    assert "refuted by precondition of antiphon second-look: <code>so</code>" in row
    assert "<pre><code>run(&lt;x&gt;)</code></pre>" in text


def test_a_page_stays_within_its_room_and_counts_what_it_leaves_out() -> None:
    view = synthesize([finding(f"{n:04}.py") for n in range(200)], {})
    material = Material(synthesis=view, about=ABOUT)
    whole = "\n".join(findings(material, 10_000_000))
    short = "\n".join(findings(material, 30_000))
    assert whole.count('<tr class="f"') == 200
    shown = short.count('<tr class="f"')
    assert 0 < shown < 200
    assert len(short) < 33_000
    assert f"{200 - shown} more findings would make this page too large" in short
    assert not Page(short).unbalanced


def test_what_has_changed_comes_before_the_findings() -> None:
    now = synthesize([finding(), finding("new.py")], {})
    before, after = (read_sarif(sarif(view, ABOUT).encode(), "main") for view in (synthesize([finding()], {}), now))
    text = html(now, ABOUT, compare(before, after))
    assert text.index('<h2 id="changes">') < text.index('<h2 id="findings">')
    assert "<code>new.py:3</code> high <code>S602</code>" in text
    assert not Page(text).unbalanced


def test_nothing_found_is_said() -> None:
    text = html(synthesize([], {}), ABOUT)
    assert "<p>Nothing was found.</p>" in text
    assert not Page(text).unbalanced


def test_the_page_is_the_same_in_any_order(text: str) -> None:
    again = html(synthesize(RECORDS[::-1], {"a.py": ("ruff/security",)}), ABOUT, None, {finding().id: "run(<x>)"})
    assert again == text


def luminance(colour: str) -> float:
    """As WCAG 2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_can_be_read_in_light_and_dark(text: str) -> None:
    """Contrast of at least 4.5 to 1, as WCAG 2 asks for text."""
    palettes = re.findall(r":root \{([^}]*)\}", Page(text).inside["style"])
    assert len(palettes) == 2
    for palette in palettes:
        of = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", palette))
        pairs = [(fore, back) for fore in ("fore", "quiet", "link") for back in ("back", "soft")]
        pairs += [("on", severity) for severity in ("critical", "high", "medium", "low", "info")]
        for fore, back in pairs:
            darker, lighter = sorted((luminance(of[fore]), luminance(of[back])))
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (fore, back)


def test_our_own_files_hold_nothing_that_ends_them() -> None:
    from antiphon.workflows.report import page

    for name in ("style.css", "script.js"):
        assert "</" not in (Path(page.__file__).parent / name).read_text(encoding="utf-8")
