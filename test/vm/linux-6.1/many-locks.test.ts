import { killedWithManyLocks } from '../suites/lifetime.js';

killedWithManyLocks();
