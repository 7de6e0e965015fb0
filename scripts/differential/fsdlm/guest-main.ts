/**
 * The agent as a program in a guest. It takes lines of JSON and answers each with one:
 *
 *     {"open": LOCKSPACE}            connects                                   -> {}
 *     {"fence": NODE, "name": TEXT}  `Agent.addFence`                           -> {}
 *     {"unfence": NODE}              `Agent.removeFence`                        -> {}
 *     {"commands": [WireCommand]}    gives them, and then pings                 -> {"events": [...]}
 *     {"ping": true}                 pings                                      -> {"events": [...]}
 *     {"drain": "cancel"|"unlock"}   `Agent.drain`, and then pings              -> {"asked": COUNT}
 *     {"close": true}                disconnects                                -> {}
 *
 * An answer of {"error": TEXT} is a fault of ours.
 */
import { createInterface } from 'node:readline';

import { createUserPlugin, StackGlue } from '../../../lib/glue.js';
import { Agent, type WireCommand } from './agent.js';

interface Request {
  open?: string;
  fence?: number;
  name?: string;
  unfence?: number;
  commands?: WireCommand[];
  ping?: true;
  drain?: 'cancel' | 'unlock';
  close?: true;
}

let agent: Agent | undefined;

function connected(): Agent {
  if (agent === undefined) throw new Error('not connected');
  return agent;
}

async function answer(request: Request): Promise<object> {
  if (request.open !== undefined) {
    const glue = new StackGlue();
    // On this thread: a command is with the kernel when the call returns, so that none overtakes
    // the ping that follows it.
    glue.register(createUserPlugin({ submit: 'loop', create: false, disconnectTimeoutMs: 60_000 }));
    agent = await Agent.connect(glue, request.open);
    return {};
  }
  if (request.fence !== undefined) {
    await connected().addFence(request.fence, request.name ?? '');
    return {};
  }
  if (request.unfence !== undefined) {
    connected().removeFence(request.unfence);
    return {};
  }
  if (request.drain !== undefined) {
    const asked = connected().drain(request.drain);
    await connected().ping();
    return { asked };
  }
  if (request.close) {
    await connected().disconnect();
    return {};
  }
  for (const command of request.commands ?? []) connected().perform(command);
  await connected().ping();
  return { events: connected().take() };
}

const say = (report: object): void => void process.stdout.write(`${JSON.stringify(report)}\n`);

say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  try {
    say(await answer(JSON.parse(line) as Request));
  } catch (error) {
    say({ error: String((error as Error).stack) });
  }
}
