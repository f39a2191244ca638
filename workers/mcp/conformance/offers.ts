/**
 * The resources and prompts that the protocol's conformance suite asks for, under MCP_CONFORMANCE=1 alone. Pure. Everyone may read them.
 */
import type { Offers, Prompt, PromptMessage, Resource } from "../offers.ts";
import type { Part, ResourceContent } from "../tools/content.ts";
import { PIXEL_PNG } from "./media.ts";

const STATIC: ResourceContent[] = [
  { uri: "test://static-text", mimeType: "text/plain", text: "This is the content of the static text resource." },
  { uri: "test://static-binary", mimeType: "image/png", blob: PIXEL_PNG },
  { uri: "test://watched-resource", mimeType: "text/plain", text: "Nothing has changed." },
];
const LISTED: Resource[] = STATIC.map(({ uri, mimeType }) => ({
  ...{ uri, mimeType, name: uri.replace("test://", ""), description: "Of the conformance suite." },
}));

const user = (content: Part): PromptMessage => ({ role: "user", content });
const text = (content: string): PromptMessage => user({ type: "text", text: content });
const argument = (name: string) => ({ name, description: "Of the conformance suite.", required: true });
const define = (name: string, args: string[], get: Prompt["get"]): Prompt => ({
  ...{ name, description: "Of the conformance suite.", arguments: args.map(argument), get },
});

const PROMPTS: Prompt[] = [
  define("test_simple_prompt", [], async () => [text("This is a simple prompt for testing.")]),
  {
    ...define("test_prompt_with_arguments", ["arg1", "arg2"], async ({ arg1 = "", arg2 = "" }) => [
      text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`),
    ]),
    complete: async (_argument, begun) => ["paris", "park", "party"].filter((value) => value.startsWith(begun)),
  },
  define("test_prompt_with_embedded_resource", ["resourceUri"], async ({ resourceUri = "" }) => [
    user({
      type: "resource",
      resource: { uri: resourceUri, mimeType: "text/plain", text: "Embedded resource content for testing." },
    }),
    text("Please process the embedded resource above."),
  ]),
  define("test_prompt_with_image", [], async () => [
    user({ type: "image", data: PIXEL_PNG, mimeType: "image/png" }),
    text("Please analyze the image above."),
  ]),
];

export const FIXTURE_OFFERS: Offers = {
  resources: {
    list: async () => LISTED,
    templates: [
      {
        uriTemplate: "test://template/{id}/data",
        ...{ name: "template", description: "Of the conformance suite.", mimeType: "application/json" },
      },
    ],
    async read(uri) {
      const found = STATIC.find((resource) => resource.uri === uri);
      return found ? [found] : readTemplate(uri);
    },
  },
  prompts: PROMPTS,
};

function readTemplate(uri: string): ResourceContent[] | undefined {
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id === undefined) return undefined;
  const data = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
  return [{ uri, mimeType: "application/json", text: data }];
}
