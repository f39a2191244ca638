/**
 * Origins of pages: those that a deployment lists, and its own. Pure. An origin is compared whole: `https://good.example.evil.com`
 * is not `https://good.example`, and `null` is nobody's.
 */
import * as z from "zod";
import { listSetting } from "./settings.ts";

const Origin = z.string().refine((text) => {
  const isOrigin = URL.canParse(text) && new URL(text).origin === text;
  return isOrigin && text !== "null" && !text.includes("*"); // a pattern would look as if it matched something
});

const Host = z
  .string()
  .toLowerCase()
  .refine((host) => URL.parse(`https://${host}/`)?.host === host, "must be a host");

/** A setting: exact hosts, separated by commas: `images.example.com`, with a port where it is not 443. */
export const HostList = listSetting(Host, 100);

/** A setting: exact origins, separated by commas. */
export const OriginList = listSetting(Origin, 100);

/** Over plain http a rebound name makes a stranger's page look like one of ours, but for this machine's names. */
export function isTrustedHost({ protocol, hostname }: URL): boolean {
  return protocol === "https:" || ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
}

/** A page of our own host. */
export function isOwnOrigin(origin: string, url: URL): boolean {
  return isTrustedHost(url) && origin === url.origin;
}
