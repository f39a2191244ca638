/** What a deployment is asked for, in order, and what comes after. Pure. Every name is a setting of a Worker. */
interface Step {
  title: string;
  how: string;
  names: readonly string[];
}

export const QUESTIONS: readonly Step[] = [
  {
    title: "1. Postgres",
    how: "   Make a Neon project (https://console.neon.tech), in the region of most users; copy its connection string.",
    names: ["DATABASE_URL"],
  },
  {
    title: "2. Redis",
    how: "   Make an Upstash Redis (https://console.upstash.com), in the same region; copy its REST address and token.",
    names: ["UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"],
  },
  {
    title: "3. A model: OpenAI, or a server like it",
    how: "   Make a key with a monthly limit (https://platform.openai.com). Leave it out if a vLLM of yours is to answer.",
    names: ["OPENAI_API_KEY", "DEFAULT_MODEL"],
  },
  {
    title: "4. A model: your own vLLM behind a tunnel",
    how: "   docs/vllm-tunnel.md makes the tunnel and the Access application with its service token. LLM_TYPE is vllm if only it answers.",
    names: ["VLLM_BASE_URL", "VLLM_API_KEY", "CF_ACCESS_CLIENT_ID", "CF_ACCESS_CLIENT_SECRET", "LLM_TYPE"],
  },
  {
    title: "5. Who may come",
    how: "   SIGN_UP is open or closed; CORS_ORIGINS are the pages that call the API from a browser.",
    names: ["SIGN_UP", "CORS_ORIGINS"],
  },
];

export function nextSteps(environment: string, signUp: string | undefined): string {
  const file = `.dev/${environment}.vars`;
  return [
    `   npm run setup -- --env ${environment} --check     reaches every service with these settings`,
    "   npx wrangler login",
    `   DATABASE_URL='…' npm run deploy -- --env ${environment} --secrets-file ${file}`,
    "   DATABASE_URL='…' SECRET_KEY='…' npm run user:create -- --username … --email … --admin --key",
    `   ${signUp === "closed" ? "BASECHAT_KEY='the key that was printed' " : ""}npm run smoke -- https://the-address-that-wrangler-printed`,
  ].join("\n");
}
