// The bay's screen: who this browser is, which scene fits what the bay is doing, and what was said to whom.

import { get } from "../lib/calls.js";
import { loadWords } from "../lib/words.js";
import { BayScreen } from "./screen.js";
import { PairingScene } from "./pairing.js";

const RETRY_MS = 2_000;
const page = document.documentElement.dataset;
const root = document.getElementById("screen");

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** As whom the daemon knows this browser; null: as nobody. Waits until it answers. */
async function whoAmI() {
  for (;;) {
    const answer = await get("/api/v1/session");
    if (answer.ok) return answer.document;
    if (answer.status === 401) return null;
    await pause(RETRY_MS);
  }
}

async function words() {
  const addresses = JSON.parse(page.catalogues);
  for (;;) {
    try {
      return await loadWords(addresses, page.language);
    } catch {
      await pause(RETRY_MS);
    }
  }
}

function pair(said) {
  const scene = new PairingScene(said, page.bay, (bay) => location.replace(`/bay/${encodeURIComponent(bay)}`));
  root.replaceChildren(scene.root);
  document.documentElement.dataset.begun = "";
}

async function begin() {
  const [said, me] = await Promise.all([words(), whoAmI()]);
  if (me === null || (!page.bay && !me.bay)) {
    pair(said);
    return;
  }
  const screen = new BayScreen(root, said, page, () => location.reload());
  screen.begin();
  document.documentElement.dataset.begun = "";
}

document.addEventListener("contextmenu", (event) => event.preventDefault()); // it leads out of the screen
begin();
