// Lints many commit messages with the real commitlint in one process.
//
// Standard input: one JSON string a line, in ASCII, because readline also cuts at U+2028.
// Standard output: one JSON object a line, in the same order:
//   {"valid": true, "errors": [[rule, text], ...], "warnings": [[rule, text], ...]}
// or {"threw": text} where commitlint itself fails. With --default-ignores it passes over merges, reverts and the like,
// as its command line does.
import { createInterface } from "node:readline";
import lint from "@commitlint/lint";
import load from "@commitlint/load";

const config = await load({ extends: ["@commitlint/config-conventional"] }, { cwd: import.meta.dirname });
const options = {
  parserOpts: config.parserPreset.parserOpts,
  plugins: config.plugins,
  defaultIgnores: process.argv.includes("--default-ignores"),
};
const named = (problems) => problems.map((problem) => [problem.name, problem.message]);

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  let verdict;
  try {
    const { valid, errors, warnings } = await lint(JSON.parse(line), config.rules, options);
    verdict = { valid, errors: named(errors), warnings: named(warnings) };
  } catch (problem) {
    verdict = { threw: String(problem.message) };
  }
  process.stdout.write(JSON.stringify(verdict) + "\n");
}
