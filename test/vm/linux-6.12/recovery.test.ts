import { LINUX_6_12 } from '../../support/vm-world.js';
import { failuresAtExactMoments, failuresInFive } from '../suites/recovery.js';

failuresInFive(LINUX_6_12);
failuresAtExactMoments(LINUX_6_12);
