import { LINUX_SID } from '../../support/vm-world.js';
import { userStack } from '../suites/user-stack.js';

userStack(LINUX_SID, 'thread');
