/**
 * The list of routes without the parts that serve them: for the API's document, and for tests that go over every route. Pure.
 * A handler that is called all the same throws.
 */
import { allRoutes, type AppDeps } from "../workers/main/app.ts";
import type { Route } from "../workers/main/http/route.ts";

export function listRoutes(): Route[] {
  return allRoutes(noParts());
}

/** In place of whatever the routes and the app are put together from; a list only passes it on. */
export function noParts(): AppDeps {
  const nothing: object = new Proxy(() => undefined, {
    get: () => nothing,
    apply: () => {
      throw new Error("the routes are listed, not called");
    },
  });
  return nothing as AppDeps; // every member is itself
}
