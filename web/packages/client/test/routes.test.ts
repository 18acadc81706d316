/** Whether the client has every route of the OpenAPI document, and asks each in the document's words. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createClient, type Client, type operations } from "@covey/client";

interface Route {
  method: string;
  /** Its path, with `{name}` for what is put in. */
  path: string;
  queries: string[];
  body: string[];
}

const document = JSON.parse(readFileSync(join(import.meta.dirname, "../../../../docs/protocol/openapi.json"), "utf8"));

interface Described {
  operationId: string;
  parameters?: { name: string; in: string }[];
  requestBody?: { content: Record<string, { schema: { $ref?: string } }> };
}

const fieldsOf = (described: Described): string[] => {
  const reference = described.requestBody?.content["application/json"]?.schema.$ref;
  const schema = reference && document.components.schemas[reference.replace("#/components/schemas/", "")];
  return Object.keys(schema?.properties ?? {});
};

const routes = new Map<string, Route>();
for (const [path, methods] of Object.entries<Record<string, Described>>(document.paths)) {
  for (const [method, described] of Object.entries(methods)) {
    if (!described.operationId) continue;
    const queries = (described.parameters ?? []).filter((one) => one.in === "query").map((one) => one.name);
    routes.set(described.operationId, { method: method.toUpperCase(), path, queries, body: fieldsOf(described) });
  }
}

const drain = async (values: AsyncIterable<unknown>) => {
  for await (const value of values) void value;
};

/** How each operation is asked. A route that is new in the document is missing here, which TypeScript says, and the test. */
const CALLS: { [Id in keyof operations]: (node: Client) => unknown } = {
  addMember: (node) => node.addMember("s", { user: "u", role: "guest" }),
  addToChannel: (node) => node.addToChannel("s", "c", "u", "admin"),
  auditSpace: (node) => node.audit("s", undefined, { who: "ada", what: "found", since: "2026-11-21T07:41:00Z" }),
  backup: (node) => drain(node.backup("/f", "p")),
  cancelJob: (node) => node.cancelJob("j"),
  changeChannel: (node) => node.changeChannel("s", "c", { name: "n" }),
  createChannel: (node) => node.createChannel("s", { name: "n" }),
  createSpace: (node) => node.createSpace("n", { parent: "s" }),
  deleteMessage: (node) => node.deleteMessage("s", "m"),
  deleteRecord: (node) => node.deleteRecord("s", "k", "r"),
  editMessage: (node) => node.editMessage("s", "m", "t"),
  exportRecords: (node) => drain(node.exportRecords("s", "k")),
  getChannel: (node) => node.channel("s", "c"),
  getDeliveries: (node) => node.deliveries("s"),
  getDevice: (node) => node.device("d"),
  getHistory: (node) => node.history("s"),
  getJob: (node) => node.job("j"),
  getMember: (node) => node.member("s", "u"),
  getMessage: (node) => node.message("s", "m"),
  getOpenApi: (node) => node.openApi(),
  getProfile: (node) => node.profile(),
  getRecord: (node) => node.record("s", "k", "r"),
  getRecordSync: (node) => node.recordSync("s", "k", "r"),
  getRecordsSync: (node) => node.recordsSync("s", "k", ["r"]),
  getSpace: (node) => node.space("s"),
  getStatus: (node) => node.status(),
  importRecords: (node) => node.importRecords("s", "k", "{}\n", { id_field: "f" }),
  invite: (node) => node.invite("s", "guest", 60),
  joinAsDevice: (node) => node.joinAsDevice("CODE", 5),
  joinChannel: (node) => node.joinChannel("s", "c"),
  joinSpace: (node) => node.join("CODE", 5),
  leaveChannel: (node) => node.leaveChannel("s", "c"),
  leaveSpace: (node) => node.leaveSpace("s"),
  linkDevice: (node) => node.linkDevice(60),
  listBrowsers: (node) => node.browsers(),
  listChanges: (node) => node.changes("s", { collection: "k", since: 1, limit: 2 }),
  listChannels: (node) => node.channels("s"),
  listCollections: (node) => node.collections("s"),
  listDevices: (node) => node.devices(),
  listJobs: (node) => node.jobs(),
  listMembers: (node) => node.members("s"),
  listMessages: (node) => node.messages("s", "c", { before: "m", limit: 2 }),
  listPeers: (node) => node.peers(),
  listPresence: (node) => node.presence("s"),
  listRecords: (node) => node.records("s", "k", { where: "x", after: "y", limit: 2 }),
  listSpaces: (node) => node.spaces({ all: true }),
  makeWebLink: (node) => node.webLink(),
  markRead: (node) => node.markRead("s", "c", "m"),
  openDirect: (node) => node.direct("s", ["u"]),
  patchRecord: (node) => node.patchRecord("s", "k", "r", { n: 1 }),
  putRecord: (node) => node.putRecord("s", "k", "r", { n: 1 }),
  queryRecords: (node) => node.sql("s", { sql: "SELECT ?", values: [1], limit: 1 }),
  react: (node) => node.react("s", "m", "+1", true),
  removeFromChannel: (node) => node.removeFromChannel("s", "c", "u"),
  removeMember: (node) => node.removeMember("s", "u"),
  renameDevice: (node) => node.renameDevice("d", "n"),
  renameUser: (node) => node.renameUser("n"),
  revokeDevice: (node) => node.revokeDevice("d"),
  rotateKey: (node) => node.rotateKey("s"),
  runDoctor: (node) => node.doctor(),
  saveDraft: (node) => node.saveDraft("s", "c", "t"),
  searchMessages: (node) => node.search("s", { q: "w", channel: "c", limit: 2 }),
  sendMessage: (node) => node.sendMessage("s", "c", { text: "t" }),
  setChannelRole: (node) => node.setChannelRole("s", "c", "u", "member"),
  setHistory: (node) => node.setHistory("s", "full"),
  setPresence: (node) => node.setPresence("away"),
  setRole: (node) => node.setRole("s", "u", "admin"),
  signAllOut: (node) => node.signAllOut(),
  signOut: (node) => node.signOut("b"),
  takeBackReaction: (node) => node.react("s", "m", "+1", false),
  tellTyping: (node) => node.typing("s", "c"),
  watchChanges: (node) => drain(node.watch("s", { collection: "k", since: 1 })),
  watchEvents: (node) => node.events({ onEvent: () => undefined }).stop(),
  withdrawInvite: (node) => node.withdrawInvite("s", "7K2M"),
  withdrawLink: (node) => node.withdrawLink("7K2M"),
};

