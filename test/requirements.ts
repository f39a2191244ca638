/**
 * What this project promises, as pure data: id -> where the promise comes from and what it says.
 * A test cites the id in its title, `[NET-1] ...`; test/requirements.test.ts fails on an id that no test cites.
 */
export interface Requirement {
  /** Where it comes from: a document of this repository and its section. */
  source: string;
  text: string;
}

export const REQUIREMENTS: Readonly<Record<string, Requirement>> = {
  "INSTALL-1": {
    source: "package.json: predev, pretest, precheck",
    text: "A first command installs the dependencies itself; a current install costs nothing and prints nothing.",
  },
  "INSTALL-2": {
    source: "package.json: predev, pretest, precheck",
    text: "A failed install says what to do next and exits with npm's code.",
  },
  "LAYERS-1": {
    source: ".oxlintrc.json",
    text: "A file imports only what its layer may import; a vendor package has one importing file.",
  },
  "LINT-1": {
    source: ".oxlintrc.json",
    text: "A forgotten await, also on a thenable, an unhandled case of a union, any, ! and import circles are refused.",
  },
  "NET-1": {
    source: "vitest.config.ts",
    text: "Tests reach nothing but loopback.",
  },
  "REPORT-1": {
    source: "vitest.config.ts",
    text: "A test run ends with the plain line `N passed, N failed`, which never hides a failure.",
  },
  "TRACE-1": {
    source: "test/requirements.ts",
    text: "Every requirement is cited by a test, and every cited id is declared.",
  },
};
