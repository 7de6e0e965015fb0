/** `npm run demo:cluster`: the story on three virtual machines with the kernel's DLM. */
import { createInterface } from 'node:readline';

import { Cluster, printingProgress, whyNotHere } from '../vm/index.js';
import type { CounterEvent } from './counter-node.js';
import { runStory, type StartedNode } from './story.js';

/** Any label but "o2cb" is a stack of user space; this is Pacemaker's. */
const STACK = 'pcmk';
const GROUP = 'demo';

type Report = CounterEvent | { read: number } | { left: true };

function startNode(
  cluster: Cluster,
  node: number,
  turns: number,
  holdsOn: boolean,
  tell: (event: CounterEvent) => void,
): Promise<StartedNode> {
  const program = 'dist/scripts/demo/counter-node-main.js';
  const child = cluster
    .node(node)
    .spawn(`exec node ${program} ${STACK} ${GROUP} ${turns} ${holdsOn ? 'hold' : ''}`);
  const joined = promise<StartedNode>();
  const finished = promise<undefined>();
  const count = promise<number>();
  const gone = promise<undefined>();
  // The victim's end is part of the story.
  finished.promise.catch(() => undefined);
  const end = (error: unknown): void => {
    joined.reject(error);
    finished.reject(error);
  };
  child.exit.then(
    (code) => end(new Error(`node ${node}'s program ended (${code}): ${child.stderrText}`)),
    end,
  );
  const started: StartedNode = {
    run: () => {
      child.stdin.write('run\n');
      return finished.promise;
    },
    read: () => {
      child.stdin.write('read\n');
      return count.promise;
    },
    leave: () => {
      child.stdin.write('leave\n');
      return gone.promise;
    },
  };
  createInterface({ input: child.stdout }).on('line', (line) => {
    const report = JSON.parse(line) as Report;
    if ('read' in report) {
      count.resolve(report.read);
    } else if ('left' in report) {
      gone.resolve(undefined);
    } else {
      tell(report);
      if (report.kind === 'joined') joined.resolve(started);
      if (report.kind === 'done') finished.resolve(undefined);
    }
  });
  return joined.promise;
}

function promise<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
} {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const settled = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise: settled, resolve, reject };
}

const reason = await whyNotHere();
if (reason === undefined) {
  const progress = printingProgress((line) => console.log(line));
  const cluster = await Cluster.boot({ nodes: 3, membership: 'corosync', progress });
  try {
    const isRight = await runStory({
      title:
        "stackglue demo: corosync, dlm_controld and the kernel's DLM on three virtual machines",
      lostBlock: 'fs/dlm recovers the last block that it finds, and flags it',
      start: (node, turns, holdsOn, tell) => startNode(cluster, node, turns, holdsOn, tell),
      kill: (node) => cluster.kill(node),
    });
    process.exitCode = isRight ? 0 : 1;
  } finally {
    await cluster.close();
  }
} else {
  console.error(reason);
  process.exitCode = 1;
}
