/**
 * A server in front of a real node, for tests only: it serves the app as it was just built, answers the conversation's routes
 * from memory, and hands everything else to the node. What people get has none of this in it.
 *
 * To the node it's a browser: signed in by a link, with a cookie that outlives the node's restarts. A token is of one run alone, and what a
 * page asks in the moment in which a node starts waits at its port: the new node would refuse it, and the page take itself for signed out.
 */
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import { extname, join } from "node:path";
import { WebSocket, WebSocketServer } from "ws";
import type { ChatDouble } from "./chat-double.ts";
import type { TestNode } from "./nodes.ts";

const DIST = new URL("../../dist", import.meta.url).pathname;
const KINDS: Record<string, string> = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2" };
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

export interface Proxy {
  url: string;
  /** While true, nobody answers. */
  cut: (off: boolean) => void;
  stop: () => Promise<void>;
}

export async function startProxy(node: TestNode, chat: ChatDouble | null): Promise<Proxy> {
  const known = { host: new URL(node.api).host, origin: node.api, cookie: await signIn(node) };
  let off = false;
  const sockets = new Set<WebSocket>();
  const server = createServer((from, to) => {
    if (off) return void from.socket.destroy();
    const path = new URL(from.url ?? "/", "http://x").pathname;
    if (!path.startsWith("/api/")) return serveFile(path, to);
    if (chat?.takes(from.method ?? "GET", path)) return void chat.answer(from, to);
    pass(node.api, known, from, to);
  });
  const wss = new WebSocketServer({ server, verifyClient: () => !off });
  wss.on("connection", (client, asked) => {
    sockets.add(client);
    const upstream = new WebSocket(`${node.api.replace("http", "ws")}${asked.url ?? ""}`, { headers: known });
    upstream.on("message", (data) => client.send(data.toString()));
    upstream.on("close", () => client.close());
    upstream.on("error", () => client.close());
    const stopListening = chat?.listen((event) => client.send(JSON.stringify(event)));
    client.on("close", () => {
      stopListening?.();
      sockets.delete(client);
      upstream.close();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const hangUp = () => {
    for (const socket of sockets) socket.terminate();
    server.closeAllConnections();
  };
  return {
    url: `http://127.0.0.1:${port}`,
    cut: (now) => {
      off = now;
      if (now) hangUp();
    },
    stop: async () => {
      hangUp();
      wss.close();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function serveFile(path: string, to: ServerResponse): void {
  const asked = join(DIST, path);
  const file = asked.startsWith(DIST) && existsSync(asked) && statSync(asked).isFile() ? asked : join(DIST, "index.html");
  to.writeHead(200, { "content-type": KINDS[extname(file)] ?? "application/octet-stream", "content-security-policy": POLICY });
  createReadStream(file).pipe(to);
}

/** What the node gives a browser that opens a link. */
async function signIn(node: TestNode): Promise<string> {
  const answer = await fetch(await node.newLink(), { redirect: "manual" });
  const [cookie] = (answer.headers.getSetCookie()[0] ?? "").split(";");
  if (!cookie) throw new Error(`the link signed nobody in: ${answer.status}`);
  return cookie;
}

function pass(api: string, known: Record<string, string>, from: IncomingMessage, to: ServerResponse): void {
  const headers = { ...from.headers, ...known };
  delete headers.referer;
  const up = request(api + (from.url ?? ""), { method: from.method ?? "GET", headers }, (answer) => {
    to.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(to);
  });
  up.on("error", () => to.destroy());
  from.pipe(up);
}
