import { LINUX_6_1 } from '../../support/vm-world.js';
import { failuresAtExactMoments, failuresInFive } from '../suites/recovery.js';

failuresInFive(LINUX_6_1);
failuresAtExactMoments(LINUX_6_1);
