// Stands in the document of a page that nobody can reload (the security policy names its hash). A file that did not
// come, as when the release changed under the page, or a page that does not begin: it is loaded anew.
(() => {
  "use strict";
  const AGAIN_MS = 3000;
  const BEGINS_WITHIN_MS = 30000;
  let missing = false;
  let waits = false;

  function again() {
    if (waits) return;
    waits = true;
    setTimeout(look, AGAIN_MS);
  }

  async function look() {
    waits = false;
    if (!missing && "begun" in document.documentElement.dataset) return;
    try {
      // First asked for: a browser that loads from nobody stays on an error page.
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(8000) });
      if (answer.ok) location.reload();
      else again();
    } catch {
      again();
    }
  }

  addEventListener("error", (event) => {
    if (event.target === window) return;
    missing = true;
    again();
  }, true);
  setTimeout(look, BEGINS_WITHIN_MS);
})();
