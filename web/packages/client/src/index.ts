/** A typed client of a Covey node, for the web app and for programs. It needs `fetch` and `WebSocket`, and nothing else. */
export type { components, operations, paths } from "./schema.ts";
export * from "./types.ts";
export * from "./http.ts";
export * from "./client.ts";
export * from "./events.ts";
export { openSocket, socketUrl } from "./socket.ts";
