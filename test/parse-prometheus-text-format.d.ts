/** The package brings no types; what it gives is checked by a schema (exposition.ts). */
declare module "parse-prometheus-text-format" {
  export default function parsePrometheusTextFormat(text: string): unknown;
}
