import { LINUX_6_12 } from '../../support/vm-world.js';
import { simultaneous } from '../suites/user-stack.js';

simultaneous(LINUX_6_12);
