"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const box = by("filter");
  if (!box) return;
  const order = ["info", "low", "medium", "high", "critical"];
  const rules = [...document.querySelectorAll("details.rule")].map((part) => ({
    part,
    was: part.open,
    rows: [...part.querySelectorAll("tr.f")],
    head: part.querySelector("summary").textContent.toLowerCase(),
  }));
  const all = rules.reduce((sum, rule) => sum + rule.rows.length, 0);
  const asked = () => ({
    severity: order.indexOf(by("severity").value),
    status: by("status").value,
    tool: by("tool").value,
    path: by("path").value.toLowerCase(),
    text: by("text").value.toLowerCase(),
  });
  const fits = (row, head, want) =>
    order.indexOf(row.dataset.s) >= want.severity &&
    (!want.status || row.dataset.h === want.status) &&
    (!want.tool || row.dataset.t.split("|").includes(want.tool)) &&
    (!want.path || row.children[1].textContent.toLowerCase().includes(want.path)) &&
    (!want.text || head.includes(want.text) || row.textContent.toLowerCase().includes(want.text));
  const apply = () => {
    const want = asked();
    const narrowed = want.severity >= 0 || want.status || want.tool || want.path || want.text;
    let shown = 0;
    for (const rule of rules) {
      let here = 0;
      for (const row of rule.rows) {
        const keep = fits(row, rule.head, want);
        row.hidden = !keep;
        here += keep;
      }
      rule.part.hidden = !here;
      rule.part.open = narrowed ? here > 0 && (shown < 100 || here < 20) : rule.was;
      shown += here;
    }
    by("shown").textContent = `${shown} of ${all} shown`;
  };
  let waiting = 0;
  box.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(apply, 120);
  });
  const open = (yes) => rules.forEach((rule) => { rule.part.open = yes; });
  by("unfold").addEventListener("click", () => open(true));
  by("fold").addEventListener("click", () => open(false));
  window.addEventListener("beforeprint", () => open(true));
  box.hidden = false;
  apply();
})();
