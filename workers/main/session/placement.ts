/**
 * Where a session's object is made: near its user, by the hint that the runtime takes once, when an object is first reached. Pure. A hint is no
 * promise; what must hold is the residency that the session's id tells (contracts/ids.ts).
 */
import type { Residency } from "../../../contracts/ids.ts";

/** What is read of `request.cf`. */
interface Origin {
  continent?: unknown;
  country?: unknown;
  /** Degrees east, as text. */
  longitude?: unknown;
}

const OF_CONTINENT: Record<string, DurableObjectLocationHint> = {
  ...{ NA: "enam", SA: "sam", EU: "weur", AS: "apac", OC: "oc", AF: "afr" },
};
/** Parts of Asia that are nearer to it than Singapore or Tokyo are. */
const MIDDLE_EAST = new Set("AE BH IL IQ IR JO KW LB OM PS QA SA SY YE".split(" "));
const MIDDLE_OF_NORTH_AMERICA = -100;
const MIDDLE_OF_EUROPE = 15;

/** Undefined: nothing is known, and the runtime takes the place where the request arrived. */
export function hintFor(
  cf: object | undefined,
  residency: Residency | undefined,
): DurableObjectLocationHint | undefined {
  const { continent, country, longitude }: Origin = cf ?? {};
  const east = typeof longitude === "string" && longitude !== "" ? Number(longitude) : Number.NaN;
  if (continent === "EU") return east > MIDDLE_OF_EUROPE ? "eeur" : "weur";
  // Outside of the EU the jurisdiction knows better than a hint does.
  if (residency !== undefined || typeof continent !== "string") return undefined;
  if (continent === "NA" && east < MIDDLE_OF_NORTH_AMERICA) return "wnam";
  if (continent === "AS" && typeof country === "string" && MIDDLE_EAST.has(country)) return "me";
  return OF_CONTINENT[continent];
}
