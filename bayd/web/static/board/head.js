// The head of every page of the board: who is signed in stays so while somebody touches the page, or signs out;
// a page of a session that is over goes, with the names on it.

import { get, post } from "../lib/calls.js";

const STAY_EVERY_MS = 60_000;
const LOOK_EVERY_MS = 15_000;

export async function signOut() {
  await post("/api/v1/session/end");
  location.assign("/");
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

const button = document.getElementById("sign-out");
if (button !== null) {
  button.addEventListener("click", signOut);
  stayWhileTouched();
  setInterval(async () => {
    if ((await get("/api/v1/session")).status === 401) location.assign("/");
  }, LOOK_EVERY_MS);
}
