// A page that stays open for months outlives the release that it came from.

/** Whether the daemon serves other files now than those of this page; not when it does not say. */
export async function isOutdated(tag) {
  try {
    const answer = await fetch(`/static/${tag}/icon.svg`, { cache: "no-store", signal: AbortSignal.timeout(8_000) });
    return answer.status === 404;
  } catch {
    return false;
  }
}
