/**
 * Stands for `ajv` and `ajv-formats` in mcp's bundle (`alias` in wrangler.mcp.toml). The SDK brings them as the default of a
 * choice that is always made otherwise here: Ajv writes code as it runs, which workerd refuses. Pure; refuses to be used.
 */
// oxlint-disable-next-line import/no-default-export -- the SDK imports the default
export default function refuse(): never {
  throw new Error("schemas are checked by @cfworker/json-schema here");
}
export { refuse as Ajv };
