// What is cut off, lies upon something else, or is too small for a finger.
(smallest) => {
  const faults = [];
  const name = (e) => `${e.tagName.toLowerCase()}.${e.className} "${(e.textContent || "").trim().slice(0, 30)}"`;
  const seen = (e) => e.checkVisibility({visibilityProperty: true}) && !e.closest(".unseen");
  const within = (inner, outer) => inner.left >= outer.left - 1 && inner.right <= outer.right + 1
    && inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1;
  const page = {left: 0, top: 0, right: innerWidth, bottom: innerHeight};
  for (const e of document.querySelectorAll("body *")) {
    if (!seen(e) || e.closest("svg")) continue;
    const texts = [...e.childNodes].filter((n) => n.nodeType === 3 && n.textContent.trim());
    for (const text of texts) {
      const range = document.createRange();
      range.selectNodeContents(text);
      for (const r of range.getClientRects()) {
        if (!within(r, page)) faults.push(`beyond the screen: ${name(e)}`);
        for (let up = e.parentElement; up && up.id !== "screen"; up = up.parentElement) {
          const box = up.getBoundingClientRect();
          if (up.matches("button, .panel, .time-panel, .fact, .head, .band, .lower, .play, .welcome") && !within(r, box)) {
            faults.push(`beyond ${up.className}: ${name(e)}`);
          }
        }
      }
    }
    if (e.clientWidth && getComputedStyle(e).overflowX === "hidden" && e.scrollWidth > e.clientWidth + 1 && e.id !== "screen") {
      faults.push(`cut: ${name(e)}`);
    }
  }
  const buttons = [...document.querySelectorAll("button")].filter(seen).map((e) => [e, e.getBoundingClientRect()]);
  for (const [e, r] of buttons) {
    if (r.width < smallest || r.height < smallest) faults.push(`${Math.round(r.width)} x ${Math.round(r.height)}: ${name(e)}`);
    if (!within(r, page)) faults.push(`beyond the screen: ${name(e)}`);
  }
  const solid = [...document.querySelectorAll("button, .time-panel, .fact, .head, .band, h1, h2, .cells, .pad-message")]
    .filter((e) => seen(e) && (e.textContent.trim() || e.matches(".cells"))).map((e) => [e, e.getBoundingClientRect()]);
  solid.forEach(([a, r], place) => solid.slice(place + 1).forEach(([b, s]) => {
    if (a.contains(b) || b.contains(a)) return;
    const wide = Math.min(r.right, s.right) - Math.max(r.left, s.left);
    const high = Math.min(r.bottom, s.bottom) - Math.max(r.top, s.top);
    if (wide > 1 && high > 1) faults.push(`${name(a)} lies upon ${name(b)}`);
  }));
  return [...new Set(faults)];
}
