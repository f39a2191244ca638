import { expect, test } from "vitest";
import { hintFor } from "./placement.ts";

test.each([
  ["enam", { continent: "NA", longitude: "-74.0" }],
  ["wnam", { continent: "NA", longitude: "-122.4" }],
  ["enam", { continent: "NA" }],
  ["sam", { continent: "SA", longitude: "-46.6" }],
  ["weur", { continent: "EU", longitude: "2.35" }],
  ["eeur", { continent: "EU", longitude: "21.0" }],
  ["weur", { continent: "EU", longitude: "" }],
  ["apac", { continent: "AS", country: "JP", longitude: "139.7" }],
  ["me", { continent: "AS", country: "AE", longitude: "55.3" }],
  ["oc", { continent: "OC", longitude: "151.2" }],
  ["afr", { continent: "AF", longitude: "36.8" }],
  [undefined, { continent: "AN" }],
  [undefined, { continent: 7, longitude: 3 }],
  [undefined, {}],
  [undefined, undefined],
])("[REGION-3] a session is made near its user: %s for %j", (hint, cf) => {
  expect(hintFor(cf, undefined)).toBe(hint);
});

test("[REGION-3] a session that must be in the EU is given no place outside of it", () => {
  expect(hintFor({ continent: "EU", longitude: "21.0" }, "eu")).toBe("eeur");
  for (const continent of ["NA", "AS", "AF", "OC", "SA"]) expect(hintFor({ continent }, "eu")).toBeUndefined();
});
