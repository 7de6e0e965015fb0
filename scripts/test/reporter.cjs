/**
 * Mocha's spec reporter, with what took longest and the closing line that CI reads. With
 * STACKGLUE_TEST_BRIEF only failures are shown; with STACKGLUE_TEST_RESULT the counts and the titles of
 * what failed are written there, as JSON.
 */
const { existsSync, readFileSync, writeFileSync } = require('node:fs');
const { Base, Spec } = require('mocha').reporters;

const { STACKGLUE_TEST_BRIEF, STACKGLUE_TEST_RESULT, STACKGLUE_TEST_TIMES } = process.env;
const isBrief = STACKGLUE_TEST_BRIEF !== undefined;
const SLOWEST = 10;

const seconds = (ms) => `${(ms / 1000).toFixed(1).padStart(7)} s`;
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** What file-clock.ts has written. */
function fileTimes() {
  if (STACKGLUE_TEST_TIMES === undefined || !existsSync(STACKGLUE_TEST_TIMES)) return [];
  const lines = readFileSync(STACKGLUE_TEST_TIMES, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line));
}

function printTimes() {
  const times = fileTimes();
  if (times.length < 2) return;
  console.log('  The files that took longest, and what they took of a processor:');
  for (const { file, ms, processorMs } of times.sort((a, b) => b.ms - a.ms).slice(0, SLOWEST)) {
    console.log(`  ${seconds(ms)} ${seconds(processorMs)}  ${file}`);
  }
  const boots = times.flatMap(({ bootsMs }) => bootsMs);
  if (boots.length > 0) console.log(`  ${seconds(sum(boots))}  in ${boots.length} boots`);
  const total = seconds(sum(times.map(({ processorMs }) => processorMs)));
  console.log(
    `  ${seconds(sum(times.map(({ ms }) => ms)))} ${total}  in all files, side by side\n`,
  );
}

module.exports = class TestReporter extends (isBrief ? Base : Spec) {
  constructor(runner, options) {
    super(runner, options);
    if (isBrief) runner.once('end', () => this.epilogue());
  }

  epilogue() {
    const { passes, failures, pending } = this.stats;
    if (STACKGLUE_TEST_RESULT !== undefined) {
      const failed = this.failures.map((test) => test.titlePath().join(' › '));
      writeFileSync(STACKGLUE_TEST_RESULT, JSON.stringify({ passes, failures, pending, failed }));
    }
    if (isBrief) {
      if (failures > 0) Base.list(this.failures);
      return;
    }
    super.epilogue();
    printTimes();
    console.log(`${passes} passed, ${failures} failed${pending > 0 ? `, ${pending} skipped` : ''}`);
  }
};
