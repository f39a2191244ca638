/**
 * Which addresses may be fetched. Pure. Only hosts that the deployment lists, by https or http on their usual ports, without credentials.
 * Refuses every address that is a number, in whatever way it is written, and names that mean this machine or a private network, listed or not.
 */
import * as z from "zod";
import { listSetting } from "../../../contracts/settings.ts";

/** A setting: hosts, separated by commas; `*.` in front stands for all names below. */
export const HostList = listSetting(z.string().toLowerCase().refine(isListable, "must be host names"), 200);

const MAX_URL_CHARS = 2_048;

/** Undefined: it may not be fetched. A relative address counts from `base`, as in a redirect. */
export function readAddress(text: string, allowed: readonly string[], base?: URL): URL | undefined {
  if (text.length > MAX_URL_CHARS || !URL.canParse(text, base?.href)) return undefined;
  // Numbers in any notation, letters of other alphabets and upper case are in one form from here.
  const url = new URL(text, base);
  const isWeb = url.protocol === "https:" || url.protocol === "http:";
  if (!isWeb || url.port !== "" || url.username !== "" || url.password !== "") return undefined;
  return isPublicName(url.hostname) && allowed.some((host) => covers(host, url.hostname)) ? url : undefined;
}

function covers(listed: string, hostname: string): boolean {
  return listed.startsWith("*.") ? hostname.endsWith(listed.slice(1)) : listed === hostname;
}

const PRIVATE_ENDINGS = ["localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa", "onion", "test"];

/** A name with a dot in it that is no number and has none of the endings that never lead to the public network. */
export function isPublicName(hostname: string): boolean {
  const labels = hostname.split(".");
  const ending = labels.at(-1) ?? "";
  if (labels.length < 2 || labels.includes("") || !/^[a-z0-9.-]+$/.test(hostname)) return false;
  return !/^\d/.test(ending) && !PRIVATE_ENDINGS.includes(ending);
}

function isListable(host: string): boolean {
  return isPublicName(host.replace(/^\*\./, ""));
}
