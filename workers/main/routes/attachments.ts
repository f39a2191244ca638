/**
 * The attachments of a session: uploaded to it before a message shows them, and read again. Their bytes are in the session's object. Refuses
 * what a message could not have attached either.
 */
import * as z from "zod";
import type { ErrorCode } from "../../../contracts/errors.ts";
import { SessionPath } from "../../../contracts/params.ts";
import { MAX_ATTACHED_BYTES, toUploadUrl, UploadedAttachment } from "../../../contracts/parts.ts";
import { readUpload } from "../http/body.ts";
import { asker, type Route, route } from "../http/route.ts";
import { takeUpload } from "../media/uploads.ts";
import type { StartDeps } from "./start-turn.ts";

const PATH = "/history/sessions/{session_id}/attachments";
const AttachmentPath = SessionPath.extend({ sha256: z.string().regex(/^[0-9a-f]{64}$/) });
const TYPES = [
  ...(["image/png", "image/jpeg", "image/webp", "image/gif", "audio/wav", "audio/mpeg"] as const),
  ...(["application/pdf", "text/plain", "text/markdown", "text/csv"] as const),
];
const FAILS: ErrorCode[] = ["not_found", "overloaded", "db_timeout", "db_unavailable"];

export function attachmentRoutes({ send }: Pick<StartDeps, "send">): Route[] {
  return [
    route(
      {
        ...{ method: "POST", path: PATH, access: "user", params: SessionPath, body: "raw", bodyType: TYPES },
        ...{ answers: { 201: UploadedAttachment } },
        fails: [...FAILS, "invalid_request", "payload_too_large", "unsupported_media_type"],
        summary: "Takes in a file for messages to come: their parts name it by `url`",
        description: "Checked as what is attached to a message is; 8 MiB at most. The same file again is the same one.",
      },
      async (call) => {
        const { session_id: sessionId } = call.params;
        const { type, bytes } = await readUpload(call.raw, TYPES, MAX_ATTACHED_BYTES);
        const { attachment, file } = takeUpload(type, bytes);
        const { credential } = call.user;
        const kept = await send(sessionId, { kind: "upload", sessionId, file, credential, ...asker(call) });
        if (!kept.ok) return kept;
        const { at: _, ...known } = attachment;
        const uploaded: UploadedAttachment = { ...known, url: toUploadUrl(file.sha256) };
        return Response.json(uploaded, { status: 201 });
      },
    ),
    route(
      {
        ...{ method: "GET", path: `${PATH}/{sha256}`, access: "user", params: AttachmentPath, fails: FAILS },
        ...{ answers: { 200: TYPES }, summary: "The bytes of what is attached to a message, to be saved" },
      },
      (call) => {
        const { session_id: sessionId, sha256 } = call.params;
        return send(sessionId, { kind: "attachment", sessionId, sha256, ...asker(call) });
      },
    ),
  ];
}
