import { LINUX_6_12 } from '../../support/vm-world.js';
import { userStack } from '../suites/user-stack.js';

userStack(LINUX_6_12, 'keeper');
