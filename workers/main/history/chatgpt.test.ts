/** `conversations.json` of ChatGPT, read: the path to the current message, what people said in words, and what is left out. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { AppError } from "../../../contracts/errors.ts";
import { readChatGpt } from "./chatgpt.ts";

const ANN = "01890000-0000-7000-8000-000000000001";
const BOB = "01890000-0000-7000-8000-000000000002";
const T0 = 1_700_000_000.123456;

interface Said {
  id: string;
  role?: string;
  parts?: unknown[];
  content?: unknown;
  parent?: string | null;
  at?: number | null;
  model?: string;
}

function node({ id, role = "user", parts = [`said ${id}`], content, parent = null, at = T0, model }: Said) {
  return {
    id,
    parent,
    children: [],
    message: {
      id: `message-${id}`,
      author: { role, name: null, metadata: {} },
      create_time: at,
      update_time: null,
      content: content ?? { content_type: "text", parts },
      status: "finished_successfully",
      metadata: { ...(model && { model_slug: model }), timestamp_: "absolute" },
      recipient: "all",
    },
  };
}

function conversation(said: Said[], more: Record<string, unknown> = {}) {
  return {
    title: "A talk",
    create_time: T0,
    update_time: T0 + 60,
    mapping: Object.fromEntries([
      ["root", { id: "root", message: null, parent: null, children: [] }],
      ...said.map((one) => [one.id, node(one)]),
    ]),
    moderation_results: [],
    current_node: said.at(-1)?.id,
    plugin_ids: null,
    conversation_id: "conversation-1",
    default_model_slug: "gpt-4o",
    id: "conversation-1",
    ...more,
  };
}

test("[HIST-11] the path to the current message is taken, its branches are not", () => {
  const said: Said[] = [
    { id: "a", parent: "root" },
    { id: "b", parent: "a", role: "assistant", model: "gpt-4" },
    { id: "c", parent: "a", role: "assistant", model: "gpt-4o", at: T0 + 1 },
    { id: "d", parent: "c", at: null },
  ];
  const { sessions, warnings } = readChatGpt([conversation(said)], ANN);
  expect([...warnings]).toEqual([]);
  const [session] = sessions;
  expect(session).toMatchObject({
    session: { title: "A talk", modelType: null, modelName: "gpt-4o", isActive: true, createdAtMs: 1_700_000_000_123 },
    messages: [
      { seq: 1, parentId: null, role: "user", content: "said a", modelUsed: null },
      { seq: 2, role: "assistant", content: "said c", modelUsed: "gpt-4o", createdAtMs: 1_700_000_001_123 },
      // One without a time has that of the one before it.
      { seq: 3, role: "user", content: "said d", createdAtMs: 1_700_000_001_123 },
    ],
    source: "chatgpt",
  });
  expect(session?.session.updatedAtMs).toBe(1_700_000_060_123);
  const [first, second, third] = session?.messages ?? [];
  expect([second?.parentId, third?.parentId]).toEqual([first?.id, second?.id]);
});

test("[HIST-11] what is no text of a user or the model is left out and counted", () => {
  const said: Said[] = [
    // Every conversation begins with one of these; it is nothing to tell of.
    { id: "s", role: "system", parts: [""] },
    { id: "s2", role: "system", parts: ["custom instructions"], parent: "s" },
    {
      id: "a",
      parent: "s2",
      content: { content_type: "multimodal_text", parts: [{ asset_pointer: "file://1" }, "look", "here"] },
    },
    { id: "b", parent: "a", role: "assistant", content: { content_type: "code", text: "search()" } },
    { id: "c", parent: "b", role: "tool", parts: ["results"] },
    { id: "d", parent: "c", role: "assistant", parts: [""] },
    { id: "e", parent: "d", role: "assistant", content: "no object" },
    { id: "f", parent: "e", role: "assistant", parts: ["An answer"] },
  ];
  const { sessions, warnings } = readChatGpt([conversation(said)], ANN);
  expect(sessions[0]?.messages.map(({ content }) => content)).toEqual(["look\nhere", "An answer"]);
  expect(Object.fromEntries(warnings)).toEqual({ parts_left_out: 1, messages_left_out: 5 });
});

test("[HIST-11] the same file gives the same ids, another user's import others", () => {
  const file = [conversation([{ id: "a" }, { id: "b", parent: "a", role: "assistant" }])];
  expect(readChatGpt(file, ANN)).toEqual(readChatGpt(structuredClone(file), ANN));
  const ids = [ANN, BOB].flatMap((user) =>
    readChatGpt(file, user).sessions.flatMap(({ session, messages }) => [session.id, ...messages.map(({ id }) => id)]),
  );
  expect(new Set(ids).size).toBe(6);
});

test("[HIST-11] a conversation that cannot be read does not keep the others out", () => {
  const good = conversation([{ id: "a" }]);
  const bad = [
    ...[
      null,
      7,
      {},
      [],
      { ...good, mapping: null },
      { ...good, mapping: { a: 7 } },
      { ...good, current_node: undefined },
    ],
    ...[
      { ...good, conversation_id: null, id: undefined },
      conversation([{ id: "x", parts: [] }], { conversation_id: "c2" }),
    ],
    // The second one of an id.
    conversation([{ id: "z" }]),
  ];
  const { sessions, warnings } = readChatGpt([good, ...bad], ANN);
  expect(sessions.map(({ messages }) => messages[0]?.content)).toEqual(["said a"]);
  expect(warnings.get("sessions_left_out")).toBe(bad.length);
});

test("[HIST-11] trees that lead in a circle, or nowhere, end", () => {
  const circle = conversation([
    { id: "a", parent: "b" },
    { id: "b", parent: "a" },
  ]);
  const lost = conversation([{ id: "a", parent: "no such node" }], { conversation_id: "c2" });
  const odd = conversation([{ id: "a", parent: "__proto__" }], { conversation_id: "c3" });
  const { sessions } = readChatGpt([circle, lost, odd], ANN);
  expect(sessions.map(({ messages }) => messages.length)).toEqual([2, 1, 1]);
});

test("[HIST-11] times that are none are left to the conversation, and a missing title to its first words", () => {
  const times = [Number.NaN, -1, 1e300, "yesterday", null];
  for (const time of times) {
    const file = [conversation([{ id: "a", at: T0 }], { title: null, create_time: time, update_time: time })];
    const [session] = readChatGpt(JSON.parse(JSON.stringify(file)), ANN).sessions;
    expect(session?.session).toMatchObject({ title: "said a", createdAtMs: 1_700_000_000_123 });
    expect(session?.session.updatedAtMs).toBe(1_700_000_000_123);
  }
});

test("[HIST-11] [B21] texts are cut to what is stored, and made storable", () => {
  const file = [conversation([{ id: "a", parts: [`\0${"a".repeat(1_000_000)}`] }], { title: `${"t".repeat(999)}😀` })];
  const { sessions, warnings } = readChatGpt(file, ANN);
  expect(sessions[0]?.messages[0]?.content).toBe(`\ufffd${"a".repeat(999_999)}`);
  expect(sessions[0]?.session.title).toBe(`${"t".repeat(999)}\ufffd`);
  expect(Object.fromEntries(warnings)).toEqual({ texts_cut: 2, texts_changed: 2 });
});

test("[HIST-11] whatever the file holds, it is read or refused, and no bug", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (value, inner) => {
      readChatGpt([value, { ...conversation([{ id: "a" }]), mapping: value, title: inner }], ANN);
      readChatGpt([conversation([{ id: "a", parts: [inner], content: value }])], ANN);
    }),
    { numRuns: 500 },
  );
  for (const file of [null, {}, "x", 1]) expect(() => readChatGpt(file, ANN)).toThrow(AppError);
});
