/**
 * Stands for `@langchain/core/load` in main's bundle (`alias` in wrangler.toml). LangGraph's serializer would build any LangChain object that
 * a checkpoint names, and to do so brings them all. Checkpoints here are plain JSON, and what only looks like such an object stays data. Pure.
 */
export const load = (text: string): unknown => JSON.parse(text);
