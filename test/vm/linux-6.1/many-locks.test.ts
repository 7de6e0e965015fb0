import { killedWithManyLocks } from '../suites/many-locks.js';

killedWithManyLocks();
