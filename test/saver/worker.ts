/** The Worker that the saver's tests run in: an empty Durable Object, for its SQLite. */
import { DurableObject } from "cloudflare:workers";

export class SaverObject extends DurableObject {}
