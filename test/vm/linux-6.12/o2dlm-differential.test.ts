import { LINUX_6_12 } from '../../support/vm-world.js';
import { o2dlmDifferential } from '../suites/o2dlm-differential.js';

o2dlmDifferential(LINUX_6_12);
