/** Work that nobody waits for: what the client asks a node, in the words of RFC 7240. */
import { afterEach, expect, test, vi } from "vitest";
import { createClient, type Job } from "@covey/client";

const JOB: Job = {
  id: "7Yq", kind: "backup", target: "/b", state: "running", stage: null, done: 0, total: null,
  result: null, error: null, started_at: "2026-11-21T07:41:00Z", ended_at: null,
};

/** Answers with the job, and keeps what was asked. */
function node(status = 202) {
  const asked: Request[] = [];
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    asked.push(new Request(url, init));
    return Promise.resolve(new Response(JSON.stringify(JOB), { status }));
  });
  return { asked, client: createClient({ base: "http://127.0.0.1:1", token: "t" }) };
}

afterEach(() => vi.unstubAllGlobals());

test("a backup, an import, a join and a link that nobody waits for say so", async () => {
  const { asked, client } = node();
  expect((await client.startBackup("/b", "words")).id).toBe("7Yq");
  await client.startImport("garden", "a/b", '{"n":1}\n', { id_field: "n" });
  await client.startJoin("COVEY-AAAA-AAAA", 60);
  await client.startJoinAsDevice("COVEY-AAAA-AAAA", 60);
  expect(asked.map((one) => one.headers.get("prefer"))).toEqual(Array.from(asked, () => "respond-async"));
  expect(asked.slice(2).map((one) => new URL(one.url).pathname)).toEqual(["/api/v1/join", "/api/v1/devices/join"]);
  expect(asked[1]?.url).toBe("http://127.0.0.1:1/api/v1/spaces/garden/collections/a%2Fb/import?id_field=n");
  expect(await asked[1]?.text()).toBe('{"n":1}\n');
});

test("a job is looked at and cancelled by its id", async () => {
  const { asked, client } = node(200);
  await client.job("7Yq");
  await client.cancelJob("7Yq");
  expect(asked.map((one) => `${one.method} ${new URL(one.url).pathname}`)).toEqual(["GET /api/v1/jobs/7Yq", "DELETE /api/v1/jobs/7Yq"]);
  expect(asked.every((one) => one.headers.get("prefer") === null)).toBe(true);
});
