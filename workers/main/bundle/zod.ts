/**
 * Stands for `zod/v4` in main's bundle (`alias` in wrangler.toml). LangGraph imports zod as one object, of which a bundler must keep all;
 * this one has the two functions that LangGraph calls. Pure. See docs/decisions/0009.
 */
import { any, custom } from "zod";

export * from "zod";
export const z = { any, custom };
