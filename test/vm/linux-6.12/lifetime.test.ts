import { LINUX_6_12 } from '../../support/vm-world.js';
import { lifetime } from '../suites/user-stack.js';

lifetime(LINUX_6_12);
