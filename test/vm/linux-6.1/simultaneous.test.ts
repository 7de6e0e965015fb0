import { LINUX_6_1 } from '../../support/vm-world.js';
import { simultaneous } from '../suites/user-stack.js';

simultaneous(LINUX_6_1);
