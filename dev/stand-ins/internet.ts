/**
 * A stand-in for the public network: it answers for the sites that it is given, by host. A Worker whose outbound requests go through
 * `INTERNET_SCRIPT` reaches these and this machine, and nothing else. State lives in this process and ends with `close()`.
 * Counts calls of each site, and `refused`: requests for any other host, which it answers with 502.
 */
import { type Handle, replyJson, serveStandIn, type StandIn } from "./serve.ts";

const ADDRESS_HEADER = "x-internet-address";

/** A Worker between: on workerd, so that a reader who leaves is seen to leave. `INTERNET` is the stand-in's address. */
export const INTERNET_SCRIPT = `export default {
  fetch(request, env) {
    if (new URL(request.url).hostname === "127.0.0.1") return fetch(request);
    const headers = new Headers(request.headers);
    headers.set("${ADDRESS_HEADER}", request.url);
    const { method, body, signal } = request;
    return fetch(env.INTERNET + new URL(request.url).pathname + new URL(request.url).search,
      { method, body, headers, signal, redirect: "manual" });
  },
};`;

export function serveInternet(sites: Record<string, Handle>): Promise<StandIn> {
  return serveStandIn({
    name: "internet",
    modes: ["broken", "changed", "lost", "hang", "huge"],
    counters: ["refused", ...Object.keys(sites)],
    handle(request, response, call) {
      const { hostname } = new URL(String(request.headers[ADDRESS_HEADER]));
      const site = Object.hasOwn(sites, hostname) ? sites[hostname] : undefined;
      call.count(site ? hostname : "refused");
      if (site === undefined) return replyJson(response, 502, { error: "there is no such site" });
      return site(request, response, call);
    },
  });
}
