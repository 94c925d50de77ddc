// Answers each line "in-flight each" of its input with the microseconds that a task took.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [, , modules, threads] = process.argv;
const { Piscina } = createRequire(`${modules}/`)("piscina");
const pool = new Piscina({
  filename: new URL("work.mjs", import.meta.url).href,
  minThreads: Number(threads),
  maxThreads: Number(threads),
});

for await (const line of createInterface({ input: process.stdin })) {
  const [inFlight, each] = line.split(" ").map(Number);
  const oneAfterTheOther = async () => {
    for (let i = 0; i < each; i++) await pool.run({ a: 20, b: 22 });
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: inFlight }, oneAfterTheOther));
  console.log(((performance.now() - start) * 1000) / (inFlight * each));
}
await pool.destroy();
