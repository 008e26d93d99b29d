// The head of every page of the board: who is signed in stays so while somebody touches the page, or signs out;
// a page of a session that is over goes, with the names on it. Who waits for staff is seen and heard everywhere.

import { get, post } from "../lib/calls.js";
import { h } from "../lib/dom.js";
import { loadWords } from "../lib/words.js";
import { Waits } from "./waits.js";

const CALLS_EVERY_MS = 3_000;
const STAY_EVERY_MS = 60_000;
const LOOK_EVERY_MS = 15_000;

export async function signOut() {
  await post("/api/v1/session/end");
  location.assign("/");
}

/** The daemon knows this browser no more: the sign-in says so, and leads back here. */
export function signInAgain() {
  const { pathname } = location;
  location.replace(`/#out${pathname}`);
  if (pathname === "/") location.reload();
}

/** Tells the daemon, now and then, that somebody touches the page. */
export function stayWhileTouched() {
  let toldAt = performance.now();
  const touched = () => {
    if (performance.now() - toldAt < STAY_EVERY_MS) return;
    toldAt = performance.now();
    post("/api/v1/session/stay");
  };
  for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, touched);
}

/** On the pages beside the board: it has the calls from the events, and answers them. */
async function showCalls(page) {
  const words = await loadWords(JSON.parse(page.catalogues), page.language);
  const waits = new Waits(words, page.currency, () => [h("a.button", { href: "/" }, words.say("calls.answer"))]);
  document.getElementById("who").prepend(waits.sound);
  for (;;) {
    const answer = await get("/api/v1/range");
    if (answer.ok) waits.draw(answer.document.calls.map((call) => ({ ...call, since: call.since_s })));
    await new Promise((resolve) => setTimeout(resolve, CALLS_EVERY_MS));
  }
}

const button = document.getElementById("sign-out");
if (button !== null) {
  button.addEventListener("click", signOut);
  stayWhileTouched();
  if (document.getElementById("board") === null) showCalls(document.documentElement.dataset);
  setInterval(async () => {
    if ((await get("/api/v1/session")).status === 401) signInAgain();
  }, LOOK_EVERY_MS);
}
