/**
 * Handles of sessions, and the way to their objects. A handle is random and says nothing; it is no credential, since the object is found by
 * the authenticated user and the handle together. Pure but for the randomness that it is given.
 */
/** Names a session that is to begin; a client's own header of this name does not get past main. */
export const NEW_HANDLE_HEADER = "x-basechat-mcp-handle";

const HANDLE = /^[A-Za-z0-9_-]{43}$/;

/** 256 random bits. */
export function newHandle(randomBytes: (length: number) => Uint8Array): string {
  return btoa(String.fromCodePoint(...randomBytes(32)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

export function isHandle(text: string): boolean {
  return HANDLE.test(text);
}

/** Another user's handle names another object. */
export function objectNameOf(userId: string, handle: string): string {
  return `${userId}:${handle}`;
}
