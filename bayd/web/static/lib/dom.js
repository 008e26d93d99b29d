// Elements without markup: text stays text, and the security policy allows nothing else.

/** `h("p.note", {id: "x", onclick: f}, "text", child)`. Attributes that are null or false are left out. */
export function h(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Text of an element, touched only when it changes: screen readers hear changes, not repetitions. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

/**
 * Where `draw` removes or disables what had the focus, `place()` gets it: never another button, which a second
 * press of the same key would not mean.
 */
export function keepFocus(element, place, draw) {
  const had = element.contains(document.activeElement);
  const drawn = draw();
  const { activeElement } = document;
  if (had && (activeElement === document.body || activeElement.disabled)) focusOn(place());
  return drawn;
}

const SETTLE_MS = 500; // longer than a double tap
const settling = new WeakMap();

/** Nobody means what has just appeared under a finger: two quick taps are one press. */
export function settle(element) {
  clearTimeout(settling.get(element));
  element.classList.add("settling");
  settling.set(element, setTimeout(() => element.classList.remove("settling"), SETTLE_MS));
}

export function focusOn(element) {
  if (!element.hasAttribute("tabindex") && element.tabIndex < 0) element.tabIndex = -1;
  element.focus({ preventScroll: true });
}

/**
 * Rebuild the children when `key` says that they are other ones. The focus stays on what has the same name, or
 * with the element.
 */
export function rebuild(element, key, make) {
  const text = JSON.stringify(key);
  if (element.dataset.key === text) return;
  element.dataset.key = text;
  keepFocus(element, () => element, () => {
    const name = element.contains(document.activeElement) ? document.activeElement.dataset.testid : undefined;
    element.replaceChildren(...make());
    if (name !== undefined) element.querySelector(`[data-testid="${CSS.escape(name)}"]`)?.focus({ preventScroll: true });
  });
}

const SVG = "http://www.w3.org/2000/svg";

/** A drawing of stroked paths on a 24 x 24 field; it says nothing by itself. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  for (const d of ICONS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

const ICONS = {
  back: ["M15 5l-7 7 7 7"],
  ball: ["M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18z", "M9 9h.01M13.5 8h.01M11 13h.01M15.5 12.5h.01"],
  check: ["M4 12.5l5.5 5.5L20 6.5"],
  clock: ["M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18z", "M12 7v5.5l3.5 2"],
  clear: ["M6 6l12 12M18 6L6 18"],
  delete: ["M9 5h12v14H9l-6-7z", "M12 9.5l5 5M17 9.5l-5 5"],
  flag: ["M6 21V4", "M6 5h11l-2.5 3.5L17 12H6"],
  globe: ["M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18z", "M3 12h18", "M12 3c3 3 3 15 0 18c-3-3-3-15 0-18z"],
  hand: ["M7 12V6.5a1.5 1.5 0 0 1 3 0V11V4.5a1.5 1.5 0 0 1 3 0V11V5.5a1.5 1.5 0 0 1 3 0V12V8.5a1.5 1.5 0 0 1 3 0V15a6 6 0 0 1-6 6h-1a6 6 0 0 1-5-2.6L4 13.8a1.5 1.5 0 0 1 2.4-1.8z"],
  lock: ["M6 11h12v9H6z", "M8.5 11V7.5a3.5 3.5 0 0 1 7 0V11"],
  none: ["M6 12h12"],
  offline: ["M3 3l18 18", "M5 12.5a10 10 0 0 1 4-2.4M19 12.5a10 10 0 0 0-5-2.7M8 16a6 6 0 0 1 8 0M12 20h.01"],
  pause: ["M8 5v14M16 5v14"],
  person: ["M12 4a4 4 0 1 0 0 8a4 4 0 1 0 0-8z", "M4 21c1-5 4-7 8-7s7 2 8 7"],
  play: ["M8 5l11 7l-11 7z"],
  plus: ["M12 5v14M5 12h14"],
  screen: ["M3 4.5h18v12H3z", "M12 16.5V20.5M8 20.5h8"],
  stop: ["M6 6h12v12H6z"],
  wait: ["M7 3h10M7 21h10", "M8 3c0 5 8 4 8 9s-8 4-8 9M16 3c0 5-8 4-8 9s8 4 8 9"],
  warning: ["M12 4L2.5 20h19z", "M12 10v5M12 17.5h.01"],
};
