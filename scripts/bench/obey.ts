/** How the benchmarks' programs in JavaScript are told what to do. */
import { createInterface } from 'node:readline';

/** Says that the program is ready and answers each line with one of JSON; resolves at the end of input. */
export async function obey(execute: (words: string[]) => Promise<object> | object): Promise<void> {
  const say = (answer: object): void => void process.stdout.write(`${JSON.stringify(answer)}\n`);
  say({ ready: true });
  for await (const line of createInterface({ input: process.stdin })) {
    say(await execute(line.split(' ')));
  }
}
