/** The addresses that a deployment's settings hold, and the nodes of MODELS: whether a Worker can reach them. Pure; tells no address. */
import { isOutOfReach } from "../hosts.ts";
import { failure, type Finding, warning } from "./finding.ts";
import type { Values } from "./settings.ts";

export function checkAddresses(values: Values): Finding[] {
  return Object.entries(values).flatMap(([name, value]) => {
    const urls = name.endsWith("_URL") ? [value] : name === "MODELS" ? urlsIn(value) : [];
    const real = urls.filter((url) => URL.canParse(url));
    const what = name === "MODELS" ? "a node of MODELS" : name;
    if (real.some(isOutOfReach)) {
      const detail = `${what} is an address of this machine or of a private network, which deployed Workers cannot reach`;
      return [failure("addresses", detail, `put the public address into ${name} (a tunnel: docs/vllm-tunnel.md)`)];
    }
    if (real.some((url) => new URL(url).protocol === "http:"))
      return [warning("addresses", `${what} is asked without TLS`, `write https: in ${name}`)];
    return [];
  });
}

/** At any depth. What is no JSON is told by the schemas. */
function urlsIn(json: string): string[] {
  const found: string[] = [];
  try {
    JSON.parse(json, (_key, value: unknown) => {
      if (typeof value === "string" && /^https?:/.test(value)) found.push(value);
      return value;
    });
  } catch {
    return [];
  }
  return found;
}
