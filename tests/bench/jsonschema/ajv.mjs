// ajv.mjs SCHEMA DOCUMENT...: nanoseconds for one check of each document, one line each.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const Ajv = createRequire(process.env.AJV_HOME + "/")("ajv").default;
const read = (path) => JSON.parse(readFileSync(path, "utf8"));
const [schema, ...documents] = process.argv.slice(2);
const validate = new Ajv({ allErrors: false, strict: false }).compile(read(schema));

for (const path of documents) {
  const doc = read(path);
  let best = Infinity, ok;
  for (let round = 0; round < 20; round++) {
    let n = 0, took;
    const from = process.hrtime.bigint();
    do {
      for (let i = 0; i < 16; i++) ok = validate(doc);
      n += 16;
      took = Number(process.hrtime.bigint() - from);
    } while (took < 2e7);
    best = Math.min(best, took / n);
  }
  console.log(path, ok ? 1 : 0, Math.round(best));
}
