// Answers each article with a slug of its title put in. Several are worked on at a time: whoever is done first answers
// first, by the id. See docs/reference/exec-protocol.md.
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";

async function answer({ value }) {
  if (typeof value.title !== "string") return { reject: "no title" };
  await setTimeout(Math.random() * 20); // a call to somebody else would be here
  const plain = value.title.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  return { value: { ...value, slug: plain.replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") } };
}

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

say({ ready: 1 });
for await (const line of createInterface({ input: process.stdin })) {
  const record = JSON.parse(line);
  answer(record).then(
    (said) => say({ id: record.id, ...said }),
    (error) => say({ id: record.id, reject: "failed", message: String(error) }),
  );
}
