/**
 * Spans of the platform's tracing, as the rooms see them: something that runs within a span, named and described. Pure types, and the form
 * for where nothing is traced. Attributes have the names of the semantic conventions for generative AI; none holds what was said.
 */
export type Attributes = Record<string, string | number | boolean | undefined>;

/** Runs the work and gives what it gives; `describe` adds what is known only then. */
export type InSpan = <T>(
  span: { name: string; attributes?: Attributes },
  work: (describe: (more: Attributes) => void) => Promise<T>,
) => Promise<T>;

export const untraced: InSpan = (_span, work) => work(() => undefined);
