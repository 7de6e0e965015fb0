/** A worker thread with one node of a simulation, which runs the same program as those elsewhere. */
import { workerData, type MessagePort } from 'node:worker_threads';

import { attachSimulation } from '../../lib/simulator/index.js';
import { lockProgram } from './lock-program.js';

attachSimulation((workerData as { port: MessagePort }).port, lockProgram);
