/**
 * That the random test of the order of events (test/order/random_test.cc) finds what it is there for: each
 * fault is put back into a copy of the sources, and the test must fail by the words that name it.
 */
import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import { skipBecause } from './support/skip.js';

const run = promisify(execFile);

/** This file runs from test/ or from dist/test/. */
const root = [join(import.meta.dirname, '..'), join(import.meta.dirname, '../..')].find((folder) =>
  existsSync(join(folder, 'native')),
)!;
const builder = (await import(pathToFileURL(join(root, 'test/engines/build.mjs')).href)) as {
  missingTool(): Promise<string | undefined>;
  buildWith(
    suite: string,
    path: string,
    replacements: Readonly<Record<string, string>>,
  ): Promise<string>;
};

/** A fault: where it is put, in place of what, and by which words the test names it. */
interface Fault {
  readonly edits: readonly {
    readonly file: string;
    readonly right: string;
    readonly wrong: string;
  }[];
  readonly words: RegExp;
}

const FAULTS: Readonly<Record<string, Fault>> = {
  'a grant before the death that led to it': {
    edits: [
      {
        file: 'order/delivery.cc',
        right: 'if (order_->ComesFirst()) collected_ = std::exchange(count, 0);',
        wrong: '',
      },
    ],
    words: /a grant before a change/,
  },
  'resumed before the death that led to it': {
    edits: [
      {
        file: 'kernel/lockspace_watch.cc',
        right: '  Drain();\n  std::optional<order::RunState> state;',
        wrong:
          '  if (const auto early = ReadState(); early) order_->SeeState(*early);\n' +
          '  std::optional<order::RunState> state;',
      },
    ],
    words: /resumed before a change/,
  },
  "a node's next life before the death of its last": {
    edits: [
      {
        file: 'order/event_order.cc',
        right: 'if (item.notice.kind == NoticeKind::kNodeFailed) death = i;',
        wrong: 'if (item.notice.kind == NoticeKind::kNodeJoined) return i;',
      },
    ],
    // Where that is met first by the death: of a node that lives by then.
    words: /join before a death|the death of a living node/,
  },
  'the death of a node that lives': {
    edits: [
      {
        file: 'kernel/membership.cc',
        right: 'node == this_node_) {\n    order_->SeeOwnEnd();',
        wrong: 'node == this_node_) {',
      },
      // It takes two: without a recovery it would not be told either.
      {
        file: 'order/event_order.cc',
        right: 'item.is_recovered |= item.has_control;\n  }\n  if (is_stopped_',
        wrong: 'item.is_recovered = true;\n  }\n  if (is_stopped_',
      },
    ],
    words: /the death of a living node/,
  },
};

/** Long enough for each to be met by any seed, many times over. */
const STEPS = '50000';

describe('the random test of the order of events', function () {
  this.timeout(0); // a compiler ends by itself
  this.slow(60_000);

  before(async function () {
    const missing = await builder.missingTool();
    if (missing !== undefined) skipBecause(this, `cannot build the engine tests: no ${missing}`);
  });

  for (const [number, [title, { edits, words }]] of Object.entries(FAULTS).entries()) {
    it(`finds ${title}`, async () => {
      const folder = join(root, '.cache/planted', `${number}`);
      const replacements: Record<string, string> = {};
      for (const { file, right, wrong } of edits) {
        const source = readFileSync(join(root, 'native', file), 'utf8');
        expect(source.split(right), 'places for the fault').to.have.lengthOf(2);
        const path = join(folder, file);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, source.replace(right, wrong));
        replacements[file] = path;
      }
      const program = await builder.buildWith('order', join(folder, 'tests'), replacements);
      const outcome = await run(program, ['--no-colors', '--test-case=order: random events*'], {
        env: { ...process.env, STACKGLUE_STEPS: STEPS },
      }).catch((error: unknown) => error as { code: unknown; stdout: string });
      console.log(`      ${/^seed .*/m.exec(outcome.stdout)?.[0] ?? 'no seed'}`);
      expect(outcome, outcome.stdout).to.have.property('code', 1);
      expect(outcome.stdout).to.match(words);
    });
  }
});
