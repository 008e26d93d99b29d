// What is cut off, covered, lies upon something else, cannot be read, or is too small for a finger.
// `kiosk`: nobody can scroll there. With a dialog open, only what can be seen above its backdrop counts.
({ smallest, text: smallestText, kiosk }) => {
  const faults = new Set();
  const root = document.querySelector("dialog[open]") ?? document.body;
  const name = (e) => `${e.tagName.toLowerCase()}.${e.className} "${(e.textContent || "").trim().slice(0, 30)}"`;
  const seen = (e) => e.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true }) && !e.closest(".unseen, svg, .uplot") && getComputedStyle(e).clipPath !== "inset(50%)";
  const within = (inner, outer) => inner.left >= outer.left - 1 && inner.right <= outer.right + 1
    && inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1;
  const related = (a, b) => a === b || a.contains(b) || b.contains(a);
  const page = { left: 0, top: 0, right: innerWidth, bottom: kiosk ? innerHeight : Infinity };
  const all = [...root.querySelectorAll("*")].filter(seen);

  // A box is as high as its font is; ink reaches less far.
  const ink = (rect, e, share = 0.42) => {
    const middle = (rect.top + rect.bottom) / 2;
    const half = share * parseFloat(getComputedStyle(e).fontSize);
    return { left: rect.left, right: rect.right, top: Math.max(rect.top, middle - half), bottom: Math.min(rect.bottom, middle + half) };
  };
  const rectsOf = (node, from = 0, to = node.textContent.length) => {
    const range = document.createRange();
    range.setStart(node, from);
    range.setEnd(node, to);
    return [...range.getClientRects()].filter((rect) => rect.width > 0);
  };
  /** Covered: what is touched there is neither it nor around it nor in it. */
  const covered = (rect, e) => {
    const [x, y] = [(rect.left + rect.right) / 2, (rect.top + rect.bottom) / 2];
    if (x < 0 || y < 0 || x >= innerWidth || y >= innerHeight) return null;
    const top = document.elementFromPoint(x, y);
    return top === null || related(top, e) ? null : top;
  };
  /** … and can be seen: text upon text is found by its ink. */
  const hidden = (rect, e) => {
    const top = covered(rect, e);
    for (let up = top; up && !up.contains(e); up = up.parentElement) {
      if (!/^rgba\(.*, 0\)$/.test(getComputedStyle(up).backgroundColor)) return top;
    }
    return null;
  };

  const lines = [];
  for (const e of all) {
    const style = getComputedStyle(e);
    const hides = (overflow) => overflow === "hidden" || overflow === "clip" || (kiosk && overflow !== "visible");
    const kept = Number(style.webkitLineClamp); // lines: it is meant to be shortened, with an ellipsis behind them
    const least = kept ? kept * parseFloat(style.lineHeight) : e.scrollHeight;
    const shortened = kept > 0 || (style.textOverflow === "ellipsis" && e.title === e.textContent);
    if (hides(style.overflowX) && e.scrollWidth > e.clientWidth + 1 && !shortened) faults.add(`cut at its side: ${name(e)}`);
    if (hides(style.overflowY) && e.clientHeight + 1 < Math.min(least, e.scrollHeight)) faults.add(`cut below: ${name(e)}`);
    for (const node of e.childNodes) {
      if (node.nodeType !== 3 || !node.textContent.trim()) continue;
      if (parseFloat(style.fontSize) < smallestText) faults.add(`small print of ${style.fontSize}: ${name(e)}`);
      for (let rect of rectsOf(node)) {
        if (shortened) {
          const box = e.getBoundingClientRect();
          if ((rect.top + rect.bottom) / 2 > box.bottom) continue;
          rect = { left: rect.left, right: Math.min(rect.right, box.right), top: rect.top, bottom: Math.min(rect.bottom, box.bottom) };
        }
        lines.push([e, ink(rect, e)]);
        if (!within(rect, page)) faults.add(`beyond the screen: ${name(e)}`);
        const top = hidden(ink(rect, e), e);
        if (top !== null) faults.add(`${name(e)} lies under ${name(top)}`);
        for (let up = e; up && up !== root; up = up.parentElement) {
          if (getComputedStyle(up).display === "contents" || !up.matches("button, td, th, .panel, .time-panel, .fact, .head, .band, .lower, .play, .welcome, .call, .pad-lock, .result, .phase, .plot, .toast, dialog")) continue;
          if (!within(ink(rect, e, 0.52), up.getBoundingClientRect())) faults.add(`beyond ${up.className || up.tagName}: ${name(e)}`);
        }
      }
      for (const word of node.textContent.matchAll(/[^\s\-\/_.,:;]+/g)) {
        const tops = new Set(rectsOf(node, word.index, word.index + word[0].length).map((rect) => Math.round(rect.top)));
        if (tops.size > 1 && word[0].length < 24) faults.add(`broken in a word: ${word[0]} of ${name(e)}`);
      }
    }
  }
  lines.forEach(([a, r], place) => lines.slice(place + 1).forEach(([b, s]) => {
    if (a === b) return;
    const wide = Math.min(r.right, s.right) - Math.max(r.left, s.left);
    const high = Math.min(r.bottom, s.bottom) - Math.max(r.top, s.top);
    if (wide > 1 && high > 1) faults.add(`${name(a)} lies upon ${name(b)}`);
  }));

  for (const e of all.filter((one) => one.matches("button, select, input, summary, nav a, a.button"))) {
    const r = e.getBoundingClientRect();
    const least = e.matches("summary, [type=checkbox]") ? Math.min(smallest, 24) : smallest;
    if (r.width < least || r.height < least) faults.add(`${Math.round(r.width)} x ${Math.round(r.height)}: ${name(e)}`);
    if (!within(r, page)) faults.add(`beyond the screen: ${name(e)}`);
    const top = covered(r, e);
    if (top !== null) faults.add(`${name(e)} lies under ${name(top)}`);
  }
  const solid = all.filter((e) => e.matches("button, .time-panel, .fact, .head, .band, h1, h2, .cells, .pad-message, .call, .note, .result, .tiles, .choices"))
    .filter((e) => e.textContent.trim() || e.matches(".cells")).map((e) => [e, e.getBoundingClientRect()]);
  solid.forEach(([a, r], place) => solid.slice(place + 1).forEach(([b, s]) => {
    if (related(a, b)) return;
    const wide = Math.min(r.right, s.right) - Math.max(r.left, s.left);
    const high = Math.min(r.bottom, s.bottom) - Math.max(r.top, s.top);
    if (wide > 1 && high > 1) faults.add(`${name(a)} lies upon ${name(b)}`);
  }));

  const document_ = document.scrollingElement;
  if (document_.scrollWidth > innerWidth + 1) faults.add(`the page is ${document_.scrollWidth} wide`);
  if (kiosk) {
    for (const e of [document_, ...document.querySelectorAll("#screen, .place, .place > *, .lower, .panel, .facts")]) {
      if (e.scrollHeight > e.clientHeight + 1 && e.clientHeight > 0) faults.add(`to be scrolled, ${e.scrollHeight} in ${e.clientHeight}: ${name(e)}`);
    }
  }
  return [...faults];
}
