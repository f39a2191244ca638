/**
 * Attachments through the whole system: taken or refused at the door, kept apart from the messages, shown to models in the provider's
 * form, given back to their owner, and removed with their session.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ErrorBody } from "../contracts/errors.ts";
import type { MessagePage } from "../contracts/sessions.ts";
import { type House, openHouse, type Tenant, untilRows } from "./house.ts";
import { serveLlm } from "../dev/stand-ins/llm.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";
import {
  animatedPng,
  base64,
  dataUrl,
  gif,
  imagePart,
  jpeg,
  largePng,
  mp3,
  pdf,
  placedJpeg,
  png,
  wav,
  webp,
} from "../dev/house/images.ts";

const modelsOf = (gpu: StandIn) => ({
  providers: { gpus: { kind: "vllm", nodes: [`${gpu.url}/v1`] } },
  models: {
    "demo*": { abilities: ["chat", "tools", "images", "audio", "files"] },
    words: { abilities: ["chat", "tools"] },
    own: { routes: [{ provider: "gpus", model: "demo" }] },
    either: {
      routes: [
        { provider: "gpus", model: "demo" },
        { provider: "openai", model: "demo" },
      ],
    },
    eyes: { abilities: ["chat", "images"] },
  },
});

let house: House;
let gpu: StandIn;
let as: Tenant;
beforeAll(async () => {
  gpu = await serveLlm({ files: "none", pace: { firstTokenMs: 0, tokensPerSecond: Number.POSITIVE_INFINITY } });
  const registry = { MODELS: JSON.stringify(modelsOf(gpu)), PROVIDER_KEYS: '{"gpus":"gpu-key"}' };
  house = await openHouse({
    settings: { ...registry, DEFAULT_MODEL: "demo", ATTACHMENT_HOSTS: "images.example.com" },
  });
  as = await house.newTenant();
});
afterAll(async () => {
  await house.close();
  await gpu.close();
});

const text = (said: string) => ({ type: "text", text: said });
const image = (url: string) => ({ type: "image_url", image_url: { url } });
const audio = (file: Uint8Array, format: string) => ({
  type: "input_audio",
  input_audio: { data: base64(file), format },
});
const file = (type: string, data: Uint8Array | string, filename?: string) => ({
  type: "file",
  file: { file_data: dataUrl(type, data), ...(filename && { filename }) },
});

async function chat(body: Record<string, unknown>, tenant = as) {
  const response = await house.call("/chat", { as: tenant, body });
  const reply = await response.json<{ response: string; session_id: string; cache: string }>();
  return { status: response.status, ...reply };
}

async function expectRefused(body: Record<string, unknown>, status: number, code: string): Promise<void> {
  const { calls } = house.llm.stats();
  const response = await house.call("/chat", { as, body });
  const { error } = ErrorBody.parse(await response.json());
  expect({ status: response.status, code: error.code }, JSON.stringify(body).slice(0, 200)).toEqual({ status, code });
  expect(JSON.stringify(error)).not.toMatch(/iVBOR|example/);
  expect(house.llm.stats().calls).toBe(calls);
}
const refuse = (part: unknown) => expectRefused({ parts: [text("See"), part] }, 400, "invalid_request");

function lastPrompt(): { role: string; content: unknown }[] {
  return (house.llm.stats().last_request as { messages: { role: string; content: unknown }[] }).messages;
}

async function messagesOf(sessionId: string, tenant = as) {
  const response = await house.call(`/history/sessions/${sessionId}/messages`, { as: tenant });
  return (await response.json<MessagePage>()).messages;
}

test("[MEDIA-1] a picture, a sound and a file reach the model in their order and in OpenAI's form", async () => {
  const parts = [
    text("First"),
    image(dataUrl("image/png", png(3, 5))),
    text("then"),
    { type: "image_url", image_url: { url: dataUrl("image/gif", gif(7, 2)), detail: "low" } },
    audio(wav(), "wav"),
    audio(mp3(), "mp3"),
    file("application/pdf", pdf(), "a.pdf"),
    file("text/plain", "Notes"),
    text("last."),
  ];
  const { status, response } = await chat({ parts });
  expect(status).toBe(200);
  expect(response).toContain("an image of 3 x 5 px");
  expect(response).toContain("an image of 7 x 2 px");
  expect(response).toContain("the file a.pdf of");
  const sent: object[] = structuredClone(parts);
  sent[7] = text("file.txt:\nNotes");
  expect(lastPrompt().at(-1)).toEqual({ role: "user", content: sent });
});

test("[MEDIA-1] without words, and in a conversation that begins a session", async () => {
  const alone = await chat({ parts: [imagePart(png(4, 4))] });
  expect(alone).toMatchObject({ status: 200, response: expect.stringContaining("4 x 4 px") });
  const messages = [
    { role: "user", content: [text("One"), imagePart(png(5, 5))] },
    { role: "assistant", content: "Yes" },
    { role: "user", content: "And now?" },
  ];
  expect((await chat({ messages })).status).toBe(200);
  expect(lastPrompt().slice(1)).toEqual(messages);
  await expectRefused(
    {
      messages: [
        { role: "user", content: "Hi" },
        { role: "assistant", content: [imagePart(png(5, 5))] },
        { role: "user", content: "Hi" },
      ],
    },
    400,
    "invalid_request",
  );
});

test("[MEDIA-2] [B62] an image is what its bytes say, whole, still, and not too large", async () => {
  await refuse(image(dataUrl("image/jpeg", png(3, 5)))); // it lies
  await refuse(image(dataUrl("image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>")));
  await refuse(image(dataUrl("image/png", "<svg/>")));
  await refuse(image(dataUrl("text/html", "<p>")));
  await refuse(image(dataUrl("image/png", Buffer.concat([png(3, 5), Buffer.from("<script>")])))); // a polyglot
  await refuse(image("data:image/png;base64,"));
  await refuse(image(dataUrl("image/png", png(0, 5))));
  await refuse(image(dataUrl("image/png", png(30_000, 30_000))));
  await refuse(image(dataUrl("image/webp", webp.lossless(8_193, 1))));
  for (const [type, moving] of [
    ["image/png", animatedPng()],
    ["image/gif", gif(3, 5, 2)],
    ["image/webp", webp.extended(3, 5, true)],
  ] as const) {
    await refuse(image(dataUrl(type, moving)));
  }
  const good = dataUrl("image/png", png(3, 5));
  await refuse(image(good.slice(0, -1)));
  await refuse(image(good.slice(0, -4)));
  await refuse(image(`${good.slice(0, 40)}\n${good.slice(40)}`));
  await refuse(image(good.replace(";base64", "")));
  await refuse(image(good.replace("image/png", "")));
  for (const whole of [
    imagePart(png(1, 1)),
    imagePart(jpeg(8, 8), "image/jpg"),
    imagePart(webp.lossy(8, 8), "image/webp"),
  ]) {
    expect((await chat({ parts: [whole] })).status).toBe(200);
  }
});

test("[MEDIA-1] [B62] a picture's metadata, a camera's place among them, reaches the model and its owner as it is", async () => {
  const photo = placedJpeg(8, 6);
  const { status, session_id } = await chat({ parts: [imagePart(photo, "image/jpeg")] });
  expect(status).toBe(200);
  expect(lastPrompt().at(-1)?.content).toEqual([imagePart(photo, "image/jpeg")]);
  const question = (await messagesOf(session_id)).find(({ role }) => role === "user");
  const kept = question?.attachments?.[0];
  if (kept === undefined || !("sha256" in kept)) throw new Error("nothing was kept");
  expect(kept).toMatchObject({ mime_type: "image/jpeg", width: 8, height: 6, bytes: photo.length });
  const given = await house.call(`/history/sessions/${session_id}/attachments/${kept.sha256}`, { as });
  expect(Buffer.from(await given.arrayBuffer()).equals(photo)).toBe(true);
});

test("[MEDIA-2] [B65] sounds and files are checked alike; video is refused by its name", async () => {
  await refuse(audio(wav(), "mp3"));
  await refuse(audio(png(3, 5), "wav"));
  await refuse({ type: "input_audio", input_audio: { data: "", format: "wav" } });
  await refuse({ type: "input_audio", input_audio: { data: base64(wav()), format: "ogg" } });
  await refuse(file("application/pdf", "no PDF"));
  await refuse(file("text/plain", Buffer.from([0xff, 0xfe, 0x41])));
  await refuse(file("text/plain", "a\u0000b"));
  await refuse(file("application/zip", "PK"));
  await refuse(file("text/plain", "Notes", "../etc/passwd"));
  await expectRefused(
    { parts: [{ type: "video_url", video_url: { url: "data:video/mp4;base64,AAAA" } }] },
    400,
    "unsupported_modality",
  );
});

test("[MEDIA-3] [B63] as many and as large as a request may hold, and no more", async () => {
  const many = Array.from({ length: 100 }, (_, at) => imagePart(png(3, 5, { mark: at })));
  await expectRefused({ parts: many }, 400, "invalid_request");
  const large = (megabytes: number) => file("text/plain", "a".repeat(megabytes * 1024 * 1024));
  await expectRefused({ parts: [large(4), large(4), text("x"), file("text/plain", "b")] }, 413, "payload_too_large");
  await expectRefused({ parts: [large(9)] }, 413, "payload_too_large");
  const { status, session_id } = await chat({ parts: [large(3), large(3), large(2)], cache: { mode: "no-store" } });
  expect(status).toBe(200);
  // Each file once, in pieces of a megabyte.
  expect(await house.querySession(session_id, "SELECT count(*) AS pieces FROM attachments")).toEqual([{ pieces: 5 }]);
  const words = {
    messages: Array.from({ length: 13 }, (_, at) => ({
      role: at % 2 ? "assistant" : "user",
      content: "word ".repeat(19_000),
    })),
  };
  await expectRefused(words, 413, "payload_too_large");
});

test("[MEDIA-4] [B64] an address is told to the provider only where its host is allowed; nothing is fetched here", async () => {
  for (const url of [
    ...["http://images.example.com/a.png", "file:///etc/passwd", "ftp://images.example.com/a", "javascript:alert(1)"],
    ...[
      "https://other.example.com/a.png",
      "https://images.example.com.evil.example/a",
      "https://images.example.com:8443/a",
    ],
    ...[
      "https://u:p@images.example.com/a.png",
      `https://images.example.com/${"a".repeat(8_000)}`,
      "//images.example.com/a",
    ],
    ...["data:,Hello", "https://", "images.example.com/a.png"],
  ]) {
    await refuse(image(url));
  }
  const { status, response } = await chat({ parts: [image("https://images.example.com/a.png?x=1")] });
  expect({ status, response }).toMatchObject({
    status: 200,
    response: expect.stringContaining("an image at https://images.example.com/a.png?x=1"),
  });
});

test("[MEDIA-5] a model that cannot be shown it is not called; in a session it is told that something is missing", async () => {
  const parts = [text("See"), imagePart(png(3, 5))];
  await expectRefused({ parts, model: "words" }, 400, "unsupported_modality");
  await expectRefused({ parts: [audio(wav(), "wav")], model: "eyes" }, 400, "unsupported_modality");
  await expectRefused({ parts: [file("application/pdf", pdf())], model: "eyes" }, 400, "unsupported_modality");
  const { session_id } = await chat({ parts, model: "eyes" });
  expect((await chat({ prompt: "And in words?", session_id, model: "words" })).status).toBe(200);
  expect(lastPrompt()[1]).toEqual({ role: "user", content: "See\n\n[1 attachment that cannot be shown]" });
  const again = await chat({ parts: [imagePart(png(6, 6))], session_id, model: "eyes" });
  const path = `/chat/sessions/${again.session_id}/regenerate`;
  expect((await house.call(path, { as, body: { model: "words" } })).status).toBe(400);
  expect((await house.call(path, { as, body: { model: "eyes" } })).status).toBe(200);
});

test("[MEDIA-5] [MEDIA-10] a PDF is sent only where a provider takes it; text is sent to all as text", async () => {
  const own = () => gpu.stats().calls;
  const before = own();
  const paper = file("application/pdf", pdf(), "a.pdf");
  await expectRefused({ parts: [text("See"), paper], model: "own" }, 400, "unsupported_modality");
  await expectRefused(
    { parts: [text("See"), paper], model: "either", model_type: "vllm" },
    400,
    "unsupported_modality",
  );
  const { session_id, status, response } = await chat({ parts: [text("See"), paper], model: "either" });
  expect([status, response, own() - before]).toEqual([200, expect.stringContaining("the file a.pdf of"), 0]);
  // A later turn at a model that takes none is told that something is missing.
  expect((await chat({ prompt: "And in words?", session_id, model: "own" })).status).toBe(200);
  const asked = gpu.stats().last_request as { messages: { content: unknown }[] };
  expect(asked.messages[1]?.content).toBe("See\n\n[1 attachment that cannot be shown]");

  const parts = [text("See"), file("text/csv", "a,b\n1,2", "table.csv")];
  for (const model of ["own", "words"]) expect((await chat({ parts, model })).status).toBe(200);
  expect(lastPrompt().at(-1)?.content).toEqual([text("See"), text("table.csv:\na,b\n1,2")]);
});

test("[MEDIA-6] a message refers to what is attached; its owner reads the bytes, as a file to be saved", async () => {
  const picture = png(3, 5, { mark: 6 });
  const { session_id } = await chat({ parts: [text("See"), imagePart(picture), imagePart(picture)] });
  const [, question] = await messagesOf(session_id);
  const [first, second] = question?.attachments ?? [];
  expect(first).toMatchObject({
    type: "image",
    at: 3,
    mime_type: "image/png",
    bytes: picture.length,
    width: 3,
    height: 5,
  });
  expect(second).toEqual(first);
  expect(JSON.stringify(await house.querySession(session_id, "SELECT * FROM messages"))).not.toContain(
    base64(picture).slice(0, 30),
  );
  const path = `/history/sessions/${session_id}/attachments/${first && "sha256" in first ? first.sha256 : ""}`;
  const read = await house.call(path, { as });
  expect(read.status).toBe(200);
  expect(Object.fromEntries(read.headers)).toMatchObject({
    "content-type": "image/png",
    "content-disposition": "attachment",
    "x-content-type-options": "nosniff",
  });
  expect(new Uint8Array(await read.arrayBuffer())).toEqual(picture);
  expect((await house.call(path, { as: await house.newTenant() })).status).toBe(404);
  expect(
    (
      await house.call(
        path.replace(/.$/, (last) => (last === "0" ? "1" : "0")),
        { as },
      )
    ).status,
  ).toBe(404);
  expect((await house.call(path.slice(0, -1), { as })).status).toBe(400);
});

async function upload(session_id: string, type: string, body: Uint8Array | string, tenant = as) {
  const headers = { "content-type": type };
  const path = `/history/sessions/${session_id}/attachments`;
  const response = await house.call(path, { as: tenant, method: "POST", body, headers });
  return { status: response.status, ...(await response.json<{ url: string; sha256: string }>()) };
}

test("[MEDIA-9] an upload stands for its bytes in a message's parts, as if they stood there", async () => {
  const { session_id } = await chat({ prompt: "Hi" });
  const [picture, notes, sound] = [png(9, 4), "Some notes", wav()];
  const uploads = [
    await upload(session_id, "image/png", picture),
    await upload(session_id, "text/markdown", notes),
    await upload(session_id, "audio/wav", sound),
  ];
  expect(uploads[0]).toEqual({
    ...{ status: 201, type: "image", mime_type: "image/png", bytes: picture.length, width: 9, height: 4 },
    ...{ sha256: uploads[0]?.sha256, url: `attachment:${uploads[0]?.sha256}` },
  });
  const [first = "", second = "", third = ""] = uploads.map(({ url }) => url);
  const parts = [
    ...[text("See"), image(first), { type: "file", file: { file_data: second, filename: "n.md" } }],
    { type: "input_audio", input_audio: { data: third, format: "wav" } },
  ];
  expect((await chat({ parts, session_id })).status).toBe(200);
  expect(lastPrompt().at(-1)?.content).toEqual([
    ...[text("See"), image(dataUrl("image/png", picture)), text(`n.md:\n${notes}`), audio(sound, "wav")],
  ]);
  const [, question] = await messagesOf(session_id);
  expect(question?.attachments).toHaveLength(3);
  const rows = await house.querySession(session_id, "SELECT DISTINCT sha256 FROM attachments");
  expect(rows).toHaveLength(3);
});

test("[MEDIA-9] it is there for a message much later: its object may be lost, and Postgres has it", async () => {
  const { session_id } = await chat({ prompt: "Later" });
  const { url, sha256 } = await upload(session_id, "image/png", png(8, 3));
  await untilRows(house, 1, "select sha256 from attachments where session_id = $1", session_id);
  await house.evict(session_id);
  expect((await chat({ parts: [image(url)], session_id })).response).toContain("8 x 3 px");
  const read = await house.call(`/history/sessions/${session_id}/attachments/${sha256}`, { as });
  expect(new Uint8Array(await read.arrayBuffer())).toEqual(png(8, 3));
});

test("[MEDIA-9] it is its session's alone, and held to what a message may have", async () => {
  const { session_id } = await chat({ prompt: "Hello" });
  const { url } = await upload(session_id, "image/png", png(2, 9));
  const other = await house.newTenant();
  expect((await upload(session_id, "image/png", png(2, 9), other)).status).toBe(404);
  const { session_id: elsewhere } = await chat({ prompt: "Hi" }, other);
  expect((await chat({ parts: [image(url)], session_id: elsewhere }, other)).status).toBe(404);
  expect((await chat({ parts: [image(url)], session_id: (await chat({ prompt: "New" })).session_id })).status).toBe(
    404,
  );
  await expectRefused({ parts: [image(url)] }, 400, "invalid_request");
  await expectRefused({ parts: [image(`${url}0`)], session_id }, 400, "invalid_request");
  await expectRefused({ parts: Array.from({ length: 17 }, () => image(url)), session_id }, 400, "invalid_request");
  const { calls } = house.llm.stats();
  expect((await house.call("/llm/generate", { as, body: { parts: [image(url)] } })).status).toBe(400);
  expect(house.llm.stats().calls).toBe(calls);
  const large = [
    await upload(session_id, "image/png", largePng(1, 5_000_000)),
    await upload(session_id, "image/png", largePng(2, 5_000_000)),
  ];
  await expectRefused({ parts: large.map((one) => image(one.url)), session_id }, 413, "payload_too_large");
  expect((await upload(session_id, "image/png", jpeg(3, 3))).status).toBe(400);
  expect((await upload(session_id, "image/svg+xml", "<svg/>")).status).toBe(415);
  expect((await upload(session_id, "text/plain", "a".repeat(8 * 1024 * 1024 + 1))).status).toBe(413);
});

test("[MEDIA-6] a later turn shows it again at its place, and no token is counted for its bytes", async () => {
  const notes = file("text/plain", "a".repeat(4_000));
  const first = [text("Look"), imagePart(png(3, 5, { mark: 7 })), notes];
  const { session_id } = await chat({ parts: first });
  const before = lastPrompt();
  await chat({ prompt: "And now?", session_id });
  expect(lastPrompt().slice(0, 2)).toEqual(before.slice(0, 2));
  expect(lastPrompt()).toHaveLength(4);
});

test("[MEDIA-6] one prompt carries 16 MiB at most: then half of the history is let go", async () => {
  const ask = (mark: number, session_id?: string) =>
    chat({ parts: [imagePart(largePng(mark, 6_000_000))], session_id, cache: { mode: "no-store" } });
  const shown = () => JSON.stringify(lastPrompt()).match(/"image_url":\{/g)?.length;
  const { session_id } = await ask(1);
  const counts = [shown()];
  for (const mark of [2, 3]) {
    expect((await ask(mark, session_id)).status).toBe(200);
    counts.push(shown());
  }
  expect(counts).toEqual([1, 2, 1]);
});

test("[MEDIA-7] Postgres gets each file once, behind the messages that refer to it, also when it was away", async () => {
  await chat({ prompt: "Hello" }); // the account knows the user
  house.neon.control({ mode: "down" });
  const picture = imagePart(png(9, 9));
  const { session_id } = await chat({ parts: [text("Keep"), picture, imagePart(png(9, 8)), picture] });
  house.neon.control({ mode: "up" });
  const stored = "select sha256 from attachments where session_id = $1";
  const rows = await untilRows(house, 2, stored, session_id);
  const [question] = (await messagesOf(session_id)).toReversed();
  const hashes = (question?.attachments ?? []).flatMap((one) => ("sha256" in one ? [one.sha256] : []));
  expect(rows.map((row) => String(row["sha256"])).toSorted()).toEqual([...new Set(hashes)].toSorted());
  const { calls } = house.neon.stats();
  await chat({ parts: [picture], session_id, cache: { mode: "no-store" } });
  await house.neon.until((stats) => stats.calls > calls && stats.in_flight === 0);
  // One batch of messages, and no file.
  expect(house.neon.stats().calls - calls).toBe(1);
  expect(await house.querySession(session_id, "SELECT min(sent) AS sent FROM attachments")).toEqual([{ sent: 1 }]);
  expect(await house.sql.query(stored, [session_id])).toHaveLength(2);

  await (await house.call(`/history/sessions/${session_id}`, { as, method: "DELETE" })).text();
  expect(await house.sql.query(stored, [session_id])).toEqual([]);
  expect((await house.call(`/history/sessions/${session_id}/attachments/${hashes[0]}`, { as })).status).toBe(404);
});

test("[MEDIA-7] an export names what is attached; an import says that it is left out", async () => {
  const { session_id } = await chat({ parts: [text("Export"), imagePart(png(8, 9))] });
  const lines = await (await house.call(`/history/sessions/${session_id}/export`, { as })).text();
  expect(lines).toContain('"mime_type":"image/png"');
  const other = await house.newTenant();
  const headers = { "content-type": "application/x-ndjson" };
  const report = await house.call("/history/import", { as: other, body: lines, headers });
  expect(await report.json()).toMatchObject({
    messages_imported: 2,
    warnings: [{ code: "parts_left_out", count: 1 }],
  });
});

test("[MEDIA-8] an answer to something attached is its user's alone, and another file is another question", async () => {
  const ask = (mark: number, tenant = as) =>
    chat({ parts: [text("What is it?"), imagePart(png(3, 5, { mark }))] }, tenant);
  expect((await ask(1)).cache).toBe("miss");
  expect((await ask(1)).cache).toBe("hit");
  expect((await ask(2)).cache).toBe("miss");
  expect((await ask(1, await house.newTenant())).cache).toBe("miss");
  expect((await chat({ prompt: "What is it?" })).cache).toBe("miss");
  expect((await chat({ parts: [imagePart(png(3, 5, { mark: 1 })), text("What is it?")] })).cache).toBe("miss");
});

test("[MEDIA-1] a model that is asked directly is shown it too", async () => {
  const parts = [text("See"), imagePart(png(3, 5))];
  const reply = await house.call("/llm/generate", { as, body: { parts } });
  expect(await reply.json()).toMatchObject({ response: expect.stringContaining("an image of 3 x 5 px") });
  const stream = await house.call("/llm/generate/stream", { as, body: { parts } });
  expect((await stream.text()).match(/"content":"[^"]*/g)?.join("")).toContain(
    '"content":" image"content":" of"content":" 3',
  );
  expect((await house.call("/llm/generate", { as, body: { parts, model: "words" } })).status).toBe(400);
});