interface Asked {
  method: string;
  url: URL;
  body: unknown;
  type: string | null;
  token: string | null;
}

/** What a call sends, with nobody there to answer more than an empty object. */
async function askedBy(call: (node: Client) => unknown): Promise<Asked> {
  const asked: Asked[] = [];
  const note = (method: string, url: string, headers: Headers, body: unknown = null) =>
    asked.push({ method, url: new URL(url), body, type: headers.get("content-type"), token: headers.get("authorization") });
  vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
    note(init.method ?? "GET", url, new Headers(init.headers), init.body);
    return new Response("{}", { headers: { "content-type": "application/json" } });
  });
  vi.stubGlobal("WebSocket", class {
    onclose: (() => void) | null = null;
    constructor(url: string, options: { headers: Record<string, string> }) {
      note("GET", url.replace(/^ws/, "http"), new Headers(options.headers));
      queueMicrotask(() => this.onclose?.());
    }
    close() {}
  });
  const calling = async () => call(createClient({ base: "http://node", token: "secret" }));
  // A socket that closes at once is a line that broke.
  await calling().catch((error: unknown) => expect(error).toMatchObject({ problem: "unreachable" }));
  expect(asked).toHaveLength(1);
  return asked[0] as Asked;
}

afterEach(() => vi.unstubAllGlobals());

describe("the client and the OpenAPI document", () => {
  test("every operation has its function, and there is no other", () => {
    expect(routes.size).toBeGreaterThan(70);
    expect(Object.keys(CALLS).sort()).toEqual([...routes.keys()].sort());
  });

  test.each(Object.entries(CALLS))("%s is asked as the document says", async (id, call) => {
    const route = routes.get(id) as Route;
    const asked = await askedBy(call);
    const pattern = route.path.replace(/[.+]/g, "\\$&").replace(/\{\w+\}/g, "[^/]+");
    expect(asked.method).toBe(route.method);
    expect(asked.url.pathname).toMatch(new RegExp(`^${pattern}$`));
    expect(route.queries).toEqual(expect.arrayContaining([...asked.url.searchParams.keys()]));
    expect(asked.token).toBe("Bearer secret");
    if (route.body.length > 0) {
      expect(asked.type).toBe("application/json");
      expect(route.body).toEqual(expect.arrayContaining(Object.keys(JSON.parse(asked.body as string))));
    }
  });

  test("every function of the client is some route's", async () => {
    const used = new Set<string>();
    const node = createClient({ base: "http://node", token: "secret" });
    const spy = new Proxy(node, {
      get(target, name: keyof Client) {
        used.add(name);
        return target[name];
      },
    });
    for (const call of Object.values(CALLS)) await askedBy(() => call(spy));
    // The same routes asked otherwise, and addresses for whoever asks by themselves.
    const others = ["connection", "startBackup", "startImport", "startJoin", "startJoinAsDevice", "exportLines", "exportUrl", "importUrl"];
    expect(Object.keys(node).filter((name) => !used.has(name)).sort()).toEqual(others.sort());
  });
});
