// Works against a server that is killed and started again while it does. What
// it writes to standard output tells the test when to do that.
import assert from "node:assert/strict";
import { Client, isProblem, uuidv7 } from "onepg-client";

const [baseUrl] = process.argv.slice(2);
const api = new Client({ baseUrl, attempts: 100, patience: 120_000 });
const say = (word) => process.stdout.write(word + "\n");
const users = 200;

const stop = new AbortController();
const seen = [];
const rows = new Map();
const following = (async () => {
  for await (const event of api.events({ signal: stop.signal, after: 0 })) seen.push(event);
})().catch((error) => assert.ok(stop.signal.aborted, error));
const watching = (async () => {
  for await (const change of api.changes("users", { signal: stop.signal, after: 0 })) rows.set(change.row.id, change.row.version);
})().catch((error) => assert.ok(stop.signal.aborted, error));

// Many at once, so that some are in flight when the server is killed.
const receipts = [];
let begun = 0;
await Promise.all(
  Array.from({ length: 8 }, async () => {
    while (begun < users) {
      const n = begun++;
      if (n === users / 4) say("kill");
      receipts.push(await api.append("users", { name: "user.created", payload: { name: `User ${n}`, email: `u${n}@example.com` } }));
    }
  }),
);
assert.equal(new Set(receipts.map((r) => r.aggregate_id)).size, users);

for (const receipt of receipts) {
  const row = await api.waitFor("users", receipt);
  assert.equal(row.id, receipt.aggregate_id);
}

// Every event is in the log once, and the stream has shown each once, in order.
const log = [];
for await (const event of api.items("GET /v1/events", { query: { limit: 50 } })) log.push(event);
assert.equal(log.length, users);
assert.deepEqual(new Set(log.map((e) => e.id)), new Set(receipts.map((r) => r.id)));
const listed = [];
for await (const user of api.items("GET /v1/users", { query: { limit: 70, sort: "name" } })) listed.push(user.id);
assert.equal(new Set(listed).size, users);
await until(() => seen.length >= users && rows.size >= users);
assert.deepEqual(seen.map((e) => e.position), log.map((e) => e.position));
assert.deepEqual(seen.map((e) => e.id), log.map((e) => e.id));

// What is refused has a code.
const [first] = receipts;
const update = { name: "user.updated", aggregate_id: first.aggregate_id, payload: { name: "Ada" } };
await assert.rejects(api.append("users", update, { ifMatch: 7 }), (e) => isProblem(e, "version-conflict") && e.status === 412 && e.problem.current_version === 1);
await assert.rejects(api.waitFor("users", { ...first, version: 9 }, { seconds: 1 }), (e) => isProblem(e, "view-behind"));
await assert.rejects(api.request("GET /v1/users/{id}", { path: { id: uuidv7() } }), (e) => isProblem(e, "not-found"));
assert.equal((await api.append("users", [update], { ifMatch: 1, wait: 20 }))[0].version, 2);
assert.equal((await api.request("GET /v1/users/{id}", { path: { id: first.aggregate_id } })).name, "Ada");
await until(() => rows.get(first.aggregate_id) === 2);

const paid = await api.request("POST /v1/payments/{payment_id}/process", {
  path: { payment_id: uuidv7() },
  body: { customer_id: first.aggregate_id, amount: { value: "10.00", currency: "USD" }, method: "wallet" },
});
assert.equal(paid.status, "completed");

// Ids are UUIDv7 in ascending order, also within a millisecond.
const ids = Array.from({ length: 10_000 }, uuidv7);
assert.ok(ids.every((id, i) => /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id) && (i === 0 || ids[i - 1] < id)));

// A server that says when to come back is asked then, for the same thing.
const asked = [];
const busy = () => new Response('{"code":"unavailable","title":"Unavailable","status":503}', { status: 503, headers: { "Retry-After": "1" } });
const patient = new Client({ baseUrl, fetch: (url, init) => (asked.push({ at: Date.now(), body: init.body }) < 3 ? Promise.resolve(busy()) : fetch(url, init)) });
await patient.append("users", { name: "user.created", payload: { name: "Late", email: "late@example.com" } });
assert.equal(asked.length, 3);
assert.equal(new Set(asked.map((a) => a.body)).size, 1);
assert.ok(asked[1].at - asked[0].at >= 990 && asked[2].at - asked[1].at >= 990);
// One that is called off is not waited for, and a mistake is not repeated.
const refused = new Client({ baseUrl, fetch: () => Promise.resolve(busy()) });
await assert.rejects(refused.request("GET /v1/views", { signal: AbortSignal.timeout(50) }), { name: "TimeoutError" });

// A stream ends when it is told to.
stop.abort();
await Promise.all([following, watching]);

// With nobody there it gives up, after as many attempts as it was told.
say("stop");
await until(async () => !(await fetch(baseUrl + "/livez").then((r) => r.ok, () => false)));
let tried = 0;
const impatient = new Client({ baseUrl, attempts: 3, fetch: (...a) => (tried++, fetch(...a)) });
await assert.rejects(impatient.request("GET /v1/views"), { name: "UnreachableError" });
assert.equal(tried, 3);
say("done");

async function until(ok) {
  const end = Date.now() + 60_000;
  while (!(await ok())) {
    assert.ok(Date.now() < end, "it did not come to that in a minute");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
