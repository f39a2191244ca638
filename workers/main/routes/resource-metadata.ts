/**
 * What a client of /mcp can learn before it has a credential (RFC 9728): which resource it is for, where it goes and what it must be good for.
 * Pure. Names no authorization server: credentials are made by /auth.
 */
import * as z from "zod";
import { METADATA_PATH } from "../http/challenge.ts";
import { openRoute, type Route } from "../http/route.ts";

const Metadata = z.strictObject({
  resource: z.url(),
  resource_name: z.string(),
  resource_documentation: z.url(),
  scopes_supported: z.array(z.string()),
  bearer_methods_supported: z.array(z.string()),
});

export function resourceMetadataRoutes(): Route[] {
  // Clients ask with the resource's path behind the well-known one, and some without.
  return [`${METADATA_PATH}/mcp`, METADATA_PATH].map((path) =>
    openRoute(
      {
        ...{ method: "GET", path, access: "open", tag: "mcp", answers: { 200: Metadata } },
        summary: "What a credential for the Model Context Protocol must be (RFC 9728)",
      },
      ({ raw }) => {
        const { origin } = new URL(raw.url);
        return Response.json({
          resource: `${origin}/mcp`,
          resource_name: "BaseChat",
          resource_documentation: `${origin}/docs`,
          scopes_supported: ["mcp"],
          bearer_methods_supported: ["header"],
        } satisfies z.infer<typeof Metadata>);
      },
    ),
  );
}
