/**
 * Users, sign-in and API keys as the API shows them. Pure. Unknown fields are refused; a password, its hash and a key's hash are in
 * no reply.
 */
import * as z from "zod";
import { ToolName } from "./chat.ts";

export const Role = z.enum(["user", "admin"]);
export type Role = z.infer<typeof Role>;

/** What an API key may be used for; a login may do everything that its user may. */
export const SCOPES = ["chat", "history", "mcp", "account", "admin"] as const;
export const Scope = z.enum(SCOPES);
export type Scope = z.infer<typeof Scope>;

/** scrypt takes any length; a longer one only costs the server time. */
const MAX_PASSWORD_BYTES = 72;
const MIN_PASSWORD_CHARS = 10;
const MIN_DISTINCT_CHARS = 5;

const Username = z
  .string()
  .regex(/^[\p{L}\p{N}][\p{L}\p{N}._-]{1,63}$/u, "must be 2 to 64 letters, digits, dots, dashes and underscores");
const Email = z.email().max(254);
const Password = z
  .string()
  .refine((text) => new TextEncoder().encode(text).length <= MAX_PASSWORD_BYTES, "must have 72 bytes at most")
  .refine((text) => [...text].length >= MIN_PASSWORD_CHARS, "must have 10 characters or more")
  .refine((text) => new Set(text).size >= MIN_DISTINCT_CHARS, "must have 5 different characters or more")
  .refine((text) => !text.includes("\u0000"), "must not contain NUL");

/** Postgres takes no NUL. */
const TriedName = z
  .string()
  .max(254)
  .refine((text) => !text.includes("\u0000"), "must not contain NUL");
/** Whatever is tried; only a good one was ever accepted. */
const TriedPassword = z.string().min(1).max(1_024);

export const SignUp = z
  .strictObject({ username: Username, email: Email, password: Password })
  .refine(({ username, email, password }) => ![username, email].includes(password), {
    path: ["password"],
    message: "must not be the name or the address",
  });

export const UserView = z
  .strictObject({
    id: z.uuidv7(),
    username: z.string(),
    email: z.string(),
    role: Role,
    is_active: z.boolean(),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .meta({ id: "User" });
export type UserView = z.infer<typeof UserView>;

/** `current_password` comes with a user's own new password; `role` and `is_active` are an admin's to change. */
export const UserPatch = z
  .strictObject({
    username: Username.optional(),
    email: Email.optional(),
    password: Password.optional(),
    current_password: TriedPassword.optional(),
    role: Role.optional(),
    is_active: z.boolean().optional(),
  })
  .refine((patch) => Object.keys(patch).some((name) => name !== "current_password"), "must change something");
export type UserPatch = z.infer<typeof UserPatch>;

/** null: the deployment's default. */
export const Preferences = z
  .strictObject({
    default_model: z
      .string()
      .regex(/^[\w./:-]{1,128}$/)
      .nullable()
      .default(null),
    default_temperature: z.number().min(0).max(2).nullable().default(null),
    max_tokens: z.int().min(1).max(128_000).nullable().default(null),
    /** Tools that are neither offered to a model nor called for this user. */
    disabled_tools: z.array(ToolName).max(200).default([]),
  })
  .meta({ id: "Preferences" });
export type Preferences = z.infer<typeof Preferences>;
export const NO_PREFERENCES: Preferences = {
  ...{ default_model: null, default_temperature: null, max_tokens: null },
  disabled_tools: [],
};

const removed = z.strictObject({
  postgres: z.strictObject({
    ...{ users: z.int(), sessions: z.int(), messages: z.int(), api_keys: z.int(), preferences: z.int() },
    documents: z.int(),
    usage_records: z.int(),
  }),
  session_objects: z.int(),
  cache_entries: z.int(),
});
/** `finished` false: it goes on by itself; the counts are those so far. */
export const ErasedUser = z.strictObject({ user_id: z.uuidv7(), finished: z.boolean(), removed });

export const LoginRequest = z
  .strictObject({
    username: TriedName.optional(),
    email: TriedName.optional(),
    password: TriedPassword,
  })
  .refine(({ username, email }) => (username === undefined) !== (email === undefined), "give username or email");
export type LoginRequest = z.infer<typeof LoginRequest>;

export const Tokens = z.strictObject({
  access_token: z.string(),
  token_type: z.literal("bearer"),
  /** Seconds until the access token ends. */
  expires_in: z.int(),
  refresh_token: z.string(),
});

export const RefreshRequest = z.strictObject({ refresh_token: z.string().min(1).max(4_096) });

export const Me = z.strictObject({
  user: UserView,
  /** What this credential may be used for. */
  scopes: z.array(Scope),
});

export const ApiKeyRequest = z.strictObject({
  name: z
    .string()
    .trim()
    .min(1)
    .max(100)
    .refine((text) => !text.includes("\u0000"), "must not contain NUL"),
  scopes: z
    .array(Scope)
    .min(1)
    .refine((scopes) => new Set(scopes).size === scopes.length, "must not repeat one")
    .default(["chat", "history", "mcp"]),
  expires_in_days: z.int().min(1).max(3_650).default(365),
});

const apiKey = {
  id: z.uuidv7(),
  name: z.string(),
  scopes: z.array(Scope),
  created_at: z.iso.datetime(),
  expires_at: z.iso.datetime(),
  last_used_at: z.iso.datetime().nullable(),
};
export const ApiKeyView = z.strictObject(apiKey).meta({ id: "ApiKey" });
export type ApiKeyView = z.infer<typeof ApiKeyView>;
/** The only reply that ever holds the key. */
export const NewApiKey = z.strictObject({ ...apiKey, key: z.string() });
export const ApiKeyList = z.strictObject({ api_keys: z.array(ApiKeyView) });
