/** A CSV file becomes the same records by the page and by the command: both are held to the same examples. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { csvToLines } from "../../src/lib/csv.ts";
import { EXAMPLES } from "../fixtures/csv.ts";
import { covey, startNode, type TestNode } from "./nodes.ts";

let ada: TestNode;
let space: string;
beforeAll(async () => {
  ada = await startNode("Ada", "ada-laptop", { network: "solo" });
  space = (await ada.client.createSpace("garden")).id;
});
afterAll(() => ada?.stop());

/** The lines of the documents, in an order that depends on them alone. */
async function documents(collection: string): Promise<string[]> {
  const answer = await ada.client.exportLines(space, collection);
  const lines = (await answer.text()).trim().split("\n").filter(Boolean);
  return lines.map((line) => line.replace(/^.*?"doc":/, "")).sort();
}

test.each(EXAMPLES)("$what", async ({ what, csv, lines }) => {
  const name = what.replaceAll(/[^a-z]+/g, "-");
  const file = join(ada.home, "file.csv");
  writeFileSync(file, csv);
  const byCommand = covey(ada, "record", "import", "garden", `command-${name}`, file);
  if (lines === undefined) {
    await expect(byCommand).rejects.toThrow(/CSV/);
    expect(() => csvToLines(csv)).toThrow();
    return;
  }
  await byCommand;
  if (lines === "") return expect(await documents(`command-${name}`)).toEqual([]);
  await ada.client.importRecords(space, `page-${name}`, csvToLines(csv));
  const made = await documents(`page-${name}`);
  expect(made).toHaveLength(lines.trim().split("\n").length);
  expect(made).toEqual(await documents(`command-${name}`));
});
