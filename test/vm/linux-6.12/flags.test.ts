import { LINUX_6_12 } from '../../support/vm-world.js';
import { modesAndFlags } from '../suites/user-stack.js';

modesAndFlags(LINUX_6_12);
