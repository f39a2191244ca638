/**
 * What tools, resources and prompts are made of when text alone does not do. Pure types, in our own words: the protocol's are its room's.
 */
/** `data` and `blob` are base64. */
export type Part =
  | { type: "text"; text: string }
  | { type: "image" | "audio"; data: string; mimeType: string }
  | { type: "resource"; resource: ResourceContent };

export type ResourceContent =
  | { uri: string; mimeType: string; text: string }
  | { uri: string; mimeType: string; blob: string };
