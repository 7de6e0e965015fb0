import { LINUX_SID } from '../../support/vm-world.js';
import { modesAndFlags } from '../suites/user-stack.js';

modesAndFlags(LINUX_SID);
