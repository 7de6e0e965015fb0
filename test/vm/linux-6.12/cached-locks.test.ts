import { LINUX_6_12 } from '../../support/vm-world.js';
import { cachedLocks } from '../suites/cached-locks.js';

cachedLocks(LINUX_6_12);
