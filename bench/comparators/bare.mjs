/** The least a Worker between a client and a model can do: it passes the request on, and the bytes back. No state. */
// oxlint-disable-next-line import/no-default-export -- a Worker is its module's default export
export default {
  fetch(request, { MODEL_URL }) {
    return fetch(MODEL_URL, { method: "POST", headers: request.headers, body: request.body });
  },
};
