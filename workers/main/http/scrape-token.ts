/** Whether a header holds the scrape token. Pure. Hashed first, so that neither the length nor the first wrong character shows in the time. */
import { createHash, timingSafeEqual } from "node:crypto";

export function holdsToken(authorization: string, token: string | undefined): boolean {
  if (token === undefined) return false;
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(authorization), digest(`Bearer ${token}`));
}
