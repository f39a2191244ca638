/**
 * Headers of remote servers, which hold their credentials: encrypted where they are stored (AES-256-GCM), with a key that is made from
 * SECRET_KEY for this use alone. Pure but for its random number. Refuses what was encrypted under another key or for another server.
 */
const PURPOSE = "basechat mcp servers 1";
const IV_BYTES = 12;

export interface Vault {
  seal(headers: Record<string, string>, server: string): Promise<string>;
  /** Undefined when it cannot be opened. */
  open(sealed: string, server: string): Promise<Record<string, string> | undefined>;
}

export function createVault(secretKey: string): Vault {
  const encoder = new TextEncoder();
  const makeKey = async () => {
    const secret = await crypto.subtle.importKey("raw", encoder.encode(secretKey), "HKDF", false, ["deriveKey"]);
    const derivation = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: encoder.encode(PURPOSE) };
    return crypto.subtle.deriveKey(derivation, secret, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  };
  // A server's name is bound in: what is sealed for one is of no use to another.
  const bound = (iv: Uint8Array, server: string) => ({ name: "AES-GCM", iv, additionalData: encoder.encode(server) });
  return {
    async seal(headers, server) {
      const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
      const text = encoder.encode(JSON.stringify(headers));
      const sealed = await crypto.subtle.encrypt(bound(iv, server), await makeKey(), text);
      return btoa(String.fromCodePoint(...iv, ...new Uint8Array(sealed)));
    },
    async open(sealed, server) {
      const bytes = Uint8Array.from(atob(sealed), (sign) => sign.codePointAt(0) ?? 0);
      const iv = bytes.slice(0, IV_BYTES);
      try {
        const opened = await crypto.subtle.decrypt(bound(iv, server), await makeKey(), bytes.slice(IV_BYTES));
        return JSON.parse(new TextDecoder().decode(opened)) as Record<string, string>; // as it was sealed
      } catch {
        return undefined;
      }
    },
  };
}
