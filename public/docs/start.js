/** Draws the API's document with Swagger UI, which the page has loaded before. Keeps no credential: a reload forgets it. */
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  validatorUrl: null,
});
