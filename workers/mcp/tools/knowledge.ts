/**
 * The tools of the knowledge base: add, search and delete documents. State lives in Postgres. A document is its user's own, or shared with
 * everyone, which only an admin may do; deleting reaches one's own alone, an
 * admin's the shared ones as well. What is found is other people's words.
 */
import * as z from "zod";
import { storable } from "../../../contracts/text.ts";
import { toChunks } from "../knowledge/chunks.ts";
import type { Embedder } from "../knowledge/embedder.ts";
import type { FoundChunk, KnowledgeStore } from "../knowledge/store.ts";
import type { Tool, ToolReply } from "./tool.ts";

const Collection = z.string().regex(/^[\w.-]{1,64}$/);
const MAX_TEXT_CHARS = 200_000;

const AddInput = z.strictObject({
  title: z.string().trim().min(1).max(200),
  text: z.string().trim().min(1).max(MAX_TEXT_CHARS).describe("The whole text; plain or Markdown."),
  collection: Collection.default("default").describe("What it belongs to."),
  shared: z.boolean().default(false).describe("For everyone, not for the user alone. Admins only."),
});
const SearchInput = z.strictObject({
  query: z.string().trim().min(1).max(400).describe("Words, or a question."),
  collection: Collection.optional().describe("Left out: all."),
  limit: z.int().min(1).max(20).default(5),
});
const DeleteInput = z.strictObject({ document_id: z.uuid().describe("As search_documents shows it.") });

const AWAY: ToolReply = { ok: false, content: "The knowledge base cannot be reached now.", failure: "upstream_error" };
const OWN = { private: true, cost: "metered" } as const;

/** Of the 15 s that a tool has, what is left is Postgres's. */
const EMBED_DOCUMENT_MS = 8_000;
const EMBED_QUERY_MS = 2_000;

interface Options {
  store: KnowledgeStore;
  /** Left out: documents are found by their words alone. */
  embedder: Embedder | undefined;
  newId: () => string;
}

export function createAddDocument({ store, embedder, newId }: Options): Tool<typeof AddInput> {
  return {
    name: "add_document",
    description: "Puts a document into the user's knowledge base, where search_documents finds it.",
    input: AddInput,
    annotations: { readOnly: false, idempotent: false, ...OWN },
    async run({ title, text, collection, shared }, context) {
      const { userId, isAdmin } = context;
      if (shared && !isAdmin) return { ok: false, content: "Only an admin may share a document with everyone." };
      const chunks = toChunks(storable(text));
      const document = { id: newId(), userId, isShared: shared, collection, title: storable(title), chunks };
      if (chunks.length === 0) return { ok: false, content: "The document has no text." };
      const of = await embedder?.embed(chunks, context, EMBED_DOCUMENT_MS);
      const vectors = embedder && of && { model: embedder.model, of };
      const added = await store.addDocument({ ...document, vectors });
      return added.ok ? { ok: true, content: { document_id: document.id, pieces: chunks.length } } : AWAY;
    },
  };
}

export function createSearchDocuments({ store, embedder }: Omit<Options, "newId">): Tool<typeof SearchInput> {
  return {
    name: "search_documents",
    description: `Searches the knowledge base, the user's own documents and those shared with everyone, by their words${
      embedder === undefined ? "" : " and their meaning"
    }.`,
    input: SearchInput,
    // Another search of the same words finds what has been added since.
    annotations: { readOnly: true, idempotent: false, ...OWN },
    isOutside: true,
    async run({ query, collection, limit }, context) {
      const text = storable(query);
      const [vector] = (await embedder?.embed([text], context, EMBED_QUERY_MS)) ?? [];
      const near = embedder && vector && { model: embedder.model, minSimilarity: embedder.minSimilarity, vector };
      const found = await store.searchDocuments({ userId: context.userId, text, collection, limit, near });
      if (!found.ok) return AWAY;
      return {
        ok: true,
        content: found.value.length === 0 ? "Nothing was found." : found.value.map(show).join("\n\n"),
      };
    },
  };
}

export function createDeleteDocument({ store }: Pick<Options, "store">): Tool<typeof DeleteInput> {
  return {
    name: "delete_document",
    description:
      "Deletes one of the user's own documents from the knowledge base; an admin may delete shared ones as well.",
    input: DeleteInput,
    annotations: { readOnly: false, idempotent: true, ...OWN },
    async run({ document_id: id }, caller) {
      const deleted = await store.deleteDocument(caller, id);
      if (!deleted.ok) return AWAY;
      return deleted.value ? { ok: true, content: "Deleted." } : { ok: false, content: "There is no such document." };
    },
  };
}

function show({ documentId, title, collection, isShared, content }: FoundChunk): string {
  const where = `${collection}${isShared ? ", shared" : ""}, document ${documentId}`;
  return `## ${title} (${where})\n${content}`;
}
