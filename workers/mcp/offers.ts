/**
 * What a server offers besides tools: resources and prompts. Pure types; knows nothing of the protocol that carries them.
 * A source shows a caller only what is the caller's own.
 */
import type { Part, ResourceContent } from "./tools/content.ts";
import type { Caller } from "./tools/tool.ts";

export interface Resource {
  uri: string;
  name: string;
  description: string;
  mimeType: string;
}

export interface ResourceTemplate extends Omit<Resource, "uri"> {
  /** A URI template (RFC 6570). */
  uriTemplate: string;
}

export interface Resources {
  list(caller: Caller): Promise<Resource[]>;
  templates: ResourceTemplate[];
  /** Undefined when there is no such resource, or it is not the caller's. */
  read(uri: string, caller: Caller): Promise<ResourceContent[] | undefined>;
  /** When those of the caller's changed last, in milliseconds, as far as it can be told now. Left out: none ever does. */
  changes?(uris: string[], caller: Caller): Promise<Map<string, number>>;
}

export interface PromptMessage {
  role: "user" | "assistant";
  content: Part;
}

export interface Prompt {
  name: string;
  description: string;
  arguments: { name: string; description: string; required: boolean }[];
  /** Undefined when an argument names what is not there. */
  get(args: Record<string, string>, caller: Caller): Promise<PromptMessage[] | undefined>;
  /** Values of an argument that begin with `begun`. */
  complete?(argument: string, begun: string): Promise<string[]>;
}

export interface Offers {
  resources: Resources;
  prompts: Prompt[];
}
